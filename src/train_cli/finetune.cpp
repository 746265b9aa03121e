// octet finetune MODEL: from calibrated, frozen ranges to better weights. The start is a Q/DQ network: MODEL itself, or
// made here from a float one by calibration.

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "cli/terminal.h"
#include "octet/model.h"
#include "octet/ranges.h"
#include "octet/train/trainer.h"
#include "train/run_options.h"
#include "train_cli/processes.h"
#include "train_cli/progress.h"
#include "train_cli/verb.h"

namespace octet::train_cli {

namespace {

std::string percent(double part) {
  if (std::isnan(part)) return "not known";
  char text[32];
  std::snprintf(text, sizeof text, "%.2f %%", 100 * part);
  return text;
}

std::string running(const nn::StepReport& s) {
  char text[160];
  std::snprintf(text, sizeof text,
                "epoch %lld/%lld step %lld/%lld  loss %.4f  accuracy %.2f %%  %.0f images/s  %.0f s left",
                static_cast<long long>(s.epoch), static_cast<long long>(s.epochs), static_cast<long long>(s.step),
                static_cast<long long>(s.steps), s.loss, 100 * s.accuracy, s.images_per_s, s.eta_s);
  return text;
}

/// A line of its own now and then, for what is no terminal.
struct Reminder {
  static constexpr std::chrono::seconds k_every{30};
  void operator()(const nn::StepReport& s) {
    const auto now = std::chrono::steady_clock::now();
    if (now - last < k_every || s.step == s.steps) return;  // an epoch's end has its own line
    last = now;
    std::fprintf(stderr, "%s\n", running(s).c_str());
  }
  std::chrono::steady_clock::time_point last = std::chrono::steady_clock::now();
};

}  // namespace

void show_progress(nn::TrainOptions& options, bool quiet) {
  if (quiet) return;
  options.on_note = [](const std::string& note) { cli::show(stderr, "note: " + note + "\n"); };
  const bool terminal = isatty(2) != 0;
  if (terminal) {
    options.on_step = [](const nn::StepReport& s) { std::fprintf(stderr, "\r%s \033[K", running(s).c_str()); };
  } else {
    options.on_step = Reminder();
  }
  options.on_epoch = [terminal](const nn::EpochReport& e) {
    if (terminal) std::fprintf(stderr, "\r\033[K");
    if (e.epoch == 0) {
      std::fprintf(stderr, "before training: held-out accuracy %s\n", percent(e.held_out_accuracy).c_str());
      return;
    }
    std::fprintf(stderr,
                 "epoch %lld/%lld  loss %.4f  accuracy %.2f %%  held-out %s%s  rate %.2e  %.0f images/s  %.1f s, "
                 "%.0f s left\n",
                 static_cast<long long>(e.epoch), static_cast<long long>(e.epochs), e.loss, 100 * e.train_accuracy,
                 percent(e.held_out_accuracy).c_str(), e.best ? " (best so far)" : "", e.rate, e.images_per_s,
                 e.seconds, e.seconds * static_cast<double>(e.epochs - e.epoch));
  };
}

std::string result_line(const nn::TrainReport& report, const nn::TrainOptions& options, const std::string& model,
                        const std::string& output) {
  return model + ": epoch " + std::to_string(report.best_epoch) + " of " + std::to_string(options.epochs) +
         (report.held_out_images > 0 ? " is the best, held-out accuracy " + percent(report.best_accuracy)
                                     : std::string(" is kept, nothing was held out")) +
         (report.stopped ? " (stopped)" : "") + "; wrote " + output;
}

void say_nothing_held_out(const nn::TrainReport& report, bool quiet) {
  if (!quiet && report.held_out_images == 0)
    std::fputs(
        "note: nothing of the data is held out, so the last epoch is kept, better or not; --held-out gives the part "
        "that chooses\n",
        stderr);
}

std::string pixels_note(const Dataset& data, const std::string& preprocess) {
  if (preprocess != "none" || !data.are_pictures()) return "";
  return "note: no --preprocess is given: the pixels go in as they are, 0 to 255. Most networks were trained on scaled "
         "ones (imagenet, cifar10, ...)\n";
}

std::string report_json(const nn::TrainReport& report, const std::string& model, const std::string& output) {
  nlohmann::ordered_json json = {{"model", model},
                                 {"output", output},
                                 {"images", report.images},
                                 {"held_out_images", report.held_out_images},
                                 {"best_epoch", report.best_epoch},
                                 {"held_out_accuracy", report.best_accuracy},
                                 {"stopped", report.stopped},
                                 {"step_recorded", report.step_recorded},
                                 {"epochs", nlohmann::ordered_json::array()}};
  for (const nn::EpochReport& e : report.epochs)
    json["epochs"].push_back({{"epoch", e.epoch},
                              {"loss", e.loss},
                              {"train_accuracy", e.train_accuracy},
                              {"held_out_accuracy", e.held_out_accuracy},
                              {"held_out_loss", e.held_out_loss},
                              {"held_out_agreement", e.held_out_agreement},
                              {"gain", e.gain},
                              {"rate", e.rate},
                              {"images_per_s", e.images_per_s},
                              {"seconds", e.seconds},
                              {"best", e.best}});
  return json.dump(2);
}

namespace {

struct Flags {
  std::string model, output, float_model, ranges, preprocess, calib_data, method = "entropy", target = "octet";
  std::string precision = "int8", weight_method = "mse";
  DataOptions data;
  int64_t calib_limit = 512;
  int weight_bits = 8;
  double original_rate = 0.1;
  std::optional<double> rate, distill, keep_start;  // empty = by default
  bool lsq = false, no_augment = false, no_step_graph = false, json = false, quiet = false;
  nn::TrainOptions train;
};

DatasetOptions options_of(const DataOptions& data) {
  return {.preprocess = data.preprocess,
          .limit = data.limit,
          .shuffle = data.shuffle_seed >= 0 ? std::optional<uint64_t>(data.shuffle_seed) : std::nullopt};
}

/// What a float MODEL is calibrated on.
DataOptions calibration_data(const Flags& f) {
  DataOptions data = f.data;
  if (!f.calib_data.empty()) data.path = f.calib_data;
  data.limit = f.calib_limit;
  data.shuffle_seed = 1;
  return data;
}

Result<Ranges> ranges_of(const Flags& f, const Model& model) {
  if (!f.ranges.empty()) return Ranges::load(f.ranges, model);
  CalibrateSpec spec;
  spec.data = calibration_data(f);
  spec.method = f.method;
  spec.threads = f.train.threads;
  // Opened here to say how many samples there are, and what is wrong before that is said.
  const Result<std::unique_ptr<Dataset>> data = open_dataset(spec.data.path, options_of(spec.data));
  if (!data) return data.error();
  if (!f.quiet)
    cli::show(stderr, "calibrating (" + f.method + ") on " + std::to_string((*data)->size()) + " samples of " +
                          spec.data.path + "\n");
  return calibrate(model, spec);
}

Result<Model> quantized_start(const Flags& f, const Model& model) {
  if (model.is_quantized() || f.precision == "fp32") return model;
  const Result<Ranges> ranges = ranges_of(f, model);
  if (!ranges) return ranges.error();
  QuantizeSpec spec;
  spec.method = f.ranges.empty() ? f.method : "";
  spec.target = f.target;
  Result<Quantized> made = quantize(model, *ranges, spec);
  if (!made) return made.error();
  return made->model;
}

/// [3,32,32] of the first input.
Result<Dims> sample_dims(const Model& model) {
  if (model.inputs().size() != 1)
    return Error{ErrorCode::unsupported, model.path() + ": training needs a network with one input, it has " +
                                             std::to_string(model.inputs().size())};
  const std::string shape = model.inputs()[0].shape;
  Dims dims;
  size_t at = shape.find(',');
  while (at != std::string::npos && at + 1 < shape.size()) {
    const int64_t value = std::atoll(shape.c_str() + at + 1);
    if (value <= 0)
      return Error{ErrorCode::bad_model,
                   model.path() + ": its input " + shape + " must have known extents behind the batch"};
    dims.push_back(value);
    at = shape.find(',', at + 1);
  }
  return dims;
}

/// Each number within its range; rates, defaults and what made network and data go into f.train.
Result<Done> settle(Flags& f) {
  const std::pair<const char*, double> of_this_verb[] = {{"--original-lr", f.original_rate},
                                                         {"--limit", static_cast<double>(f.data.limit)},
                                                         {"--calib-limit", static_cast<double>(f.calib_limit)}};
  for (const auto& [flag, value] : of_this_verb)
    if (const Result<Done> ok = nn::check_option(flag, value); !ok) return ok;
  if (const std::vector<std::string> known = {"max", "mse", "percentile", "entropy"};
      std::find(known.begin(), known.end(), f.weight_method) == known.end())
    return Error{ErrorCode::bad_argument,
                 "--weight-method '" + f.weight_method + "' is not known; max, mse, percentile or entropy"};
  if (f.precision == "fp32" && (f.weight_bits != 8 || f.lsq))
    return Error{ErrorCode::bad_argument, std::string(f.lsq ? "--lsq" : "--weight-bits") +
                                              " is of quantized weights, which --precision fp32 has none of; leave one "
                                              "of them out"};
  if (f.precision == "fp32" && f.distill.value_or(0.0) > 0)
    return Error{ErrorCode::bad_argument,
                 "--distill: with --precision fp32 there is no other network to learn from; leave one of both out"};
  f.train.rate = f.rate ? *f.rate : 0.01 * f.original_rate;
  f.train.last_rate = 0.01 * f.train.rate;
  if (f.no_augment) f.train.augmentation = {0, false, 0};
  f.train.step_graph = !f.no_step_graph;
  // With 8 bits the start is mostly as good as the float network; with fewer it is what training has to mend.
  f.train.keep_start = f.keep_start ? *f.keep_start : f.weight_bits < 8 ? 0.0 : 3.0;
  f.train.distill = f.distill.value_or(0.0);
  if (f.train.checkpoint.empty()) f.train.checkpoint = f.output + ".checkpoint";
  if (const Result<Done> ok = check_files(f.train.checkpoint, f.output, {f.model, f.float_model, f.ranges}); !ok)
    return ok;
  if (const Result<Done> ok = nn::check_device(f.train.device); !ok) return ok;
  for (const std::string& path : {f.data.path, f.calib_data})
    if (const Result<Done> ok = check_data(path, f.preprocess); !ok) return ok;
  if (const Result<Done> ok = nn::check_options(f.train); !ok) return ok;
  return check_shares(f.train);
}

/// What made the start, for a run that is resumed from it.
std::vector<std::pair<std::string, std::string>> origin_of(const Flags& f, const Model& model) {
  return {{"MODEL's graph", model.hash()},
          {"--precision", f.precision},
          {"--target", f.target},
          {"--method", f.ranges.empty() ? f.method : "none"},
          {"--ranges", f.ranges.empty() ? "none" : f.ranges},
          {"--calib-data", f.calib_data.empty() ? "--data" : f.calib_data},
          {"--calib-limit", std::to_string(f.calib_limit)},
          {"--preprocess", f.data.preprocess},
          {"--weight-bits", std::to_string(f.weight_bits)},
          {"--weight-method", f.weight_method},
          {"--lsq", f.lsq ? "on" : "off"}};
}

/// The float network where it is known: starting weights, and who is learned from. Settles --distill's default.
Result<nn::GraphModule> read_teacher(Flags& f, const Model& model) {
  const std::string float_file = !f.float_model.empty() ? f.float_model : model.is_quantized() ? "" : f.model;
  nn::GraphModule teacher{nullptr};
  if (!float_file.empty() && f.precision != "fp32") {
    Result<nn::GraphModule> read = nn::read_graph_module(float_file);
    if (!read) return read.error();
    teacher = *read;
  } else if (f.train.distill > 0) {
    return Error{ErrorCode::bad_argument, "--distill needs the float network: give --float FILE"};
  }
  if (!f.distill) f.train.distill = teacher ? 1.0 : 0.0;
  return teacher;
}

/// The network to train from its file.
Result<nn::GraphModule> read_network(const Flags& f, const nn::GraphModule& teacher, const std::string& start_path) {
  Graph float_graph;
  if (teacher) float_graph = teacher->graph();
  Result<nn::GraphModule> net =
      nn::read_graph_module(start_path, true, {.float_graph = teacher ? &float_graph : nullptr});
  if (!net) return net;
  if (f.weight_bits < 8)
    if (const Result<int64_t> set = nn::set_weight_bits(**net, f.weight_bits, f.weight_method); !set)
      return set.error();
  if (f.lsq)
    for (const auto& slot : (*net)->weight_quantizers()) slot.quantizer->learn_scale();
  return net;
}

void say_result(const Flags& f, const nn::TrainReport& report) {
  say_nothing_held_out(report, f.quiet);
  if (!f.quiet && report.held_out_images > 0 && f.train.keep_start > 0 && report.best_epoch == 0 &&
      report.epochs.size() > 1)
    std::fprintf(stderr,
                 "no epoch beat the untrained network by %g standard errors on the %lld held-out samples, so that is "
                 "what is kept; --keep-start 0 takes the best epoch all the same\n",
                 f.train.keep_start, static_cast<long long>(report.held_out_images));
  if (f.json) {
    std::printf("%s\n", report_json(report, f.model, f.output).c_str());
  } else {
    cli::show(stdout, result_line(report, f.train, f.model, f.output) + "\n");
  }
}

int finetune(Flags& f) {
  if (const Result<Done> ok = settle(f); !ok) return refuse(ok.error());
  if (const Result<Done> joined = join_others(f.train); !joined) return fail(joined.error());
  f.quiet = f.quiet || !is_first(f.train);
  // The network as it starts, beside the output: what training reads, and what a resumed run reads again.
  const std::string start_path = start_file(f.output, f.train);
  if (const Result<Done> ok = check_resume(f.train, start_path); !ok) return refuse(ok.error());
  const Result<Model> model = Model::load(f.model);
  if (!model) return fail(model.error());
  const Result<Dims> sample = sample_dims(*model);
  if (!sample) return fail(sample.error());
  f.data.preprocess = !f.preprocess.empty() ? f.preprocess : "none";
  if (f.preprocess.empty())
    if (const auto at = model->metadata().find("octet.preprocess"); at != model->metadata().end())
      f.data.preprocess = at->second;
  f.train.origin = origin_of(f, *model);
  // All that can be wrong with files is found before anything is worked out of them.
  const Result<std::unique_ptr<Dataset>> data = open_dataset(f.data.path, options_of(f.data));
  if (!data) return fail(data.error());
  Result<nn::GraphModule> teacher = read_teacher(f, *model);
  if (!teacher) return refuse(teacher.error());
  if (makes_start(f.train)) {
    const Result<Model> start = quantized_start(f, *model);
    if (!start) return fail(start.error());
    if (const Result<Done> saved = start->save(start_path); !saved) return fail(saved.error());
  }
  Result<nn::GraphModule> net = read_network(f, *teacher, start_path);
  if (!net) return fail(net.error());
  if (!f.quiet) std::fputs(pixels_note(**data, f.data.preprocess).c_str(), stderr);
  show_progress(f.train, f.quiet);
  f.train.stop = &stop_on_signals();
  const Result<nn::TrainReport> report =
      nn::train(**net, **data, *sample, f.train, f.train.distill > 0 ? teacher->get() : nullptr);
  if (!report) return fail(report.error());
  if (!is_first(f.train)) {
    std::filesystem::remove(start_path);
    return 0;
  }
  if (const Result<Done> saved = (*net)->save(f.output); !saved) return fail(saved.error());
  say_result(f, *report);
  return 0;
}

Action add(CLI::App& sub) {
  auto f = std::make_shared<Flags>();
  sub.add_option("MODEL", f->model, "Q/DQ ONNX file, or a float one to calibrate first")->required();
  sub.add_option("--data", f->data.path, "labelled training data (docs/data.md); never the test set")->required();
  sub.add_option("-o,--output", f->output, "Q/DQ ONNX file to write")->required()->check(file_name());
  sub.add_option("--preprocess", f->preprocess, "of the data; default: what calibration wrote into MODEL");
  sub.add_option("--limit", f->data.limit, "first N samples")->capture_default_str();
  sub.add_option("--shuffle", f->data.shuffle_seed, "a random subset of --limit with this seed");
  sub.add_option("--float", f->float_model, "float network: starting weights, and the teacher of --distill");
  sub.add_option("--ranges", f->ranges, "ranges file for a float MODEL");
  sub.add_option("--calib-data", f->calib_data, "calibration data for a float MODEL (default: --data)");
  sub.add_option("--calib-limit", f->calib_limit, "samples of it")->capture_default_str();
  sub.add_option("--method", f->method, "max, entropy, percentile, mse or auto")
      ->capture_default_str()
      ->check(CLI::IsMember({"max", "entropy", "percentile", "mse", "auto"}));
  sub.add_option("--target", f->target, "octet or tensorrt")
      ->capture_default_str()
      ->check(CLI::IsMember({"octet", "tensorrt"}));
  sub.add_option("--precision", f->precision, "int8, or fp32: the float network, given the same fine-tuning")
      ->capture_default_str()
      ->check(CLI::IsMember({"int8", "fp32"}));
  sub.add_option("--weight-bits", f->weight_bits, "bits of weights: codes in -(2^(N-1)-1)..2^(N-1)-1")
      ->capture_default_str()
      ->check(CLI::Range(2, 8));
  sub.add_option("--weight-method", f->weight_method, "their scales below 8 bits: max, mse, percentile, entropy")
      ->capture_default_str();
  sub.add_flag("--lsq", f->lsq, "weight scales are learned (LSQ) instead of frozen");
  sub.add_option("--epochs", f->train.epochs, "about a tenth of the original schedule")->capture_default_str();
  sub.add_option("--original-lr", f->original_rate, "rate of the original training; fine-tuning starts at 1 % of it")
      ->capture_default_str();
  sub.add_option("--lr", f->rate, "rate to start at, instead");
  sub.add_option("--momentum", f->train.momentum, "part of the last step that the next one keeps")
      ->capture_default_str();
  sub.add_option("--weight-decay", f->train.weight_decay, "of tensors of rank 2 and more")->capture_default_str();
  sub.add_option("--batch", f->train.batch, "samples of a step, of all processes together")->capture_default_str();
  sub.add_option("--label-smoothing", f->train.label_smoothing, "part of a label that goes to all classes alike")
      ->capture_default_str();
  sub.add_option("--distill", f->distill,
                 "weight of the float network's answers in the loss, 0 to 1 (default: 1 where that network is known)");
  sub.add_option("--temperature", f->train.temperature, "of that comparison: both answers are softened by it")
      ->capture_default_str();
  sub.add_option("--held-out", f->train.held_out, "part of the data that chooses the best epoch")
      ->capture_default_str();
  sub.add_option("--keep-start", f->keep_start,
                 "standard errors by which an epoch must beat the untrained network on the held-out part, else that is "
                 "kept (default: 3, below 8 bits 0)");
  sub.add_option("--cutout", f->train.augmentation.cutout, "side of the square cut out")->capture_default_str();
  sub.add_flag("--no-augment", f->no_augment, "no random crop, flip or cutout");
  sub.add_option("--seed", f->train.seed, "of order, augmentation and the held-out part")->capture_default_str();
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
  sub.add_option("--checkpoint", f->train.checkpoint, "file written after each epoch (default: OUTPUT.checkpoint)");
  sub.add_flag("--resume", f->train.resume, "go on from the checkpoint");
  sub.add_flag("--json", f->json, "the report as JSON on stdout");
  sub.add_flag("--quiet", f->quiet, "no progress");
  return [f] { return finetune(*f); };
}

}  // namespace

extern const Verb finetune_verb;
const Verb finetune_verb = {"finetune", "better weights for a quantized network, by training with its quantization",
                            "octet finetune m.onnx --data train/ --preprocess cifar10 --epochs 10 -o m_int8.onnx", add};

}  // namespace octet::train_cli
