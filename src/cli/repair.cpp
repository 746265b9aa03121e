#include <cstdio>
#include <memory>

#include "cli/command.h"
#include "cli/options.h"
#include "octet/tasks.h"

namespace octet::cli {
namespace {

struct Flags {
  std::string model, output_file;
  int64_t opset = 0;
  std::vector<std::string> skip_passes, skip_repairs;
  bool list = false;
  OutputFlags output;
};

int list_repairs() {
  for (const auto& [name, mends] : repair_names()) std::printf("%-22s %s\n", name.c_str(), mends.c_str());
  return 0;
}

int repair_model(const Flags& f) {
  LoadOptions options;
  options.skip_passes = {f.skip_passes.begin(), f.skip_passes.end()};
  options.skip_repairs = {f.skip_repairs.begin(), f.skip_repairs.end()};
  const Result<Model> model = Model::load(f.model, options);
  if (!model) return fail(model.error());
  if (!f.output_file.empty())
    if (const Result<Done> saved = model->save(f.output_file, f.opset); !saved) return fail(saved.error());
  if (f.output.json)
    std::printf("%s\n", repairs_json(*model, f.output_file).c_str());
  else
    std::fputs(repairs_text(*model, f.output_file, f.output.verbose).c_str(), stdout);
  return 0;
}

Action add(CLI::App& sub) {
  auto f = std::make_shared<Flags>();
  sub.add_option("MODEL", f->model, "quantized ONNX file");
  sub.add_option("-o,--output", f->output_file, "ONNX file to write; without it only the report");
  sub.add_option("--opset", f->opset, "opset of the written file (default: the lowest that expresses it, at least 13)");
  sub.add_option("--skip-repair", f->skip_repairs, "leave a repair out (names: --list)");
  sub.add_option("--skip-pass", f->skip_passes, "leave a pass out");
  sub.add_flag("--list", f->list, "the repairs in running order and what each mends");
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
