#include <cstdio>
#include <memory>

#include "cli/command.h"
#include "cli/options.h"
#include "cli/terminal.h"
#include "octet/files.h"
#include "octet/free_batch.h"
#include "octet/ranges.h"
#include "octet/repairs.h"
#include "octet/tasks.h"

namespace octet::cli {
namespace {

struct Flags {
  std::string model, output_file;
  int64_t opset = 0;
  std::vector<std::string> skip_passes, skip_repairs;
  bool list = false, recalibrate = false, free_batch = false;
  CalibrationFlags calibration;
  std::string preprocess = "none";
  int threads = 1;
  OutputFlags output;
};

int list_repairs() {
  for (const auto& [name, mends] : repair_names()) std::printf("%-22s %s\n", name.c_str(), mends.c_str());
  return 0;
}

/// The float network behind the file, calibrated and quantized again.
Result<Model> recalibrated(const Model& model, const Flags& f) {
  if (f.calibration.data.path.empty())
    return Error{ErrorCode::bad_argument, "--recalibrate needs sample images: give --calib-data PATH"};
  const Result<Model> real = model.float_form();
  if (!real) return real.error();
  CalibrateSpec spec;
  spec.data = f.calibration.data;
  spec.method = f.calibration.method;
  spec.percentile = f.calibration.percentile;
  spec.threads = f.threads;
  spec.progress = progress_bar("calibrating", f.output);
  spec.target = f.calibration.target;
  spec.data.preprocess = f.preprocess;
  const Result<Ranges> ranges = calibrate(*real, spec);
  if (!ranges) return ranges.error();
  QuantizeSpec quantization;
  quantization.target = f.calibration.target;
  quantization.keep_float = {f.calibration.keep_float.begin(), f.calibration.keep_float.end()};
  Result<Quantized> quantized = quantize(*real, *ranges, quantization);
  if (!quantized) return quantized.error();
  f.output.print_notes(quantized->notes);
  return quantized->model;
}

int repair_model(const Flags& f) {
  const bool tensorrt = f.calibration.target == "tensorrt";
  LoadOptions options;
  options.skip_passes = {f.skip_passes.begin(), f.skip_passes.end()};
  options.skip_repairs = {f.skip_repairs.begin(), f.skip_repairs.end()};
  options.recalibrate = f.recalibrate;
  options.float_biases = tensorrt && !f.recalibrate;
  Result<Model> model = Model::load(f.model, options);
  if (!model) return fail(model.error());
  if (const Result<Done> ok = check_output(f.output_file, {f.model, f.calibration.data.path}); !ok)
    return fail(ok.error());
  if (f.free_batch) {
    model = with_free_batch(*model);
    if (!model) return fail(model.error());
  }
  if (f.recalibrate) {
    model = recalibrated(*model, f);
  } else if (!tensorrt) {
    model = mended_for_writing(*model, options.skip_repairs);
  }
  if (!model) return fail(model.error());
  if (!f.output_file.empty())
    if (const Result<Done> saved = model->save(f.output_file, f.opset); !saved) return fail(saved.error());
  if (f.output.json)
    std::printf("%s\n", repairs_json(*model, f.output_file).c_str());
  else
    show(stdout, repairs_text(*model, f.output_file, f.output.verbose));
  return tensorrt ? report_findings(*model, f.output) : 0;
}

Action add(CLI::App& sub) {
  auto f = std::make_shared<Flags>();
  sub.add_option("MODEL", f->model, "quantized ONNX file");
  sub.add_option("-o,--output", f->output_file, "ONNX file to write; without it only the report")->check(file_name());
  sub.add_option("--opset", f->opset, "opset of the written file (default: the lowest that expresses it, at least 13)")
      ->check(at_least(13));
  sub.add_option("--skip-repair", f->skip_repairs, "leave a repair out (names: --list)");
  sub.add_option("--skip-pass", f->skip_passes, "leave a pass out");
  sub.add_flag("--list", f->list, "the repairs in running order, what each mends, and when it runs if not always");
  sub.add_flag(
      "--free-batch", f->free_batch,
      "a batch that the file fixes at 1 becomes free; where the graph does not allow it, the first such node is "
      "named and nothing is written");
  sub.add_flag("--recalibrate", f->recalibrate, "new activation ranges from --calib-data; weights stay");
  f->calibration.data.limit = 512;
  f->calibration.add(sub);
  sub.add_option("--preprocess", f->preprocess, "for --calib-data, as for 'eval'")->capture_default_str();
  sub.add_option("--threads", f->threads, "threads for calibration, 0 = all usable")
      ->capture_default_str()
      ->check(thread_count());
  f->output.add(sub);
  return [f] {
    if (f->list) return list_repairs();
    if (f->model.empty()) return fail({ErrorCode::bad_argument, "repair: MODEL is missing"}), 2;
    return repair_model(*f);
  };
}

}  // namespace

extern const Command repair_command;
const Command repair_command = {"repair", "mends a foreign quantized export and says what it changed",
                                "octet repair eager_int8.onnx -o mended.onnx", add};

}  // namespace octet::cli
