// JoinedGather: elements along an axis of several values, as if these lay side by side. README.md.
#include <cstring>
#include <numeric>

#include "ir/ops/common.h"
#include "ir/ops/fused.h"
#include "ir/ops/joined_entries.h"

namespace octet {
namespace {

constexpr std::string_view k_attributes[] = {"axis"};
constexpr size_t k_indices = 0, k_table = 1, k_first_x = 2;

Result<Done> check_dtypes(const NodeContext& context) {
  if (context.dtype(k_indices) != DType::s64 && context.dtype(k_indices) != DType::s32)
    return context.error("indices are " + std::string(name(context.dtype(k_indices))) + ", expected s64 or s32");
  if (context.input_count() <= k_first_x) return context.error("there is nothing to gather from");
  for (size_t i = k_first_x; i < context.input_count(); ++i) {
    if (!context.has_input(i)) return context.error("input " + std::to_string(i) + " is missing");
    if (Result<Done> ok = require_same_dtype(context, k_first_x, i); !ok) return ok;
  }
  if (!context.has_input(k_table)) return Done{};
  for (const size_t i : {k_table, k_first_x})
    if (Result<Done> ok = require_codes(context, i); !ok) return ok;
  const std::optional<Shape>& table = context.shape(k_table);
  if (table && !(table->size() == 1 && (*table)[0] == Dim(256)))
    return context.error("the table is " + to_string(*table) + ", expected [256]");
  return Done{};
}

/// The extents of all x, which differ on the axis at most, with `count` on it.
Result<Shape> gathered(const NodeContext& context, std::span<const Shape> shapes, const Dim& count) {
  Shape out = shapes[0];
  Result<size_t> axis = normalized_axis(context, int_attribute(context.node, "axis", 0), out.size());
  if (!axis) return axis.error();
  for (const Shape& shape : shapes) {
    bool fits = shape.size() == out.size();
    for (size_t i = 0; fits && i < out.size(); ++i) {
      const std::optional<Dim> d = i == *axis ? count : unified_dim(out[i], shape[i]);
      fits = d.has_value();
      if (fits) out[i] = *d;
    }
    if (!fits)
      return context.error("shapes " + to_string(shapes[0]) + " and " + to_string(shape) + " may differ only on axis " +
                           std::to_string(*axis));
  }
  return out;
}

Result<ValueTypes> infer(const NodeContext& context) {
  if (Result<Done> ok = check_dtypes(context); !ok) return ok.error();
  const DType dtype = context.dtype(context.has_input(k_table) ? k_table : k_first_x);
  const std::optional<Shape>& indices = context.shape(k_indices);
  if (indices && indices->size() != 1)
    return context.error("the indices are " + to_string(*indices) + ", expected a list");
  std::vector<Shape> shapes;
  for (size_t i = k_first_x; i < context.input_count() && context.shape(i); ++i) shapes.push_back(*context.shape(i));
  if (!indices || shapes.size() != context.input_count() - k_first_x) return ValueTypes{{dtype, {}}};
  Result<Shape> shape = gathered(context, shapes, (*indices)[0]);
  if (!shape) return shape.error();
  return ValueTypes{{dtype, std::move(*shape)}};
}

Result<Tensors> reference(const NodeContext& context, std::span<const Tensor> inputs) {
  const std::span<const Tensor> xs = inputs.subspan(k_first_x);
  Result<std::vector<int64_t>> indices = ints_of(context, inputs, k_indices);
  if (!indices) return indices.error();
  std::vector<Shape> shapes;
  for (const Tensor& x : xs) shapes.push_back(to_shape(x.dims()));
  Result<Shape> shape = gathered(context, shapes, Dim(static_cast<int64_t>(indices->size())));
  if (!shape) return shape.error();
  const size_t axis = *normalized_axis(context, int_attribute(context.node, "axis", 0), shape->size());
  std::vector<int64_t> extents;
  for (const Tensor& x : xs) extents.push_back(x.dims()[axis]);
  const int64_t extent = std::accumulate(extents.begin(), extents.end(), int64_t{0});
  if (const std::optional<int64_t> outside = first_outside(*indices, extent))
    return context.error("index " + std::to_string(*outside) + " is out of range for the extent " +
                         std::to_string(extent));
  const std::vector<JoinedEntry> sources = joined_entries(extents, *indices);
  const Dims dims = known_dims(*shape).value();
  Result<std::pair<Tensor, std::byte*>> made = Tensor::allocate(xs[0].dtype(), dims);
  if (!made) return made.error();
  if (made->first.size() > 0) {
    const std::span<const int64_t> all(dims);
    const int64_t rows = *element_count(all.first(axis));
    const size_t block = static_cast<size_t>(*element_count(all.subspan(axis + 1))) * size_of(xs[0].dtype());
    std::byte* to = made->second;
    for (int64_t row = 0; row < rows; ++row)
      for (const JoinedEntry& from : sources) {
        const auto at = static_cast<size_t>(row * extents[from.value] + from.entry) * block;
        std::memcpy(to, xs[from.value].bytes().data() + at, block);
        to += block;
      }
  }
  if (!is_present(inputs, k_table)) return Tensors{std::move(made->first)};
  if (inputs[k_table].size() != 256)
    return context.error("the table has " + std::to_string(inputs[k_table].size()) + " codes, expected 256");
  const std::vector<int32_t> table = code_values(inputs[k_table]);
  std::vector<int32_t> y;
  for (const int32_t code : code_values(made->first)) y.push_back(table[static_cast<size_t>(code & 255)]);
  return codes_tensor(inputs[k_table].dtype(), dims, y);
}

}  // namespace

const OpDef joined_gather_op = {.name = "JoinedGather",
                                .min_inputs = 1,
                                .max_inputs = 65536,  // and not any number: of so many all would have to be present
                                .attributes = k_attributes,
                                .infer = infer,
                                .reference = reference,
                                .is_onnx = false};

}  // namespace octet
