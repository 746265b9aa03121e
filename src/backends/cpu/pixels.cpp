// QuantPixels: an image of u8 pixels, planes in the caller's buffer or NHWC, to NHWC codes by a table for each channel.
#include "backends/cpu/constants.h"
#include "backends/cpu/step.h"
#include "kernels/elementwise/elementwise.h"

namespace octet::cpu {
namespace {

constexpr int64_t k_pixels = 256;  // per piece of work on an image

std::string refuse(const StepQuery& query) {
  if (!query.constant(1)) return "the table is not a constant";
  return query.dtype(0) == DType::u8 ? "" : "the image is not u8";
}

/// From the caller's planes.
PreparedStep from_planes(const StepQuery& query, const Operand& x, const Operand& y) {
  PreparedStep step{.scratch_bytes = k_pixels, .in_team = true};
  step.run = [x = x.place, y = y.place, layout = y.layout, tables = pixel_tables(query.graph, query.node),
              lookup = elementwise_kernels(query.isa).lookup_u8](const RunContext& run) {
    const int64_t plane = layout.pixels(), channels = layout.channels(), pitch = layout.pitch();
    const int64_t pieces = (plane + k_pixels - 1) / k_pixels;
    const uint8_t* const px = run.at<uint8_t>(x);
    uint8_t* const py = run.at<uint8_t>(y);
    run.parallel(layout.batch() * pieces, k_pixels * pitch, [&](int64_t first, int64_t last, int worker) {
      uint8_t* const codes = run.scratch<uint8_t>(worker);
      for (int64_t unit = first; unit < last; ++unit) {
        const int64_t image = unit / pieces, pixel = unit % pieces * k_pixels,
                      count = std::min(k_pixels, plane - pixel);
        uint8_t* const to = py + (image * plane + pixel) * pitch;
        for (int64_t c = 0; c < channels; ++c) {
          lookup(px + (image * channels + c) * plane + pixel, static_cast<size_t>(count), tables.data() + 256 * c,
                 codes);
          for (int64_t i = 0; i < count; ++i) to[i * pitch + c] = codes[i];
        }
      }
    });
  };
  return step;
}

/// From pixels with all their channels.
PreparedStep from_pixels(const StepQuery& query, const Operand& x, const Operand& y) {
  PreparedStep step{.in_team = true};
  step.run = [x, y, tables = pixel_tables(query.graph, query.node)](const RunContext& run) {
    const int64_t channels = y.layout.channels(), x_pitch = x.layout.pitch(), y_pitch = y.layout.pitch();
    const uint8_t* const px = run.at<uint8_t>(x.place);
    uint8_t* const py = run.at<uint8_t>(y.place);
    run.parallel(y.layout.batch() * y.layout.pixels(), channels, [&](int64_t first, int64_t last, int) {
      for (int64_t i = first; i < last; ++i)
        for (int64_t c = 0; c < channels; ++c)
          py[i * y_pitch + c] = tables[static_cast<size_t>(256 * c + px[i * x_pitch + c])];
    });
  };
  return step;
}

Result<PreparedStep> prepare(const StepQuery& query, StepBuilder& builder) {
  Result<Operand> x = builder.input(query, 0);
  if (!x) return x.error();
  const Operand y = builder.output(query);
  PreparedStep step = x->place.kind == Place::Kind::input ? from_planes(query, *x, y) : from_pixels(query, *x, y);
  if (query.isa != Isa::scalar) step.done_by = stem_of(query.graph, query.node);
  step.for_taps = step.done_by >= 0;
  return step;
}

}  // namespace

const StepDef pixels_u8_step = {"pixels_u8", refuse, streaming_cost_us, prepare};

}  // namespace octet::cpu
