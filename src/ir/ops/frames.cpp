// PlanesToFrames and FramesToPlanes: a volume [N,C,D,H,W] as the layers of two spatial axes see it (README.md).
//   planes [N, C, D, H*W]: what stands at one place of all slices is a column.
//   frames [N*D, C, H, W]: each slice along the depth is an image of its own.
// PlanesToFrames can put the slices that a window of depth meets side by side, as channels of one frame:
//   y[n*O + o, (g*K + k) * c + i, h, w] = x[n, g*c + i, o*stride - begin + k*dilation, h*W + w],   K = kernel,
// c = channels / group, or x_zero_point where that slice is outside of x. O = (D + begin + end - (K-1)*dilation - 1) /
// stride + 1.
#include <cstring>
#include <limits>

#include "ir/ops/common.h"
#include "ir/ops/window.h"

namespace octet {
namespace {

constexpr std::string_view k_to_frames[] = {"height",    "kernel_shape", "strides",     "pads",
                                            "dilations", "group",        "x_zero_point"};
constexpr std::string_view k_to_planes[] = {"depth"};

struct Stack {
  WindowAttributes window;
  int64_t height = 1, kernel = 1, group = 1, zero_point = 0;
};

Result<int64_t> extent_attribute(const NodeContext& context, const std::string& key) {
  const int64_t extent = int_attribute(context.node, key, 0);
  if (extent >= 1 && extent <= std::numeric_limits<int32_t>::max()) return extent;
  return context.error(key + " is " + std::to_string(extent) + ", expected 1 to 2147483647");
}

Result<Stack> stack_of(const NodeContext& context) {
  Stack stack;
  Result<int64_t> height = extent_attribute(context, "height");
  if (!height) return height.error();
  Result<WindowAttributes> window = window_attributes(context, 1);
  if (!window) return window.error();
  stack.height = *height, stack.window = *std::move(window);
  if (has_attribute(context.node, "kernel_shape")) {
    Result<std::vector<int64_t>> kernel = kernel_shape(context, 1);
    if (!kernel) return kernel.error();
    stack.kernel = kernel->front();
  }
  stack.group = int_attribute(context.node, "group", 1);
  stack.zero_point = int_attribute(context.node, "x_zero_point", 0);
  const DType dtype = context.dtype(0);
  const bool fits = dtype == DType::u8   ? stack.zero_point >= 0 && stack.zero_point <= 255
                    : dtype == DType::s8 ? stack.zero_point >= -128 && stack.zero_point <= 127
                                         : stack.zero_point == 0;
  if (!fits)
    return context.error("x_zero_point " + std::to_string(stack.zero_point) + " is none of " +
                         std::string(name(dtype)) + (dtype == DType::u8 || dtype == DType::s8 ? "" : " but 0"));
  if (stack.group < 1) return context.error("group is " + std::to_string(stack.group));
  return stack;
}

Result<Dim> quotient(const NodeContext& context, const Dim& d, int64_t by, const char* what) {
  if (!d.known()) return by == 1 ? d : Dim();
  if (d.value % by == 0) return Dim(d.value / by);
  return context.error(std::string(what) + " " + std::to_string(d.value) + " is not a multiple of " +
                       std::to_string(by));
}

Result<Dim> times(const NodeContext& context, const Dim& a, const Dim& b) {
  const Dim pair[] = {a, b};
  return product(context, pair);
}

Result<Shape> frames_shape(const NodeContext& context, const Stack& stack, const Shape& x) {
  if (x[1].known() && x[1].value % stack.group != 0)
    return context.error(std::to_string(x[1].value) + " channels are no " + std::to_string(stack.group) + " groups");
  Result<Dim> depth = window_extent(context, stack.window, 0, Dim(stack.kernel), x[2]);
  if (!depth) return depth.error();
  Result<Dim> frames = times(context, x[0], *depth);
  if (!frames) return frames.error();
  Result<Dim> channels = times(context, x[1], Dim(stack.kernel));
  if (!channels) return channels.error();
  Result<Dim> width = quotient(context, x[3], stack.height, "a plane of");
  if (!width) return width.error();
  return Shape{*std::move(frames), *std::move(channels), Dim(stack.height), *std::move(width)};
}

Result<Shape> planes_shape(const NodeContext& context, int64_t depth, const Shape& x) {
  Result<Dim> batch = quotient(context, x[0], depth, "the number of frames");
  if (!batch) return batch.error();
  Result<Dim> plane = times(context, x[2], x[3]);
  if (!plane) return plane.error();
  return Shape{*std::move(batch), x[1], Dim(depth), *std::move(plane)};
}

Result<ValueTypes> infer_frames(const NodeContext& context) {
  Result<Stack> stack = stack_of(context);
  if (!stack) return stack.error();
  if (Result<Done> ok = require_rank(context, 0, 4); !ok) return ok.error();
  if (!context.shape(0)) return typed(context, Shape(4));
  Result<Shape> shape = frames_shape(context, *stack, *context.shape(0));
  if (!shape) return shape.error();
  return typed(context, *std::move(shape));
}

Result<ValueTypes> infer_planes(const NodeContext& context) {
  Result<int64_t> depth = extent_attribute(context, "depth");
  if (!depth) return depth.error();
  if (Result<Done> ok = require_rank(context, 0, 4); !ok) return ok.error();
  if (!context.shape(0)) return typed(context, Shape(4));
  Result<Shape> shape = planes_shape(context, *depth, *context.shape(0));
  if (!shape) return shape.error();
  return typed(context, *std::move(shape));
}

Result<Tensors> to_frames(const NodeContext& context, std::span<const Tensor> inputs) {
  const Tensor& x = inputs[0];
  Result<Stack> stack = stack_of(context);
  if (!stack) return stack.error();
  if (x.rank() != 4) return context.error("input has shape " + to_string(x.dims()) + ", expected rank 4");
  Result<Shape> shape = frames_shape(context, *stack, to_shape(x.dims()));
  if (!shape) return shape.error();
  Result<WindowAxis> axis = window_axis(context, stack->window, 0, stack->kernel, x.dims()[2]);
  if (!axis) return axis.error();
  const Dims y_dims = known_dims(*shape).value();
  Result<std::pair<Tensor, std::byte*>> made = Tensor::allocate(x.dtype(), y_dims);
  if (!made) return made.error();
  const int64_t channels = x.dims()[1], depth = x.dims()[2], each = channels / stack->group;
  const size_t plane = static_cast<size_t>(x.dims()[3]) * size_of(x.dtype());
  std::byte* to = made->second;
  if (plane == 0) return Tensors{std::move(made->first)};
  for (int64_t frame = 0; frame < y_dims[0]; ++frame)
    for (int64_t c = 0; c < y_dims[1]; ++c, to += plane) {
      const int64_t n = frame / axis->out, o = frame % axis->out, part = c / each;
      const int64_t from = part / stack->kernel * each + c % each;
      const int64_t d = o * axis->stride - axis->pad_begin + part % stack->kernel * axis->dilation;
      if (d >= 0 && d < depth)
        std::memcpy(to, x.bytes().data() + static_cast<size_t>((n * channels + from) * depth + d) * plane, plane);
      else
        std::memset(to, static_cast<int>(stack->zero_point), plane);  // not 0 in codes of one byte only
    }
  return Tensors{std::move(made->first)};
}

Result<Tensors> to_planes(const NodeContext& context, std::span<const Tensor> inputs) {
  const Tensor& x = inputs[0];
  Result<int64_t> depth = extent_attribute(context, "depth");
  if (!depth) return depth.error();
  if (x.rank() != 4) return context.error("input has shape " + to_string(x.dims()) + ", expected rank 4");
  Result<Shape> shape = planes_shape(context, *depth, to_shape(x.dims()));
  if (!shape) return shape.error();
  const Dims dims = known_dims(*shape).value();
  const std::vector<int64_t> s = row_major_strides(x.dims());
  Result<Tensor> y = gather_strided(x, dims, std::vector<int64_t>{s[0] * *depth, s[1], s[0], 1});
  if (!y) return y.error();
  return Tensors{*std::move(y)};
}

}  // namespace

const OpDef planes_to_frames_op = {.name = "PlanesToFrames",
                                   .attributes = k_to_frames,
                                   .infer = infer_frames,
                                   .reference = to_frames,
                                   .is_onnx = false};

const OpDef frames_to_planes_op = {.name = "FramesToPlanes",
                                   .attributes = k_to_planes,
                                   .infer = infer_planes,
                                   .reference = to_planes,
                                   .is_onnx = false};

}  // namespace octet
