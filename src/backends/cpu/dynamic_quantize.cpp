// DynamicQuantizeLinear: the range of all elements first, then every element by the range's scale and zero point.
// Formulas: src/ir/ops/dynamic_quantize_linear.cpp.
#include <algorithm>
#include <array>
#include <cmath>

#include "backends/cpu/rows.h"
#include "backends/cpu/step.h"
#include "kernels/elementwise/elementwise.h"

namespace octet::cpu {
namespace {

struct Range {
  float low = 0, high = 0;  // holds 0; NaN counts for nothing
  void add(const float* x, int64_t n, int64_t stride) {
    constexpr int64_t k_lanes = 16;  // independent, so that the compiler may keep them in vectors
    std::array<float, k_lanes> lows{}, highs{};
    int64_t i = 0;
    for (; stride == 1 && i + k_lanes <= n; i += k_lanes)
      for (int64_t lane = 0; lane < k_lanes; ++lane) {
        const auto at = static_cast<size_t>(lane);
        lows[at] = x[i + lane] < lows[at] ? x[i + lane] : lows[at];
        highs[at] = x[i + lane] > highs[at] ? x[i + lane] : highs[at];
      }
    for (; i < n; ++i) {
      lows[0] = std::min(lows[0], x[i * stride]);
      highs[0] = std::max(highs[0], x[i * stride]);
    }
    for (const float v : lows) low = std::min(low, v);
    for (const float v : highs) high = std::max(high, v);
  }
};

std::string refuse(const StepQuery& query) {
  return query.shape(0)->size() > StridedLoop::k_max_rank ? "more than 10 dimensions" : "";
}

/// Exactly the elements: padding channels may hold anything.
StridedLoop exact_loop(const Layout& layout) { return StridedLoop(layout.dims, {layout.strides}); }

Result<PreparedStep> prepare(const StepQuery& query, StepBuilder& builder) {
  Result<Operand> x = builder.input(query, 0);
  if (!x) return x.error();
  const Operand y = builder.output(query), scale = builder.output(query, 1), zero = builder.output(query, 2);
  PreparedStep step{.scratch_bytes = sizeof(Range)};
  step.run = [elements = exact_loop(x->layout), loop = element_loop(y.layout, {&x->layout}),
              quantize = elementwise_kernels(query.isa).quantize_f32, x = x->place, y = y.place, scale = scale.place,
              zero = zero.place](const RunContext& run) {
    const float* px = run.at<float>(x);
    for (int worker = 0; worker < run.threads(); ++worker) *run.scratch<Range>(worker) = Range();
    for_row_blocks(run, elements, [&](const StridedLoop::Offsets& at, int64_t n, int worker) {
      run.scratch<Range>(worker)->add(px + at[0], n, elements.row_stride(0));
    });
    Range all;
    for (int worker = 0; worker < run.threads(); ++worker) {
      all.low = std::min(all.low, run.scratch<Range>(worker)->low);
      all.high = std::max(all.high, run.scratch<Range>(worker)->high);
    }
    const float step_size = all.high == all.low ? 1.0f : (all.high - all.low) / 255.0f;
    const float nearest = std::nearbyint(-all.low / step_size);
    const auto zero_point = static_cast<uint8_t>(std::isnan(nearest) ? 0.0f : std::clamp(nearest, 0.0f, 255.0f));
    *run.at<float>(scale) = step_size;
    *run.at<uint8_t>(zero) = zero_point;
    uint8_t* py = run.at<uint8_t>(y);
    for_row_blocks(run, loop, [&](const StridedLoop::Offsets& at, int64_t n, int) {
      quantize(px + at[1], static_cast<size_t>(n), step_size, zero_point, 0, 255, py + at[0]);
    });
  };
  return step;
}

}  // namespace

const StepDef dynamic_quantize_step = {"dynamic_quantize", refuse, streaming_cost_us, prepare};

}  // namespace octet::cpu
