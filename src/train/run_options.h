#pragma once
// The options of a training run: what each may be, and which of them make two runs the same run.

#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "octet/train/trainer.h"

namespace octet::nn {

/// Name and value, exactly as they go into a checkpoint.
using Identity = std::vector<std::pair<std::string, std::string>>;

/// The shortest text that reads back as the same number.
std::string exact_text(double value);
/// All options that decide the numbers of a run: not the threads, the GPU's index, nor how many processes share it.
Identity identity_of(const TrainOptions& options);
/// The device's name is known and there.
Result<Done> check_device(const std::string& name);
/// Structure, numbers and quantizers of a network as it is now, 16 hex digits.
std::string content_hash(const GraphModuleImpl& net);

std::string to_text(const Identity& identity);
/// What differs between a checkpoint's text and this run: "--batch 32 there, 64 here; ...". Empty = nothing does.
std::string differences(const std::string& there, const Identity& here);

/// An Error on its way through libtorch's code, whose functions know exceptions only.
struct Failure : std::runtime_error {
  explicit Failure(Error e) : std::runtime_error(e.message), error(std::move(e)) {}
  Error error;
};

/// What an exception says, without libtorch's list of calls.
std::string reason(const std::exception& e);
/// What a run on a GPU that had too little memory can do without; empty for any other exception.
std::string memory_advice(const std::exception& e, const TrainOptions& options);

}  // namespace octet::nn
