// QuantPixels: pixels of an image to codes, by a table of 256 answers for each channel. README.md.
#include "ir/ops/common.h"
#include "ir/ops/fused.h"

namespace octet {
namespace {

Result<ValueTypes> infer(const NodeContext& context) {
  if (context.dtype(0) != DType::u8)
    return context.error("the image is " + std::string(name(context.dtype(0))) + ", expected u8");
  if (Result<Done> ok = require_codes(context, 1); !ok) return ok.error();
  const std::optional<Shape>&x = context.shape(0), &table = context.shape(1);
  if (x && x->size() != 4) return context.error("the image is " + to_string(*x) + ", expected [N,C,H,W]");
  if (table && !(table->size() == 2 && (*table)[1] == Dim(256)))
    return context.error("the table is " + to_string(*table) + ", expected [C,256]");
  if (x && table && (*x)[1].known() && (*table)[0].known() && (*x)[1] != (*table)[0])
    return context.error("the table is " + to_string(*table) + " for an image of " + to_string(*x));
  return ValueTypes{{context.dtype(1), context.shape(0)}};
}

Result<Tensors> reference(const NodeContext& context, std::span<const Tensor> inputs) {
  const Dims& dims = inputs[0].dims();
  if (dims.size() != 4 || inputs[1].dims() != Dims{dims[1], 256})
    return context.error("a table of " + std::to_string(inputs[1].size()) + " codes does not fit the image");
  const std::vector<int32_t> table = code_values(inputs[1]);
  const std::span<const uint8_t> x = inputs[0].as<uint8_t>();
  const auto channels = static_cast<size_t>(dims[1]), plane = static_cast<size_t>(dims[2] * dims[3]);
  std::vector<int32_t> y(x.size());
  for (size_t i = 0; i < x.size(); ++i) y[i] = table[i / plane % channels * 256 + x[i]];
  return codes_tensor(inputs[1].dtype(), dims, y);
}

}  // namespace

const OpDef quant_pixels_op = {
    .name = "QuantPixels", .min_inputs = 2, .max_inputs = 2, .infer = infer, .reference = reference, .is_onnx = false};

}  // namespace octet
