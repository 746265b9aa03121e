#include "ir/ops/convolution.h"

#include "ir/ops/common.h"

namespace octet {
namespace {

/// Ranks, kernel_shape and channels of x and w against the attributes.
Result<Done> check_conv(const NodeContext& context, const Shape& x, const Shape& w, int64_t group) {
  if (w.size() != x.size())
    return context.error("weight " + to_string(w) + " has rank " + std::to_string(w.size()) + ", expected " +
                         std::to_string(x.size()) + " as the input " + to_string(x));
  if (group < 1) return context.error("group is " + std::to_string(group) + ", expected at least 1");
  if (w[0].known() && w[0].value % group != 0)
    return context.error("weight " + to_string(w) + " has " + std::to_string(w[0].value) +
                         " output channels, expected a multiple of group=" + std::to_string(group));
  if (x[1].known() && w[1].known() && (x[1].value % group != 0 || x[1].value / group != w[1].value))
    return context.error("input " + to_string(x) + " has " + std::to_string(x[1].value) + " channels, but weight " +
                         to_string(w) + " with group=" + std::to_string(group) + " reads " +
                         std::to_string(w[1].value) + " per group");
  if (!has_attribute(context.node, "kernel_shape")) return Done{};
  Result<std::vector<int64_t>> kernel = kernel_shape(context, x.size() - 2);
  if (!kernel) return kernel.error();
  for (size_t i = 0; i < kernel->size(); ++i)
    if (w[i + 2].known() && w[i + 2].value != (*kernel)[i])
      return context.error("kernel_shape=" + to_string(*kernel) + ", but the weight is " + to_string(w));
  return Done{};
}

}  // namespace

Result<std::optional<Shape>> conv_shape(const NodeContext& context, const std::optional<Shape>& x,
                                        const std::optional<Shape>& w) {
  if (!x || !w) return std::optional<Shape>();
  Result<size_t> spatial = spatial_rank(context, x->size());
  if (!spatial) return spatial.error();
  const int64_t group = int_attribute(context.node, "group", 1);
  if (Result<Done> ok = check_conv(context, *x, *w, group); !ok) return ok.error();
  Result<WindowAttributes> attributes = window_attributes(context, *spatial);
  if (!attributes) return attributes.error();
  Shape y = {(*x)[0], (*w)[0]};
  for (size_t i = 0; i < *spatial; ++i) {
    Result<Dim> extent = window_extent(context, *attributes, i, (*w)[i + 2], (*x)[i + 2]);
    if (!extent) return extent.error();
    y.push_back(std::move(*extent));
  }
  return std::optional<Shape>(std::move(y));
}

Result<Done> require_channels(const NodeContext& context, size_t i, const std::optional<Shape>& shape,
                              const Dim& channels) {
  if (!shape) return Done{};
  const bool differs =
      shape->size() != 1 || ((*shape)[0].known() && channels.known() && (*shape)[0].value != channels.value);
  if (!differs) return Done{};
  return context.error("input " + std::to_string(i) + " is " + to_string(*shape) +
                       ", expected one value per output channel: " + to_string(Shape{channels}));
}

Result<Done> require_shape(const NodeContext& context, size_t i, const std::optional<Shape>& shape, const Shape& y) {
  if (!shape) return Done{};
  bool fits = shape->size() == y.size();
  for (size_t d = 0; fits && d < y.size(); ++d)
    fits = !(*shape)[d].known() || !y[d].known() || (*shape)[d].value == y[d].value;
  if (fits) return Done{};
  return context.error("input " + std::to_string(i) + " is " + to_string(*shape) + ", expected the output's shape " +
                       to_string(y));
}

Result<ConvGeometry> conv_geometry(const NodeContext& context, const Tensor& x, const Tensor& w) {
  Result<std::optional<Shape>> y = conv_shape(context, to_shape(x.dims()), to_shape(w.dims()));
  if (!y) return y.error();
  ConvGeometry g;
  g.y_dims = known_dims(**y).value();
  if (!element_count(g.y_dims)) return context.error("output " + to_string(g.y_dims) + " is too large");
  g.batch = x.dims()[0];
  g.ic = x.dims()[1];
  g.oc = w.dims()[0];
  g.groups = int_attribute(context.node, "group", 1);
  const size_t spatial = x.rank() - 2;
  Result<WindowAttributes> attributes = window_attributes(context, spatial);
  if (!attributes) return attributes.error();
  for (size_t i = 0; i < spatial; ++i) {
    Result<WindowAxis> axis = window_axis(context, *attributes, i, w.dims()[i + 2], x.dims()[i + 2]);
    if (!axis) return axis.error();
    g.axes[3 - spatial + i] = *axis;
  }
  return g;
}

}  // namespace octet
