#include "onnx/importer.h"

#include <algorithm>
#include <span>

#include "base/diagnostics.h"
#include "ir/metadata.h"
#include "onnx/oddity.h"
#include "onnx/order.h"
#include "onnx/refuse.h"
#include "onnx/schema.h"

namespace octet {
namespace {

constexpr int64_t k_last_ir_version = 14;

Error bad(std::string text) { return Error{ErrorCode::bad_model, std::move(text)}; }

std::string quoted(std::string_view text) { return "'" + std::string(text) + "'"; }

/// The value that the attribute's absence means (neutral.def).
bool is_default(const std::string& key, const Attribute& attribute) {
#define OCTET_DEFAULT_INT(name, value) \
  if (key == #name) return attribute == Attribute(int64_t{value});
#define OCTET_DEFAULT_STRING(name, value) \
  if (key == #name) return attribute == Attribute(std::string(value));
#define OCTET_HARMLESS_ONES(name)
#define OCTET_HARMLESS_ANY(name)
#include "onnx/neutral.def"
#undef OCTET_DEFAULT_INT
#undef OCTET_DEFAULT_STRING
#undef OCTET_HARMLESS_ONES
#undef OCTET_HARMLESS_ANY
  return false;
}

bool is_ones(const Attribute& attribute) {
  const auto* list = std::get_if<std::vector<int64_t>>(&attribute);
  return list && std::all_of(list->begin(), list->end(), [](int64_t v) { return v == 1; });
}

/// An op that does not know the attribute loses nothing (neutral.def).
bool is_harmless(const std::string& key, const Attribute& attribute) {
#define OCTET_DEFAULT_INT(name, value)
#define OCTET_DEFAULT_STRING(name, value)
#define OCTET_HARMLESS_ONES(name) \
  if (key == #name) return is_ones(attribute);
#define OCTET_HARMLESS_ANY(name) \
  if (key == #name) return true;
#include "onnx/neutral.def"
#undef OCTET_DEFAULT_INT
#undef OCTET_DEFAULT_STRING
#undef OCTET_HARMLESS_ONES
#undef OCTET_HARMLESS_ANY
  return false;
}

/// ONNX knows an attribute of this name, as far as octet can tell: it may decide about types and shapes.
bool known_anywhere(std::string_view key) {
  const std::span<const OpDef* const> ops = all_ops();
#define OCTET_DEFAULT_INT(name, value) \
  if (key == #name) return true;
#define OCTET_DEFAULT_STRING(name, value) \
  if (key == #name) return true;
#define OCTET_HARMLESS_ONES(name) \
  if (key == #name) return true;
#define OCTET_HARMLESS_ANY(name) \
  if (key == #name) return true;
#include "onnx/neutral.def"
#undef OCTET_DEFAULT_INT
#undef OCTET_DEFAULT_STRING
#undef OCTET_HARMLESS_ONES
#undef OCTET_HARMLESS_ANY
  return std::any_of(ops.begin(), ops.end(), [&](const OpDef* op) {
    return std::find(op->attributes.begin(), op->attributes.end(), key) != op->attributes.end();
  });
}

std::string value_text(const Attribute& attribute) {
  if (const auto* i = std::get_if<int64_t>(&attribute)) return " = " + std::to_string(*i);
  if (const auto* f = std::get_if<float>(&attribute)) return " = " + std::to_string(*f);
  if (const auto* s = std::get_if<std::string>(&attribute)) return " = \"" + *s + "\"";
  if (const auto* list = std::get_if<std::vector<int64_t>>(&attribute)) return " = " + to_string(*list);
  return {};
}

/// The inferred shape, completed by what the file says. contradicts: both know something and differ.
std::optional<Shape> merged(const std::optional<Shape>& stored, std::optional<Shape> inferred, bool& contradicts) {
  if (!stored) return inferred;
  if (!inferred) return stored;
  if (stored->size() != inferred->size()) {
    contradicts = true;
    return inferred;
  }
  for (size_t i = 0; i < inferred->size(); ++i) {
    const Dim& said = (*stored)[i];
    Dim& known = (*inferred)[i];
    if (known.known() && said.known() && known.value != said.value) contradicts = true;
    if (!known.known() && (known.symbol.empty() || said.known())) known = said;
  }
  return inferred;
}

/// Quantization as integer ops instead of QuantizeLinear and DequantizeLinear.
bool is_operator_form(std::string_view op) {
  return op.starts_with("QLinear") || op == "QGemm" || op == "ConvInteger" || op == "MatMulInteger" ||
         op == "DynamicQuantizeLinear" || op.starts_with("DynamicQuantize") || op == "MatMulIntegerToFloat";
}

/// Of the nodes that one of the file became: the last that is more than another form of its operands or its result.
Node& main_node(std::span<Node> nodes) {
  constexpr std::string_view k_forms[] = {"QuantizeLinear", "DequantizeLinear", "Cast",     "Reshape", "Transpose",
                                          "Squeeze",        "Unsqueeze",        "Identity", "Flatten", "Slice"};
  const auto main = std::find_if(nodes.rbegin(), nodes.rend(), [&](const Node& node) {
    return std::find(std::begin(k_forms), std::end(k_forms), node.op->name) == std::end(k_forms);
  });
  return main == nodes.rend() ? nodes.back() : *main;
}

std::string type_text(DType dtype, const std::optional<Shape>& shape) {
  return std::string(name(dtype)) + (shape ? to_string(*shape) : " of unknown rank");
}

}  // namespace

const Shape* Importer::shape(const ForeignNode& node, size_t i) const {
  if (!has_input(node, i)) return nullptr;
  const std::optional<Shape>& known = value(node.inputs[i]).shape;
  return known ? &*known : nullptr;
}

std::string Importer::derived_name(const ForeignNode& node, std::string_view suffix) const {
  std::string base = node.op;
  for (const ValueId v : node.outputs) {
    if (v == k_absent) continue;
    base = value(v).name;
    break;
  }
  const std::string wish = base + "_" + std::string(suffix);
  std::string candidate = wish;
  for (int64_t i = 1; ids_.contains(candidate); ++i) candidate = wish + "_" + std::to_string(i);
  return candidate;
}

ValueId Importer::add_value(const ForeignNode& node, std::string_view suffix) {
  const std::string unique = derived_name(node, suffix);
  const ValueId id = graph_.add_value(unique);
  ids_[unique] = id;
  used_.insert(id);
  return id;
}

ValueId Importer::add_constant(const ForeignNode& node, std::string_view suffix, Tensor tensor) {
  const ValueId id = add_value(node, suffix);
  Value& made = graph_.value(id);
  made.dtype = tensor.dtype();
  made.shape = to_shape(tensor.dims());
  made.constant = std::move(tensor);
  return id;
}

Error Importer::error(const ForeignNode& node, std::string text, ErrorCode code) const {
  std::string place = "node " + quoted(node.name);
  if (node.name.empty() && !node.outputs.empty() && node.outputs[0] != k_absent)
    place = "node of " + quoted(value(node.outputs[0]).name);
  return Error{code, place + " (" + node.op + "): " + std::move(text)};
}

void Importer::note(std::string text) {
  constexpr size_t k_most = 100;
  if (info_.notes.size() < k_most)
    info_.notes.push_back(std::move(text));
  else
    ++untold_notes_;
}

Result<ValueId> Importer::define(std::string_view value_name, const std::string& place) {
  if (ids_.contains(std::string(value_name)))
    return bad(place + " makes " + quoted(value_name) + ", which exists already; expected names to be unique");
  const ValueId id = graph_.add_value(std::string(value_name));
  ids_.emplace(std::string(value_name), id);
  if (read_names_.contains(value_name)) used_.insert(id);
  return id;
}

Result<Done> Importer::define_constant(std::string_view value_name, Tensor tensor, const std::string& place) {
  const Result<ValueId> id = define(value_name, place);
  if (!id) return id.error();
  Value& made = graph_.value(*id);
  made.dtype = tensor.dtype();
  made.shape = to_shape(tensor.dims());
  made.constant = std::move(tensor);
  return Done{};
}

void Importer::read_initializers() {
  bool untold_file = true;
  const auto keep = [&](Result<std::pair<std::string, Tensor>> read, const std::string& name) {
    if (read && read->first.empty()) return problems_.push_back(bad("an initializer has no name"));
    if (read) {
      const Result<Done> ok = define_constant(read->first, std::move(read->second), "an initializer");
      return ok ? void() : problems_.push_back(ok.error());
    }
    // A file beside the model that cannot be opened is one problem, however many tensors lie in it.
    const bool of_a_file = read.error().code == ErrorCode::io;
    if (!of_a_file || untold_file) problems_.push_back(within("initializer", read.error()));
    untold_file = untold_file && !of_a_file;
    lost_a_name_ = lost_a_name_ || name.empty();
    if (!name.empty() && define(name, "")) lost_constants_.insert(name);
  };
  for (const ByteSpan message : model_.graph.initializers) keep(tensors_.read(message), tensors_.name_of(message));
  for (const ByteSpan message : model_.graph.sparse_initializers)
    keep(tensors_.read_sparse(message), tensors_.name_of_sparse(message));
}

Result<Done> Importer::read_input(const ProtoValue& input) {
  const std::string place = "graph input " + quoted(input.name);
  if (!input.is_tensor)
    return Error{ErrorCode::unsupported,
                 place + (input.has_type ? " is not a dense tensor" : " has no type") + "; expected a tensor type"};
  const DType dtype = dtype_of_onnx(input.element_type);
  if (dtype == DType::undefined)
    return Error{ErrorCode::unsupported,
                 place + " is of " + onnx_type_name(input.element_type) + ", which octet has not"};
  Dims known;
  for (const Dim& d : input.shape)
    if (d.known()) known.push_back(d.value);
  if (!element_count(known))
    return bad(place + " of shape " + to_string(input.shape) + " is too large: more than 2^36 elements");
  const Result<ValueId> id = define(input.name, place);
  if (!id) return id.error();
  graph_.value(*id).dtype = dtype;
  if (input.has_shape) graph_.value(*id).shape = input.shape;
  graph_.inputs.push_back(*id);
  if (input.has_minus_one) note(place + " has an extent of -1, taken as free: " + to_string(input.shape));
  return Done{};
}

void Importer::read_inputs() {
  std::unordered_set<std::string_view> seen;
  for (const ProtoValue& input : model_.graph.inputs) {
    const std::string place = "graph input " + quoted(input.name);
    if (input.name.empty()) {
      problems_.push_back(bad("a graph input has no name"));
    } else if (!seen.insert(input.name).second) {
      problems_.push_back(bad(place + " is listed twice"));
    } else if (ids_.contains(std::string(input.name))) {  // before IR version 4 initializers had to be inputs too
      if (model_.ir_version >= 4) note(place + " has a default value and is taken as a constant");
    } else if (const Result<Done> ok = read_input(input); !ok) {
      problems_.push_back(ok.error());
      if (define(input.name, place)) unknown_.insert(input.name);
    }
  }
}

void Importer::read_stored_types() {
  for (const ProtoValue& v : model_.graph.value_info)
    if (v.is_tensor) stored_types_.emplace(v.name, &v);
  for (const ProtoValue& v : model_.graph.outputs)
    if (v.is_tensor) stored_types_.insert_or_assign(v.name, &v);
}

Result<ForeignNode> Importer::foreign_node(const ProtoNode& proto) {
  ForeignNode node;
  node.op = proto.op_type;
  node.name = proto.name;
  node.opset = proto.opset != 0 ? proto.opset : info_.opset;
  if (!node.name.empty() && !node_names_.emplace(node.name, 0).second) {
    const std::string taken = node.name;
    while (!node_names_.emplace(node.name, 0).second) node.name = taken + "_" + std::to_string(++node_names_[taken]);
    note("two nodes are called " + quoted(taken) + "; one is renamed to " + quoted(node.name));
  }
  const std::string place = place_of(proto);
  for (const std::string_view input : proto.inputs) {
    const auto found = input.empty() ? ids_.end() : ids_.find(std::string(input));
    if (!input.empty() && found == ids_.end() && lost_a_name_) return bad("");
    if (!input.empty() && found == ids_.end())
      return bad(place + ": input " + quoted(input) + " is made by no node, initializer or graph input");
    node.inputs.push_back(input.empty() ? k_absent : found->second);
  }
  for (const std::string_view output : proto.outputs) {
    const auto found = output.empty() ? ids_.end() : ids_.find(std::string(output));
    node.outputs.push_back(output.empty() ? k_absent : found->second);
  }
  for (const ByteSpan message : proto.attributes) {
    Result<std::pair<std::string, Attribute>> read = read_attribute(message, tensors_);
    if (!read) return within(place, read.error());
    if (!node.attributes.emplace(read->first, std::move(read->second)).second)
      return bad(place + ": attribute " + quoted(read->first) + " is given twice");
  }
  return node;
}

void Importer::import_nodes(const ProtoGraph& graph) {
  for (const ProtoNode& proto : graph.nodes) {
    std::vector<std::string_view> own;
    for (const std::string_view output : proto.outputs) {
      if (output.empty()) continue;
      const Result<ValueId> id = define(output, place_of(proto));
      if (id) {
        own.push_back(output);
      } else {
        problems_.push_back(id.error());
        second_makers_.insert(&proto);
      }
    }
    if (second_makers_.contains(&proto)) unknown_.insert(own.begin(), own.end());
  }
  const NodeOrder order = topological_order(graph);
  if (order.cycle) problems_.push_back(*order.cycle);
  if (!std::is_sorted(order.nodes.begin(), order.nodes.end())) note("the nodes were not in topological order; sorted");
  for (const size_t n : order.nodes) {
    if (problems_.size() >= k_most_problems) break;
    const ProtoNode& proto = graph.nodes[n];
    const bool told = &graph == &model_.graph && cannot_be_read(proto);  // by refuse_unknown()
    if (told)
      lose(proto);
    else if (!second_makers_.contains(&proto))
      import_node(proto);
  }
}

void Importer::import_node(const ProtoNode& proto) {
  const Mark start = mark();
  const auto failed = [&](const Error& error) {
    back_to(start, proto);
    lose(proto);
    if (!error.message.empty()) problems_.push_back(error);
  };
  if (proto.op_type == "If" && (proto.domain.empty() || proto.domain == "ai.onnx")) {
    const size_t scopes = scopes_.size();
    if (reads_unknown(proto)) return lose(proto);
    if (const Result<Done> ok = import_if(proto); !ok) {
      lose(proto);
      problems_.push_back(ok.error());
    }
    scopes_.resize(scopes);
    return;
  }
  Result<ForeignNode> node = foreign_node(proto);
  if (!node) return failed(node.error());
  const auto lost = [&](std::string_view v) { return lost_constants_.contains(std::string(v)); };
  if (std::any_of(proto.inputs.begin(), proto.inputs.end(), lost)) return lose(proto);
  if (reads_unknown(proto)) return convert_behind(proto, *node);
  if (const Result<Done> ok = convert(proto, std::move(*node)); !ok) failed(ok.error());
}

Result<Done> Importer::convert(const ProtoNode& proto, ForeignNode node) {
  if (is_operator_form(proto.op_type)) {
    const std::string_view named = proto.name.empty() && !proto.outputs.empty() ? proto.outputs[0] : proto.name;
    info_.operator_forms.emplace_back(std::string(named), proto.op_type);
  }
  Oddity oddity = find_foreign_oddity(proto.domain, proto.op_type);
  if (!oddity) oddity = find_oddity(proto.op_type);
  const size_t first = graph_.nodes.size();
  const auto made = [](ValueId v) { return v != k_absent; };
  const auto output = std::find_if(node.outputs.begin(), node.outputs.end(), made);
  const std::string origin = node.name.empty() && output != node.outputs.end() ? value(*output).name : node.name;
  Result<Done> done = oddity ? oddity(*this, std::move(node)) : emit(std::move(node));
  if (done && graph_.nodes.size() > first) main_node(std::span(graph_.nodes).subspan(first)).origins = {origin};
  return done;
}

void Importer::read_outputs() {
  std::unordered_set<std::string_view> seen;
  for (const ProtoValue& output : model_.graph.outputs) {
    const std::string place = "graph output " + quoted(output.name);
    const auto found = ids_.find(std::string(output.name));
    if (!seen.insert(output.name).second)
      problems_.push_back(bad(place + " is listed twice"));
    else if (found != ids_.end())
      graph_.outputs.push_back(found->second);
    else if (!lost_a_name_)
      problems_.push_back(bad(place + " is made by no node"));
  }
  if (model_.graph.outputs.empty()) problems_.push_back(bad("the graph has no outputs; expected at least one"));
}

Result<Done> Importer::filter_attributes(ForeignNode& node, const OpDef& op) {
  std::vector<Error> unknown;
  bool decides = false;
  for (auto it = node.attributes.begin(); it != node.attributes.end();) {
    const bool known = std::find(op.attributes.begin(), op.attributes.end(), it->first) != op.attributes.end();
    if (is_default(it->first, it->second) || (!known && is_harmless(it->first, it->second))) {
      it = node.attributes.erase(it);
    } else if (known) {
      ++it;
    } else {
      unknown.push_back(error(node, "attribute " + quoted(it->first) + value_text(it->second) + " is not supported"));
      decides = decides || known_anywhere(it->first);
      it = node.attributes.erase(it);
    }
  }
  if (decides) return join_problems(std::move(unknown));
  // Names that no op has say nothing about types: what reads this node is looked at too.
  problems_.insert(problems_.end(), unknown.begin(), unknown.end());
  return Done{};
}

Result<Done> Importer::drop_extra_outputs(ForeignNode& node, const OpDef& op) const {
  const size_t most = op.outputs_max < 0 ? node.outputs.size() : static_cast<size_t>(op.outputs_max);
  while (node.outputs.size() > most) {
    const ValueId last = node.outputs.back();
    if (last != k_absent && is_used(last))
      return error(node, "output " + std::to_string(node.outputs.size() - 1) + " " + quoted(value(last).name) +
                             " is used, but octet computes only the first " + std::to_string(most));
    node.outputs.pop_back();
  }
  const auto unread = [&](ValueId v) { return v == k_absent || !is_used(v); };
  // An output of a variadic op has a say in what the others are.
  const auto least = static_cast<size_t>(std::max(op.outputs_min, 1));
  while (op.outputs_max > 0 && !op.keeps_outputs && node.outputs.size() > least && unread(node.outputs.back()))
    node.outputs.pop_back();
  return Done{};
}

Result<Done> Importer::store_types(const Node& node) {
  Result<std::vector<ValueType>> types = infer_node(graph_, node);
  if (!types) return types.error();
  for (size_t i = 0; i < node.outputs.size(); ++i) {
    if (node.outputs[i] == k_absent) continue;
    Value& made = graph_.value(node.outputs[i]);
    made.dtype = (*types)[i].dtype;
    made.shape = (*types)[i].shape;
    const auto found = stored_types_.find(made.name);
    if (found == stored_types_.end()) continue;
    const ProtoValue& stored = *found->second;
    std::optional<Shape> said;
    if (stored.has_shape) said = stored.shape;
    bool contradicts = stored.element_type != 0 && dtype_of_onnx(stored.element_type) != made.dtype;
    made.shape = merged(said, std::move(made.shape), contradicts);
    if (contradicts)
      note("value " + quoted(made.name) + " is stored as " + type_text(dtype_of_onnx(stored.element_type), said) +
           ", but is " + type_text(made.dtype, made.shape) + "; the stored type is ignored");
  }
  return Done{};
}

Result<Done> Importer::emit(ForeignNode node) {
  const OpDef* op = find_op(node.op);
  if (!op) return error(node, "octet has no such op");
  narrow_doubles(node);
  if (Result<Done> ok = filter_attributes(node, *op); !ok) return ok;
  if (Result<Done> ok = drop_extra_outputs(node, *op); !ok) return ok;
  while (node.inputs.size() > static_cast<size_t>(op->min_inputs) && node.inputs.back() == k_absent)
    node.inputs.pop_back();
  graph_.nodes.push_back(
      {op, std::move(node.name), std::move(node.inputs), std::move(node.outputs), std::move(node.attributes)});
  return store_types(graph_.nodes.back());
}

Result<OnnxModel> Importer::run() {
  const Result<int64_t> opset = default_opset(model_);
  if (!opset) return opset.error();
  info_.ir_version = model_.ir_version;
  info_.opset = *opset;
  info_.producer = model_.producer;
  if (model_.ir_version > k_last_ir_version)
    problems_.push_back(Error{ErrorCode::unsupported, "the file is of IR version " + std::to_string(model_.ir_version) +
                                                          "; octet reads up to " + std::to_string(k_last_ir_version) +
                                                          " (save it with an older release of onnx)"});
  if (model_.ir_version > 0 && model_.ir_version < 3)
    info_.notes.push_back("the file is of IR version " + std::to_string(model_.ir_version) +
                          ", before ONNX 1.0; it is read as one of version 3");
  if (Result<Done> ok = refuse_unknown(model_, *opset); !ok) problems_.push_back(ok.error());
  graph_.name = model_.graph.name;
  for (const ProtoNode& node : model_.graph.nodes) {
    read_names_.insert(node.inputs.begin(), node.inputs.end());
    for (const std::string_view name : names_read_inside(node)) read_names_.insert(name);
  }
  for (const ProtoValue& output : model_.graph.outputs) read_names_.insert(output.name);
  read_stored_types();
  read_initializers();
  read_inputs();
  import_nodes(model_.graph);
  read_outputs();
  if (!problems_.empty()) complete_the_rest();
  for (const auto& [key, value] : model_.metadata)
    if (key.starts_with(k_meta_prefix)) graph_.metadata[std::string(key)] = value;
  if (untold_notes_ > 0) info_.notes.push_back("and " + std::to_string(untold_notes_) + " notes more");
  compact(graph_);
  return OnnxModel{std::move(graph_), std::move(info_), std::move(problems_)};
}

}  // namespace octet
