#include <cstdio>
#include <memory>

#include "cli/command.h"
#include "cli/options.h"
#include "cli/terminal.h"
#include "octet/files.h"
#include "octet/tasks.h"

namespace octet::cli {
namespace {

struct Flags {
  std::string model;
  std::vector<std::string> inputs;
  RunSpec spec;
  DataFlags data;
  SessionFlags session;
  OutputFlags output;
};

int run_model(Flags& f) {
  for (const std::string& text : f.inputs) {
    const size_t colon = text.rfind(':');
    if (colon == std::string::npos || colon == 0)
      return fail({ErrorCode::bad_argument, "--loadInputs " + text + ": expected NAME:FILE (.npy, or raw bytes)"});
    f.spec.inputs[text.substr(0, colon)] = text.substr(colon + 1);
  }
  f.spec.data = f.data.data;
  const Result<SessionSpec> spec = f.session.spec(f.data.data.preprocess, f.output);
  if (!spec) return fail(spec.error());
  Result<Session> session = open_for_files(f.model, *spec, f.session.load_options(), f.spec);
  if (!session) return fail(session.error());
  f.output.print_notes(*session);
  std::vector<std::string> read = {f.model, f.spec.data.path};
  for (const auto& [input, file] : f.spec.inputs) read.push_back(file);
  if (f.spec.output.ends_with(".npy"))
    if (const Result<Done> ok = check_output(f.spec.output, read); !ok) return fail(ok.error());
  f.spec.progress = progress_bar("running", f.output);
  const Result<RunReport> report = run_files(*session, f.spec);
  if (!report) return fail(report.error());
  if (!report->note.empty()) f.output.print_notes({report->note});
  std::printf("%s\n", (f.output.json ? to_json(*report) : printable(to_text(*report))).c_str());
  return 0;
}

Action add(CLI::App& sub) {
  auto f = std::make_shared<Flags>();
  sub.add_option("MODEL", f->model, "ONNX file or plan")->required();
  f->data.add(sub, false);
  sub.add_option("--loadInputs", f->inputs,
                 "NAME:FILE, one per input; .npy, whose shape free extents take, or raw bytes as trtexec takes them")
      ->delimiter(',');
  sub.add_option("-o,--output", f->spec.output, "where the outputs go: a .npy file, or a folder")->check(file_name());
  f->session.add(sub, "fp32");
  f->output.add(sub);
  return [f] { return run_model(*f); };
}

}  // namespace

extern const Command run_command;
const Command run_command = {"run", "outputs of a network for given inputs",
                             "octet run m.onnx --data images/ --preprocess imagenet -o logits.npy", add};

}  // namespace octet::cli
