// Equal, Greater, Less, GreaterOrEqual, LessOrEqual: two inputs of one dtype, broadcast, to bool. A comparison with NaN
// is false. Source: ONNX operators of the same names, opsets 13 and 16.
#include <functional>

#include "ir/ops/common.h"

namespace octet {
namespace {

Result<ValueTypes> infer(const NodeContext& context) {
  Result<ValueTypes> types = infer_broadcast(context);
  if (types) (*types)[0].dtype = DType::boolean;
  return types;
}

template <class F>
Result<Tensors> compare(const NodeContext& context, std::span<const Tensor> inputs, F f) {
  return with_number_type(context, inputs[0].dtype(), [&]<class T>(T) {
    return single(map_pairs<T, uint8_t>(context, inputs[0], inputs[1], DType::boolean, f));
  });
}

Result<Tensors> equal(const NodeContext& context, std::span<const Tensor> inputs) {
  if (inputs[0].dtype() == DType::boolean)
    return single(map_pairs<uint8_t, uint8_t>(context, inputs[0], inputs[1], DType::boolean,
                                              [](uint8_t a, uint8_t b) { return (a != 0) == (b != 0); }));
  return compare(context, inputs, std::equal_to<>());
}
Result<Tensors> greater(const NodeContext& context, std::span<const Tensor> inputs) {
  return compare(context, inputs, std::greater<>());
}
Result<Tensors> less(const NodeContext& context, std::span<const Tensor> inputs) {
  return compare(context, inputs, std::less<>());
}
Result<Tensors> greater_or_equal(const NodeContext& context, std::span<const Tensor> inputs) {
  return compare(context, inputs, std::greater_equal<>());
}
Result<Tensors> less_or_equal(const NodeContext& context, std::span<const Tensor> inputs) {
  return compare(context, inputs, std::less_equal<>());
}

}  // namespace

const OpDef equal_op = {.name = "Equal", .min_inputs = 2, .max_inputs = 2, .infer = infer, .reference = equal};
const OpDef greater_op = {.name = "Greater", .min_inputs = 2, .max_inputs = 2, .infer = infer, .reference = greater};
const OpDef less_op = {.name = "Less", .min_inputs = 2, .max_inputs = 2, .infer = infer, .reference = less};
const OpDef greater_or_equal_op = {
    .name = "GreaterOrEqual", .min_inputs = 2, .max_inputs = 2, .infer = infer, .reference = greater_or_equal};
const OpDef less_or_equal_op = {
    .name = "LessOrEqual", .min_inputs = 2, .max_inputs = 2, .infer = infer, .reference = less_or_equal};

}  // namespace octet
