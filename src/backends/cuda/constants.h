#pragma once
// What is known when the plan is prepared: initializers, and DequantizeLinear of initializers.

#include <cstdint>
#include <optional>
#include <vector>

#include "ir/graph.h"

namespace octet::cuda {

/// True where constant_of would give a tensor; computes nothing.
bool is_constant(const Graph& graph, ValueId value);
/// The value's elements in the graph's own order when they do not depend on the inputs, else nothing.
std::optional<Tensor> constant_of(const Graph& graph, ValueId value);
/// Elements of a constant integer input; nothing when absent or not constant.
std::optional<std::vector<int64_t>> constant_ints(const Graph& graph, ValueId value);
/// The constant's elements as f32; empty when not a constant f32 value.
std::vector<float> constant_floats(const Graph& graph, ValueId value);

}  // namespace octet::cuda
