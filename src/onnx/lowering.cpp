#include "onnx/lowering.h"

#include <limits>

#include "tensor/half.h"

namespace octet {
namespace {

constexpr int64_t k_every_opset = std::numeric_limits<int64_t>::max();

struct Row {
  std::string_view op;
  int64_t below;
  LowerFn lower;
};
constexpr Row k_rows[] = {
#define OCTET_ONNX_LOWER(op, below, function) {#op, below, function},
#include "onnx/lower.def"
#undef OCTET_ONNX_LOWER
};

/// The expansion that applies at this opset (0: none is asked for); else null.
LowerFn find_lowering(std::string_view op, int64_t opset) {
  for (const Row& row : k_rows)
    if (row.op == op && (row.below == k_every_opset || (opset != 0 && opset < row.below))) return row.lower;
  return nullptr;
}

}  // namespace

Lowering::Lowering(Graph graph, int64_t opset) : graph_(std::move(graph)), opset_(opset) {
  for (const Node& node : graph_.nodes)
    if (!node.name.empty()) node_names_.insert(node.name);
}

std::string Lowering::unique_name(const std::string& wish) {
  for (; named_ < graph_.values.size(); ++named_) value_names_.insert(graph_.values[named_].name);
  std::string candidate = wish;
  for (int64_t i = 1; value_names_.contains(candidate); ++i) candidate = wish + "_" + std::to_string(i);
  return candidate;
}

ValueId Lowering::add_constant(const std::string& wish, Tensor tensor) {
  const ValueId id = graph_.add_value(unique_name(wish), tensor.dtype(), to_shape(tensor.dims()));
  graph_.value(id).constant = std::move(tensor);
  return id;
}

ValueId Lowering::value_like(ValueId like, std::string_view suffix) {
  const Value& model = graph_.value(like);
  const DType dtype = model.dtype;
  std::optional<Shape> shape = model.shape;
  return graph_.add_value(unique_name(model.name + "_" + std::string(suffix)), dtype, std::move(shape));
}

ValueId Lowering::untyped_value(ValueId like, std::string_view suffix) {
  const ValueId id = value_like(like, suffix);
  graph_.value(id).shape.reset();
  return id;
}

ValueId Lowering::ints_constant(ValueId like, std::string_view suffix, const std::vector<int64_t>& values) {
  return add_constant(graph_.value(like).name + "_" + std::string(suffix),
                      s64_tensor({static_cast<int64_t>(values.size())}, values));
}

Result<ValueId> Lowering::real_constant(const Node& node, ValueId like, std::string_view suffix, double value) {
  const DType dtype = graph_.value(like).dtype;
  const std::string wish = graph_.value(like).name + "_" + std::string(suffix);
  const auto single = static_cast<float>(value);
  const uint16_t half = float_to_half(single);
  const uint16_t brain = float_to_bfloat16(single);
  switch (dtype) {
    case DType::f32: return add_constant(wish, scalar_f32(single));
    case DType::f64: return add_constant(wish, Tensor::from<double>(dtype, {}, std::span(&value, 1)));
    case DType::f16: return add_constant(wish, Tensor::from<uint16_t>(dtype, {}, std::span(&half, 1)));
    case DType::bf16: return add_constant(wish, Tensor::from<uint16_t>(dtype, {}, std::span(&brain, 1)));
    default: return error(node, "cannot be expanded for " + std::string(octet::name(dtype)));
  }
}

Result<Done> Lowering::emit(std::string_view op, std::string name, std::vector<ValueId> inputs, ValueId output,
                            Attributes attributes) {
  const OpDef* def = find_op(op);
  if (!def)
    return Error{ErrorCode::internal, "the ONNX writer needs the op " + std::string(op) + ", which the IR lacks"};
  if (!name.empty() && !node_names_.insert(name).second) {
    const std::string taken = name;
    for (int64_t i = 1; !node_names_.insert(name).second; ++i) name = taken + "_" + std::to_string(i);
  }
  return emit(Node{def, std::move(name), std::move(inputs), {output}, std::move(attributes)});
}

Result<Done> Lowering::emit(Node node) {
  if (const LowerFn lower = find_lowering(node.op->name, opset_)) {
    node_names_.erase(node.name);  // free for the node that takes its place
    return lower(*this, node);
  }
  if (!node.op->is_onnx)
    return error(node, "has no ONNX form; write the Q/DQ form of the graph (as quantize leaves it) instead");
  return keep(std::move(node));
}

Result<Done> Lowering::keep(Node node) {
  if (!node.name.empty()) node_names_.insert(node.name);
  done_.push_back(std::move(node));
  return Done{};
}

Result<Graph> Lowering::run() {
  const std::vector<Node> nodes = std::move(graph_.nodes);
  graph_.nodes.clear();
  done_.reserve(nodes.size());
  for (const Node& node : nodes)
    if (Result<Done> ok = emit(node); !ok) return ok.error();
  graph_.nodes = std::move(done_);
  return std::move(graph_);
}

}  // namespace octet
