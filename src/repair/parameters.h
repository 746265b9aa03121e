#pragma once
// What repairs ask of QuantizeLinear and DequantizeLinear nodes and how they write constants.

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "ir/editor.h"

namespace octet {

inline bool is_quantize(const Node& node) { return is_op(node, "QuantizeLinear"); }
inline bool is_dequantize(const Node& node) { return is_op(node, "DequantizeLinear"); }
inline bool is_q_or_dq(const Node& node) { return is_quantize(node) || is_dequantize(node); }

/// Whether the graph holds a QuantizeLinear or DequantizeLinear.
bool holds_q_or_dq(const Graph& graph);

/// "u8 zero point 3, scale 0.5" or "s8, 64 scales along axis 0" of a QuantizeLinear or DequantizeLinear.
std::string params_text(const Graph& graph, const Node& node);
std::string params_text(const CodeParams& params);
/// %.4g, as the rows print numbers.
std::string short_text(double x);

/// A zero point (or any code) as a scalar tensor of a code dtype.
Tensor code_scalar(DType dtype, int32_t value);
/// `count` equal codes: rank 0 when dims is empty.
Tensor code_tensor(DType dtype, const Dims& dims, std::span<const int32_t> values);

/// A constant in codes behind DequantizeLinear, zero point subtracted.
struct StoredCodes {
  std::vector<int64_t> codes;
  Dims dims;
  std::vector<float> scale;  // one, or one for each index of the axis
  size_t axis = 0;
  double real(size_t i) const { return static_cast<double>(codes[i]) * double{scale[channel(i)]}; }
  size_t channel(size_t i) const;
};
/// Nothing when a parameter is not constant, of the wrong dtype or of a count that does not fit the axis.
std::optional<StoredCodes> stored_codes(const Graph& graph, const Node& dequantize);

/// Factors written as a constant beside x: a number, or one for each index of the one axis of x along which the factor
/// is longer than 1 ([K,1,1,1] for a convolution's weight). Empty when it is anything else.
std::vector<double> scales_of(const Graph& graph, ValueId factor, ValueId x, int64_t& axis);
/// Not empty, and every one positive and finite.
bool are_positive(const std::vector<double>& scales);

/// Input 1 of a Conv, ConvTranspose, Gemm or MatMul: the axis of its output channels (of the product's columns), or
/// nothing while the rank is unknown or there is no such input.
std::optional<size_t> output_channel_axis(const Graph& graph, const Node& layer);
inline bool is_layer(const Node& node) { return is_any(node, {"Conv", "ConvTranspose", "Gemm", "MatMul"}); }

}  // namespace octet
