#pragma once
// Rows of positions of a layer of few channels (reads_compact_copy): its input rows become a compact copy of bfloat16,
// and the positions of each output pixel are gathered out of that, one kernel row behind the other, then zeros.

#include <cstddef>
#include <cstdint>
#include <vector>

#include "kernels/conv_bf16/conv_bf16.h"
#include "kernels/conv_bf16/conv_bf16_isa.h"
#include "kernels/implicit_gemm/split.h"
#include "kernels/implicit_gemm/tap_table.h"

namespace octet {

class StemRows {
 public:
  using Gather = void (*)(const ConvBf16Gather& row);

  /// Of layers that are no stems nothing but this may be called.
  StemRows(const ConvBf16Desc& desc, Gather gatherer, Isa isa);

  /// Index into an output channel's weights of each position.
  std::vector<int64_t> weight_order() const { return taps_.weight_order(); }
  /// Most output pixels, of one image, whose input is copied at a time.
  int64_t copied_pixels() const;
  /// Scratch bytes, for at most `rows` pixels gathered at a time.
  size_t scratch_bytes(int64_t rows) const;
  /// Copies the input of `pixels`, at most copied_pixels().
  void copy(const void* x, IndexRange pixels, std::byte* scratch) const;
  /// Gathers the rows of `own`, a part of the pixels copied from `first` on. row_step: elements, with room for 64
  /// behind a row's positions.
  void gather(IndexRange own, int64_t first, uint16_t* to, int64_t row_step, std::byte* scratch) const;

 private:
  size_t copy_bytes() const;
  size_t source_bytes() const;
  WindowGeometry geometry_;
  bool is_f32_, is_planar_;
  TapTable source_, taps_;  // of the input as it is, and as bfloat16
  Gather gather_;
  ImageSource planar_;
  std::vector<std::byte> pad_;  // a pixel of zeros
};

}  // namespace octet
