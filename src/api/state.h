#pragma once
// What stands behind the public handles; not installed.

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/file.h"
#include "ir/graph.h"
#include "octet/engine_file.h"
#include "octet/model.h"
#include "octet/session.h"
#include "onnx/onnx.h"
#include "passes/passes.h"
#include "plan/plan_file.h"
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
  std::vector<std::string> left_alone;  // what no repair mends with certainty
  std::vector<std::string> undefined;   // those of them whose answers ONNX does not define: for all who run it
  std::vector<TargetFinding> file_findings;
  std::set<std::string> skip_passes;
};

struct Session::State {
  std::string path;
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
  size_t reserved_bytes = 0;                     // of activations, where more than this engine's own were asked for
  std::map<std::string, IoFormat> formats = {};  // of a plan that takes or gives tensors otherwise than its network
  Result<Done> run(std::span<const std::byte* const> in, std::span<std::byte* const> out, const RunHooks& hooks);
  /// run() in two halves (Backend::submit).
  Result<Done> submit(std::span<const std::byte* const> in, std::span<std::byte* const> out, const RunHooks& hooks);
  Result<Done> finish(const RunHooks& hooks) { return context->finish(io, hooks); }

 private:
  Result<Done> bind(std::span<const std::byte* const> in, std::span<std::byte* const> out);
};

struct EngineFile::State {
  std::string path;
  PlanFile plan;
  size_t file_bytes = 0;
  std::shared_ptr<const MappedFile> file;  // null after build
  std::vector<std::byte> bytes;            // after build: what save() writes
  std::vector<std::string> notes;
  std::string tuning_log;        // of build
  std::string float_model_hash;  // of build from a Q/DQ file that names the float network it came from
  SessionTimes times;
};

/// The model as it will run: the float one, or its Q/DQ form with where its ranges came from.
struct PreparedModel {
  Model model;
  std::string precision;
  std::optional<Ranges> ranges;  // of an INT8 form made here
  std::vector<std::string> notes;
  double calibrate_s = 0;
  std::shared_ptr<const Graph> chosen;    // of `best`: the clean graph after the choice; null = the model's
  std::vector<std::string> float_layers;  // made float by that choice
  std::string log;                        // of that choice: every candidate with its time or reason
};
/// One note for each repair that changed answers; every command that runs the model prints them.
std::vector<std::string> lossy_repair_notes(const Model& model);
/// Calibrates and quantizes where the spec asks for INT8 and the model is float.
Result<PreparedModel> prepare_model(const Model& model, const SessionSpec& spec);

/// The fused graph at these shapes; for `best`, the mix of precisions that is fastest by measurement. prepared says in
/// which precision it runs.
Result<Graph> graph_to_run(const Model& model, PreparedModel& prepared, const SessionSpec& spec, const Binding& binding,
                           const std::set<std::string>& skip);
/// Makes the products of a fused graph's float layers BF16 where the precision says so.
Result<Done> shorten_floats(Graph& graph, const std::string& precision);
/// Says so, or that none does and FP32 is what runs.
void settle_bf16(const Graph& fused, std::string& precision, std::vector<std::string>& notes);
/// How many layers multiply in BF16 and how many in FP32; empty = none in BF16.
std::string bf16_note(const Graph& fused);
/// "int8 and fp16" of a network whose layers are all INT8 is "int8", of one without codes "fp16".
std::string settled_precision(const std::string& precision, const Graph& fused);
/// Whether a value of it goes through codes, so that ranges matter to its answers.
bool has_codes(const Graph& graph);
/// "octet 0.1.0", as plans name who wrote them.
std::string plan_writer();
/// Layers of the fused graph that compute in float.
int count_float_layers(const Graph& fused);

/// Multiply-accumulates of one step in millions; 0 for ops without products.
double mmac_of(const Graph& graph, const Node& node);

/// The back end of the spec, told the precision of its float layers.
Result<std::shared_ptr<Backend>> backend_for(const SessionSpec& spec, const std::string& precision);

/// "float32", "uint8", ... : the names numpy and TensorRT users know.
std::string numpy_name(DType dtype);
/// The other way round; undefined for another word.
DType dtype_of_numpy(const std::string& word);
/// Height and width of what the preprocessing gives, whatever picture goes in; nothing when the picture decides.
std::optional<std::array<int64_t, 2>> picture_of(const std::string& preprocess);
/// clean graph -> bound -> fused, ready for an engine.
Result<Graph> lower(const Graph& clean, const Binding& binding, const std::set<std::string>& skip);
/// The same for calibration, which asks for values that placement names: passes that join the nodes between two such
/// values are left out.
Result<Graph> lower_to_calibrate(const Graph& clean, const Binding& binding, std::set<std::string> skip);
/// What to say of an engine's graph that has not the batch asked for (0: none was); empty when there is nothing to say.
std::string batch_note(const Model& model, int64_t asked, const Graph& planned);
bool holds_quantization(const Graph& graph);
/// Whether the ranges hold a choice of method for each tensor.
bool has_automatic(const CalibrationTable& table);
/// Refuses an unknown method, target or node name before a calibration has cost its time.
Result<Done> check_quantize_spec(const Model& model, const QuantizeSpec& spec);

}  // namespace octet
