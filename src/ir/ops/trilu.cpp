// Trilu(x, k?): the upper (upper=1) or lower triangle of the last two axes, from diagonal k on; zeros elsewhere.
// Source: ONNX operator Trilu, opset 14.
#include <algorithm>

#include "ir/ops/common.h"

namespace octet {
namespace {

constexpr std::string_view k_attributes[] = {"upper"};

Result<ValueTypes> infer(const NodeContext& context) {
  if (context.shape(0) && context.shape(0)->size() < 2)
    return context.error("input " + to_string(*context.shape(0)) + " is no matrix");
  return infer_same(context);
}

Result<Tensors> reference(const NodeContext& context, std::span<const Tensor> inputs) {
  const Tensor& x = inputs[0];
  if (x.rank() < 2) return context.error("input " + to_string(x.dims()) + " is no matrix");
  int64_t k = 0;
  if (is_present(inputs, 1)) {
    Result<std::vector<int64_t>> given = ints_of(context, inputs, 1);
    if (!given) return given.error();
    if (given->size() != 1) return context.error("k must be one number");
    k = std::clamp<int64_t>(given->front(), -k_max_elements, k_max_elements);
  }
  const bool upper = int_attribute(context.node, "upper", 1) != 0;
  Result<std::pair<Tensor, std::byte*>> made = Tensor::allocate(x.dtype(), x.dims());
  if (!made) return made.error();
  const int64_t rows = x.dims()[x.rank() - 2], columns = x.dims().back();
  const size_t width = size_of(x.dtype());
  std::fill_n(made->second, x.size_bytes(), std::byte{0});  // zero is all bits zero in every dtype
  for (int64_t i = 0; i < x.size(); ++i) {
    const int64_t diagonal = i % columns - i / columns % rows;
    if (upper ? diagonal < k : diagonal > k) continue;
    std::memcpy(made->second + static_cast<size_t>(i) * width, x.bytes().data() + static_cast<size_t>(i) * width,
                width);
  }
  return Tensors{std::move(made->first)};
}

}  // namespace

const OpDef trilu_op = {.name = "Trilu",
                        .min_inputs = 1,
                        .max_inputs = 2,
                        .attributes = k_attributes,
                        .infer = infer,
                        .reference = reference};

}  // namespace octet
