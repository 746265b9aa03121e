#pragma once
// Pickled values -> named tensors: finds the state dict inside a training state and makes its tensors dense.

#include <functional>
#include <span>
#include <string>

#include "checkpoint/checkpoint.h"
#include "checkpoint/pickle.h"

namespace octet {

/// The bytes of a storage by its key; an Error when there are none.
using StorageBytes = std::function<Result<std::span<const std::byte>>(const std::string& key)>;

/// The root itself when it holds tensors, else its entry "state_dict", "model_state_dict", "model", "net" or "weights".
/// file_bytes bounds what the tensors may take together.
Result<Done> add_state_dict(const Pickle& pickle, const StorageBytes& storage_bytes, size_t file_bytes,
                            Checkpoint& checkpoint);

/// Adds a tensor; a second one of the same name is an Error.
Result<Done> add_tensor(Checkpoint& checkpoint, const std::string& name, Tensor tensor);

/// Takes the prefix "module." (DataParallel) away where every name has it, and says so.
void strip_module_prefix(Checkpoint& checkpoint);

}  // namespace octet
