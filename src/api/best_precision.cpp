#include "api/best_precision.h"

#include <algorithm>
#include <cctype>
#include <chrono>
#include <cstdio>
#include <map>
#include <optional>
#include <tuple>
#include <utility>

#include "api/state.h"
#include "base/hash.h"
#include "ir/op.h"
#include "runtime/trial.h"

namespace octet {
namespace {

constexpr int k_rounds = 20;
constexpr double k_most_seconds = 5;
constexpr double k_clearly_slower = 1.05;

std::string text_of(const char* format, double a, double b = 0, double c = 0) {
  char text[160];
  std::snprintf(text, sizeof text, format, a, b, c);
  return text;
}

double median(std::vector<double>& values) {
  std::sort(values.begin(), values.end());
  return values.empty() ? 0 : values[values.size() / 2];
}

/// One form of the network with what is known of its times. It is packed for a measurement only: a warm cache needs
/// none.
struct Form {
  std::string name;  // "INT8", "FP32", "mixed"
  Backend* backend = nullptr;
  Graph graph;
  std::vector<std::string> signatures, tactics;  // by node; what a time is kept under
  std::vector<double> us;                        // by node
  std::vector<bool> untimed;                     // by node: another one's time holds its own
  std::optional<Trial> trial = {};

  static Result<Form> make(std::string name, const Graph& clean, const Binding& binding,
                           const std::set<std::string>& skip, Backend& backend) {
    Result<Graph> graph = lower(clean, binding, skip);
    if (!graph) return graph.error();
    Result<std::shared_ptr<const Plan>> plan = make_plan(*graph, backend);
    if (!plan) return plan.error();
    Form form{std::move(name), &backend, *std::move(graph), {}, {}, {}, backend.storage((*plan)->graph).untimed};
    for (const Step& step : (*plan)->steps) {
      form.signatures.push_back(layer_signature(form.graph, step.node));
      form.tactics.push_back("precision best, " + step.tactic);
    }
    form.us.resize(form.signatures.size());
    form.untimed.resize(form.signatures.size());
    return form;
  }
  std::string device() const { return backend->timing_key(); }
  Result<Done> prepare() {
    if (trial) return Done{};
    Result<Trial> made = Trial::make(graph, *backend, {});
    if (!made) return made.error();
    trial = *std::move(made);
    return Done{};
  }
};

/// What measurements go by and into.
struct Times {
  TimingCache& cache;
  int64_t measured = 0;
};

/// Layers of one signature and tactic on one device share a time.
using LayerKey = std::tuple<std::string, std::string, std::string>;

/// Median microseconds in place of what the cache does not hold, the forms in turns.
Result<Done> measure_layers(const std::vector<Form*>& forms, Times& times) {
  std::map<LayerKey, std::vector<double>> samples;
  std::vector<Form*> open;
  for (Form* form : forms) {
    bool is_known = true;
    for (size_t i = 0; i < form->us.size(); ++i) {
      if (form->untimed[i] || times.cache.find(form->device(), form->signatures[i], form->tactics[i])) continue;
      samples[{form->device(), form->signatures[i], form->tactics[i]}];
      is_known = false;
    }
    if (is_known) continue;
    if (Result<Done> ready = form->prepare(); !ready) return ready;
    open.push_back(form);
  }
  const auto start = std::chrono::steady_clock::now();
  for (int round = -2; round < k_rounds && !open.empty(); ++round) {
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    if (round >= 5 && seconds > k_most_seconds) break;
    for (Form* form : open) {
      Result<std::vector<double>> step_seconds = form->trial->step_seconds();
      if (!step_seconds) return step_seconds.error();
      for (size_t i = 0; round >= 0 && i < form->us.size(); ++i) {
        if (form->untimed[i]) continue;
        if (const auto at = samples.find({form->device(), form->signatures[i], form->tactics[i]}); at != samples.end())
          at->second.push_back((*step_seconds)[i] * 1e6);
      }
    }
  }
  for (auto& [key, us] : samples) times.cache.insert(std::get<0>(key), std::get<1>(key), std::get<2>(key), median(us));
  times.measured += static_cast<int64_t>(samples.size());
  return Done{};
}

/// Times of all layers: from the cache, or measured now and then from the cache, which rounds them.
Result<Done> time_layers(const std::vector<Form*>& forms, Times& times) {
  if (Result<Done> done = measure_layers(forms, times); !done) return done;
  for (Form* form : forms)
    for (size_t i = 0; i < form->us.size(); ++i)
      if (!form->untimed[i])
        form->us[i] = times.cache.find(form->device(), form->signatures[i], form->tactics[i]).value_or(0);
  return Done{};
}

/// Names these networks and their tactics, whatever their weights.
std::string networks_key(const std::vector<Form*>& forms) {
  std::string all;
  for (const Form* form : forms) {
    all += form->name + "\n";
    for (size_t i = 0; i < form->us.size(); ++i) all += form->signatures[i] + "\t" + form->tactics[i] + "\n";
  }
  return "networks " + to_hex(hash_bytes(std::as_bytes(std::span(all.data(), all.size()))));
}

/// The forms as wholes in turns, with their errors; from the cache where it holds all of them.
Result<std::vector<WholeTime>> time_wholes(const std::vector<Form*>& forms, Times& times) {
  const std::string key = networks_key(forms);
  const auto find = [&](const Form& form, const std::string& what) {
    return times.cache.find(form.device(), key, what);
  };
  const auto whole = [](const Form& form) { return "precision best, " + form.name + " as a whole"; };
  const auto error = [&](const Form& form) { return whole(form) + ", standard error"; };
  const bool is_known = std::all_of(forms.begin(), forms.end(), [&](const Form* form) {
    return find(*form, whole(*form)) && find(*form, error(*form));
  });
  if (!is_known) {
    std::vector<Trial*> trials;
    for (Form* form : forms) {
      if (Result<Done> ready = form->prepare(); !ready) return ready.error();
      trials.push_back(&*form->trial);
    }
    Result<std::vector<WholeTime>> measured = time_in_turns(trials, 2 * k_rounds, k_most_seconds);
    if (!measured) return measured.error();
    for (size_t i = 0; i < forms.size(); ++i) {
      times.cache.insert(forms[i]->device(), key, whole(*forms[i]), (*measured)[i].ms * 1e3);
      times.cache.insert(forms[i]->device(), key, error(*forms[i]), (*measured)[i].error_ms * 1e3);
    }
    times.measured += static_cast<int64_t>(forms.size());
  }
  std::vector<WholeTime> wholes;
  for (const Form* form : forms) wholes.push_back({*find(*form, whole(*form)) / 1e3, *find(*form, error(*form)) / 1e3});
  return wholes;
}

bool has_products(const Node& node) {
  return node.op->name.find("Conv") != std::string_view::npos || node.op->name.find("Gemm") != std::string_view::npos;
}
bool is_conversion(const Node& node) { return is_op(node, "QuantizeLinear") || is_op(node, "DequantizeLinear"); }
bool is_integer(const Node& node) { return node.op->name.starts_with("Quant") && !is_conversion(node); }

/// Node of each named layer with products.
std::map<std::string, size_t> product_layers(const Form& form) {
  std::map<std::string, size_t> layers;
  for (size_t i = 0; i < form.graph.nodes.size(); ++i) {
    const Node& node = form.graph.nodes[i];
    if (!node.name.empty() && has_products(node)) layers[node.name] = i;
  }
  return layers;
}

/// "fp16" as messages have it.
std::string upper(const std::string& precision) {
  std::string text = precision;
  for (char& c : text) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return text;
}

/// "INT8 41, FP32 3, reformat 2 (1.3 % of time)".
std::string counts(const Form& form, const std::string& floating) {
  int integers = 0, floats = 0, conversions = 0;
  double all = 0, converting = 0;
  for (size_t i = 0; i < form.graph.nodes.size(); ++i) {
    const Node& node = form.graph.nodes[i];
    const double us = form.us[i];
    all += us;
    if (is_conversion(node)) {
      ++conversions, converting += us;
    } else if (is_integer(node)) {
      ++integers;
    } else if (has_products(node) || form.graph.value(node.outputs[0]).dtype == DType::f32) {
      ++floats;
    }
  }
  return "INT8 " + std::to_string(integers) + ", " + floating + " " + std::to_string(floats) + ", reformat " +
         std::to_string(conversions) + text_of(" (%.1f %% of time)", all > 0 ? 100 * converting / all : 0);
}

/// Layers that are clearly slower in INT8 than the layer of the same name in float; each layer gets a line of the log.
std::set<std::string> slower_in_int8(const Form& int8, const Form& other, BestPrecision& best,
                                     std::vector<std::string>& reasons) {
  std::set<std::string> slower;
  const std::map<std::string, size_t> floats = product_layers(other);
  std::map<size_t, std::string> in_order;
  for (const auto& [name, i] : product_layers(int8)) in_order[i] = name;
  std::vector<std::string> row;  // layers that one kernel runs: all but the last take no time of their own
  double float_us = 0;
  for (const auto& [i, name] : in_order) {
    const auto found = floats.find(name);
    const std::string what = "precision " + name + ": INT8 " + text_of("%.2f us", int8.us[i]);
    if (found == floats.end()) {
      best.log += what + "; " + other.name + " refused: no layer of this name there\n";
      continue;
    }
    row.push_back(name);
    float_us += other.us[found->second];
    const bool is_slower = int8.us[i] > k_clearly_slower * float_us;
    const std::string in_float = ", " + other.name + text_of(" %.2f us", float_us);
    best.log += what + in_float +
                (int8.us[i] == 0 ? ", in the layer after it\n"
                 : is_slower     ? " <- " + other.name + " by itself\n"
                                 : " <- INT8\n");
    if (int8.us[i] == 0) continue;
    for (const std::string& layer : is_slower ? row : std::vector<std::string>()) {
      slower.insert(layer);
      reasons.push_back(layer + " is float: " + text_of("%.2f us in ", float_us) + other.name +
                        text_of(", %.2f us in INT8", int8.us[i]) +
                        (row.size() > 1 ? " (with the layer beside it)" : ""));
    }
    row.clear();
    float_us = 0;
  }
  return slower;
}

/// What the forms are lowered for.
struct Lowering {
  const Binding& binding;
  const std::set<std::string>& skip;
};

/// Behind the others: INT8 with these layers in float, timed layer by layer.
Result<Done> add_mixed(const Graph& clean, Backend& backend, const Lowering& how, std::vector<Form>& forms,
                       Times& times) {
  Result<Form> mixed = Form::make("mixed", clean, how.binding, how.skip, backend);
  if (!mixed) return mixed.error();
  forms.push_back(*std::move(mixed));
  return time_layers({&forms.back()}, times);
}

std::vector<Form*> pointers(std::vector<Form>& forms) {
  std::vector<Form*> all;
  for (Form& form : forms) all.push_back(&form);
  return all;
}

/// INT8 as it is, or the mixed form behind the others (if there is one) where it is faster by more than the noise.
size_t form_with_int8(const std::vector<WholeTime>& wholes, size_t mixed, std::vector<std::string> reasons,
                      BestPrecision& best) {
  if (wholes.size() == mixed) return 0;
  const WholeTime &all = wholes[0], &some = wholes[mixed];
  if (some.ms + noise_ms(all, some) < all.ms) {
    best.notes = std::move(reasons);
    return mixed;
  }
  best.notes.push_back(
      std::to_string(best.float_layers.size()) +
      " layers are slower in INT8 by themselves, but in float they would not make the network faster " +
      text_of("(%.3f ms against %.3f, noise +-%.3f): they stay INT8", some.ms, all.ms, noise_ms(all, some)));
  return 0;
}

/// A float form that is faster than the chosen one by more than the noise, else that one. floats: forms 1 to `floats`.
size_t faster_float_form(const std::vector<WholeTime>& wholes, size_t floats, size_t chosen) {
  for (size_t i = 1; i <= floats; ++i)
    if (wholes[chosen].ms > wholes[i].ms + noise_ms(wholes[i], wholes[chosen])) chosen = i;
  return chosen;
}

/// The note that comes first: what the chosen form holds, and what all of them take.
std::string choice_note(const std::vector<Form>& forms, const std::vector<WholeTime>& wholes, size_t floats,
                        size_t chosen, const std::string& precision) {
  std::string others;
  for (size_t i = 1; i <= floats; ++i) others += ", in " + forms[i].name + text_of(" %.3f ms", wholes[i].ms);
  return "precision best: " + counts(forms[chosen], upper(precision)) + "; whole network " +
         text_of("%.3f ms", wholes[chosen].ms) + others +
         text_of(" (noise +-%.3f ms)", noise_ms(wholes[1], wholes[chosen]));
}

}  // namespace

Result<BestPrecision> choose_best_precision(const Graph& quantized, const Graph& floating, const Binding& binding,
                                            const std::set<std::string>& skip, std::span<const FloatForm> floats,
                                            TimingCache& cache) {
  BestPrecision best;
  Times times{cache};
  const size_t mixed = floats.size() + 1;
  std::vector<Form> forms;  // INT8, one for each float precision, and INT8 with float layers where some are slower
  forms.reserve(mixed + 1);
  for (size_t i = 0; i < mixed; ++i) {
    const FloatForm& with = floats[i == 0 ? 0 : i - 1];
    Result<Form> form = Form::make(i == 0 ? "INT8" : upper(with.precision), i == 0 ? quantized : floating, binding,
                                   skip, *with.backend);
    if (!form) return form.error();
    forms.push_back(*std::move(form));
  }
  if (Result<Done> done = time_layers(pointers(forms), times); !done) return done.error();
  std::vector<std::string> reasons;
  best.float_layers = slower_in_int8(forms[0], forms[1], best, reasons);
  Graph mixed_clean = quantized;
  if (!best.float_layers.empty()) {
    make_float(mixed_clean, best.float_layers);
    if (Result<Done> done = add_mixed(mixed_clean, *floats[0].backend, {binding, skip}, forms, times); !done)
      return done.error();
  }
  const Result<std::vector<WholeTime>> wholes = time_wholes(pointers(forms), times);
  if (!wholes) return wholes.error();
  for (size_t i = 0; i < forms.size(); ++i)
    best.log += "precision whole network, " + forms[i].name +
                text_of(": %.3f ms (standard error %.4f)\n", (*wholes)[i].ms, (*wholes)[i].error_ms);
  const size_t with_int8 = form_with_int8(*wholes, mixed, std::move(reasons), best);
  const size_t chosen = faster_float_form(*wholes, floats.size(), with_int8);
  const bool is_float = chosen != with_int8;
  if (is_float)
    best.notes.push_back(text_of("all layers are float: the network takes %.3f ms in ", (*wholes)[chosen].ms) +
                         forms[chosen].name + text_of(", %.3f ms with INT8 layers", (*wholes)[with_int8].ms));
  if (chosen != mixed) best.float_layers.clear();
  const std::string& in_use = floats[is_float ? chosen - 1 : 0].precision;
  best.precision = is_float ? in_use : settled_precision("int8 and " + in_use, forms[chosen].graph);
  // Where there is one float precision only, it needs no word unless layers were made float.
  if (chosen == 0 && in_use == "fp32") best.precision = "int8";
  best.notes.insert(best.notes.begin(), choice_note(forms, *wholes, floats.size(), chosen, in_use));
  best.log += "precision: " + std::to_string(times.measured) + " timings taken, all others from the cache\n";
  best.graph = std::move(forms[chosen].graph);
  best.clean = is_float ? floating : chosen == 0 ? quantized : mixed_clean;
  best.measured = times.measured;
  return best;
}

}  // namespace octet
