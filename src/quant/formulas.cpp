#include "quant/formulas.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "quant/functions.h"
#include "quant/parameters.h"
#include "quant/walk.h"

namespace octet {
namespace {

Error bad(std::string message) { return {ErrorCode::bad_argument, std::move(message)}; }

Result<std::vector<float>> scales_of(const Tensor& scale, bool any) {
  Result<std::vector<float>> values = floats_of(scale, "the scale");
  if (!values || any) return values;
  for (size_t i = 0; i < values->size(); ++i) {
    const float s = (*values)[i];
    if (!(s > 0) || !std::isnormal(s)) {
      return bad("scale element " + std::to_string(i) + " is " + std::to_string(s) +
                 "; a positive normal number is expected");
    }
  }
  return values;
}

Result<Done> check_codes(const IntegerCodes& codes) {
  constexpr int k_widest = 1 << 23;  // sums of codes and zero points stay exact in f32
  if (codes.min <= codes.zero_point && codes.zero_point <= codes.max && codes.min >= -k_widest && codes.max <= k_widest)
    return Done{};
  return bad("codes [" + std::to_string(codes.min) + ", " + std::to_string(codes.max) + "] with zero point " +
             std::to_string(codes.zero_point) + ": min <= zero point <= max within 2^23 is expected");
}

}  // namespace

Result<Tensor> torch_fake_quantize(const TensorView& x, const Tensor& scale, const IntegerCodes& codes,
                                   bool ref_compat) {
  const Result<const QuantRows*> rows = chosen_quant_rows();
  if (!rows) return rows.error();
  if (Result<Done> checked = check_codes(codes); !checked) return checked.error();
  const Result<std::vector<float>> scales = scales_of(scale, ref_compat);
  if (!scales) return scales.error();
  Result<std::pair<Tensor, std::byte*>> made = Tensor::allocate(x.dtype, x.dims);
  if (!made) return made.error();
  const TensorView y = TensorView::dense(x.dtype, x.dims, made->second);
  const auto zero = static_cast<float>(codes.zero_point);
  const auto lo = static_cast<float>(codes.min), hi = static_cast<float>(codes.max);
  const Walk operands{.x = x, .y = y, .parameter_dims = scale.dims(), .what = "the scale"};
  const Result<Done> done = walk(operands, **rows, [&](const Row& r) {
    for (size_t i = 0; i < r.n; ++i) {
      const float s = (*scales)[r.at + (r.each ? i : 0)];
      const float rounded = std::nearbyint(r.x[i] * (1.0f / s)) + zero;
      const float q = std::isnan(rounded) ? lo : std::min(std::max(rounded, lo), hi);  // NaN as int64 is the smallest
      r.y[i] = (q - zero) * s;
    }
  });
  if (!done) return done.error();
  return std::move(made->first);
}

Result<Tensor> onnx_quantize(const TensorView& x, const Tensor& scale, const IntegerCodes& codes) {
  const Result<const QuantRows*> rows = chosen_quant_rows();
  if (!rows) return rows.error();
  if (Result<Done> checked = check_codes(codes); !checked) return checked.error();
  const bool is_signed = codes.min < 0;
  if (is_signed ? codes.min < -128 || codes.max > 127 : codes.max > 255) {
    return bad("codes [" + std::to_string(codes.min) + ", " + std::to_string(codes.max) + "] fit neither s8 nor u8");
  }
  const Result<std::vector<float>> scales = scales_of(scale, false);
  if (!scales) return scales.error();
  const DType dtype = is_signed ? DType::s8 : DType::u8;
  Result<std::pair<Tensor, std::byte*>> made = Tensor::allocate(dtype, x.dims);
  if (!made) return made.error();
  const TensorView y = TensorView::dense(dtype, x.dims, made->second);
  const auto zero = static_cast<float>(codes.zero_point);
  const auto lo = static_cast<float>(codes.min), hi = static_cast<float>(codes.max);
  const Walk operands{.x = x, .y = y, .parameter_dims = scale.dims(), .what = "the scale"};
  const Result<Done> done = walk(operands, **rows, [&](const Row& r) {
    for (size_t i = 0; i < r.n; ++i) {
      const float q = std::nearbyint(r.x[i] / (*scales)[r.at + (r.each ? i : 0)]) + zero;
      r.y[i] = std::isnan(q) ? zero : std::min(std::max(q, lo), hi);
    }
  });
  if (!done) return done.error();
  return std::move(made->first);
}

Result<Tensor> onnx_dequantize(const Tensor& codes, const Tensor& scale, int zero_point) {
  const Result<const QuantRows*> rows = chosen_quant_rows();
  if (!rows) return rows.error();
  if (!is_code(codes.dtype())) return bad("codes are " + std::string(name(codes.dtype())) + "; expected s8 or u8");
  const Result<std::vector<float>> scales = scales_of(scale, false);
  if (!scales) return scales.error();
  Result<std::pair<Tensor, std::byte*>> made = Tensor::allocate(DType::f32, codes.dims());
  if (!made) return made.error();
  auto* values = reinterpret_cast<float*>(made->second);
  for (int64_t i = 0; i < codes.size(); ++i) {
    const int q = codes.dtype() == DType::s8 ? codes.at<int8_t>(i) : codes.at<uint8_t>(i);
    values[i] = static_cast<float>(q - zero_point);
  }
  const TensorView y = TensorView::dense(DType::f32, codes.dims(), made->second);
  const Walk operands{.x = y, .y = y, .parameter_dims = scale.dims(), .what = "the scale"};
  const Result<Done> done = walk(operands, **rows, [&](const Row& r) {
    for (size_t i = 0; i < r.n; ++i) r.y[i] = r.x[i] * (*scales)[r.at + (r.each ? i : 0)];
  });
  if (!done) return done.error();
  return std::move(made->first);
}

}  // namespace octet
