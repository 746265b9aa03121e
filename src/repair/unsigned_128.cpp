// src/repair/unsigned_128.cpp: uint8 codes with zero point 128 are int8 codes with zero point 0, number by number. True
// asymmetry (any other zero point) stays and runs exactly.

#include <algorithm>

#include "repair/parameters.h"
#include "repair/repair.h"

namespace octet {
namespace {

/// All zero points are 128, of uint8.
bool has_128(const Graph& graph, const Node& node) {
  const Tensor* zero = constant_of(graph, input(node, 2), DType::u8);
  if (!zero || zero->size() == 0) return false;
  const std::span<const uint8_t> all = zero->as<uint8_t>();
  return std::all_of(all.begin(), all.end(), [](uint8_t z) { return z == 128; });
}

void make_signed(Editor& editor, NodeId id) {
  Graph& graph = editor.graph();
  const ValueId old = editor.node(id).inputs[2];
  const Tensor& zero = *graph.constant(old);
  const std::vector<int32_t> zeros(static_cast<size_t>(zero.size()), 0);
  editor.set_input(id, 2,
                   editor.add_constant(graph.value(old).name + "_s8", code_tensor(DType::s8, zero.dims(), zeros)));
}

/// The codes of a constant, less 128.
void shift_constant(Editor& editor, NodeId dequantize) {
  Graph& graph = editor.graph();
  const ValueId old = editor.node(dequantize).inputs[0];
  const Tensor& q = *graph.constant(old);
  std::vector<int32_t> codes;
  for (const uint8_t code : q.as<uint8_t>()) codes.push_back(code - 128);
  editor.set_input(dequantize, 0,
                   editor.add_constant(graph.value(old).name + "_s8", code_tensor(DType::s8, q.dims(), codes)));
}

}  // namespace

Result<Done> unsigned_128(Graph& graph, RepairLog& log) {
  Editor editor(graph);
  const char* const k_before = "u8 zero point 128";
  const char* const k_after = "s8 zero point 0";
  for (NodeId id = 0; id < editor.node_count(); ++id) {
    const Node node = editor.node(id);
    if (is_dequantize(node) && constant_of(graph, node.inputs[0], DType::u8) && has_128(graph, node)) {
      log.add(label(graph, node), k_before, k_after);
      shift_constant(editor, id);
      make_signed(editor, id);
    }
    if (!is_quantize(node) || !has_128(graph, node) || editor.is_output(node.outputs[0])) continue;
    const std::vector<NodeId> readers = editor.readers(node.outputs[0]);
    const auto same = [&](NodeId r) { return is_dequantize(editor.node(r)) && has_128(graph, editor.node(r)); };
    if (readers.empty() || !std::all_of(readers.begin(), readers.end(), same)) continue;
    log.add(label(graph, node), k_before, k_after);
    make_signed(editor, id);
    for (const NodeId reader : readers) make_signed(editor, reader);
  }
  return Done{};
}

}  // namespace octet
