#include "calibrate/choose_auto.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>
#include <optional>

namespace octet {
namespace {

// Two ranges closer than this give the same codes for all but a few values: no trial is worth it.
constexpr double k_same_range = 0.004;
constexpr double k_keep_sigmas = 1.0, k_stop_sigmas = 2.5;
constexpr int64_t k_check_every = 8;
constexpr int64_t k_fewest_held_out = 4;

bool same(const ChosenRange& a, const ChosenRange& b) {
  const auto close = [](float x, float y) {
    return std::abs(static_cast<double>(x) - y) <= k_same_range * std::max(std::abs(x), std::abs(y));
  };
  return close(a.amax, b.amax) && close(a.lo, b.lo) && close(a.hi, b.hi);
}

/// Mean of a - b and its standard error, over the first n.
std::pair<double, double> paired(const std::vector<double>& a, const std::vector<double>& b, size_t n) {
  double sum = 0, squares = 0;
  for (size_t i = 0; i < n; ++i) sum += a[i] - b[i];
  const double mean = sum / static_cast<double>(n);
  for (size_t i = 0; i < n; ++i) squares += (a[i] - b[i] - mean) * (a[i] - b[i] - mean);
  return {mean, n > 1 ? std::sqrt(squares / static_cast<double>(n - 1) / static_cast<double>(n)) : 0.0};
}

class Search {
 public:
  Search(const InputData& data, CalibrationTable& table, const std::vector<std::vector<Candidate>>& candidates,
         const AutoOptions& options)
      : data_(data), table_(table), candidates_(candidates), options_(options), pool_(std::max(options.threads, 1)) {}

  Result<AutoReport> run(const std::shared_ptr<const Engine>& float_engine) {
    if (static_cast<int64_t>(options_.held_out.size()) < k_fewest_held_out)
      return Error{ErrorCode::bad_argument, "auto needs at least " + std::to_string(k_fewest_held_out) +
                                                " held-out samples, there are " +
                                                std::to_string(options_.held_out.size()) +
                                                "; a quarter of the data is held out, so give 16 samples or more"};
    // Alternating, so that both halves see all of the data.
    for (size_t i = 0; i < options_.held_out.size(); ++i) (i % 2 ? check_ : judge_).push_back(options_.held_out[i]);
    report_.samples = static_cast<int64_t>(options_.held_out.size());
    report_.tensors = static_cast<int64_t>(table_.tensors.size());
    for (const auto* half : {&judge_, &check_}) {
      Result<std::vector<std::vector<float>>> outputs = outputs_of(*float_engine, float_engine, *half);
      if (!outputs) return outputs.error();
      (half == &judge_ ? judge_reference_ : check_reference_) = *std::move(outputs);
    }
    count_trials();
    if (Result<Done> done = choose_start(); !done) return done.error();
    if (Result<Done> done = choose_each(); !done) return done.error();
    if (Result<Done> done = confirm(); !done) return done.error();
    return report_;
  }

 private:
  size_t methods() const { return candidates_.empty() ? 0 : candidates_[0].size(); }

  void set(size_t tensor, size_t candidate) {
    table_.tensors[tensor].automatic = candidates_[tensor][candidate].range;
    table_.tensors[tensor].automatic_from = candidates_[tensor][candidate].from;
  }

  void count_trials() { planned_ = static_cast<int64_t>(methods() * (1 + table_.tensors.size())) + 2; }
  void step() {
    ++report_.trials;
    if (options_.progress) options_.progress(std::min(++stepped_, planned_), planned_);
  }

  /// All outputs of each sample, one after the other.
  Result<std::vector<std::vector<float>>> outputs_of(const Engine& engine, std::shared_ptr<const Engine> shared,
                                                     const std::vector<int64_t>& samples) {
    Result<Feed> feed = Feed::make(engine, data_);
    if (!feed) return feed.error();
    Result<Context> context = Context::make(std::move(shared));
    if (!context) return context.error();
    std::vector<std::vector<float>> outputs;
    for (size_t first = 0; first < samples.size(); first += static_cast<size_t>(feed->batch())) {
      const size_t real = std::min(static_cast<size_t>(feed->batch()), samples.size() - first);
      if (Result<Done> done = feed->fill({samples.data() + first, real}, pool_); !done) return done.error();
      if (Result<Done> done = feed->run(*context); !done) return done.error();
      for (size_t slot = 0; slot < real; ++slot) append_outputs(*feed, static_cast<int64_t>(slot), outputs);
    }
    return outputs;
  }

  static void append_outputs(const Feed& feed, int64_t slot, std::vector<std::vector<float>>& outputs) {
    std::vector<float>& row = outputs.emplace_back();
    for (size_t i = 0; i < feed.outputs().size(); ++i) {
      const std::span<const float> output = feed.output(i, slot);
      row.insert(row.end(), output.begin(), output.end());
    }
  }

  static double error(const std::vector<float>& a, const std::vector<float>& b) {
    double sum = 0;
    for (size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
      const double d = static_cast<double>(a[i]) - b[i];
      sum += d * d;
    }
    return sum;
  }

  /// Errors by sample of the table as it stands; stops early, with fewer of them, when clearly worse than `best`.
  Result<std::vector<double>> errors_of(const std::vector<int64_t>& samples,
                                        const std::vector<std::vector<float>>& reference,
                                        const std::vector<double>* best) {
    Result<std::shared_ptr<const Engine>> engine = options_.build(table_);
    if (!engine) return engine.error();
    Result<Feed> feed = Feed::make(**engine, data_);
    if (!feed) return feed.error();
    Result<Context> context = Context::make(*engine);
    if (!context) return context.error();
    std::vector<double> errors;
    std::vector<std::vector<float>> outputs;
    for (size_t first = 0; first < samples.size(); first += static_cast<size_t>(feed->batch())) {
      const size_t real = std::min(static_cast<size_t>(feed->batch()), samples.size() - first);
      if (Result<Done> done = feed->fill({samples.data() + first, real}, pool_); !done) return done.error();
      if (Result<Done> done = feed->run(*context); !done) return done.error();
      outputs.clear();
      for (size_t slot = 0; slot < real; ++slot) {
        append_outputs(*feed, static_cast<int64_t>(slot), outputs);
        errors.push_back(error(outputs.back(), reference[first + slot]));
      }
      if (best && static_cast<int64_t>(errors.size()) >= k_check_every) {
        const auto [mean, deviation] = paired(errors, *best, errors.size());
        if (mean > k_stop_sigmas * deviation) break;
      }
    }
    step();
    return errors;
  }

  static double mean(const std::vector<double>& x) {
    double sum = 0;
    for (const double v : x) sum += v;
    return sum / static_cast<double>(std::max<size_t>(x.size(), 1));
  }

  static double decibel(const std::vector<std::vector<float>>& reference, const std::vector<double>& errors) {
    double signal = 0, noise = 0;
    for (const std::vector<float>& row : reference)
      for (const float v : row) signal += static_cast<double>(v) * v;
    for (const double e : errors) noise += e;
    return noise > 0 ? 10 * std::log10(signal / noise) : std::numeric_limits<double>::infinity();
  }

  Result<Done> choose_start() {
    for (size_t m = 0; m < methods(); ++m) {
      for (size_t t = 0; t < table_.tensors.size(); ++t) set(t, m);
      Result<std::vector<double>> errors = errors_of(judge_, judge_reference_, nullptr);
      if (!errors) return errors.error();
      report_.uniform.emplace_back(candidates_[0][m].from, decibel(judge_reference_, *errors));
      if (m > 0 && mean(*errors) >= mean(best_errors_)) continue;
      start_ = m;
      best_errors_ = *std::move(errors);
    }
    for (size_t t = 0; t < table_.tensors.size(); ++t) set(t, start_);
    if (methods() > 0 && !candidates_.empty()) report_.start = candidates_[0][start_].from;
    return Done{};
  }

  Result<Done> choose_each() {
    chosen_.assign(table_.tensors.size(), start_);
    for (size_t t = 0; t < table_.tensors.size(); ++t) {
      std::vector<size_t> tried = {chosen_[t]};
      for (size_t m = 0; m < methods(); ++m) {
        const auto known = [&](size_t other) { return same(candidates_[t][m].range, candidates_[t][other].range); };
        if (std::any_of(tried.begin(), tried.end(), known)) {
          if (options_.progress) options_.progress(std::min(++stepped_, planned_), planned_);
          continue;
        }
        tried.push_back(m);
        set(t, m);
        Result<std::vector<double>> errors = errors_of(judge_, judge_reference_, &best_errors_);
        if (!errors) return errors.error();
        const auto [difference, deviation] = paired(*errors, best_errors_, errors->size());
        if (errors->size() != best_errors_.size() || !(difference < -k_keep_sigmas * deviation)) continue;
        chosen_[t] = m;
        best_errors_ = *std::move(errors);
      }
      set(t, chosen_[t]);
    }
    return Done{};
  }

  Result<Done> confirm() {
    Result<std::vector<double>> chosen = errors_of(check_, check_reference_, nullptr);
    if (!chosen) return chosen.error();
    for (size_t t = 0; t < table_.tensors.size(); ++t) set(t, start_);
    Result<std::vector<double>> start = errors_of(check_, check_reference_, nullptr);
    if (!start) return start.error();
    report_.start_db = decibel(check_reference_, *start);
    report_.final_db = decibel(check_reference_, *chosen);
    report_.kept = mean(*chosen) < mean(*start);
    if (!report_.kept) return Done{};
    for (size_t t = 0; t < table_.tensors.size(); ++t) {
      set(t, chosen_[t]);
      report_.changed += chosen_[t] != start_;
    }
    return Done{};
  }

  const InputData& data_;
  CalibrationTable& table_;
  const std::vector<std::vector<Candidate>>& candidates_;
  const AutoOptions& options_;
  ThreadPool pool_;
  std::vector<int64_t> judge_, check_;
  std::vector<std::vector<float>> judge_reference_, check_reference_;
  size_t start_ = 0;
  std::vector<size_t> chosen_;
  std::vector<double> best_errors_;
  int64_t planned_ = 0, stepped_ = 0;
  AutoReport report_;
};

}  // namespace

std::string AutoReport::text() const {
  char numbers[96];
  std::string line = "auto: " + std::to_string(trials) + " trials on " + std::to_string(samples) +
                     " held-out samples; for all tensors";
  for (const auto& [from, db] : uniform) {
    std::snprintf(numbers, sizeof numbers, " %s %.1f dB,", from.c_str(), db);
    line += numbers;
  }
  line.back() = ';';
  std::snprintf(numbers, sizeof numbers, "; on the other half %.2f dB against %.2f dB", final_db, start_db);
  if (!kept) return line + " choosing tensor by tensor was no better than " + start + " for all" + numbers;
  return line + " another method than " + start + " for " + std::to_string(changed) + " of " + std::to_string(tensors) +
         " tensors" + numbers;
}

Result<AutoReport> choose_auto(const std::shared_ptr<const Engine>& float_engine, const InputData& data,
                               CalibrationTable& table, const std::vector<std::vector<Candidate>>& candidates,
                               const AutoOptions& options) {
  if (candidates.size() != table.tensors.size())
    return Error{ErrorCode::internal, "auto: candidates for " + std::to_string(candidates.size()) +
                                          " tensors, the table has " + std::to_string(table.tensors.size())};
  return Search(data, table, candidates, options).run(float_engine);
}

}  // namespace octet
