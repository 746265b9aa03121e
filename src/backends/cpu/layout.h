#pragma once
// How a value lies in memory on the CPU back end, and which values need no storage of their own.
// Images (rank 4): NHWC with a channel pitch (src/kernels/README.md). Other ranks, and the matrices of attention: dense
// row-major. Codes: u8, an s8 code is stored as code + 128.

#include <cstddef>
#include <cstdint>

#include "base/dtype.h"
#include "base/shape.h"
#include "ir/graph.h"

namespace octet::cpu {

struct Layout {
  DType dtype = DType::undefined;  // the graph's; s8 is stored in the u8 domain
  Dims dims;                       // logical order (NCHW)
  Dims strides;                    // elements, logical order
  int64_t elements = 0;            // from the first to behind the last, padding channels included
  size_t element_bytes = 0;
  bool nhwc = false;

  size_t rank() const { return dims.size(); }
  bool is_nhwc() const { return nhwc; }
  int64_t batch() const { return dims[0]; }
  int64_t channels() const { return dims[1]; }
  int64_t pixels() const { return dims[2] * dims[3]; }  // of one image
  int64_t pitch() const { return strides[3]; }          // NHWC: elements from pixel to pixel
  size_t bytes() const { return static_cast<size_t>(elements) * element_bytes; }
  bool operator==(const Layout&) const = default;
};

/// The back end's layout of a constant of these dims.
Layout layout_of(DType dtype, const Dims& dims);
/// The layout of a value of a planned graph (shape known). Rank 4 is an image, unless only ops that take any order
/// touch the value and one of them, or of the values beside it, works along rows (attention: [batch, heads, rows,
/// columns] with few heads, which NHWC would spread over padded pixels), or nothing but reshapes and transposes does.
Layout layout_of(const Graph& graph, ValueId value);
/// Dense row-major, as the caller has it.
Layout dense_layout(DType dtype, const Dims& dims);

/// 128 for s8, else 0: what is added to codes and zero points on the way into the u8 domain.
inline int32_t domain_shift(DType dtype) { return dtype == DType::s8 ? 128 : 0; }

/// A graph input that steps read straight from the caller's buffer: dense rank, no s8; or an image that only
/// QuantizeLinear, QuantPixels, convolutions of few channels, which convert it on the way, and Transpose read.
bool borrows_input(const Graph& graph, ValueId value);
/// The image that the QuantConv reads instead of its codes, and makes these of on the way: its input 0 is made from a
/// borrowed image by a QuantizeLinear or QuantPixels that nothing else reads. Where a Transpose turns pixels of u8 for
/// that QuantPixels alone, it is what the Transpose reads, [N,H,W,C]. k_absent = it reads codes.
ValueId image_of(const Graph& graph, const Node& conv);
/// The QuantConv that does so in place of that QuantizeLinear, QuantPixels or Transpose, so that what this makes is
/// wanted by taps only; -1 = none.
NodeId stem_of(const Graph& graph, const Node& maker);
/// A graph output that its step writes straight into the caller's buffer: dense rank, no s8, made by a node, named
/// once.
bool writes_output(const Graph& graph, ValueId value);

}  // namespace octet::cpu
