#include "cli/trtexec/echo.h"

#include <cstdio>

#include "octet/tasks.h"

namespace octet::cli::trtexec {
namespace {

const char* enabled(bool on) { return on ? "Enabled" : "Disabled"; }

std::string number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%g", value);
  return text;
}

std::string shapes_lines(const std::string& title, const Shapes& shapes) {
  std::string text;
  for (const auto& [name, dims] : shapes) text += title + ": " + name + "=" + dims_text(dims) + "\n";
  return text;
}

std::string model_block(const BuildFlags& b) {
  return "=== Model Options ===\nFormat: " + std::string(b.onnx.empty() ? "*" : "ONNX") + "\nModel: " + b.onnx +
         "\nOutput:\n";
}

std::string formats_lines(const std::string& direction, const std::vector<std::string>& formats) {
  if (formats.empty()) return direction + "(s)s format: fp32:CHW\n";
  std::string text;
  for (const std::string& format : formats) text += direction + "(s): " + format + "\n";
  return text;
}

std::string build_block(const BuildFlags& b) {
  if (!b.load_engine.empty()) return "\n";
  const std::string pool = b.workspace_bytes > 0 ? number(static_cast<double>(b.workspace_bytes) / 1048576) + " MiB"
                                                 : std::string("default");
  std::string text = "=== Build Options ===\nMemory Pools: workspace: " + pool + "\nPrecision: " + precision_text(b) +
                     "\nCalibration: " + (b.int8 ? (b.calib.empty() ? "Dynamic" : b.calib) : "") +
                     "\nRefit: " + enabled(b.refit) +
                     "\nSparsity: Disabled\nSafe mode: Disabled\nBuild DLA standalone loadable: Disabled\n"
                     "Skip inference: " +
                     enabled(b.skip_inference) + "\nSave engine: " + b.save_engine + "\nLoad engine: " + b.load_engine +
                     "\nProfiling verbosity: " +
                     std::to_string(b.verbosity == LayerVerbosity::detailed ? 2
                                    : b.verbosity == LayerVerbosity::none   ? 1
                                                                            : 0) +
                     "\ntimingCacheFile: " + b.timing_cache +
                     "\nBuilderOptimizationLevel: " + std::to_string(b.optimization_level) + "\n";
  text += formats_lines("Input", b.input_formats) + formats_lines("Output", b.output_formats);
  for (size_t p = 0; p < b.profiles.size(); ++p) {
    const std::string title = "Input build shape (profile " + std::to_string(p) + ") ";
    text += shapes_lines(title + "min", b.profiles[p].smallest) + shapes_lines(title + "opt", b.profiles[p].best) +
            shapes_lines(title + "max", b.profiles[p].largest);
  }
  return text;
}

std::string inference_block(const InferenceFlags& i) {
  const MeasureSpec& m = i.measure;
  std::string text = "=== Inference Options ===\nBatch: Explicit\n" + shapes_lines("Input inference shape", i.shapes) +
                     "Iterations: " + std::to_string(m.iterations) + "\nDuration: " + number(m.duration_s) + "s (+ " +
                     number(m.warmup_ms) + "ms warm up)\nSleep time: " + number(m.sleep_ms) +
                     "ms\nIdle time: " + number(m.idle_ms) + "ms\nInference Streams: " + std::to_string(i.streams) +
                     "\nExposeDMA: " + enabled(!m.overlap) + "\nData transfers: " + enabled(m.transfers) +
                     "\nSpin-wait: " + enabled(i.gpu.wait == "spin") + "\nMultithreading: " + enabled(m.threads) +
                     "\nCUDA Graph: " + enabled(i.gpu.graph) + "\nSeparate profiling: " + enabled(i.separate_profile) +
                     "\nTime Deserialize: " + enabled(i.time_deserialize) + "\nTime Refit: " + enabled(i.time_refit) +
                     "\nInputs:\n";
  for (const RefPair& pair : i.pairs)
    for (const auto& [name, file] : pair.inputs) text += name + "<-" + file + "\n";
  if (!i.has_references()) return text;
  text += "RefOutputs:\n";
  for (const RefPair& pair : i.pairs)
    for (const auto& [name, file] : pair.outputs) text += name + "<-" + file + "\n";
  return text + "Accuracy Algorithm: " + i.algorithm + "\nAccuracy Threshold: " + number(i.threshold) + "\n";
}

std::string reporting_block(const ReportingFlags& r) {
  std::string percents;
  for (const float p : r.percents) percents += (percents.empty() ? "" : ",") + number(p);
  return "=== Reporting Options ===\nVerbose: " + std::string(enabled(r.verbose)) +
         "\nAverages: " + std::to_string(r.runs_per_average) + " inferences\nPercentiles: " + percents +
         "\nDump refittable layers:" + enabled(r.dump_refit) + "\nDump output: " + enabled(r.dump_output) +
         "\nProfile: " + enabled(r.dump_profile) + "\nExport timing to JSON file: " + r.export_times +
         "\nExport output to JSON file: " + r.export_output + "\nExport profile to JSON file: " + r.export_profile +
         "\n";
}

}  // namespace

std::string precision_text(const BuildFlags& build) {
  std::string text = build.no_tf32 ? "FP32 (no TF32)" : "FP32";
  if (build.fp16) text += "+FP16";
  if (build.bf16) text += "+BF16";
  if (build.int8) text += "+INT8";
  return text;
}

std::string echo_text(const Options& o) {
  return model_block(o.build) + "\n" + build_block(o.build) +
         "\n=== System Options ===\nDevice: " + (o.system.device.empty() ? "0" : o.system.device) +
         "\nDLACore:\nCPU threads: " + std::to_string(o.system.cpu_threads) + "\nPlugins:\n\n" +
         inference_block(o.inference) + "\n" + reporting_block(o.reporting);
}

}  // namespace octet::cli::trtexec
