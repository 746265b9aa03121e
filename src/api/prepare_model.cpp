#include <chrono>

#include "api/best_precision.h"
#include "api/state.h"
#include "backends/open.h"

namespace octet {
namespace {

Result<Ranges> ranges_for(const Model& model, const SessionSpec& spec) {
  if (!spec.ranges.empty()) return Ranges::load(spec.ranges, model, spec.quantization.force);
  if (!spec.calibration.data.path.empty()) return calibrate(model, spec.calibration);
  return Error{ErrorCode::bad_argument,
               "--precision " + spec.precision + " on the float model " + model.path() +
                   " needs ranges: give --calib-data PATH (sample images) or --ranges FILE (from 'octet calibrate')"};
}

/// The mix of precisions that is fastest by measurement. timing_cache: file of known times, updated; empty = none.
Result<Graph> best_graph(const Model& model, const Binding& binding, const std::set<std::string>& skip,
                         const std::string& timing_cache, Backend& backend, PreparedModel& prepared) {
  Graph floating = model.state().graph;
  remove_quantization(floating);
  Result<TimingCache> cache = timing_cache.empty() ? TimingCache() : TimingCache::load(timing_cache);
  if (!cache) return cache.error();
  Result<BestPrecision> best =
      choose_best_precision(prepared.model.state().graph, floating, binding, skip, backend, *cache);
  if (!best) return best.error();
  if (!timing_cache.empty() && best->measured > 0) {
    if (Result<Done> saved = cache->save(timing_cache); !saved) return saved.error();
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

Result<Graph> graph_to_run(const Model& model, PreparedModel& prepared, const SessionSpec& spec, const Binding& binding,
                           const std::set<std::string>& skip, Backend& backend) {
  if (spec.precision == "best") return best_graph(model, binding, skip, spec.timing_cache, backend, prepared);
  return lower(prepared.model.state().graph, binding, skip);
}

Result<std::shared_ptr<Backend>> backend_for(const SessionSpec& spec, const std::string& precision) {
  BackendOptions options{.threads = spec.threads};
  if (precision == "fp16") options.device.floats = DType::f16;
  return open_backend(spec.device, options);
}

Result<PreparedModel> prepare_model(const Model& model, const SessionSpec& spec) {
  PreparedModel made{model, "fp32", {}, {}, 0, nullptr, {}, {}};
  if (model.is_quantized()) {
    made.precision = "int8";
    if (spec.precision != "int8" && spec.precision != "best")
      made.notes.push_back(model.path() + " holds Q/DQ nodes: it runs in INT8 where they ask for it");
    return made;
  }
  if (spec.precision == "fp32") return made;
  if (spec.precision == "fp16" && spec.device == "cuda") {
    made.precision = "fp16";
    return made;
  }
  if ((spec.precision == "bf16" || spec.precision == "fp16") && spec.device == "cpu") {
    made.notes.push_back("--precision " + spec.precision +
                         " runs as FP32: this build has no BF16 or FP16 kernels for a CPU");
    return made;
  }
  if (spec.precision != "int8" && spec.precision != "best")
    return Error{ErrorCode::bad_argument,
                 "--precision " + spec.precision + ": --device " + spec.device + " has fp32 and int8"};
  made.precision = "int8";
  if (const Result<Done> ok = check_quantize_spec(model, spec.quantization); !ok) return ok.error();
  const auto start = std::chrono::steady_clock::now();
  Result<Ranges> ranges = ranges_for(model, spec);
  if (!ranges) return ranges.error();
  Result<Quantized> quantized = quantize(model, *ranges, spec.quantization);
  if (!quantized) return quantized.error();
  made.calibrate_s = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  for (const auto* notes : {&ranges->notes, &quantized->notes})
    made.notes.insert(made.notes.end(), notes->begin(), notes->end());
  made.model = quantized->model;
  made.ranges = *std::move(ranges);
  return made;
}

}  // namespace octet
