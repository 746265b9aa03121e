#include "quant/functions.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "quant/parameters.h"
#include "quant/walk.h"
#include "tensor/half.h"

namespace octet {
namespace {

/// What a walk multiplies with, divides by and clamps to; s and d in amax's dense order.
struct Scales {
  std::vector<float> s, d;
  float lo = 0, hi = 0;
};

Error bad(std::string message) { return {ErrorCode::bad_argument, std::move(message)}; }

Result<Done> check_amax(const std::vector<float>& amax, bool ref_compat) {
  const bool any_nan = std::any_of(amax.begin(), amax.end(), [](float a) { return std::isnan(a); });
  // The toolkit looks at the minimum, and a NaN makes that a NaN.
  if (!(ref_compat && any_nan)) {
    for (size_t i = 0; i < amax.size(); ++i) {
      if (amax[i] < 0)
        return bad("Negative values in amax: element " + std::to_string(i) + " is " + std::to_string(amax[i]));
    }
  }
  if (ref_compat) return Done{};
  for (size_t i = 0; i < amax.size(); ++i) {
    if (!std::isfinite(amax[i])) {
      return bad("amax element " + std::to_string(i) + " is " + std::to_string(amax[i]) +
                 "; a finite amax is expected, so look for NaN and infinities in what was calibrated");
    }
  }
  return Done{};
}

Scales make_scales(const std::vector<float>& amax, const QuantOptions& o) {
  Scales scales;
  const auto bound = static_cast<float>(std::ldexp(1.0, o.num_bits - 1 + (o.is_unsigned ? 1 : 0)) - 1.0);
  scales.hi = bound;
  scales.lo = o.is_unsigned ? 0.0f : o.narrow_range ? -bound : -bound - 1.0f;
  const bool any_nan = std::any_of(amax.begin(), amax.end(), [](float a) { return std::isnan(a); });
  for (const float a : amax) {
    const float s = bound / a;
    const bool zero = o.ref_compat ? !any_nan && a <= 0x1p-24f : a == 0.0f || std::isinf(s);
    scales.s.push_back(zero ? 0.0f : s);
    scales.d.push_back(zero ? 1.0f : s);
  }
  return scales;
}

Result<Done> check_bits(const QuantOptions& o) {
  if (o.ref_compat) {
    if (o.num_bits >= 0 && o.num_bits <= 64) return Done{};
    return bad("num_bits is " + std::to_string(o.num_bits) + "; expected 0 to 64");
  }
  const int least = o.is_unsigned ? 1 : 2;
  if (o.num_bits >= least && o.num_bits <= 16) return Done{};
  return bad("num_bits is " + std::to_string(o.num_bits) + "; expected " + std::to_string(least) + " to 16 for " +
             (o.is_unsigned ? "unsigned" : "signed") + " quantization");
}

/// All checks in the toolkit's order, then the scales.
Result<Scales> prepare(const TensorView& x, const Tensor& amax, const QuantOptions& o, const QuantRows& rows) {
  if (Result<Done> bits = check_bits(o); !bits) return bits.error();
  bool negative = false;
  const Result<Done> walked = walk({.x = x, .parameter_dims = amax.dims()}, rows, [&](const Row& r) {
    if (o.is_unsigned && !negative) negative = rows.any_negative(r.x, r.n);
  });
  if (!walked) return walked.error();
  if (negative) return bad("Negative values encountered in unsigned quantization.");
  const Result<std::vector<float>> values = floats_of(amax, "amax");
  if (!values) return values.error();
  if (Result<Done> checked = check_amax(*values, o.ref_compat); !checked) return checked.error();
  return make_scales(*values, o);
}

void round_to_half(float* y, size_t n, const QuantRows& rows) {
  uint16_t bits[256];
  for (size_t i = 0; i < n; i += std::size(bits)) {
    const size_t m = std::min(n - i, std::size(bits));
    rows.to_f16(y + i, m, bits);
    rows.from_f16(bits, m, y + i);
  }
}

float rounded_to(DType dtype, float x) {
  if (dtype == DType::f16) return half_to_float(float_to_half(x));
  if (dtype == DType::bf16) return bfloat16_to_float(float_to_bfloat16(x));
  return x;
}

/// The toolkit multiplies bfloat16 by a scale without dimensions in bfloat16; any other scale promotes to f32.
bool stays_bf16(const TensorView& x, const Tensor& amax) { return x.dtype == DType::bf16 && amax.rank() == 0; }

/// The toolkit's q for one row, as it stands before the output's own rounding.
void compat_codes(const TensorView& x, const Tensor& amax, const Scales& scales, const QuantRows& rows, const Row& r) {
  if (stays_bf16(x, amax)) {
    const float lo = rounded_to(DType::bf16, scales.lo), hi = rounded_to(DType::bf16, scales.hi);
    for (size_t i = 0; i < r.n; ++i) {
      const float q = std::nearbyint(rounded_to(DType::bf16, r.x[i] * scales.s[0]));
      r.y[i] = std::isnan(q) ? q : std::min(std::max(q, lo), hi);
    }
    return;
  }
  rows.quantize(r.x, r.n, scales.s.data() + r.at, r.each, scales.lo, scales.hi, r.y);
  if (x.dtype == DType::f16) round_to_half(r.y, r.n, rows);
}

DType compat_dtype(const TensorView& x, const Tensor& amax) {
  return x.dtype == DType::bf16 && !stays_bf16(x, amax) ? DType::f32 : x.dtype;
}

DType code_dtype(const QuantOptions& o) {
  if (o.is_unsigned) return o.num_bits <= 8 ? DType::u8 : DType::u16;
  return o.num_bits <= 8 ? DType::s8 : DType::s16;
}

Result<QuantizedTensor> quant_as_toolkit(const TensorView& x, const Tensor& amax, Scales& scales,
                                         const QuantRows& rows) {
  Result<std::pair<Tensor, std::byte*>> made = Tensor::allocate(compat_dtype(x, amax), x.dims);
  if (!made) return made.error();
  const TensorView y = TensorView::dense(made->first.dtype(), x.dims, made->second);
  const Result<Done> done = walk({.x = x, .y = y, .parameter_dims = amax.dims()}, rows,
                                 [&](const Row& r) { compat_codes(x, amax, scales, rows, r); });
  if (!done) return done.error();
  if (x.dtype == DType::f16) {
    const auto largest = std::max_element(scales.d.begin(), scales.d.end());
    if (largest != scales.d.end() && *largest > 65504.0f) {
      return bad("scale is too large for FP16 with amax=" +
                 std::to_string(to_doubles(amax)[static_cast<size_t>(largest - scales.d.begin())]));
    }
  }
  Result<Tensor> scale = tensor_of(x.dtype, amax.dims(), scales.d);
  if (!scale) return scale.error();
  return QuantizedTensor{std::move(made->first), *std::move(scale)};
}

}  // namespace

Result<QuantizedTensor> tensor_quant(const TensorView& x, const Tensor& amax, const QuantOptions& options) {
  const Result<const QuantRows*> rows = chosen_quant_rows();
  if (!rows) return rows.error();
  Result<Scales> scales = prepare(x, amax, options, **rows);
  if (!scales) return scales.error();
  if (options.ref_compat) return quant_as_toolkit(x, amax, *scales, **rows);
  Result<std::pair<Tensor, std::byte*>> made = Tensor::allocate(code_dtype(options), x.dims);
  if (!made) return made.error();
  const TensorView y = TensorView::dense(made->first.dtype(), x.dims, made->second);
  const Result<Done> done = walk({.x = x, .y = y, .parameter_dims = amax.dims()}, **rows, [&](const Row& r) {
    (*rows)->quantize(r.x, r.n, scales->s.data() + r.at, r.each, scales->lo, scales->hi, r.y);
  });
  if (!done) return done.error();
  Result<Tensor> scale = tensor_of(DType::f32, amax.dims(), scales->d);
  if (!scale) return scale.error();
  return QuantizedTensor{std::move(made->first), *std::move(scale)};
}

Result<Done> fake_tensor_quant_into(const TensorView& x, const Tensor& amax, const QuantOptions& options,
                                    const TensorView& y) {
  const Result<const QuantRows*> rows = chosen_quant_rows();
  if (!rows) return rows.error();
  if (y.dtype != DType::f32 && y.dtype != DType::f16 && y.dtype != DType::bf16) {
    return bad("the output is " + std::string(name(y.dtype)) + "; expected f32, f16 or bf16");
  }
  Result<Scales> scales = prepare(x, amax, options, **rows);
  if (!scales) return scales.error();
  const Walk operands{.x = x, .y = y, .parameter_dims = amax.dims()};
  if (options.ref_compat && x.dtype != DType::f32) {
    for (float& d : scales->d) d = rounded_to(x.dtype, d);
    return walk(operands, **rows, [&](const Row& r) {
      compat_codes(x, amax, *scales, **rows, r);
      for (size_t i = 0; i < r.n; ++i) r.y[i] /= scales->d[r.at + (r.each ? i : 0)];
    });
  }
  return walk(operands, **rows, [&](const Row& r) {
    (*rows)->fake_quantize(r.x, r.n, scales->s.data() + r.at, scales->d.data() + r.at, r.each, scales->lo, scales->hi,
                           r.y);
  });
}

Result<Tensor> fake_tensor_quant(const TensorView& x, const Tensor& amax, const QuantOptions& options) {
  Result<std::pair<Tensor, std::byte*>> made =
      Tensor::allocate(options.ref_compat ? compat_dtype(x, amax) : x.dtype, x.dims);
  if (!made) return made.error();
  const TensorView y = TensorView::dense(made->first.dtype(), x.dims, made->second);
  if (Result<Done> done = fake_tensor_quant_into(x, amax, options, y); !done) return done.error();
  return std::move(made->first);
}

Result<Tensor> tensor_quant_backward(const TensorView& x, const Tensor& amax, const TensorView& dy, bool ref_compat) {
  Result<std::vector<float>> hi = floats_of(amax, "amax");
  if (!hi) return hi.error();
  if (ref_compat && amax.rank() == 0) {
    for (float& a : *hi) a = rounded_to(x.dtype, a);  // compared in x's own type
  }
  return pass_within(x, dy, negated(*hi), *hi, amax.dims(), "amax");
}

}  // namespace octet
