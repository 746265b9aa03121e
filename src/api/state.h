#pragma once
// What stands behind the public handles; not installed.

#include <memory>
#include <string>
#include <vector>

#include "ir/graph.h"
#include "octet/model.h"
#include "octet/session.h"
#include "onnx/onnx.h"
#include "passes/passes.h"
#include "runtime/engine.h"

namespace octet {

struct Model::State {
  std::string path;
  int64_t file_bytes = 0;
  OnnxInfo info;
  std::map<std::string, int64_t> file_ops;  // before any pass
  Graph graph;                              // clean stage done
  bool quantized = false;
  std::string hash;
  std::vector<std::string> notes;
  std::vector<RepairEdit> repairs;
  std::vector<TargetFinding> file_findings;
  std::set<std::string> skip_passes;
};

struct Session::State {
  std::shared_ptr<const Engine> engine;
  std::unique_ptr<Context> context;
  std::vector<Port> inputs, outputs;
  Bindings io;  // views of the ports; a run fills in the addresses only, so that it allocates nothing
  std::string precision;
  int threads = 1;
  std::vector<std::string> notes;
  SessionTimes times;
  std::string tuning_log;
  std::string calibration_preprocess;
  bool uncalibrated = false;
  bool ends_in_softmax = false;
  Result<Done> run(std::span<const std::byte* const> in, std::span<std::byte* const> out, const RunHooks& hooks);
};

/// "float32", "uint8", ... : the names numpy and TensorRT users know.
std::string numpy_name(DType dtype);
/// clean graph -> bound -> fused, ready for an engine.
Result<Graph> lower(const Graph& clean, const Binding& binding, const std::set<std::string>& skip);
bool holds_quantization(const Graph& graph);
/// Refuses an unknown method, target or node name before a calibration has cost its time.
Result<Done> check_quantize_spec(const Model& model, const QuantizeSpec& spec);

}  // namespace octet
