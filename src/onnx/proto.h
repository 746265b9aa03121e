#pragma once
// The parts of a ModelProto that octet reads, as views into the file. Field numbers: schema.h.

#include <cstddef>
#include <deque>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/shape.h"

namespace octet {

using ByteSpan = std::span<const std::byte>;

/// The call of a function that a node comes from: what names and attribute references inside its subgraphs stand for.
struct ProtoCall {
  std::map<std::string_view, std::string_view> names;
  std::map<std::string_view, ByteSpan> given, defaults;  // AttributeProto each
};

struct ProtoNode {
  std::vector<std::string_view> inputs, outputs;  // "" = absent
  std::string_view name, op_type, domain, overload;
  int64_t opset = 0;                 // of ai.onnx where a function asks for another one than the model; 0 = the model's
  std::vector<ByteSpan> attributes;  // AttributeProto each
  std::shared_ptr<const ProtoCall> call;  // where it is a function's node with subgraphs
};

/// Name and tensor type of a graph input, output or intermediate value.
struct ProtoValue {
  std::string_view name;
  bool has_type = false;     // false: the file says nothing
  bool is_tensor = false;    // false with has_type: a sequence, map, optional or sparse tensor
  int64_t element_type = 0;  // TensorProto.DataType
  bool has_shape = false;
  Shape shape;                 // a negative extent is refused while parsing, but for -1
  bool has_minus_one = false;  // an extent is written as -1 and taken as unknown
};

struct ProtoGraph {
  std::string_view name;
  std::vector<ProtoNode> nodes;
  std::vector<ByteSpan> initializers;  // TensorProto each
  std::vector<ProtoValue> inputs, outputs, value_info;
  std::vector<ByteSpan> sparse_initializers;  // SparseTensorProto each
};

struct ProtoFunction {
  std::string_view domain, name, overload;
  std::vector<std::string_view> inputs, outputs;
  std::vector<ByteSpan> defaults;  // AttributeProto each
  std::vector<ProtoNode> nodes;
  int64_t opset = 0;  // of ai.onnx; 0 = it says nothing
};

/// Made while functions are inlined; nodes point into it.
struct InlinedText {
  std::deque<std::string> texts;             // names
  std::deque<std::vector<std::byte>> bytes;  // attributes
  size_t nodes = 0;                          // how many came out so far
};

struct ProtoModel {
  int64_t ir_version = 0;
  std::string_view producer;
  std::vector<std::pair<std::string_view, int64_t>> opsets;  // domain, version
  std::vector<std::pair<std::string_view, std::string_view>> metadata;
  std::vector<ProtoFunction> functions;
  ProtoGraph graph;
  InlinedText inlined;
};

/// All views point into file. Errors: the wire format broken, no graph, an extent below zero, all with the byte's
/// offset.
Result<ProtoModel> parse_model(ByteSpan file);
/// A GraphProto on its own: a branch of an If. origin: what offsets in errors count from.
Result<ProtoGraph> parse_graph_message(ByteSpan message, const std::byte* origin);

}  // namespace octet
