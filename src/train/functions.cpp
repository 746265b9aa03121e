#include "octet/train/functions.h"

#include <cmath>

#include "train/code_rows.h"
#include "train/convert.h"
#include "train/fused.h"
#include "train/parallel.h"

namespace octet::nn {
namespace {

using torch::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::Function;
using Tensors = torch::autograd::variable_list;

constexpr int64_t k_chunk = 1 << 15;  // elements that are worth a thread; whole bytes of marks

bool on_cpu(const Tensor& x) { return x.device().is_cpu(); }

/// |x| <= amax, compared in f32.
Tensor within_amax(const Tensor& x, const Tensor& amax) { return x.detach().abs().le(amax.detach()); }

/// A one-dimensional amax stands for the last dimension, as NumPy broadcasts; the quantizer reshapes before.
octet::Tensor amax_of(const Tensor& amax) { return to_octet(amax.to(torch::kFloat32)); }

/// The checks of octet's function, for tensors that are not on the CPU.
Tensor scale_elsewhere(const Tensor& x, const Tensor& amax, const QuantOptions& o) {
  if (o.is_unsigned && x.lt(0).any().item<bool>())
    throw std::invalid_argument("Negative values encountered in unsigned quantization.");
  if (amax.lt(0).any().item<bool>()) throw std::invalid_argument("Negative values in amax");
  if (!o.ref_compat && !torch::isfinite(amax).all().item<bool>())
    throw std::invalid_argument("an amax is not finite; look for NaN and infinities in what was calibrated");
  const int least = o.is_unsigned ? 1 : 2;
  if (!o.ref_compat && (o.num_bits < least || o.num_bits > 16))
    throw std::invalid_argument("num_bits is " + std::to_string(o.num_bits) + "; expected " + std::to_string(least) +
                                " to 16");
  const double bound = std::ldexp(1.0, o.num_bits - 1 + (o.is_unsigned ? 1 : 0)) - 1.0;
  return torch::full_like(amax, bound, torch::kFloat32) / amax.to(torch::kFloat32);
}

struct CodesAndScale {
  Tensor codes, scale;
};

/// q and s by libtorch's own element-wise functions.
CodesAndScale codes_elsewhere(const Tensor& x, const Tensor& amax, const QuantOptions& o) {
  const Tensor s = scale_elsewhere(x, amax, o);
  const Tensor zero = o.ref_compat ? amax.le(0x1p-24) : amax.eq(0).logical_or(torch::isinf(s));
  const double bound = std::ldexp(1.0, o.num_bits - 1 + (o.is_unsigned ? 1 : 0)) - 1.0;
  const double low = o.is_unsigned ? 0.0 : o.narrow_range ? -bound : -bound - 1.0;
  const Tensor q = (x.to(torch::kFloat32) * s.masked_fill(zero, 0.0)).round_().clamp_(low, bound);
  return {q, s.masked_fill(zero, 1.0)};
}

Tensor fake_on_cpu(const Tensor& x, const Tensor& amax, const QuantOptions& o) {
  const octet::Tensor a = amax_of(amax);
  Tensor y = torch::empty_like(x, x.options(), torch::MemoryFormat::Contiguous);
  if (a.size() != 1 || !x.is_contiguous() || x.numel() <= k_chunk) {
    value_or_throw(fake_tensor_quant_into(view_of(x), a, o, view_of(y)));
    return y;
  }
  const TensorView in = view_of(x), out = view_of(y);
  const size_t bytes = size_of(in.dtype);
  on_torch_threads(0, x.numel(), k_chunk, [&](int64_t from, int64_t to) {
    const auto at = static_cast<size_t>(from) * bytes;
    value_or_throw(fake_tensor_quant_into(TensorView::dense(in.dtype, {to - from}, in.data + at), a.reshaped({}), o,
                                          TensorView::dense(out.dtype, {to - from}, out.data + at)));
  });
  return y;
}

struct FakeTensorQuant : Function<FakeTensorQuant> {
  static Tensor forward(AutogradContext* ctx, const Tensor& x, const Tensor& amax, const QuantOptions& o) {
    ctx->save_for_backward({within_amax(x, amax)});
    if (on_cpu(x)) return fake_on_cpu(x.detach(), amax.detach(), o);
    const CodesAndScale made = codes_elsewhere(x.detach(), amax.detach(), o);
    return (made.codes / made.scale).to(x.scalar_type());
  }
  static Tensors backward(AutogradContext* ctx, Tensors dy) {
    return {dy[0] * ctx->get_saved_variables()[0], Tensor(), Tensor()};
  }
};

struct TensorQuant : Function<TensorQuant> {
  static Tensors forward(AutogradContext* ctx, const Tensor& x, const Tensor& amax, QuantOptions o) {
    ctx->save_for_backward({within_amax(x, amax)});
    Tensor q, scale;
    if (on_cpu(x)) {
      if (!o.ref_compat) value_or_throw(octet::tensor_quant(view_of(x.detach()), amax_of(amax), o));  // its checks
      o.ref_compat = true;  // floats, as libtorch's modules pass them on
      const QuantizedTensor made = value_or_throw(octet::tensor_quant(view_of(x.detach()), amax_of(amax), o));
      q = to_torch(made.values);
      scale = to_torch(made.scale);
    } else {
      const CodesAndScale made = codes_elsewhere(x.detach(), amax.detach(), o);
      q = made.codes.to(x.scalar_type());
      scale = made.scale;
    }
    ctx->mark_non_differentiable({scale});
    return {q, scale};
  }
  static Tensors backward(AutogradContext* ctx, Tensors dy) {
    return {dy[0] * ctx->get_saved_variables()[0], Tensor(), Tensor()};
  }
};

struct Affine : Function<Affine> {
  static Tensor forward(AutogradContext* ctx, const Tensor& x, float min, float max, const AffineOptions& o) {
    const Tensor plain = x.detach();
    ctx->save_for_backward({plain.ge(min).logical_and(plain.le(max))});
    const Tensor here = plain.cpu();
    return to_torch(value_or_throw(octet::fake_affine_tensor_quant(view_of(here), min, max, o))).to(x.device());
  }
  static Tensors backward(AutogradContext* ctx, Tensors dy) {
    return {dy[0] * ctx->get_saved_variables()[0], Tensor(), Tensor(), Tensor()};
  }
};

struct E4m3 : Function<E4m3> {
  static Tensor forward(AutogradContext* ctx, const Tensor& x, const std::optional<Tensor>& amax) {
    const Tensor plain = x.detach();
    ctx->save_for_backward({amax ? within_amax(plain, *amax) : plain.abs().le(448.0)});
    const Tensor here = plain.cpu();
    std::optional<octet::Tensor> bound;
    if (amax) bound = amax_of(*amax);
    return to_torch(value_or_throw(octet::scaled_e4m3(view_of(here), bound))).to(x.device());
  }
  static Tensors backward(AutogradContext* ctx, Tensors dy) {
    return {dy[0] * ctx->get_saved_variables()[0], Tensor()};
  }
};

struct PactClip : Function<PactClip> {
  static Tensor forward(AutogradContext* ctx, const Tensor& x, const Tensor& min, const Tensor& max) {
    for (const Tensor& bound : {min, max})
      if (bound.requires_grad() && bound.numel() != 1)
        throw std::invalid_argument("Learnable min/max can only be scalar, got " + std::to_string(bound.numel()) +
                                    " elements");
    const Tensor plain = x.detach(), lo = min.detach(), hi = max.detach();
    ctx->save_for_backward({plain.gt(lo), plain.lt(hi)});
    ctx->saved_data["min_sizes"] = lo.sizes().vec();
    ctx->saved_data["max_sizes"] = hi.sizes().vec();
    ctx->saved_data["learn_min"] = min.requires_grad();
    ctx->saved_data["learn_max"] = max.requires_grad();
    return torch::max(torch::min(plain, hi), lo);
  }
  static Tensors backward(AutogradContext* ctx, Tensors dy) {
    const Tensors inside = ctx->get_saved_variables();
    const auto bound_gradient = [&](const char* learn, const char* sizes, const Tensor& within) {
      if (!ctx->saved_data[learn].toBool()) return Tensor();
      return (dy[0] * within.logical_not()).sum().reshape(ctx->saved_data[sizes].toIntVector());
    };
    return {dy[0] * inside[0] * inside[1], bound_gradient("learn_min", "min_sizes", inside[0]),
            bound_gradient("learn_max", "max_sizes", inside[1])};
  }
};

/// scale for every element: [1,..,C,..,1], or one number.
Tensor along_axis(const Tensor& scale, const Tensor& x, int64_t axis) {
  if (scale.numel() == 1) return scale.reshape({});
  std::vector<int64_t> sizes(static_cast<size_t>(x.dim()), 1);
  sizes[static_cast<size_t>(axis < 0 ? axis + x.dim() : axis)] = scale.numel();
  return scale.reshape(sizes);
}

bool in_rows(const Tensor& x) { return on_cpu(x) && x.scalar_type() == torch::kFloat32; }

/// Runs row(from, to, scale, index) over the elements of a contiguous x that share a scale, in parallel: one row per
/// position in front of and on the axis, or pieces of k_chunk under a single scale. Returns how many rows there are.
template <class Row>
int64_t for_rows(const Tensor& x, const Tensor& scale, int64_t axis, Row row) {
  const Tensor scales = scale.contiguous();
  const float* s = scales.data_ptr<float>();
  const int64_t n = x.numel();
  if (scale.numel() == 1) {
    const int64_t pieces = (n + k_chunk - 1) / k_chunk;
    on_torch_threads(0, pieces, 1, [&](int64_t from, int64_t to) {
      for (int64_t r = from; r < to; ++r) row(r * k_chunk, std::min(n, (r + 1) * k_chunk), s[0], r);
    });
    return pieces;
  }
  const int64_t channels = x.size(axis);
  int64_t inner = 1;
  for (int64_t d = (axis < 0 ? axis + x.dim() : axis) + 1; d < x.dim(); ++d) inner *= x.size(d);
  const int64_t rows = inner ? n / inner : 0;
  on_torch_threads(0, rows, std::max<int64_t>(1, k_chunk / std::max<int64_t>(1, inner)), [&](int64_t from, int64_t to) {
    for (int64_t r = from; r < to; ++r) row(r * inner, (r + 1) * inner, s[r % channels], r);
  });
  return rows;
}

Tensor fake_rows(const Tensor& x, const Tensor& scale, CodeLimits limits, int64_t axis) {
  const Tensor dense = x.contiguous();
  Tensor y = torch::empty_like(dense);
  const float* in = dense.data_ptr<float>();
  float* out = y.data_ptr<float>();
  for_rows(dense, scale, axis, [&](int64_t from, int64_t to, float step, int64_t) {
    fake_quantize_row(in + from, static_cast<size_t>(to - from), {step, limits.lo, limits.hi}, out + from);
  });
  return y;
}

/// clamp(rint(x / s)) * s wherever x is.
Tensor fake_codes(const Tensor& x, const Tensor& scale, CodeLimits limits, int64_t axis) {
  if (in_rows(x)) return fake_rows(x, scale, limits, axis);
  const Tensor s = along_axis(scale, x, axis);
  if (Tensor y = fused_fake_quantize(x, s, limits); y.defined()) return y;
  return x.div(s).clamp_(limits.lo, limits.hi).round_().mul_(s);
}

Tensor straight_through(const Tensor& dy, const Tensor& x, const Tensor& scale, CodeLimits limits, int64_t axis) {
  if (in_rows(x)) {
    const Tensor dense = x.contiguous(), gradient = dy.contiguous();
    Tensor dx = torch::empty_like(dense);
    const float *in = dense.data_ptr<float>(), *g = gradient.data_ptr<float>();
    float* out = dx.data_ptr<float>();
    for_rows(dense, scale, axis, [&](int64_t from, int64_t to, float step, int64_t) {
      straight_through_row(g + from, in + from, static_cast<size_t>(to - from),
                           {step, limits.lo, limits.hi, limits.rectified}, out + from);
    });
    return dx;
  }
  const Tensor s = along_axis(scale, x, axis);
  if (Tensor dx = fused_straight_through(dy, x, s, limits); dx.defined()) return dx;
  const Tensor v = x / s, inside = v.ge(limits.lo).logical_and_(v.le(limits.hi));
  return dy * (limits.rectified ? inside.logical_and(x.gt(0)) : inside);
}

/// y and the marks of the elements that a gradient passes, of a tensor with one scale.
std::pair<Tensor, Tensor> fake_and_marks(const Tensor& x, const Tensor& scale, CodeLimits limits) {
  const Tensor dense = x.contiguous();
  Tensor y = torch::empty_like(dense), marks = torch::empty({(x.numel() + 7) / 8}, torch::kUInt8);
  const float* in = dense.data_ptr<float>();
  float* out = y.data_ptr<float>();
  uint8_t* inside = marks.data_ptr<uint8_t>();
  for_rows(dense, scale, 0, [&](int64_t from, int64_t to, float step, int64_t) {
    fake_quantize_and_mark(in + from, static_cast<size_t>(to - from), {step, limits.lo, limits.hi, limits.rectified},
                           out + from, inside + from / 8);
  });
  return {y, marks};
}

Tensor marked(const Tensor& dy, const Tensor& marks) {
  const Tensor gradient = dy.contiguous();
  Tensor dx = torch::empty_like(gradient);
  const float* g = gradient.data_ptr<float>();
  const uint8_t* inside = marks.data_ptr<uint8_t>();
  float* out = dx.data_ptr<float>();
  const int64_t pieces = (gradient.numel() + k_chunk - 1) / k_chunk;
  on_torch_threads(0, pieces, 1, [&](int64_t from, int64_t to) {
    const int64_t begin = from * k_chunk, end = std::min(gradient.numel(), to * k_chunk);
    straight_through_marked(g + begin, inside + begin / 8, static_cast<size_t>(end - begin), out + begin);
  });
  return dx;
}

struct CodesStraightThrough : Function<CodesStraightThrough> {
  static Tensor forward(AutogradContext* ctx, const Tensor& x, const Tensor& scale, CodeLimits limits, int64_t axis) {
    if (in_rows(x) && scale.numel() == 1) {  // an activation: a bit of each element is kept instead of itself
      const auto [y, marks] = fake_and_marks(x.detach(), scale.detach(), limits);
      ctx->save_for_backward({marks});
      return y;
    }
    // A weight is kept anyway; a scale that no optimizer moves.
    ctx->save_for_backward({x.detach(), scale.detach()});
    ctx->saved_data["lo"] = double{limits.lo};
    ctx->saved_data["hi"] = double{limits.hi};
    ctx->saved_data["rectified"] = limits.rectified;
    ctx->saved_data["axis"] = axis;
    return fake_codes(x.detach(), scale.detach(), limits, axis);
  }
  static Tensors backward(AutogradContext* ctx, Tensors dy) {
    const Tensors saved = ctx->get_saved_variables();
    if (saved.size() == 1) return {marked(dy[0], saved[0]), Tensor(), Tensor(), Tensor()};
    return {straight_through(dy[0], saved[0], saved[1], limits_of(ctx), ctx->saved_data["axis"].toInt()), Tensor(),
            Tensor(), Tensor()};
  }
  static CodeLimits limits_of(AutogradContext* ctx) {
    return {static_cast<float>(ctx->saved_data["lo"].toDouble()), static_cast<float>(ctx->saved_data["hi"].toDouble()),
            ctx->saved_data["rectified"].toBool()};
  }
};

/// Gradients of x and of the scale, the latter flat and times the factor.
std::pair<Tensor, Tensor> learned_step_rows(const Tensor& dy, const Tensor& x, const Tensor& scale, CodeLimits limits,
                                            int64_t axis, double factor) {
  const Tensor dense = x.contiguous(), gradient = dy.contiguous();
  Tensor dx = torch::empty_like(dense);
  const float *in = dense.data_ptr<float>(), *g = gradient.data_ptr<float>();
  float* out = dx.data_ptr<float>();
  const int64_t most = scale.numel() == 1 ? (x.numel() + k_chunk - 1) / k_chunk : x.numel();
  Tensor sums = torch::zeros({most}, x.options());
  float* sum = sums.data_ptr<float>();
  const int64_t rows = for_rows(dense, scale, axis, [&](int64_t from, int64_t to, float step, int64_t r) {
    sum[r] =
        learned_step_row(g + from, in + from, static_cast<size_t>(to - from), {step, limits.lo, limits.hi}, out + from);
  });
  return {dx, sums.narrow(0, 0, rows).reshape({-1, scale.numel()}).sum(0) * factor};
}

std::pair<Tensor, Tensor> learned_step(const Tensor& dy, const Tensor& x, const Tensor& scale, CodeLimits limits,
                                       int64_t axis, double factor) {
  if (in_rows(x)) return learned_step_rows(dy, x, scale, limits, axis, factor);
  const Tensor s = along_axis(scale, x, axis);
  auto [dx, ds] = fused_learned_step(dy, x, s, limits, static_cast<float>(factor));
  if (!ds.defined()) {
    const Tensor v = x / s;
    const Tensor within = v.gt(limits.lo).logical_and(v.lt(limits.hi));
    ds = dy * (v.clamp(limits.lo, limits.hi).round() - v * within) * factor;  // the bound itself outside
    dx = straight_through(dy, x, scale, limits, axis);
  }
  std::vector<int64_t> others;
  for (int64_t d = 0; d < x.dim(); ++d)
    if (s.dim() == 0 || s.size(d) == 1) others.push_back(d);
  return {dx, others.empty() ? ds : ds.sum(others)};
}

struct LearnedStep : Function<LearnedStep> {
  static Tensor forward(AutogradContext* ctx, const Tensor& x, const Tensor& scale, CodeLimits limits, int64_t axis) {
    ctx->save_for_backward({x, scale});
    ctx->saved_data["lo"] = double{limits.lo};
    ctx->saved_data["hi"] = double{limits.hi};
    ctx->saved_data["rectified"] = false;
    ctx->saved_data["axis"] = axis;
    return fake_codes(x.detach(), scale.detach(), limits, axis);
  }
  static Tensors backward(AutogradContext* ctx, Tensors dy) {
    const Tensors saved = ctx->get_saved_variables();
    const Tensor x = saved[0].detach(), scale = saved[1].detach();
    const CodeLimits limits = CodesStraightThrough::limits_of(ctx);
    const double per_scale = static_cast<double>(x.numel()) / static_cast<double>(scale.numel());
    const double g = 1.0 / std::sqrt(per_scale * std::max(double{limits.hi}, 1.0));
    const auto [dx, ds] = learned_step(dy[0], x, scale, limits, ctx->saved_data["axis"].toInt(), g);
    return {dx, ds.reshape(scale.sizes()), Tensor(), Tensor()};
  }
};

struct ToGrid : Function<ToGrid> {
  static Tensor forward(AutogradContext*, const Tensor& x, const Tensor& scale, int64_t axis) {
    const Tensor plain = x.detach(), s = along_axis(scale.detach(), plain, axis);
    if (Tensor y = fused_to_grid(plain, s); y.defined()) return y;
    return plain.div(s).round_().mul_(s);
  }
  static Tensors backward(AutogradContext*, Tensors dy) { return {dy[0], Tensor(), Tensor()}; }
};

void require_matching_scale(const Tensor& x, const Tensor& scale, int64_t axis) {
  if (scale.numel() == 1 || (axis < x.dim() && axis >= -x.dim() && scale.numel() == x.size(axis))) return;
  throw std::invalid_argument("scale has " + std::to_string(scale.numel()) +
                              " elements; expected 1, or as many as axis " + std::to_string(axis) + " of the tensor");
}

}  // namespace

std::pair<Tensor, Tensor> tensor_quant(const Tensor& x, const Tensor& amax, const QuantOptions& options) {
  const Tensors both = TensorQuant::apply(x, amax, options);
  return {both[0], both[1]};
}

Tensor fake_tensor_quant(const Tensor& x, const Tensor& amax, const QuantOptions& options) {
  return FakeTensorQuant::apply(x, amax, options);
}

Tensor fake_affine_tensor_quant(const Tensor& x, float min, float max, const AffineOptions& options) {
  return Affine::apply(x, min, max, options);
}

Tensor scaled_e4m3(const Tensor& x, const std::optional<Tensor>& amax) { return E4m3::apply(x, amax); }

Tensor pact_clip(const Tensor& x, const Tensor& min, const Tensor& max) { return PactClip::apply(x, min, max); }

Tensor fake_quantize(const Tensor& x, const Tensor& scale, CodeLimits limits, int64_t axis) {
  require_matching_scale(x, scale, axis);
  if (torch::GradMode::is_enabled() && x.requires_grad()) return CodesStraightThrough::apply(x, scale, limits, axis);
  return fake_codes(x.detach(), scale.detach(), limits, axis);
}

Tensor learned_quantize(const Tensor& x, const Tensor& scale, CodeLimits limits, int64_t axis) {
  require_matching_scale(x, scale, axis);
  return LearnedStep::apply(x, scale, limits, axis);
}

Tensor round_to_grid(const Tensor& x, const Tensor& scale, int64_t axis) {
  require_matching_scale(x, scale, axis);
  return ToGrid::apply(x, scale, axis);
}

}  // namespace octet::nn
