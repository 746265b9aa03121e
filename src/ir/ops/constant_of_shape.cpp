// ConstantOfShape(shape): a tensor of this shape filled with the attribute value (one element; f32 zero by default).
// Source: ONNX operator ConstantOfShape, opset 9.
#include "ir/ops/common.h"

namespace octet {
namespace {

constexpr std::string_view k_attributes[] = {"value"};

Result<Tensor> fill_value(const NodeContext& context) {
  const auto found = context.node.attributes.find("value");
  const Tensor* value = found == context.node.attributes.end() ? nullptr : std::get_if<Tensor>(&found->second);
  if (!value) return scalar_f32(0);
  if (value->size() != 1)
    return context.error("attribute 'value' has " + std::to_string(value->size()) + " elements, expected 1");
  return *value;
}

Result<ValueTypes> infer(const NodeContext& context) {
  if (Result<Done> ok = require_rank(context, 0, 1); !ok) return ok.error();
  Result<Tensor> value = fill_value(context);
  if (!value) return value.error();
  Result<std::optional<std::vector<int64_t>>> dims = constant_ints(context, 0);
  if (!dims) return dims.error();
  if (!*dims) {
    const std::optional<Shape>& length = context.shape(0);
    if (!length || !(*length)[0].known() || (*length)[0].value > k_max_rank) return ValueTypes{{value->dtype(), {}}};
    return ValueTypes{{value->dtype(), Shape(static_cast<size_t>((*length)[0].value))}};
  }
  if (!element_count(**dims)) return context.error("shape " + list_text(**dims) + " is negative or too large");
  return ValueTypes{{value->dtype(), to_shape(**dims)}};
}

Result<Tensors> constant_of_shape(const NodeContext& context, std::span<const Tensor> inputs) {
  Result<Tensor> value = fill_value(context);
  if (!value) return value.error();
  Result<Dims> dims = ints_of(context, inputs, 0);
  if (!dims) return dims.error();
  if (!element_count(*dims)) return context.error("shape " + list_text(*dims) + " is negative or too large");
  return single(gather_strided(*value, *dims, std::vector<int64_t>(dims->size(), 0)));
}

}  // namespace

const OpDef constant_of_shape_op = {
    .name = "ConstantOfShape", .attributes = k_attributes, .infer = infer, .reference = constant_of_shape};

}  // namespace octet
