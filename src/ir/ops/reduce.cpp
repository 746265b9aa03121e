// ReduceMean, ReduceSum, ReduceMax, ReduceMin, ReduceProd, ReduceL1, ReduceL2, ReduceSumSquare, ReduceLogSum,
// ReduceLogSumExp(x, axes?): over the
// given axes, or all of them without axes (none with noop_with_empty_axes). keepdims (default 1) leaves extents of 1.
// Source: ONNX operators of the same names, opset 18. Floats accumulate in double and round once; integers wrap, and
// their mean, root and logarithm truncate (of a negative sum root and logarithm are 0). Max and Min give NaN where one
// is, and take bool. Over no element at all: sum 0, product 1, mean NaN (integers: 0), max the lowest and min the
// largest value (floats: infinities).
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

/// What elements are joined as: double for floats, the 64-bit integer of the same sign else.
template <class T>
using Sum =
    std::conditional_t<!std::is_integral_v<T>, double, std::conditional_t<std::is_signed_v<T>, int64_t, uint64_t>>;

/// The lowest and the largest value of the dtype that is reduced, as S: where Max and Min start.
template <class S>
struct Limits {
  S lowest, largest;
};
template <class T>
constexpr Limits<Sum<T>> limits_of() {
  if constexpr (std::is_integral_v<T>)
    return {std::numeric_limits<T>::lowest(), std::numeric_limits<T>::max()};
  else
    return {-std::numeric_limits<double>::infinity(), std::numeric_limits<double>::infinity()};
}

/// Integers compute modulo 2^64: nothing overflows, and the result of every width wraps.
template <class S>
S added(S a, S b) {
  if constexpr (std::is_integral_v<S>) return static_cast<S>(static_cast<uint64_t>(a) + static_cast<uint64_t>(b));
  return a + b;
}
template <class S>
S multiplied(S a, S b) {
  if constexpr (std::is_integral_v<S>) return static_cast<S>(static_cast<uint64_t>(a) * static_cast<uint64_t>(b));
  return a * b;
}

// A rule: where a sum starts, how it takes up an element, what becomes of it behind the last of count elements.
struct SumRule {
  template <class S>
  static S start(const Limits<S>&) {
    return S{0};
  }
  template <class S>
  static S join(S a, S b) {
    return added(a, b);
  }
  template <class S>
  static S finish(S a, int64_t) {
    return a;
  }
};
struct MeanRule : SumRule {
  template <class S>
  static S finish(S a, int64_t count) {
    if constexpr (std::is_integral_v<S>) return count == 0 ? S{0} : static_cast<S>(a / static_cast<S>(count));
    return a / static_cast<S>(count);
  }
};
struct ProductRule : SumRule {
  template <class S>
  static S start(const Limits<S>&) {
    return S{1};
  }
  template <class S>
  static S join(S a, S b) {
    return multiplied(a, b);
  }
};
struct SumSquareRule : SumRule {
  template <class S>
  static S join(S a, S b) {
    return added(a, multiplied(b, b));
  }
};
struct L1Rule : SumRule {
  template <class S>
  static S join(S a, S b) {
    return added(a, b < 0 ? multiplied(b, static_cast<S>(-1)) : b);
  }
};
struct L2Rule : SumSquareRule {
  template <class S>
  static S finish(S a, int64_t) {
    return converted<S>(std::sqrt(static_cast<double>(a)));
  }
};
struct MaxRule : SumRule {
  template <class S>
  static S start(const Limits<S>& of) {
    return of.lowest;
  }
  template <class S>
  static S join(S a, S b) {
    return a > b || a != a ? a : b;
  }
};
struct MinRule : SumRule {
  template <class S>
  static S start(const Limits<S>& of) {
    return of.largest;
  }
  template <class S>
  static S join(S a, S b) {
    return a < b || a != a ? a : b;
  }
};
struct LogSumRule : SumRule {
  template <class S>
  static S finish(S a, int64_t) {
    return converted<S>(std::log(static_cast<double>(a)));  // log(0) of integers: the lowest S
  }
};
/// Carries log(sum e^x) from element to element, so that nothing overflows; in double for integers too.
struct LogSumExpRule : SumRule {
  static double start(const Limits<double>&) { return -std::numeric_limits<double>::infinity(); }
  static double join(double a, double b) {
    const double high = a > b ? a : b, low = a > b ? b : a;
    if (high == low) return high + std::log(2.0);
    if (std::isinf(high)) return std::isnan(low) ? low : high;
    return high + std::log1p(std::exp(low - high));
  }
};

/// What a dtype brings: its elements as S and back.
template <class S>
struct Elements {
  Limits<S> limits;
  void (*read)(const std::byte* x, int64_t first, std::span<S> to);
  void (*write)(std::span<const S> sums, std::byte* y);
};
template <class T, class S>
constexpr Elements<S> elements_of(const Limits<S>& limits) {
  return {limits,
          [](const std::byte* x, int64_t first, std::span<S> to) {
            const T* from = reinterpret_cast<const T*>(x) + first;
            for (S& value : to) value = static_cast<S>(static_cast<Wide<T>>(*from++));
          },
          [](std::span<const S> sums, std::byte* y) {
            T* to = reinterpret_cast<T*>(y);
            for (const S sum : sums) *to++ = converted<T>(sum);
          }};
}

/// Walks x once; each element joins the sum that its kept indices name.
template <class Rule, class S>
Result<Tensor> reduce_tensor(const Tensor& x, const Axes& reduced, bool keep, const Elements<S>& elements) {
  Dims kept, out;
  for (size_t i = 0; i < x.rank(); ++i) {
    kept.push_back(reduced[i] ? 1 : x.dims()[i]);
    if (!reduced[i] || keep) out.push_back(kept.back());
  }
  Result<std::pair<Tensor, std::byte*>> made = Tensor::allocate(x.dtype(), out);
  if (!made) return made.error();
  std::vector<S> sums(static_cast<size_t>(made->first.size()), Rule::start(elements.limits));
  std::array<S, 256> values;
  int64_t read = 0;
  for (LineWalk<1> walk(x.dims(), {broadcast_strides(kept, x.dims())}); !walk.done(); walk.next()) {
    S* sum = sums.data() + walk.at()[0];
    for (int64_t left = walk.line(); left > 0;) {
      const auto n = std::min(left, static_cast<int64_t>(values.size()));
      elements.read(x.bytes().data(), read, std::span(values).first(static_cast<size_t>(n)));
      for (int64_t i = 0; i < n; ++i, sum += walk.step()[0]) *sum = Rule::join(*sum, values[static_cast<size_t>(i)]);
      read += n;
      left -= n;
    }
  }
  const int64_t count = sums.empty() ? 0 : x.size() / made->first.size();
  for (S& sum : sums) sum = Rule::finish(sum, count);
  elements.write(sums, made->second);
  return std::move(made->first);
}

template <class Rule>
Result<Tensors> reduce(const NodeContext& context, std::span<const Tensor> inputs) {
  std::vector<int64_t> axes;
  if (is_present(inputs, 1)) {
    Result<std::vector<int64_t>> given = ints_of(context, inputs, 1);
    if (!given) return given.error();
    axes = std::move(*given);
  }
  const Tensor& x = inputs[0];
  Result<Axes> reduced = reduced_axes(context, axes, x.rank());
  if (!reduced) return reduced.error();
  const bool keep = int_attribute(context.node, "keepdims", 1) != 0;
  if (x.dtype() == DType::boolean) {
    if constexpr (std::is_same_v<Rule, MaxRule> || std::is_same_v<Rule, MinRule>)
      return single(reduce_tensor<Rule>(x, *reduced, keep, elements_of<uint8_t, uint64_t>({0, 1})));
    return undefined_for(context, x.dtype());
  }
  return with_number_type(context, x.dtype(), [&]<class T>(T) {
    using S = std::conditional_t<std::is_same_v<Rule, LogSumExpRule>, double, Sum<T>>;
    if constexpr (std::is_same_v<S, Sum<T>>)
      return single(reduce_tensor<Rule>(x, *reduced, keep, elements_of<T, S>(limits_of<T>())));
    else
      return single(reduce_tensor<Rule>(x, *reduced, keep, elements_of<T, S>({})));
  });
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
