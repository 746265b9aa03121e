#pragma once
// Several processes that train together, as torchrun or mpirun started them.

#include "octet/train/trainer.h"

namespace octet::train_cli {

/// Joins the others where the environment says that there are any: sets replicas and this process's GPU.
Result<Done> join_others(nn::TrainOptions& options);
/// The one that prints and writes.
bool is_first(const nn::TrainOptions& options);
/// OUTPUT.start.onnx, and for each other process one of its own.
std::string start_file(const std::string& output, const nn::TrainOptions& options);

}  // namespace octet::train_cli
