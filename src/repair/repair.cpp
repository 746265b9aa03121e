#include "repair/repair.h"

#include <algorithm>
#include <array>

#include "ir/op.h"

namespace octet {

#define OCTET_REPAIR(function, mends) Result<Done> function(Graph& graph, RepairLog& log);
#include "repair/repairs.def"
#undef OCTET_REPAIR
Result<Done> float_biases(Graph& graph, RepairLog& log);
Result<Done> bias_additions(Graph& graph, RepairLog& log);

namespace {

constexpr std::array k_repairs = {
#define OCTET_REPAIR(function, mends) Repair{#function, mends, function},
#include "repair/repairs.def"
#undef OCTET_REPAIR
};
// Those that only a written file needs.
constexpr Repair k_float_biases = {"float_biases", "int32 biases", float_biases};
constexpr Repair k_bias_additions = {"bias_additions", "float biases that other engines round", bias_additions};

Result<Done> check_names(const std::set<std::string>& skip) {
  for (const std::string& name : skip) {
    const auto named = [&](const Repair& each) { return each.name == name; };
    if (std::any_of(k_repairs.begin(), k_repairs.end(), named) || named(k_float_biases) || named(k_bias_additions))
      continue;
    if (name == "operator_forms" || name == "doubles" || name == "function_opset")
      return Error{ErrorCode::bad_argument, "'" + name + "' is how the file is read and cannot be left out"};
    std::string known;
    std::set<std::string_view> told;  // one may run twice
    for (const Repair& each : k_repairs)
      if (told.insert(each.name).second) known += (known.empty() ? "" : ", ") + std::string(each.name);
    for (const Repair& each : {k_float_biases, k_bias_additions}) known += ", " + std::string(each.name);
    return Error{ErrorCode::bad_argument, "there is no repair called '" + name + "'; the repairs are " + known};
  }
  return Done{};
}

/// What the repairs left without a reader.
void remove_unread(Graph& graph) {
  std::vector<bool> read(graph.values.size(), false), dead(graph.nodes.size(), false);
  for (const ValueId v : graph.outputs) read[static_cast<size_t>(v)] = true;
  for (size_t id = graph.nodes.size(); id-- > 0;) {
    const Node& node = graph.nodes[id];
    dead[id] = std::none_of(node.outputs.begin(), node.outputs.end(),
                            [&](ValueId v) { return v != k_absent && read[static_cast<size_t>(v)]; });
    if (dead[id]) continue;
    for (const ValueId v : node.inputs)
      if (v != k_absent) read[static_cast<size_t>(v)] = true;
  }
  remove_nodes(graph, dead);
}

}  // namespace

std::span<const Repair> all_repairs() { return k_repairs; }

Result<std::vector<RepairRow>> repair(Graph& graph, const RepairOptions& options, std::vector<std::string>* notes) {
  if (Result<Done> ok = check_names(options.skip); !ok) return ok.error();
  std::vector<Repair> wanted(k_repairs.begin(), k_repairs.end());
  if (options.float_biases) wanted.push_back(k_float_biases);
  RepairLog log;
  for (const Repair& each : wanted) {
    if (options.skip.contains(std::string(each.name))) continue;
    if (options.float_biases && each.name == "biases") continue;  // no grid to round to: they stay the numbers they are
    const size_t rows = log.rows.size();
    log.repair = each.name;
    if (Result<Done> ok = each.run(graph, log); !ok && !options.types_are_guessed)
      return within("repair " + std::string(each.name), ok.error());
    if (log.rows.size() == rows) continue;
    remove_unread(graph);
    if (Result<Done> ok = infer_shapes(graph); !ok && !options.types_are_guessed)
      return within("repair " + std::string(each.name), ok.error());
    compact(graph);
  }
  if (notes) *notes = std::move(log.notes);
  return std::move(log.rows);
}

Result<std::vector<RepairRow>> add_biases_behind(Graph& graph) {
  RepairLog log;
  log.repair = k_bias_additions.name;
  if (Result<Done> ok = bias_additions(graph, log); !ok) return ok.error();
  if (log.rows.empty()) return std::move(log.rows);
  if (Result<Done> ok = infer_shapes(graph); !ok) return within("repair bias_additions", ok.error());
  compact(graph);
  if (Result<Done> ok = verify(graph); !ok) return within("repair bias_additions", ok.error());
  return std::move(log.rows);
}

}  // namespace octet
