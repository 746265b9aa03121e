// Gemm: y = alpha * A' * B' + beta * C with optional transposes. Source: ONNX operator Gemm, opset 13.
// FusedGemm: y = act(x [M,K] * w [N,K]^T + b [N]). QuantGemm: the same on codes, README.md forms 1 to 3.
// The judge of accuracy: sums in double, one rounding.
#include "ir/ops/common.h"
#include "ir/ops/convolution.h"
#include "ir/ops/fused.h"

namespace octet {
namespace {

constexpr std::string_view k_gemm_attributes[] = {"alpha", "beta", "transA", "transB"};
constexpr std::string_view k_fused_attributes[] = {"activation", "activation_params"};
constexpr std::string_view k_quant_attributes[] = {"x_scale", "x_zero_point", "y_scale",          "y_zero_point",
                                                   "to",      "activation",   "activation_params"};

/// [M,N] of [M,K] and [N,K] (transposed B) or [K,N]; an Error when the Ks differ.
Result<std::optional<Shape>> product_shape(const NodeContext& context, bool trans_a, bool trans_b) {
  for (const size_t i : {size_t{0}, size_t{1}})
    if (Result<Done> ok = require_rank(context, i, 2); !ok) return ok.error();
  if (!context.shape(0) || !context.shape(1)) return std::optional<Shape>();
  const Shape &a = *context.shape(0), &b = *context.shape(1);
  const Dim &ka = a[trans_a ? 0 : 1], &kb = b[trans_b ? 1 : 0];
  if (ka.known() && kb.known() && ka.value != kb.value)
    return context.error("input 0 is " + to_string(a) + " and input 1 is " + to_string(b) +
                         (trans_b ? " (transposed)" : "") + ": the inner extents " + std::to_string(ka.value) +
                         " and " + std::to_string(kb.value) + " differ");
  return std::optional<Shape>(Shape{a[trans_a ? 1 : 0], b[trans_b ? 0 : 1]});
}

Result<ValueTypes> infer_gemm(const NodeContext& context) {
  if (Result<Done> ok = require_float(context, 0); !ok) return ok.error();
  if (Result<Done> ok = require_same_dtype(context, 0, 1); !ok) return ok.error();
  Result<std::optional<Shape>> y = product_shape(context, int_attribute(context.node, "transA", 0) != 0,
                                                 int_attribute(context.node, "transB", 0) != 0);
  if (!y) return y.error();
  if (*y && context.has_input(2) && context.shape(2)) {
    Result<Shape> sum = broadcast_shapes(context, **y, *context.shape(2));
    if (!sum) return sum.error();
    if (sum->size() != 2 || (known_dims(**y) && *sum != **y))
      return context.error("input C " + to_string(*context.shape(2)) + " does not broadcast to " + to_string(**y));
  }
  return typed(context, std::move(*y));
}

/// Row-major [rows, cols] of a rank-2 tensor, transposed on request, as doubles.
std::vector<double> matrix(const Tensor& t, bool transposed) {
  const std::vector<double> in = to_doubles(t);
  if (!transposed) return in;
  const auto rows = static_cast<size_t>(t.dims()[0]), cols = static_cast<size_t>(t.dims()[1]);
  std::vector<double> out(in.size());
  for (size_t i = 0; i < rows; ++i)
    for (size_t j = 0; j < cols; ++j) out[j * rows + i] = in[i * cols + j];
  return out;
}

Result<Tensors> gemm(const NodeContext& context, std::span<const Tensor> inputs) {
  const bool trans_a = int_attribute(context.node, "transA", 0) != 0,
             trans_b = int_attribute(context.node, "transB", 0) != 0;
  const double alpha = float_attribute(context.node, "alpha", 1), beta = float_attribute(context.node, "beta", 1);
  const Dims &ad = inputs[0].dims(), &bd = inputs[1].dims();
  if (ad.size() != 2 || bd.size() != 2 || ad[trans_a ? 0 : 1] != bd[trans_b ? 1 : 0])
    return context.error("cannot multiply " + to_string(ad) + " and " + to_string(bd));
  const int64_t m = ad[trans_a ? 1 : 0], n = bd[trans_b ? 0 : 1], k = ad[trans_a ? 0 : 1];
  const Dims dims = {m, n};
  if (!element_count(dims)) return context.error("the product " + to_string(dims) + " is too large");
  const std::vector<double> a = matrix(inputs[0], trans_a), b = matrix(inputs[1], !trans_b);  // b: [N,K]
  std::vector<double> c;
  std::vector<int64_t> c_strides(2, 0);
  if (is_present(inputs, 2)) {
    Result<Dims> sum = broadcast_dims(context, dims, inputs[2].dims());
    if (!sum || *sum != dims)
      return context.error("input C " + to_string(inputs[2].dims()) + " does not broadcast to " + to_string(dims));
    c = to_doubles(inputs[2]);
    c_strides = broadcast_strides(inputs[2].dims(), dims);
  }
  std::vector<float> y(static_cast<size_t>(m * n));
  for (int64_t i = 0; i < m; ++i) {
    for (int64_t j = 0; j < n; ++j) {
      double sum = 0;
      for (int64_t l = 0; l < k; ++l) sum += a[static_cast<size_t>(i * k + l)] * b[static_cast<size_t>(j * k + l)];
      sum *= alpha;
      if (!c.empty()) sum += beta * c[static_cast<size_t>(i * c_strides[0] + j * c_strides[1])];
      y[static_cast<size_t>(i * n + j)] = static_cast<float>(sum);
    }
  }
  return from_f32(context, inputs[0].dtype(), dims, y);
}

Result<ValueTypes> infer_fused(const NodeContext& context) {
  if (Result<Done> ok = require_float(context, 0); !ok) return ok.error();
  for (size_t i = 1; i < context.input_count(); ++i)
    if (context.has_input(i))
      if (Result<Done> ok = require_same_dtype(context, 0, i); !ok) return ok.error();
  if (Result<FusedActivation> act = fused_activation(context); !act) return act.error();
  Result<std::optional<Shape>> y = product_shape(context, false, true);
  if (!y) return y.error();
  if (*y && context.has_input(2))
    if (Result<Done> ok = require_channels(context, 2, context.shape(2), (**y)[1]); !ok) return ok.error();
  return typed(context, std::move(*y));
}

Result<Tensors> fused_gemm(const NodeContext& context, std::span<const Tensor> inputs) {
  Result<FusedActivation> act = fused_activation(context);
  if (!act) return act.error();
  const Dims &xd = inputs[0].dims(), &wd = inputs[1].dims();
  if (xd.size() != 2 || wd.size() != 2 || xd[1] != wd[1])
    return context.error("cannot multiply " + to_string(xd) + " and " + to_string(wd) + " transposed");
  const int64_t m = xd[0], n = wd[0], k = xd[1];
  if (!element_count(Dims{m, n})) return context.error("the product " + to_string(Dims{m, n}) + " is too large");
  Result<std::vector<float>> bias = channel_values(context, inputs, 2, n);
  if (!bias) return bias.error();
  const std::vector<double> x = to_doubles(inputs[0]), w = to_doubles(inputs[1]);
  std::vector<float> y(static_cast<size_t>(m * n));
  for (int64_t i = 0; i < m; ++i) {
    for (int64_t j = 0; j < n; ++j) {
      double sum = bias->empty() ? 0.0 : (*bias)[static_cast<size_t>(j)];
      for (int64_t l = 0; l < k; ++l) sum += x[static_cast<size_t>(i * k + l)] * w[static_cast<size_t>(j * k + l)];
      y[static_cast<size_t>(i * n + j)] = (*act)(static_cast<float>(sum));
    }
  }
  return from_f32(context, inputs[0].dtype(), {m, n}, y);
}

Result<ValueTypes> infer_quant(const NodeContext& context) {
  if (Result<Done> ok = require_codes(context, 0); !ok) return ok.error();
  if (context.dtype(1) != DType::s8 || context.dtype(2) != DType::f32)
    return context.error("the weight is " + std::string(name(context.dtype(1))) + " and w_scale " +
                         std::string(name(context.dtype(2))) + ", expected s8 and f32");
  if (context.has_input(3) && context.dtype(3) != DType::s32)
    return context.error("the bias is " + std::string(name(context.dtype(3))) + ", expected s32");
  if (Result<QuantParams> x = quant_params(context, "x", context.dtype(0)); !x) return x.error();
  Result<Requantize> requantize = requantize_of(context);
  if (!requantize) return requantize.error();
  Result<std::optional<Shape>> y = product_shape(context, false, true);
  if (!y) return y.error();
  for (const size_t i : {size_t{2}, size_t{3}})
    if (*y && context.has_input(i))
      if (Result<Done> ok = require_channels(context, i, context.shape(i), (**y)[1]); !ok) return ok.error();
  return ValueTypes{{requantize->y.dtype, std::move(*y)}};
}

Result<Tensors> quant_gemm(const NodeContext& context, std::span<const Tensor> inputs) {
  Result<Requantize> requantize = requantize_of(context);
  if (!requantize) return requantize.error();
  Result<QuantParams> xq = quant_params(context, "x", inputs[0].dtype());
  if (!xq) return xq.error();
  const Dims &xd = inputs[0].dims(), &wd = inputs[1].dims();
  if (xd.size() != 2 || wd.size() != 2 || xd[1] != wd[1])
    return context.error("cannot multiply " + to_string(xd) + " and " + to_string(wd) + " transposed");
  const int64_t m = xd[0], n = wd[0], k = xd[1];
  if (!element_count(Dims{m, n})) return context.error("the product " + to_string(Dims{m, n}) + " is too large");
  Result<std::vector<float>> w_scale = channel_values(context, inputs, 2, n);
  if (!w_scale) return w_scale.error();
  if (is_present(inputs, 3) && inputs[3].dims() != Dims{n})
    return context.error("the bias is " + to_string(inputs[3].dims()) + ", expected [" + std::to_string(n) + "]");
  const std::vector<int32_t> x = code_values(inputs[0]);
  const std::span<const int8_t> w = inputs[1].as<int8_t>();
  LayerOutputs y(*requantize);
  for (int64_t i = 0; i < m; ++i) {
    for (int64_t j = 0; j < n; ++j) {
      int64_t acc = is_present(inputs, 3) ? inputs[3].at<int32_t>(j) : 0;
      for (int64_t l = 0; l < k; ++l)
        acc += int64_t{x[static_cast<size_t>(i * k + l)] - xq->zero_point} * w[static_cast<size_t>(j * k + l)];
      Result<int32_t> exact = accumulator(context, acc);
      if (!exact) return exact.error();
      const double real_scale = static_cast<double>(xq->scale) * (*w_scale)[static_cast<size_t>(j)];
      y.add(static_cast<float>(*exact) * static_cast<float>(real_scale / requantize->y_scale()));
    }
  }
  return y.tensor({m, n});
}

}  // namespace

const OpDef gemm_op = {
    .name = "Gemm",
    .min_inputs = 2,
    .max_inputs = 3,
    .attributes = k_gemm_attributes,
    .infer = infer_gemm,
    .reference = gemm,
    .quant = {.role = QuantRole::weighted, .weight_input = 1, .weight_axis = 1, .bias_input = 2},
};

const OpDef fused_gemm_op = {.name = "FusedGemm",
                             .min_inputs = 2,
                             .max_inputs = 3,
                             .attributes = k_fused_attributes,
                             .infer = infer_fused,
                             .reference = fused_gemm,
                             .is_onnx = false};

const OpDef quant_gemm_op = {.name = "QuantGemm",
                             .min_inputs = 3,
                             .max_inputs = 4,
                             .attributes = k_quant_attributes,
                             .infer = infer_quant,
                             .reference = quant_gemm,
                             .validate = require_exact_accumulators,
                             .is_onnx = false};

}  // namespace octet
