#pragma once
// What is known when the plan is prepared: initializers, and DequantizeLinear of initializers.

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "backends/cpu/layout.h"
#include "base/aligned.h"
#include "ir/graph.h"

namespace octet::cpu {

/// The value's elements in the graph's own order when they do not depend on the inputs, else nothing.
std::optional<Tensor> constant_of(const Graph& graph, ValueId value);
/// True where constant_of would give a tensor; computes nothing.
bool is_constant(const Graph& graph, ValueId value);
/// Elements of a constant integer input; nothing when absent or not constant.
std::optional<std::vector<int64_t>> constant_ints(const Graph& graph, ValueId value);
/// The single element of a constant f32 input; nothing when absent, not constant or not a single element.
std::optional<float> constant_scalar(const Graph& graph, ValueId value);
/// The constant's elements as f32; empty when not a constant f32 value.
std::vector<float> constant_floats(const Graph& graph, ValueId value);
/// What a QuantPixels of a constant table makes of each pixel value: 256 codes of each channel, u8 domain.
std::vector<uint8_t> pixel_tables(const Graph& graph, const Node& node);
/// A QuantLookup's table for codes of dtype x, from u8-domain code to u8-domain code. The graph's entry i belongs to
/// the code whose byte is i.
std::array<uint8_t, 256> domain_table(const Tensor& table, DType x);

/// A copy of the tensor in the back end's layout (64-byte aligned, tail included, padding channels zero); null when
/// memory is short.
AlignedBytes to_backend_layout(const Tensor& tensor, const Layout& layout);

}  // namespace octet::cpu
