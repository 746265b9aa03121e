#include "backends/cpu/geometry.h"

#include "ir/ops/window.h"

namespace octet::cpu {

Result<WindowGeometry> window_geometry(const StepQuery& query, int64_t kh, int64_t kw) {
  const Dims x = query.dims(0), y = query.output_dims();
  const Result<WindowAttributes> attributes = window_attributes(query, 2);
  if (!attributes) return attributes.error();
  const Result<WindowAxis> rows = window_axis(query, *attributes, 0, kh, x[2]);
  if (!rows) return rows.error();
  const Result<WindowAxis> columns = window_axis(query, *attributes, 1, kw, x[3]);
  if (!columns) return columns.error();
  WindowGeometry g;
  g.ih = x[2], g.iw = x[3], g.ic = x[1];
  g.oh = y[2], g.ow = y[3], g.oc = y[1];
  g.kh = kh, g.kw = kw;
  g.stride_h = rows->stride, g.stride_w = columns->stride;
  g.pad_top = rows->pad_begin, g.pad_left = columns->pad_begin;
  g.dilation_h = rows->dilation, g.dilation_w = columns->dilation;
  g.x_pitch = channel_pitch(g.ic);
  g.y_pitch = g.residual_pitch = channel_pitch(g.oc);
  return g;
}

bool reaches_beyond_padding(const StepQuery& query, int64_t kh, int64_t kw) {
  const Dims x = query.dims(0);
  const Result<WindowAttributes> attributes = window_attributes(query, 2);
  if (!attributes) return true;
  for (size_t axis = 0; axis < 2; ++axis) {
    const Result<WindowAxis> a = window_axis(query, *attributes, axis, axis == 0 ? kh : kw, x[axis + 2]);
    if (!a || (a->out - 1) * a->stride + (a->kernel - 1) * a->dilation >= a->pad_begin + a->in + a->pad_end)
      return true;
  }
  return false;
}

}  // namespace octet::cpu
