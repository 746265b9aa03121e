// And, Or, Xor, Not on bool, broadcast. Source: ONNX operators of the same names, opset 7. Any byte but 0 counts as
// true.
#include "ir/ops/common.h"

namespace octet {
namespace {

Result<Done> require_bool(const NodeContext& context) {
  for (size_t i = 0; i < context.input_count(); ++i)
    if (context.dtype(i) != DType::boolean)
      return context.error("input " + std::to_string(i) + " is " + std::string(name(context.dtype(i))) +
                           ", expected bool");
  return Done{};
}

Result<ValueTypes> infer(const NodeContext& context) {
  if (Result<Done> ok = require_bool(context); !ok) return ok.error();
  return infer_broadcast(context);
}

template <class F>
Result<Tensors> each_pair(const NodeContext& context, std::span<const Tensor> inputs, F f) {
  return single(map_pairs<uint8_t, uint8_t>(context, inputs[0], inputs[1], DType::boolean,
                                            [&](uint8_t a, uint8_t b) { return f(a != 0, b != 0) ? 1 : 0; }));
}

Result<Tensors> and_of(const NodeContext& context, std::span<const Tensor> inputs) {
  return each_pair(context, inputs, [](bool a, bool b) { return a && b; });
}
Result<Tensors> or_of(const NodeContext& context, std::span<const Tensor> inputs) {
  return each_pair(context, inputs, [](bool a, bool b) { return a || b; });
}
Result<Tensors> xor_of(const NodeContext& context, std::span<const Tensor> inputs) {
  return each_pair(context, inputs, [](bool a, bool b) { return a != b; });
}
Result<Tensors> not_of(const NodeContext&, std::span<const Tensor> inputs) {
  return single(map_elements<uint8_t>(inputs[0], [](uint8_t x) { return x == 0 ? 1 : 0; }));
}

}  // namespace

const OpDef and_op = {.name = "And", .min_inputs = 2, .max_inputs = 2, .infer = infer, .reference = and_of};
const OpDef or_op = {.name = "Or", .min_inputs = 2, .max_inputs = 2, .infer = infer, .reference = or_of};
const OpDef xor_op = {.name = "Xor", .min_inputs = 2, .max_inputs = 2, .infer = infer, .reference = xor_of};
const OpDef not_op = {.name = "Not", .infer = infer, .reference = not_of};

}  // namespace octet
