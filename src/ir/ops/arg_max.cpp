// ArgMax, ArgMin: index (s64) of the largest or smallest element along axis; of equal ones the first, or the last with
// select_last_index. The first NaN counts as the extreme. Source: ONNX operators ArgMax and ArgMin, opset 13.
#include <functional>

#include "ir/ops/common.h"

namespace octet {
namespace {

constexpr std::string_view k_attributes[] = {"axis", "keepdims", "select_last_index"};

template <class T>
std::vector<T> without_axis(const NodeContext& context, std::vector<T> extents, size_t axis) {
  if (int_attribute(context.node, "keepdims", 1) != 0) {
    extents[axis] = T(1);
  } else {
    extents.erase(extents.begin() + static_cast<std::ptrdiff_t>(axis));
  }
  return extents;
}

Result<ValueTypes> infer(const NodeContext& context) {
  if (!context.shape(0)) return ValueTypes{{DType::s64, {}}};
  const Shape& x = *context.shape(0);
  Result<size_t> axis = normalized_axis(context, int_attribute(context.node, "axis", 0), x.size());
  if (!axis) return axis.error();
  if (x[*axis].value == 0) return context.error("has no element to choose on axis " + std::to_string(*axis));
  return ValueTypes{{DType::s64, without_axis(context, x, *axis)}};
}

template <class Better>
Result<Tensors> arg_best(const NodeContext& context, std::span<const Tensor> inputs) {
  const Tensor& x = inputs[0];
  Result<size_t> axis = normalized_axis(context, int_attribute(context.node, "axis", 0), x.rank());
  if (!axis) return axis.error();
  const int64_t n = x.dims()[*axis], step = row_major_strides(x.dims())[*axis];
  if (n == 0) return context.error("has no element to choose on axis " + std::to_string(*axis));
  const bool last = int_attribute(context.node, "select_last_index", 0) != 0;
  return with_number_type(context, x.dtype(), [&]<class T>(T) -> Result<Tensors> {
    Result<std::pair<Tensor, std::byte*>> made = Tensor::allocate(DType::s64, without_axis(context, x.dims(), *axis));
    if (!made) return made.error();
    auto* y = reinterpret_cast<int64_t*>(made->second);
    for (int64_t line = 0; line < x.size() / n; ++line) {
      const T* from = x.as<T>().data() + line / step * n * step + line % step;
      int64_t best = 0;
      for (int64_t i = 1; i < n; ++i) {
        const Wide<T> a = from[i * step], b = from[best * step];
        if (b == b && (a != a || Better()(a, b) || (last && a == b))) best = i;
      }
      *y++ = best;
    }
    return Tensors{std::move(made->first)};
  });
}

}  // namespace

const OpDef arg_max_op = {
    .name = "ArgMax", .attributes = k_attributes, .infer = infer, .reference = arg_best<std::greater<>>};

const OpDef arg_min_op = {
    .name = "ArgMin", .attributes = k_attributes, .infer = infer, .reference = arg_best<std::less<>>};

}  // namespace octet
