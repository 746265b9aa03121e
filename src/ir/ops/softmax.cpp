// Softmax: y = exp(x - max) / sum exp(x - max) along axis; LogSoftmax its logarithm. Source: ONNX operators Softmax and
// LogSoftmax, opset 13 (one axis, default -1). Evaluated in double and rounded once.
#include <algorithm>

#include "ir/ops/common.h"

namespace octet {
namespace {

constexpr std::string_view k_attributes[] = {"axis"};

/// One line of n elements with this step. A line of -inf alone gives NaN, as the formula does.
template <bool logarithm, class T>
void softmax_line(const T* x, T* y, int64_t n, int64_t step) {
  const auto at = [&](int64_t i) { return static_cast<double>(static_cast<Wide<T>>(x[i * step])); };
  double max = at(0);
  for (int64_t i = 1; i < n; ++i) max = std::max(max, at(i));
  double sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += std::exp(at(i) - max);
  for (int64_t i = 0; i < n; ++i) {
    const double value = logarithm ? at(i) - max - std::log(sum) : std::exp(at(i) - max) / sum;
    y[i * step] = static_cast<T>(static_cast<Wide<T>>(value));
  }
}

template <bool logarithm>
Result<Tensors> softmax(const NodeContext& context, std::span<const Tensor> inputs) {
  const Tensor& x = inputs[0];
  Result<size_t> axis = normalized_axis(context, int_attribute(context.node, "axis", -1), x.rank());
  if (!axis) return axis.error();
  return with_float_type(context, x.dtype(), [&]<class T>(T) -> Result<Tensors> {
    Result<std::pair<Tensor, std::byte*>> made = Tensor::allocate(x.dtype(), x.dims());
    if (!made) return made.error();
    const int64_t n = x.dims()[*axis], step = row_major_strides(x.dims())[*axis];
    for (int64_t line = 0; x.size() > 0 && line < x.size() / n; ++line) {
      const int64_t start = line / step * n * step + line % step;
      softmax_line<logarithm>(x.as<T>().data() + start, reinterpret_cast<T*>(made->second) + start, n, step);
    }
    return Tensors{std::move(made->first)};
  });
}

}  // namespace

const OpDef softmax_op = {
    .name = "Softmax", .attributes = k_attributes, .infer = infer_along_axis, .reference = softmax<false>};

const OpDef log_softmax_op = {
    .name = "LogSoftmax", .attributes = k_attributes, .infer = infer_along_axis, .reference = softmax<true>};

}  // namespace octet
