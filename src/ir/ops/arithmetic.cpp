// Add, Sub, Mul, Div, Mod, Pow: two inputs of one dtype, broadcast as NumPy does. Source: ONNX operators Add, Sub, Mul
// and Div, opset 14, Mod, opset 13, and Pow, opset 15. Integers wrap around; their Div truncates. Mod has the sign of
// the divisor, or with fmod=1 that of the dividend (floats ask for it). Pow's exponent may be of another dtype.
#include <algorithm>

#include "ir/ops/common.h"

namespace octet {
namespace {

/// Integers compute modulo 2^64, which gives the wrapped result of every width without signed overflow.
template <class T>
using Modular = std::conditional_t<std::is_integral_v<T>, uint64_t, T>;

template <class F>
Result<Tensors> each_pair(const NodeContext& context, std::span<const Tensor> inputs, F f) {
  return with_number_type(context, inputs[0].dtype(), [&]<class T>(T) {
    return single(map_pairs<T, T>(context, inputs[0], inputs[1], inputs[0].dtype(), [&](Wide<T> a, Wide<T> b) {
      using M = Modular<Wide<T>>;
      return static_cast<Wide<T>>(f(static_cast<M>(a), static_cast<M>(b)));
    }));
  });
}

Result<Tensors> add(const NodeContext& context, std::span<const Tensor> inputs) {
  return each_pair(context, inputs, [](auto a, auto b) { return a + b; });
}
Result<Tensors> sub(const NodeContext& context, std::span<const Tensor> inputs) {
  return each_pair(context, inputs, [](auto a, auto b) { return a - b; });
}
Result<Tensors> mul(const NodeContext& context, std::span<const Tensor> inputs) {
  return each_pair(context, inputs, [](auto a, auto b) { return a * b; });
}

template <class T>
bool has_integer_zero(std::span<const T> divisors) {
  if constexpr (std::is_integral_v<T>) return std::find(divisors.begin(), divisors.end(), T{0}) != divisors.end();
  return false;
}
Error divides_by_zero(const NodeContext& context) { return context.error("divides an integer by zero"); }

template <class T>
T quotient(T a, T b) {
  if constexpr (std::is_integral_v<T>) {
    if (b == T{0}) return T{0};  // the caller has refused it
    if constexpr (std::is_signed_v<T>)
      if (b == T{-1}) return static_cast<T>(uint64_t{0} - static_cast<uint64_t>(a));  // the lowest / -1 wraps
    return static_cast<T>(a / b);
  } else {
    return a / b;
  }
}

Result<Tensors> div(const NodeContext& context, std::span<const Tensor> inputs) {
  return with_number_type(context, inputs[0].dtype(), [&]<class T>(T) -> Result<Tensors> {
    if (has_integer_zero(inputs[1].as<T>())) return divides_by_zero(context);
    return single(map_pairs<T, T>(context, inputs[0], inputs[1], inputs[0].dtype(), quotient<Wide<T>>));
  });
}

constexpr std::string_view k_mod_attributes[] = {"fmod"};

Result<ValueTypes> infer_mod(const NodeContext& context) {
  if (is_float(context.dtype(0)) && int_attribute(context.node, "fmod", 0) == 0)
    return context.error("floats need fmod=1");
  return infer_broadcast(context);
}

template <class T>
T remainder_of(T a, T b, bool truncates) {
  if constexpr (std::is_integral_v<T>) {
    if (b == T{0}) return T{0};  // the caller has refused it
    if constexpr (std::is_signed_v<T>)
      if (b == T{-1}) return T{0};  // the lowest % -1 overflows
    const T rest = static_cast<T>(a % b);
    return !truncates && rest != T{0} && (rest < T{0}) != (b < T{0}) ? static_cast<T>(rest + b) : rest;
  } else {
    return std::fmod(a, b);
  }
}

Result<Tensors> mod(const NodeContext& context, std::span<const Tensor> inputs) {
  const bool truncates = int_attribute(context.node, "fmod", 0) != 0;
  return with_number_type(context, inputs[0].dtype(), [&]<class T>(T) -> Result<Tensors> {
    if (has_integer_zero(inputs[1].as<T>())) return divides_by_zero(context);
    return single(map_pairs<T, T>(context, inputs[0], inputs[1], inputs[0].dtype(),
                                  [=](Wide<T> a, Wide<T> b) { return remainder_of(a, b, truncates); }));
  });
}

Result<ValueTypes> infer_pow(const NodeContext& context) {
  if (!context.shape(0) || !context.shape(1)) return typed(context);
  Result<Shape> shape = broadcast_shapes(context, *context.shape(0), *context.shape(1));
  if (!shape) return shape.error();
  return typed(context, std::move(*shape));
}

/// Powers in double, rounded or truncated once to the base's dtype; what does not fit an integer saturates.
Result<Tensors> pow_of(const NodeContext& context, std::span<const Tensor> inputs) {
  const Tensor &base = inputs[0], &exponent = inputs[1];
  Result<Dims> dims = broadcast_dims(context, base.dims(), exponent.dims());
  if (!dims) return dims.error();
  const std::vector<double> exponents = to_doubles(exponent);
  const std::array strides = {broadcast_strides(base.dims(), *dims), broadcast_strides(exponent.dims(), *dims)};
  Result<std::pair<Tensor, std::byte*>> made = Tensor::allocate(base.dtype(), *dims);
  if (!made) return made.error();
  return with_number_type(context, base.dtype(), [&]<class T>(T) -> Result<Tensors> {
    T* y = reinterpret_cast<T*>(made->second);
    const std::span<const T> x = base.as<T>();
    for_each_index<2>(*dims, strides, [&](int64_t i, const std::array<int64_t, 2>& at) {
      const auto from = static_cast<double>(static_cast<Wide<T>>(x[static_cast<size_t>(at[0])]));
      y[i] = converted<T>(std::pow(from, exponents[static_cast<size_t>(at[1])]));
    });
    return single(std::move(made->first));
  });
}

}  // namespace

const OpDef add_op = {
    .name = "Add",
    .min_inputs = 2,
    .max_inputs = 2,
    .infer = infer_broadcast,
    .reference = add,
    .quant = {.role = QuantRole::add},
};

const OpDef sub_op = {.name = "Sub", .min_inputs = 2, .max_inputs = 2, .infer = infer_broadcast, .reference = sub};

const OpDef mul_op = {
    .name = "Mul",
    .min_inputs = 2,
    .max_inputs = 2,
    .infer = infer_broadcast,
    .reference = mul,
    .quant = {.role = QuantRole::mul},
};

const OpDef div_op = {.name = "Div", .min_inputs = 2, .max_inputs = 2, .infer = infer_broadcast, .reference = div};

const OpDef mod_op = {.name = "Mod",
                      .min_inputs = 2,
                      .max_inputs = 2,
                      .attributes = k_mod_attributes,
                      .infer = infer_mod,
                      .reference = mod};

const OpDef pow_op = {.name = "Pow", .min_inputs = 2, .max_inputs = 2, .infer = infer_pow, .reference = pow_of};

}  // namespace octet
