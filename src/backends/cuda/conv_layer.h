#pragma once
// What the kernels of an integer convolution share on the host: operands, epilogue, multipliers and biases.

#include <span>
#include <vector>

#include "backends/cuda/gemv.h"
#include "backends/cuda/pack.h"
#include "backends/cuda/step.h"

namespace octet::cuda {

/// What an integer layer needs beside its weights, uploaded: arrays of `rows` entries.
struct Channels {
  const void* multiplier = nullptr;
  const void* bias = nullptr;
  bool small_sums = false;  // see ConvParams
};

/// By output channel: the sum of all weights, of the positive and of the negative ones.
struct RowSums {
  std::vector<int64_t> all, positive, negative;
};
RowSums row_sums(std::span<const int8_t> w, int64_t oc);

/// sums: of the weights; empty: the bias is uploaded as it is. tiled: for the tensor-core kernels.
Result<Channels> upload_channels(const StepQuery& query, StepBuilder& builder, const Codes& x, double y_scale,
                                 size_t rows, const RowSums& sums, bool tiled);

/// See ConvParams.
bool codes_from_zero(bool small_sums, const Epilogue& epilogue);

struct Layer {
  Operand x, residual, y;
  Codes x_codes;
  Epilogue epilogue;
  double y_scale = 1.0;  // what the multipliers are divided by
};
Result<Layer> integer_layer(const StepQuery& query, StepBuilder& builder);
/// Their outputs lie in memory in the same way.
bool same_output_layout(const Layer& a, const Layer& b);

/// A dense integer convolution ready for the tiled kernels, addresses of x, w, residual and y excepted.
struct DenseCodes {
  Layer layer;
  PackedWeights packed;
  ConvParams params;
  bool small_c = false;    // x has four bytes a pixel
  bool one_pixel = false;  // the residual has one pixel, which is read for all
};
Result<DenseCodes> dense_codes(const StepQuery& query, StepBuilder& builder);

/// Adds the kernel for few rows to the choices of a QuantGemm where it takes the layer. p: what comes before it.
Result<Done> add_gemv(const StepQuery& query, const Layer& layer, GemvParams p, StepBuilder& builder,
                      PreparedStep& step);

/// What is added to the name of a choice by when it lets the next kernel start. The two that are not the first pay
/// where there is about one wave of CTAs, so that the next kernel finds room beside this one.
struct NamedTrigger {
  Trigger trigger;
  const char* suffix;
};
inline constexpr NamedTrigger k_triggers[] = {
    {Trigger::landed, ""}, {Trigger::early, " early"}, {Trigger::at_once, " at once"}};

}  // namespace octet::cuda
