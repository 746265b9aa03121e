#include "backends/cpu/movement.h"

#include <algorithm>
#include <cstring>
#include <numeric>

#include "backends/cpu/constants.h"
#include "backends/cpu/joined.h"

namespace octet::cpu {
namespace {

constexpr std::string_view k_reshapes[] = {"Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity"};

std::string refuse(const StepQuery& query) {
  for (const ValueId v : query.node.outputs) {
    if (v != k_absent && query.graph.value(v).shape->size() > StridedLoop::k_max_rank) return "more than 10 dimensions";
  }
  return query.dims(0).size() > StridedLoop::k_max_rank ? "more than 10 dimensions" : "";
}

PreparedStep copy_step(std::vector<Copy> copies) {
  PreparedStep step{.in_team = true};
  step.run = [copies = std::move(copies)](const RunContext& run) {
    for (const Copy& copy : copies) run_copy(run, copy);
  };
  return step;
}

/// Whether the concatenation's part lies where it belongs already (joined.h).
bool lies_in(const Operand& y, const Operand& x, int64_t channel) {
  return x.place.kind == Place::Kind::arena && y.place.kind == Place::Kind::arena && x.layout.is_nhwc() &&
         y.layout.is_nhwc() && x.layout.element_bytes == y.layout.element_bytes &&
         x.layout.strides == y.layout.strides &&
         x.place.at == y.place.at + static_cast<size_t>(channel) * y.layout.element_bytes;
}

/// A copy of `dims` elements from src to dst, both given by strides and a first element.
Copy copy_of(const Dims& dims, const Operand& dst, const Dims& dst_strides, int64_t dst_base, const Operand& src,
             const Dims& src_strides, int64_t src_base) {
  return {StridedLoop(dims, {dst_strides, src_strides}),
          dst.layout.element_bytes,
          dst.place,
          src.place,
          dst_base,
          src_base};
}

size_t axis_of(int64_t axis, size_t rank) {
  return static_cast<size_t>(axis < 0 ? axis + static_cast<int64_t>(rank) : axis);
}

Result<PreparedStep> prepare_reshape(const StepQuery& query, StepBuilder& builder) {
  Result<Operand> x = builder.input(query, 0);
  if (!x) return x.error();
  const Operand y = builder.output(query);
  if (x->place.kind == Place::Kind::arena && y.place.kind == Place::Kind::arena && x->place.at == y.place.at)
    return PreparedStep{};  // the plan let them share storage
  if (const std::optional<ReshapeDims> dims = reshape_dims(y.layout, x->layout))
    return copy_step({copy_of(dims->extents, y, dims->dst_strides, 0, *x, dims->src_strides, 0)});
  // No common split of the dims (as [6,4] to [8,3] with a pitch on both sides): through dense memory in between.
  const Dims from = row_major_strides(x->layout.dims), to = row_major_strides(y.layout.dims);
  const size_t bytes = x->layout.element_bytes;
  const StridedCopy pack(StridedLoop(x->layout.dims, {from, x->layout.strides}), bytes),
      unpack(StridedLoop(y.layout.dims, {y.layout.strides, to}), bytes);
  const auto count = static_cast<size_t>(element_count(x->layout.dims).value_or(0));
  PreparedStep step{.shared_bytes = count * bytes};
  step.run = [=, x = x->place, y = y.place](const RunContext& run) {
    std::byte* const dense = run.shared<std::byte>();
    pack.run(dense, run.at<std::byte>(x));
    unpack.run(run.at<std::byte>(y), dense);
  };
  return step;
}

Result<PreparedStep> prepare_transpose(const StepQuery& query, StepBuilder& builder) {
  Result<Operand> x = builder.input(query, 0);
  if (!x) return x.error();
  const Operand y = builder.output(query);
  if (builder.neighbours().is_view(query.node.outputs[0]) && x->place.kind == Place::Kind::arena &&
      y.place.kind == Place::Kind::arena && x->place.at == y.place.at)
    return PreparedStep{};  // the plan let them share storage
  const size_t rank = x->layout.rank();
  std::vector<int64_t> perm(rank);
  for (size_t i = 0; i < rank; ++i) perm[i] = static_cast<int64_t>(rank - 1 - i);
  perm = ints_attribute(query.node, "perm", perm);
  Dims src_strides(rank);
  for (size_t i = 0; i < rank; ++i) src_strides[i] = x->layout.strides[static_cast<size_t>(perm[i])];
  PreparedStep step = copy_step({copy_of(y.layout.dims, y, y.layout.strides, 0, *x, src_strides, 0)});
  if (query.isa != Isa::scalar) step.done_by = stem_of(query.graph, query.node);
  step.for_taps = step.done_by >= 0;
  return step;
}

Result<PreparedStep> prepare_expand(const StepQuery& query, StepBuilder& builder) {
  Result<Operand> x = builder.input(query, 0);
  if (!x) return x.error();
  const Operand y = builder.output(query);
  const Dims src = broadcast_strides(x->layout.dims, x->layout.strides, y.layout.dims);
  return copy_step({copy_of(y.layout.dims, y, y.layout.strides, 0, *x, src, 0)});
}

Result<PreparedStep> prepare_concat(const StepQuery& query, StepBuilder& builder) {
  const Operand y = builder.output(query);
  const size_t axis = axis_of(int_attribute(query.node, "axis", 0), y.layout.rank());
  std::vector<Copy> copies;
  int64_t at = 0;
  for (size_t i = 0; i < query.input_count(); ++i) {
    Result<Operand> x = builder.input(query, i);
    if (!x) return x.error();
    if (axis != 1 || !lies_in(y, *x, at))
      copies.push_back(
          copy_of(x->layout.dims, y, y.layout.strides, at * y.layout.strides[axis], *x, x->layout.strides, 0));
    at += x->layout.dims[axis];
  }
  return copies.empty() ? PreparedStep{} : copy_step(std::move(copies));
}

Result<PreparedStep> prepare_split(const StepQuery& query, StepBuilder& builder) {
  Result<Operand> x = builder.input(query, 0);
  if (!x) return x.error();
  const size_t axis = axis_of(int_attribute(query.node, "axis", 0), x->layout.rank());
  std::vector<Copy> copies;
  int64_t at = 0;
  for (size_t i = 0; i < query.node.outputs.size(); ++i) {
    if (query.node.outputs[i] == k_absent) return query.error("an absent output of Split", ErrorCode::unsupported);
    const Operand y = builder.output(query, i);
    copies.push_back(
        copy_of(y.layout.dims, y, y.layout.strides, 0, *x, x->layout.strides, at * x->layout.strides[axis]));
    at += y.layout.dims[axis];
  }
  return copy_step(std::move(copies));
}

Result<PreparedStep> prepare_slice(const StepQuery& query, StepBuilder& builder) {
  Result<Operand> x = builder.input(query, 0);
  if (!x) return x.error();
  const Operand y = builder.output(query);
  const std::vector<int64_t> starts = *constant_ints(query.graph, query.id(1));
  const std::optional<std::vector<int64_t>> axes = constant_ints(query.graph, query.id(3)),
                                            steps = constant_ints(query.graph, query.id(4));
  Dims src_strides = x->layout.strides;
  int64_t base = 0;
  for (size_t i = 0; i < starts.size(); ++i) {
    const size_t axis = axes ? axis_of((*axes)[i], x->layout.rank()) : i;
    const int64_t extent = x->layout.dims[axis], step = steps ? (*steps)[i] : 1;
    const int64_t start = starts[i] < 0 ? starts[i] + extent : starts[i];
    if (y.layout.dims[axis] == 0) continue;  // nothing is taken
    base += std::clamp<int64_t>(start, 0, extent - 1) * x->layout.strides[axis];
    src_strides[axis] = y.layout.dims[axis] > 1 ? x->layout.strides[axis] * step : 0;
  }
  return copy_step({copy_of(y.layout.dims, y, y.layout.strides, 0, *x, src_strides, base)});
}

}  // namespace

std::string refuse_computed_indices(const StepQuery& query) {
  for (size_t i = 1; i < query.input_count(); ++i) {
    if (query.has_input(i) && !is_constant(query.graph, query.id(i)))
      return "input " + std::to_string(i) + " is not a constant";
  }
  return refuse(query);
}

void run_copy(const RunContext& run, const Copy& copy) {
  std::byte* const dst = run.at<std::byte>(copy.dst) + copy.dst_base;
  const std::byte* const src = run.at<std::byte>(copy.src) + copy.src_base;
  run.parallel(copy.copy.parts(), copy.copy.elements_per_part(),
               [&](int64_t first, int64_t last, int) { copy.copy.run(dst, src, first, last); });
}

bool ReshapeDims::is_same_memory() const {
  for (size_t i = 0; i < extents.size(); ++i) {
    if (extents[i] > 1 && dst_strides[i] != src_strides[i]) return false;
  }
  return true;
}

std::optional<ReshapeDims> reshape_dims(const Layout& dst, const Layout& src) {
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
    made.dst_strides.push_back(d_stride);
    made.src_strides.push_back(s_stride);
    d_left /= part, d_stride *= part;
    s_left /= part, s_stride *= part;
  }
  if (made.extents.size() > StridedLoop::k_max_rank) return std::nullopt;
  for (Dims* list : {&made.extents, &made.dst_strides, &made.src_strides}) std::reverse(list->begin(), list->end());
  return made;
}

ValueId reshape_alias(const Graph& graph, const Node& node) {
  if (is_frame_view(node)) {
    const Layout x = layout_of(graph, node.inputs[0]), y = layout_of(graph, node.outputs[0]);
    return x.is_nhwc() && y.is_nhwc() && !is_constant(graph, node.inputs[0]) ? node.inputs[0] : k_absent;
  }
  if (std::find(std::begin(k_reshapes), std::end(k_reshapes), node.op->name) == std::end(k_reshapes)) return k_absent;
  if (is_constant(graph, node.inputs[0])) return k_absent;
  const Layout src = layout_of(graph, node.inputs[0]), dst = layout_of(graph, node.outputs[0]);
  const std::optional<ReshapeDims> dims = reshape_dims(dst, src);
  return dims && dims->is_same_memory() ? node.inputs[0] : k_absent;
}

ValueId overwritten_residual(const Graph& graph, const Node& node) {
  constexpr size_t k_residual = 4;
  if (node.op->name != "QuantConv" || node.inputs.size() <= k_residual || int_attribute(node, "group", 1) != 1)
    return k_absent;
  const ValueId residual = node.inputs[k_residual];
  if (residual == k_absent || is_constant(graph, residual)) return k_absent;
  const Layout from = layout_of(graph, residual), to = layout_of(graph, node.outputs[0]);
  const bool lie_alike = from.nhwc && to.nhwc && from.dims == to.dims && from.strides == to.strides;
  return lie_alike && from.element_bytes == 1 && to.element_bytes == 1 ? residual : k_absent;
}

const StepDef reshape_step = {"reshape", refuse, streaming_cost_us, prepare_reshape};
const StepDef transpose_step = {"transpose", refuse, streaming_cost_us, prepare_transpose};
const StepDef expand_step = {"expand", refuse, streaming_cost_us, prepare_expand};
const StepDef concat_step = {"concat", refuse, streaming_cost_us, prepare_concat};
const StepDef split_step = {"split", refuse, streaming_cost_us, prepare_split};
const StepDef slice_step = {"slice", refuse_computed_indices, streaming_cost_us, prepare_slice};

}  // namespace octet::cpu
