// y = x. Source: ONNX operator Identity, opset 21.
#include "ir/ops/common.h"

namespace octet {
namespace {

Result<Tensors> identity(const NodeContext&, std::span<const Tensor> inputs) { return Tensors{inputs[0]}; }

}  // namespace

const OpDef identity_op = {
    .name = "Identity",
    .infer = infer_same,
    .reference = identity,
    .quant = {.role = QuantRole::same_scale},
};

}  // namespace octet
