// If on a condition that is known: the chosen branch's nodes take the node's place. A condition is known when it is a
// constant, or made from constants and known shapes. Source: ONNX operator If, opsets 1 to 25.

#include <algorithm>

#include "onnx/importer.h"
#include "onnx/inline.h"
#include "onnx/order.h"
#include "onnx/schema.h"
#include "onnx/wire.h"

namespace octet {
namespace {

constexpr int k_max_depth = 64;
constexpr int64_t k_max_elements_followed = 4096;  // conditions are made from few numbers

bool is_small(const Tensor& t) { return t.size() <= k_max_elements_followed; }

}  // namespace

std::optional<Tensor> Importer::known(ValueId v, int depth) const {
  if (v == k_absent || depth > k_max_depth) return std::nullopt;
  if (const Tensor* constant = graph_.constant(v)) return is_small(*constant) ? std::optional(*constant) : std::nullopt;
  const auto maker = std::find_if(graph_.nodes.rbegin(), graph_.nodes.rend(), [&](const Node& n) {
    return std::find(n.outputs.begin(), n.outputs.end(), v) != n.outputs.end();
  });
  if (maker == graph_.nodes.rend()) return std::nullopt;
  std::vector<Tensor> inputs;
  const bool reads_shape = is_op(*maker, "Shape") || is_op(*maker, "Size");
  for (const ValueId input : maker->inputs) {
    if (reads_shape) {  // the elements do not matter, so a tensor of zeros stands for them
      const std::optional<Shape>& shape = graph_.value(input).shape;
      const std::optional<Dims> dims = shape ? known_dims(*shape) : std::nullopt;
      if (!dims || !element_count(*dims)) return std::nullopt;
      inputs.emplace_back(DType::u8, *dims, nullptr, nullptr);
      continue;
    }
    std::optional<Tensor> tensor = input == k_absent ? Tensor() : known(input, depth + 1);
    if (!tensor) return std::nullopt;
    inputs.push_back(std::move(*tensor));
  }
  Result<std::vector<Tensor>> made = maker->op->reference({graph_, *maker}, inputs);
  if (!made) return std::nullopt;
  const auto i =
      static_cast<size_t>(std::find(maker->outputs.begin(), maker->outputs.end(), v) - maker->outputs.begin());
  return is_small((*made)[i]) ? std::optional((*made)[i]) : std::nullopt;
}

Result<Done> Importer::import_if(const ProtoNode& proto) {
  const std::string place = place_of(proto);
  const auto found = proto.inputs.size() == 1 ? ids_.find(std::string(proto.inputs[0])) : ids_.end();
  if (found == ids_.end())
    return Error{ErrorCode::bad_model, place + ": expected one input that exists, the condition"};
  const std::optional<Tensor> condition = known(found->second, 0);
  if (!condition || condition->dtype() != DType::boolean || condition->size() != 1)
    return Error{ErrorCode::unsupported,
                 place + ": its condition '" + std::string(proto.inputs[0]) +
                     "' is not known before the network runs; octet reads an If on a constant only"};
  const std::string_view wanted = condition->at<uint8_t>(0) != 0 ? "then_branch" : "else_branch";
  for (const auto& [name, message] : subgraphs_of(proto))
    if (name == wanted) return import_branch(proto, message);
  return Error{ErrorCode::bad_model, place + ": attribute '" + std::string(wanted) + "' is missing"};
}

std::string_view Importer::scoped(std::string_view value_name, const std::string& prefix) {
  for (auto scope = scopes_.rbegin(); scope != scopes_.rend(); ++scope) {
    if (const auto at = scope->names.find(value_name); at != scope->names.end()) return at->second;
    if (scope->call) return value_name.empty() ? value_name : texts_.emplace_back(prefix + std::string(value_name));
  }
  return value_name;
}

/// Inner names become "<name of the If's first output>/<name>", so that both branches and the outside may use one
/// name. Opens the branch's scope.
void Importer::name_branch(const ProtoNode& proto, ProtoGraph& branch,
                           std::vector<std::pair<std::string, Tensor>>& initializers) {
  const std::string prefix = std::string(proto.outputs.empty() ? proto.name : proto.outputs[0]) + "/";
  const auto closed = std::find_if(scopes_.rbegin(), scopes_.rend(), [](const Scope& scope) { return scope.call; });
  const bool is_open = closed != scopes_.rend() && closed->call == proto.call.get();  // an If inside one of this call
  if (proto.call && !is_open) scopes_.push_back({proto.call->names, proto.call.get()});
  scopes_.emplace_back();
  const auto own = [&](std::string_view name) {
    if (!name.empty()) scopes_.back().names.emplace(name, texts_.emplace_back(prefix + std::string(name)));
  };
  for (const ProtoNode& node : branch.nodes)
    for (const std::string_view output : node.outputs) own(output);
  for (auto& [name, tensor] : initializers) {
    own(texts_.emplace_back(name));
    name = scoped(name, prefix);
  }
  // What the branch calls sees its arguments by their unique names.
  std::map<const ProtoCall*, std::shared_ptr<const ProtoCall>> renamed;
  for (ProtoNode& node : branch.nodes) {
    for (std::string_view& v : node.inputs) v = scoped(v, prefix);
    for (std::string_view& v : node.outputs) v = scoped(v, prefix);
    if (node.call && node.call != proto.call) {
      std::shared_ptr<const ProtoCall>& made = renamed[node.call.get()];
      if (!made) {
        auto call = std::make_shared<ProtoCall>(*node.call);
        for (auto& [inner, outer] : call->names) outer = scoped(outer, prefix);
        made = std::move(call);
      }
      node.call = made;
    }
    read_names_.insert(node.inputs.begin(), node.inputs.end());
  }
  for (ProtoValue& v : branch.outputs) read_names_.insert(v.name = scoped(v.name, prefix));
}

Result<Done> Importer::import_branch(const ProtoNode& proto, ByteSpan message) {
  const std::string place = place_of(proto);
  Result<ProtoGraph> parsed = parse_graph_message(message, tensors_.origin());
  if (!parsed) return within(place, parsed.error());
  ProtoGraph& branch = branches_.emplace_back(std::move(*parsed));
  if (branch.outputs.size() != proto.outputs.size() || !branch.inputs.empty())
    return Error{ErrorCode::bad_model, place + ": the branch has " + std::to_string(branch.inputs.size()) +
                                           " inputs and " + std::to_string(branch.outputs.size()) +
                                           " outputs, expected none and " + std::to_string(proto.outputs.size())};
  if (scopes_.size() >= 2 * k_max_depth)  // a function that calls itself from a branch
    return Error{ErrorCode::bad_model, place + ": branches lie more than 64 deep in each other"};
  if (Result<Done> ok = inline_into_branch(model_, proto, branch, inlined_, tensors_.origin()); !ok)
    return within(place, ok.error());
  if (branches_.size() > k_max_depth * 16) return Error{ErrorCode::bad_model, place + ": more than 1024 branches"};
  std::vector<std::pair<std::string, Tensor>> initializers;
  for (const ByteSpan bytes : branch.initializers) {
    Result<std::pair<std::string, Tensor>> read = tensors_.read(bytes);
    if (!read) return within(place, read.error());
    initializers.push_back(std::move(*read));
  }
  name_branch(proto, branch, initializers);
  for (auto& [name, tensor] : initializers)
    if (Result<Done> ok = define_constant(name, std::move(tensor), place); !ok) return ok;
  tell_of_other_opsets(branch.nodes, info_.opset, info_);
  import_nodes(branch);
  for (size_t i = 0; i < branch.outputs.size(); ++i) {
    const auto from = ids_.find(std::string(branch.outputs[i].name)), to = ids_.find(std::string(proto.outputs[i]));
    if (from == ids_.end()) return Error{ErrorCode::bad_model, place + ": an output of the branch is made by no node"};
    if (to == ids_.end()) continue;  // the If leaves it out
    if (unknown_.contains(branch.outputs[i].name)) {
      unknown_.insert(proto.outputs[i]);
      continue;
    }
    if (Result<Done> ok = emit({"Identity", "", info_.opset, {from->second}, {to->second}, {}}); !ok) return ok;
  }
  return Done{};
}

std::vector<std::pair<std::string_view, ByteSpan>> subgraphs_of(const ProtoNode& node) {
  namespace field = onnx_field::attribute;
  std::vector<std::pair<std::string_view, ByteSpan>> found;
  for (const ByteSpan message : node.attributes) {
    WireReader in(message, message.data(), "attribute");
    std::string_view name;
    ByteSpan graph;
    while (in.next()) {
      if (in.number() == field::name) name = in.text();
      if (in.number() == field::g) graph = in.bytes();
    }
    if (!in.failed() && !graph.empty()) found.emplace_back(name, graph);  // a damaged one is reported when it is read
  }
  return found;
}

std::vector<std::string_view> names_read_inside(const ProtoNode& node, int depth) {
  std::vector<std::string_view> names;
  if (depth > k_max_depth) return names;
  for (const auto& [key, message] : subgraphs_of(node)) {
    const Result<ProtoGraph> graph = parse_graph_message(message, message.data());
    if (!graph) continue;
    for (const ProtoNode& inner : graph->nodes) {
      names.insert(names.end(), inner.inputs.begin(), inner.inputs.end());
      const std::vector<std::string_view> deeper = names_read_inside(inner, depth + 1);
      names.insert(names.end(), deeper.begin(), deeper.end());
    }
    for (const ProtoValue& output : graph->outputs) names.push_back(output.name);
  }
  if (!node.call) return names;
  // A function sees its call's names and none outside; the others are its branches' own.
  std::vector<std::string_view> outside;
  for (const std::string_view v : names)
    if (const auto at = node.call->names.find(v); at != node.call->names.end()) outside.push_back(at->second);
  return outside;
}

}  // namespace octet
