// CumSum(x, axis): running sums along axis; exclusive leaves the element itself out, reverse runs from the end.
// Source: ONNX operator CumSum, opset 14. Floats add in double and round once, integers wrap.
#include "ir/ops/common.h"

namespace octet {
namespace {

constexpr std::string_view k_attributes[] = {"exclusive", "reverse"};

Result<ValueTypes> infer(const NodeContext& context) {
  Result<std::optional<std::vector<int64_t>>> axis = constant_ints(context, 1);
  if (!axis) return axis.error();
  if (context.dtype(0) == DType::boolean) return context.error("is not defined for bool");
  if (*axis && (*axis)->size() != 1) return context.error("axis must be one number");
  if (*axis && context.shape(0))
    if (Result<size_t> at = normalized_axis(context, (*axis)->front(), context.shape(0)->size()); !at)
      return at.error();
  return infer_same(context);
}

Result<Tensors> reference(const NodeContext& context, std::span<const Tensor> inputs) {
  const Tensor& x = inputs[0];
  Result<std::vector<int64_t>> given = ints_of(context, inputs, 1);
  if (!given) return given.error();
  if (given->size() != 1) return context.error("axis must be one number");
  Result<size_t> axis = normalized_axis(context, given->front(), x.rank());
  if (!axis) return axis.error();
  const int64_t n = x.dims()[*axis], step = row_major_strides(x.dims())[*axis];
  const bool exclusive = int_attribute(context.node, "exclusive", 0) != 0;
  const bool reverse = int_attribute(context.node, "reverse", 0) != 0;
  return with_number_type(context, x.dtype(), [&]<class T>(T) -> Result<Tensors> {
    using S = std::conditional_t<std::is_integral_v<Wide<T>>, uint64_t, double>;
    Result<std::pair<Tensor, std::byte*>> made = Tensor::allocate(x.dtype(), x.dims());
    if (!made) return made.error();
    T* y = reinterpret_cast<T*>(made->second);
    for (int64_t line = 0; n > 0 && line < x.size() / n; ++line) {
      const int64_t first = line / step * n * step + line % step;
      S sum = 0;
      for (int64_t i = 0; i < n; ++i) {
        const int64_t at = first + (reverse ? n - 1 - i : i) * step;
        const S before = sum;
        sum += static_cast<S>(static_cast<Wide<T>>(x.as<T>()[static_cast<size_t>(at)]));
        y[at] = static_cast<T>(static_cast<Wide<T>>(exclusive ? before : sum));
      }
    }
    return Tensors{std::move(made->first)};
  });
}

}  // namespace

const OpDef cum_sum_op = {.name = "CumSum",
                          .min_inputs = 2,
                          .max_inputs = 2,
                          .attributes = k_attributes,
                          .infer = infer,
                          .reference = reference};

}  // namespace octet
