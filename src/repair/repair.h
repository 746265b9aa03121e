#pragma once
// Foreign quantized exports made canonical: Q and DQ in pairs with constant parameters, weights as int8 behind
// DequantizeLinear, biases as int32 on the grid x_scale * w_scale. One file per repair, one line in repairs.def, one
// row for every edit. A float graph is left alone.

#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "ir/graph.h"

namespace octet {

/// One edit as a user reads it.
struct RepairRow {
  std::string repair;  // the name in repairs.def
  std::string node;    // where
  std::string before, after;
  std::string change;  // empty = every answer stays the same; else by how much it may differ
  bool lossless() const { return change.empty(); }
};

struct RepairLog {
  std::string_view repair;  // the one that runs
  std::vector<RepairRow> rows;
  std::vector<std::string> notes;      // what could not be mended with certainty, and why
  std::vector<std::string> undefined;  // likewise, where ONNX does not say what the answer is
  void add(std::string node, std::string before, std::string after, std::string change = {}) {
    rows.push_back({std::string(repair), std::move(node), std::move(before), std::move(after), std::move(change)});
  }
};

enum class RepairTime { always, tensorrt, written, elsewhere };
struct Repair {
  std::string_view name;
  RepairTime time;
  std::string_view mends;
  Result<Done> (*run)(Graph& graph, RepairLog& log);  // null where the rows are made elsewhere
};
/// All of repairs.def in running order.
std::span<const Repair> all_repairs();

struct RepairOptions {
  std::set<std::string> skip;      // names; an unknown one is an error
  bool float_biases = false;       // for TensorRT: int32 biases as the same numbers in float
  bool types_are_guessed = false;  // of a graph with problems: what does not fit together is no error
};
/// Runs the repairs and infers shapes again after each that edited. The graph need not pass verify() before; the caller
/// verifies it afterwards. notes gets what was left alone and why; undefined those of whose answers ONNX says nothing.
Result<std::vector<RepairRow>> repair(Graph& graph, const RepairOptions& options = {},
                                      std::vector<std::string>* notes = nullptr,
                                      std::vector<std::string>* undefined = nullptr);

/// The repairs of a mended graph that other engines are to run. Infers shapes and verifies.
Result<std::vector<RepairRow>> repair_for_writing(Graph& graph, const std::set<std::string>& skip = {});

}  // namespace octet
