#include "ir/ops/window.h"

#include <algorithm>

#include "base/ceil_div.h"
#include "ir/ops/common.h"

namespace octet {
namespace {

// Kernel, stride, dilation and pads stay below 2^31, extents below 2^36: no sum or product below leaves 63 bits.
constexpr int64_t k_largest = std::numeric_limits<int32_t>::max();

/// An ints attribute of `count` entries, each in [lowest, k_largest].
Result<std::vector<int64_t>> bounded(const NodeContext& context, const std::string& key, size_t count, int64_t lowest) {
  std::vector<int64_t> values = ints_attribute(context.node, key, std::vector<int64_t>(count, lowest));
  if (values.empty()) values.assign(count, lowest);
  if (values.size() != count)
    return context.error(key + "=" + to_string(values) + " has " + std::to_string(values.size()) +
                         " entries, expected " + std::to_string(count));
  for (const int64_t v : values)
    if (v < lowest || v > k_largest)
      return context.error(key + " holds " + std::to_string(v) + ", expected " + std::to_string(lowest) + " to " +
                           std::to_string(k_largest));
  return values;
}

/// a / b rounded down, for b > 0 and any a.
int64_t floor_div(int64_t a, int64_t b) { return a >= 0 ? a / b : -((-a + b - 1) / b); }

/// SAME: out = ceil(in / stride), and as much padding as that needs; the odd element goes to the named side.
void resolve_same(WindowAxis& axis, int64_t effective, bool upper) {
  axis.out = ceil_div(axis.in, axis.stride);
  const int64_t total = std::max<int64_t>((axis.out - 1) * axis.stride + effective - axis.in, 0);
  axis.pad_begin = upper ? total / 2 : total - total / 2;
  axis.pad_end = total - axis.pad_begin;
}

}  // namespace

Result<size_t> spatial_rank(const NodeContext& context, size_t rank) {
  if (rank < 3)
    return context.error("input has rank " + std::to_string(rank) + ", expected [batch, channels, spatial...]");
  if (rank > 5)
    return context.error("input has " + std::to_string(rank - 2) + " spatial axes; octet runs 1, 2 or 3",
                         ErrorCode::unsupported);
  return rank - 2;
}

Result<WindowAttributes> window_attributes(const NodeContext& context, size_t spatial) {
  WindowAttributes made;
  Result<std::vector<int64_t>> strides = bounded(context, "strides", spatial, 1);
  if (!strides) return strides.error();
  Result<std::vector<int64_t>> dilations = bounded(context, "dilations", spatial, 1);
  if (!dilations) return dilations.error();
  Result<std::vector<int64_t>> pads = bounded(context, "pads", 2 * spatial, 0);
  if (!pads) return pads.error();
  made.strides = std::move(*strides);
  made.dilations = std::move(*dilations);
  const auto middle = pads->begin() + static_cast<std::ptrdiff_t>(spatial);
  made.pads_begin.assign(pads->begin(), middle);
  made.pads_end.assign(middle, pads->end());
  made.ceil_mode = int_attribute(context.node, "ceil_mode", 0) != 0;
  const std::string word = string_attribute(context.node, "auto_pad", "NOTSET");
  if (word == "SAME_UPPER") {
    made.auto_pad = AutoPad::same_upper;
  } else if (word == "SAME_LOWER") {
    made.auto_pad = AutoPad::same_lower;
  } else if (word == "VALID") {
    made.auto_pad = AutoPad::valid;
  } else if (word != "NOTSET" && !word.empty()) {
    return context.error("auto_pad is '" + word + "', expected NOTSET, SAME_UPPER, SAME_LOWER or VALID");
  }
  return made;
}

Result<std::vector<int64_t>> kernel_shape(const NodeContext& context, size_t spatial) {
  if (!has_attribute(context.node, "kernel_shape")) return context.error("attribute kernel_shape is missing");
  return bounded(context, "kernel_shape", spatial, 1);
}

Result<WindowAxis> window_axis(const NodeContext& context, const WindowAttributes& attributes, size_t axis,
                               int64_t kernel, int64_t in) {
  if (kernel < 1 || kernel > k_largest)
    return context.error("the kernel's extent on spatial axis " + std::to_string(axis) + " is " +
                         std::to_string(kernel) + ", expected 1 to " + std::to_string(k_largest));
  WindowAxis made{
      .in = in, .kernel = kernel, .stride = attributes.strides[axis], .dilation = attributes.dilations[axis]};
  const int64_t effective = (kernel - 1) * made.dilation + 1;
  if (attributes.auto_pad == AutoPad::same_upper || attributes.auto_pad == AutoPad::same_lower) {
    resolve_same(made, effective, attributes.auto_pad == AutoPad::same_upper);
    return made;
  }
  if (attributes.auto_pad == AutoPad::explicit_pads) {
    made.pad_begin = attributes.pads_begin[axis];
    made.pad_end = attributes.pads_end[axis];
  }
  const int64_t room = in + made.pad_begin + made.pad_end - effective;
  // ceil_mode: one window may reach over the whole padded input, by less than a stride (PyTorch).
  if (room < 0 && (!attributes.ceil_mode || room <= -made.stride))
    return context.error("on spatial axis " + std::to_string(axis) + " the kernel covers " + std::to_string(effective) +
                         " elements, but the padded input has only " + std::to_string(effective + room));
  made.out = (attributes.ceil_mode ? ceil_div(room, made.stride) : room / made.stride) + 1;
  // A last window that would start in the padding behind the input is dropped (ONNX MaxPool-22; PyTorch).
  if (attributes.ceil_mode && made.out > 1 && (made.out - 1) * made.stride >= in + made.pad_begin) --made.out;
  return made;
}

Result<Dim> window_extent(const NodeContext& context, const WindowAttributes& attributes, size_t axis,
                          const Dim& kernel, const Dim& in) {
  if (in.known() && kernel.known()) {
    Result<WindowAxis> made = window_axis(context, attributes, axis, kernel.value, in.value);
    if (!made) return made.error();
    return Dim(made->out);
  }
  if (attributes.strides[axis] != 1) return Dim();
  if (attributes.auto_pad == AutoPad::same_upper || attributes.auto_pad == AutoPad::same_lower) return in;
  if (!kernel.known() || kernel.value > k_largest) return Dim();
  const int64_t pads =
      attributes.auto_pad == AutoPad::valid ? 0 : attributes.pads_begin[axis] + attributes.pads_end[axis];
  return pads == (kernel.value - 1) * attributes.dilations[axis] ? in : Dim();
}

std::pair<int64_t, int64_t> outputs_of_tap(const WindowAxis& axis, int64_t k) {
  const int64_t shift = axis.pad_begin - k * axis.dilation;  // input = o * stride - shift
  const int64_t first = std::max<int64_t>(ceil_div(shift, axis.stride), 0);
  const int64_t last = std::min(floor_div(axis.in - 1 + shift, axis.stride) + 1, axis.out);
  return {first, std::max(first, last)};
}

TapRange taps_of_output(const WindowAxis& axis, int64_t o) {
  const int64_t start = o * axis.stride - axis.pad_begin;
  TapRange made;
  made.begin = std::clamp<int64_t>(ceil_div(-start, axis.dilation), 0, axis.kernel);
  made.end = std::clamp(floor_div(axis.in - 1 - start, axis.dilation) + 1, made.begin, axis.kernel);
  made.padded = std::clamp<int64_t>(floor_div(axis.in + axis.pad_end - 1 - start, axis.dilation) + 1, 0, axis.kernel);
  return made;
}

}  // namespace octet
