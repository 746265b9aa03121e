// BitwiseAnd, BitwiseOr, BitwiseXor (broadcast) and BitwiseNot of integers; BitShift(x, n; direction) of unsigned ones,
// by n bits to the "LEFT" or "RIGHT": all bits are gone where n is the width or more. Source: ONNX operators of the
// same names, opset 18 and BitShift-11.
#include <functional>

#include "ir/ops/common.h"

namespace octet {
namespace {

constexpr std::string_view k_direction[] = {"direction"};

template <class F>
auto with_unsigned_type(const NodeContext& context, DType dtype, F f) -> decltype(f(uint8_t{})) {
  switch (dtype) {
    case DType::u8: return f(uint8_t{});
    case DType::u16: return f(uint16_t{});
    case DType::u32: return f(uint32_t{});
    case DType::u64: return f(uint64_t{});
    default: return context.error("is not defined for " + std::string(name(dtype)), ErrorCode::unsupported);
  }
}
template <class F>
auto with_integer_type(const NodeContext& context, DType dtype, F f) -> decltype(f(uint8_t{})) {
  switch (dtype) {
    case DType::s8: return f(int8_t{});
    case DType::s16: return f(int16_t{});
    case DType::s32: return f(int32_t{});
    case DType::s64: return f(int64_t{});
    default: return with_unsigned_type(context, dtype, f);
  }
}

Result<ValueTypes> infer(const NodeContext& context) {
  const auto nothing = [](auto) -> Result<Done> { return Done{}; };
  if (Result<Done> ok = with_integer_type(context, context.dtype(0), nothing); !ok) return ok.error();
  return infer_broadcast(context);
}

template <class F>
Result<Tensors> each_pair(const NodeContext& context, std::span<const Tensor> inputs, F f) {
  return with_integer_type(context, inputs[0].dtype(), [&]<class T>(T) {
    return single(map_pairs<T, T>(context, inputs[0], inputs[1], inputs[0].dtype(), f));
  });
}

Result<Tensors> and_of(const NodeContext& context, std::span<const Tensor> inputs) {
  return each_pair(context, inputs, std::bit_and<>());
}
Result<Tensors> or_of(const NodeContext& context, std::span<const Tensor> inputs) {
  return each_pair(context, inputs, std::bit_or<>());
}
Result<Tensors> xor_of(const NodeContext& context, std::span<const Tensor> inputs) {
  return each_pair(context, inputs, std::bit_xor<>());
}
Result<Tensors> not_of(const NodeContext& context, std::span<const Tensor> inputs) {
  return with_integer_type(context, inputs[0].dtype(),
                           [&]<class T>(T) { return single(map_elements<T>(inputs[0], std::bit_not<>())); });
}

/// "LEFT" or not.
Result<bool> is_left(const NodeContext& context) {
  const std::string direction = string_attribute(context.node, "direction", "");
  if (direction == "LEFT" || direction == "RIGHT") return direction == "LEFT";
  return context.error("direction is '" + direction + "', expected LEFT or RIGHT");
}

Result<ValueTypes> infer_shift(const NodeContext& context) {
  if (Result<bool> left = is_left(context); !left) return left.error();
  const auto nothing = [](auto) -> Result<Done> { return Done{}; };
  if (Result<Done> ok = with_unsigned_type(context, context.dtype(0), nothing); !ok) return ok.error();
  return infer_broadcast(context);
}

Result<Tensors> shift(const NodeContext& context, std::span<const Tensor> inputs) {
  const Result<bool> left = is_left(context);
  if (!left) return left.error();
  return with_unsigned_type(context, inputs[0].dtype(), [&]<class T>(T) {
    return single(map_pairs<T, T>(context, inputs[0], inputs[1], inputs[0].dtype(), [&](T x, T n) -> uint64_t {
      if (n >= 8 * sizeof(T)) return 0;
      return *left ? uint64_t{x} << n : uint64_t{x} >> n;
    }));
  });
}

}  // namespace

const OpDef bitwise_and_op = {
    .name = "BitwiseAnd", .min_inputs = 2, .max_inputs = 2, .infer = infer, .reference = and_of};
const OpDef bitwise_or_op = {.name = "BitwiseOr", .min_inputs = 2, .max_inputs = 2, .infer = infer, .reference = or_of};
const OpDef bitwise_xor_op = {
    .name = "BitwiseXor", .min_inputs = 2, .max_inputs = 2, .infer = infer, .reference = xor_of};
const OpDef bitwise_not_op = {.name = "BitwiseNot", .infer = infer, .reference = not_of};
const OpDef bit_shift_op = {.name = "BitShift",
                            .min_inputs = 2,
                            .max_inputs = 2,
                            .attributes = k_direction,
                            .infer = infer_shift,
                            .reference = shift};

}  // namespace octet
