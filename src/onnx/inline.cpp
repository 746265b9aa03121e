// Functions of the file, inlined: a node that calls one is replaced by the function's nodes, whose inner names get the
// call's name in front and whose attribute references take the call's attributes (or the function's defaults).
// Its nodes are of the opset that the function imports, which need not be the file's: each is converted from its own.
// Source: ONNX IR specification, "Functions" (IR version 8 to 11).

#include <algorithm>
#include <map>

#include "onnx/importer.h"
#include "onnx/inline.h"
#include "onnx/order.h"
#include "onnx/refuse.h"
#include "onnx/schema.h"
#include "onnx/wire.h"

namespace octet {
namespace {

// A file may call functions from functions; one that multiplies itself is hostile.
constexpr size_t k_max_nodes = size_t{1} << 18;
constexpr int k_max_depth = 32;

struct AttributeHead {
  std::string_view name, reference;
};

Result<AttributeHead> head_of(ByteSpan message, const std::byte* origin) {
  namespace field = onnx_field::attribute;
  WireReader in(message, origin, "attribute");
  AttributeHead head;
  while (in.next()) {
    if (in.number() == field::name) head.name = in.text();
    if (in.number() == field::ref_attr_name) head.reference = in.text();
  }
  if (in.failed()) return in.error();
  return head;
}

class Inliner {
 public:
  /// refuses: functions of an opset that octet does not read are errors here (of the file's own nodes they are told
  /// before, all at once).
  Inliner(const std::vector<ProtoFunction>& functions, InlinedText& kept, const std::byte* origin, bool refuses)
      : functions_(functions), kept_(kept), origin_(origin), refuses_(refuses) {}

  Result<Done> run(std::vector<ProtoNode>& nodes) {
    if (functions_.empty()) return Done{};
    std::vector<ProtoNode> placed;
    for (const ProtoNode& node : nodes)
      if (Result<Done> ok = place(node, 0, placed); !ok) return ok;
    nodes = std::move(placed);
    return Done{};
  }

  /// The node's attributes with those of the call in place of references.
  Result<Done> bind_attributes(const ProtoCall& call, ProtoNode& node) {
    std::vector<ByteSpan> bound;
    for (const ByteSpan message : node.attributes) {
      const Result<AttributeHead> head = head_of(message, origin_);
      if (!head) return within(place_of(node), head.error());
      if (head->reference.empty()) {
        bound.push_back(message);
        continue;
      }
      auto found = call.given.find(head->reference);
      if (found == call.given.end()) {
        found = call.defaults.find(head->reference);
        if (found == call.defaults.end()) continue;  // an optional attribute that nobody gave
      }
      bound.push_back(renamed(found->second, head->name));
    }
    node.attributes = std::move(bound);
    return Done{};
  }

 private:
  const ProtoFunction* function_of(const ProtoNode& node) const {
    for (const ProtoFunction& f : functions_)
      if (f.name == node.op_type && f.domain == node.domain && f.overload == node.overload) return &f;
    return nullptr;
  }

  std::string_view keep(std::string text) { return kept_.texts.emplace_back(std::move(text)); }

  /// The bytes of an attribute under another name: in protobuf the last value of a field counts.
  ByteSpan renamed(ByteSpan attribute, std::string_view name) {
    WireWriter tail;
    tail.text(onnx_field::attribute::name, name);
    const std::vector<std::byte> behind = tail.finish();
    std::vector<std::byte>& bytes = kept_.bytes.emplace_back(attribute.begin(), attribute.end());
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
      if (++kept_.nodes > k_max_nodes)  // in all branches together
        return Error{ErrorCode::bad_model, "inlining the file's functions gives more than 2^18 nodes"};
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
    if (refuses_ && f.opset != 0)
      if (const Result<Done> ok = check_opset("function '" + std::string(f.name) + "'", f.opset); !ok)
        return within(place_of(call), ok.error());
    const std::string prefix =
        std::string(call.name.empty() ? f.name : call.name) + "/" + std::to_string(++calls_) + "/";
    const auto scope = std::make_shared<ProtoCall>();
    std::map<std::string_view, std::string_view>& names = scope->names;
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
    scope->given = *std::move(given);
    scope->defaults = *std::move(defaults);
    for (const ProtoNode& inner : f.nodes) {
      ProtoNode made = inner;
      made.name = keep(prefix + std::string(inner.name.empty() ? inner.op_type : inner.name));
      made.opset = f.opset;
      for (std::string_view& v : made.inputs) v = mapped(v);
      for (std::string_view& v : made.outputs) v = mapped(v);
      if (Result<Done> ok = bind_attributes(*scope, made); !ok) return ok;
      if (!subgraphs_of(made).empty()) made.call = scope;
      if (Result<Done> ok = place(made, depth + 1, nodes); !ok) return ok;
    }
    return Done{};
  }

  const std::vector<ProtoFunction>& functions_;
  InlinedText& kept_;
  const std::byte* origin_;
  bool refuses_;
  size_t calls_ = 0;
};

}  // namespace

Result<Done> inline_functions(ProtoModel& model, const std::byte* origin) {
  return Inliner(model.functions, model.inlined, origin, false).run(model.graph.nodes);
}

Result<Done> inline_into_branch(const ProtoModel& model, const ProtoNode& node, ProtoGraph& branch, InlinedText& kept,
                                const std::byte* origin) {
  Inliner inliner(model.functions, kept, origin, true);
  for (ProtoNode& inner : branch.nodes) {
    inner.opset = node.opset;
    inner.call = node.call;
    if (!node.call) continue;
    if (Result<Done> ok = inliner.bind_attributes(*node.call, inner); !ok) return ok;
  }
  return inliner.run(branch.nodes);
}

}  // namespace octet
