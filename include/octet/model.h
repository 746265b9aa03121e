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
#include "report/inspection.h"

namespace octet {

struct CalibrationTable;

/// Told how far a long task is: (done, total); total 0 = unknown. Called on the caller's thread.
using Progress = std::function<void(int64_t done, int64_t total)>;

/// Several data options that calibration and evaluation share.
struct DataOptions {
  std::string path;                 // see docs/cli.md "data sources"
  std::string preprocess = "none";  // "imagenet", "cifar10", ... or a spec
  int64_t limit = 0;                // first N in name order, 0 = all
  int64_t shuffle_seed = -1;        // >= 0: a random subset of `limit`
};

struct LoadOptions {
  std::set<std::string> skip_passes;   // names from `octet inspect --passes`
  bool repair = true;                  // mend a foreign quantized export (docs/repair.md)
  std::set<std::string> skip_repairs;  // names from `octet repair --list`
};

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

  /// Writes ONNX; opset 0 = the lowest that expresses the graph, at least 13.
  Result<Done> save(const std::string& path, int64_t opset = 0) const;

  struct State;
  explicit Model(std::shared_ptr<const State> state) : state_(std::move(state)) {}
  const State& state() const { return *state_; }

 private:
  std::shared_ptr<const State> state_;
};

struct CalibrateSpec {
  DataOptions data;
  std::string method = "entropy";  // max | entropy | percentile | mse: the one that quantize uses by default
  double percentile = 99.99;
  int threads = 1;
  int64_t batch = 8;
  Progress progress;
};

/// The ranges of all activations of a float model, for all methods. `ranges` is the JSON of docs/ranges_format.md.
struct Ranges {
  std::shared_ptr<const CalibrationTable> table;
  std::string json() const;
  const std::string& preprocess() const;  // canonical spec of the calibration data
  int64_t samples() const;
  std::string text() const;  // a table: tensor, seen min and max, each method's range
  Result<Done> save(const std::string& path) const;
  static Result<Ranges> load(const std::string& path);
};
Result<Ranges> calibrate(const Model& model, const CalibrateSpec& spec);

struct QuantizeSpec {
  std::string method;            // empty = the table's own
  std::string target = "octet";  // octet | tensorrt
  std::set<std::string> keep_float;
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
