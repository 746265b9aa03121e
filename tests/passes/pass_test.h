#pragma once
// Small graphs as text, before and after a pass; and plain evaluation, node by node, with the ops' reference kernels.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "ir/op.h"
#include "ir/text.h"
#include "passes/passes.h"

namespace octet {

/// The graph of a text, where ';' may stand between statements; a failure of the test names the line that does not
/// parse.
Graph parsed(std::string_view text);
/// The printed graph with its constants in alphabetical order (passes make them in any order).
std::string shown(const Graph& graph);

/// The graph after one pass, or after a stage.
Graph after_pass(std::string_view pass, Graph graph);
Graph after_stage(Stage stage, Graph graph, const std::set<std::string>& skip = {});

void expect_rewrite(std::string_view pass, std::string_view before, std::string_view after);
void expect_untouched(std::string_view pass, std::string_view text);

/// All values, constants included, by name, for inputs by name.
std::map<std::string, Tensor> evaluate(const Graph& graph, const std::map<std::string, Tensor>& inputs);

/// Repeatable numbers in [lo, hi).
std::vector<float> random_floats(size_t count, uint32_t seed, float lo = -1.0f, float hi = 1.0f);
Tensor random_tensor(Dims dims, uint32_t seed, float lo = -1.0f, float hi = 1.0f);

/// max |a - b| / max |b| over all elements of two f32 tensors of equal dims.
double relative_difference(const Tensor& a, const Tensor& b);

/// The outputs of `before` have the same dims, dtypes and numbers in `after`, which reads as it prints: to the byte,
/// and f32 to so much of the largest.
void expect_same_outputs(const Graph& before, const Graph& after, const std::map<std::string, Tensor>& inputs,
                         double f32_difference = 0.0);

}  // namespace octet
