// Fully connected layers of up to k_most_narrow inputs and outputs, such as those that mix the heads of attention:
// dense rows, as many to a register as it holds. The same bits as gemm_f32 and gemm_u8s8, which fill whole vectors of
// channels.
#include <algorithm>
#include <cstdlib>

#include "backends/cpu/gemm.h"
#include "backends/cpu/requantize.h"
#include "kernels/activation/activation.h"
#include "kernels/elementwise/elementwise.h"
#include "kernels/matmul_f32/matmul_f32.h"

namespace octet::cpu {
namespace {

constexpr int64_t k_block_rows = 256;  // rows of codes at a time: their floats stay in L1

std::string refuse_wide(const StepQuery& query) {
  const GemmSizes s = gemm_sizes(query);
  if (s.k >= 1 && s.n >= 1 && s.k <= k_most_narrow && s.n <= k_most_narrow) return "";
  return "rows of " + std::to_string(s.k) + " and " + std::to_string(s.n) + " elements, not of up to " +
         std::to_string(k_most_narrow);
}

std::string refuse_f32(const StepQuery& query) {
  const std::string reason = refuse_gemm_f32(query);
  return reason.empty() ? refuse_wide(query) : reason;
}

/// Sums of codes are exact in f32 below 2^24, and k_most_narrow products take less than 2^18 of it.
std::string refuse_u8s8(const StepQuery& query) {
  std::string reason = refuse_gemm_u8s8(query);
  if (reason.empty()) reason = refuse_wide(query);
  if (!reason.empty() || !query.has_input(3)) return reason;
  for (const int32_t b : query.constant(3)->as<int32_t>()) {
    if (std::abs(static_cast<int64_t>(b)) > (1 << 24) - (1 << 18)) return "a bias beyond 2^24 - 2^18";
  }
  return "";
}

/// Rows pass by at about 40 bytes a nanosecond.
double cost_us(const StepQuery& query) { return 1 + (streaming_cost_us(query) - 1) / 4; }

struct Narrow {
  GemmSizes sizes;
  std::vector<float> weights, bias, factor;
  ActivationParams activation;
  MatMulF32Kernels kernels;
  ActivationKernels activations;

  void run(const float* x, int64_t rows, float* y) const {
    kernels.narrow({.x = x,
                    .y = y,
                    .rows = rows,
                    .k = static_cast<int32_t>(sizes.k),
                    .n = static_cast<int32_t>(sizes.n),
                    .weights = weights.data(),
                    .bias = bias.data(),
                    .factor = factor.empty() ? nullptr : factor.data()});
    if (activation.kind != ActivationKind::none)
      activations.activate(y, static_cast<size_t>(rows * sizes.n), activation);
  }
};

Narrow narrow_of(const StepQuery& query, ActivationParams activation) {
  return {.sizes = gemm_sizes(query),
          .weights = {},
          .bias = {},
          .factor = {},
          .activation = activation,
          .kernels = matmul_f32_kernels(query.isa),
          .activations = activation_kernels(query.isa)};
}

/// body(first, rows, worker) for blocks of rows.
template <class F>
void for_blocks(const RunContext& run, const GemmSizes& s, F&& body) {
  run.parallel(s.m, s.k + s.n, [&](int64_t first, int64_t last, int worker) {
    for (; first < last; first += k_block_rows) body(first, std::min(k_block_rows, last - first), worker);
  });
}

Result<PreparedStep> prepare_f32(const StepQuery& query, StepBuilder& builder) {
  Result<Operand> x = builder.input(query, 0);
  if (!x) return x.error();
  Narrow layer = narrow_of(query, fused_activation(query.node));
  layer.weights = gemm_weights(query, layer.sizes);
  layer.bias = gemm_bias(query, layer.sizes);
  layer.bias.resize(static_cast<size_t>(layer.sizes.n), 0.0f);
  PreparedStep step{.in_team = true};
  step.run = [layer = std::move(layer), x = x->place, y = builder.output(query).place](const RunContext& run) {
    const float* const from = run.at<float>(x);
    float* const to = run.at<float>(y);
    for_blocks(run, layer.sizes, [&](int64_t first, int64_t rows, int) {
      layer.run(from + first * layer.sizes.k, rows, to + first * layer.sizes.n);
    });
  };
  return step;
}

Result<PreparedStep> prepare_u8s8(const StepQuery& query, StepBuilder& builder) {
  Result<Operand> x = builder.input(query, 0);
  if (!x) return x.error();
  const Codes codes = codes_of(query.node, "x", query.dtype(0));
  const OutputForm form = output_form(query.node);
  Narrow layer = narrow_of(query, form.activation);
  for (const int8_t w : query.constant(1)->as<int8_t>()) layer.weights.push_back(static_cast<float>(w));
  if (query.has_input(3)) {
    for (const int32_t b : query.constant(3)->as<int32_t>()) layer.bias.push_back(static_cast<float>(b));
  }
  layer.bias.resize(static_cast<size_t>(layer.sizes.n), 0.0f);
  for (const float w_scale : query.constant(2)->as<float>())
    layer.factor.push_back(form.multiplier(static_cast<double>(codes.scale) * static_cast<double>(w_scale)));
  const int64_t values = layer.sizes.k + layer.sizes.n;
  PreparedStep step{.scratch_bytes = static_cast<size_t>(k_block_rows * values) * sizeof(float), .in_team = true};
  step.run = [layer = std::move(layer), codes, form, to_values = elementwise_kernels(query.isa).dequantize_u8,
              x = x->place, y = builder.output(query).place](const RunContext& run) {
    const auto [m, n, k] = layer.sizes;
    const auto* const from = run.at<uint8_t>(x);
    for_blocks(run, layer.sizes, [&, n = n, k = k](int64_t first, int64_t rows, int worker) {
      auto *const rows_in = run.scratch<float>(worker), *const rows_out = rows_in + k_block_rows * k;
      to_values(from + first * k, static_cast<size_t>(rows * k), 1.0f, codes.zero_point, rows_in);
      if (form.to_f32) return layer.run(rows_in, rows, run.at<float>(y) + first * n);
      layer.run(rows_in, rows, rows_out);
      layer.activations.quantize(rows_out, static_cast<size_t>(rows * n), form.on_values ? form.inverse_y_scale : 1.0f,
                                 form.y_zero_point, form.lo, form.hi, run.at<uint8_t>(y) + first * n);
    });
  };
  return step;
}

}  // namespace

const StepDef narrow_f32_step = {"narrow_f32", refuse_f32, cost_us, prepare_f32};
const StepDef narrow_u8s8_step = {"narrow_u8s8", refuse_u8s8, cost_us, prepare_u8s8};

}  // namespace octet::cpu
