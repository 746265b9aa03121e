// Pooling: MaxPool on codes, f32 and bfloat16, AveragePool, GlobalAveragePool, and their integer forms.
#include "kernels/pool/pool.h"

#include "backends/cpu/conv.h"
#include "backends/cpu/geometry.h"
#include "backends/cpu/joined.h"
#include "backends/cpu/requantize.h"
#include "backends/cpu/step.h"
#include "base/ceil_div.h"

namespace octet::cpu {
namespace {

bool is_global(const StepQuery& query) {
  return is_op(query.node, "GlobalAveragePool") || is_op(query.node, "QuantGlobalAveragePool");
}

std::vector<int64_t> kernel_of(const StepQuery& query) {
  if (is_global(query)) return {query.dims(0)[2], query.dims(0)[3]};
  return ints_attribute(query.node, "kernel_shape", {});
}

bool counts_padding(const StepQuery& query) { return int_attribute(query.node, "count_include_pad", 0) != 0; }

std::string refuse_window(const StepQuery& query) {
  if (query.shape(0)->size() != 4) return "only two spatial dimensions (a rank-4 input)";
  const std::vector<int64_t> kernel = kernel_of(query);
  if (kernel.size() != 2) return "kernel_shape has not two extents";
  const Result<WindowGeometry> geometry = window_geometry(query, kernel[0], kernel[1]);
  if (!geometry) return geometry.error().message;
  if (counts_padding(query) && reaches_beyond_padding(query, kernel[0], kernel[1]))
    return "ceil_mode with count_include_pad, where the last window is cut off";
  return "";
}

std::string refuse_max(const StepQuery& query) {
  if (query.node.outputs.size() > 1 && query.node.outputs[1] != k_absent) return "the indices output";
  if (query.dtype(0) != DType::f32 && query.dtype(0) != DType::bf16 && !is_code(query.dtype(0)))
    return "the input is " + std::string(name(query.dtype(0))) + ", not f32, bf16, u8 or s8";
  return refuse_window(query);
}

std::string refuse_f32(const StepQuery& query) {
  if (query.dtype(0) != DType::f32) return "the input is " + std::string(name(query.dtype(0))) + ", not f32";
  return is_global(query) && query.shape(0)->size() == 4 ? "" : refuse_window(query);
}

std::string refuse_quant(const StepQuery& query) {
  return is_global(query) && query.shape(0)->size() == 4 ? "" : refuse_window(query);
}

/// Calls row(x of the image, oy, y of the row) for all output rows of all images.
template <class X, class Y, class F>
PreparedStep row_step(const Operand& x, const Operand& y, const WindowGeometry& g, F row) {
  PreparedStep step{.in_team = true};
  step.run = [=, x = x.place, y = y.place, batch = x.layout.batch()](const RunContext& run) {
    const X* px = run.at<X>(x);
    Y* py = run.at<Y>(y);
    run.parallel(batch * g.oh, g.ow * g.y_pitch * g.kh * g.kw, [&](int64_t first, int64_t last, int) {
      for (int64_t unit = first; unit < last; ++unit)
        row(px + unit / g.oh * g.ih * g.iw * g.x_pitch, unit % g.oh, py + unit * g.ow * g.y_pitch);
    });
  };
  return step;
}

/// The geometry of one output row whose input rows lie by themselves, one channel pitch from pixel to pixel.
WindowGeometry one_row(WindowGeometry g) {
  g.ih = g.kh;
  g.x_pitch = channel_pitch(g.ic);
  return g;
}

/// The same for windows that share no rows: the input rows of an output row are scaled into scratch memory, and
/// row(these, 0, y of the row) is called.
template <class Y, class F>
PreparedStep scaled_row_step(std::shared_ptr<const PointwiseU8S8> scaling, const Operand& x, const Operand& y,
                             const WindowGeometry& g, F row) {
  const int64_t pitch = one_row(g).x_pitch, pixels = g.kh * g.iw;
  PreparedStep step{.scratch_bytes = static_cast<size_t>(pixels * pitch) + 64,  // whole vectors are read
                    .in_team = true,
                    .packed_bytes = scaling->packed_bytes()};
  step.run = [=, x = x.place, y = y.place, batch = x.layout.batch()](const RunContext& run) {
    const uint8_t* px = run.at<uint8_t>(x);
    Y* py = run.at<Y>(y);
    run.parallel(batch * g.oh, pixels * pitch, [&](int64_t first, int64_t last, int worker) {
      uint8_t* const rows = run.scratch<uint8_t>(worker);
      for (int64_t unit = first; unit < last; ++unit) {
        const int64_t in_row = unit / g.oh * g.ih + unit % g.oh * g.stride_h;
        scaling->run(px + in_row * g.iw * g.x_pitch, g.x_pitch, pixels, rows, pitch, unit + 1 < last);
        row(rows, 0, py + unit * g.ow * g.y_pitch);
      }
    });
  };
  return step;
}

/// Of poolings to one pixel, whose images may be fewer than the workers: calls pixel(x, channels, y) for channels side
/// by side, groups of whole cache lines of codes.
template <class X, class Y, class F>
PreparedStep one_pixel_step(const Operand& x, const Operand& y, const WindowGeometry& g, F pixel) {
  PreparedStep step{.in_team = true};
  step.run = [=, x = x.place, y = y.place, batch = x.layout.batch()](const RunContext& run) {
    constexpr int64_t k_group = 64;
    const X* px = run.at<X>(x);
    Y* py = run.at<Y>(y);
    const int64_t groups = ceil_div(g.ic, k_group);
    run.parallel(batch * groups, k_group * g.ih * g.iw, [&](int64_t first, int64_t last, int) {
      for (int64_t unit = first; unit < last;) {
        const int64_t image = unit / groups, group = unit % groups, end = std::min(groups, group + last - unit);
        const int64_t channel = group * k_group;
        pixel(px + image * g.ih * g.iw * g.x_pitch + channel, std::min(g.ic, end * k_group) - channel,
              py + image * g.y_pitch + channel);
        unit += end - group;
      }
    });
  };
  return step;
}

NodeId scaling_before(const StepQuery& query, const StepBuilder& builder) {
  return builder.neighbours().scaling_before(static_cast<NodeId>(&query.node - query.graph.nodes.data()));
}

/// The geometry and the operands of a node that refuse() let pass; x is what the scaling in front of it reads.
struct Parts {
  WindowGeometry geometry;
  Operand x, y;
};
Result<Parts> parts_of(const StepQuery& query, StepBuilder& builder) {
  const std::vector<int64_t> kernel = kernel_of(query);
  WindowGeometry g;
  if (is_global(query)) {
    const Dims x = query.dims(0);
    g.ih = g.kh = x[2], g.iw = g.kw = x[3], g.ic = g.oc = x[1];
  } else {
    const Result<WindowGeometry> window = window_geometry(query, kernel[0], kernel[1]);
    if (!window) return window.error();
    g = *window;
  }
  const NodeId before = scaling_before(query, builder);
  Result<Operand> x = before < 0 ? builder.input(query, 0) : builder.value(query.graph.node(before).inputs[0]);
  if (!x) return x.error();
  const Operand y = builder.output(query);
  g.x_pitch = x->layout.pitch();
  g.y_pitch = y.layout.pitch();
  return Parts{g, *x, y};
}

Result<PreparedStep> prepare_max(const StepQuery& query, StepBuilder& builder) {
  const Result<Parts> parts = parts_of(query, builder);
  if (!parts) return parts.error();
  const WindowGeometry g = parts->geometry;
  const PoolKernels kernels = pool_kernels(query.isa);
  if (query.dtype(0) == DType::f32) {
    return row_step<float, float>(parts->x, parts->y, g, [g, kernels](const float* x, int64_t oy, float* y) {
      kernels.max_f32_row(g, x, oy, y);
    });
  }
  if (query.dtype(0) == DType::bf16) {
    return row_step<uint16_t, uint16_t>(
        parts->x, parts->y, g,
        [g, kernels](const uint16_t* x, int64_t oy, uint16_t* y) { kernels.max_bf16_row(g, x, oy, y); });
  }
  return row_step<uint8_t, uint8_t>(parts->x, parts->y, g, [g, kernels](const uint8_t* x, int64_t oy, uint8_t* y) {
    kernels.max_u8_row(g, x, oy, y);
  });
}

Result<PreparedStep> prepare_average(const StepQuery& query, StepBuilder& builder) {
  const Result<Parts> parts = parts_of(query, builder);
  if (!parts) return parts.error();
  const WindowGeometry g = parts->geometry;
  const PoolKernels kernels = pool_kernels(query.isa);
  if (is_global(query)) {
    return one_pixel_step<float, float>(parts->x, parts->y, g, [g, kernels](const float* x, int64_t c, float* y) {
      kernels.global_average_f32(x, g.ih * g.iw, c, g.x_pitch, y);
    });
  }
  const bool include_pad = counts_padding(query);
  return row_step<float, float>(parts->x, parts->y, g, [g, kernels, include_pad](const float* x, int64_t oy, float* y) {
    kernels.average_f32_row(g, include_pad, x, oy, y);
  });
}

Result<PreparedStep> prepare_quant_average(const StepQuery& query, StepBuilder& builder) {
  const Result<Parts> parts = parts_of(query, builder);
  if (!parts) return parts.error();
  const WindowGeometry g = parts->geometry;
  const PoolKernels kernels = pool_kernels(query.isa);
  const Codes codes = codes_of(query.node, "x", query.dtype(0));
  const OutputForm form = output_form(query.node);
  const NodeId before = scaling_before(query, builder);
  Result<std::shared_ptr<const PointwiseU8S8>> scaling =
      before < 0 ? std::shared_ptr<const PointwiseU8S8>() : make_scaling(query, before);
  if (!scaling) return scaling.error();
  const WindowGeometry window = *scaling ? one_row(g) : g;
  const double pixels = static_cast<double>(g.ih * g.iw);
  if (is_global(query) && form.to_f32) {
    const auto multiplier = static_cast<float>(static_cast<double>(codes.scale) / pixels);
    return one_pixel_step<uint8_t, float>(
        parts->x, parts->y, g, [g, kernels, codes, multiplier](const uint8_t* x, int64_t c, float* y) {
          kernels.global_average_u8_to_f32(x, g.ih * g.iw, c, g.x_pitch, codes.zero_point, multiplier, y);
        });
  }
  if (is_global(query)) {
    // README.md: (float)((double)x_scale / ((double)y_scale * n)).
    const auto multiplier = static_cast<float>(static_cast<double>(codes.scale) / (form.y_scale * pixels));
    return one_pixel_step<uint8_t, uint8_t>(
        parts->x, parts->y, g, [g, kernels, codes, form, multiplier](const uint8_t* x, int64_t c, uint8_t* y) {
          kernels.global_average_u8(x, g.ih * g.iw, c, g.x_pitch, codes.zero_point, multiplier, form.y_zero_point,
                                    form.lo, form.hi, y);
        });
  }
  const AveragePoolU8Params params{codes.zero_point, form.y_zero_point,    form.lo, form.hi, codes.scale,
                                   form.y_scale,     counts_padding(query)};
  if (form.to_f32) {
    const auto row = [g = window, kernels, params](const uint8_t* x, int64_t oy, float* y) {
      kernels.average_u8_to_f32_row(g, params, x, oy, y);
    };
    return *scaling ? scaled_row_step<float>(*scaling, parts->x, parts->y, g, row)
                    : row_step<uint8_t, float>(parts->x, parts->y, g, row);
  }
  const auto row = [g = window, kernels, params](const uint8_t* x, int64_t oy, uint8_t* y) {
    kernels.average_u8_row(g, params, x, oy, y);
  };
  return *scaling ? scaled_row_step<uint8_t>(*scaling, parts->x, parts->y, g, row)
                  : row_step<uint8_t, uint8_t>(parts->x, parts->y, g, row);
}

}  // namespace

const StepDef max_pool_step = {"max_pool", refuse_max, streaming_cost_us, prepare_max};
const StepDef average_pool_f32_step = {"average_pool_f32", refuse_f32, streaming_cost_us, prepare_average};
const StepDef average_pool_u8_step = {"average_pool_u8", refuse_quant, streaming_cost_us, prepare_quant_average};

}  // namespace octet::cpu
