#include <cstdio>
#include <memory>

#include "cli/command.h"
#include "cli/options.h"
#include "cli/terminal.h"
#include "octet/compare.h"
#include "octet/measure.h"

namespace octet::cli {
namespace {

struct Flags {
  std::string model, engine;
  DataFlags data;
  std::string device = "cpu";
  int threads = 1;
  OutputFlags output;
};

/// A plan as it is; a Q/DQ file becomes one in memory.
Result<EngineFile> engine_of(const std::string& path) {
  if (EngineFile::is_engine_file(path)) return EngineFile::load(path);
  const Result<Model> model = Model::load(path);
  if (!model) return model.error();
  return build_engine(*model, {});
}

int compare_models(const Flags& f) {
  if (EngineFile::is_engine_file(f.model))
    return fail({ErrorCode::bad_argument, f.model + " is a plan; the order is MODEL PLAN"});
  const Result<Model> model = load(f.model, {});
  if (!model) return fail(model.error());
  const Result<EngineFile> engine = engine_of(f.engine);
  if (!engine) return fail(engine.error());
  f.output.print_notes(engine->notes());
  const CompareSpec spec{
      .data = f.data.data, .device = f.device, .threads = f.threads, .progress = progress_bar("comparing", f.output)};
  const Result<LayerErrorReport> report = compare_layers(*model, *engine, spec);
  if (!report) return fail(report.error());
  if (!report->note.empty()) f.output.print_notes({report->note});
  std::printf("%s\n", (f.output.json ? to_json(*report) : printable(to_text(*report))).c_str());
  return 0;
}

Action add(CLI::App& sub) {
  auto f = std::make_shared<Flags>();
  sub.add_option("MODEL", f->model, "the float network, ONNX")->required();
  sub.add_option("PLAN", f->engine, "its quantized form: a plan, or ONNX with Q/DQ")->required();
  f->data.data.limit = 8;
  f->data.add(sub, true);
  sub.add_option("--device", f->device, device_names())->capture_default_str()->check(device_name());
  sub.add_option("--threads", f->threads, "threads, 0 = all usable")->capture_default_str()->check(thread_count());
  f->output.add(sub);
  return [f] { return compare_models(*f); };
}

}  // namespace

extern const Command compare_command;
const Command compare_command = {"compare", "error of each layer of a quantized network against the float one",
                                 "octet compare m.onnx m.plan --data images/ --preprocess imagenet", add};

}  // namespace octet::cli
