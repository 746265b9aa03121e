// Rearrangements that are one strided copy: Tile, DepthToSpace, SpaceToDepth.
#include "backends/cpu/constants.h"
#include "backends/cpu/movement.h"

namespace octet::cpu {
namespace {

PreparedStep copy_step(Copy copy) {
  PreparedStep step{.in_team = true};
  step.run = [copy](const RunContext& run) { run_copy(run, copy); };
  return step;
}

std::string refuse_tile(const StepQuery& query) {
  return 2 * query.shape(0)->size() > StridedLoop::k_max_rank ? "more than 5 dimensions" : "";
}

/// y of extents r*d, seen as [r, d] per axis, is x with a stride of 0 along r.
Result<PreparedStep> prepare_tile(const StepQuery& query, StepBuilder& builder) {
  Result<Operand> x = builder.input(query, 0);
  if (!x) return x.error();
  const Operand y = builder.output(query);
  Dims dims, to, from;
  for (size_t i = 0; i < x->layout.rank(); ++i) {
    const int64_t extent = x->layout.dims[i];
    dims.insert(dims.end(), {extent == 0 ? 0 : y.layout.dims[i] / extent, extent});
    to.insert(to.end(), {y.layout.strides[i] * extent, y.layout.strides[i]});
    from.insert(from.end(), {0, x->layout.strides[i]});
  }
  return copy_step({StridedLoop(dims, {to, from}), y.layout.element_bytes, y.place, x->place});
}

std::string no_reason(const StepQuery&) { return ""; }

/// The deep side has channels [i, j, c] (DCR, SpaceToDepth) or [c, i, j] (CRD); the wide side has pixels [h, i] x [w,
/// j].
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
  const StridedLoop loop(dims, {to_space ? of_wide : of_deep, to_space ? of_deep : of_wide});
  return copy_step({loop, y.layout.element_bytes, y.place, x->place});
}

}  // namespace

const StepDef tile_step = {"tile", refuse_tile, streaming_cost_us, prepare_tile};
const StepDef space_depth_step = {"space_depth", no_reason, streaming_cost_us, prepare_blocks};

}  // namespace octet::cpu
