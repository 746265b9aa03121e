#include "api/best_precision.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <map>
#include <optional>
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
  Graph graph;
  std::vector<std::string> signatures, tactics;  // by node; what a time is kept under
  std::vector<double> us;                        // by node
  std::optional<Trial> trial = {};

  static Result<Form> make(std::string name, const Graph& clean, const Binding& binding,
                           const std::set<std::string>& skip, const Backend& backend) {
    Result<Graph> graph = lower(clean, binding, skip);
    if (!graph) return graph.error();
    Result<std::shared_ptr<const Plan>> plan = make_plan(*graph, backend);
    if (!plan) return plan.error();
    Form form{std::move(name), *std::move(graph), {}, {}, {}};
    for (const Step& step : (*plan)->steps) {
      form.signatures.push_back(layer_signature(form.graph, step.node));
      form.tactics.push_back("precision best, " + step.tactic);
    }
    form.us.resize(form.signatures.size());
    return form;
  }
  Result<Done> prepare(Backend& backend) {
    if (trial) return Done{};
    Result<Trial> made = Trial::make(graph, backend, {});
    if (!made) return made.error();
    trial = *std::move(made);
    return Done{};
  }
};

/// What measurements go by and into.
struct Times {
  TimingCache& cache;
  std::string device;
  int64_t measured = 0;

  std::optional<double> find(const std::string& layer, const std::string& tactic) const {
    return cache.find(device, layer, tactic);
  }
};

/// Layers of one signature and tactic share a time.
using LayerKey = std::pair<std::string, std::string>;

/// Median microseconds in place of what the cache does not hold, the forms in turns.
Result<Done> measure_layers(const std::vector<Form*>& forms, Backend& backend, Times& times) {
  std::map<LayerKey, std::vector<double>> samples;
  std::vector<Form*> open;
  for (Form* form : forms) {
    bool is_known = true;
    for (size_t i = 0; i < form->us.size(); ++i) {
      if (times.find(form->signatures[i], form->tactics[i])) continue;
      samples[{form->signatures[i], form->tactics[i]}];
      is_known = false;
    }
    if (is_known) continue;
    if (Result<Done> ready = form->prepare(backend); !ready) return ready;
    open.push_back(form);
  }
  const auto start = std::chrono::steady_clock::now();
  for (int round = -2; round < k_rounds && !open.empty(); ++round) {
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    if (round >= 5 && seconds > k_most_seconds) break;
    for (Form* form : open) {
      Result<std::vector<double>> step_seconds = form->trial->step_seconds();
      if (!step_seconds) return step_seconds.error();
      for (size_t i = 0; round >= 0 && i < form->us.size(); ++i)
        if (const auto at = samples.find({form->signatures[i], form->tactics[i]}); at != samples.end())
          at->second.push_back((*step_seconds)[i] * 1e6);
    }
  }
  for (auto& [key, us] : samples) times.cache.insert(times.device, key.first, key.second, median(us));
  times.measured += static_cast<int64_t>(samples.size());
  return Done{};
}

/// Times of all layers: from the cache, or measured now and then from the cache, which rounds them.
Result<Done> time_layers(const std::vector<Form*>& forms, Backend& backend, Times& times) {
  if (Result<Done> done = measure_layers(forms, backend, times); !done) return done;
  for (Form* form : forms)
    for (size_t i = 0; i < form->us.size(); ++i)
      form->us[i] = times.find(form->signatures[i], form->tactics[i]).value_or(0);
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
Result<std::vector<WholeTime>> time_wholes(const std::vector<Form*>& forms, Backend& backend, Times& times) {
  const std::string key = networks_key(forms);
  const auto whole = [](const Form& form) { return "precision best, " + form.name + " as a whole"; };
  const auto error = [&](const Form& form) { return whole(form) + ", standard error"; };
  const bool is_known = std::all_of(forms.begin(), forms.end(), [&](const Form* form) {
    return times.find(key, whole(*form)) && times.find(key, error(*form));
  });
  if (!is_known) {
    std::vector<Trial*> trials;
    for (Form* form : forms) {
      if (Result<Done> ready = form->prepare(backend); !ready) return ready.error();
      trials.push_back(&*form->trial);
    }
    Result<std::vector<WholeTime>> measured = time_in_turns(trials, 2 * k_rounds, k_most_seconds);
    if (!measured) return measured.error();
    for (size_t i = 0; i < forms.size(); ++i) {
      times.cache.insert(times.device, key, whole(*forms[i]), (*measured)[i].ms * 1e3);
      times.cache.insert(times.device, key, error(*forms[i]), (*measured)[i].error_ms * 1e3);
    }
    times.measured += static_cast<int64_t>(forms.size());
  }
  std::vector<WholeTime> wholes;
  for (const Form* form : forms)
    wholes.push_back({*times.find(key, whole(*form)) / 1e3, *times.find(key, error(*form)) / 1e3});
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

/// "INT8 41, FP32 3, reformat 2 (1.3 % of time)".
std::string counts(const Form& form) {
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
  return "INT8 " + std::to_string(integers) + ", FP32 " + std::to_string(floats) + ", reformat " +
         std::to_string(conversions) + text_of(" (%.1f %% of time)", all > 0 ? 100 * converting / all : 0);
}

/// Layers that are clearly slower in INT8 than the layer of the same name in FP32; each layer gets a line of the log.
std::set<std::string> slower_in_int8(const Form& int8, const Form& fp32, BestPrecision& best,
                                     std::vector<std::string>& reasons) {
  std::set<std::string> slower;
  const std::map<std::string, size_t> floats = product_layers(fp32);
  for (const auto& [name, i] : product_layers(int8)) {
    const std::string what = "precision " + name + ": INT8 " + text_of("%.2f us", int8.us[i]);
    const auto found = floats.find(name);
    if (found == floats.end()) {
      best.log += what + "; FP32 refused: no layer of this name there\n";
      continue;
    }
    const double in_fp32 = fp32.us[found->second];
    const bool is_slower = int8.us[i] > k_clearly_slower * in_fp32;
    best.log += what + text_of(", FP32 %.2f us", in_fp32) + (is_slower ? " <- FP32 by itself\n" : " <- INT8\n");
    if (!is_slower) continue;
    slower.insert(name);
    reasons.push_back(name + " is float: " + text_of("%.2f us in FP32, %.2f us in INT8", in_fp32, int8.us[i]));
  }
  return slower;
}

}  // namespace

Result<BestPrecision> choose_best_precision(const Graph& quantized, const Graph& floating, const Binding& binding,
                                            const std::set<std::string>& skip, Backend& backend, TimingCache& cache) {
  BestPrecision best;
  Times times{cache, backend.timing_key()};
  std::vector<Form> forms;  // INT8, FP32, and INT8 with float layers
  forms.reserve(3);
  const auto add_form = [&](const char* name, const Graph& clean) -> Result<Done> {
    Result<Form> form = Form::make(name, clean, binding, skip, backend);
    if (!form) return form.error();
    forms.push_back(*std::move(form));
    return Done{};
  };
  if (Result<Done> done = add_form("INT8", quantized); !done) return done.error();
  if (Result<Done> done = add_form("FP32", floating); !done) return done.error();
  if (Result<Done> done = time_layers({&forms[0], &forms[1]}, backend, times); !done) return done.error();
  std::vector<std::string> reasons;
  best.float_layers = slower_in_int8(forms[0], forms[1], best, reasons);
  Graph mixed_clean = quantized;
  if (!best.float_layers.empty()) {
    make_float(mixed_clean, best.float_layers);
    if (Result<Done> done = add_form("mixed", mixed_clean); !done) return done.error();
    if (Result<Done> done = time_layers({&forms[2]}, backend, times); !done) return done.error();
  }
  std::vector<Form*> all_forms;
  for (Form& form : forms) all_forms.push_back(&form);
  Result<std::vector<WholeTime>> wholes = time_wholes(all_forms, backend, times);
  if (!wholes) return wholes.error();
  for (size_t i = 0; i < forms.size(); ++i)
    best.log += "precision whole network, " + forms[i].name +
                text_of(": %.3f ms (standard error %.4f)\n", (*wholes)[i].ms, (*wholes)[i].error_ms);
  size_t chosen = 0;
  if (forms.size() > 2) {
    const WholeTime &all = (*wholes)[0], &mixed = (*wholes)[2];
    if (mixed.ms + noise_ms(all, mixed) < all.ms) {
      chosen = 2;
      best.notes = std::move(reasons);
    } else {
      best.notes.push_back(
          std::to_string(best.float_layers.size()) +
          " layers are slower in INT8 by themselves, but in float they would not make the network faster " +
          text_of("(%.3f ms against %.3f, noise +-%.3f): they stay INT8", mixed.ms, all.ms, noise_ms(all, mixed)));
      best.float_layers.clear();
    }
  }
  const WholeTime &fp32 = (*wholes)[1], mine = (*wholes)[chosen];
  const double noise = noise_ms(fp32, mine);
  best.precision = chosen == 2 ? "int8 and fp32" : "int8";
  if (mine.ms > fp32.ms + noise) {
    best.notes.push_back(
        text_of("all layers are float: the network takes %.3f ms in FP32, %.3f ms with INT8 layers", fp32.ms, mine.ms));
    chosen = 1;
    best.precision = "fp32";
    best.float_layers.clear();
  }
  best.notes.insert(best.notes.begin(),
                    "precision best: " + counts(forms[chosen]) + "; whole network " +
                        text_of("%.3f ms, in FP32 %.3f ms (noise +-%.3f ms)", (*wholes)[chosen].ms, fp32.ms, noise));
  best.log += "precision: " + std::to_string(times.measured) + " timings taken, all others from the cache\n";
  best.graph = std::move(forms[chosen].graph);
  best.clean = chosen == 0 ? quantized : chosen == 1 ? floating : mixed_clean;
  best.measured = times.measured;
  return best;
}

}  // namespace octet
