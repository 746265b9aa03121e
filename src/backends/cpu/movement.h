#pragma once
// Steps that only move elements, as strided copies between layouts.

#include <optional>
#include <vector>

#include "backends/cpu/step.h"
#include "backends/cpu/strided_copy.h"

namespace octet::cpu {

/// One copy from where an operand lies to where another does.
struct Copy {
  /// bases: elements.
  Copy(const StridedLoop& loop, size_t element_bytes, Place to, Place from, int64_t to_base = 0, int64_t from_base = 0)
      : copy(loop, element_bytes),
        dst(to),
        src(from),
        dst_base(to_base * static_cast<int64_t>(element_bytes)),
        src_base(from_base * static_cast<int64_t>(element_bytes)) {}

  StridedCopy copy;
  Place dst, src;
  int64_t dst_base, src_base;  // bytes
};

/// Why a step wants no node whose inputs but the first are computed, or of more dimensions than a StridedLoop has.
std::string refuse_computed_indices(const StepQuery& query);

/// Runs the copies one after the other, each spread over the pool.
void run_copy(const RunContext& run, const Copy& copy);

/// The same elements in row-major order under other dims: one loop that covers both, or nothing when no split of the
/// dims fits both.
struct ReshapeDims {
  Dims extents, dst_strides, src_strides;
  /// Both lie alike in memory: no copy needed.
  bool is_same_memory() const;
};
std::optional<ReshapeDims> reshape_dims(const Layout& dst, const Layout& src);

/// A FramesToPlanes, or a PlanesToFrames that copies no slices: images with their channels last lie alike.
bool is_frame_view(const Node& node);
/// Input 0, when output 0 may take over its storage: a Reshape (or the like) whose elements lie alike. Else k_absent.
ValueId reshape_alias(const Graph& graph, const Node& node);
/// The residual codes of an integer convolution whose output lies as they do: each of its tiles reads them just before
/// it writes there, and what is read again at once is in cache, so output 0 may take their place. Else k_absent. This
/// holds of every tactic by the rule "Residuals in place" of src/kernels/README.md: no pixel is computed twice, nothing
/// is stored past a layer's own channels, and no layers of different depth run interleaved by rows.
ValueId overwritten_residual(const Graph& graph, const Node& node);

}  // namespace octet::cpu
