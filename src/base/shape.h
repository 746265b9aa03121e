#pragma once
// Symbolic shapes (graph) and concrete dims (tensors).

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace octet {

/// One extent: a number, or unknown with an optional name ("N"). Two unnamed unknowns are not equal in meaning.
struct Dim {
  int64_t value = -1;  // >= 0 when known
  std::string symbol;  // only while unknown; empty = anonymous

  Dim() = default;
  Dim(int64_t known) : value(known) {}
  explicit Dim(std::string name) : symbol(std::move(name)) {}
  bool known() const { return value >= 0; }
  bool operator==(const Dim&) const = default;
};

using Shape = std::vector<Dim>;     // may hold unknown extents
using Dims = std::vector<int64_t>;  // all known, all >= 0

/// Largest number of elements and bytes that octet accepts for one tensor: larger is a broken or hostile file.
inline constexpr int64_t k_max_elements = int64_t{1} << 36;

/// Product of all extents; nothing when one is negative or the product exceeds k_max_elements.
std::optional<int64_t> element_count(std::span<const int64_t> dims);
/// The concrete extents; nothing when one is unknown.
std::optional<Dims> known_dims(const Shape& shape);
Shape to_shape(std::span<const int64_t> dims);
/// "[N,3,32,32]"; an anonymous unknown prints as "?".
std::string to_string(const Shape& shape);
std::string to_string(std::span<const int64_t> dims);
/// Row-major strides in elements.
std::vector<int64_t> row_major_strides(std::span<const int64_t> dims);

}  // namespace octet
