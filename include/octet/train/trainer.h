#pragma once
// Fine-tuning and training of a graph on labelled data: SGD with momentum along half a cosine, augmentation, a held-out
// part of the data that chooses the best epoch, checkpoints.
//
// The quantized recipe of the toolkit's guide: from calibrated, frozen ranges, about a tenth of the original schedule,
// from 1 % of the original rate down to 1 % of that. The held-out part comes from the training data; a test set is
// never read here.
//
// On the CPU a run is a function of its options: one that was stopped (or killed) and resumed ends in the same bits.
// Several processes (Replicas) give one process's result up to the order of f32 sums: each takes its part of every
// batch, gradients and batch statistics are those of the whole. Rank 0 writes the checkpoint, all read it.

#include <torch/torch.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "data/dataset.h"
#include "octet/train/graph_module.h"

namespace octet::nn {

struct Augmentation {
  int64_t crop_pad = 4;  // random crop of a border reflected by so many pixels; 0 = none
  bool flip = true;      // left-right, for half of the pictures
  int64_t cutout = 0;    // side of a square set to 0 (the mean of a normalized picture)
};

struct EpochReport {
  int64_t epoch = 0, epochs = 0;  // 0 = before training
  double loss = 0, train_accuracy = 0, held_out_accuracy = 0;
  double held_out_loss = 0,
         held_out_agreement = 0;  // agreement: of the top answers with the teacher's, if there is one
  double gain = 0;                // over the start on the held-out part, in standard errors of the paired difference
  double rate = 0;
  double images_per_s = 0, seconds = 0;
  bool best = false;
};
struct StepReport {
  int64_t epoch = 0, epochs = 0, step = 0, steps = 0;
  double loss = 0, accuracy = 0, images_per_s = 0, eta_s = 0;
};

struct TrainOptions {
  int64_t epochs = 5;
  double rate = 1e-3;                          // 1 % of an original 0.1
  double last_rate = 1e-5;                     // 1 % of that
  double warmup_epochs = 0;                    // the rate rises linearly; for training from random weights
  double momentum = 0.9, weight_decay = 1e-4;  // decay for tensors of rank 2 and more
  bool nesterov = false;
  int64_t batch = 128;
  uint64_t seed = 1;
  Augmentation augmentation;
  double label_smoothing = 0;
  double held_out = 0.05;  // of the data
  // The untrained start is kept unless the gain of an epoch exceeds this: training that shows no gain changes nothing.
  double keep_start = 0;
  double distill = 0;  // weight of the teacher's answers in the loss, 0 to 1
  double temperature = 4;
  std::string device = "cpu";  // cpu | cuda | cuda:N
  int threads = 0;             // 0 = all usable
  double data_memory = 0;      // GiB of decoded samples kept, the others are read again; 0 = half of what is free
  bool deterministic = false;  // the same bits from the same options on a GPU, too; slower there
  bool step_graph = true;      // on a GPU: a step is recorded once and started as a whole (a CUDA graph)
  std::string checkpoint;      // file, written after each epoch; empty = none
  bool resume = false;         // go on from it
  // What else made network and data, by name: kept in the checkpoint, and the same when a run is resumed.
  std::vector<std::pair<std::string, std::string>> origin = {};
  // Batch statistics of each process's part alone: faster, and no longer what one process computes.
  bool local_statistics = false;
  std::shared_ptr<Replicas> replicas;       // processes that share each batch: batch is what all have together
  const std::atomic<bool>* stop = nullptr;  // ends after the running step
  std::function<void(const EpochReport&)> on_epoch = {};
  std::function<void(const StepReport&)> on_step = {};
  std::function<void(const std::string&)> on_note = {};  // what a user should know, one line
};

struct TrainReport {
  std::vector<EpochReport> epochs;  // of this and the resumed runs
  int64_t best_epoch = 0, images = 0, held_out_images = 0;
  double best_accuracy = 0;
  bool stopped = false;
  bool step_recorded = false;  // steps ran as one recorded CUDA graph
};

/// The first option outside its range, by its name on the command line and with that range.
Result<Done> check_options(const TrainOptions& options);
/// The same for one of them, by that name: "--batch".
Result<Done> check_option(std::string_view flag, double value);

/// Leaves the best weights in the network. teacher: float, for distillation. sample: dims of one input, e.g. [3,32,32].
/// Errors: an option outside its range, data without labels, labels outside the outputs, a checkpoint of other options,
/// data or networks (what differs is named), a device that is not there.
Result<TrainReport> train(GraphModuleImpl& net, const Dataset& data, const Dims& sample, const TrainOptions& options,
                          GraphModuleImpl* teacher = nullptr);

/// Top-1 on data, by the network as it is (quantizers on).
Result<double> accuracy(GraphModuleImpl& net, const Dataset& data, const Dims& sample, const TrainOptions& options);

}  // namespace octet::nn
