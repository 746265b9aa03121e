#include "backends/cpu/transfer.h"

#include <cstring>

#include "backends/cpu/movement.h"
#include "kernels/layout/layout.h"

namespace octet::cpu {
namespace {

constexpr int64_t k_pixels = 256;  // per piece of work

/// body(first element of the piece in the dense plane of channel 0, first pixel of the piece in NHWC, pixels)
template <class F>
void for_pixel_pieces(const RunContext& run, const Layout& nhwc, F&& body) {
  const int64_t plane = nhwc.pixels(), pieces = (plane + k_pixels - 1) / k_pixels;
  run.parallel(nhwc.batch() * pieces, k_pixels * nhwc.pitch(), [&](int64_t first, int64_t last, int) {
    for (int64_t unit = first; unit < last; ++unit) {
      const int64_t image = unit / pieces, pixel = unit % pieces * k_pixels;
      body(image * nhwc.channels() * plane + pixel, image * plane + pixel, std::min(k_pixels, plane - pixel));
    }
  });
}

/// Flips s8 codes into the u8 domain or back, element by element of a strided value.
void flip_codes(const StridedLoop& loop, std::byte* codes) {
  for (int64_t r = 0; r < loop.rows(); ++r) {
    std::byte* row = codes + loop.row_offsets(r)[0];
    for (int64_t i = 0; i < loop.row_length(); ++i) row[i * loop.row_stride(0)] ^= std::byte{0x80};
  }
}

PreparedStep copy_between_layouts(const Operand& to, const Operand& from) {
  const StridedLoop loop(to.layout.dims, {to.layout.strides, from.layout.strides});
  PreparedStep step;
  step.run = [loop, copy = Copy(loop, to.layout.element_bytes, to.place, from.place),
              flip = to.layout.dtype == DType::s8](const RunContext& run) {
    run_copy(run, copy);
    if (flip) flip_codes(loop, run.at<std::byte>(copy.dst));
  };
  return step;
}

}  // namespace

PreparedStep bring_in(size_t index, const Operand& to, Isa isa) {
  const Operand from{dense_layout(to.layout.dtype, to.layout.dims), {Place::Kind::input, index}};
  if (!to.layout.is_nhwc() || to.layout.dtype != DType::f32) return copy_between_layouts(to, from);
  PreparedStep step;
  step.run = [from = from.place, to = to.place, layout = to.layout,
              convert = layout_kernels(isa).nchw_to_nhwc_f32](const RunContext& run) {
    const float* x = run.at<float>(from);
    float* y = run.at<float>(to);
    for_pixel_pieces(run, layout, [&](int64_t dense, int64_t pixel, int64_t n) {
      convert(x + dense, layout.pixels(), layout.channels(), n, layout.pitch(), y + pixel * layout.pitch());
    });
  };
  return step;
}

PreparedStep take_out(const Operand& from, size_t index, Isa isa) {
  const Operand to{dense_layout(from.layout.dtype, from.layout.dims), {Place::Kind::output, index}};
  if (!from.layout.is_nhwc() || from.layout.dtype != DType::f32) return copy_between_layouts(to, from);
  PreparedStep step;
  step.run = [from = from.place, to = to.place, layout = from.layout,
              convert = layout_kernels(isa).nhwc_to_nchw_f32](const RunContext& run) {
    const float* x = run.at<float>(from);
    float* y = run.at<float>(to);
    for_pixel_pieces(run, layout, [&](int64_t dense, int64_t pixel, int64_t n) {
      convert(x + pixel * layout.pitch(), layout.pitch(), layout.channels(), n, layout.pixels(), y + dense);
    });
  };
  return step;
}

PreparedStep copy_bytes(const Place& from, const Place& to, size_t bytes) {
  PreparedStep step;
  step.run = [=](const RunContext& run) {
    if (bytes > 0) std::memcpy(run.at<std::byte>(to), run.at<std::byte>(from), bytes);
  };
  return step;
}

}  // namespace octet::cpu
