#pragma once
// A packed FP32 depthwise layer that runs some rows of one image, wherever its input rows lie.

#include <cstdint>
#include <limits>

#include "base/aligned_vector.h"
#include "kernels/activation/activation.h"
#include "kernels/conv_f32/conv_f32.h"
#include "kernels/depthwise/depthwise_isa.h"
#include "kernels/depthwise/door.h"
#include "kernels/depthwise/repeated.h"
#include "kernels/implicit_gemm/split.h"

namespace octet {

/// Weights and bias of a depthwise layer as DepthwiseCall has them, and the clamp that its activation is.
struct DepthwiseFloats {
  AlignedVector<float> weights, bias;
  float lo = -std::numeric_limits<float>::infinity(), hi = std::numeric_limits<float>::infinity();
  bool is_clamp = true;  // else the activation is a pass of its own

  explicit DepthwiseFloats(const ConvF32Desc& desc);
  size_t bytes() const { return (weights.size() + bias.size()) * sizeof(float); }

  /// A lattice's rows; x, x_rows, residual and y are left to the caller. Borrows the lattice.
  template <class X, class Y>
  DepthwiseCall<X, Y> call(const DepthwiseLattice& lattice, IndexRange channels) const {
    DepthwiseCall<X, Y> made = {};
    made.geometry = &lattice.geometry;
    made.weights = weights.data(), made.bias = bias.data();
    made.lo = lo, made.hi = hi;
    made.oy_begin = lattice.rows.begin, made.oy_end = lattice.rows.end;
    made.c_begin = channels.begin, made.c_end = channels.end;
    return made;
  }
};

/// Of the lattices that the layer falls into with these kernels; 1 = none.
int64_t lattice_step(const WindowGeometry& g, const DepthwiseF32Kernels& kernels);

struct DepthwiseRowsAt {
  const float* x = nullptr;  // the image, or a ring of rows: DepthwiseF32Call
  int64_t x_rows = 0;
  const float* residual = nullptr;  // the image
  float* y = nullptr;               // the first of the rows
  std::byte* scratch = nullptr;     // scratch_bytes()
};

class DepthwiseRowsF32 {
 public:
  /// desc: of a depthwise layer, also one with repeated channels (repeated.h); geometry() has all of them.
  DepthwiseRowsF32(const ConvF32Desc& desc, Isa isa);
  const WindowGeometry& geometry() const { return geometry_; }
  const char* kernel_name() const { return kernels_.name; }
  size_t packed_bytes() const { return floats_.bytes(); }
  size_t scratch_bytes() const { return repeated_.scratch_bytes(); }
  void run(const DepthwiseRowsAt& at, IndexRange rows, IndexRange channels) const;

 private:
  void run_repeated(const DepthwiseRowsAt& image, IndexRange rows, IndexRange channels) const;
  void run_rows(const DepthwiseRowsAt& image, const WindowGeometry& g, IndexRange rows, IndexRange channels) const;
  void activate(float* image, IndexRange rows, IndexRange channels) const;

  WindowGeometry geometry_;
  int64_t step_;  // of lattices
  ActivationParams activation_;
  bool has_residual_;
  DepthwiseF32Kernels kernels_;
  ActivationKernels activation_kernels_;
  DepthwiseFloats floats_;
  RepeatedInput repeated_;
};

}  // namespace octet
