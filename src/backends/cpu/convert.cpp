// Cast between the dtypes that appear in running networks, and ArgMax/ArgMin of f32.
#include <cmath>
#include <limits>
#include <type_traits>

#include "backends/cpu/rows.h"
#include "backends/cpu/step.h"

namespace octet::cpu {
namespace {

bool is_castable(DType d) {
  return d == DType::f32 || d == DType::u8 || d == DType::s8 || d == DType::s32 || d == DType::s64 ||
         d == DType::boolean;
}

std::string refuse_cast(const StepQuery& query) {
  for (const DType d : {query.dtype(0), query.output().dtype}) {
    if (!is_castable(d)) return "dtype " + std::string(name(d));
  }
  return "";
}

/// Float to integer truncates towards zero, saturates, NaN gives 0; an integer keeps its low bits.
template <class T, class From>
T to_integer(From v) {
  if constexpr (std::is_integral_v<From>) {
    return static_cast<T>(v);
  } else {
    const double limit = std::ldexp(1.0, std::numeric_limits<T>::digits);  // exact, which max() need not be
    if (std::isnan(v)) return T{0};
    if (v >= limit) return std::numeric_limits<T>::max();
    if (v <= static_cast<double>(std::numeric_limits<T>::lowest())) return std::numeric_limits<T>::lowest();
    return static_cast<T>(v);
  }
}

/// n elements of either f32 or an integer: read(i) gives float or int64_t.
template <class Read>
void store(Read read, DType to, std::byte* y, int64_t n) {
  const auto fill = [&](auto* out, auto convert) {
    for (int64_t i = 0; i < n; ++i) out[i] = convert(read(i));
  };
  switch (to) {
    case DType::f32: return fill(reinterpret_cast<float*>(y), [](auto v) { return static_cast<float>(v); });
    case DType::s32: return fill(reinterpret_cast<int32_t*>(y), [](auto v) { return to_integer<int32_t>(v); });
    case DType::s64: return fill(reinterpret_cast<int64_t*>(y), [](auto v) { return to_integer<int64_t>(v); });
    case DType::s8: return fill(y, [](auto v) { return static_cast<std::byte>(to_integer<int8_t>(v) + 128); });
    case DType::boolean: return fill(y, [](auto v) { return static_cast<std::byte>(v != 0 ? 1 : 0); });
    default: return fill(y, [](auto v) { return static_cast<std::byte>(to_integer<uint8_t>(v)); });
  }
}

void convert(DType from, const std::byte* x, DType to, std::byte* y, int64_t n) {
  const auto integers = [&](const auto* in) {
    store([in](int64_t i) { return static_cast<int64_t>(in[i]); }, to, y, n);
  };
  switch (from) {
    case DType::f32: return store([in = reinterpret_cast<const float*>(x)](int64_t i) { return in[i]; }, to, y, n);
    case DType::s32: return integers(reinterpret_cast<const int32_t*>(x));
    case DType::s64: return integers(reinterpret_cast<const int64_t*>(x));
    case DType::s8: return store([x](int64_t i) { return int64_t{static_cast<uint8_t>(x[i])} - 128; }, to, y, n);
    default: return integers(reinterpret_cast<const uint8_t*>(x));
  }
}

Result<PreparedStep> prepare_cast(const StepQuery& query, StepBuilder& builder) {
  Result<Operand> x = builder.input(query, 0);
  if (!x) return x.error();
  const Operand y = builder.output(query);
  PreparedStep step;
  step.run = [loop = element_loop(y.layout, {&x->layout}), from = x->layout.dtype, to = y.layout.dtype, x = x->place,
              y = y.place](const RunContext& run) {
    const std::byte* px = run.at<std::byte>(x);
    std::byte* py = run.at<std::byte>(y);
    for_row_blocks(run, loop, [&](const StridedLoop::Offsets& at, int64_t n, int) {
      convert(from, px + at[1] * static_cast<int64_t>(size_of(from)), to,
              py + at[0] * static_cast<int64_t>(size_of(to)), n);
    });
  };
  return step;
}

std::string refuse_arg(const StepQuery& query) {
  if (query.dtype(0) != DType::f32) return "the input is " + std::string(name(query.dtype(0))) + ", not f32";
  return query.shape(0)->size() > StridedLoop::k_max_rank ? "more than 10 dimensions" : "";
}

struct ArgRule {
  bool smallest = false, last = false;
};

/// The first extreme element, or the last; the first NaN counts as the extreme.
int64_t arg_best(const float* x, int64_t n, int64_t stride, ArgRule rule) {
  int64_t best = 0;
  for (int64_t i = 1; i < n; ++i) {
    const float a = x[i * stride], b = x[best * stride];
    if (std::isnan(b)) break;
    if (std::isnan(a) || (rule.smallest ? a < b : a > b) || (rule.last && a == b)) best = i;
  }
  return best;
}

Result<PreparedStep> prepare_arg(const StepQuery& query, StepBuilder& builder) {
  Result<Operand> x = builder.input(query, 0);
  if (!x) return x.error();
  const Operand y = builder.output(query);
  const int64_t given = int_attribute(query.node, "axis", 0);
  const auto axis = static_cast<size_t>(given < 0 ? given + static_cast<int64_t>(x->layout.rank()) : given);
  Dims dims = x->layout.dims, from = x->layout.strides, to = y.layout.strides;
  const int64_t n = dims[axis], stride = from[axis];
  const auto at = static_cast<ptrdiff_t>(axis);
  dims.erase(dims.begin() + at);
  from.erase(from.begin() + at);
  if (int_attribute(query.node, "keepdims", 1) != 0) to.erase(to.begin() + at);
  const ArgRule rule{is_op(query.node, "ArgMin"), int_attribute(query.node, "select_last_index", 0) != 0};
  PreparedStep step;
  step.run = [loop = StridedLoop(dims, {to, from}), n, stride, rule, x = x->place, y = y.place](const RunContext& run) {
    const float* px = run.at<float>(x);
    int64_t* py = run.at<int64_t>(y);
    run.parallel(loop.rows(), loop.row_length() * n, [&](int64_t first, int64_t last, int) {
      for (int64_t r = first; r < last; ++r) {
        const StridedLoop::Offsets row = loop.row_offsets(r);
        for (int64_t i = 0; i < loop.row_length(); ++i)
          py[row[0] + i * loop.row_stride(0)] = arg_best(px + row[1] + i * loop.row_stride(1), n, stride, rule);
      }
    });
  };
  return step;
}

}  // namespace

const StepDef cast_step = {"cast", refuse_cast, streaming_cost_us, prepare_cast};
const StepDef arg_f32_step = {"arg_f32", refuse_arg, streaming_cost_us, prepare_arg};

}  // namespace octet::cpu
