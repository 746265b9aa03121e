#include <cstdio>
#include <memory>

#include "cli/command.h"
#include "cli/options.h"
#include "cli/terminal.h"
#include "octet/files.h"
#include "octet/repairs.h"

namespace octet::cli {
namespace {

struct Flags {
  std::string model, output_file = "ranges.json", preprocess = "none", method = "entropy";
  DataOptions data;
  double percentile = 99.99;
  int threads = 1;
  int64_t batch = 0, auto_samples = 128;
  std::string target = "octet";
  bool per_channel = false, ref_compat = false;
  std::vector<std::string> shapes, skip_passes;
  OutputFlags output;
};

int calibrate_model(const Flags& f) {
  const Result<Model> model = load(f.model, f.skip_passes);
  if (!model) return fail(model.error());
  Result<std::map<std::string, Dims>> shapes = parse_shapes(f.shapes);
  if (!shapes) return fail(shapes.error());
  if (const Result<Done> ok = check_output(f.output_file, {f.model, f.data.path}); !ok) return fail(ok.error());
  // Under mpirun one process speaks and writes for all.
  const bool speaks = process_rank() == 0;
  if (speaks) f.output.print_notes(lossy_repairs(*model));
  CalibrateSpec spec{.data = f.data,
                     .method = f.method,
                     .percentile = f.percentile,
                     .threads = f.threads,
                     .batch = f.batch > 0 ? f.batch : 8,
                     .batch_if_free = f.batch == 0,
                     .progress = progress_bar("calibrating", f.output),
                     .auto_progress = progress_bar("auto: trials", f.output)};
  if (!f.output.quiet) spec.note = [](const std::string& line) { show(stderr, line + "\n"); };
  spec.target = f.target;
  spec.auto_samples = f.auto_samples;
  spec.shapes = *std::move(shapes);
  spec.per_channel = f.per_channel;
  spec.ref_compat = f.ref_compat;
  const Result<Ranges> ranges = calibrate(*model, spec);
  if (!ranges) return speaks ? fail(ranges.error()) : 1;
  if (!speaks) return 0;
  if (const Result<Done> saved = ranges->save(f.output_file); !saved) return fail(saved.error());
  if (!f.output.quiet)
    for (const std::string& note : ranges->notes) show(stderr, note + "\n");
  if (f.output.json) {
    std::printf("%s\n", ranges->json().c_str());
  } else {
    if (!f.output.quiet) show(stdout, ranges->text());
    std::printf("calibrated %lld samples, ranges of all methods in %s, method %s%s\n",
                static_cast<long long>(ranges->samples()), f.output_file.c_str(), f.method.c_str(),
                ranges->uncalibrated() ? ", UNCALIBRATED" : "");
  }
  return 0;
}

Action add(CLI::App& sub) {
  auto f = std::make_shared<Flags>();
  sub.add_option("MODEL", f->model, "float ONNX file")->required();
  sub.add_option("--calib-data", f->data.path, "sample images: folder, CIFAR-10 .bin, .npy, shapes-train:N, ...")
      ->required();
  sub.add_option("--preprocess", f->data.preprocess, "as for 'eval'")->capture_default_str();
  f->data.limit = 512;
  sub.add_option("--limit,--calib-limit", f->data.limit, "samples used (0 = all)")
      ->capture_default_str()
      ->check(at_least(0));
  sub.add_option("--shuffle", f->data.shuffle_seed, "a random subset with this seed")->check(at_least(0));
  sub.add_option(
         "--method", f->method,
         "the method 'quantize' uses by default: max, entropy, percentile, mse, or auto: chosen for each tensor by "
         "the error of the outputs on held-out samples")
      ->capture_default_str()
      ->check(CLI::IsMember({"max", "entropy", "percentile", "mse", "auto"}));
  sub.add_option("--percentile", f->percentile, "for percentile")->capture_default_str()->check(within_range(0, 100));
  sub.add_option("--threads", f->threads, "threads, 0 = all usable")->capture_default_str()->check(thread_count());
  sub.add_option("--batch", f->batch, "images per run (does not change the result; default: 8)")
      ->check(whole_within(1, 1 << 20));
  sub.add_option("--target", f->target, "what auto chooses for: octet, or tensorrt (s8 symmetric activations only)")
      ->capture_default_str()
      ->check(CLI::IsMember({"octet", "tensorrt"}));
  sub.add_option("--auto-samples", f->auto_samples, "samples held out for auto, at most a quarter of all")
      ->capture_default_str()
      ->check(at_least(4));
  sub.add_flag("--per-channel", f->per_channel, "the ends of each channel too, for 'quantize --per-channel'");
  sub.add_flag("--ref-compat", f->ref_compat,
               "the pytorch-quantization toolkit's histograms and searches, defects included");
  sub.add_option("--shapes", f->shapes, "input shapes, e.g. input:1x3x224x224");
  sub.add_option("--skip-pass", f->skip_passes, "leave a pass out");
  sub.add_option("-o,--output", f->output_file, "ranges file to write")->capture_default_str()->check(file_name());
  f->output.add(sub);
  return [f] { return calibrate_model(*f); };
}

}  // namespace

extern const Command calibrate_command;
const Command calibrate_command = {"calibrate", "ranges of all activations from sample data, all methods in one pass",
                                   "octet calibrate m.onnx --calib-data train/ --preprocess imagenet -o ranges.json",
                                   add};

}  // namespace octet::cli
