// Slice(x, starts, ends, axes?, steps?): NumPy's x[start:end:step] per axis. Negative starts and ends count from the
// end, out-of-range ones are clamped. Source: ONNX operator Slice, opset 13.
#include <algorithm>

#include "ir/ops/common.h"

namespace octet {
namespace {

// Exporters write "to the end" as the largest s32 or s64.
constexpr int64_t k_to_the_end = INT32_MAX;

struct Cut {
  size_t axis = 0;
  int64_t start = 0, end = 0, step = 1;
};
using Ints = std::vector<int64_t>;

Result<std::vector<Cut>> make_cuts(const NodeContext& context, size_t rank, const Ints& starts, const Ints& ends,
                                   const std::optional<Ints>& axes, const std::optional<Ints>& steps) {
  const size_t count = starts.size();
  if (ends.size() != count || (axes && axes->size() != count) || (steps && steps->size() != count) || count > rank)
    return context.error("starts, ends, axes and steps must be of one length, at most the rank " +
                         std::to_string(rank));
  Ints numbers;
  for (size_t i = 0; i < count; ++i) numbers.push_back(axes ? (*axes)[i] : static_cast<int64_t>(i));
  Result<std::vector<size_t>> normalized = normalized_axes(context, numbers, rank);
  if (!normalized) return normalized.error();
  std::vector<Cut> cuts;
  for (size_t i = 0; i < count; ++i) {
    // No extent is longer than k_max_elements, so a longer step takes just as few elements, and nothing overflows.
    const int64_t step = std::clamp(steps ? (*steps)[i] : 1, -2 * k_max_elements, 2 * k_max_elements);
    if (step == 0) return context.error("a step of 0");
    cuts.push_back({(*normalized)[i], starts[i], ends[i], step});
  }
  return cuts;
}

/// First index and number of elements of an axis of this extent.
std::pair<int64_t, int64_t> taken(const Cut& cut, int64_t extent) {
  const int64_t low = cut.step > 0 ? 0 : -1, high = cut.step > 0 ? extent : extent - 1;
  const auto placed = [&](int64_t v, int64_t lowest) {
    return std::clamp(v < 0 ? v + extent : v, lowest, std::max(lowest, high));
  };
  const int64_t start = placed(cut.start, extent == 0 ? low : 0), end = placed(cut.end, low);
  const int64_t span = cut.step > 0 ? end - start : start - end;
  const int64_t stride = std::abs(cut.step);
  return {start, span > 0 ? (span + stride - 1) / stride : 0};
}

Result<ValueTypes> infer(const NodeContext& context) {
  std::optional<Ints> inputs[5];
  bool all_constant = true;
  for (size_t i = 1; i < 5; ++i) {
    Result<std::optional<Ints>> values = constant_ints(context, i);
    if (!values) return values.error();
    inputs[i] = std::move(*values);
    all_constant = all_constant && (!context.has_input(i) || inputs[i]);
  }
  if (!context.shape(0)) return typed(context);
  Shape out = *context.shape(0);
  if (!all_constant) {
    // Axes that are not named keep their extents.
    if (inputs[3]) {
      Result<std::vector<size_t>> axes = normalized_axes(context, *inputs[3], out.size());
      if (!axes) return axes.error();
      for (const size_t a : *axes) out[a] = Dim();
      return typed(context, std::move(out));
    }
    return typed(context, Shape(out.size()));
  }
  Result<std::vector<Cut>> cuts = make_cuts(context, out.size(), *inputs[1], *inputs[2], inputs[3], inputs[4]);
  if (!cuts) return cuts.error();
  for (const Cut& cut : *cuts) {
    Dim& d = out[cut.axis];
    const bool whole = cut.start == 0 && cut.end >= k_to_the_end && cut.step == 1;
    if (d.known()) {
      d = Dim(taken(cut, d.value).second);
    } else if (!whole) {
      d = Dim();
    }
  }
  return typed(context, std::move(out));
}

Result<Tensors> slice(const NodeContext& context, std::span<const Tensor> inputs) {
  std::optional<Ints> values[5];
  for (size_t i = 1; i < 5; ++i) {
    if (i > 2 && !is_present(inputs, i)) continue;
    Result<Ints> given = ints_of(context, inputs, i);
    if (!given) return given.error();
    values[i] = std::move(*given);
  }
  Dims out = inputs[0].dims();
  Result<std::vector<Cut>> cuts = make_cuts(context, out.size(), *values[1], *values[2], values[3], values[4]);
  if (!cuts) return cuts.error();
  std::vector<int64_t> strides = row_major_strides(out);
  int64_t base = 0;
  for (const Cut& cut : *cuts) {
    const auto [start, count] = taken(cut, out[cut.axis]);
    base += start * strides[cut.axis];
    out[cut.axis] = count;
    strides[cut.axis] = count > 1 ? strides[cut.axis] * cut.step : 0;  // no step is taken from the only element
  }
  return single(gather_strided(inputs[0], out, strides, base));
}

}  // namespace

const OpDef slice_op = {
    .name = "Slice",
    .min_inputs = 3,
    .max_inputs = 5,
    .infer = infer,
    .reference = slice,
    .quant = {.role = QuantRole::same_scale},
};

}  // namespace octet
