// OneHot(indices, depth, values): y = values[1] where an index equals the position along the new axis, else values[0].
// Negative indices count from the back; indices outside [-depth, depth) give values[0] everywhere.
// Source: ONNX operator OneHot, opset 11.
#include "ir/ops/common.h"

namespace octet {
namespace {

constexpr std::string_view k_attributes[] = {"axis"};

template <class D>
std::vector<D> with_axis(const std::vector<D>& dims, size_t axis, D depth) {
  std::vector<D> y = dims;
  y.insert(y.begin() + static_cast<std::ptrdiff_t>(axis), depth);
  return y;
}

/// The one number of depth, which may be of any numeric dtype.
Result<int64_t> depth_of(const NodeContext& context, const Tensor& depth) {
  const std::vector<double> values = to_doubles(depth);
  if (values.size() == 1 && values[0] >= 0 && values[0] <= static_cast<double>(k_max_elements))
    return static_cast<int64_t>(values[0]);
  return context.error("depth must be one number from 0 up");
}

Result<ValueTypes> infer(const NodeContext& context) {
  const DType dtype = context.dtype(2);
  if (context.shape(2) &&
      (context.shape(2)->size() != 1 || ((*context.shape(2))[0].known() && (*context.shape(2))[0].value != 2)))
    return context.error("values are " + to_string(*context.shape(2)) + ", expected [off, on]");
  if (!context.shape(0)) return ValueTypes{{dtype, {}}};
  Result<size_t> axis = normalized_axis(context, int_attribute(context.node, "axis", -1), context.shape(0)->size() + 1);
  if (!axis) return axis.error();
  Dim depth;
  if (const Tensor* constant = context.constant(1)) {
    Result<int64_t> known = depth_of(context, *constant);
    if (!known) return known.error();
    depth = Dim(*known);
  }
  return ValueTypes{{dtype, with_axis(*context.shape(0), *axis, depth)}};
}

Result<Tensors> reference(const NodeContext& context, std::span<const Tensor> inputs) {
  Result<int64_t> depth = depth_of(context, inputs[1]);
  if (!depth) return depth.error();
  Result<size_t> axis = normalized_axis(context, int_attribute(context.node, "axis", -1), inputs[0].rank() + 1);
  if (!axis) return axis.error();
  if (inputs[2].size() != 2) return context.error("values must be two elements, off and on");
  Result<std::pair<Tensor, std::byte*>> made =
      Tensor::allocate(inputs[2].dtype(), with_axis(inputs[0].dims(), *axis, *depth));
  if (!made) return made.error();
  const size_t width = size_of(inputs[2].dtype());
  const std::byte *off = inputs[2].bytes().data(), *on = off + width;
  const std::vector<double> indices = to_doubles(inputs[0]);
  const auto inner = static_cast<size_t>(*element_count(std::span(inputs[0].dims()).subspan(*axis)));
  const auto n = static_cast<size_t>(*depth);
  for (size_t i = 0; i < indices.size(); ++i) {
    const double at = indices[i] < 0 ? indices[i] + static_cast<double>(n) : indices[i];
    for (size_t k = 0; k < n; ++k) {
      const size_t to = (i / inner * n + k) * inner + i % inner;
      std::memcpy(made->second + to * width, at == static_cast<double>(k) ? on : off, width);
    }
  }
  return Tensors{std::move(made->first)};
}

}  // namespace

const OpDef one_hot_op = {.name = "OneHot",
                          .min_inputs = 3,
                          .max_inputs = 3,
                          .attributes = k_attributes,
                          .infer = infer,
                          .reference = reference};

}  // namespace octet
