#include <cstdio>
#include <memory>
#include <optional>

#include "cli/command.h"
#include "cli/options.h"
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

void print_ports(const Model& model, const Session& session) {
  const auto list = [](const char* title, const std::vector<TensorInfo>& infos, const std::vector<Port>& ports) {
    std::printf("%s\n", title);
    for (size_t i = 0; i < infos.size(); ++i)
      std::printf("Tensor Name: %s Shape: %s Data Type: %s Data Format: %s\n", infos[i].name.c_str(),
                  to_string(ports[i].dims).c_str(), infos[i].dtype.c_str(), infos[i].format.c_str());
  };
  list("Input Tensor:", model.inputs(), session.inputs());
  list("Output Tensor:", model.outputs(), session.outputs());
}

int evaluate_models(const Flags& f) {
  std::vector<Model> models;
  for (const std::string& path : f.models) {
    Result<Model> model = load(path, f.session.skip_passes, f.session.no_repair);
    if (!model) return fail(model.error());
    models.push_back(std::move(*model));
  }
  // `eval m.onnx --precision2 int8`: the same file twice, float first.
  if (models.size() == 1 && !f.precision2.empty()) models.push_back(models[0]);
  std::vector<Session> sessions;
  for (size_t i = 0; i < models.size(); ++i) {
    Result<SessionSpec> spec = f.session.spec(f.data.data.preprocess, f.output);
    if (!spec) return fail(spec.error());
    if (spec->batch == 0) spec->batch = 8;
    if (i == 1 && !f.precision2.empty()) spec->precision = f.precision2;
    Result<Session> session = Session::build(models[i], *spec);
    if (!session) return fail(session.error());
    f.output.print_notes(*session);
    if (!f.output.json) print_ports(models[i], *session);
    sessions.push_back(std::move(*session));
  }
  const EvaluateSpec spec{.data = f.data.data, .progress = progress_bar("evaluating", f.output)};
  Session* second = sessions.size() > 1 ? &sessions[1] : nullptr;
  const Result<EvaluationReport> report =
      evaluate(sessions[0], models[0].path(), second, second ? models[1].path() : "", spec);
  if (!report) return fail(report.error());
  std::printf("%s\n", (f.output.json ? to_json(*report) : to_text(*report)).c_str());
  if (!f.output.json && report->first.labelled)
    std::printf("Evaluation Accuracy: %.4f\n", second ? report->second->top1() : report->first.top1());
  return 0;
}

Action add(CLI::App& sub) {
  auto f = std::make_shared<Flags>();
  sub.add_option("MODEL", f->models, "one or two ONNX files; two are compared image by image")
      ->required()
      ->expected(1, 2)
      ->type_name("[MODEL2]");
  f->data.add(sub, true);
  f->session.add(sub, "fp32");
  sub.add_option("--precision2", f->precision2,
                 "precision of the second model; with one file: compare it with itself in this precision")
      ->check(CLI::IsMember({"fp32", "int8", "best"}));
  f->output.add(sub);
  return [f] { return evaluate_models(*f); };
}

}  // namespace

extern const Command eval_command;
const Command eval_command = {
    "eval", "accuracy of one or two models on labelled data",
    "octet eval m.onnx --data test_batch.bin --preprocess cifar10 --precision2 int8 --calib-data train/", add};

}  // namespace octet::cli
