#include <cstdio>
#include <memory>
#include <optional>

#include "cli/command.h"
#include "cli/options.h"
#include "cli/terminal.h"
#include "octet/engine_file.h"
#include "octet/tasks.h"

namespace octet::cli {
namespace {

struct Flags {
  std::vector<std::string> models;
  DataFlags data;
  SessionFlags session;
  OutputFlags output;
  std::string precision2;
};

int evaluate_models(const Flags& f) {
  std::vector<std::string> models = f.models;
  // `eval m.onnx --precision2 int8`: the same file twice, float first.
  if (models.size() == 1 && !f.precision2.empty()) models.push_back(models[0]);
  std::vector<Session> sessions;
  for (size_t i = 0; i < models.size(); ++i) {
    Result<SessionSpec> spec = f.session.spec(f.data.data.preprocess, f.output);
    if (!spec) return fail(spec.error());
    if (spec->batch == 0 && !EngineFile::is_engine_file(models[i])) spec->batch = 8, spec->batch_if_free = true;
    if (i == 1 && !f.precision2.empty()) spec->precision = f.precision2;
    Result<Session> session = f.session.open(models[i], *spec);
    if (!session) return fail(session.error());
    f.output.print_notes(*session);
    sessions.push_back(std::move(*session));
  }
  const EvaluateSpec spec{.data = f.data.data, .progress = progress_bar("evaluating", f.output)};
  Session* second = sessions.size() > 1 ? &sessions[1] : nullptr;
  const Result<EvaluationReport> report = evaluate(sessions[0], models[0], second, second ? models[1] : "", spec);
  if (!report) return fail(report.error());
  if (!f.output.json) {
    show(stdout, tensors_text(report->first));
    if (report->second) show(stdout, tensors_text(*report->second));
  }
  std::printf("%s\n", (f.output.json ? to_json(*report) : printable(to_text(*report))).c_str());
  if (!f.output.json && report->first.labelled)
    std::printf("Evaluation Accuracy: %.4f\n", second ? report->second->top1() : report->first.top1());
  return 0;
}

Action add(CLI::App& sub) {
  auto f = std::make_shared<Flags>();
  sub.add_option("MODEL", f->models, "one or two ONNX files or plans; two are compared image by image")
      ->required()
      ->expected(1, 2)
      ->type_name("[MODEL2]");
  f->data.add(sub, true);
  f->session.add(sub, "fp32");
  sub.add_option("--precision2", f->precision2,
                 "precision of the second model; with one file: compare it with itself in this precision")
      ->check(CLI::IsMember({"fp32", "tf32", "fp16", "bf16", "int8", "best"}));
  f->output.add(sub);
  return [f] { return evaluate_models(*f); };
}

}  // namespace

extern const Command eval_command;
const Command eval_command = {
    "eval", "accuracy of one or two models on labelled data",
    "octet eval m.onnx --data test_batch.bin --preprocess cifar10 --precision2 int8 --calib-data train/", add};

}  // namespace octet::cli
