#pragma once
// Runs small graphs, written as text, on the reference kernels.

#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <string_view>
#include <vector>

#include "ir/op.h"
#include "ir/text.h"
#include "tensor/tensor.h"

namespace octet::testing {

/// The graph's outputs, evaluated node by node. Inputs of the graph are not allowed: constants are the inputs.
inline Result<std::vector<Tensor>> evaluate(const Graph& graph) {
  std::vector<Tensor> values(graph.values.size());
  for (size_t v = 0; v < values.size(); ++v)
    if (graph.values[v].constant) values[v] = *graph.values[v].constant;
  for (const Node& node : graph.nodes) {
    std::vector<Tensor> inputs;
    for (const ValueId v : node.inputs) inputs.push_back(v == k_absent ? Tensor() : values[static_cast<size_t>(v)]);
    Result<std::vector<Tensor>> outputs = node.op->reference({graph, node}, inputs);
    if (!outputs) return outputs.error();
    for (size_t i = 0; i < node.outputs.size(); ++i)
      if (node.outputs[i] != k_absent) values[static_cast<size_t>(node.outputs[i])] = (*outputs)[i];
  }
  std::vector<Tensor> results;
  for (const ValueId v : graph.outputs) results.push_back(values[static_cast<size_t>(v)]);
  return results;
}

/// "f32[N,2]": the inferred type of the first output, or the error's message.
inline std::string inferred(std::string_view text) {
  Result<Graph> graph = parse_graph(text);
  if (!graph) return graph.error().message;
  const Value& y = graph->value(graph->outputs[0]);
  return std::string(name(y.dtype)) + (y.shape ? to_string(*y.shape) : "");
}

/// The message of parsing or, when that succeeds, of evaluating.
inline std::string error_of(std::string_view text) {
  Result<Graph> graph = parse_graph(text);
  if (!graph) return graph.error().message;
  Result<std::vector<Tensor>> results = evaluate(*graph);
  return results ? "no error" : results.error().message;
}

/// Compares outputs 0, 2, ... with outputs 1, 3, ... : dtype, extents and integers exactly, floats within
/// tolerance * |wanted| (infinities and NaN must match). Inference must have said what came out.
inline void expect_pairs_equal(std::string_view text, double tolerance = 0) {
  SCOPED_TRACE(std::string(text));
  Result<Graph> graph = parse_graph(text);
  ASSERT_TRUE(graph) << graph.error().message;
  Result<std::vector<Tensor>> results = evaluate(*graph);
  ASSERT_TRUE(results) << results.error().message;
  for (size_t i = 0; i + 1 < results->size(); i += 2) {
    const Tensor &have = (*results)[i], &want = (*results)[i + 1];
    const Value& value = graph->value(graph->outputs[i]);
    ASSERT_EQ(have.dtype(), want.dtype());
    ASSERT_EQ(to_string(have.dims()), to_string(want.dims()));
    EXPECT_EQ(value.dtype, have.dtype());
    if (value.shape && known_dims(*value.shape)) {
      EXPECT_EQ(*known_dims(*value.shape), have.dims());
    }
    const std::vector<double> a = to_doubles(have), b = to_doubles(want);
    for (size_t k = 0; k < a.size(); ++k) {
      if (std::isnan(b[k]) || std::isinf(b[k]) || tolerance == 0) {
        EXPECT_TRUE(a[k] == b[k] || (std::isnan(a[k]) && std::isnan(b[k])))
            << "element " << k << ": " << a[k] << ", wanted " << b[k];
      } else {
        EXPECT_LE(std::fabs(a[k] - b[k]), tolerance * std::fabs(b[k]))
            << "element " << k << ": " << a[k] << ", wanted " << b[k];
      }
    }
  }
}

}  // namespace octet::testing
