// DepthToSpace: blocks of b*b channels become b x b pixels; SpaceToDepth the other way. NCHW.
//   DepthToSpace, DCR:  y[n, c, h*b + i, w*b + j] = x[n, (i*b + j) * C + c, h, w],  C = channels of y
//                 CRD:  y[n, c, h*b + i, w*b + j] = x[n, c*b*b + i*b + j, h, w]
//   SpaceToDepth:       y[n, (i*b + j) * C + c, h, w] = x[n, c, h*b + i, w*b + j],  C = channels of x
// Source: ONNX operators DepthToSpace and SpaceToDepth, opset 13.
#include "ir/ops/common.h"

namespace octet {
namespace {

constexpr std::string_view k_depth_attributes[] = {"blocksize", "mode"};
constexpr std::string_view k_space_attributes[] = {"blocksize"};

Result<int64_t> block_size(const NodeContext& context) {
  const int64_t b = int_attribute(context.node, "blocksize", 0);
  if (b >= 1 && b <= 1 << 16) return b;
  return context.error("blocksize is " + std::to_string(b) + ", expected 1 to 65536");
}

Result<Dim> divided(const NodeContext& context, const Dim& d, int64_t by) {
  if (!d.known()) return by == 1 ? d : Dim();
  if (d.value % by == 0) return Dim(d.value / by);
  return context.error("extent " + std::to_string(d.value) + " is not a multiple of " + std::to_string(by));
}

Result<Dim> multiplied(const NodeContext& context, const Dim& d, int64_t by) {
  const Dim pair[] = {d, Dim(by)};
  return product(context, pair);
}

/// Channels are divided or multiplied by b*b, height and width the other way.
template <bool to_space>
Result<Shape> shape_of(const NodeContext& context, const Shape& x, int64_t b) {
  const auto channels = to_space ? divided : multiplied;
  const auto pixels = to_space ? multiplied : divided;
  Result<Dim> c = channels(context, x[1], b * b);
  if (!c) return c.error();
  Result<Dim> h = pixels(context, x[2], b);
  if (!h) return h.error();
  Result<Dim> w = pixels(context, x[3], b);
  if (!w) return w.error();
  return Shape{x[0], std::move(*c), std::move(*h), std::move(*w)};
}

template <bool to_space>
Result<ValueTypes> infer(const NodeContext& context) {
  Result<int64_t> b = block_size(context);
  if (!b) return b.error();
  const std::string mode = string_attribute(context.node, "mode", "DCR");
  if (mode != "DCR" && mode != "CRD") return context.error("mode '" + mode + "' is neither DCR nor CRD");
  if (Result<Done> ok = require_rank(context, 0, 4); !ok) return ok.error();
  if (!context.shape(0)) return typed(context, Shape(4));
  Result<Shape> shape = shape_of<to_space>(context, *context.shape(0), *b);
  if (!shape) return shape.error();
  return typed(context, std::move(*shape));
}

/// y seen with six extents, [n, c, h, i, w, j] or [n, i, j, c, h, w], is x with permuted strides.
template <bool to_space>
Result<Tensors> rearrange(const NodeContext& context, std::span<const Tensor> inputs) {
  const Tensor& x = inputs[0];
  Result<int64_t> block = block_size(context);
  if (!block) return block.error();
  if (x.rank() != 4) return context.error("input has shape " + to_string(x.dims()) + ", expected rank 4");
  Result<Shape> shape = shape_of<to_space>(context, to_shape(x.dims()), *block);
  if (!shape) return shape.error();
  const Dims out = known_dims(*shape).value();
  const int64_t b = *block;
  const std::vector<int64_t> s = row_major_strides(x.dims());
  Dims dims;
  std::vector<int64_t> strides;
  if constexpr (to_space) {
    const bool dcr = string_attribute(context.node, "mode", "DCR") == "DCR";
    const int64_t of_c = dcr ? s[1] : s[1] * b * b, of_j = dcr ? s[1] * out[1] : s[1];
    dims = {out[0], out[1], x.dims()[2], b, x.dims()[3], b};
    strides = {s[0], of_c, s[2], of_j * b, s[3], of_j};
  } else {
    dims = {out[0], b, b, x.dims()[1], out[2], out[3]};
    strides = {s[0], s[2], s[3], s[1], s[2] * b, s[3] * b};
  }
  Result<Tensor> y = gather_strided(x, dims, strides);
  if (!y) return y.error();
  return Tensors{y->reshaped(out)};
}

}  // namespace

const OpDef depth_to_space_op = {
    .name = "DepthToSpace",
    .attributes = k_depth_attributes,
    .infer = infer<true>,
    .reference = rearrange<true>,
    .quant = {.role = QuantRole::same_scale},
};

const OpDef space_to_depth_op = {
    .name = "SpaceToDepth",
    .attributes = k_space_attributes,
    .infer = infer<false>,
    .reference = rearrange<false>,
    .quant = {.role = QuantRole::same_scale},
};

}  // namespace octet
