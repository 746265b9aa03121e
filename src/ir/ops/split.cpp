// Split(x, sizes?): x cut along axis into parts of these sizes, or into num_outputs equal parts (the last one may be
// shorter), or into as many equal parts as there are outputs. Source: ONNX operator Split, opset 18.
#include "ir/ops/common.h"

namespace octet {
namespace {

constexpr std::string_view k_attributes[] = {"axis", "num_outputs"};

/// Sizes of equal parts of an extent: ceil(extent / parts) each, the rest in the last one.
Result<Dims> equal_sizes(const NodeContext& context, int64_t extent) {
  const auto parts = static_cast<int64_t>(context.node.outputs.size());
  const int64_t given = int_attribute(context.node, "num_outputs", parts);
  if (given != parts)
    return context.error("num_outputs is " + std::to_string(given) + ", but there are " + std::to_string(parts) +
                         " outputs");
  if (!has_attribute(context.node, "num_outputs") && extent % parts != 0)
    return context.error("extent " + std::to_string(extent) + " cannot be split into " + std::to_string(parts) +
                         " equal parts");
  const int64_t each = (extent + parts - 1) / parts;
  const int64_t last = extent - each * (parts - 1);
  if (last < 0)
    return context.error("extent " + std::to_string(extent) + " is too short for " + std::to_string(parts) + " parts");
  Dims sizes(static_cast<size_t>(parts), each);
  sizes.back() = last;
  return sizes;
}

Result<Done> check_sizes(const NodeContext& context, std::span<const int64_t> sizes, const Dim& extent) {
  if (sizes.size() != context.node.outputs.size())
    return context.error("has " + std::to_string(sizes.size()) + " sizes, but " +
                         std::to_string(context.node.outputs.size()) + " outputs");
  int64_t sum = 0;
  for (const int64_t s : sizes) {
    if (s < 0 || s > k_max_elements || sum > k_max_elements)
      return context.error("size " + std::to_string(s) + " is not possible");
    sum += s;
  }
  if (extent.known() && sum != extent.value)
    return context.error("sizes " + list_text(sizes) + " add up to " + std::to_string(sum) + ", expected " +
                         std::to_string(extent.value));
  return Done{};
}

Result<ValueTypes> infer(const NodeContext& context) {
  Result<std::optional<std::vector<int64_t>>> sizes = constant_ints(context, 1);
  if (!sizes) return sizes.error();
  const size_t parts = context.node.outputs.size();
  const std::optional<Shape>& x = context.shape(0);
  ValueTypes types(parts, {context.dtype(0), x});
  if (!x) return types;
  Result<size_t> axis = normalized_axis(context, int_attribute(context.node, "axis", 0), x->size());
  if (!axis) return axis.error();
  const Dim& extent = (*x)[*axis];
  std::vector<Dim> extents(parts);
  if (*sizes) {
    if (Result<Done> ok = check_sizes(context, **sizes, extent); !ok) return ok.error();
    extents.assign((*sizes)->begin(), (*sizes)->end());
  } else if (!context.has_input(1) && extent.known()) {
    Result<Dims> equal = equal_sizes(context, extent.value);
    if (!equal) return equal.error();
    extents.assign(equal->begin(), equal->end());
  }
  for (size_t i = 0; i < parts; ++i) (*types[i].shape)[*axis] = extents[i];
  return types;
}

Result<Tensors> split(const NodeContext& context, std::span<const Tensor> inputs) {
  const Tensor& x = inputs[0];
  Result<size_t> axis = normalized_axis(context, int_attribute(context.node, "axis", 0), x.rank());
  if (!axis) return axis.error();
  Result<Dims> sizes = is_present(inputs, 1) ? ints_of(context, inputs, 1) : equal_sizes(context, x.dims()[*axis]);
  if (!sizes) return sizes.error();
  if (Result<Done> ok = check_sizes(context, *sizes, x.dims()[*axis]); !ok) return ok.error();
  const std::vector<int64_t> strides = row_major_strides(x.dims());
  Tensors parts;
  int64_t start = 0;
  for (const int64_t size : *sizes) {
    Dims dims = x.dims();
    dims[*axis] = size;
    Result<Tensor> part = gather_strided(x, dims, strides, start * strides[*axis]);
    if (!part) return part.error();
    parts.push_back(std::move(*part));
    start += size;
  }
  return parts;
}

}  // namespace

const OpDef split_op = {
    .name = "Split",
    .min_inputs = 1,
    .max_inputs = 2,
    .outputs_min = 1,
    .outputs_max = -1,
    .attributes = k_attributes,
    .infer = infer,
    .reference = split,
    .quant = {.role = QuantRole::same_scale},
};

}  // namespace octet
