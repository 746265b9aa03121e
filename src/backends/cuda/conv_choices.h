#pragma once
// The ways to run a dense convolution, or a matrix product, on tensor cores: every tile that takes it, with an
// estimate.

#include "backends/cuda/pack.h"
#include "backends/cuda/step.h"

namespace octet::cuda {

/// Everything of ConvParams that depends neither on the run nor on the kernel: no addresses.
ConvParams conv_params(const WindowParams& window, const PackedWeights& packed, const Layout& x, const Layout& y);

/// A convolution or matrix product to find kernels for.
struct DenseConv {
  ConvType type = ConvType::u8s8;
  ConvParams params;
  const PackedWeights& packed;
  bool small_c = false;
  Operand x, residual, y;
  const void* rows = nullptr;  // `packed` in device memory, once a kernel wants it

  /// Errors: no memory.
  Result<const void*> upload_rows(StepBuilder& builder);
};

/// A step whose choices are the tiles of conv_mma.cuh that the builder wants. Errors: no memory.
Result<PreparedStep> conv_choices(DenseConv& conv, StepBuilder& builder);
/// Adds the warpgroup kernels where the device has them and the layer fits them. Errors: no memory.
Result<Done> add_hopper_choices(const DenseConv& conv, StepBuilder& builder, PreparedStep& step);
/// Adds the kernels of clusters where the device has them and the tiles leave multiprocessors idle. Errors: no memory.
Result<Done> add_cluster_choices(DenseConv& conv, StepBuilder& builder, PreparedStep& step);

/// The bias as libraries want it: in the type of y, an entry for every channel that is stored. Errors: no memory.
Result<const void*> upload_stored_bias(ConvType type, const std::vector<float>& bias, size_t n, StepBuilder& builder);

/// The names of all of them, of integer and of float layers.
std::vector<std::string> code_choices();
std::vector<std::string> float_choices();

}  // namespace octet::cuda
