// octet train ARCH: a built-in network from random weights, with batch statistics, to a float ONNX file.

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/terminal.h"
#include "octet/checkpoint.h"
#include "octet/train/architectures.h"
#include "octet/train/trainer.h"
#include "train/run_options.h"
#include "train_cli/processes.h"
#include "train_cli/progress.h"
#include "train_cli/verb.h"

namespace octet::train_cli {
namespace {

struct Flags {
  std::string architecture, output, data, preprocess = "none";
  int64_t limit = 0, size = 32;
  bool json = false, quiet = false, no_augment = false, no_step_graph = false;
  nn::TrainOptions train;
};

std::string listed(const std::vector<std::string>& names) {
  std::string all;
  for (const std::string& name : names) all += (all.empty() ? "" : ", ") + name;
  return all;
}

/// Each number within its range, each name known.
Result<Done> check(const Flags& f) {
  if (const Result<Done> ok = nn::check_option("--limit", static_cast<double>(f.limit)); !ok) return ok;
  if (const Result<Done> ok = nn::check_option("--size", static_cast<double>(f.size)); !ok) return ok;
  const std::vector<std::string> known = nn::new_network_architectures();
  if (std::find(known.begin(), known.end(), f.architecture) == known.end())
    return Error{ErrorCode::bad_argument,
                 "architecture '" + f.architecture + "' cannot be trained from nothing; known: " + listed(known)};
  if (const Result<Done> ok = check_files(f.train.checkpoint, f.output); !ok) return ok;
  if (const Result<Done> ok = nn::check_device(f.train.device); !ok) return ok;
  if (const Result<Done> ok = check_data(f.data, f.preprocess); !ok) return ok;
  if (const Result<Done> ok = nn::check_options(f.train); !ok) return ok;
  return check_shares(f.train);
}

int64_t classes_of(const Dataset& data) {
  int64_t classes = 0;
  for (int64_t i = 0; i < data.size(); ++i)
    for (const int64_t label : data.labels(i)) classes = std::max(classes, label + 1);
  return classes;
}

int train(Flags& f) {
  f.train.last_rate = 1e-3 * f.train.rate;
  if (f.no_augment) f.train.augmentation = {0, false, 0};
  f.train.step_graph = !f.no_step_graph;
  if (f.train.checkpoint.empty()) f.train.checkpoint = f.output + ".checkpoint";
  if (const Result<Done> ok = check(f); !ok) return refuse(ok.error());
  if (const Result<Done> joined = join_others(f.train); !joined) return fail(joined.error());
  f.quiet = f.quiet || !is_first(f.train);
  const std::string start = start_file(f.output, f.train);
  if (const Result<Done> ok = check_resume(f.train, start); !ok) return refuse(ok.error());
  const Result<std::unique_ptr<Dataset>> data = open_dataset(f.data, {.preprocess = f.preprocess, .limit = f.limit});
  if (!data) return fail(data.error());
  f.train.origin = {{"ARCH", f.architecture}, {"--size", std::to_string(f.size)}, {"--preprocess", f.preprocess}};
  if (makes_start(f.train)) {
    const nn::NewNetwork spec{
        .architecture = f.architecture, .classes = classes_of(**data), .size = f.size, .seed = f.train.seed};
    if (const Result<Done> made = nn::write_new_network(start, spec); !made) return fail(made.error());
  }
  Result<nn::GraphModule> net = nn::read_graph_module(start, /*clean=*/false, {.train_batch_norm = true});
  if (!net) return fail(net.error());
  f.train.stop = &stop_on_signals();
  if (!f.quiet) std::fputs(pixels_note(**data, f.preprocess).c_str(), stderr);
  show_progress(f.train, f.quiet);
  const Result<nn::TrainReport> report = nn::train(**net, **data, {3, f.size, f.size}, f.train);
  if (!report) return fail(report.error());
  if (!is_first(f.train)) {
    std::filesystem::remove(start);
    return 0;
  }
  if (const Result<Done> saved = (*net)->save(f.output); !saved) return fail(saved.error());
  say_nothing_held_out(*report, f.quiet);
  if (f.json) {
    std::printf("%s\n", report_json(*report, f.architecture, f.output).c_str());
  } else {
    cli::show(stdout, result_line(*report, f.train, f.architecture, f.output) + "\n");
  }
  return 0;
}

Action add(CLI::App& sub) {
  auto f = std::make_shared<Flags>();
  f->train.epochs = 30;
  f->train.rate = 0.1;
  f->train.warmup_epochs = 1;
  f->train.nesterov = true;
  f->train.weight_decay = 5e-4;
  sub.add_option("ARCH", f->architecture, listed(nn::new_network_architectures()))->required();
  sub.add_option("--data", f->data, "labelled training data (docs/data.md)")->required();
  sub.add_option("-o,--output", f->output, "float ONNX file to write")->required()->check(file_name());
  sub.add_option("--preprocess", f->preprocess, "of the data: none, cifar10, imagenet, or a list (docs/data.md)")
      ->capture_default_str();
  sub.add_option("--limit", f->limit, "first N samples")->capture_default_str();
  sub.add_option("--size", f->size, "height and width of the pictures; ResNets take a 3x3 stem up to 64")
      ->capture_default_str();
  sub.add_option("--epochs", f->train.epochs)->capture_default_str();
  sub.add_option("--lr", f->train.rate, "largest rate: one epoch up to it, then half a cosine down")
      ->capture_default_str();
  sub.add_option("--momentum", f->train.momentum, "part of the last step that the next one keeps")
      ->capture_default_str();
  sub.add_option("--weight-decay", f->train.weight_decay, "of tensors of rank 2 and more")->capture_default_str();
  sub.add_option("--batch", f->train.batch, "samples of a step, of all processes together")->capture_default_str();
  sub.add_option("--label-smoothing", f->train.label_smoothing, "part of a label that goes to all classes alike")
      ->capture_default_str();
  sub.add_option("--cutout", f->train.augmentation.cutout, "side of the square cut out")->capture_default_str();
  sub.add_flag("--no-augment", f->no_augment, "no random crop, flip or cutout");
  sub.add_option("--held-out", f->train.held_out, "part of the data that chooses the best epoch")
      ->capture_default_str();
  sub.add_option("--seed", f->train.seed, "of weights, order, augmentation and the held-out part")
      ->capture_default_str();
  sub.add_option("--device", f->train.device, "cpu, cuda or cuda:N")->capture_default_str();
  sub.add_flag("--deterministic", f->train.deterministic,
               "on a GPU the same command gives the same bits; slower. A CPU always does");
  sub.add_flag("--no-step-graph", f->no_step_graph,
               "on a GPU: start each kernel of a step by itself, instead of a step recorded once (CUDA graph)");
  sub.add_option("--threads", f->train.threads, "0 = all usable")->capture_default_str();
  sub.add_option(
      "--data-memory", f->train.data_memory,
      "GiB of decoded samples kept in memory; the others are read again each epoch (default: half of what is "
      "free)");
  sub.add_flag("--local-statistics", f->train.local_statistics,
               "several processes: batch statistics of each one's part alone (faster, no longer equal to one process)");
  sub.add_option("--checkpoint", f->train.checkpoint, "file written after each epoch (default: OUTPUT.checkpoint)");
  sub.add_flag("--resume", f->train.resume, "go on from the checkpoint");
  sub.add_flag("--json", f->json, "the report as JSON on stdout");
  sub.add_flag("--quiet", f->quiet, "no progress");
  return [f] { return train(*f); };
}

}  // namespace

extern const Verb train_verb;
const Verb train_verb = {"train", "a built-in network from random weights",
                         "octet train resnet18 --data train/ --preprocess cifar10 --epochs 30 -o resnet18.onnx", add};

}  // namespace octet::train_cli
