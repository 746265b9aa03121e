#include "repair/repairing.h"

#include <algorithm>
#include <random>
#include <sstream>

#include "ir/op.h"

namespace octet {

Graph broken(std::string_view text) {
  Result<Graph> graph = parse_graph(text, {.verify = false});
  EXPECT_TRUE(graph) << graph.error().message;
  return graph ? std::move(*graph) : Graph{};
}

std::string shown(const Graph& graph) {
  std::istringstream lines(print(graph));
  std::vector<std::string> constants;
  std::string others;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("  const "))
      constants.push_back(line);
    else
      others += line + "\n";
  }
  std::sort(constants.begin(), constants.end());
  std::string text;
  for (const std::string& line : constants) text += line + "\n";
  return text + others;
}

namespace {

std::set<std::string> others_than(std::string_view repair_name) {
  std::set<std::string> names;
  for (const Repair& each : all_repairs())
    if (each.run) names.emplace(each.name);
  EXPECT_EQ(names.erase(std::string(repair_name)), 1u) << "there is no repair " << repair_name;
  return names;
}

}  // namespace

MendedGraph mended(std::string_view repair_name, std::string_view text) {
  const std::set<std::string> others = others_than(repair_name);
  MendedGraph made{broken(text), {}};
  Result<std::vector<RepairRow>> rows = repair(made.graph, {.skip = others, .float_biases = false});
  EXPECT_TRUE(rows) << rows.error().message;
  if (rows) made.rows = std::move(*rows);
  const Result<Done> ok = verify(made.graph);
  EXPECT_TRUE(ok) << ok.error().message << "\n" << print(made.graph);
  return made;
}

void expect_mended(std::string_view repair, std::string_view before, std::string_view after,
                   const std::vector<std::string>& rows) {
  const MendedGraph made = mended(repair, before);
  EXPECT_EQ(shown(made.graph), shown(broken(after)));
  std::vector<std::string> told;
  for (const RepairRow& row : made.rows)
    told.push_back(row.node + ": " + row.before + " -> " + row.after + (row.lossless() ? "" : "; " + row.change));
  EXPECT_EQ(told, rows);
}

void expect_untouched(std::string_view repair_name, std::string_view text) {
  const std::set<std::string> others = others_than(repair_name);
  Graph graph = broken(text);
  Result<std::vector<RepairRow>> rows = repair(graph, {.skip = others, .float_biases = false});
  ASSERT_TRUE(rows) << rows.error().message;
  EXPECT_EQ(rows->size(), 0u) << rows->front().node << ": " << rows->front().after;
  EXPECT_EQ(shown(graph), shown(broken(text)));
}

std::vector<Tensor> answers(const Graph& graph, const std::map<std::string, Tensor>& inputs) {
  std::map<std::string, Tensor> values = inputs;
  for (const Value& value : graph.values)
    if (value.constant) values[value.name] = *value.constant;
  for (const Node& node : graph.nodes) {
    std::vector<Tensor> arguments;
    for (const ValueId v : node.inputs) arguments.push_back(v == k_absent ? Tensor() : values[graph.value(v).name]);
    Result<std::vector<Tensor>> results = node.op->reference(NodeContext{graph, node}, arguments);
    if (!results) {
      ADD_FAILURE() << results.error().message;
      return {};
    }
    for (size_t i = 0; i < node.outputs.size(); ++i)
      if (node.outputs[i] != k_absent) values[graph.value(node.outputs[i]).name] = (*results)[i];
  }
  std::vector<Tensor> outputs;
  for (const ValueId v : graph.outputs) outputs.push_back(values[graph.value(v).name]);
  return outputs;
}

void expect_same_answers(std::string_view before, const Graph& after, const Dims& input_dims, float range) {
  const Graph graph = broken(before);
  std::mt19937 random(7);
  for (int round = 0; round < 4; ++round) {
    std::map<std::string, Tensor> inputs;
    for (const ValueId v : graph.inputs) {
      std::vector<float> values(static_cast<size_t>(*element_count(input_dims)));
      for (float& x : values) x = range * (static_cast<float>(random() >> 8) * 0x1p-23f - 1.0f);
      inputs[graph.value(v).name] = f32_tensor(input_dims, values);
    }
    const std::vector<Tensor> want = answers(graph, inputs), have = answers(after, inputs);
    ASSERT_EQ(want.size(), have.size());
    for (size_t i = 0; i < want.size(); ++i) EXPECT_EQ(to_doubles(want[i]), to_doubles(have[i])) << "output " << i;
  }
}

}  // namespace octet
