#include "ir/ops/fused.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "ir/ops/common.h"

namespace octet {
namespace {

// A float beyond int32 is clamped first, so that the conversion is defined; every code lies far inside.
constexpr float k_int_bound = 1073741824.0f;  // 2^30

/// rne of v, saturated; NaN gives 0, that is the zero point.
int32_t round_half_even(float v) {
  if (std::isnan(v)) return 0;
  return static_cast<int32_t>(std::nearbyint(std::clamp(v, -k_int_bound, k_int_bound)));
}

std::pair<int32_t, int32_t> code_range(DType dtype) {
  return dtype == DType::s8 ? std::pair(-128, 127) : std::pair(0, 255);
}

}  // namespace

Result<FusedActivation> fused_activation(const NodeContext& context) {
  FusedActivation made;
  Result<Activation> kind = activation_from_name(string_attribute(context.node, "activation", ""));
  if (!kind) return context.error(kind.error().message);
  made.kind = *kind;
  made.params = floats_attribute(context.node, "activation_params", {});
  if (made.params.size() != activation_param_count(made.kind))
    return context.error("activation " + std::string(name(made.kind)) + " takes " +
                         std::to_string(activation_param_count(made.kind)) + " activation_params, not " +
                         std::to_string(made.params.size()));
  return made;
}

Result<QuantParams> quant_params(const NodeContext& context, const std::string& prefix, DType dtype) {
  QuantParams made{.scale = float_attribute(context.node, prefix + "_scale", 0), .zero_point = 0, .dtype = dtype};
  if (!(made.scale > 0) || !std::isnormal(made.scale))
    return context.error(prefix + "_scale is missing or not a positive normal number");
  const int64_t zero_point = int_attribute(context.node, prefix + "_zero_point", 0);
  const auto [low, high] = code_range(dtype);
  if (zero_point < low || zero_point > high)
    return context.error(prefix + "_zero_point is " + std::to_string(zero_point) + ", expected a code of " +
                         std::string(name(dtype)));
  made.zero_point = static_cast<int32_t>(zero_point);
  return made;
}

Result<DType> output_dtype(const NodeContext& context) {
  const std::string word = string_attribute(context.node, "to", "");
  const std::optional<DType> dtype = dtype_from_name(word);
  if (!dtype || !(is_code(*dtype) || *dtype == DType::f32))
    return context.error("attribute to is '" + word + "', expected u8, s8 or f32");
  return *dtype;
}

Result<Done> require_codes(const NodeContext& context, size_t input) {
  if (is_code(context.dtype(input))) return Done{};
  return context.error("input " + std::to_string(input) + " is " + std::string(name(context.dtype(input))) +
                       ", expected codes (u8 or s8)");
}

bool Requantize::on_values() const {
  return y.dtype == DType::f32 ||
         !(act.kind == Activation::none || act.kind == Activation::relu || act.kind == Activation::clip);
}

int32_t Requantize::code(float v) const { return std::clamp(round_half_even(v) + y.zero_point, lo, hi); }

int32_t Requantize::code_of_value(float v) const { return code(act(v) * inverse_scale); }

Result<Requantize> requantize_of(const NodeContext& context) {
  Requantize made;
  Result<DType> dtype = output_dtype(context);
  if (!dtype) return dtype.error();
  Result<FusedActivation> act = fused_activation(context);
  if (!act) return act.error();
  made.act = std::move(*act);
  made.y.dtype = *dtype;
  if (*dtype == DType::f32) return made;
  Result<QuantParams> y = quant_params(context, "y", *dtype);
  if (!y) return y.error();
  made.y = *y;
  made.inverse_scale = static_cast<float>(1.0 / static_cast<double>(y->scale));
  std::tie(made.lo, made.hi) = code_range(*dtype);
  if (made.act.kind == Activation::relu) made.lo = y->zero_point;
  if (made.act.kind == Activation::clip) {
    const auto bound = [&](float real) {
      return std::clamp(round_half_even(real / y->scale) + y->zero_point, code_range(*dtype).first,
                        code_range(*dtype).second);
    };
    made.hi = bound(made.act.params[1]);
    made.lo = std::min(bound(made.act.params[0]), made.hi);  // the maximum wins where the bounds cross, as in clip()
  }
  return made;
}

void LayerOutputs::add(float v) {
  if (form_.y.dtype == DType::f32) {
    values_.push_back(form_.act(v));
  } else {
    codes_.push_back(form_.on_values() ? form_.code_of_value(v) : form_.code(v));
  }
}

Result<std::vector<Tensor>> LayerOutputs::tensor(const Dims& dims) const {
  if (form_.y.dtype == DType::f32) return Tensors{f32_tensor(dims, values_)};
  return codes_tensor(form_.y.dtype, dims, codes_);
}

Result<int32_t> accumulator(const NodeContext& context, int64_t acc) {
  if (acc == static_cast<int32_t>(acc)) return static_cast<int32_t>(acc);
  return context.error("an accumulator is " + std::to_string(acc) + ", more than int32 holds", ErrorCode::unsupported);
}

Result<Done> require_exact_accumulators(const NodeContext& context) {
  constexpr int64_t limit = int64_t{1} << 31;
  const Tensor *weight = context.constant(1), *bias = context.constant(3);
  if (!weight || weight->dims().empty() || weight->dims()[0] == 0) return Done{};
  const int64_t channels = weight->dims()[0], per_channel = weight->size() / channels;
  if (bias && bias->size() != channels) return Done{};  // inference names it
  for (int64_t c = 0; c < channels; ++c) {
    const int64_t own = bias ? std::abs(int64_t{bias->at<int32_t>(c)}) : 0;
    if (255 * 128 * per_channel + own < limit) continue;  // true of nearly every layer: its weights are not read here
    int64_t sum = 0;
    for (const int8_t w :
         weight->as<int8_t>().subspan(static_cast<size_t>(c * per_channel), static_cast<size_t>(per_channel)))
      sum += std::abs(int{w});
    if (255 * sum + own >= limit)
      return context.error("output channel " + std::to_string(c) + ": 255 * sum|w| + |bias| is " +
                           std::to_string(255 * sum + own) + ", expected less than 2^31, or int32 could overflow");
  }
  return Done{};
}

std::vector<int32_t> code_values(const Tensor& codes) {
  std::vector<int32_t> values(static_cast<size_t>(codes.size()));
  for (size_t i = 0; i < values.size(); ++i)
    values[i] = codes.dtype() == DType::s8 ? static_cast<int32_t>(codes.as<int8_t>()[i])
                                           : static_cast<int32_t>(codes.as<uint8_t>()[i]);
  return values;
}

Result<std::vector<Tensor>> codes_tensor(DType dtype, const Dims& dims, std::span<const int32_t> codes) {
  Result<std::pair<Tensor, std::byte*>> made = Tensor::allocate(dtype, dims);
  if (!made) return made.error();
  for (size_t i = 0; i < codes.size(); ++i) made->second[i] = static_cast<std::byte>(codes[i] & 255);
  return std::vector<Tensor>{std::move(made->first)};
}

Result<std::vector<float>> channel_values(const NodeContext& context, std::span<const Tensor> inputs, size_t i,
                                          int64_t count) {
  return full_values(context, inputs, i, Dims{count});
}

Result<std::vector<float>> full_values(const NodeContext& context, std::span<const Tensor> inputs, size_t i,
                                       const Dims& dims) {
  if (!is_present(inputs, i)) return std::vector<float>();
  if (inputs[i].dims() != dims)
    return context.error("input " + std::to_string(i) + " is " + to_string(inputs[i].dims()) + ", expected " +
                         to_string(dims));
  Result<Tensor> values = to_f32(context, inputs[i]);
  if (!values) return values.error();
  const std::span<const float> all = values->as<float>();
  return std::vector<float>(all.begin(), all.end());
}

Result<std::vector<Tensor>> from_f32(const NodeContext& context, DType dtype, const Dims& dims,
                                     std::span<const float> values) {
  return with_float_type(context, dtype, [&]<class T>(T) -> Result<Tensors> {
    Result<std::pair<Tensor, std::byte*>> made = Tensor::allocate(dtype, dims);
    if (!made) return made.error();
    T* y = reinterpret_cast<T*>(made->second);
    for (const float v : values) *y++ = static_cast<T>(v);
    return Tensors{std::move(made->first)};
  });
}

Result<std::vector<Tensor>> from_doubles(const NodeContext& context, DType dtype, const Dims& dims,
                                         std::span<const double> values) {
  return with_float_type(context, dtype, [&]<class T>(T) -> Result<Tensors> {
    Result<std::pair<Tensor, std::byte*>> made = Tensor::allocate(dtype, dims);
    if (!made) return made.error();
    T* y = reinterpret_cast<T*>(made->second);
    for (const double v : values) *y++ = static_cast<T>(static_cast<Wide<T>>(v));
    return Tensors{std::move(made->first)};
  });
}

}  // namespace octet
