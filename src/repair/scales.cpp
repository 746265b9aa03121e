// src/repair/scales.cpp: scales that are no scales. A DequantizeLinear with scale 0 makes zeros, so its codes become
// zero points and the scale the median of its siblings; a subnormal scale (below 2^-126) makes numbers that no sum
// notices, and is taken as 0. A negative scale is the positive one with codes and zero point mirrored. A scale that is
// NaN or infinite, and a zero or subnormal scale of an activation, cannot be mended; verify() names them.

#include <algorithm>
#include <cmath>

#include "repair/parameters.h"
#include "repair/repair.h"

namespace octet {
namespace {

bool is_good(float s) { return s > 0 && std::isnormal(s); }

/// The middle one of the good scales, 1 without any.
float median_scale(std::span<const float> scales) {
  std::vector<float> good;
  std::copy_if(scales.begin(), scales.end(), std::back_inserter(good), is_good);
  if (good.empty()) return 1.0f;
  std::nth_element(good.begin(), good.begin() + static_cast<std::ptrdiff_t>(good.size() / 2), good.end());
  return good[good.size() / 2];
}

struct Mended {
  std::vector<float> scales;
  std::vector<bool> zero, mirrored;
  int64_t zeros = 0, negatives = 0, subnormals = 0;  // zeros counts subnormals too
  double largest_subnormal = 0;
};

/// Nothing when there is nothing to mend or something that cannot be.
std::optional<Mended> mended_scales(const Tensor& tensor) {
  const std::span<const float> scales = tensor.as<float>();
  Mended made{{scales.begin(), scales.end()}, std::vector<bool>(scales.size()), std::vector<bool>(scales.size())};
  for (size_t c = 0; c < scales.size(); ++c) {
    if (!std::isfinite(scales[c])) return std::nullopt;
    const float size = std::abs(scales[c]);
    made.zero[c] = !std::isnormal(scales[c]);
    made.mirrored[c] = scales[c] < 0 && !made.zero[c];
    made.subnormals += size > 0 && made.zero[c];
    if (made.zero[c]) made.largest_subnormal = std::max(made.largest_subnormal, double{size});
    made.zeros += made.zero[c];
    made.negatives += made.mirrored[c];
    made.scales[c] = std::abs(scales[c]);
  }
  if (made.zeros + made.negatives == 0) return std::nullopt;
  const float median = median_scale(made.scales);
  for (size_t c = 0; c < scales.size(); ++c)
    if (made.zero[c]) made.scales[c] = median;
  return made;
}

std::string before_text(const Mended& mended) {
  const std::string count = " of " + std::to_string(mended.scales.size()) + " scales ";
  if (mended.negatives == 0)
    return std::to_string(mended.zeros) + count + (mended.subnormals > 0 ? "0 or subnormal" : "0");
  if (mended.zeros == 0) return std::to_string(mended.negatives) + count + "negative";
  return std::to_string(mended.zeros + mended.negatives) + count + "0 or negative";
}

const char* const k_end_of_range = "a value at the lowest code moves by one step";

/// Codes of a constant under the mended scales. clamped counts those that have no mirror image.
std::vector<int32_t> mended_codes(const StoredCodes& stored, const Mended& mended, int32_t low, int32_t high,
                                  int64_t& clamped) {
  std::vector<int32_t> codes;
  for (size_t i = 0; i < stored.codes.size(); ++i) {
    const size_t c = stored.channel(i);
    int64_t code = mended.zero[c] ? 0 : mended.mirrored[c] ? -stored.codes[i] : stored.codes[i];
    if (code < low || code > high) ++clamped;
    codes.push_back(static_cast<int32_t>(std::clamp<int64_t>(code, low, high)));
  }
  return codes;
}

/// Zero points, one for each scale; empty where they are computed or do not fit the scales.
std::vector<int64_t> zero_points(const Graph& graph, const Node& node, size_t scales) {
  if (input(node, 2) == k_absent) return std::vector<int64_t>(scales, 0);
  const std::optional<std::vector<int64_t>> zero = constant_ints(graph, input(node, 2));
  if (!zero || (zero->size() != 1 && zero->size() != scales)) return {};
  return zero->size() == 1 ? std::vector<int64_t>(scales, zero->front()) : *zero;
}

/// Codes q of zero point z become top - q of zero point top - z: the mirror image of all codes, ends included.
int64_t mirror_top(DType dtype) { return dtype == DType::u8 ? 255 : -1; }

std::vector<int32_t> mirrored_zero_points(const std::vector<int64_t>& zeros, const Mended& mended, DType dtype) {
  std::vector<int32_t> made;
  for (size_t c = 0; c < zeros.size(); ++c)
    made.push_back(static_cast<int32_t>(mended.mirrored[c] ? mirror_top(dtype) - zeros[c] : zeros[c]));
  return made;
}

/// "numbers below 1e-40 become 0", or nothing without subnormal scales. steps: the most that a code is from its zero.
std::string subnormal_text(const Mended& mended, double steps) {
  if (mended.subnormals == 0) return "";
  return "numbers below " + short_text(mended.largest_subnormal * steps) + " become 0";
}

/// Zero points of a tensor of scales in its shape.
ValueId add_zero_points(Editor& editor, const Node& node, DType dtype, const std::vector<int32_t>& zeros) {
  const Graph& graph = editor.graph();
  const std::string base = input(node, 2) == k_absent ? graph.value(node.inputs[1]).name + "_zero_point"
                                                      : graph.value(node.inputs[2]).name + "_mended";
  return editor.add_constant(base, code_tensor(dtype, graph.constant(node.inputs[1])->dims(), zeros));
}

/// A DequantizeLinear of s8 or u8 codes with zero points: what is mirrored keeps both ends of its range.
void mend_constant_with_zero_points(Editor& editor, NodeId id, const Mended& mended, const StoredCodes& stored,
                                    RepairLog& log) {
  Graph& graph = editor.graph();
  Node node = editor.node(id);
  const DType dtype = graph.value(node.inputs[0]).dtype;
  const std::vector<int64_t> zeros = zero_points(graph, node, mended.scales.size());
  if (zeros.empty()) return;
  std::vector<int32_t> codes;
  for (size_t i = 0; i < stored.codes.size(); ++i) {
    const size_t c = stored.channel(i);
    const int64_t code = stored.codes[i] + zeros[c];
    codes.push_back(static_cast<int32_t>(mended.zero[c]       ? zeros[c]
                                         : mended.mirrored[c] ? mirror_top(dtype) - code
                                                              : code));
  }
  log.add(label(graph, node), before_text(mended), "positive scales, the same numbers", subnormal_text(mended, 255));
  const ValueId zero = add_zero_points(editor, node, dtype, mirrored_zero_points(zeros, mended, dtype));
  node.inputs.resize(3, k_absent);
  node.inputs[2] = zero;
  node.inputs[0] =
      editor.add_constant(graph.value(node.inputs[0]).name + "_mended", code_tensor(dtype, stored.dims, codes));
  const Dims dims = graph.constant(node.inputs[1])->dims();
  node.inputs[1] = editor.add_constant(graph.value(node.inputs[1]).name + "_mended", f32_tensor(dims, mended.scales));
  editor.replace(id, std::move(node));
}

/// A DequantizeLinear of s8, u8 or s32 codes.
void mend_constant(Editor& editor, NodeId id, RepairLog& log) {
  Graph& graph = editor.graph();
  const Node node = editor.node(id);
  const std::optional<Mended> mended = mended_scales(*graph.constant(node.inputs[1]));
  const std::optional<StoredCodes> stored = stored_codes(graph, node);
  const DType dtype = graph.value(node.inputs[0]).dtype;
  if (!mended || !stored || (!is_code(dtype) && dtype != DType::s32)) return;
  const std::optional<std::vector<int64_t>> zero = constant_ints(graph, input(node, 2));
  const bool has_zero_points = zero && std::any_of(zero->begin(), zero->end(), [](int64_t z) { return z != 0; });
  if (is_code(dtype) && (has_zero_points || dtype == DType::u8))
    return mend_constant_with_zero_points(editor, id, *mended, *stored, log);
  if (has_zero_points) return;
  int64_t clamped = 0;
  const int32_t limit = dtype == DType::s8 ? 127 : 0x7fffffff;
  const std::vector<int32_t> codes = mended_codes(*stored, *mended, -limit - 1, limit, clamped);
  std::string change = clamped ? k_end_of_range : "";
  if (mended->subnormals > 0)
    change += (clamped ? "; " : "") + subnormal_text(*mended, dtype == DType::s8 ? 128.0 : 0x1p31);
  log.add(label(graph, node), before_text(*mended), "positive scales, the same numbers", change);
  const std::string base = graph.value(node.inputs[0]).name;
  editor.set_input(id, 0, editor.add_constant(base + "_mended", code_tensor(dtype, stored->dims, codes)));
  const Dims dims = graph.constant(node.inputs[1])->dims();
  editor.set_input(id, 1,
                   editor.add_constant(graph.value(node.inputs[1]).name + "_mended", f32_tensor(dims, mended->scales)));
}

/// Codes of 4 bits in blocks (ONNX Runtime's symmetric quantizer makes a block's scale largest / -8, negative as often
/// as not): -8 has no mirror image among them, so the mirrored codes less their zero points are stored as s8.
void mend_blocks(Editor& editor, NodeId id, RepairLog& log) {
  Graph& graph = editor.graph();
  Node node = editor.node(id);
  const Tensor& codes = *graph.constant(node.inputs[0]);
  const Tensor& scale = *graph.constant(node.inputs[1]);
  const std::optional<Mended> mended = mended_scales(scale);
  const auto rank = static_cast<int64_t>(codes.rank());
  const int64_t block = int_attribute(node, "block_size", 0), axis = int_attribute(node, "axis", 1);
  if (!mended || (codes.dtype() != DType::s4 && codes.dtype() != DType::u4) || axis < -rank || axis >= rank) return;
  const auto d = static_cast<size_t>(axis < 0 ? axis + rank : axis);
  Dims wanted = codes.dims();
  wanted[d] = (wanted[d] + block - 1) / block;
  if (scale.dims() != wanted) return;
  const std::optional<std::vector<int64_t>> q = constant_ints(graph, node.inputs[0]);
  const std::optional<std::vector<int64_t>> zero = constant_ints(graph, input(node, 2));
  if (!q || (input(node, 2) != k_absent && (!zero || zero->size() != mended->scales.size()))) return;
  size_t inner = 1;
  for (size_t after = d + 1; after < codes.rank(); ++after) inner *= static_cast<size_t>(wanted[after]);
  const auto extent = static_cast<size_t>(codes.dims()[d]), count = static_cast<size_t>(wanted[d]);
  std::vector<int32_t> made;
  for (size_t i = 0; i < q->size(); ++i) {
    const size_t outer = i / (inner * extent), k = i / inner % extent / static_cast<size_t>(block);
    const size_t at = (outer * count + k) * inner + i % inner;
    const int64_t code = (*q)[i] - (zero ? (*zero)[at] : 0);
    made.push_back(static_cast<int32_t>(mended->zero[at] ? 0 : mended->mirrored[at] ? -code : code));
  }
  log.add(label(graph, node), before_text(*mended) + " of blocks", "s8 codes, positive scales, the same numbers");
  node.inputs[0] =
      editor.add_constant(graph.value(node.inputs[0]).name + "_mended", code_tensor(DType::s8, codes.dims(), made));
  node.inputs[1] =
      editor.add_constant(graph.value(node.inputs[1]).name + "_mended", f32_tensor(scale.dims(), mended->scales));
  if (input(node, 2) != k_absent)
    node.inputs[2] =
        editor.add_constant(graph.value(node.inputs[2]).name + "_mended",
                            code_tensor(DType::s8, scale.dims(), std::vector<int32_t>(mended->scales.size(), 0)));
  editor.replace(id, std::move(node));
}

/// The numbers of a constant whose channels of scale 0 are zeros, as the pair behind it makes them.
Tensor without_dead_channels(const Tensor& numbers, const Mended& mended, size_t axis) {
  std::vector<float> made(numbers.as<float>().begin(), numbers.as<float>().end());
  size_t inner = 1;
  for (size_t d = axis + 1; d < numbers.rank(); ++d) inner *= static_cast<size_t>(numbers.dims()[d]);
  for (size_t i = 0; i < made.size(); ++i)
    if (mended.zero[mended.scales.size() == 1 ? 0 : i / inner % mended.scales.size()]) made[i] = 0.0f;
  return f32_tensor(numbers.dims(), made);
}

/// The axis along which the scales of a constant's QuantizeLinear lie, or nothing when they do not fit it.
std::optional<size_t> scale_axis(const Node& node, const Tensor& numbers, size_t scales) {
  if (scales == 1) return 0;
  const auto rank = static_cast<int64_t>(numbers.rank());
  const int64_t axis = int_attribute(node, "axis", 1), at = axis < 0 ? axis + rank : axis;
  if (at < 0 || at >= rank || numbers.dims()[static_cast<size_t>(at)] != static_cast<int64_t>(scales)) return {};
  return static_cast<size_t>(at);
}

/// The one DequantizeLinear of a QuantizeLinear's codes, of the same constant scales and zero points, or -1.
NodeId reader_alike(const Editor& editor, const Node& quantize) {
  const Graph& graph = editor.graph();
  const NodeId reader = editor.only_reader(quantize.outputs[0]);
  if (reader < 0 || !is_dequantize(editor.node(reader))) return -1;
  const Node& dequantize = editor.node(reader);
  const Tensor* other = constant_of(graph, dequantize.inputs[1], DType::f32);
  if (!other || !(*other == *graph.constant(quantize.inputs[1])) || int_attribute(quantize, "block_size", 0) != 0 ||
      int_attribute(dequantize, "block_size", 0) != 0)
    return -1;
  const auto scales = static_cast<size_t>(other->size());
  if (scales > 1 && int_attribute(quantize, "axis", 1) != int_attribute(dequantize, "axis", 1)) return -1;
  const std::vector<int64_t> zeros = zero_points(graph, quantize, scales);
  return !zeros.empty() && zeros == zero_points(graph, dequantize, scales) ? reader : -1;
}

/// A QuantizeLinear and its one DequantizeLinear with the same parameters: a pair of negative scales rounds as one of
/// positive scales does, with the mirror image of its zero point. s8 around 0 stays so: of its codes -128 has no mirror
/// image. A scale of 0 makes zeros whatever comes in, which is mended where what comes in is constant.
void mend_pair(Editor& editor, NodeId quantize, RepairLog& log) {
  Graph& graph = editor.graph();
  Node node = editor.node(quantize);
  const std::optional<Mended> mended = mended_scales(*graph.constant(node.inputs[1]));
  const DType dtype = graph.value(node.outputs[0]).dtype;
  const NodeId reader = mended && is_code(dtype) ? reader_alike(editor, node) : -1;
  if (reader < 0) return;
  const Tensor* numbers = constant_of(graph, node.inputs[0], DType::f32);
  const std::optional<size_t> axis = numbers ? scale_axis(node, *numbers, mended->scales.size()) : std::nullopt;
  if (mended->zeros > 0 && !axis) return;
  const std::vector<int64_t> zeros = zero_points(graph, node, mended->scales.size());
  const bool around_0 =
      dtype == DType::s8 && std::all_of(zeros.begin(), zeros.end(), [](int64_t zero) { return zero == 0; });
  std::string change = around_0 && mended->negatives > 0 ? k_end_of_range : "";
  if (mended->subnormals > 0) change += (change.empty() ? "" : "; ") + subnormal_text(*mended, 255);
  log.add(label(graph, node), before_text(*mended), "positive scales, the same numbers", change);
  if (mended->zeros > 0)
    node.inputs[0] = editor.add_constant(graph.value(node.inputs[0]).name + "_mended",
                                         without_dead_channels(*numbers, *mended, *axis));
  Node other = editor.node(reader);
  if (!around_0) {
    const ValueId zero = add_zero_points(editor, node, dtype, mirrored_zero_points(zeros, *mended, dtype));
    node.inputs.resize(3, k_absent);
    other.inputs.resize(3, k_absent);
    node.inputs[2] = other.inputs[2] = zero;
  }
  const Dims dims = graph.constant(node.inputs[1])->dims();
  node.inputs[1] = editor.add_constant(graph.value(node.inputs[1]).name + "_mended", f32_tensor(dims, mended->scales));
  other.inputs[1] = node.inputs[1];
  editor.replace(quantize, std::move(node));
  editor.replace(reader, std::move(other));
}

}  // namespace

Result<Done> scales(Graph& graph, RepairLog& log) {
  Editor editor(graph);
  for (NodeId id = 0; id < editor.node_count(); ++id) {
    const Node& node = editor.node(id);
    if (!is_q_or_dq(node) || !constant_of(graph, node.inputs[1], DType::f32)) continue;
    if (is_quantize(node))
      mend_pair(editor, id, log);
    else if (graph.constant(node.inputs[0]) && int_attribute(node, "block_size", 0) > 0)
      mend_blocks(editor, id, log);
    else if (graph.constant(node.inputs[0]))
      mend_constant(editor, id, log);
  }
  return Done{};
}

}  // namespace octet
