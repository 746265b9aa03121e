#pragma once
// One repair on a graph in text form.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "ir/op.h"
#include "ir/text.h"
#include "repair/repair.h"

namespace octet {

/// Parsed without verify(): what is to be mended may not pass it.
Graph broken(std::string_view text);
/// The printed graph with its constants in alphabetical order.
std::string shown(const Graph& graph);

struct MendedGraph {
  Graph graph;
  std::vector<RepairRow> rows;
};
/// The graph after one repair alone; it must verify then.
MendedGraph mended(std::string_view repair, std::string_view text);

/// The repair makes `after` of `before`, with one row for each text in rows: "node: before -> after; change".
void expect_mended(std::string_view repair, std::string_view before, std::string_view after,
                   const std::vector<std::string>& rows);
void expect_untouched(std::string_view repair, std::string_view text);

/// Values of the graph outputs for inputs by name, by the ops' reference kernels.
std::vector<Tensor> answers(const Graph& graph, const std::map<std::string, Tensor>& inputs);
/// Equal numbers for random inputs in [-range, range] before and after.
void expect_same_answers(std::string_view before, const Graph& after, const Dims& input_dims, float range);

}  // namespace octet
