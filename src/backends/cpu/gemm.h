#pragma once
// What the ways to run a fully connected layer ask of its node.

#include <string>
#include <vector>

#include "backends/cpu/step.h"

namespace octet::cpu {

/// y[m][n] of x[m][k].
struct GemmSizes {
  int64_t m = 1, n = 1, k = 1;
};
GemmSizes gemm_sizes(const StepQuery& query);

/// Why it is no layer of floats (FusedGemm, Gemm, MatMul) or of codes (QuantGemm); empty = it is one.
std::string refuse_gemm_f32(const StepQuery& query);
std::string refuse_gemm_u8s8(const StepQuery& query);

/// alpha * weight as [n, k].
std::vector<float> gemm_weights(const StepQuery& query, const GemmSizes& s);
/// beta * bias, one per column; empty where there is none.
std::vector<float> gemm_bias(const StepQuery& query, const GemmSizes& s);

}  // namespace octet::cpu
