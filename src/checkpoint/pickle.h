#pragma once
// The part of Python's pickle format that a checkpoint needs. Values live in one pool and name each other by index, so
// a hostile stream can neither recurse nor leak. Source: Python's Lib/pickletools.py, protocols 2 to 5.

#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/dtype.h"
#include "base/result.h"

namespace octet {

using PickleId = uint32_t;

struct PickleValue {
  enum class Kind { none, boolean, integer, real, text, list, dict, global, storage, tensor };
  Kind kind = Kind::none;
  int64_t integer = 0;                                 // boolean, integer; tensor: offset into its storage, in elements
  double real = 0;                                     // real
  std::string text;                                    // text; global: "module.name"; storage: its key
  std::vector<PickleId> items;                         // list and tuple; tensor: {storage}
  std::vector<std::pair<PickleId, PickleId>> entries;  // dict, in order
  DType dtype = DType::undefined;                      // storage
  int64_t elements = 0;                                // storage
  std::vector<int64_t> dims, strides;                  // tensor
};

struct Pickle {
  std::vector<PickleValue> pool;
  PickleId root = 0;
  size_t end = 0;  // byte behind STOP

  const PickleValue& operator[](PickleId id) const { return pool[id]; }
};

/// Reads one pickle that begins at `at`. Calls of anything but collections.OrderedDict and torch's tensor rebuilders
/// are refused by name.
Result<Pickle> read_pickle(std::span<const std::byte> bytes, size_t at = 0);

}  // namespace octet
