// QuantizeLinear and DequantizeLinear per tensor. An image that lies in the caller's buffer (NCHW) is quantized and
// brought to NHWC in one pass; a DequantizeLinear of constants was computed when the plan was prepared.
#include "backends/cpu/quantize.h"

#include "backends/cpu/constants.h"
#include "backends/cpu/rows.h"
#include "backends/cpu/step.h"
#include "kernels/elementwise/elementwise.h"
#include "kernels/layout/layout.h"

namespace octet::cpu {
namespace {

constexpr int64_t k_pixels = 256;  // per piece of work on an image

std::string refuse_params(const StepQuery& query, DType codes) {
  if (!is_code(codes)) return "codes of dtype " + std::string(name(codes)) + ", not u8 or s8";
  if (!constant_scalar(query.graph, query.id(1))) return "the scale is not one constant f32";
  if (query.has_input(2)) {
    const std::optional<std::vector<int64_t>> zero_point = constant_ints(query.graph, query.id(2));
    if (!zero_point || zero_point->size() != 1) return "the zero point is not one constant";
  }
  return "";
}

std::string refuse_quantize(const StepQuery& query) {
  if (query.dtype(0) != DType::f32) return "the input is " + std::string(name(query.dtype(0))) + ", not f32";
  return refuse_params(query, query.output().dtype);
}

std::string refuse_dequantize(const StepQuery& query) {
  if (is_constant(query.graph, query.node.outputs[0]))
    return constant_of(query.graph, query.node.outputs[0]) ? "" : "scale and zero point do not fit the constant";
  return refuse_params(query, query.dtype(0));
}

/// From the caller's dense NCHW buffer.
PreparedStep quantize_image(const Operand& x, const Operand& y, const Affine& affine, Isa isa) {
  PreparedStep step{.in_team = true};
  step.run = [x = x.place, y = y.place, layout = y.layout, affine,
              quantize = layout_kernels(isa).nchw_to_nhwc_quantize](const RunContext& run) {
    const int64_t plane = layout.pixels(), channels = layout.channels(), pitch = layout.pitch();
    const int64_t pieces = (plane + k_pixels - 1) / k_pixels;
    const float* px = run.at<float>(x);
    uint8_t* py = run.at<uint8_t>(y);
    run.parallel(layout.batch() * pieces, k_pixels * pitch, [&](int64_t first, int64_t last, int) {
      for (int64_t unit = first; unit < last; ++unit) {
        const int64_t image = unit / pieces, pixel = unit % pieces * k_pixels;
        quantize(px + image * channels * plane + pixel, plane, channels, std::min(k_pixels, plane - pixel), pitch,
                 affine.scale, affine.zero_point, 0, 255, py + (image * plane + pixel) * pitch);
      }
    });
  };
  return step;
}

Result<PreparedStep> prepare_quantize(const StepQuery& query, StepBuilder& builder) {
  Result<Operand> x = builder.input(query, 0);
  if (!x) return x.error();
  const Operand y = builder.output(query);
  const Affine affine = affine_of(query, query.output().dtype);
  if (x->place.kind == Place::Kind::input && y.layout.is_nhwc()) {
    PreparedStep step = quantize_image(*x, y, affine, query.isa);
    if (query.isa != Isa::scalar) step.done_by = stem_of(query.graph, query.node);
    step.for_taps = step.done_by >= 0;
    return step;
  }
  PreparedStep step{.scratch_bytes = k_row_block * sizeof(float), .in_team = true};
  step.run = [loop = element_loop(y.layout, {&x->layout}), quantize = elementwise_kernels(query.isa).quantize_f32,
              affine, x = x->place, y = y.place](const RunContext& run) {
    const float* px = run.at<float>(x);
    uint8_t* py = run.at<uint8_t>(y);
    for_row_blocks(run, loop, [&](const StridedLoop::Offsets& at, int64_t n, int worker) {
      const float* row = contiguous_row(px + at[1], loop.row_stride(1), n, run.scratch<float>(worker));
      quantize(row, static_cast<size_t>(n), affine.scale, affine.zero_point, 0, 255, py + at[0]);
    });
  };
  return step;
}

Result<PreparedStep> prepare_dequantize(const StepQuery& query, StepBuilder& builder) {
  if (is_constant(query.graph, query.node.outputs[0])) return PreparedStep{};
  Result<Operand> x = builder.input(query, 0);
  if (!x) return x.error();
  const Operand y = builder.output(query);
  PreparedStep step{.scratch_bytes = k_row_block, .in_team = true};
  step.run = [loop = element_loop(y.layout, {&x->layout}), affine = affine_of(query, query.dtype(0)),
              dequantize = elementwise_kernels(query.isa).dequantize_u8, x = x->place,
              y = y.place](const RunContext& run) {
    const uint8_t* px = run.at<uint8_t>(x);
    float* py = run.at<float>(y);
    for_row_blocks(run, loop, [&](const StridedLoop::Offsets& at, int64_t n, int worker) {
      const uint8_t* row = contiguous_row(px + at[1], loop.row_stride(1), n, run.scratch<uint8_t>(worker));
      dequantize(row, static_cast<size_t>(n), affine.scale, affine.zero_point, py + at[0]);
    });
  };
  return step;
}

}  // namespace

Affine affine_of(const StepQuery& query, DType codes) {
  Affine made;
  made.scale = *constant_scalar(query.graph, query.id(1));
  if (query.has_input(2)) made.zero_point = static_cast<int32_t>((*constant_ints(query.graph, query.id(2)))[0]);
  made.zero_point += domain_shift(codes);
  return made;
}

const StepDef quantize_step = {"quantize", refuse_quantize, streaming_cost_us, prepare_quantize};
const StepDef dequantize_step = {"dequantize", refuse_dequantize, streaming_cost_us, prepare_dequantize};

}  // namespace octet::cpu
