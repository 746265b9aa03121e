// The report of repairs, as text and JSON.

#include "octet/repairs.h"

#include <nlohmann/json.hpp>

#include "api/state.h"
#include "base/hash.h"
#include "octet/tasks.h"
#include "repair/repair.h"
#include "report/json_text.h"
#include "report/text_table.h"

namespace octet {
namespace {

/// The end of the edits of one repair that begin at i.
size_t end_of_group(const std::vector<RepairEdit>& edits, size_t i) {
  size_t end = i;
  while (end < edits.size() && edits[end].repair == edits[i].repair) ++end;
  return end;
}

/// The docs' text without its marks of code.
std::string plain(std::string_view text) {
  std::string made(text);
  std::erase(made, '`');
  return made;
}

std::string cost(const RepairEdit& edit) { return edit.change.empty() ? "lossless" : edit.change; }

/// One row for each repair: its first edit stands for all.
std::vector<std::vector<std::string>> summary_rows(const std::vector<RepairEdit>& edits) {
  std::vector<std::vector<std::string>> rows = {{"Repair", "Count", "First node", "Before", "After", "Change"}};
  for (size_t i = 0; i < edits.size();) {
    const size_t end = end_of_group(edits, i);
    size_t shown = i;
    while (shown < end && edits[shown].change.empty()) ++shown;
    if (shown == end) shown = i;
    const RepairEdit& e = edits[shown];
    rows.push_back({e.repair, std::to_string(end - i), e.node, e.before, e.after, cost(e)});
    i = end;
  }
  return rows;
}

}  // namespace

std::vector<std::string> lossy_repairs(const Model& model) { return lossy_repair_notes(model); }

Result<Model> mended_for_writing(const Model& model, const std::set<std::string>& skip_repairs) {
  auto state = std::make_shared<Model::State>(model.state());
  const Result<std::vector<RepairRow>> rows = repair_for_writing(state->graph, skip_repairs);
  if (!rows) return within(model.path(), rows.error());
  if (rows->empty()) return model;
  for (const RepairRow& row : *rows)
    state->repairs.push_back({row.repair, row.node, row.before, row.after, row.change});
  state->hash = to_hex(hash_graph(state->graph));
  return Model(std::move(state));
}

std::string repairs_text(const Model& model, const std::string& output_file, bool all) {
  const std::vector<RepairEdit>& edits = model.repairs();
  std::string text;
  if (!edits.empty() && !all) text = text_table(summary_rows(edits));
  if (!edits.empty() && all) {
    std::vector<std::vector<std::string>> rows = {{"Repair", "Node", "Before", "After", "Change"}};
    for (const RepairEdit& e : edits) rows.push_back({e.repair, e.node, e.before, e.after, cost(e)});
    text = text_table(rows);
  }
  text += edits.empty() ? model.path() + ": nothing to mend"
                        : std::to_string(edits.size()) + (edits.size() == 1 ? " edit" : " edits");
  text += (output_file.empty() ? "" : ", wrote " + output_file) + "\n";
  for (const std::string& note : model.state().left_alone) text += "left alone: " + note + "\n";
  return text;
}

std::string repairs_json(const Model& model, const std::string& output_file) {
  nlohmann::ordered_json j = {{"model", model.path()}, {"output", output_file}};
  j["edits"] = nlohmann::ordered_json::array();
  for (const RepairEdit& e : model.repairs())
    j["edits"].push_back({{"repair", e.repair},
                          {"node", e.node},
                          {"before", e.before},
                          {"after", e.after},
                          {"lossless", e.change.empty()},
                          {"change", e.change}});
  return json_text(j);
}

std::vector<std::pair<std::string, std::string>> repair_names() {
  std::vector<std::pair<std::string, std::string>> names;
  for (const Repair& each : all_repairs()) names.emplace_back(each.name, plain(each.mends));
  return names;
}

}  // namespace octet
