// Dropout(x, ratio?, training_mode?) -> y, mask. At inference y = x, the mask all true. In training mode every element
// stays with probability 1 - ratio, as x / (1 - ratio), and else is 0: which do is random, from the attribute seed (0
// where there is none), by the Mersenne Twister MT19937 with two draws for each element, in the order of the elements:
// u = ((a >> 5) 2^26 + (b >> 6)) / 2^53, which stays where u >= ratio. So one seed has one answer, that of ONNX's node
// tests (NumPy's RandomState). Source: ONNX operator Dropout, opset 22; M. Matsumoto and T. Nishimura, "Mersenne
// Twister", ACM TOMACS 8 (1998).
#include <algorithm>
#include <random>

#include "ir/ops/common.h"

namespace octet {
namespace {

constexpr std::string_view k_attributes[] = {"seed"};

Result<ValueTypes> infer(const NodeContext& context) {
  if (Result<Done> ok = require_float(context, 0); !ok) return ok.error();
  return ValueTypes{{context.dtype(0), context.shape(0)}, {DType::boolean, context.shape(0)}};
}

Result<double> scalar(const NodeContext& context, std::span<const Tensor> inputs, size_t i, double otherwise) {
  if (!is_present(inputs, i)) return otherwise;
  const std::vector<double> value = to_doubles(inputs[i]);
  if (value.size() != 1)
    return context.error("input " + std::to_string(i) + " has " + std::to_string(value.size()) +
                         " elements, expected 1");
  return value[0];
}

/// By element: whether it stays.
std::vector<bool> draw(int64_t count, double ratio, int64_t seed) {
  std::mt19937 random(static_cast<uint32_t>(seed));
  std::vector<bool> stays(static_cast<size_t>(count));
  for (size_t i = 0; i < stays.size(); ++i) {
    const uint32_t high = random() >> 5, low = random() >> 6;
    stays[i] = (high * 67108864.0 + low) / 9007199254740992.0 >= ratio;
  }
  return stays;
}

Result<Tensors> reference(const NodeContext& context, std::span<const Tensor> inputs) {
  const Result<double> ratio = scalar(context, inputs, 1, 0.5), training = scalar(context, inputs, 2, 0);
  if (!ratio) return ratio.error();
  if (!training) return training.error();
  Result<std::pair<Tensor, std::byte*>> mask = Tensor::allocate(DType::boolean, inputs[0].dims());
  if (!mask) return mask.error();
  std::fill_n(mask->second, mask->first.size_bytes(), std::byte{1});
  if (*training == 0 || *ratio == 0) return Tensors{inputs[0], std::move(mask->first)};
  if (!(*ratio > 0 && *ratio < 1))
    return context.error("ratio is " + std::to_string(*ratio) + ", expected 0 <= ratio < 1");
  const std::vector<bool> stays = draw(inputs[0].size(), *ratio, int_attribute(context.node, "seed", 0));
  std::transform(stays.begin(), stays.end(), mask->second,
                 [](bool stay) { return stay ? std::byte{1} : std::byte{0}; });
  const double scale = 1.0 / (1.0 - *ratio);
  return with_float_type(context, inputs[0].dtype(), [&]<class T>(T) -> Result<Tensors> {
    size_t i = 0;
    Result<Tensor> y =
        map_elements<T>(inputs[0], [&](Wide<T> x) { return static_cast<Wide<T>>(stays[i++] ? x * scale : 0.0); });
    if (!y) return y.error();
    return Tensors{*std::move(y), std::move(mask->first)};
  });
}

}  // namespace

const OpDef dropout_op = {.name = "Dropout",
                          .max_inputs = 3,
                          .outputs_max = 2,
                          .attributes = k_attributes,
                          .infer = infer,
                          .reference = reference};

}  // namespace octet
