// Min, Max, Sum, Mean: any number of inputs of one dtype, broadcast together, folded from left to right. NaN wins.
// Source: ONNX operators Min, Max, Sum and Mean, opset 13.
#include <functional>

#include "ir/ops/common.h"

namespace octet {
namespace {

using PairFn = Result<Tensor> (*)(const NodeContext& context, const Tensor& so_far, const Tensor& next);

Result<Tensors> fold(const NodeContext& context, std::span<const Tensor> inputs, PairFn pair) {
  Tensor so_far = inputs[0];
  for (const Tensor& next : inputs.subspan(1)) {
    Result<Tensor> folded = pair(context, so_far, next);
    if (!folded) return folded.error();
    so_far = std::move(*folded);
  }
  return Tensors{std::move(so_far)};
}

template <class T, class F>
Result<Tensor> pair(const NodeContext& context, const Tensor& so_far, const Tensor& next) {
  return map_pairs<T, T>(context, so_far, next, so_far.dtype(), F{});
}

struct Lower {
  template <class T>
  T operator()(T a, T b) const {
    return a < b || a != a ? a : b;
  }
};
struct Higher {
  template <class T>
  T operator()(T a, T b) const {
    return a > b || a != a ? a : b;
  }
};

Result<Tensors> min_of(const NodeContext& context, std::span<const Tensor> inputs) {
  return with_number_type(context, inputs[0].dtype(),
                          [&]<class T>(T) { return fold(context, inputs, pair<T, Lower>); });
}
Result<Tensors> max_of(const NodeContext& context, std::span<const Tensor> inputs) {
  return with_number_type(context, inputs[0].dtype(),
                          [&]<class T>(T) { return fold(context, inputs, pair<T, Higher>); });
}
// Sum and Mean are for float dtypes only: inference has refused the others.
Result<Tensors> sum_of(const NodeContext& context, std::span<const Tensor> inputs) {
  return with_float_type(context, inputs[0].dtype(),
                         [&]<class T>(T) { return fold(context, inputs, pair<T, std::plus<>>); });
}
Result<Tensors> mean_of(const NodeContext& context, std::span<const Tensor> inputs) {
  Result<Tensors> sum = sum_of(context, inputs);
  if (!sum) return sum;
  return with_float_type(context, inputs[0].dtype(), [&]<class T>(T) {
    const auto count = static_cast<Wide<T>>(inputs.size());
    return single(map_elements<T>((*sum)[0], [=](Wide<T> v) { return v / count; }));
  });
}

Result<ValueTypes> infer_float(const NodeContext& context) {
  if (Result<Done> ok = require_float(context, 0); !ok) return ok.error();
  return infer_broadcast(context);
}

}  // namespace

const OpDef min_op = {.name = "Min", .min_inputs = 1, .max_inputs = -1, .infer = infer_broadcast, .reference = min_of};
const OpDef max_op = {.name = "Max", .min_inputs = 1, .max_inputs = -1, .infer = infer_broadcast, .reference = max_of};
const OpDef sum_op = {.name = "Sum", .min_inputs = 1, .max_inputs = -1, .infer = infer_float, .reference = sum_of};
const OpDef mean_op = {.name = "Mean", .min_inputs = 1, .max_inputs = -1, .infer = infer_float, .reference = mean_of};

}  // namespace octet
