// Functions of the file, inlined: a node that calls one is replaced by the function's nodes, whose inner names get the
// call's name in front and whose attribute references take the call's attributes (or the function's defaults).
// Its nodes are of the opset that the function imports, which need not be the file's: each is converted from its own.
// Source: ONNX IR specification, "Functions" (IR version 8 to 11).

#include <algorithm>
#include <map>

#include "onnx/importer.h"
#include "onnx/schema.h"
#include "onnx/wire.h"

namespace octet {
namespace {

// A file may call functions from functions; one that multiplies itself is hostile.
constexpr size_t k_max_nodes = size_t{1} << 20;
constexpr int k_max_depth = 32;

struct AttributeHead {
  std::string_view name, reference;
  bool has_graph = false;
};

Result<AttributeHead> head_of(ByteSpan message, const std::byte* origin) {
  namespace field = onnx_field::attribute;
  WireReader in(message, origin, "attribute");
  AttributeHead head;
  while (in.next()) {
    if (in.number() == field::name) head.name = in.text();
    if (in.number() == field::ref_attr_name) head.reference = in.text();
    if (in.number() == field::g || in.number() == field::graphs) head.has_graph = true;
  }
  if (in.failed()) return in.error();
  return head;
}

class Inliner {
 public:
  Inliner(ProtoModel& model, const std::byte* origin) : model_(model), origin_(origin) {}

  Result<Done> run() {
    if (model_.functions.empty()) return Done{};
    std::vector<ProtoNode> nodes;
    for (const ProtoNode& node : model_.graph.nodes)
      if (Result<Done> ok = place(node, 0, nodes); !ok) return ok;
    model_.graph.nodes = std::move(nodes);
    return Done{};
  }

 private:
  const ProtoFunction* function_of(const ProtoNode& node) const {
    for (const ProtoFunction& f : model_.functions)
      if (f.name == node.op_type && f.domain == node.domain && f.overload == node.overload) return &f;
    return nullptr;
  }

  std::string_view keep(std::string text) { return model_.texts.emplace_back(std::move(text)); }

  /// The bytes of an attribute under another name: in protobuf the last value of a field counts.
  ByteSpan renamed(ByteSpan attribute, std::string_view name) {
    WireWriter tail;
    tail.text(onnx_field::attribute::name, name);
    const std::vector<std::byte> behind = tail.finish();
    std::vector<std::byte>& bytes = model_.bytes.emplace_back(attribute.begin(), attribute.end());
    bytes.insert(bytes.end(), behind.begin(), behind.end());
    return bytes;
  }

  Result<std::map<std::string_view, ByteSpan>> by_name(const std::vector<ByteSpan>& attributes) const {
    std::map<std::string_view, ByteSpan> found;
    for (const ByteSpan message : attributes) {
      const Result<AttributeHead> head = head_of(message, origin_);
      if (!head) return head.error();
      found.emplace(head->name, message);
    }
    return found;
  }

  /// Appends the node, or what it calls.
  Result<Done> place(const ProtoNode& node, int depth, std::vector<ProtoNode>& nodes) {
    const ProtoFunction* f = function_of(node);
    if (!f) {
      if (nodes.size() >= k_max_nodes)
        return Error{ErrorCode::bad_model, "inlining the file's functions gives more than 2^20 nodes"};
      nodes.push_back(node);
      return Done{};
    }
    if (depth >= k_max_depth)
      return Error{ErrorCode::bad_model,
                   place_of(node) + ": functions call each other more than 32 deep; expected no recursion"};
    return expand(node, *f, depth, nodes);
  }

  Result<Done> expand(const ProtoNode& call, const ProtoFunction& f, int depth, std::vector<ProtoNode>& nodes) {
    if (call.inputs.size() > f.inputs.size() || call.outputs.size() > f.outputs.size())
      return Error{ErrorCode::bad_model, place_of(call) + ": has more inputs or outputs than the function it calls"};
    const std::string prefix =
        std::string(call.name.empty() ? f.name : call.name) + "/" + std::to_string(++calls_) + "/";
    std::map<std::string_view, std::string_view> names;
    for (size_t i = 0; i < f.inputs.size(); ++i) names[f.inputs[i]] = i < call.inputs.size() ? call.inputs[i] : "";
    for (size_t i = 0; i < call.outputs.size(); ++i)
      if (!call.outputs[i].empty()) names[f.outputs[i]] = call.outputs[i];
    const auto mapped = [&](std::string_view inner) {
      if (inner.empty()) return inner;
      const auto [at, is_new] = names.emplace(inner, std::string_view());
      if (is_new) at->second = keep(prefix + std::string(inner));
      return at->second;
    };
    Result<std::map<std::string_view, ByteSpan>> given = by_name(call.attributes), defaults = by_name(f.defaults);
    if (!given) return within(place_of(call), given.error());
    if (!defaults) return within(place_of(call), defaults.error());
    for (const ProtoNode& inner : f.nodes) {
      ProtoNode made = inner;
      made.name = keep(prefix + std::string(inner.name.empty() ? inner.op_type : inner.name));
      made.opset = f.opset;
      for (std::string_view& v : made.inputs) v = mapped(v);
      for (std::string_view& v : made.outputs) v = mapped(v);
      if (Result<Done> ok = bind_attributes(inner, *given, *defaults, made); !ok) return ok;
      if (Result<Done> ok = place(made, depth + 1, nodes); !ok) return ok;
    }
    return Done{};
  }

  Result<Done> bind_attributes(const ProtoNode& inner, const std::map<std::string_view, ByteSpan>& given,
                               const std::map<std::string_view, ByteSpan>& defaults, ProtoNode& made) {
    made.attributes.clear();
    for (const ByteSpan message : inner.attributes) {
      const Result<AttributeHead> head = head_of(message, origin_);
      if (!head) return within(place_of(inner), head.error());
      if (head->has_graph)
        return Error{ErrorCode::unsupported,
                     place_of(inner) + ": a function of the file holds a subgraph, which octet does not inline"};
      if (head->reference.empty()) {
        made.attributes.push_back(message);
        continue;
      }
      auto found = given.find(head->reference);
      if (found == given.end()) {
        found = defaults.find(head->reference);
        if (found == defaults.end()) continue;  // an optional attribute that nobody gave
      }
      made.attributes.push_back(renamed(found->second, head->name));
    }
    return Done{};
  }

  ProtoModel& model_;
  const std::byte* origin_;
  size_t calls_ = 0;
};

}  // namespace

Result<Done> inline_functions(ProtoModel& model, const std::byte* origin) { return Inliner(model, origin).run(); }

}  // namespace octet
