#pragma once
// What an op is: a table row of plain functions. One file per op (or tight family) in src/ir/ops, one line in ops.def.

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "ir/graph.h"
#include "tensor/tensor.h"

namespace octet {

/// dtype and shape of one output, as inferred.
struct ValueType {
  DType dtype = DType::undefined;
  std::optional<Shape> shape;
};

/// A node with its graph, for infer and reference functions.
struct NodeContext {
  const Graph& graph;
  const Node& node;

  size_t input_count() const { return node.inputs.size(); }
  bool has_input(size_t i) const { return i < node.inputs.size() && node.inputs[i] != k_absent; }
  const Value& input(size_t i) const { return graph.value(node.inputs[i]); }
  DType dtype(size_t i) const { return input(i).dtype; }
  const std::optional<Shape>& shape(size_t i) const { return input(i).shape; }
  /// The input's initializer, else null (also for an absent input).
  const Tensor* constant(size_t i) const { return has_input(i) ? graph.constant(node.inputs[i]) : nullptr; }
  /// "node 'conv1' (Conv): " + text, as a bad_model error.
  Error error(std::string text, ErrorCode code = ErrorCode::bad_model) const;
};

/// dtypes and shapes of all outputs. Unknown input shapes give unknown output shapes, not an error.
using InferFn = Result<std::vector<ValueType>> (*)(const NodeContext&);

/// Slow, plain evaluation on dense tensors (a default-constructed Tensor stands for an absent input). The judge of
/// every fast kernel. Shapes in the context may be symbolic; the tensors' own dims rule.
using ReferenceFn = Result<std::vector<Tensor>> (*)(const NodeContext&, std::span<const Tensor> inputs);

/// What verify() asks beyond inference: constants that an op cannot run with but that a repair can still mend, so that
/// a file holding them can be read at all.
using ValidateFn = Result<Done> (*)(const NodeContext&);

/// How placement treats an op (src/passes/insert_qdq.cpp reads this, docs/ops.md prints it).
enum class QuantRole {
  none,          // stays float
  weighted,      // Conv, Gemm, MatMul with constant weight: activation input and weight quantized, int32 bias
  add,           // element-wise Add: quantized inputs, identity branch only when a convolution feeds the other side
  mul,           // element-wise Mul: both inputs quantized
  pool_average,  // integer sum and one requantize: input quantized, output has a range of its own
  same_scale,    // output codes are input codes (max-pool, reshape, transpose, slice, flatten): one scale in and out
  shared_scale,  // Concat: all inputs and the output share one scale
  activation,    // unary function of one value: fused into its producer, or a 256-entry table
};

struct QuantRule {
  QuantRole role = QuantRole::none;
  int weight_input = -1;  // weighted only
  int weight_axis = 0;    // output-channel axis of the weight, in the layout it is stored
  int bias_input = -1;
};

struct OpDef {
  std::string_view name;  // "Conv"; octet's own ops are listed in src/ir/ops/README.md
  int min_inputs = 1;
  int max_inputs = 1;  // -1 = any number
  int outputs_min = 1;
  int outputs_max = 1;                                // -1 = any number
  bool keeps_outputs = false;                         // ONNX wants outputs_max of them in a file, read or not
  std::span<const std::string_view> attributes = {};  // the names it knows; another name is refused by verify()
  InferFn infer = nullptr;
  ReferenceFn reference = nullptr;
  ValidateFn validate = nullptr;  // may be absent
  QuantRule quant = {};
  bool is_onnx = true;  // false: octet's own (the writer expands or refuses it)
};

/// Null for an unknown name.
const OpDef* find_op(std::string_view name);
/// All ops in the order of ops.def.
std::span<const OpDef* const> all_ops();
inline bool is_op(const Node& node, std::string_view name) { return node.op->name == name; }

/// Schema check (ids must be in range) and inference of one node: one type per output, each with a dtype; an extent is
/// never negative and the known extents never exceed k_max_elements together. An Error names the node.
Result<std::vector<ValueType>> infer_node(const Graph& graph, const Node& node);

/// Infers every value's dtype and shape in order; where inference cannot know an extent, the stored one stays. Ids must
/// be in range and nodes in order. An Error names the node.
Result<Done> infer_shapes(Graph& graph);

/// What the nodes ask beyond types (OpDef::validate), of all nodes: the first problem of each.
std::vector<Error> validation_problems(const Graph& graph);

/// Structure, schema and agreement of stored dtypes and shapes with inference; an Error names node and value.
Result<Done> verify(const Graph& graph);

}  // namespace octet
