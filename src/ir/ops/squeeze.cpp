// Squeeze removes extents of 1, Unsqueeze inserts them. axes is an input; Squeeze without it removes every 1.
// Source: ONNX operators Squeeze and Unsqueeze, opset 13.
#include <algorithm>

#include "ir/ops/common.h"

namespace octet {
namespace {

using Axes = std::optional<std::vector<int64_t>>;

/// Nothing when the rank depends on an extent that is not known.
Result<std::optional<Shape>> squeezed(const NodeContext& context, const Shape& x, const Axes& axes) {
  Shape out;
  if (!axes) {
    for (const Dim& d : x) {
      if (!d.known()) return std::optional<Shape>();
      if (d.value != 1) out.push_back(d);
    }
    return std::optional(std::move(out));
  }
  Result<std::vector<size_t>> gone = normalized_axes(context, *axes, x.size());
  if (!gone) return gone.error();
  for (size_t i = 0; i < x.size(); ++i) {
    if (std::find(gone->begin(), gone->end(), i) == gone->end()) {
      out.push_back(x[i]);
    } else if (x[i].known() && x[i].value != 1) {
      return context.error("axis " + std::to_string(i) + " of " + to_string(x) + " is not 1 and cannot be squeezed");
    }
  }
  return std::optional(std::move(out));
}

Result<ValueTypes> infer_squeeze(const NodeContext& context) {
  Result<Axes> axes = constant_ints(context, 1);
  if (!axes) return axes.error();
  if (!context.shape(0) || (context.has_input(1) && !*axes)) return typed(context);
  Result<std::optional<Shape>> shape = squeezed(context, *context.shape(0), *axes);
  if (!shape) return shape.error();
  return typed(context, std::move(*shape));
}

Result<Tensors> squeeze(const NodeContext& context, std::span<const Tensor> inputs) {
  Axes axes;
  if (is_present(inputs, 1)) {
    Result<std::vector<int64_t>> given = ints_of(context, inputs, 1);
    if (!given) return given.error();
    axes = std::move(*given);
  }
  Result<std::optional<Shape>> shape = squeezed(context, to_shape(inputs[0].dims()), axes);
  if (!shape) return shape.error();
  return Tensors{inputs[0].reshaped(known_dims(shape->value()).value())};
}

Result<Shape> unsqueezed(const NodeContext& context, const Shape& x, std::span<const int64_t> axes) {
  const size_t rank = x.size() + axes.size();
  Result<std::vector<size_t>> added = normalized_axes(context, axes, rank);
  if (!added) return added.error();
  Shape out;
  for (size_t i = 0, from = 0; i < rank; ++i) {
    const bool is_new = std::find(added->begin(), added->end(), i) != added->end();
    out.push_back(is_new ? Dim(1) : x[from++]);
  }
  return out;
}

Result<ValueTypes> infer_unsqueeze(const NodeContext& context) {
  Result<Axes> axes = constant_ints(context, 1);
  if (!axes) return axes.error();
  if (!context.shape(0) || !*axes) return typed(context);
  Result<Shape> shape = unsqueezed(context, *context.shape(0), **axes);
  if (!shape) return shape.error();
  return typed(context, std::move(*shape));
}

Result<Tensors> unsqueeze(const NodeContext& context, std::span<const Tensor> inputs) {
  Result<std::vector<int64_t>> axes = ints_of(context, inputs, 1);
  if (!axes) return axes.error();
  Result<Shape> shape = unsqueezed(context, to_shape(inputs[0].dims()), *axes);
  if (!shape) return shape.error();
  return Tensors{inputs[0].reshaped(known_dims(*shape).value())};
}

}  // namespace

const OpDef squeeze_op = {
    .name = "Squeeze",
    .min_inputs = 1,
    .max_inputs = 2,
    .infer = infer_squeeze,
    .reference = squeeze,
    .quant = {.role = QuantRole::same_scale},
};

const OpDef unsqueeze_op = {
    .name = "Unsqueeze",
    .min_inputs = 2,
    .max_inputs = 2,
    .infer = infer_unsqueeze,
    .reference = unsqueeze,
    .quant = {.role = QuantRole::same_scale},
};

}  // namespace octet
