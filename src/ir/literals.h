#pragma once
// Numbers and names as the text form writes them. Everything here reads back to the same bits.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/shape.h"
#include "tensor/tensor.h"

namespace octet {

/// A word that needs no quotes: [A-Za-z_./][A-Za-z0-9_./:-]* that neither ends in ':' nor begins with
/// "..." and is not "_" or "const".
bool is_plain_word(std::string_view text);
/// The word itself, or "..." with \" \\ and \xHH escapes.
std::string quoted_unless_plain(std::string_view text);
std::string quoted(std::string_view text);

/// "0.1", "1.0", "1e-05", "inf", "-inf", "nan"; a NaN with other bits than 0x7fc00000 as "nan(0x...)".
std::string float_text(float value);
/// "f32[N,3,?]"; "f32" while the rank is unknown.
std::string type_text(DType dtype, const std::optional<Shape>& shape);
/// Elements separated by ", ": shortest decimals that read back exactly.
std::string elements_text(const Tensor& tensor);

/// The number written in text as one element of dtype, appended to bytes; false when it is not one or does not fit.
/// Floats: decimal, 0x hexadecimal, inf, nan, nan(0x bits). Integers: decimal.
bool append_element(std::string_view text, DType dtype, std::vector<std::byte>& bytes);
std::optional<int64_t> int_from_text(std::string_view text);
std::optional<float> float_from_text(std::string_view text);

}  // namespace octet
