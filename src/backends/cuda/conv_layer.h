#pragma once
// What the kernels of an integer convolution share on the host: operands, epilogue, multipliers and biases.

#include <span>
#include <vector>

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

struct Layer {
  Operand x, residual, y;
  Codes x_codes;
  Epilogue epilogue;
  double y_scale = 1.0;  // what the multipliers are divided by
};
Result<Layer> integer_layer(const StepQuery& query, StepBuilder& builder);

}  // namespace octet::cuda
