#pragma once
// A network read from a file and brought into octet's clean form, and the Q/DQ form made from it.

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/shape.h"
#include "octet/ranges.h"
#include "report/inspection.h"

namespace octet {

struct LoadOptions {
  std::set<std::string> skip_passes;   // names from `octet inspect --passes`
  bool repair = true;                  // mend a foreign quantized export (docs/import.md)
  std::set<std::string> skip_repairs;  // names from `octet repair --list`
  bool float_biases = false;           // int32 biases as the same numbers in float, for TensorRT
  bool recalibrate = false;            // float_form() follows: scales of activations need not be scales
  bool calibration_given = false;      // for check_tensorrt: calibration data would go with the file
  bool check_tensorrt = false;         // look for what breaks TensorRT's rules before anything is mended
};

/// A rule of TensorRT's that a network breaks (docs/tensorrt.md).
struct TargetFinding {
  int rule = 0;
  std::string severity;  // "error", "warning", "note"
  std::string node;      // empty = the whole network
  std::string message, mend;
};
/// "R20 error, node 'conv1': ... Mend: ..."
std::string to_text(const TargetFinding& finding);

/// One edit that the repair of a foreign quantized export made.
struct RepairEdit {
  std::string repair, node, before, after;
  std::string change;  // empty = every answer stays the same; else by how much it may differ
};

/// Immutable; copies share.
class Model {
 public:
  /// Errors: unreadable, not ONNX, unknown ops (all named), unsupported dtypes, cycles, broken shapes.
  static Result<Model> load(const std::string& path, const LoadOptions& options = {});

  const std::string& path() const;
  bool is_quantized() const;  // holds QuantizeLinear or DequantizeLinear
  std::vector<TensorInfo> inputs() const;
  std::vector<TensorInfo> outputs() const;
  /// The clean graph's text form, which parses back to the same graph; elided = large constants as "...".
  std::string text(bool elided) const;
  /// Notes of reader and passes, one line each.
  const std::vector<std::string>& notes() const;
  const std::string& hash() const;  // of the clean graph
  /// What was mended at import, in order.
  const std::vector<RepairEdit>& repairs() const;
  /// What calibration wrote into the file (keys octet.preprocess, octet.calibration, ...: src/ir/metadata.h).
  const std::map<std::string, std::string>& metadata() const;
  /// The ranges behind the Q/DQ nodes were found on noise: accuracy means nothing.
  bool is_uncalibrated() const;
  /// TensorRT's rules on the file as it was, with LoadOptions::check_tensorrt.
  const std::vector<TargetFinding>& file_findings() const;
  /// TensorRT's rules on the network as save() writes it.
  std::vector<TargetFinding> findings() const;
  /// The float network behind a quantized one, to be calibrated again: weights keep the values of their codes.
  /// Errors: a model that is not quantized, scales that are computed while it runs.
  Result<Model> float_form() const;

  /// Writes ONNX; opset 0 = the lowest that expresses the graph, at least 13.
  Result<Done> save(const std::string& path, int64_t opset = 0) const;

  struct State;
  explicit Model(std::shared_ptr<const State> state) : state_(std::move(state)) {}
  const State& state() const { return *state_; }

 private:
  std::shared_ptr<const State> state_;
};

struct QuantizeSpec {
  std::string method;            // empty = the table's own
  std::string target = "octet";  // octet | tensorrt
  std::set<std::string> keep_float;
  std::set<std::string> float_values = {};  // tensors that get no codes: what makes them ends in float
  bool force = false;                       // take ranges of another model; recorded in the file
  // Inputs of convolutions get one scale a channel, from ranges calibrated per channel: fake quantization, which runs
  // in float. Not for tensorrt.
  bool per_channel = false;
};
struct Quantized {
  Model model;
  std::vector<std::string> notes;              // weak channels, shared scales, what stays float
  std::vector<std::vector<std::string>> rows;  // node, op, decision
  int64_t quantized = 0, total = 0;
};
/// Errors: a quantized model, ranges of another model (both hashes named), an unknown method.
Result<Quantized> quantize(const Model& model, const Ranges& ranges, const QuantizeSpec& spec);
/// Node, op and decision as a table.
std::string rows_text(const Quantized& quantized);
std::string to_json(const Quantized& quantized, const std::string& output_file);

}  // namespace octet
