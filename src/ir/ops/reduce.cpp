// ReduceMean, ReduceSum, ReduceMax, ReduceMin, ReduceProd, ReduceL1, ReduceL2, ReduceSumSquare, ReduceLogSum,
// ReduceLogSumExp(x, axes?): over the
// given axes, or all of them without axes (none with noop_with_empty_axes). keepdims (default 1) leaves extents of 1.
// Source: ONNX operators of the same names, opset 18. Floats accumulate in double and round once; integers wrap, and
// their mean, root and logarithm truncate. Max and Min give NaN where one is, and take bool. Over no element at all:
// sum 0, product 1, mean NaN (integers: 0), max the lowest and min the largest value (floats: infinities).
#include <algorithm>

#include "ir/ops/common.h"

namespace octet {
namespace {

constexpr std::string_view k_attributes[] = {"keepdims", "noop_with_empty_axes"};

using Axes = std::vector<bool>;  // by axis: is it reduced

Result<Axes> reduced_axes(const NodeContext& context, std::span<const int64_t> axes, size_t rank) {
  if (axes.empty()) return Axes(rank, int_attribute(context.node, "noop_with_empty_axes", 0) == 0);
  Result<std::vector<size_t>> named = normalized_axes(context, axes, rank);
  if (!named) return named.error();
  Axes reduced(rank, false);
  for (const size_t a : *named) reduced[a] = true;
  return reduced;
}

Result<ValueTypes> infer(const NodeContext& context) {
  Result<std::optional<std::vector<int64_t>>> axes = constant_ints(context, 1);
  if (!axes) return axes.error();
  const bool ordered = is_op(context.node, "ReduceMax") || is_op(context.node, "ReduceMin");
  if (context.dtype(0) == DType::boolean && !ordered) return context.error("is not defined for bool");
  if (!context.shape(0)) return typed(context);
  const Shape& x = *context.shape(0);
  const bool keep = int_attribute(context.node, "keepdims", 1) != 0;
  if (context.has_input(1) && !*axes) return keep ? typed(context, Shape(x.size())) : typed(context);
  Result<Axes> reduced = reduced_axes(context, axes->value_or(std::vector<int64_t>()), x.size());
  if (!reduced) return reduced.error();
  Shape out;
  for (size_t i = 0; i < x.size(); ++i) {
    if (!(*reduced)[i]) {
      out.push_back(x[i]);
    } else if (keep) {
      out.push_back(Dim(1));
    }
  }
  return typed(context, std::move(out));
}

/// double for floats, the 64-bit integer of the same sign else.
template <class T>
using Sum =
    std::conditional_t<!std::is_integral_v<T>, double, std::conditional_t<std::is_signed_v<T>, int64_t, uint64_t>>;

template <class T>
struct SumRule {
  using S = Sum<T>;
  static S start() { return S{0}; }
  static S join(S a, S b) {
    if constexpr (std::is_integral_v<S>) return static_cast<S>(static_cast<uint64_t>(a) + static_cast<uint64_t>(b));
    return a + b;
  }
  static S finish(S a, int64_t) { return a; }
};
template <class T>
struct MeanRule : SumRule<T> {
  using S = Sum<T>;
  static S finish(S a, int64_t count) {
    if constexpr (std::is_integral_v<S>) return count == 0 ? S{0} : static_cast<S>(a / static_cast<S>(count));
    return a / static_cast<S>(count);
  }
};
template <class T>
struct ProductRule {
  using S = Sum<T>;
  static S start() { return S{1}; }
  static S join(S a, S b) {
    if constexpr (std::is_integral_v<S>) return static_cast<S>(static_cast<uint64_t>(a) * static_cast<uint64_t>(b));
    return a * b;
  }
  static S finish(S a, int64_t) { return a; }
};
template <class T>
struct SumSquareRule : SumRule<T> {
  using S = Sum<T>;
  static S join(S a, S b) { return SumRule<T>::join(a, ProductRule<T>::join(b, b)); }
};
template <class T>
struct L1Rule : SumRule<T> {
  using S = Sum<T>;
  static S join(S a, S b) { return SumRule<T>::join(a, b < 0 ? ProductRule<T>::join(b, static_cast<S>(-1)) : b); }
};
template <class T>
struct L2Rule : SumSquareRule<T> {
  using S = Sum<T>;
  static S finish(S a, int64_t) { return static_cast<S>(std::sqrt(static_cast<double>(a))); }
};
template <class T>
struct MaxRule {
  using S = Sum<T>;
  static S start() {
    if constexpr (std::is_integral_v<T>) return std::numeric_limits<T>::lowest();
    return -std::numeric_limits<S>::infinity();
  }
  static S join(S a, S b) { return a > b || a != a ? a : b; }
  static S finish(S a, int64_t) { return a; }
};
template <class T>
struct MinRule {
  using S = Sum<T>;
  static S start() {
    if constexpr (std::is_integral_v<T>) return std::numeric_limits<T>::max();
    return std::numeric_limits<S>::infinity();
  }
  static S join(S a, S b) { return a < b || a != a ? a : b; }
  static S finish(S a, int64_t) { return a; }
};

template <class T>
struct LogSumRule : SumRule<T> {
  using S = Sum<T>;
  static S finish(S a, int64_t) { return static_cast<S>(std::log(static_cast<double>(a))); }
};
/// Carries log(sum e^x) from element to element, so that nothing overflows.
template <class T>
struct LogSumExpRule {
  using S = double;
  static S start() { return -std::numeric_limits<S>::infinity(); }
  static S join(S a, S b) {
    const S high = a > b ? a : b, low = a > b ? b : a;
    if (high == low || std::isinf(high)) return high == low ? high + std::log(2.0) : high;
    return high + std::log1p(std::exp(low - high));
  }
  static S finish(S a, int64_t) { return a; }
};

/// Walks x once; each element joins the accumulator that its kept indices name.
template <template <class> class Rule, class T>
Result<Tensor> reduce_tensor(const Tensor& x, const Axes& reduced, bool keep) {
  using S = typename Rule<T>::S;
  Dims kept, out;
  for (size_t i = 0; i < x.rank(); ++i) {
    kept.push_back(reduced[i] ? 1 : x.dims()[i]);
    if (!reduced[i] || keep) out.push_back(kept.back());
  }
  Result<std::pair<Tensor, std::byte*>> made = Tensor::allocate(x.dtype(), out);
  if (!made) return made.error();
  std::vector<S> sums(static_cast<size_t>(made->first.size()), Rule<T>::start());
  const std::span<const T> elements = x.as<T>();
  const std::array strides = {broadcast_strides(kept, x.dims())};
  for_each_index<1>(x.dims(), strides, [&](int64_t i, const std::array<int64_t, 1>& at) {
    S& sum = sums[static_cast<size_t>(at[0])];
    sum = Rule<T>::join(sum, static_cast<S>(static_cast<Wide<T>>(elements[static_cast<size_t>(i)])));
  });
  const int64_t count = sums.empty() ? 0 : x.size() / made->first.size();
  T* y = reinterpret_cast<T*>(made->second);
  for (const S& sum : sums) *y++ = static_cast<T>(static_cast<Wide<T>>(Rule<T>::finish(sum, count)));
  return std::move(made->first);
}

template <template <class> class Rule>
Result<Tensors> reduce(const NodeContext& context, std::span<const Tensor> inputs) {
  std::vector<int64_t> axes;
  if (is_present(inputs, 1)) {
    Result<std::vector<int64_t>> given = ints_of(context, inputs, 1);
    if (!given) return given.error();
    axes = std::move(*given);
  }
  Result<Axes> reduced = reduced_axes(context, axes, inputs[0].rank());
  if (!reduced) return reduced.error();
  const bool keep = int_attribute(context.node, "keepdims", 1) != 0;
  if (inputs[0].dtype() == DType::boolean) return single(reduce_tensor<Rule, uint8_t>(inputs[0], *reduced, keep));
  return with_number_type(context, inputs[0].dtype(),
                          [&]<class T>(T) { return single(reduce_tensor<Rule, T>(inputs[0], *reduced, keep)); });
}

constexpr OpDef reduction(std::string_view name, ReferenceFn reference) {
  return {.name = name,
          .min_inputs = 1,
          .max_inputs = 2,
          .attributes = k_attributes,
          .infer = infer,
          .reference = reference};
}

}  // namespace

const OpDef reduce_mean_op = reduction("ReduceMean", reduce<MeanRule>);
const OpDef reduce_sum_op = reduction("ReduceSum", reduce<SumRule>);
const OpDef reduce_max_op = reduction("ReduceMax", reduce<MaxRule>);
const OpDef reduce_min_op = reduction("ReduceMin", reduce<MinRule>);
const OpDef reduce_prod_op = reduction("ReduceProd", reduce<ProductRule>);
const OpDef reduce_l1_op = reduction("ReduceL1", reduce<L1Rule>);
const OpDef reduce_l2_op = reduction("ReduceL2", reduce<L2Rule>);
const OpDef reduce_log_sum_op = reduction("ReduceLogSum", reduce<LogSumRule>);
const OpDef reduce_log_sum_exp_op = reduction("ReduceLogSumExp", reduce<LogSumExpRule>);
const OpDef reduce_sum_square_op = reduction("ReduceSumSquare", reduce<SumSquareRule>);

}  // namespace octet
