// What is still looked at behind a problem, so that a file's problems are told in one run. A value whose maker cannot
// be read has no type. A node that reads it is converted with one type after the other: with the first that fits it
// joins the graph; where none fits, the node has a problem of its own.

#include <algorithm>

#include "base/diagnostics.h"
#include "onnx/importer.h"
#include "onnx/order.h"
#include "onnx/schema.h"

namespace octet {
namespace {

constexpr DType k_dtypes[] = {DType::f32, DType::s64, DType::u8,   DType::s8,  DType::s32, DType::boolean,
                              DType::f16, DType::f64, DType::bf16, DType::u16, DType::s16};
constexpr size_t k_most_rank = 5;
// All nodes together: a large file behind one problem still ends soon.
constexpr size_t k_most_trials = 20'000;

/// A type for the first unknown value and one for the others.
using Guess = std::pair<ValueType, ValueType>;

/// Without a shape first: such a type rarely meets an objection.
std::vector<Guess> guesses(bool several) {
  std::vector<Guess> made;
  for (const DType d : k_dtypes) made.push_back({{d, std::nullopt}, {d, std::nullopt}});
  constexpr DType k_mixed[] = {DType::f32, DType::s64, DType::s8, DType::u8, DType::boolean};
  for (const DType a : k_mixed)
    for (const DType b : k_mixed)
      if (several && a != b) made.push_back({{a, std::nullopt}, {b, std::nullopt}});
  for (const DType d : {DType::f32, DType::s64, DType::s8, DType::u8})
    for (size_t rank = 0; rank <= k_most_rank; ++rank) made.push_back({{d, Shape(rank)}, {d, Shape(rank)}});
  return made;
}

}  // namespace

Importer::Mark Importer::mark() const {
  return {graph_.values.size(), graph_.nodes.size(),         info_.notes.size(), untold_notes_,
          info_.edits.size(),   info_.operator_forms.size(), problems_.size()};
}

void Importer::back_to(const Mark& mark, const ProtoNode& proto) {
  for (size_t v = mark.values; v < graph_.values.size(); ++v) {
    ids_.erase(graph_.values[v].name);
    used_.erase(static_cast<ValueId>(v));
  }
  graph_.values.resize(mark.values);
  graph_.nodes.resize(mark.nodes);
  info_.notes.resize(mark.notes);
  untold_notes_ = mark.untold_notes;
  info_.edits.resize(mark.edits);
  info_.operator_forms.resize(mark.operator_forms);
  problems_.resize(mark.problems);
  for (const std::string_view output : proto.outputs) {
    const auto found = ids_.find(std::string(output));
    if (found == ids_.end()) continue;
    Value& made = graph_.value(found->second);
    made.dtype = DType::undefined;
    made.shape.reset();
    made.constant.reset();
  }
}

void Importer::lose(const ProtoNode& proto) {
  for (const std::string_view output : proto.outputs) {
    if (output.empty()) continue;
    unknown_.insert(output);
    if (proto.op_type == "Constant") lost_constants_.emplace(output);
  }
}

bool Importer::reads_unknown(const ProtoNode& proto) const {
  if (unknown_.empty() && lost_constants_.empty()) return false;
  const auto unknown = [&](std::string_view v) {
    return unknown_.contains(v) || lost_constants_.contains(std::string(v));
  };
  if (std::any_of(proto.inputs.begin(), proto.inputs.end(), unknown)) return true;
  const std::vector<std::string_view> inside = names_read_inside(proto);
  return std::any_of(inside.begin(), inside.end(), unknown);
}

void Importer::convert_behind(const ProtoNode& proto, const ForeignNode& node) {
  std::vector<ValueId> unknown;
  std::vector<ValueType> said;  // by the file, or found to fit an earlier reader
  for (size_t i = 0; i < node.inputs.size(); ++i) {
    if (!unknown_.contains(proto.inputs[i]) ||
        std::find(unknown.begin(), unknown.end(), node.inputs[i]) != unknown.end())
      continue;
    const Value& read = value(node.inputs[i]);
    const auto stored = stored_types_.find(read.name);
    ValueType type{read.dtype, read.shape};
    if (type.dtype == DType::undefined && stored != stored_types_.end())
      type.dtype = dtype_of_onnx(stored->second->element_type);
    unknown.push_back(node.inputs[i]);
    said.push_back(std::move(type));
  }
  const Mark start = mark();
  std::vector<std::pair<Error, int>> told;  // what was wrong, with how many dtypes
  const auto fits = [&](const std::vector<ValueType>& types) {
    for (size_t i = 0; i < unknown.size(); ++i) {
      graph_.value(unknown[i]).dtype = types[i].dtype;
      graph_.value(unknown[i]).shape = types[i].shape;
    }
    const Result<Done> done = convert(proto, node);
    if (done) return true;
    std::vector<Error> problems(problems_.begin() + static_cast<std::ptrdiff_t>(start.problems), problems_.end());
    problems.push_back(done.error());
    const Error all = join_problems(std::move(problems));
    back_to(start, proto);
    if (types.front().shape) return false;
    const auto same =
        std::find_if(told.begin(), told.end(), [&](const auto& t) { return t.first.message == all.message; });
    if (same == told.end())
      told.emplace_back(all, 1);
    else
      ++same->second;
    return false;
  };
  const auto has_type = [](const ValueType& type) { return type.dtype != DType::undefined; };
  bool found = std::all_of(said.begin(), said.end(), has_type) && fits(said);
  told.clear();
  for (const auto& [first, others] : guesses(unknown.size() > 1)) {
    if (found || ++trials_ > k_most_trials) break;
    std::vector<ValueType> types(unknown.size(), others);
    types.front() = first;
    found = fits(types);
  }
  lose(proto);
  if (found) return;
  for (size_t i = 0; i < unknown.size(); ++i) {
    graph_.value(unknown[i]).dtype = said[i].dtype;
    graph_.value(unknown[i]).shape = said[i].shape;
  }
  // One value that no type suits: what most types meet is the node's own problem, unless its words are of one type. Of
  // several values not all pairs of types were tried, so that only one and the same problem counts.
  const auto most =
      std::max_element(told.begin(), told.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
  if (trials_ <= k_most_trials && most != told.end() && most->second > 1 && (unknown.size() == 1 || told.size() == 1))
    problems_.push_back(most->first);
}

void Importer::complete_the_rest() {
  const size_t count = graph_.values.size();
  std::vector<bool> made(count, false), read(count, false), listed(count, false);
  for (const ValueId v : graph_.inputs) made[static_cast<size_t>(v)] = true;
  for (size_t v = 0; v < count; ++v) made[v] = made[v] || graph_.values[v].constant;
  for (const Node& node : graph_.nodes) {
    for (const ValueId v : node.outputs)
      if (v != k_absent) made[static_cast<size_t>(v)] = true;
    for (const ValueId v : node.inputs) {
      if (v == k_absent) continue;
      read[static_cast<size_t>(v)] = true;
    }
  }
  for (size_t v = 0; v < count; ++v)
    if (read[v] && !made[v]) graph_.inputs.push_back(static_cast<ValueId>(v));
  std::erase_if(graph_.outputs, [&](ValueId v) { return !made[static_cast<size_t>(v)]; });
  for (const ValueId v : graph_.outputs) listed[static_cast<size_t>(v)] = true;
  for (const Node& node : graph_.nodes)
    for (const ValueId v : node.outputs)
      if (v != k_absent && !read[static_cast<size_t>(v)] && !listed[static_cast<size_t>(v)])
        graph_.outputs.push_back(v);
}

}  // namespace octet
