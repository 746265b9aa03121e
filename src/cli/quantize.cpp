#include <cstdio>
#include <memory>

#include "cli/command.h"
#include "cli/options.h"
#include "cli/terminal.h"
#include "octet/files.h"
#include "octet/repairs.h"
#include "octet/tasks.h"

namespace octet::cli {
namespace {

struct Flags {
  std::string model, output_file, preprocess = "none", method;
  int64_t opset = 0;
  int threads = 1;
  bool per_channel = false;
  std::vector<std::string> shapes, skip_passes;
  CalibrationFlags calibration;
  OutputFlags output;
};

Result<Ranges> ranges_for(const Model& model, const Flags& f) {
  if (!f.calibration.ranges.empty()) return Ranges::load(f.calibration.ranges, model, f.calibration.force);
  if (f.calibration.data.path.empty())
    return Error{ErrorCode::bad_argument,
                 "quantize needs ranges: give --ranges FILE (from 'octet calibrate') or --calib-data PATH"};
  Result<std::map<std::string, Dims>> shapes = parse_shapes(f.shapes);
  if (!shapes) return shapes.error();
  CalibrateSpec spec{.data = f.calibration.data,
                     .method = f.calibration.method,
                     .percentile = f.calibration.percentile,
                     .threads = f.threads,
                     .batch = 8,
                     .progress = progress_bar("calibrating", f.output),
                     .auto_progress = progress_bar("auto: trials", f.output),
                     .target = f.calibration.target};
  spec.shapes = *std::move(shapes);
  spec.per_channel = f.per_channel;
  spec.data.preprocess = f.preprocess;
  return calibrate(model, spec);
}

int quantize_model(const Flags& f, bool method_given) {
  const bool tensorrt = f.calibration.target == "tensorrt";
  const Result<Model> model = load(f.model, f.skip_passes);
  if (!model) return fail(model.error());
  if (const Result<Done> ok = check_output(f.output_file, {f.model, f.calibration.ranges, f.calibration.data.path});
      !ok)
    return fail(ok.error());
  f.output.print_notes(lossy_repairs(*model));
  const Result<Ranges> ranges = ranges_for(*model, f);
  if (!ranges) return fail(ranges.error());
  QuantizeSpec spec{.method = method_given ? f.calibration.method : "",
                    .target = f.calibration.target,
                    .keep_float = {f.calibration.keep_float.begin(), f.calibration.keep_float.end()},
                    .force = f.calibration.force,
                    .per_channel = f.per_channel};
  const Result<Quantized> quantized = quantize(*model, *ranges, spec);
  if (!quantized) return fail(quantized.error());
  if (const Result<Done> saved = quantized->model.save(f.output_file, f.opset); !saved) return fail(saved.error());
  f.output.print_notes(ranges->notes);
  f.output.print_notes(quantized->notes);
  if (f.output.json) {
    std::printf("%s\n", to_json(*quantized, f.output_file).c_str());
    return tensorrt ? report_findings(quantized->model, f.output) : 0;
  }
  if (f.output.verbose) show(stdout, rows_text(*quantized));
  std::printf("quantized %lld of %lld ops, wrote %s\n", static_cast<long long>(quantized->quantized),
              static_cast<long long>(quantized->total), f.output_file.c_str());
  return tensorrt ? report_findings(quantized->model, f.output) : 0;
}

Action add(CLI::App& sub) {
  auto f = std::make_shared<Flags>();
  sub.add_option("MODEL", f->model, "float ONNX file")->required();
  f->calibration.data.limit = 512;
  f->calibration.add(sub);
  sub.add_option("--preprocess", f->preprocess, "for --calib-data, as for 'eval'")->capture_default_str();
  sub.add_flag(
      "--per-channel", f->per_channel,
      "one scale a channel for inputs of convolutions, which then run in float (fake quantization); ranges from "
      "'calibrate --per-channel'");
  sub.add_option("--opset", f->opset, "opset of the written file (default: the lowest that expresses it, at least 13)")
      ->check(at_least(13));
  sub.add_option("--threads", f->threads, "threads for calibration, 0 = all usable")
      ->capture_default_str()
      ->check(thread_count());
  sub.add_option("--shapes", f->shapes, "input shapes for calibration, e.g. input:1x3x224x224");
  sub.add_option("--skip-pass", f->skip_passes, "leave a pass out");
  sub.add_option("-o,--output", f->output_file, "Q/DQ ONNX file to write")->required()->check(file_name());
  f->output.add(sub);
  const CLI::Option* method = sub.get_option("--method");
  return [f, method] { return quantize_model(*f, method->count() > 0); };
}

}  // namespace

extern const Command quantize_command;
const Command quantize_command = {"quantize", "writes the Q/DQ ONNX form of a float network",
                                  "octet quantize m.onnx --ranges ranges.json -o m_int8.onnx", add};

}  // namespace octet::cli
