#pragma once
// A file format of checkpoints: one file, one line in formats.def.

#include <span>
#include <string_view>

#include "checkpoint/checkpoint.h"

namespace octet {

struct CheckpointFormat {
  std::string_view name;
  bool (*recognises)(std::span<const std::byte> bytes);
  /// Tensors and notes into the checkpoint.
  Result<Done> (*read)(std::span<const std::byte> bytes, Checkpoint& checkpoint);
};

}  // namespace octet
