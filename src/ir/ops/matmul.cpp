// MatMul: NumPy's matmul, batched and broadcast. Source: ONNX operator MatMul, opset 13. Sums in double, one rounding.
#include "ir/ops/common.h"
#include "ir/ops/fused.h"

namespace octet {
namespace {

/// A vector becomes a matrix with a leading (left) or trailing (right) extent of 1, as NumPy does.
Shape as_matrix(const Shape& shape, bool left) {
  if (shape.size() != 1) return shape;
  return left ? Shape{Dim(1), shape[0]} : Shape{shape[0], Dim(1)};
}

Result<std::optional<Shape>> product_shape(const NodeContext& context, const Shape& a_in, const Shape& b_in) {
  if (a_in.empty() || b_in.empty()) return context.error("scalars cannot be multiplied as matrices; use Mul");
  const Shape a = as_matrix(a_in, true), b = as_matrix(b_in, false);
  const Dim &ka = a.back(), &kb = b[b.size() - 2];
  if (ka.known() && kb.known() && ka.value != kb.value)
    return context.error("input 0 is " + to_string(a_in) + " and input 1 is " + to_string(b_in) +
                         ": the inner extents " + std::to_string(ka.value) + " and " + std::to_string(kb.value) +
                         " differ");
  Result<Shape> y = broadcast_shapes(context, Shape(a.begin(), a.end() - 2), Shape(b.begin(), b.end() - 2));
  if (!y) return y.error();
  if (a_in.size() > 1) y->push_back(a[a.size() - 2]);
  if (b_in.size() > 1) y->push_back(b.back());
  return std::optional<Shape>(std::move(*y));
}

Result<ValueTypes> infer(const NodeContext& context) {
  if (Result<Done> ok = require_float(context, 0); !ok) return ok.error();
  if (Result<Done> ok = require_same_dtype(context, 0, 1); !ok) return ok.error();
  if (!context.shape(0) || !context.shape(1)) return typed(context);
  Result<std::optional<Shape>> y = product_shape(context, *context.shape(0), *context.shape(1));
  if (!y) return y.error();
  return typed(context, std::move(*y));
}

Result<Tensors> reference(const NodeContext& context, std::span<const Tensor> inputs) {
  Result<std::optional<Shape>> shape = product_shape(context, to_shape(inputs[0].dims()), to_shape(inputs[1].dims()));
  if (!shape) return shape.error();
  const Dims ad = known_dims(as_matrix(to_shape(inputs[0].dims()), true)).value();
  const Dims bd = known_dims(as_matrix(to_shape(inputs[1].dims()), false)).value();
  const int64_t m = ad[ad.size() - 2], k = ad.back(), n = bd.back();
  Result<Dims> batch = broadcast_dims(context, Dims(ad.begin(), ad.end() - 2), Dims(bd.begin(), bd.end() - 2));
  if (!batch) return batch.error();
  const Dims y_dims = known_dims(**shape).value();
  if (!element_count(y_dims)) return context.error("the product " + to_string(y_dims) + " is too large");
  const std::array strides = {broadcast_strides(Dims(ad.begin(), ad.end() - 2), *batch),
                              broadcast_strides(Dims(bd.begin(), bd.end() - 2), *batch)};
  const std::vector<double> a = to_doubles(inputs[0]), b = to_doubles(inputs[1]);
  std::vector<float> y;
  for_each_index<2>(*batch, strides, [&](int64_t, const std::array<int64_t, 2>& at) {
    const double *x = a.data() + at[0] * m * k, *w = b.data() + at[1] * k * n;
    for (int64_t i = 0; i < m; ++i) {
      for (int64_t j = 0; j < n; ++j) {
        double sum = 0;
        for (int64_t l = 0; l < k; ++l) sum += x[i * k + l] * w[l * n + j];
        y.push_back(static_cast<float>(sum));
      }
    }
  });
  return from_f32(context, inputs[0].dtype(), y_dims, y);
}

}  // namespace

const OpDef matmul_op = {
    .name = "MatMul",
    .min_inputs = 2,
    .max_inputs = 2,
    .infer = infer,
    .reference = reference,
    .quant = {.role = QuantRole::weighted, .weight_input = 1, .weight_axis = 1},
};

}  // namespace octet
