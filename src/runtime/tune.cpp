#include "runtime/tune.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <map>
#include <span>

#include "base/hash.h"
#include "ir/op.h"
#include "runtime/trial.h"

namespace octet {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

/// A candidate whose estimate is this far from the cheapest is not worth its time.
constexpr double k_far_from_best = 3;
/// The static choice stays unless another is faster by more than what a repeated measurement varies.
constexpr double k_clear_gain = 0.98;
constexpr double k_most_seconds[3] = {6, 15, 40};  // levels 3, 4, 5
constexpr int k_rounds[3] = {12, 24, 60};
/// Where rounds are short there are more of them, up to ten times as many: single ones differ by more than candidates.
constexpr double k_least_seconds[3] = {0.25, 0.5, 1};
constexpr int k_most_times_rounds = 10;

std::string text_of(const char* format, double a, double b = 0, double c = 0) {
  char text[160];
  std::snprintf(text, sizeof text, format, a, b, c);
  return text;
}

std::string node_name(const Graph& graph, const Node& node) {
  return node.name.empty() ? graph.value(node.outputs[0]).name : node.name;
}

/// The layers of a graph by kind, with everything that can be chosen.
struct Choices {
  std::vector<TunedLayer> kinds;
  std::vector<int> kind_of;             // by node; -1 = nothing to choose
  std::vector<std::string> by_default;  // by node
};

TunedLayer kind_of_layer(const std::vector<Tactic>& tactics, const std::string& by_default) {
  TunedLayer kind;
  kind.by_default = kind.chosen = by_default;
  double best = -1;
  for (const Tactic& t : tactics)
    if (t.refused.empty() && (best < 0 || t.cost_us < best)) best = t.cost_us;
  for (const Tactic& t : tactics) {
    std::string refused = t.refused;
    if (refused.empty() && t.cost_us > k_far_from_best * best)
      refused = text_of("estimated at %.1f times the cheapest", t.cost_us / best);
    kind.candidates.push_back({t.name, 0, false, refused});
  }
  return kind;
}

size_t open_candidates(const TunedLayer& kind) {
  return static_cast<size_t>(std::count_if(kind.candidates.begin(), kind.candidates.end(),
                                           [](const TunedCandidate& c) { return c.refused.empty(); }));
}

Choices find_choices(const Graph& graph, const Backend& backend, const Plan& plan) {
  Choices choices;
  std::map<std::string, int> known;
  const std::vector<bool> untimed = backend.storage(graph).untimed;
  for (const Step& step : plan.steps) {
    choices.by_default.push_back(step.tactic);
    choices.kind_of.push_back(-1);
    if (!untimed.empty() && untimed[static_cast<size_t>(step.node)]) continue;
    TunedLayer kind = kind_of_layer(backend.tactics(graph, step.node), step.tactic);
    if (open_candidates(kind) < 2) continue;
    kind.signature = layer_signature(graph, step.node);
    kind.first_node = node_name(graph, graph.node(step.node));
    const auto [at, is_new] = known.emplace(kind.signature, static_cast<int>(choices.kinds.size()));
    if (is_new) choices.kinds.push_back(std::move(kind));
    choices.kind_of.back() = at->second;
    ++choices.kinds[static_cast<size_t>(at->second)].layers;
  }
  return choices;
}

/// Candidates whose times are still unknown, by kind.
using Pending = std::vector<std::vector<TunedCandidate*>>;

Pending read_cache(Choices& choices, const std::string& device, const TimingCache* cache, TuningReport& report) {
  Pending pending;
  for (TunedLayer& kind : choices.kinds) {
    std::vector<TunedCandidate*>& open = pending.emplace_back();
    for (TunedCandidate& c : kind.candidates) {
      if (!c.refused.empty()) continue;
      const std::optional<double> us = cache ? cache->find(device, kind.signature, c.tactic) : std::nullopt;
      c.is_cached = us.has_value();
      if (us) {
        c.us = *us, ++report.cached;
      } else {
        open.push_back(&c);
      }
    }
  }
  return pending;
}

double median(std::vector<double> values) {
  if (values.empty()) return 0;
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

/// Round r runs every trial once; the first two rounds only warm up.
class Measurement {
 public:
  Measurement(const Choices& choices, Pending& pending) : choices_(choices), pending_(pending) {}

  size_t trials() const {
    size_t most = 0;
    for (const auto& open : pending_) most = std::max(most, open.size());
    return most;
  }

  /// The t-th open candidate of every kind, the last again where a kind has fewer.
  TacticChoice choice(size_t t) const {
    TacticChoice choice = choices_.by_default;
    for (size_t n = 0; n < choice.size(); ++n) {
      const int kind = choices_.kind_of[n];
      if (kind < 0 || pending_[static_cast<size_t>(kind)].empty()) continue;
      choice[n] = candidate(static_cast<size_t>(kind), t)->tactic;
    }
    return choice;
  }

  void note(size_t t, const std::vector<double>& step_seconds) {
    for (size_t n = 0; n < step_seconds.size(); ++n) {
      const int kind = choices_.kind_of[n];
      if (kind >= 0 && !pending_[static_cast<size_t>(kind)].empty())
        samples_[candidate(static_cast<size_t>(kind), t)].push_back(step_seconds[n] * 1e6);
    }
  }

  void finish() {
    for (auto& [candidate, us] : samples_) candidate->us = median(std::move(us));
  }

 private:
  TunedCandidate* candidate(size_t kind, size_t t) const {
    return pending_[kind][std::min(t, pending_[kind].size() - 1)];
  }

  const Choices& choices_;
  Pending& pending_;
  std::map<TunedCandidate*, std::vector<double>> samples_;
};

constexpr int k_least_rounds = 3;

/// The rounds that were run: fewer than asked for where the level's time is over.
Result<int> measure(const Graph& graph, Backend& backend, const TuneOptions& options, Measurement& m) {
  constexpr int k_warm_rounds = 2;
  const int level = options.level - 3;
  const int wanted = options.rounds > 0 ? std::max(options.rounds, k_least_rounds) : k_rounds[level];
  const Clock::time_point start = Clock::now();
  std::vector<Trial> trials;
  for (size_t t = 0; t < m.trials(); ++t) {
    Result<Trial> trial = Trial::make(graph, backend, m.choice(t));
    if (!trial) return trial.error();
    trials.push_back(std::move(*trial));
  }
  const int most = options.rounds > 0 ? wanted : wanted * k_most_times_rounds;
  int round = -k_warm_rounds;
  for (; round < most; ++round) {
    const double seconds_spent = seconds_since(start);
    if (round >= wanted && seconds_spent > k_least_seconds[level]) break;
    if (round >= k_least_rounds && seconds_spent > k_most_seconds[level]) break;
    for (size_t t = 0; t < trials.size(); ++t) {
      Result<std::vector<double>> seconds = trials[t].step_seconds();
      if (!seconds) return seconds.error();
      if (round >= 0) m.note(t, *seconds);
    }
  }
  m.finish();
  return round;
}

void choose(Choices& choices) {
  for (TunedLayer& kind : choices.kinds) {
    const TunedCandidate* best = nullptr;
    const TunedCandidate* usual = nullptr;
    for (const TunedCandidate& c : kind.candidates) {
      if (!c.refused.empty()) continue;
      if (!best || c.us < best->us) best = &c;
      if (c.tactic == kind.by_default) usual = &c;
    }
    const bool is_clear = !usual || best->us < k_clear_gain * usual->us;
    kind.chosen = is_clear ? best->tactic : kind.by_default;
  }
}

/// Over pairs of fresh programs: where the weights of one come to lie moves all of its times, by a per cent or two.
/// Each pair gives a ratio.
Result<Done> compare_whole(const Graph& graph, Backend& backend, int level, TuningReport& report) {
  constexpr int k_pairs = 7, k_least_rounds_of_a_pair = 6, k_most_rounds_of_a_pair = 200;
  constexpr double k_seconds_of_a_side = 0.02;
  std::vector<double> ratios, usual_ms;
  for (int pair = 0; pair < k_pairs; ++pair) {
    std::vector<Trial> trials;  // the one that is made and run first changes from pair to pair
    for (int i = 0; i < 2; ++i) {
      Result<Trial> trial = Trial::make(graph, backend, (i == 0) == (pair % 2 == 0) ? TacticChoice() : report.choice);
      if (!trial) return trial.error();
      trials.push_back(*std::move(trial));
    }
    const Result<double> warm = trials[0].run_seconds();
    if (!warm) return warm.error();
    const int rounds = static_cast<int>(std::clamp<double>(k_seconds_of_a_side / std::max(*warm, 1e-6),
                                                           k_least_rounds_of_a_pair, k_most_rounds_of_a_pair));
    const Result<std::vector<WholeTime>> times =
        time_in_turns({&trials[0], &trials[1]}, rounds, k_most_seconds[level] / k_pairs);
    if (!times) return times.error();
    const double usual = (*times)[static_cast<size_t>(pair % 2)].ms,
                 tuned = (*times)[static_cast<size_t>(1 - pair % 2)].ms;
    usual_ms.push_back(usual);
    ratios.push_back(usual > 0 ? tuned / usual : 1);
  }
  std::sort(ratios.begin(), ratios.end());
  std::sort(usual_ms.begin(), usual_ms.end());
  report.default_ms = usual_ms[k_pairs / 2];
  report.tuned_ms = report.default_ms * ratios[k_pairs / 2];
  report.noise_ms = report.default_ms * (ratios[k_pairs - 2] - ratios[1]) / 2;
  report.keeps_default = !is_clearly_faster(ratios);
  return Done{};
}

/// The verdict on a whole choice has a place in the cache too: with a warm cache a build measures nothing and decides
/// the same.
std::string network_key(const Choices& choices) {
  std::string all;
  for (size_t n = 0; n < choices.kind_of.size(); ++n) {
    if (choices.kind_of[n] < 0) continue;
    const TunedLayer& kind = choices.kinds[static_cast<size_t>(choices.kind_of[n])];
    all += kind.signature + "\t" + kind.by_default + "\t" + kind.chosen + "\n";
  }
  return "network " + to_hex(hash_bytes(std::as_bytes(std::span(all.data(), all.size()))));
}

constexpr const char* k_static_choice = "static choice";
constexpr const char* k_measured_choice = "measured choice";

Result<Done> judge_whole(const Graph& graph, Backend& backend, const TuneOptions& options, const Choices& choices,
                         TuningReport& report) {
  const std::string device = backend.timing_key(), key = network_key(choices);
  const std::optional<double> usual = options.cache ? options.cache->find(device, key, k_static_choice) : std::nullopt;
  const std::optional<double> tuned =
      options.cache ? options.cache->find(device, key, k_measured_choice) : std::nullopt;
  if (usual && tuned) {  // equal times mean: within the noise
    report.keeps_default = *tuned > *usual;
    return Done{};
  }
  if (Result<Done> done = compare_whole(graph, backend, options.level - 3, report); !done) return done;
  if (!options.cache) return Done{};
  const double tuned_us = report.tuned_ms * 1e3, usual_us = report.default_ms * 1e3;
  options.cache->insert(device, key, k_static_choice, usual_us);
  constexpr double k_apart_us = 0.02;  // what the cache keeps has to say the same
  options.cache->insert(
      device, key, k_measured_choice,
      report.keeps_default ? std::max(tuned_us, usual_us + k_apart_us) : std::min(tuned_us, usual_us));
  return Done{};
}

}  // namespace

bool is_clearly_faster(std::span<const double> sorted_ratios) {
  constexpr double k_clearly_faster = 0.997;
  const size_t pairs = sorted_ratios.size();
  return pairs >= 2 && sorted_ratios[pairs / 2] <= k_clearly_faster && sorted_ratios[pairs - 2] < 1;
}

Result<TuningReport> tune(const Graph& graph, Backend& backend, const TuneOptions& options) {
  const Clock::time_point start = Clock::now();
  TuneOptions limited = options;
  limited.level = std::clamp(options.level, 3, 5);
  Result<std::shared_ptr<const Plan>> plan = make_plan(graph, backend);
  if (!plan) return plan.error();
  TuningReport report;
  Choices choices = find_choices(graph, backend, **plan);
  const std::string device = backend.timing_key();
  Pending pending = read_cache(choices, device, options.cache, report);
  Measurement measurement(choices, pending);
  if (measurement.trials() > 0) {
    const Result<int> rounds = measure(graph, backend, limited, measurement);
    if (!rounds) return rounds.error();
    report.rounds = *rounds;
  }
  for (size_t k = 0; k < pending.size(); ++k)
    for (TunedCandidate* c : pending[k]) {
      ++report.measured;
      if (!options.cache) continue;
      const std::string& layer = choices.kinds[k].signature;
      options.cache->insert(device, layer, c->tactic, c->us);
      // As the cache rounds it, or two that lie a nanosecond apart are chosen otherwise from the file.
      c->us = options.cache->find(device, layer, c->tactic).value_or(c->us);
    }
  choose(choices);
  report.choice = choices.by_default;
  for (size_t n = 0; n < report.choice.size(); ++n)
    if (choices.kind_of[n] >= 0) report.choice[n] = choices.kinds[static_cast<size_t>(choices.kind_of[n])].chosen;
  if (report.choice != choices.by_default) {
    if (Result<Done> done = judge_whole(graph, backend, limited, choices, report); !done) return done.error();
  }
  if (report.keeps_default) report.choice = choices.by_default;
  report.layers = std::move(choices.kinds);
  report.seconds = seconds_since(start);
  return report;
}

std::string TuningReport::log() const {
  std::string text;
  for (const TunedLayer& layer : layers) {
    text += "tune " + layer.first_node +
            (layer.layers > 1 ? " and " + std::to_string(layer.layers - 1) + " like it" : "") + ": " + layer.signature +
            "\n";
    for (const TunedCandidate& c : layer.candidates) {
      text += "  " + c.tactic + ": ";
      text += c.refused.empty() ? text_of("%.2f us", c.us) + (c.is_cached ? " (cache)" : "") : c.refused;
      if (c.tactic == layer.chosen) text += " <- chosen";
      if (c.tactic == layer.by_default) text += " (static choice)";
      text += "\n";
    }
  }
  return text;
}

std::string TuningReport::summary() const {
  const int64_t changed =
      std::count_if(layers.begin(), layers.end(), [](const TunedLayer& l) { return l.chosen != l.by_default; });
  std::string text = "tuned " + std::to_string(layers.size()) + " kinds of layers in " + text_of("%.1f s", seconds) +
                     ": " + std::to_string(measured) + " timings taken" +
                     (rounds > 0 ? " in " + std::to_string(rounds) + " rounds" : "") + ", " + std::to_string(cached) +
                     " from the cache, " + std::to_string(changed) + " kinds run otherwise than by the static choice";
  if (default_ms > 0)
    text += text_of("; whole network %.3f ms against %.3f ms (+-%.3f)", tuned_ms, default_ms, noise_ms);
  if (keeps_default) text += "; the static choice is kept, since the measured one is not clearly faster as a whole";
  return text;
}

}  // namespace octet
