#include "passes/pass_test.h"

#include <algorithm>
#include <cmath>
#include <random>
#include <sstream>

namespace octet {

Graph parsed(std::string_view text) {
  std::string spaced(text);
  std::replace(spaced.begin(), spaced.end(), ';', ' ');
  Result<Graph> graph = parse_graph(spaced);
  EXPECT_TRUE(graph) << graph.error().message;
  return graph ? std::move(*graph) : Graph{};
}

std::string shown(const Graph& graph) {
  std::istringstream lines(print(graph));
  std::vector<std::string> constants, others;
  for (std::string line; std::getline(lines, line);)
    (line.starts_with("  const ") ? constants : others).push_back(line);
  std::sort(constants.begin(), constants.end());
  std::string text;
  for (const std::string& line : constants) text += line + "\n";
  for (const std::string& line : others) text += line + "\n";
  return text;
}

Graph after_pass(std::string_view pass, Graph graph) {
  for (const Pass& each : all_passes()) {
    if (each.name != pass) continue;
    Result<Changed> changed = run_pass(graph, each);
    EXPECT_TRUE(changed) << changed.error().message;
    return graph;
  }
  ADD_FAILURE() << "there is no pass " << pass;
  return graph;
}

Graph after_stage(Stage stage, Graph graph, const std::set<std::string>& skip) {
  Result<std::vector<PassReport>> reports = run_stage(graph, stage, skip);
  EXPECT_TRUE(reports) << reports.error().message;
  return graph;
}

void expect_rewrite(std::string_view pass, std::string_view before, std::string_view after) {
  EXPECT_EQ(shown(after_pass(pass, parsed(before))), shown(parsed(after)));
}

void expect_untouched(std::string_view pass, std::string_view text) { expect_rewrite(pass, text, text); }

std::map<std::string, Tensor> evaluate(const Graph& graph, const std::map<std::string, Tensor>& inputs) {
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
  return values;
}

std::vector<float> random_floats(size_t count, uint32_t seed, float lo, float hi) {
  std::mt19937 random(seed);
  std::vector<float> values(count);
  // Scaled by hand: the standard's distributions differ between libraries.
  for (float& x : values) x = lo + (hi - lo) * static_cast<float>(random() >> 8) * 0x1p-24f;
  return values;
}

Tensor random_tensor(Dims dims, uint32_t seed, float lo, float hi) {
  const auto count = static_cast<size_t>(*element_count(dims));
  return f32_tensor(std::move(dims), random_floats(count, seed, lo, hi));
}

double relative_difference(const Tensor& a, const Tensor& b) {
  EXPECT_EQ(a.dims(), b.dims());
  double difference = 0.0, largest = 1e-30;
  for (int64_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    difference = std::max(difference, std::abs(double{a.at<float>(i)} - double{b.at<float>(i)}));
    largest = std::max(largest, std::abs(double{b.at<float>(i)}));
  }
  return difference / largest;
}

void expect_same_outputs(const Graph& before, const Graph& after, const std::map<std::string, Tensor>& inputs,
                         double f32_difference) {
  SCOPED_TRACE(print(before));
  const std::map<std::string, Tensor> want = evaluate(before, inputs), got = evaluate(after, inputs);
  for (const ValueId v : before.outputs) {
    const std::string& name = before.value(v).name;
    const Tensor &a = want.at(name), &b = got.at(name);
    EXPECT_EQ(a.dims(), b.dims()) << name;
    EXPECT_EQ(a.dtype(), b.dtype()) << name;
    if (a.dtype() == DType::f32 && f32_difference > 0) {
      EXPECT_LT(relative_difference(b, a), f32_difference) << name;
    } else {
      EXPECT_TRUE(std::equal(a.bytes().begin(), a.bytes().end(), b.bytes().begin(), b.bytes().end())) << name;
    }
  }
  EXPECT_EQ(print(parsed(print(after))), print(after));
}

}  // namespace octet
