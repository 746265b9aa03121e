// Cast: elements converted to the dtype named by the attribute to ("f32", "s64", "bool", ...). Source: ONNX operator
// Cast, opset 23. Float to integer truncates; where ONNX leaves the result open, octet saturates and makes NaN 0.
// Integers wrap around. To the short floats: tensor/short_float.h, by the attribute saturate.
#include <algorithm>

#include "ir/ops/common.h"
#include "tensor/short_float.h"

namespace octet {
namespace {

constexpr std::string_view k_attributes[] = {"to", "saturate"};

Result<DType> target(const NodeContext& context) {
  const std::string word = string_attribute(context.node, "to", "");
  const std::optional<DType> dtype = dtype_from_name(word);
  if (dtype && *dtype != DType::undefined) return *dtype;
  return context.error("attribute 'to' is '" + word + "', expected the word of a dtype such as f32 or s64");
}

/// The low four bits of an integer, or a float saturated.
template <class From>
uint8_t four_bits(From x, bool is_signed) {
  int64_t v = 0;
  if constexpr (std::is_floating_point_v<From>) {
    const auto number = static_cast<int64_t>(converted<int32_t>(x));
    v = is_signed ? std::clamp<int64_t>(number, -8, 7) : std::clamp<int64_t>(number, 0, 15);
  } else {
    v = static_cast<int64_t>(static_cast<uint64_t>(x) & 15u);
    if (is_signed && v >= 8) v -= 16;
  }
  return static_cast<uint8_t>(v & 255);
}

template <class From>
Result<Tensor> cast_all(const NodeContext& context, std::span<const From> x, const Dims& dims, DType to) {
  Result<std::pair<Tensor, std::byte*>> made = Tensor::allocate(to, dims);
  if (!made) return made.error();
  if (to == DType::boolean) {
    auto* y = reinterpret_cast<uint8_t*>(made->second);
    for (const From v : x) *y++ = v != From{0} ? 1 : 0;
    return std::move(made->first);
  }
  if (is_four_bit(to) || is_short_float(to)) {
    const bool saturate = int_attribute(context.node, "saturate", 1) != 0;
    auto* y = reinterpret_cast<uint8_t*>(made->second);
    for (const From v : x)
      *y++ = is_short_float(to) ? short_float_code(to, static_cast<float>(v), saturate) : four_bits(v, to == DType::s4);
    return std::move(made->first);
  }
  return with_number_type(context, to, [&]<class To>(To) -> Result<Tensor> {
    To* y = reinterpret_cast<To*>(made->second);
    for (const From v : x) *y++ = converted<To>(v);
    return std::move(made->first);
  });
}

Result<ValueTypes> infer(const NodeContext& context) {
  Result<DType> to = target(context);
  if (!to) return to.error();
  return ValueTypes{{*to, context.shape(0)}};
}

Result<Tensors> cast(const NodeContext& context, std::span<const Tensor> inputs) {
  const Tensor& x = inputs[0];
  Result<DType> to = target(context);
  if (!to) return to.error();
  if (x.dtype() == *to) return Tensors{x};
  if (x.dtype() == DType::u64) return single(cast_all(context, x.as<uint64_t>(), x.dims(), *to));
  if (is_float(x.dtype()) || is_short_float(x.dtype())) {
    const std::vector<double> values = to_doubles(x);  // exact
    return single(cast_all(context, std::span(values), x.dims(), *to));
  }
  Result<std::vector<int64_t>> values = to_int64s(x);
  if (!values) return context.error(values.error().message);
  return single(cast_all(context, std::span<const int64_t>(*values), x.dims(), *to));
}

}  // namespace

const OpDef cast_op = {.name = "Cast", .attributes = k_attributes, .infer = infer, .reference = cast};

}  // namespace octet
