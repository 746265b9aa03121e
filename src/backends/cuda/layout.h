#pragma once
// How a value lies in device memory. Rank 4: NHWC, the channels of a pixel padded to 16 bytes (codes of up to four
// channels: to 4). Other ranks: dense row-major. Codes: u8, an s8 code is stored as code + 128. Floats: f32, or f16
// where the back end was asked for it.

#include "backends/cuda/params.h"
#include "base/dtype.h"
#include "base/shape.h"
#include "ir/graph.h"

namespace octet::cuda {

struct Layout {
  DType dtype = DType::undefined;  // the graph's
  Store store = Store::f32;        // of codes and floats
  Dims dims, strides;              // elements, logical order (NCHW)
  int64_t elements = 0;            // padding channels included
  size_t element_bytes = 0;

  size_t rank() const { return dims.size(); }
  bool is_nhwc() const { return dims.size() == 4; }
  int64_t pitch() const { return strides[3]; }  // rank 4: elements from pixel to pixel
  int64_t count() const { return element_count(dims).value_or(0); }
  bool has_padding() const { return elements != count(); }
  size_t bytes() const { return static_cast<size_t>(elements) * element_bytes; }
  bool operator==(const Layout&) const = default;
};

/// floats: f32 or f16, what f32 values are stored as.
Layout layout_of(DType dtype, const Dims& dims, DType floats);
Layout layout_of(const Graph& graph, ValueId value, DType floats);
/// As the caller has it: dense row-major, f32.
Layout dense_layout(DType dtype, const Dims& dims);

/// 128 for s8, else 0: what is added to codes and zero points on the way into the u8 domain.
inline int32_t domain_shift(DType dtype) { return dtype == DType::s8 ? 128 : 0; }

/// A graph input that steps read as the caller's dense elements: nothing to convert, or an image that only
/// QuantizeLinear nodes read, which convert it on the way.
bool borrows_input(const Graph& graph, ValueId value, DType floats);
/// A graph output whose step writes the caller's dense elements.
bool writes_output(const Graph& graph, ValueId value, DType floats);

/// One loop over all elements of dims with a row of strides for each operand, dims merged where all operands allow.
/// More than k_max_dims dims that do not merge, or 2^31 elements: nothing. In memory's order of operand 0, or logical
/// order.
std::optional<Strided> strided(const Dims& dims, std::span<const Dims> strides, bool logical_order = false);
/// Strides that read `dims` as if broadcast to `out`.
Dims broadcast_strides(const Dims& dims, const Dims& strides, const Dims& out);

}  // namespace octet::cuda
