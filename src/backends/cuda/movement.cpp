#include "backends/cuda/movement.h"

#include <array>
#include <cstring>
#include <numeric>

namespace octet::cuda {
namespace {

constexpr std::string_view k_reshapes[] = {"Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity"};

/// Source and destination seen as one loop: the dims that both can be split into.
struct ReshapeDims {
  Dims extents, to, from;
  bool is_same_memory() const {
    for (size_t i = 0; i < extents.size(); ++i)
      if (extents[i] > 1 && to[i] != from[i]) return false;
    return true;
  }
};

std::optional<ReshapeDims> reshape_dims(const Layout& dst, const Layout& src) {
  if (element_count(dst.dims) == 0) return ReshapeDims{.extents = {0}, .to = {0}, .from = {0}};
  ReshapeDims made;
  // Innermost first: take the common factor of what is left of both innermost dims, then go on with the rest.
  size_t d = dst.rank(), s = src.rank();
  int64_t d_left = 1, s_left = 1, d_stride = 0, s_stride = 0;
  while (true) {
    while (d_left == 1 && d > 0) d_left = dst.dims[--d], d_stride = dst.strides[d];
    while (s_left == 1 && s > 0) s_left = src.dims[--s], s_stride = src.strides[s];
    if (d_left == 1 && s_left == 1) break;
    const int64_t part = std::gcd(d_left, s_left);
    if (part <= 1) return std::nullopt;
    made.extents.push_back(part);
    made.to.push_back(d_stride);
    made.from.push_back(s_stride);
    d_left /= part, d_stride *= part;
    s_left /= part, s_stride *= part;
  }
  for (Dims* list : {&made.extents, &made.to, &made.from}) std::reverse(list->begin(), list->end());
  return made;
}

std::string no_reason(const StepQuery&) { return ""; }

std::string refuse_reshape(const StepQuery& query) {
  if (is_constant(query.graph, query.id(0))) return "";
  const Layout x = layout_of(query.graph, query.id(0), query.floats),
               y = layout_of(query.graph, query.node.outputs[0], query.floats);
  return reshape_dims(y, x) ? "" : "no loop runs over both shapes";
}

std::string refuse_indices(const StepQuery& query) {
  for (size_t i = 1; i < query.input_count(); ++i)
    if (query.has_input(i) && !is_constant(query.graph, query.id(i)))
      return "input " + std::to_string(i) + " is not a constant";
  return "";
}

size_t axis_of(int64_t axis, size_t rank) {
  return static_cast<size_t>(axis < 0 ? axis + static_cast<int64_t>(rank) : axis);
}

/// One step of several parts; the first Error wins.
Result<PreparedStep> step_of(std::vector<Result<Enqueue>> parts, Enqueue before) {
  std::vector<Enqueue> made = {std::move(before)};
  for (Result<Enqueue>& part : parts) {
    if (!part) return part.error();
    made.push_back(std::move(*part));
  }
  return PreparedStep::of(sequence(std::move(made)));
}

Result<PreparedStep> prepare_reshape(const StepQuery& query, StepBuilder& builder) {
  Result<Operand> x = builder.input(query, 0);
  if (!x) return x.error();
  const Operand y = builder.output(query);
  builder.offsets().stay(query.id(0));
  builder.offsets().stay(query.node.outputs[0]);
  if (x->place.kind == Place::Kind::arena && y.place.kind == Place::Kind::arena &&
      builder.offsets().share(query.id(0), query.node.outputs[0]))
    return PreparedStep{};  // the plan let them share storage
  const std::optional<ReshapeDims> dims = reshape_dims(y.layout, x->layout);
  if (!dims) return query.error("no loop runs over both shapes", ErrorCode::unsupported);
  return step_of({copy_elements(dims->extents, y, dims->to, 0, *x, dims->from, 0)}, clear_padding(y));
}

Result<PreparedStep> prepare_transpose(const StepQuery& query, StepBuilder& builder) {
  Result<Operand> x = builder.input(query, 0);
  if (!x) return x.error();
  const Operand y = builder.output(query);
  const size_t rank = x->layout.rank();
  std::vector<int64_t> perm(rank);
  for (size_t i = 0; i < rank; ++i) perm[i] = static_cast<int64_t>(rank - 1 - i);
  perm = ints_attribute(query.node, "perm", perm);
  Dims from(rank);
  for (size_t i = 0; i < rank; ++i) from[i] = x->layout.strides[static_cast<size_t>(perm[i])];
  return step_of({copy_elements(y.layout.dims, y, y.layout.strides, 0, *x, from, 0)}, clear_padding(y));
}

Result<PreparedStep> prepare_expand(const StepQuery& query, StepBuilder& builder) {
  Result<Operand> x = builder.input(query, 0);
  if (!x) return x.error();
  const Operand y = builder.output(query);
  const Dims from = broadcast_strides(x->layout.dims, x->layout.strides, y.layout.dims);
  return step_of({copy_elements(y.layout.dims, y, y.layout.strides, 0, *x, from, 0)}, clear_padding(y));
}

Result<PreparedStep> prepare_concat(const StepQuery& query, StepBuilder& builder) {
  const Operand y = builder.output(query);
  const size_t axis = axis_of(int_attribute(query.node, "axis", 0), y.layout.rank());
  std::vector<Result<Enqueue>> parts;
  int64_t at = 0;
  for (size_t i = 0; i < query.input_count(); ++i) {
    Result<Operand> x = builder.input(query, i);
    if (!x) return x.error();
    parts.push_back(
        copy_elements(x->layout.dims, y, y.layout.strides, at * y.layout.strides[axis], *x, x->layout.strides, 0));
    at += x->layout.dims[axis];
  }
  return step_of(std::move(parts), clear_padding(y));
}

Result<PreparedStep> prepare_split(const StepQuery& query, StepBuilder& builder) {
  Result<Operand> x = builder.input(query, 0);
  if (!x) return x.error();
  const size_t axis = axis_of(int_attribute(query.node, "axis", 0), x->layout.rank());
  std::vector<Result<Enqueue>> parts;
  int64_t at = 0;
  for (size_t i = 0; i < query.node.outputs.size(); ++i) {
    if (query.node.outputs[i] == k_absent) return query.error("an absent output of Split", ErrorCode::unsupported);
    const Operand y = builder.output(query, i);
    if (Enqueue clear = clear_padding(y)) parts.push_back(std::move(clear));
    parts.push_back(
        copy_elements(y.layout.dims, y, y.layout.strides, 0, *x, x->layout.strides, at * x->layout.strides[axis]));
    at += y.layout.dims[axis];
  }
  return step_of(std::move(parts), {});
}

Result<PreparedStep> prepare_slice(const StepQuery& query, StepBuilder& builder) {
  Result<Operand> x = builder.input(query, 0);
  if (!x) return x.error();
  const Operand y = builder.output(query);
  const std::vector<int64_t> starts = *constant_ints(query.graph, query.id(1));
  const std::optional<std::vector<int64_t>> axes = constant_ints(query.graph, query.id(3)),
                                            steps = constant_ints(query.graph, query.id(4));
  Dims from = x->layout.strides;
  int64_t base = 0;
  for (size_t i = 0; i < starts.size(); ++i) {
    const size_t axis = axes ? axis_of((*axes)[i], x->layout.rank()) : i;
    const int64_t extent = x->layout.dims[axis], step = steps ? (*steps)[i] : 1;
    const int64_t start = starts[i] < 0 ? starts[i] + extent : starts[i];
    if (y.layout.dims[axis] == 0) continue;  // nothing is taken
    base += std::clamp<int64_t>(start, 0, extent - 1) * x->layout.strides[axis];
    from[axis] = y.layout.dims[axis] > 1 ? x->layout.strides[axis] * step : 0;
  }
  return step_of({copy_elements(y.layout.dims, y, y.layout.strides, 0, *x, from, base)}, clear_padding(y));
}

std::string refuse_pad(const StepQuery& query) {
  if (string_attribute(query.node, "mode", "constant") != "constant")
    return "mode '" + string_attribute(query.node, "mode", "") + "'; only 'constant'";
  if (query.dtype(0) != DType::f32 && !is_code(query.dtype(0)))
    return "the input is " + std::string(name(query.dtype(0)));
  return refuse_indices(query);
}

/// One element of Pad's value as it is stored, in the low bytes.
uint64_t pad_element(const StepQuery& query, StepBuilder& builder, const Layout& y) {
  const std::optional<Tensor> value = constant_of(query.graph, query.id(2));
  uint64_t element = 0;
  if (value) std::memcpy(&element, value->bytes().data(), std::min(value->size_bytes(), sizeof element));
  if (query.dtype(0) == DType::s8) element ^= 0x80;
  if (y.store == Store::f16 && value) {
    const Result<Operand> half = builder.constant(value->reshaped({1}));
    uint16_t bits = 0;
    if (half) cudaMemcpy(&bits, half->place.data, sizeof bits, cudaMemcpyDeviceToHost);
    element = bits;
  }
  return element;
}

Result<PreparedStep> prepare_pad(const StepQuery& query, StepBuilder& builder) {
  Result<Operand> x = builder.input(query, 0);
  if (!x) return x.error();
  const Operand y = builder.output(query);
  const std::vector<int64_t> pads = *constant_ints(query.graph, query.id(1));
  const std::optional<std::vector<int64_t>> axes = constant_ints(query.graph, query.id(3));
  // The inner block: along each axis, x from max(0, -begin) lands at max(0, begin); negative pads crop.
  Dims extents = x->layout.dims;
  int64_t from = 0, to = 0;
  for (size_t i = 0; i < pads.size() / 2; ++i) {
    const size_t axis = axes ? axis_of((*axes)[i], x->layout.rank()) : i;
    const int64_t begin = pads[i], end = pads[pads.size() / 2 + i];
    extents[axis] = std::max<int64_t>(0, extents[axis] + std::min<int64_t>(begin, 0) + std::min<int64_t>(end, 0));
    from += std::max<int64_t>(0, -begin) * x->layout.strides[axis];
    to += std::max<int64_t>(0, begin) * y.layout.strides[axis];
  }
  Enqueue fill = [element = pad_element(query, builder, y.layout), layout = y.layout, y = y.place](const Launch& run) {
    return launch_fill(run.at(y), element, static_cast<int>(layout.element_bytes), layout.elements, run.stream);
  };
  return step_of({copy_elements(extents, y, y.layout.strides, to, *x, x->layout.strides, from)}, std::move(fill));
}

/// The deep side has channels [i, j, c] (DCR, SpaceToDepth) or [c, i, j] (CRD); the wide side has pixels [h, i] x
/// [w, j].
Result<PreparedStep> prepare_blocks(const StepQuery& query, StepBuilder& builder) {
  Result<Operand> x = builder.input(query, 0);
  if (!x) return x.error();
  const Operand y = builder.output(query);
  const bool to_space = is_op(query.node, "DepthToSpace");
  const Layout &deep = to_space ? x->layout : y.layout, &wide = to_space ? y.layout : x->layout;
  const int64_t b = int_attribute(query.node, "blocksize", 1), c = wide.dims[1];
  const bool crd = to_space && string_attribute(query.node, "mode", "DCR") == "CRD";
  const int64_t deep_c = deep.strides[1];
  const Dims dims = {deep.dims[0], c, deep.dims[2], b, deep.dims[3], b};
  const Dims of_deep = {deep.strides[0], crd ? b * b * deep_c : deep_c, deep.strides[2], (crd ? b : b * c) * deep_c,
                        deep.strides[3], (crd ? 1 : c) * deep_c};
  const Dims of_wide = {wide.strides[0], wide.strides[1],     wide.strides[2] * b,
                        wide.strides[2], wide.strides[3] * b, wide.strides[3]};
  return step_of({copy_elements(dims, y, to_space ? of_wide : of_deep, 0, *x, to_space ? of_deep : of_wide, 0)},
                 clear_padding(y));
}

}  // namespace

ValueId reshape_alias(const Graph& graph, const Node& node, DType floats) {
  if (std::find(std::begin(k_reshapes), std::end(k_reshapes), node.op->name) == std::end(k_reshapes)) return k_absent;
  if (is_constant(graph, node.inputs[0])) return k_absent;
  const Layout src = layout_of(graph, node.inputs[0], floats), dst = layout_of(graph, node.outputs[0], floats);
  const std::optional<ReshapeDims> dims = reshape_dims(dst, src);
  return dims && dims->is_same_memory() ? node.inputs[0] : k_absent;
}

const StepDef reshape_step = {"reshape", refuse_reshape, 1, prepare_reshape};
const StepDef transpose_step = {"transpose", no_reason, 1, prepare_transpose};
const StepDef expand_step = {"expand", no_reason, 1, prepare_expand};
const StepDef concat_step = {"concat", no_reason, 1, prepare_concat};
const StepDef split_step = {"split", no_reason, 1, prepare_split};
const StepDef slice_step = {"slice", refuse_indices, 1, prepare_slice};
const StepDef pad_step = {"pad", refuse_pad, 1, prepare_pad};
const StepDef space_depth_step = {"space_depth", no_reason, 1, prepare_blocks};

}  // namespace octet::cuda
