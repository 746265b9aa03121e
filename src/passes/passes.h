#pragma once
// Graph -> Graph. One file per pass, one line in pipeline.def; the order there is the order of running.

#include <array>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "ir/graph.h"
#include "quant/ranges.h"

namespace octet {

/// What a pass did: how often, and one line a user can read for each notable edit.
struct Changed {
  int64_t count = 0;
  std::vector<std::string> notes;
};

enum class Stage {
  clean,  // float ONNX -> equivalent smaller float ONNX; the form that is calibrated and quantized
  fuse,   // Q/DQ and float patterns -> octet's fused and integer ops; the form that is planned
};

struct Pass {
  std::string_view name;
  Stage stage;
  Result<Changed> (*run)(Graph& graph);
};
/// All passes of pipeline.def in running order.
std::span<const Pass> all_passes();

/// Runs one pass, then infers shapes, drops unused values and verifies. An Error names the pass.
Result<Changed> run_pass(Graph& graph, const Pass& pass);

struct PassReport {
  std::string name;
  Changed changed;
};
/// Runs the passes of a stage in order, repeating the list until nothing changes (clean) or once (fuse), verifying
/// after each pass; skip holds names to leave out (an unknown name is an error). An Error names the pass.
Result<std::vector<PassReport>> run_stage(Graph& graph, Stage stage, const std::set<std::string>& skip = {});

/// Replaces symbolic extents by numbers: `shapes` gives whole shapes by input name, and batch > 0 is the leading extent
/// of inputs where that is unknown (a leading extent that the file fixed stays). A symbol is one number in the whole
/// graph. `picture` is the height and width of inputs [batch, 3, h, w] where the file leaves both free and no shape is
/// given. Then infers shapes again. An Error says what does not fit.
struct Binding {
  int64_t batch = 0;
  std::map<std::string, Dims> shapes;
  std::optional<std::array<int64_t, 2>> picture = std::nullopt;
};
Result<Done> bind_shapes(Graph& graph, const Binding& binding);

enum class Target { octet, tensorrt };

struct QuantizeOptions {
  CalibrationMethod method = CalibrationMethod::entropy;
  Target target = Target::octet;
  std::set<std::string> keep_float;         // node names
  std::set<std::string> float_values = {};  // names of values that get no codes: their makers end in float
  bool per_channel = false;  // one scale a channel for inputs of convolutions: fake quantization, octet only
};
/// What placement decided, one row per quantized op or op left float.
struct PlacementRow {
  std::string node, op, decision;  // "int8", "float: no range for 'x'", "fused into conv2 (skip requantized)"
};
struct QuantizeReport {
  std::vector<PlacementRow> rows;
  std::vector<std::string> notes;  // weak channels, shared scales, ...
  int64_t quantized = 0, total = 0;
};
/// Inserts Q/DQ into a clean float graph by the rule table (QuantRule of each op): weights become s8 initializers
/// behind DequantizeLinear, biases s32 on the grid s_x*s_w behind DequantizeLinear, activations
/// QuantizeLinear/DequantizeLinear pairs.
Result<QuantizeReport> quantize(Graph& graph, const CalibrationTable& ranges, const QuantizeOptions& options);

/// Lets every reader of a quantized and dequantized activation read the value itself. Returns how many pairs; they are
/// dead afterwards. Weights keep their Q/DQ form, that is their values on the grid.
int64_t remove_quantization(Graph& graph);
/// Makes weights and bias of the named nodes float constants, so that these layers run in float between the Q/DQ that
/// stay around them. Returns how many nodes.
int64_t make_float(Graph& graph, const std::set<std::string>& nodes);

/// Makes the products of a fused graph's float layers those of bfloat16 (bf16_layers.cpp); values between such layers
/// become bfloat16 too. Counts the layers.
Result<Changed> bf16_layers(Graph& graph);

/// Names of the values whose ranges quantize() may ask for, in graph order: what calibration must tap. A value that
/// fusion swallows (before an activation or a residual add) is not among them.
std::vector<std::string> calibration_points(const Graph& clean);

/// Content hash of names, ops, attributes, shapes and constants.
uint64_t hash_graph(const Graph& graph);

}  // namespace octet
