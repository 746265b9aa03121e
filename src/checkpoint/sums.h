#pragma once
// Check sums of a safetensors file, in its __metadata__: one for each tensor, over name, dtype, shape and bytes. Other
// programs keep or ignore them; a file without any is read all the same.

#include <string>
#include <string_view>

#include "base/hash.h"
#include "tensor/tensor.h"

namespace octet {

/// The key of a tensor's sum: "octet.xxh3.conv1.weight".
constexpr std::string_view k_sum_prefix = "octet.xxh3.";

inline std::string sum_of(const std::string& name, const Tensor& tensor) {
  const std::string what =
      name + " " + std::string(octet::name(tensor.dtype())) + " " + to_string(std::span<const int64_t>(tensor.dims()));
  return to_hex(hash_bytes(tensor.bytes(), hash_bytes(std::as_bytes(std::span(what)))));
}

}  // namespace octet
