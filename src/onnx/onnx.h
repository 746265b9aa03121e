#pragma once
// ONNX files <-> Graph. The reader works on the protobuf wire format directly: weights stay views of the mapped file,
// nothing is copied that lies aligned, and every length is checked before it is used.

#include <memory>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/result.h"
#include "ir/graph.h"

namespace octet {

/// What reading changed beyond spelling.
struct OnnxEdit {
  std::string what, node, before, after, change;  // change: empty = the same numbers
};

struct OnnxInfo {
  int64_t ir_version = 0;
  int64_t opset = 0;  // of the default domain
  std::string producer;
  std::vector<std::string> notes;  // what was tolerated
  std::vector<OnnxEdit> edits;
  std::vector<std::pair<std::string, std::string>> operator_forms;  // node and op: QLinearConv, ConvInteger, ...
};

struct OnnxModel {
  Graph graph;  // inferred, and verified unless told otherwise
  OnnxInfo info;
  std::vector<Error> problems;  // only where asked for; the graph then holds the rest, to look for more
};

struct OnnxReadOptions {
  bool verify = true;          // false: the caller repairs the graph and verifies it then
  bool with_problems = false;  // true: problems of nodes are in the model, not its Error
};

/// Opsets of ai.onnx that are read. 24 to 28 (onnx 1.19 to 1.23) gave the ops that octet has new dtypes, which are
/// refused where a file has them, and three new meanings: Swish is read, Mod of floats that rounds down and
/// SpaceToDepth in the order CRD are refused.
inline constexpr int64_t k_first_opset = 7, k_last_opset = 28;

/// Errors name the file's part: unknown op, domain or dtype in use, cycles, missing inputs, overflowing
/// shapes, truncation.
Result<OnnxModel> read_onnx(const std::string& path, const OnnxReadOptions& options = {});
/// The same from memory that keep_alive owns.
Result<OnnxModel> read_onnx(std::span<const std::byte> bytes, std::shared_ptr<const void> keep_alive,
                            const OnnxReadOptions& options = {});

struct OnnxWriteOptions {
  int64_t opset = 0;  // 0 = the lowest that expresses the graph, at least 13
};
/// Serialized ModelProto. octet's own float ops are expanded (Silu -> Sigmoid, Mul; FusedConv -> Conv, Add,
/// activation); integer ops are refused by name: write the Q/DQ form instead.
Result<std::vector<std::byte>> write_onnx(const Graph& graph, const OnnxWriteOptions& options = {});
Result<Done> write_onnx_file(const std::string& path, const Graph& graph, const OnnxWriteOptions& options = {});

}  // namespace octet
