// Reshape: the same elements under other extents. In the target, 0 copies the extent at its place (unless allowzero),
// and one -1 takes what is left. Source: ONNX operator Reshape, opset 14.
#include "ir/ops/common.h"

namespace octet {
namespace {

constexpr std::string_view k_attributes[] = {"allowzero"};

Result<Done> check_target(const NodeContext& context, std::span<const int64_t> target, bool allow_zero) {
  size_t free = 0, zeros = 0;
  for (const int64_t t : target) {
    if (t < -1) return context.error("target " + list_text(target) + " has an extent below -1");
    free += t == -1;
    zeros += t == 0;
  }
  if (free > 1) return context.error("target has " + std::to_string(free) + " extents of -1, expected at most one");
  if (free == 1 && zeros > 0 && allow_zero)
    return context.error("target has both 0 and -1, which allowzero=1 makes ambiguous");
  return Done{};
}

/// What the elements that are neither copied by a 0 nor counted by a number leave for the -1; nothing when nothing
/// fits.
///   d = (known extents of x that are not copied) * (unknown ones) / (numbers in the target)
/// A lone unknown extent keeps its name when the known parts cancel.
std::optional<Dim> remaining_extent(std::span<const Dim> left, std::span<const int64_t> numbers) {
  Dims known;
  Shape unknown;
  for (const Dim& d : left) {
    if (d.known()) {
      known.push_back(d.value);
    } else {
      unknown.push_back(d);
    }
  }
  const std::optional<int64_t> have = element_count(known), want = element_count(numbers);
  if (!have || !want) return std::nullopt;
  if (!unknown.empty()) return unknown.size() == 1 && *have == *want && *have > 0 ? unknown[0] : Dim();
  if (*want == 0 || *have % *want != 0) return std::nullopt;
  return Dim(*have / *want);
}

Result<Shape> reshaped(const NodeContext& context, const std::optional<Shape>& x, std::span<const int64_t> target) {
  const bool allow_zero = int_attribute(context.node, "allowzero", 0) != 0;
  if (Result<Done> ok = check_target(context, target, allow_zero); !ok) return ok.error();
  Shape out;
  Dims numbers;
  std::vector<bool> copied(x ? x->size() : 0, false);
  std::optional<size_t> free;
  for (size_t i = 0; i < target.size(); ++i) {
    if (target[i] == -1) {
      free = i;
      out.emplace_back();
    } else if (target[i] == 0 && !allow_zero) {
      if (x && i >= x->size())
        return context.error("target " + list_text(target) + " copies extent " + std::to_string(i) +
                             ", but the input is " + to_string(*x));
      if (x) copied[i] = true;
      out.push_back(x ? (*x)[i] : Dim());
    } else {
      numbers.push_back(target[i]);
      out.emplace_back(target[i]);
    }
  }
  if (!x) return out;
  if (free) {
    Shape left;
    for (size_t i = 0; i < x->size(); ++i)
      if (!copied[i]) left.push_back((*x)[i]);
    std::optional<Dim> d = remaining_extent(left, numbers);
    if (!d)
      return context.error("cannot reshape " + to_string(*x) + " to " + list_text(target) + ": no extent fits the -1");
    out[*free] = std::move(*d);
  }
  const std::optional<Dims> from = known_dims(*x), to = known_dims(out);
  if (from && to && element_count(*from) != element_count(*to))
    return context.error("cannot reshape " + to_string(*x) + " to " + list_text(target) +
                         ": the numbers of elements differ");
  return out;
}

Result<ValueTypes> infer(const NodeContext& context) {
  if (Result<Done> ok = require_rank(context, 1, 1); !ok) return ok.error();
  Result<std::optional<std::vector<int64_t>>> target = constant_ints(context, 1);
  if (!target) return target.error();
  if (*target) {
    Result<Shape> shape = reshaped(context, context.shape(0), **target);
    if (!shape) return shape.error();
    return typed(context, std::move(*shape));
  }
  const std::optional<Shape>& length = context.shape(1);
  if (!length || !(*length)[0].known() || (*length)[0].value > k_max_rank) return typed(context);
  return typed(context, Shape(static_cast<size_t>((*length)[0].value)));  // only the rank is known
}

Result<Tensors> reshape(const NodeContext& context, std::span<const Tensor> inputs) {
  Result<std::vector<int64_t>> target = ints_of(context, inputs, 1);
  if (!target) return target.error();
  Result<Shape> shape = reshaped(context, to_shape(inputs[0].dims()), *target);
  if (!shape) return shape.error();
  return Tensors{inputs[0].reshaped(known_dims(*shape).value())};
}

}  // namespace

const OpDef reshape_op = {
    .name = "Reshape",
    .min_inputs = 2,
    .max_inputs = 2,
    .attributes = k_attributes,
    .infer = infer,
    .reference = reshape,
    .quant = {.role = QuantRole::same_scale},
};

}  // namespace octet
