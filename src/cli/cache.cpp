#include "octet/cache.h"
#include "cli/terminal.h"

#include <cstdio>
#include <memory>
#include <optional>

#include "cli/command.h"
#include "cli/options.h"
#include "octet/files.h"
#include "octet/repairs.h"
#include "octet/tasks.h"

namespace octet::cli {
namespace {

struct Flags {
  std::string file, model, output_file;
  ConvertSpec convert;
  bool force = false;
  OutputFlags output;
};

void print_notes(const Flags& f, const std::vector<std::string>& notes) {
  if (f.output.quiet) return;
  for (const std::string& note : notes) show(stderr, "note: " + note + "\n");
}

int show(const Flags& f) {
  const Result<CalibrationCache> cache = CalibrationCache::load(f.file);
  if (!cache) return fail(cache.error());
  print_notes(f, cache->notes());
  std::fputs(f.output.json ? (cache->json() + "\n").c_str() : cache->text().c_str(), stdout);
  return 0;
}

int check(const Flags& f) {
  const Result<CalibrationCache> cache = CalibrationCache::load(f.file);
  if (!cache) return fail(cache.error());
  const Result<Model> model = load(f.model, {});
  if (!model) return fail(model.error());
  print_notes(f, lossy_repairs(*model));
  const CacheCheck result = cache->check(*model);
  if (f.output.json) {
    std::printf("%s\n", to_json(result).c_str());
  } else {
    std::printf("%s: %s\n%s", f.file.c_str(), cache->description().c_str(), to_text(result, f.output.verbose).c_str());
  }
  return result.fits ? 0 : 1;
}

int convert(const Flags& f) {
  const Result<CalibrationCache> cache = CalibrationCache::load(f.file);
  if (!cache) return fail(cache.error());
  std::optional<Model> model;
  if (!f.model.empty()) {
    Result<Model> loaded = load(f.model, {});
    if (!loaded) return fail(loaded.error());
    model = *std::move(loaded);
  }
  if (const Result<Done> ok = check_output(f.output_file, {f.file, f.model}); !ok) return fail(ok.error());
  std::vector<std::string> notes = model ? lossy_repairs(*model) : std::vector<std::string>();
  const Result<Done> saved = cache->convert_to(f.output_file, f.convert, model ? &*model : nullptr, f.force, notes);
  if (!saved) return fail(saved.error());
  print_notes(f, notes);
  if (f.output.json) {
    std::printf("%s\n", cache->conversion_json(f.output_file, f.convert, notes).c_str());
  } else if (!f.output.quiet) {
    std::printf("%s -> %s (%s)\n", f.file.c_str(), f.output_file.c_str(), f.convert.format.c_str());
  }
  return 0;
}

Action add(CLI::App& sub) {
  auto f = std::make_shared<Flags>();
  auto run = std::make_shared<Action>();
  sub.require_subcommand(1);
  const auto command = [&](const char* name, const char* summary, int (*action)(const Flags&)) {
    CLI::App* app = sub.add_subcommand(name, summary);
    app->set_help_flag("-h,--help", "this text");
    app->add_option("FILE", f->file, "calibration cache: TensorRT's, ONNX Runtime's or octet's ranges.json")
        ->required();
    app->callback([f, run, action] { *run = [f, action] { return action(*f); }; });
    f->output.add(*app);
    return app;
  };
  command("show", "what the file holds", show);
  command("check", "whether it fits a network: matched, missing and unusable tensors; exit 1 when not", check)
      ->add_option("--model", f->model, "float ONNX file")
      ->required();
  CLI::App* to = command("convert", "into another program's format", convert);
  to->add_option("--to", f->convert.format,
                 "octet, tensorrt, onnxruntime-text, onnxruntime-json or onnxruntime-flatbuffers")
      ->required();
  to->add_option("--model", f->model, "float ONNX file that the cache must fit; --to octet needs it");
  to->add_option("--method", f->convert.method, "whose ranges of a ranges.json (default: its own)");
  to->add_option("--cache-version", f->convert.version,
                 "version in a TensorRT header, such as 8601 (default: the source's, 100300 where it has none)");
  to->add_option("--algorithm", f->convert.algorithm,
                 "calibrator in a TensorRT header: entropy2, minmax, entropy, legacy (default: the source's, entropy2 "
                 "where it has none)");
  to->add_flag("--force", f->force, "take a cache that does not fit; recorded");
  to->add_option("-o,--output", f->output_file, "file to write")->required()->check(file_name());
  return [run] { return *run ? (*run)() : 2; };
}

}  // namespace

extern const Command cache_command;
const Command cache_command = {"cache", "shows, checks and converts calibration caches",
                               "octet cache convert ranges.json --to tensorrt -o calibration.cache", add};

}  // namespace octet::cli
