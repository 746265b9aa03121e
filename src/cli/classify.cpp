#include <cstdio>
#include <memory>

#include "cli/command.h"
#include "cli/options.h"
#include "cli/terminal.h"
#include "octet/tasks.h"

namespace octet::cli {
namespace {

struct Flags {
  std::string model, image;
  ClassifySpec spec;
  DataFlags data;
  SessionFlags session;
  OutputFlags output;
};

int classify_images(Flags& f) {
  if (!f.image.empty()) f.data.data.path = f.image;
  if (f.data.data.path.empty())
    return fail({ErrorCode::bad_argument, "classify: give an image (octet classify m.onnx cat.jpg) or --data PATH"});
  const Result<SessionSpec> spec = f.session.spec(f.data.data.preprocess, f.output);
  if (!spec) return fail(spec.error());
  Result<Session> session = f.session.open(f.model, *spec);
  if (!session) return fail(session.error());
  f.output.print_notes(*session);
  f.spec.data = f.data.data;
  if (f.image.empty()) f.spec.progress = progress_bar("classifying", f.output);
  const Result<ClassifyReport> report = classify(*session, f.spec);
  if (!report) return fail(report.error());
  if (!report->note.empty()) f.output.print_notes({report->note});
  std::fputs((f.output.json ? to_json(*report) + "\n" : printable(to_text(*report))).c_str(), stdout);
  return 0;
}

Action add(CLI::App& sub) {
  auto f = std::make_shared<Flags>();
  sub.add_option("MODEL", f->model, "ONNX file or plan")->required();
  sub.add_option("IMAGE", f->image, "an image or a folder (short for --data)");
  f->data.add(sub, false);
  sub.add_option("--classes", f->spec.classes_file, "file with one class name per line");
  sub.add_option("--iterations", f->spec.iterations, "also measure the average latency over N runs")
      ->check(at_least(0));
  sub.add_option("--warm-up", f->spec.warmup, "runs before the measured ones")
      ->capture_default_str()
      ->check(at_least(0));
  f->session.add(sub, "fp32");
  f->output.add(sub);
  return [f] { return classify_images(*f); };
}

}  // namespace

extern const Command classify_command;
const Command classify_command = {
    "classify", "readable classes of images, classes above 10 %",
    "octet classify m.onnx cat.jpg --preprocess imagenet --classes imagenet_classes.txt --iterations 1000 --warm-up 5",
    add};

}  // namespace octet::cli
