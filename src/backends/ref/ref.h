#pragma once
// The judge: runs OpDef::reference node by node on dense tensors. Slow and plain, supports every op, is never
// optimized.

#include <memory>
#include <span>
#include <vector>

#include "plan/backend.h"

namespace octet {

std::shared_ptr<Backend> make_ref_backend();

/// The graph's outputs for dense inputs in graph order. Needs no plan, so extents may depend on data (NonZero, a
/// Reshape whose shape is an input): each kernel takes them from its tensors. Errors: inputs that do not fit, what a
/// kernel refuses.
Result<std::vector<Tensor>> evaluate(const Graph& graph, std::span<const Tensor> inputs);

}  // namespace octet
