#include "repair/repair.h"

#include <algorithm>
#include <array>

#include "ir/op.h"
#include "ir/origins.h"

namespace octet {

#define OCTET_REPAIR(function, time, mends) Result<Done> function(Graph& graph, RepairLog& log);
#include "repair/repairs.def"

namespace {

constexpr std::array k_repairs = {
#define OCTET_REPAIR(function, time, mends) Repair{#function, RepairTime::time, mends, function},
#define OCTET_REPAIR_ELSEWHERE(name, mends) Repair{#name, RepairTime::elsewhere, mends, nullptr},
#include "repair/repairs.def"
};

Result<Done> check_names(const std::set<std::string>& skip) {
  for (const std::string& name : skip) {
    const auto named =
        std::find_if(k_repairs.begin(), k_repairs.end(), [&](const Repair& each) { return each.name == name; });
    if (named != k_repairs.end() && named->run) continue;
    if (named != k_repairs.end())
      return Error{ErrorCode::bad_argument,
                   "'" + name + "' is how the file is read or calibrated again and cannot be left out"};
    std::string known;
    std::set<std::string_view> told;  // one may run twice
    for (const Repair& each : k_repairs)
      if (each.run && told.insert(each.name).second) known += (known.empty() ? "" : ", ") + std::string(each.name);
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

Result<std::vector<RepairRow>> repair(Graph& graph, const RepairOptions& options, std::vector<std::string>* notes,
                                      std::vector<std::string>* undefined) {
  if (Result<Done> ok = check_names(options.skip); !ok) return ok.error();
  RepairLog log;
  for (const Repair& each : k_repairs) {
    if (each.time != RepairTime::always && !(each.time == RepairTime::tensorrt && options.float_biases)) continue;
    if (options.skip.contains(std::string(each.name))) continue;
    if (options.float_biases && each.name == "biases") continue;  // no grid to round to: they stay the numbers they are
    const size_t rows = log.rows.size();
    log.repair = each.name;
    const Origins origins(graph);
    if (Result<Done> ok = each.run(graph, log); !ok && !options.types_are_guessed)
      return within("repair " + std::string(each.name), ok.error());
    if (log.rows.size() == rows) continue;
    origins.hand_on(graph);
    remove_unread(graph);
    if (Result<Done> ok = infer_shapes(graph); !ok && !options.types_are_guessed)
      return within("repair " + std::string(each.name), ok.error());
    compact(graph);
  }
  if (undefined) *undefined = log.undefined;
  if (notes) {
    *notes = std::move(log.notes);
    notes->insert(notes->end(), log.undefined.begin(), log.undefined.end());
  }
  return std::move(log.rows);
}

Result<std::vector<RepairRow>> repair_for_writing(Graph& graph, const std::set<std::string>& skip) {
  RepairLog log;
  for (const Repair& each : k_repairs) {
    if (each.time != RepairTime::written || skip.contains(std::string(each.name))) continue;
    const size_t rows = log.rows.size();
    log.repair = each.name;
    const std::string place = "repair " + std::string(each.name);
    if (Result<Done> ok = each.run(graph, log); !ok) return within(place, ok.error());
    if (log.rows.size() == rows) continue;
    if (Result<Done> ok = infer_shapes(graph); !ok) return within(place, ok.error());
    compact(graph);
    if (Result<Done> ok = verify(graph); !ok) return within(place, ok.error());
  }
  return std::move(log.rows);
}

}  // namespace octet
