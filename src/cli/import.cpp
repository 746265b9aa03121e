#include <cstdio>
#include <memory>

#include "cli/command.h"
#include "cli/options.h"
#include "cli/terminal.h"
#include "octet/checkpoint.h"

namespace octet::cli {
namespace {

struct Flags {
  ImportSpec spec;
  OutputFlags output;
};

int import_model(const Flags& f) {
  if (const Result<Done> ok = check_import(f.spec); !ok) {
    fail(ok.error());
    return k_bad_usage;
  }
  const Result<ImportReport> report = f.spec.onto.empty() ? import_checkpoint(f.spec) : import_ranges(f.spec);
  if (!report) return fail(report.error());
  f.output.print_notes(report->notes);
  if (f.output.json) {
    std::printf("%s\n", to_json(*report, f.spec).c_str());
  } else {
    show(stdout, to_text(*report, f.spec));
  }
  return 0;
}

Action add(CLI::App& sub) {
  auto f = std::make_shared<Flags>();
  sub.add_option("CHECKPOINT", f->spec.checkpoint, "PyTorch .pth/.pt/.th or .safetensors file")->required();
  sub.add_option("--arch", f->spec.architecture, architecture_list());
  sub.add_option("-o,--output", f->spec.output, "ONNX file to write; with --onto the ranges file")
      ->required()
      ->check(file_name());
  sub.add_option("--onto", f->spec.onto, "float ONNX file that gets the ranges, its layers found by their weights");
  sub.add_option("--ranges", f->spec.ranges, "ranges file for a toolkit's checkpoint (default: beside the ONNX file)");
  sub.add_option("--input-names", f->spec.input_name, "name of the input")->capture_default_str();
  sub.add_option("--output-names", f->spec.output_name, "name of the output")->capture_default_str();
  sub.add_option("--batch", f->spec.batch, "fixed batch (0 = free)")->capture_default_str()->check(at_least(0));
  sub.add_option("--size", f->spec.size, "height and width of the pictures (0 = the architecture's own)")
      ->capture_default_str()
      ->check(at_least(0));
  sub.add_option("--opset", f->spec.opset, "opset of the written file (default: the lowest, at least 13)")
      ->check(at_least(13));
  f->output.add(sub);
  return [f] { return import_model(*f); };
}

}  // namespace

extern const Command import_command;
const Command import_command = {"import", "a PyTorch or safetensors checkpoint of a known architecture as ONNX",
                                "octet import resnet50.pth --arch resnet50 -o resnet50.onnx", add};

}  // namespace octet::cli
