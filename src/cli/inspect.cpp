#include <cstdio>
#include <memory>

#include "cli/command.h"
#include "cli/options.h"
#include "cli/terminal.h"
#include "octet/engine_file.h"
#include "octet/tasks.h"

namespace octet::cli {
namespace {

struct Flags {
  std::string model;
  bool text = false, full_text = false, passes = false;
  SessionFlags session;
  OutputFlags output;
};

int inspect_engine(const Flags& f) {
  const Result<EngineFile> file = EngineFile::load(f.model);
  if (!file) return fail(file.error());
  if (f.text || f.full_text) {
    show(stdout, file->text(!f.full_text));
    return 0;
  }
  OutputFlags quiet = f.output;
  quiet.quiet = true;
  const Result<SessionSpec> spec = f.session.spec("none", quiet);
  if (!spec) return fail(spec.error());
  const Result<Inspection> inspection = inspect(*file, *spec);
  if (!inspection) return fail(inspection.error());
  std::printf("%s\n", (f.output.json ? to_json(*inspection) : printable(to_text(*inspection))).c_str());
  return 0;
}

int inspect_model(const Flags& f) {
  if (f.passes) {
    for (const std::string& name : pass_names()) std::printf("%s\n", name.c_str());
    return 0;
  }
  if (EngineFile::is_engine_file(f.model)) return inspect_engine(f);
  LoadOptions options;
  options.skip_passes = {f.session.skip_passes.begin(), f.session.skip_passes.end()};
  options.repair = !f.session.no_repair;
  options.check_tensorrt = f.session.calibration.target == "tensorrt";
  options.calibration_given = !f.session.calibration.data.path.empty() || !f.session.calibration.ranges.empty();
  const Result<Model> model = Model::load(f.model, options);
  if (!model) return fail(model.error());
  if (f.text || f.full_text) {
    show(stdout, model->text(!f.full_text));
    return 0;
  }
  OutputFlags quiet = f.output;
  quiet.quiet = true;
  const Result<SessionSpec> spec = f.session.spec("none", quiet);
  if (!spec) return fail(spec.error());
  const Result<Inspection> inspection = inspect(*model, *spec);
  if (!inspection) return fail(inspection.error());
  std::printf("%s\n", (f.output.json ? to_json(*inspection) : printable(to_text(*inspection))).c_str());
  return 0;
}

Action add(CLI::App& sub) {
  auto f = std::make_shared<Flags>();
  sub.add_option("MODEL", f->model, "ONNX file or plan");
  sub.add_flag("--text", f->text, "the clean graph's text form, large constants as '...'");
  sub.add_flag("--full-text", f->full_text, "the text form with all constants; parses back to the same graph");
  sub.add_flag("--passes", f->passes, "the names of all passes in running order");
  f->session.add(sub, "fp32");
  f->output.add(sub);
  return [f] {
    if (f->model.empty() && !f->passes) return fail({ErrorCode::bad_argument, "inspect: MODEL is missing"}), 2;
    return inspect_model(*f);
  };
}

}  // namespace

extern const Command inspect_command;
const Command inspect_command = {"inspect", "what a file holds and where each layer runs",
                                 "octet inspect resnet18.onnx", add};

}  // namespace octet::cli
