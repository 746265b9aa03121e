#include "checkpoint/state_dict.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>

namespace octet {
namespace {

using Kind = PickleValue::Kind;
constexpr int k_most_depth = 16;       // nested dicts; real ones have two or three
constexpr size_t k_most_sharing = 16;  // tensors may view one storage; together they are at most this many files

bool holds_tensors(const Pickle& pickle, const PickleValue& dict) {
  return std::any_of(dict.entries.begin(), dict.entries.end(),
                     [&](const auto& entry) { return pickle[entry.second].kind == Kind::tensor; });
}

std::string keys_of(const Pickle& pickle, const PickleValue& dict) {
  std::string keys;
  for (size_t i = 0; i < dict.entries.size() && i < 8; ++i)
    keys += (keys.empty() ? "'" : ", '") + pickle[dict.entries[i].first].text + "'";
  return keys.empty() ? "none" : keys;
}

/// The last element that the shape and strides reach stays below `elements`; every step is checked for overflow.
bool lies_within(const PickleValue& tensor, int64_t elements) {
  int64_t last = tensor.integer;
  for (size_t i = 0; i < tensor.dims.size(); ++i) {
    if (tensor.dims[i] == 0) return true;
    int64_t reach = 0;
    if (__builtin_mul_overflow(tensor.dims[i] - 1, tensor.strides[i], &reach) ||
        __builtin_add_overflow(last, reach, &last))
      return false;
  }
  return last < elements;
}

/// Walks the dicts once and makes their tensors; what a file may ask for is bounded by its size.
class Collector {
 public:
  Collector(const Pickle& pickle, const StorageBytes& storage_bytes, size_t file_bytes, Checkpoint& checkpoint)
      : pickle_(pickle),
        storage_bytes_(storage_bytes),
        most_bytes_(k_most_sharing * file_bytes),
        checkpoint_(checkpoint) {}

  Result<Done> add(PickleId dict_id, const std::string& prefix, int depth) {
    if (depth > k_most_depth || !walked_.insert(dict_id).second)
      return Error{ErrorCode::bad_model, "dict '" + prefix + "' is nested too deep or stands in two places"};
    for (const auto& [key_id, value_id] : pickle_[dict_id].entries) {
      const PickleValue& key = pickle_[key_id];
      if (key.kind != Kind::text) continue;
      const std::string name = prefix + key.text;
      if (pickle_[value_id].kind == Kind::tensor) {
        if (Result<Done> added = add_one(value_id, name); !added) return within("tensor '" + name + "'", added.error());
      } else if (pickle_[value_id].kind == Kind::dict) {
        if (Result<Done> added = add(value_id, name + ".", depth + 1); !added) return added.error();
      }
    }
    return Done{};
  }

 private:
  Result<Done> add_one(PickleId id, const std::string& name) {
    auto made = made_.find(id);
    if (made == made_.end()) {
      Result<Tensor> tensor = dense_tensor(pickle_[id]);
      if (!tensor) return tensor.error();
      made = made_.emplace(id, *std::move(tensor)).first;
    }
    return add_tensor(checkpoint_, name, made->second);
  }

  Result<Tensor> dense_tensor(const PickleValue& tensor) {
    const PickleValue& storage = pickle_[tensor.items[0]];
    const Result<std::span<const std::byte>> bytes = storage_bytes_(storage.text);
    if (!bytes) return bytes.error();
    const auto width = static_cast<int64_t>(size_of(storage.dtype));
    const int64_t held = static_cast<int64_t>(bytes->size()) / width;
    if (held < storage.elements)
      return Error{ErrorCode::bad_model, "storage '" + storage.text + "' should hold " +
                                             std::to_string(storage.elements) + " elements and has " +
                                             std::to_string(held)};
    const std::optional<int64_t> count = element_count(tensor.dims);
    if (!count || !lies_within(tensor, storage.elements))
      return Error{ErrorCode::bad_model, "its shape " + to_string(tensor.dims) + " reaches beyond its storage of " +
                                             std::to_string(storage.elements) + " elements"};
    made_bytes_ += static_cast<size_t>(*count * width);
    // A stride of 0 makes a large tensor of one element; no checkpoint needs that, nor many views of one storage.
    if (*count > storage.elements || made_bytes_ > most_bytes_)
      return Error{ErrorCode::unsupported, "it repeats elements of its storage; save a contiguous copy"};
    TensorView view{storage.dtype, tensor.dims, tensor.strides,
                    const_cast<std::byte*>(bytes->data()) + tensor.integer * width};  // read only
    return dense_copy(view);
  }

  const Pickle& pickle_;
  const StorageBytes& storage_bytes_;
  size_t most_bytes_, made_bytes_ = 0;
  Checkpoint& checkpoint_;
  std::set<PickleId> walked_;
  std::map<PickleId, Tensor> made_;
};

}  // namespace

Result<Done> add_tensor(Checkpoint& checkpoint, const std::string& name, Tensor tensor) {
  if (!checkpoint.tensors.emplace(name, std::move(tensor)).second)
    return Error{ErrorCode::bad_model, "tensor '" + name + "' is there twice"};
  return Done{};
}

Result<Done> add_state_dict(const Pickle& pickle, const StorageBytes& storage_bytes, size_t file_bytes,
                            Checkpoint& checkpoint) {
  PickleId chosen = pickle.root;
  const PickleValue* dict = &pickle[chosen];
  if (dict->kind != Kind::dict)
    return Error{ErrorCode::bad_model, "no dict of tensors inside; save model.state_dict()"};
  if (!holds_tensors(pickle, *dict)) {
    bool found = false;
    for (const char* wanted : {"state_dict", "model_state_dict", "model", "net", "weights"}) {
      for (const auto& [key, value] : dict->entries) {
        if (found || pickle[key].text != wanted || pickle[value].kind != Kind::dict) continue;
        found = true;
        chosen = value;
        checkpoint.notes.push_back(std::string("read the entry '") + wanted + "'");
      }
    }
    if (!found)
      return Error{ErrorCode::bad_model,
                   "no state dict inside (its keys: " + keys_of(pickle, *dict) +
                       "); expected tensors, or an entry state_dict, model_state_dict, model, net "
                       "or weights"};
  }
  return Collector(pickle, storage_bytes, file_bytes, checkpoint).add(chosen, "", 0);
}

void strip_module_prefix(Checkpoint& checkpoint) {
  constexpr std::string_view k_prefix = "module.";
  const auto& tensors = checkpoint.tensors;
  if (tensors.empty() || !std::all_of(tensors.begin(), tensors.end(),
                                      [&](const auto& entry) { return entry.first.starts_with(k_prefix); }))
    return;
  std::map<std::string, Tensor> stripped;
  for (const auto& [name, tensor] : tensors) stripped.emplace(name.substr(k_prefix.size()), tensor);
  checkpoint.tensors = std::move(stripped);
  checkpoint.notes.push_back("took the prefix 'module.' (DataParallel) from every name");
}

}  // namespace octet
