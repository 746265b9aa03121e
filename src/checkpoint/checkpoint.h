#pragma once
// Checkpoints of PyTorch (zip and old form) and safetensors -> named tensors, without libtorch. Only tensors and plain
// containers are unpickled; anything else in a file is refused by name, and nothing in it is ever executed.

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "tensor/tensor.h"

namespace octet {

struct Checkpoint {
  std::string format;                     // "PyTorch zip", "PyTorch (before 1.6)", "safetensors"
  std::map<std::string, Tensor> tensors;  // by state-dict name, the prefix "module." taken away
  std::vector<std::string> notes;         // what was chosen or left aside on the way
  bool summed = false;                    // the file holds check sums of its tensors, and they are right
};

/// Errors: unreadable, none of the formats, truncated or inconsistent, an object that is neither a tensor nor a plain
/// container (named), no state dict inside (the keys there are named), a tensor that is not what its check sum is of.
Result<Checkpoint> read_checkpoint(const std::string& path);
/// The same from memory; `file` names it in messages.
Result<Checkpoint> read_checkpoint(std::span<const std::byte> bytes, const std::string& file);

/// A safetensors file with a check sum of each tensor, replaced atomically. Errors: a dtype that the format lacks, what
/// writing says.
Result<Done> write_safetensors(const std::string& path, const std::map<std::string, Tensor>& tensors);

}  // namespace octet
