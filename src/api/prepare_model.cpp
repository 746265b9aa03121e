#include <algorithm>
#include <chrono>

#include "api/best_precision.h"
#include "api/state.h"
#include "backends/open.h"
#include "base/bf16.h"
#include "ir/metadata.h"
#include "ir/op.h"
#include "kernels/peak/peak.h"
#include "octet/measure.h"

namespace octet {
namespace {

Result<Ranges> ranges_for(const Model& model, const SessionSpec& spec) {
  if (!spec.ranges.empty()) return Ranges::load(spec.ranges, model, spec.quantization.force);
  if (!spec.calibration.data.path.empty()) return calibrate(model, spec.calibration);
  return Error{ErrorCode::bad_argument,
               "--precision " + spec.precision + " on the float model " + model.path() +
                   " needs ranges: give --calib-data PATH (sample images) or --ranges FILE (from 'octet calibrate')"};
}

bool on_gpu(const SessionSpec& spec) { return is_gpu(spec.device); }

/// What is asked for layers that are not INT8.
std::string asked_floats(const SessionSpec& spec) { return spec.gpu.floats.empty() ? spec.precision : spec.gpu.floats; }

/// Whether sums of integers become floats (dynamic quantization): the largest half float, 65504, is too small for them,
/// and the scales behind them are below its normal ones.
bool has_integer_sums(const Model& model) {
  const std::vector<Node>& nodes = model.state().graph.nodes;
  return std::any_of(nodes.begin(), nodes.end(),
                     [](const Node& node) { return is_op(node, "ConvInteger") || is_op(node, "MatMulInteger"); });
}

/// Of layers that are not INT8. On a GPU FP32 in place of FP16 where integers' sums become floats. On a CPU BF16 where
/// it is asked for and the machine has products of it that are faster than FP32's, and in place of FP16 where AMX has
/// them; else FP32. The judge has BF16 anywhere.
std::string float_precision(const SessionSpec& spec, const Model& model) {
  const std::string asked = asked_floats(spec);
  if (on_gpu(spec)) {
    if (asked == "fp16" && has_integer_sums(model)) return "fp32";
    if (!spec.gpu.floats.empty()) return asked;
    return asked == "fp16" || asked == "tf32" ? asked : "fp32";
  }
  if (asked != "bf16" && asked != "fp16") return "fp32";
  if (spec.device == "ref") return asked == "bf16" ? "bf16" : "fp32";
  const Result<Isa> isa = chosen_isa();
  if (!isa || !has_bf16_products(*isa)) return "fp32";
  return *isa == Isa::amx || (asked == "bf16" && bf16_dots_pay()) ? "bf16" : "fp32";
}

/// That float layers run in another precision than was asked for, and why; empty = they do not.
std::string other_precision_note(const SessionSpec& spec, const Model& model) {
  const std::string asked = asked_floats(spec), runs = float_precision(spec, model);
  if (on_gpu(spec) && asked == "fp16" && runs == "fp32")
    return "FP16 runs as FP32: the sums of ConvInteger and MatMulInteger may pass 65504, the largest half float";
  if (on_gpu(spec) || asked == runs || (asked != "bf16" && asked != "fp16" && asked != "tf32")) return "";
  if (runs == "bf16") return "FP16 runs as BF16: a CPU has no products of FP16 here, and AMX has those of BF16";
  if (asked == "tf32") return "TF32 runs as FP32: it is a form of a GPU's products";
  if (asked == "fp16")
    return "FP16 runs as FP32: a CPU has no products of FP16 here, and this one has no AMX-BF16 in their place";
  if (const Result<Isa> isa = chosen_isa(); isa && has_bf16_products(*isa))
    return "BF16 runs as FP32: vdpbf16ps is not a quarter faster than FP32's products on this machine";
  return "BF16 runs as FP32: this machine, or what OCTET_ISA leaves of it, has neither AVX512-BF16 nor AMX-BF16";
}

void note_other_precision(PreparedModel& made, const SessionSpec& spec, const Model& model) {
  if (std::string note = other_precision_note(spec, model); !note.empty()) made.notes.push_back(std::move(note));
}

std::string beside_int8(const std::string& floats) { return floats == "fp32" ? "int8" : "int8 and " + floats; }

/// Forms of the float layers that `best` tries, the one beside INT8 layers first.
Result<std::vector<FloatForm>> float_forms(const SessionSpec& spec, const Model& model,
                                           const std::shared_ptr<TimingCache>& times) {
  std::vector<std::string> precisions = {"fp32"};
  if (on_gpu(spec)) precisions[0] = float_precision(spec, model) == "tf32" ? "tf32" : "fp32";
  if (on_gpu(spec) && !has_integer_sums(model)) precisions.insert(precisions.begin(), "fp16");
  std::vector<FloatForm> forms;
  for (const std::string& precision : precisions) {
    Result<std::shared_ptr<Backend>> backend = backend_for(spec, precision);
    if (!backend) return backend.error();
    (*backend)->use_times(times);
    forms.push_back({precision, *std::move(backend)});
  }
  return forms;
}

/// The mix of precisions that is fastest by measurement.
Result<Graph> best_graph(const Model& model, const SessionSpec& spec, const Binding& binding,
                         const std::set<std::string>& skip, PreparedModel& prepared) {
  Graph floating = model.state().graph;
  remove_quantization(floating);
  Result<TimingCache> known = spec.timing_cache.empty() ? TimingCache() : TimingCache::load(spec.timing_cache);
  if (!known) return known.error();
  const auto cache = std::make_shared<TimingCache>(*std::move(known));
  const size_t had = cache->size();
  const Result<std::vector<FloatForm>> floats = float_forms(spec, model, cache);
  if (!floats) return floats.error();
  Result<BestPrecision> best =
      choose_best_precision(prepared.model.state().graph, floating, binding, skip, *floats, *cache);
  if (!best) return best.error();
  if (!spec.timing_cache.empty() && cache->size() > had) {
    if (Result<Done> saved = cache->save(spec.timing_cache); !saved) return saved.error();
  }
  prepared.log = std::move(best->log);
  prepared.precision = best->precision;
  prepared.notes.insert(prepared.notes.begin(), best->notes.begin(), best->notes.end());
  std::string names;
  for (const std::string& name : best->float_layers) names += " " + name;
  prepared.float_layers.assign(best->float_layers.begin(), best->float_layers.end());
  prepared.chosen = std::make_shared<const Graph>(std::move(best->clean));
  if (!names.empty())
    prepared.notes.push_back("a file with these layers in float: octet quantize ... --keep-float" + names);
  return std::move(best->graph);
}

}  // namespace

int count_float_layers(const Graph& fused) {
  int count = 0;
  for (const Node& node : fused.nodes)
    count += !node.op->name.starts_with("Quant") && node.op->name != "DequantizeLinear" &&
             (fused.value(node.outputs[0]).dtype == DType::f32 || fused.value(node.outputs[0]).dtype == DType::bf16);
  return count;
}

bool has_codes(const Graph& graph) {
  return std::any_of(graph.nodes.begin(), graph.nodes.end(), [](const Node& node) {
    return node.op->name.find("Quant") != std::string_view::npos || node.op->name == "DequantizeLinear" ||
           node.op->name.ends_with("Integer");
  });
}

std::string settled_precision(const std::string& precision, const Graph& fused) {
  if (precision.starts_with("int8") && !has_codes(fused)) {
    const size_t floats = precision.find(" and ");
    return floats == std::string::npos ? "fp32" : precision.substr(floats + 5);
  }
  return precision.starts_with("int8") && count_float_layers(fused) == 0 ? "int8" : precision;
}

Result<Graph> graph_to_run(const Model& model, PreparedModel& prepared, const SessionSpec& spec, const Binding& binding,
                           const std::set<std::string>& skip) {
  if (spec.precision == "best") return best_graph(model, spec, binding, skip, prepared);
  Result<Graph> graph = lower(prepared.model.state().graph, binding, skip);
  if (graph) prepared.precision = settled_precision(prepared.precision, *graph);
  if (!graph) return graph;
  if (const Result<Done> done = shorten_floats(*graph, prepared.precision); !done) return done.error();
  settle_bf16(*graph, prepared.precision, prepared.notes);
  return graph;
}

Result<Done> shorten_floats(Graph& graph, const std::string& precision) {
  if (!precision.ends_with("bf16")) return Done{};
  const Result<Changed> made = bf16_layers(graph);
  if (!made) return made.error();
  return Done{};
}

void settle_bf16(const Graph& fused, std::string& precision, std::vector<std::string>& notes) {
  if (!precision.ends_with("bf16")) return;
  if (const std::string note = bf16_note(fused); !note.empty()) return notes.push_back(note);
  precision = precision.starts_with("int8") ? "int8" : "fp32";
  notes.push_back(
      "BF16 runs as FP32: no layer of the network is one that multiplies in BF16 (2-D convolutions of 16 "
      "and more channels a group, fully connected layers)");
}

std::string bf16_note(const Graph& fused) {
  constexpr std::string_view k_f32[] = {"Conv",          "FusedConv", "FusedGemm", "Gemm", "MatMul",
                                        "ConvTranspose", "Einsum",    "RNN",       "GRU",  "LSTM"};
  int64_t in_bf16 = 0, stored_in_bf16 = 0, in_f32 = 0;
  for (const Node& node : fused.nodes) {
    const bool is_bf16 = is_op(node, "Bf16Conv") || is_op(node, "Bf16Gemm");
    const bool has_f32_products = is_bf16 && fused.value(node.inputs[1]).dtype == DType::f32;
    in_bf16 += is_bf16 && !has_f32_products;
    stored_in_bf16 += has_f32_products;
    in_f32 += std::count(std::begin(k_f32), std::end(k_f32), node.op->name);
  }
  if (in_bf16 == 0) return "";
  std::string note = "BF16: the products of " + std::to_string(in_bf16) + " layers";
  if (stored_in_bf16 > 0)
    note += "; " + std::to_string(stored_in_bf16) + " depthwise layers multiply in FP32 and store BF16";
  return in_f32 == 0 ? note
                     : note + "; those of " + std::to_string(in_f32) +
                           " stay FP32 (depthwise and narrow grouped convolutions, those that are not 2-D, products of "
                           "two activations)";
}

Result<std::shared_ptr<Backend>> backend_for(const SessionSpec& spec, const std::string& precision) {
  BackendOptions options{.threads = spec.threads};
  options.device.floats = precision.ends_with("fp16") ? DType::f16 : DType::f32;
  options.device.tf32 = precision.ends_with("tf32");
  options.device.graph = spec.gpu.graph;
  options.device.managed = spec.gpu.managed;
  options.device.wait = spec.gpu.wait == "spin"    ? DeviceWait::spin
                        : spec.gpu.wait == "block" ? DeviceWait::block
                                                   : DeviceWait::driver;
  return open_backend(spec.device, options);
}

Result<PreparedModel> prepare_model(const Model& model, const SessionSpec& spec) {
  PreparedModel made{model, "fp32", {}, {}, 0, nullptr, {}, {}};
  made.notes = lossy_repair_notes(model);
  if (model.is_quantized()) {
    made.precision = beside_int8(float_precision(spec, model));
    note_other_precision(made, spec, model);
    if (spec.precision != "int8" && spec.precision != "best")
      made.notes.push_back(model.path() + " holds Q/DQ nodes: it runs in INT8 where they ask for it");
    return made;
  }
  if (spec.precision == "fp32" || ((spec.precision == "fp16" || spec.precision == "tf32") && on_gpu(spec))) {
    made.precision = float_precision(spec, model);
    note_other_precision(made, spec, model);
    return made;
  }
  if ((spec.precision == "bf16" || spec.precision == "fp16" || spec.precision == "tf32") && !on_gpu(spec)) {
    made.precision = float_precision(spec, model);
    note_other_precision(made, spec, model);
    return made;
  }
  if (spec.precision != "int8" && spec.precision != "best")
    return Error{ErrorCode::bad_argument, "--precision " + spec.precision + ": --device " + spec.device +
                                              " has fp32, tf32, fp16, int8 and best"};
  made.precision = beside_int8(float_precision(spec, model));
  if (on_gpu(spec)) note_other_precision(made, spec, model);
  if (on_gpu(spec))  // before a calibration has cost its time
    if (const Result<std::shared_ptr<Backend>> there = backend_for(spec, made.precision); !there) return there.error();
  if (const Result<Done> ok = check_quantize_spec(model, spec.quantization); !ok) return ok.error();
  const auto start = std::chrono::steady_clock::now();
  Result<Ranges> ranges = ranges_for(model, spec);
  if (!ranges) return ranges.error();
  Result<Quantized> quantized = quantize(model, *ranges, spec.quantization);
  if (!quantized) return quantized.error();
  made.calibrate_s = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  for (const auto* notes : {&ranges->notes, &quantized->notes})
    made.notes.insert(made.notes.end(), notes->begin(), notes->end());
  if (!has_codes(quantized->model.state().graph))
    std::erase_if(made.notes, [](const std::string& note) { return note.starts_with(k_uncalibrated); });
  made.model = quantized->model;
  made.ranges = *std::move(ranges);
  return made;
}

}  // namespace octet
