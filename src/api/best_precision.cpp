#include "api/best_precision.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <map>

#include "api/state.h"
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

/// One form of the network, lowered and ready to be timed.
struct Form {
  Graph graph;
  Trial trial;
  std::vector<std::vector<double>> step_us;

  static Result<Form> make(const Graph& clean, const Binding& binding, const std::set<std::string>& skip,
                           Backend& backend) {
    Result<Graph> graph = lower(clean, binding, skip);
    if (!graph) return graph.error();
    Result<Trial> trial = Trial::make(*graph, backend, {});
    if (!trial) return trial.error();
    std::vector<std::vector<double>> step_us(graph->nodes.size());
    return Form{*std::move(graph), *std::move(trial), std::move(step_us)};
  }
  Result<Done> time_steps(bool is_warm) {
    Result<std::vector<double>> seconds = trial.step_seconds();
    if (!seconds) return seconds.error();
    for (size_t i = 0; is_warm && i < step_us.size(); ++i) step_us[i].push_back((*seconds)[i] * 1e6);
    return Done{};
  }
};

Result<Done> time_layers(const std::vector<Form*>& forms) {
  const auto start = std::chrono::steady_clock::now();
  for (int round = -2; round < k_rounds; ++round) {
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    if (round >= 5 && seconds > k_most_seconds) break;
    for (Form* form : forms)
      if (Result<Done> done = form->time_steps(round >= 0); !done) return done;
  }
  return Done{};
}

bool has_products(const Node& node) {
  return node.op->name.find("Conv") != std::string_view::npos || node.op->name.find("Gemm") != std::string_view::npos;
}
bool is_conversion(const Node& node) { return is_op(node, "QuantizeLinear") || is_op(node, "DequantizeLinear"); }
bool is_integer(const Node& node) { return node.op->name.starts_with("Quant") && !is_conversion(node); }

/// Median microseconds of the named layers with products.
std::map<std::string, double> layer_times(Form& form) {
  std::map<std::string, double> times;
  for (size_t i = 0; i < form.graph.nodes.size(); ++i) {
    const Node& node = form.graph.nodes[i];
    if (!node.name.empty() && has_products(node)) times[node.name] = median(form.step_us[i]);
  }
  return times;
}

/// "INT8 41, FP32 3, reformat 2 (1.3 % of time)".
std::string counts(Form& form) {
  int integers = 0, floats = 0, conversions = 0;
  double all = 0, converting = 0;
  for (size_t i = 0; i < form.graph.nodes.size(); ++i) {
    const Node& node = form.graph.nodes[i];
    const double us = median(form.step_us[i]);
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

}  // namespace

Result<BestPrecision> choose_best_precision(const Graph& quantized, const Graph& floating, const Binding& binding,
                                            const std::set<std::string>& skip, Backend& backend) {
  BestPrecision best;
  std::vector<Form> forms;  // INT8, FP32, and INT8 with float layers
  for (const Graph* clean : {&quantized, &floating}) {
    Result<Form> form = Form::make(*clean, binding, skip, backend);
    if (!form) return form.error();
    forms.push_back(*std::move(form));
  }
  if (Result<Done> done = time_layers({&forms[0], &forms[1]}); !done) return done.error();
  std::map<std::string, double> in_int8 = layer_times(forms[0]), in_fp32 = layer_times(forms[1]);
  std::vector<std::string> reasons;
  for (const auto& [name, us] : in_int8) {
    const auto found = in_fp32.find(name);
    if (found == in_fp32.end() || us <= k_clearly_slower * found->second) continue;
    best.float_layers.insert(name);
    reasons.push_back(name + " is float: " + text_of("%.2f us in FP32, %.2f us in INT8", found->second, us));
  }
  Graph mixed_clean = quantized;
  if (!best.float_layers.empty()) {
    make_float(mixed_clean, best.float_layers);
    Result<Form> form = Form::make(mixed_clean, binding, skip, backend);
    if (!form) return form.error();
    forms.push_back(*std::move(form));
    if (Result<Done> done = time_layers({&forms[2]}); !done) return done.error();
  }
  std::vector<Trial*> trials;
  for (Form& form : forms) trials.push_back(&form.trial);
  Result<std::vector<WholeTime>> times = time_in_turns(trials, 2 * k_rounds, k_most_seconds);
  if (!times) return times.error();
  size_t chosen = 0;
  if (forms.size() > 2) {
    const WholeTime &all = (*times)[0], &mixed = (*times)[2];
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
  const WholeTime &fp32 = (*times)[1], mine = (*times)[chosen];
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
                        text_of("%.3f ms, in FP32 %.3f ms (noise +-%.3f ms)", (*times)[chosen].ms, fp32.ms, noise));
  best.graph = std::move(forms[chosen].graph);
  best.clean = chosen == 0 ? quantized : chosen == 1 ? floating : mixed_clean;
  return best;
}

}  // namespace octet
