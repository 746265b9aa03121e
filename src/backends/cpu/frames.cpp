// PlanesToFrames and FramesToPlanes between images: the same bytes in the same order, or the slices that a window of
// depth meets, copied side by side.
#include <algorithm>
#include <cstring>

#include "backends/cpu/constants.h"
#include "backends/cpu/movement.h"
#include "ir/ops/window.h"

namespace octet::cpu {
namespace {

std::string refuse(const StepQuery& query) {
  const bool images =
      layout_of(query.graph, query.id(0)).is_nhwc() && layout_of(query.graph, query.node.outputs[0]).is_nhwc();
  return images ? "" : "the values are no images";
}

/// `count` pieces of `bytes` each. The size is known to the compiler where it is a common one.
template <size_t known>
void copy_pieces(std::byte* to, int64_t to_step, const std::byte* from, int64_t from_step, int64_t count,
                 size_t bytes) {
  for (int64_t i = 0; i < count; ++i, to += to_step, from += from_step)
    std::memcpy(to, from, known == 0 ? bytes : known);
}

using CopyPieces = void (*)(std::byte*, int64_t, const std::byte*, int64_t, int64_t, size_t);

CopyPieces copy_pieces_of(size_t bytes) {
  switch (bytes) {
    case 12: return copy_pieces<12>;
    case 64: return copy_pieces<64>;
    case 128: return copy_pieces<128>;
    case 256: return copy_pieces<256>;
    default: return copy_pieces<0>;
  }
}

Result<PreparedStep> prepare(const StepQuery& query, StepBuilder& builder) {
  Result<Operand> x = builder.input(query, 0);
  if (!x) return x.error();
  const Operand y = builder.output(query);
  if (is_frame_view(query.node)) {
    if (x->place.kind == Place::Kind::arena && y.place.kind == Place::Kind::arena && x->place.at == y.place.at)
      return PreparedStep{};  // the plan let them share storage
    const size_t bytes = std::min(x->layout.bytes(), y.layout.bytes());
    PreparedStep step{.in_team = true};
    step.run = [from = x->place, to = y.place, bytes](const RunContext& run) {
      run.once([&] { std::memcpy(run.at<std::byte>(to), run.at<std::byte>(from), bytes); });
    };
    return step;
  }
  const Result<WindowAttributes> window = window_attributes(query, 1);
  if (!window) return window.error();
  const int64_t kernel = ints_attribute(query.node, "kernel_shape", {1}).front();
  const Result<WindowAxis> axis = window_axis(query, *window, 0, kernel, x->layout.dims[2]);
  if (!axis) return axis.error();
  const auto size = static_cast<int64_t>(x->layout.element_bytes);
  const int64_t groups = int_attribute(query.node, "group", 1), piece = x->layout.channels() / groups * size;
  const int64_t from_step = x->layout.pitch() * size, to_step = y.layout.pitch() * size;
  const int64_t height = y.layout.dims[2], width = y.layout.dims[3];
  const auto value = static_cast<int>(int_attribute(query.node, "x_zero_point", 0) + domain_shift(x->layout.dtype));
  PreparedStep step{.in_team = true};
  step.run = [=, axis = *axis, from = x->place, to = y.place, rows = y.layout.batch() * height,
              copy = copy_pieces_of(static_cast<size_t>(piece))](const RunContext& run) {
    const std::byte* const x_base = run.at<std::byte>(from);
    std::byte* const y_base = run.at<std::byte>(to);
    run.parallel(rows, width * to_step / size, [&](int64_t first, int64_t last, int) {
      for (int64_t row = first; row < last; ++row) {
        const int64_t frame = row / height, n = frame / axis.out, o = frame % axis.out;
        std::byte* const pixels = y_base + row * width * to_step;
        for (int64_t part = 0; part < groups * axis.kernel; ++part) {
          const int64_t d = o * axis.stride - axis.pad_begin + part % axis.kernel * axis.dilation;
          std::byte* pixel = pixels + part * piece;
          if (d >= 0 && d < axis.in) {
            const int64_t line = ((n * axis.in + d) * height + row % height) * width;
            copy(pixel, to_step, x_base + line * from_step + part / axis.kernel * piece, from_step, width,
                 static_cast<size_t>(piece));
          } else {
            for (int64_t i = 0; i < width; ++i, pixel += to_step) std::memset(pixel, value, static_cast<size_t>(piece));
          }
        }
      }
    });
  };
  return step;
}

}  // namespace

bool is_frame_view(const Node& node) {
  if (is_op(node, "FramesToPlanes")) return true;
  const auto is_all = [&](const char* key, int64_t wanted) {
    const std::vector<int64_t> given = ints_attribute(node, key, {});
    return std::all_of(given.begin(), given.end(), [&](int64_t n) { return n == wanted; });
  };
  return is_op(node, "PlanesToFrames") && is_all("kernel_shape", 1) && is_all("strides", 1) && is_all("pads", 0);
}

const StepDef frames_step = {"frames", refuse, streaming_cost_us, prepare};

}  // namespace octet::cpu
