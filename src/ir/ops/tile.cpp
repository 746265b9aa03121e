// Tile(x, repeats): x repeated repeats[i] times along axis i. Source: ONNX operator Tile, opset 13.
#include "ir/ops/common.h"

namespace octet {
namespace {

Result<Shape> tiled(const NodeContext& context, const Shape& x, std::span<const int64_t> repeats) {
  if (repeats.size() != x.size())
    return context.error("has " + std::to_string(repeats.size()) + " repeats for the input " + to_string(x));
  Shape out;
  for (size_t i = 0; i < x.size(); ++i) {
    if (repeats[i] < 0 || repeats[i] > k_max_elements)
      return context.error("repeats " + list_text(repeats) + " has an impossible number");
    const Dim pair[] = {x[i], Dim(repeats[i])};
    Result<Dim> d = product(context, pair);
    if (!d) return d.error();
    out.push_back(std::move(*d));
  }
  return out;
}

Result<ValueTypes> infer(const NodeContext& context) {
  Result<std::optional<std::vector<int64_t>>> repeats = constant_ints(context, 1);
  if (!repeats) return repeats.error();
  if (!context.shape(0)) return typed(context);
  if (!*repeats) return typed(context, Shape(context.shape(0)->size()));
  Result<Shape> shape = tiled(context, *context.shape(0), **repeats);
  if (!shape) return shape.error();
  return typed(context, std::move(*shape));
}

/// y has extents [r0*d0, r1*d1, ...]; seen as [r0, d0, r1, d1, ...] it is x with strides [0, s0, 0, s1, ...].
Result<Tensors> tile(const NodeContext& context, std::span<const Tensor> inputs) {
  Result<std::vector<int64_t>> repeats = ints_of(context, inputs, 1);
  if (!repeats) return repeats.error();
  const Dims& dims = inputs[0].dims();
  Result<Shape> shape = tiled(context, to_shape(dims), *repeats);
  if (!shape) return shape.error();
  const std::vector<int64_t> dense = row_major_strides(dims);
  Dims split;
  std::vector<int64_t> strides;
  for (size_t i = 0; i < dims.size(); ++i) {
    split.insert(split.end(), {(*repeats)[i], dims[i]});
    strides.insert(strides.end(), {0, dense[i]});
  }
  Result<Tensor> y = gather_strided(inputs[0], split, strides);
  if (!y) return y.error();
  return Tensors{y->reshaped(known_dims(*shape).value())};
}

}  // namespace

const OpDef tile_op = {
    .name = "Tile",
    .min_inputs = 2,
    .max_inputs = 2,
    .infer = infer,
    .reference = tile,
    .quant = {.role = QuantRole::same_scale},
};

}  // namespace octet
