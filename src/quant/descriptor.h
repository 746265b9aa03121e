#pragma once
// QuantDescriptor: how a tensor should be quantized. A value: fill it in, copy it, compare it (D17: an amax of many
// numbers too), write it as YAML or JSON. Source: docs/toolkit_behaviour.md, Descriptor.
//
//   QuantDescriptor desc{.num_bits = 4, .fake_quant = false, .axis = {{0}}, .is_unsigned = true};

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "quant/num_bits.h"
#include "tensor/tensor.h"

namespace octet {

struct QuantDescriptor {
  NumBits num_bits = 8;  // signed 2..16, unsigned 1..16, or NumBits::e4m3()
  std::optional<std::string> name = {};
  bool fake_quant = true;  // false: integers
  /// The axes that remain, each index with its own amax: the opposite of the axes of a maximum. Negative ones count
  /// from the end (D9). None = per tensor.
  std::optional<std::vector<int64_t>> axis = {};
  std::optional<Tensor> amax = {};  // f32, finite, not negative; none = from the calibrator, or from each tensor itself
  bool learn_amax = false;          // per tensor only
  std::optional<double> scale_amax = {};  // factor on amax where it is used
  std::string calib_method = "max";       // or "histogram"
  bool is_unsigned = false;
  bool narrow_range = false;  // full range, where the functions' default is narrow
  bool operator==(const QuantDescriptor&) const = default;
};

/// Errors name the field: bits out of range (D12), learn_amax with an axis, a calib_method that does not exist (D15),
/// an empty axis, a bad amax.
Result<Done> check(const QuantDescriptor& descriptor);

/// "QuantDescriptor(8bit fake axis= per-tensor)", the toolkit's text.
std::string to_text(const QuantDescriptor& descriptor);
/// As the toolkit writes it: keys sorted, defaults left out but num_bits and name, amax as the shortest decimal of the
/// f32 widened to double. An integer axis is a list of one, the pair [4, 3]; calib_method and narrow_range are kept
/// (D16).
std::string to_yaml(const QuantDescriptor& descriptor);
/// The same keys on one line.
std::string to_json(const QuantDescriptor& descriptor);
/// Also read what the toolkit writes, its tagged pairs included. Errors: the toolkit's "Unused keys", a value of the
/// wrong kind (num_bits 8.0, amax 1 where 1.0 is meant, a name that is no UTF-8 text), whatever check() finds.
Result<QuantDescriptor> descriptor_from_yaml(std::string_view text);
Result<QuantDescriptor> descriptor_from_json(std::string_view text);

/// k_quant_desc_8bit_per_tensor and the others of descriptors.def.
#define OCTET_DESCRIPTOR(word, ...) inline const QuantDescriptor k_quant_desc_##word{__VA_ARGS__};
#include "quant/descriptors.def"
#undef OCTET_DESCRIPTOR

}  // namespace octet
