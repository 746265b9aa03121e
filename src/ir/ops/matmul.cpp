// MatMul: NumPy's matmul, batched and broadcast. Source: ONNX operator MatMul, opset 13. Sums in double, one rounding;
// integers wrap.
// MatMulInteger(a, b, a_zero_point?, b_zero_point?): y s32 = (a - a_zero_point)(b - b_zero_point), exact; a zero point
// is one number, one per row of a, or one per column of b. Source: ONNX operator MatMulInteger, opset 10.
// QuantMatMul(a, b): README.md forms 2 and 3 with acc = sum (a - za)(b - zb).
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
  const DType dtype = context.dtype(0);
  if (!is_float(dtype) && size_of(dtype) < 4)
    return context.error("input 0 is " + std::string(name(dtype)) +
                         ", expected a float type or integers of 32 or 64 bits");
  if (Result<Done> ok = require_same_dtype(context, 0, 1); !ok) return ok.error();
  Result<std::optional<Shape>> y = std::optional<Shape>();
  if (context.shape(0) && context.shape(1)) y = product_shape(context, *context.shape(0), *context.shape(1));
  if (!y) return y.error();
  return typed(context, std::move(*y));
}

/// Extents of one product, and where each of its matrices begins.
struct Product {
  Dims y_dims, batch;
  int64_t m = 0, k = 0, n = 0;
  std::array<std::vector<int64_t>, 2> strides;  // of a's and b's matrices along batch
};

Result<Product> product_of(const NodeContext& context, const Tensor& a, const Tensor& b) {
  Result<std::optional<Shape>> shape = product_shape(context, to_shape(a.dims()), to_shape(b.dims()));
  if (!shape) return shape.error();
  const Dims ad = known_dims(as_matrix(to_shape(a.dims()), true)).value();
  const Dims bd = known_dims(as_matrix(to_shape(b.dims()), false)).value();
  const Dims a_batch(ad.begin(), ad.end() - 2), b_batch(bd.begin(), bd.end() - 2);
  Result<Dims> batch = broadcast_dims(context, a_batch, b_batch);
  if (!batch) return batch.error();
  Product p{known_dims(**shape).value(),
            *batch,
            ad[ad.size() - 2],
            ad.back(),
            bd.back(),
            {broadcast_strides(a_batch, *batch), broadcast_strides(b_batch, *batch)}};
  if (!element_count(p.y_dims)) return context.error("the product " + to_string(p.y_dims) + " is too large");
  return p;
}

/// Sums of products in S, in row-major order of y.
template <class S>
std::vector<S> multiplied(const Product& p, const std::vector<S>& a, const std::vector<S>& b) {
  std::vector<S> y;
  for_each_index<2>(p.batch, p.strides, [&](int64_t, const std::array<int64_t, 2>& at) {
    const S *x = a.data() + at[0] * p.m * p.k, *w = b.data() + at[1] * p.k * p.n;
    for (int64_t i = 0; i < p.m; ++i) {
      for (int64_t j = 0; j < p.n; ++j) {
        S sum = 0;
        for (int64_t l = 0; l < p.k; ++l) sum += x[i * p.k + l] * w[l * p.n + j];
        y.push_back(sum);
      }
    }
  });
  return y;
}

/// Integers modulo 2^64, for sums that wrap.
template <class T>
std::vector<uint64_t> modular(const Tensor& t) {
  std::vector<uint64_t> values;
  for (const T v : t.as<T>()) values.push_back(static_cast<uint64_t>(v));
  return values;
}

Result<Tensors> reference(const NodeContext& context, std::span<const Tensor> inputs) {
  Result<Product> p = product_of(context, inputs[0], inputs[1]);
  if (!p) return p.error();
  if (is_float(inputs[0].dtype())) {
    const std::vector<double> sums = multiplied(*p, to_doubles(inputs[0]), to_doubles(inputs[1]));
    return from_doubles(context, inputs[0].dtype(), p->y_dims, sums);
  }
  return with_number_type(context, inputs[0].dtype(), [&]<class T>(T) -> Result<Tensors> {
    if constexpr (std::is_integral_v<T>) {
      std::vector<T> y;
      for (const uint64_t sum : multiplied(*p, modular<T>(inputs[0]), modular<T>(inputs[1])))
        y.push_back(static_cast<T>(sum));
      return Tensors{Tensor::from<T>(inputs[0].dtype(), p->y_dims, y)};
    }
    return context.error("is not defined here");  // floats have gone
  });
}

Result<ValueTypes> infer_integer(const NodeContext& context) {
  for (const size_t i : {size_t{0}, size_t{1}})
    if (Result<Done> ok = require_codes(context, i); !ok) return ok.error();
  for (const size_t i : {size_t{2}, size_t{3}})
    if (context.has_input(i))
      if (Result<Done> ok = require_same_dtype(context, i - 2, i); !ok) return ok.error();
  if (!context.shape(0) || !context.shape(1)) return ValueTypes{{DType::s32, {}}};
  Result<std::optional<Shape>> y = product_shape(context, *context.shape(0), *context.shape(1));
  if (!y) return y.error();
  return ValueTypes{{DType::s32, std::move(*y)}};
}

/// Codes of matrix i without their zero points. A list of zero points counts rows of a or columns of b.
Result<std::vector<int64_t>> centred(const NodeContext& context, std::span<const Tensor> inputs, size_t i) {
  const std::vector<int32_t> codes = code_values(inputs[i]);
  std::vector<int64_t> values(codes.begin(), codes.end());
  if (!is_present(inputs, i + 2)) return values;
  Dims dims = inputs[i].dims(), zero_dims = inputs[i + 2].dims();
  if (i == 0 && zero_dims.size() == 1 && dims.size() > 1) zero_dims.push_back(1);
  Result<Dims> both = broadcast_dims(context, dims, zero_dims);
  if (!both || *both != dims)
    return context.error("input " + std::to_string(i + 2) + " is " + to_string(inputs[i + 2].dims()) +
                         ", expected one zero point, or one for each " + (i == 0 ? "row" : "column") + " of " +
                         to_string(dims));
  const std::vector<int32_t> zero = code_values(inputs[i + 2]);
  const std::array strides = {broadcast_strides(zero_dims, dims)};
  for_each_index<1>(dims, strides, [&](int64_t k, const std::array<int64_t, 1>& at) {
    values[static_cast<size_t>(k)] -= zero[static_cast<size_t>(at[0])];
  });
  return values;
}

Result<Tensors> integer_reference(const NodeContext& context, std::span<const Tensor> inputs) {
  Result<Product> p = product_of(context, inputs[0], inputs[1]);
  if (!p) return p.error();
  Result<std::vector<int64_t>> a = centred(context, inputs, 0), b = centred(context, inputs, 1);
  if (!a) return a.error();
  if (!b) return b.error();
  std::vector<int32_t> y;
  for (const int64_t sum : multiplied(*p, *a, *b)) y.push_back(static_cast<int32_t>(sum));
  return Tensors{Tensor::from<int32_t>(DType::s32, p->y_dims, y)};
}

constexpr std::string_view k_quant_attributes[] = {"a_scale",      "a_zero_point", "b_scale",
                                                   "b_zero_point", "y_scale",      "y_zero_point",
                                                   "to",           "activation",   "activation_params"};

Result<ValueTypes> infer_quant(const NodeContext& context) {
  for (const size_t i : {size_t{0}, size_t{1}}) {
    if (Result<Done> ok = require_codes(context, i); !ok) return ok.error();
    if (Result<QuantParams> p = quant_params(context, i == 0 ? "a" : "b", context.dtype(i)); !p) return p.error();
  }
  Result<Requantize> requantize = requantize_of(context);
  if (!requantize) return requantize.error();
  if (!context.shape(0) || !context.shape(1)) return ValueTypes{{requantize->y.dtype, {}}};
  Result<std::optional<Shape>> y = product_shape(context, *context.shape(0), *context.shape(1));
  if (!y) return y.error();
  return ValueTypes{{requantize->y.dtype, std::move(*y)}};
}

Result<Tensors> quant_reference(const NodeContext& context, std::span<const Tensor> inputs) {
  Result<Requantize> requantize = requantize_of(context);
  if (!requantize) return requantize.error();
  Result<QuantParams> aq = quant_params(context, "a", inputs[0].dtype());
  Result<QuantParams> bq = quant_params(context, "b", inputs[1].dtype());
  if (!aq) return aq.error();
  if (!bq) return bq.error();
  Result<Product> p = product_of(context, inputs[0], inputs[1]);
  if (!p) return p.error();
  std::vector<int64_t> a, b;
  for (const int32_t code : code_values(inputs[0])) a.push_back(code - aq->zero_point);
  for (const int32_t code : code_values(inputs[1])) b.push_back(code - bq->zero_point);
  const float m =
      static_cast<float>(static_cast<double>(aq->scale) * static_cast<double>(bq->scale) / requantize->y_scale());
  LayerOutputs y(*requantize);
  for (const int64_t sum : multiplied(*p, a, b)) {
    Result<int32_t> acc = accumulator(context, sum);
    if (!acc) return acc.error();
    y.add(static_cast<float>(*acc) * m);
  }
  return y.tensor(p->y_dims);
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

const OpDef quant_matmul_op = {
    .name = "QuantMatMul",
    .min_inputs = 2,
    .max_inputs = 2,
    .attributes = k_quant_attributes,
    .infer = infer_quant,
    .reference = quant_reference,
    .is_onnx = false,
};

const OpDef matmul_integer_op = {
    .name = "MatMulInteger",
    .min_inputs = 2,
    .max_inputs = 4,
    .infer = infer_integer,
    .reference = integer_reference,
};

}  // namespace octet
