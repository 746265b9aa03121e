// Pad(x, pads, value?, axes?): pads = begins then ends, for all axes or those named; negative ones crop. mode
// "constant", "reflect" (the edge element is not repeated), "edge" or "wrap". Source: ONNX operator Pad, opset 19.
// Without value the new elements are 0. A Pad that runs on codes must name its value: real zero is the zero_point, not
// 0.
#include "ir/ops/common.h"

namespace octet {
namespace {

constexpr std::string_view k_attributes[] = {"mode"};

enum class Mode { constant, reflect, edge, wrap };

struct Border {
  int64_t begin = 0, end = 0;
};

Result<Mode> mode_of(const NodeContext& context) {
  const std::string mode = string_attribute(context.node, "mode", "constant");
  if (mode == "constant") return Mode::constant;
  if (mode == "reflect") return Mode::reflect;
  if (mode == "edge") return Mode::edge;
  if (mode == "wrap") return Mode::wrap;
  return context.error("mode '" + mode + "' is not one of constant, reflect, edge, wrap");
}

Result<std::vector<Border>> borders(const NodeContext& context, size_t rank, std::span<const int64_t> pads,
                                    const std::optional<std::vector<int64_t>>& axes) {
  std::vector<int64_t> all(rank);
  for (size_t i = 0; i < rank; ++i) all[i] = static_cast<int64_t>(i);
  Result<std::vector<size_t>> named = normalized_axes(context, axes ? *axes : all, rank);
  if (!named) return named.error();
  const size_t count = named->size();
  if (pads.size() != 2 * count)
    return context.error("has " + std::to_string(pads.size()) + " pads, expected " + std::to_string(2 * count));
  std::vector<Border> out(rank);
  for (size_t i = 0; i < count; ++i) {
    for (const int64_t p : {pads[i], pads[count + i]})
      if (p < -k_max_elements || p > k_max_elements) return context.error("a pad of " + std::to_string(p));
    out[(*named)[i]] = {pads[i], pads[count + i]};
  }
  return out;
}

Result<int64_t> padded(const NodeContext& context, int64_t extent, const Border& border, Mode mode) {
  const int64_t out = extent + border.begin + border.end;
  const bool fits = mode == Mode::constant ? true
                    : mode == Mode::reflect
                        ? border.begin < std::max<int64_t>(extent, 1) && border.end < std::max<int64_t>(extent, 1)
                        : extent > 0 || out == 0;
  if (out >= 0 && fits) return out;
  return context.error("pads " + std::to_string(border.begin) + " and " + std::to_string(border.end) +
                       " do not fit an extent of " + std::to_string(extent));
}

/// Where element i of a padded axis comes from; -1 = the constant.
int64_t source_index(int64_t i, int64_t extent, Mode mode) {
  if (i >= 0 && i < extent) return i;
  switch (mode) {
    case Mode::constant: return -1;
    case Mode::reflect: return i < 0 ? -i : 2 * (extent - 1) - i;
    case Mode::edge: return i < 0 ? 0 : extent - 1;
    case Mode::wrap: return (i % extent + extent) % extent;
  }
  return -1;
}

Result<ValueTypes> infer(const NodeContext& context) {
  Result<Mode> mode = mode_of(context);
  if (!mode) return mode.error();
  if (context.has_input(2))
    if (Result<Done> ok = require_same_dtype(context, 0, 2); !ok) return ok.error();
  Result<std::optional<std::vector<int64_t>>> pads = constant_ints(context, 1), axes = constant_ints(context, 3);
  if (!pads) return pads.error();
  if (!axes) return axes.error();
  if (!context.shape(0)) return typed(context);
  Shape out = *context.shape(0);
  if (!*pads || (context.has_input(3) && !*axes)) return typed(context, Shape(out.size()));
  Result<std::vector<Border>> border = borders(context, out.size(), **pads, *axes);
  if (!border) return border.error();
  for (size_t i = 0; i < out.size(); ++i) {
    const Border& b = (*border)[i];
    if (b.begin == 0 && b.end == 0) continue;
    if (!out[i].known()) {
      out[i] = Dim();
      continue;
    }
    Result<int64_t> extent = padded(context, out[i].value, b, *mode);
    if (!extent) return extent.error();
    out[i] = Dim(*extent);
  }
  return typed(context, std::move(out));
}

/// Copies by per-axis offset tables: offset of x's element, or -1 for the constant.
Result<Tensor> pad_tensor(const Tensor& x, const Dims& out, std::span<const Border> border, Mode mode,
                          std::span<const std::byte> value) {
  Result<std::pair<Tensor, std::byte*>> made = Tensor::allocate(x.dtype(), out);
  if (!made || made->first.size() == 0) return made ? Result<Tensor>(made->first) : Result<Tensor>(made.error());
  const std::vector<int64_t> strides = row_major_strides(x.dims());
  std::vector<std::vector<int64_t>> offsets(out.size());
  for (size_t d = 0; d < out.size(); ++d) {
    for (int64_t i = 0; i < out[d]; ++i) {
      const int64_t from = source_index(i - border[d].begin, x.dims()[d], mode);
      offsets[d].push_back(from < 0 ? -1 : from * strides[d]);
    }
  }
  const size_t width = size_of(x.dtype());
  std::vector<size_t> index(out.size(), 0);
  for (int64_t i = 0; i < made->first.size(); ++i) {
    int64_t from = 0;
    for (size_t d = 0; d < out.size() && from >= 0; ++d) {
      const int64_t offset = offsets[d][index[d]];
      from = offset < 0 ? -1 : from + offset;
    }
    const std::byte* source = from < 0 ? value.data() : x.bytes().data() + static_cast<size_t>(from) * width;
    std::memcpy(made->second + static_cast<size_t>(i) * width, source, width);
    for (size_t d = out.size(); d-- > 0;) {
      if (++index[d] < offsets[d].size()) break;
      index[d] = 0;
    }
  }
  return std::move(made->first);
}

Result<Tensors> pad(const NodeContext& context, std::span<const Tensor> inputs) {
  const Tensor& x = inputs[0];
  Result<Mode> mode = mode_of(context);
  if (!mode) return mode.error();
  Result<std::vector<int64_t>> pads = ints_of(context, inputs, 1);
  if (!pads) return pads.error();
  std::optional<std::vector<int64_t>> axes;
  if (is_present(inputs, 3)) {
    Result<std::vector<int64_t>> given = ints_of(context, inputs, 3);
    if (!given) return given.error();
    axes = std::move(*given);
  }
  Result<std::vector<Border>> border = borders(context, x.rank(), *pads, axes);
  if (!border) return border.error();
  Dims out;
  for (size_t i = 0; i < x.rank(); ++i) {
    Result<int64_t> extent = padded(context, x.dims()[i], (*border)[i], *mode);
    if (!extent) return extent.error();
    out.push_back(*extent);
  }
  std::vector<std::byte> value(size_of(x.dtype()), std::byte{0});
  if (is_present(inputs, 2)) {
    if (inputs[2].size() != 1 || inputs[2].dtype() != x.dtype())
      return context.error("value must be one element of the input's dtype");
    value.assign(inputs[2].bytes().begin(), inputs[2].bytes().end());
  }
  return single(pad_tensor(x, out, *border, *mode, value));
}

}  // namespace

const OpDef pad_op = {
    .name = "Pad",
    .min_inputs = 2,
    .max_inputs = 4,
    .attributes = k_attributes,
    .infer = infer,
    .reference = pad,
    .quant = {.role = QuantRole::same_scale},
};

}  // namespace octet
