#pragma once
// What NVIDIA TensorRT asks of a Q/DQ network (explicit quantization), as numbered rules. The rules and their sources
// are listed in docs/tensorrt.md; a finding names the node that breaks one, what is there, and the mend.

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "ir/graph.h"

namespace octet {

enum class Severity {
  error,    // TensorRT refuses the network or computes something else
  warning,  // it builds, but slower, in float or with other roundings than one may expect
  note,     // fine; worth knowing
};
std::string_view name(Severity severity);

struct RuleFinding {
  int rule = 0;  // 1..42
  Severity severity = Severity::note;
  std::string node;     // empty = the whole network
  std::string message;  // what is there, and what TensorRT does
  std::string mend;     // what to do; empty for notes
};
/// "R20 error, node 'conv1': ... Mend: ..."
std::string to_string(const RuleFinding& finding);

/// What the graph no longer shows of the file it came from.
struct TensorRtFile {
  int64_t opset = 13;
  std::vector<std::pair<std::string, std::string>> operator_forms;  // node and op: QLinearConv, ConvInteger, ...
  bool calibration_given = false;
};

/// All rules on a graph that need not verify, in order of rule and node. A graph without Q and DQ breaks none.
std::vector<RuleFinding> check_tensorrt(const Graph& graph, const TensorRtFile& file = {});

/// Number, severity and title of each rule, in order.
struct TensorRtRule {
  int number;
  Severity severity;
  std::string_view title;
};
const std::vector<TensorRtRule>& tensorrt_rules();

}  // namespace octet
