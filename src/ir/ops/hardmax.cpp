// Hardmax(x; axis): 1 at the first of the largest elements of each line along axis, 0 elsewhere. Source: ONNX operator
// Hardmax, opset 13.
#include <algorithm>

#include "ir/ops/lines.h"

namespace octet {
namespace {

constexpr std::string_view k_attributes[] = {"axis"};

Result<Tensors> reference(const NodeContext& context, std::span<const Tensor> inputs) {
  const Tensor& x = inputs[0];
  const Result<size_t> axis = normalized_axis(context, int_attribute(context.node, "axis", -1), x.rank());
  if (!axis) return axis.error();
  return with_float_type(context, x.dtype(), [&]<class T>(T) -> Result<Tensors> {
    Result<std::pair<Tensor, std::byte*>> made = Tensor::allocate(x.dtype(), x.dims());
    if (!made) return made.error();
    T* y = reinterpret_cast<T*>(made->second);
    std::fill_n(y, x.size(), T(0));
    const std::span<const T> in = x.as<T>();
    for_each_line(x.dims(), *axis, [&](int64_t first, int64_t step) {
      int64_t best = first;
      for (int64_t i = 1; i < x.dims()[*axis]; ++i)
        if (static_cast<Wide<T>>(in[static_cast<size_t>(first + i * step)]) >
            static_cast<Wide<T>>(in[static_cast<size_t>(best)]))
          best = first + i * step;
      y[best] = T(1);
    });
    return Tensors{std::move(made->first)};
  });
}

}  // namespace

const OpDef hardmax_op = {
    .name = "Hardmax", .attributes = k_attributes, .infer = infer_along_axis, .reference = reference};

}  // namespace octet
