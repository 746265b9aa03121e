#pragma once
// Several processes that train together, as torchrun or mpirun started them.

#include "octet/train/trainer.h"

namespace octet::train_cli {

/// Joins the others where the environment says that there are any: sets replicas and this process's GPU.
Result<Done> join_others(nn::TrainOptions& options);
/// Each process of those that the environment tells of gets the same part of a batch.
Result<Done> check_shares(const nn::TrainOptions& options);
/// What can be wrong with data by its words alone: the preprocessing (empty = the network's own), and the number of
/// pictures that are drawn.
Result<Done> check_data(const std::string& path, const std::string& preprocess);
/// The one that prints and writes.
bool is_first(const nn::TrainOptions& options);
/// OUTPUT.start.onnx, and for each other process one of its own.
std::string start_file(const std::string& output, const nn::TrainOptions& options);
/// Whether this process makes that file: not where a run is resumed, which reads it again.
bool makes_start(const nn::TrainOptions& options);
/// Output, checkpoint and start are three files that can be written, and none of the inputs (files; empty = none).
Result<Done> check_files(const std::string& checkpoint, const std::string& output,
                         const std::vector<std::string>& inputs = {});
/// Where a run is resumed: its checkpoint and its start are there.
Result<Done> check_resume(const nn::TrainOptions& options, const std::string& start);

}  // namespace octet::train_cli
