#include <cstdio>
#include <memory>

#include "cli/command.h"
#include "cli/options.h"
#include "cli/terminal.h"
#include "octet/engine_file.h"
#include "octet/files.h"

namespace octet::cli {
namespace {

struct Flags {
  std::string model, output_file, preprocess = "none", cache, workspace;
  bool packed = true, refittable = false;
  double require_int8 = 0;
  SessionFlags session;
  OutputFlags output;
};

Result<BuildSpec> build_spec(const Flags& f) {
  BuildSpec spec;
  Result<SessionSpec> session = f.session.spec(f.preprocess, f.output);
  if (!session) return session.error();
  spec.session = *std::move(session);
  for (const std::string& text : f.session.shapes) {
    const Result<std::pair<std::string, ShapeRange>> range = parse_shape_range(text);
    if (!range) return range.error();
    if (range->second.smallest != range->second.largest) spec.profile.insert(*range);
  }
  spec.cache = f.cache;
  spec.packed = f.packed;
  spec.refittable = f.refittable;
  spec.require_int8 = f.require_int8;
  if (!f.workspace.empty()) {
    const Result<size_t> bytes = parse_bytes("--workspace", f.workspace);
    if (!bytes) return bytes.error();
    spec.workspace_bytes = *bytes;
  }
  return spec;
}

int build_model(const Flags& f) {
  const Result<BuildSpec> spec = build_spec(f);
  if (!spec) return fail(spec.error());
  if (EngineFile::is_engine_file(f.model))
    return fail({ErrorCode::bad_argument, f.model + " is a plan already: build from the ONNX file"});
  const Result<Model> model = load(f.model, f.session.skip_passes, f.session.no_repair);
  if (!model) return fail(model.error());
  if (const Result<Done> ok =
          check_output(f.output_file, {f.model, f.session.calibration.ranges, f.session.calibration.data.path});
      !ok)
    return fail(ok.error());
  if (const Result<Done> ok =
          check_apart({{"--output", f.output_file}, {"--cache", f.cache}, {"--timing-cache", f.session.timing_cache}});
      !ok)
    return fail(ok.error());
  const Result<EngineFile> engine = build_engine(*model, *spec);
  if (!engine) return fail(engine.error());
  f.output.print_notes(engine->notes());
  if (f.output.verbose && !f.output.quiet) show(stderr, engine->tuning_log());
  if (const Result<Done> saved = engine->save(f.output_file); !saved) return fail(saved.error());
  if (f.output.json) {
    std::printf("%s\n", to_json(*engine, f.output_file).c_str());
    return 0;
  }
  if (f.output.quiet) return 0;
  std::printf("wrote %s: %s, %.2f MiB, ranges in %.2f s, built in %.2f s\n", f.output_file.c_str(),
              engine->precision().c_str(), static_cast<double>(engine->size_bytes()) / 1048576.0,
              engine->times().calibrate_s, engine->times().build_s);
  std::printf("plan: %s; hash %s\n", engine->layer_counts().c_str(), engine->hash().c_str());
  return 0;
}

Action add(CLI::App& sub) {
  auto f = std::make_shared<Flags>();
  sub.add_option("MODEL", f->model, "ONNX file, float or with Q/DQ")->required();
  sub.add_option("-o,--output", f->output_file, "plan file to write")->required()->check(file_name());
  f->session.add(sub, "fp32");
  sub.add_option("--preprocess", f->preprocess, "for --calib-data, as for 'eval'; stored in the plan")
      ->capture_default_str();
  sub.add_option("--cache", f->cache,
                 "calibration cache: used when it fits model and data, refused when stale, written when missing");
  sub.add_option("--workspace", f->workspace, "most memory a context may need for activations and scratch, e.g. 1GiB")
      ->check(memory_size());
  sub.add_flag("--packed,!--no-packed", f->packed,
               "add the weights as this machine packs them (the default): loaded without packing, ignored elsewhere; "
               "--no-packed gives half the size and the same bytes on every machine");
  sub.add_flag("--refit", f->refittable,
               "the plan may have its weights replaced later (octet trtexec --refitFromOnnx); others refuse it");
  sub.add_option("--require-int8", f->require_int8,
                 "fail when less than this percentage of the multiply-accumulates is in INT8")
      ->check(within_range(0, 100));
  f->output.add(sub);
  return [f] { return build_model(*f); };
}

}  // namespace

extern const Command build_command;
const Command build_command = {
    "build", "plan file: a network built once, loaded in milliseconds",
    "octet build m.onnx --precision int8 --calib-data train/ --preprocess imagenet --cache ranges.json -o m.plan", add};

}  // namespace octet::cli
