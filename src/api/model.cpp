#include "octet/model.h"

#include <algorithm>

#include "api/state.h"
#include "base/diagnostics.h"
#include "base/file.h"
#include "base/hash.h"
#include "data/preprocess.h"
#include "ir/metadata.h"
#include "ir/op.h"
#include "ir/text.h"
#include "passes/passes.h"
#include "quant/ranges.h"
#include "repair/float_form.h"
#include "repair/repair.h"
#include "repair/tensorrt.h"

namespace octet {
namespace {

TensorInfo tensor_info(const Value& value) {
  TensorInfo info;
  info.name = value.name;
  info.shape = value.shape ? to_string(*value.shape) : "?";
  info.dtype = numpy_name(value.dtype);
  return info;
}

/// com.microsoft's forms are defined by what ONNX Runtime's kernels do, some of which round more than once.
constexpr const char* k_to_one_code =
    "rounded once, to the nearest code; ONNX Runtime's own kernel may be one code off";

/// One note for each repair: how often, where first, and at what cost; of lossy ones the first that costs something.
/// only_lossy: none for the others.
std::vector<std::string> repair_notes(const std::vector<RepairEdit>& edits, bool only_lossy) {
  std::vector<std::string> notes;
  for (size_t i = 0; i < edits.size();) {
    size_t end = i, lossy = i;
    while (end < edits.size() && edits[end].repair == edits[i].repair) ++end;
    while (lossy < end && edits[lossy].change.empty()) ++lossy;
    const RepairEdit& shown = edits[lossy == end ? i : lossy];
    if (lossy < end || !only_lossy)
      notes.push_back("repair " + shown.repair + ": " + std::to_string(end - i) + " mended, '" + shown.node + "': " +
                      shown.before + " -> " + shown.after + (lossy == end ? ", lossless" : "; " + shown.change));
    i = end;
  }
  return notes;
}

void add_rows(Model::State& state, std::vector<RepairRow> rows) {
  for (RepairRow& row : rows)
    state.repairs.push_back({std::move(row.repair), std::move(row.node), std::move(row.before), std::move(row.after),
                             std::move(row.change)});
}

bool quantizes_dynamically(const Graph& graph) {
  return std::any_of(graph.nodes.begin(), graph.nodes.end(),
                     [](const Node& node) { return is_op(node, "DynamicQuantizeLinear"); });
}

Result<Done> repair_graph(Model::State& state, const LoadOptions& options) {
  for (const OnnxEdit& edit : state.info.edits)
    state.repairs.push_back({edit.what, edit.node, edit.before, edit.after, edit.change});
  for (const auto& [node, op] : state.info.operator_forms)
    if (op.starts_with("QLinear") || op == "QGemm")  // the others are dynamic quantization, which stays
      state.repairs.push_back({"operator_forms", node, op, "its float op between DequantizeLinear and QuantizeLinear",
                               op == "QLinearConv" || op == "QLinearMatMul" ? "" : k_to_one_code});
  if (options.recalibrate) {
    RepairLog log;
    replace_activation_scales(state.graph, log);
    add_rows(state, std::move(log.rows));
  }
  Result<std::vector<RepairRow>> rows =
      repair(state.graph, {.skip = options.skip_repairs, .float_biases = options.float_biases}, &state.left_alone,
             &state.undefined);
  if (!rows) return rows.error();
  if (options.recalibrate) state.left_alone.clear();  // what lacks a range is to get one
  add_rows(state, *std::move(rows));
  for (std::string& note : repair_notes(state.repairs, false)) state.notes.push_back(std::move(note));
  state.notes.insert(state.notes.end(), state.left_alone.begin(), state.left_alone.end());
  return verify(state.graph);
}

/// Dropout is in the graph only where the file trains, or lets an input say so.
void tell_of_training(Model::State& state) {
  for (const Node& node : state.graph.nodes) {
    if (!is_op(node, "Dropout")) continue;
    const bool constant = node.inputs.size() > 2 && state.graph.constant(node.inputs[2]);
    state.undefined.push_back("node '" + (node.name.empty() ? state.graph.value(node.outputs[0]).name : node.name) +
                              "' (Dropout): training_mode is " + (constant ? "true" : "computed; where it is true") +
                              (constant ? ", so" : "") +
                              " its answers are random, by its seed, and other engines draw others: export the network "
                              "for inference");
    state.notes.push_back(state.undefined.back());
  }
}

/// The problems of a file that cannot be read as it is, and those that the repairs leave in the rest of it.
Error all_problems(OnnxModel read, const LoadOptions& options) {
  RepairLog log;
  if (options.recalibrate) replace_activation_scales(read.graph, log);
  const RepairOptions repairs{
      .skip = options.skip_repairs, .float_biases = options.float_biases, .types_are_guessed = true};
  // An unknown name of a repair is told where a file is read.
  if (!options.repair || repair(read.graph, repairs))
    for (Error& problem : validation_problems(read.graph)) read.problems.push_back(std::move(problem));
  return join_problems(std::move(read.problems));
}

std::vector<TargetFinding> target_findings(const Graph& graph, const TensorRtFile& file) {
  std::vector<TargetFinding> made;
  for (const RuleFinding& f : check_tensorrt(graph, file))
    made.push_back({f.rule, std::string(name(f.severity)), f.node, f.message, f.mend});
  return made;
}

void add_notes(std::vector<std::string>& notes, const std::vector<PassReport>& reports) {
  for (const PassReport& report : reports) {
    if (report.changed.count > 0)
      notes.push_back("pass " + report.name + ": " + std::to_string(report.changed.count) + " changed");
    for (const std::string& note : report.changed.notes) notes.push_back(report.name + ": " + note);
  }
}

/// What whoever runs the Q/DQ file ought to know about its ranges.
void stamp(Graph& graph, const CalibrationTable& table, CalibrationMethod method, const std::string& forced) {
  graph.metadata[k_meta_calibration] = table.uncalibrated ? k_uncalibrated : "calibrated";
  graph.metadata[k_meta_method] = table.source.empty() ? std::string(name(method)) : table.source;
  graph.metadata[k_meta_model_hash] = table.model_hash;
  graph.metadata[k_meta_samples] = std::to_string(table.samples);
  if (!table.data_hash.empty()) graph.metadata[k_meta_data_hash] = table.data_hash;
  if (!table.preprocess.empty()) graph.metadata[k_meta_preprocess] = table.preprocess;
  if (!forced.empty()) graph.metadata[k_meta_forced] = forced;
}

}  // namespace

std::vector<std::string> lossy_repair_notes(const Model& model) {
  std::vector<std::string> notes = repair_notes(model.repairs(), true);
  const std::vector<std::string>& undefined = model.state().undefined;
  notes.insert(notes.end(), undefined.begin(), undefined.end());
  return notes;
}

std::string numpy_name(DType dtype) {
  switch (dtype) {
    case DType::f32: return "float32";
    case DType::f64: return "float64";
    case DType::f16: return "float16";
    case DType::bf16: return "bfloat16";
    case DType::s8: return "int8";
    case DType::u8: return "uint8";
    case DType::s16: return "int16";
    case DType::u16: return "uint16";
    case DType::s32: return "int32";
    case DType::u32: return "uint32";
    case DType::s64: return "int64";
    case DType::u64: return "uint64";
    case DType::boolean: return "bool";
    case DType::s4: return "int4";
    case DType::u4: return "uint4";
    case DType::f8e4m3fn: return "float8_e4m3fn";
    case DType::f8e4m3fnuz: return "float8_e4m3fnuz";
    case DType::f8e5m2: return "float8_e5m2";
    case DType::f8e5m2fnuz: return "float8_e5m2fnuz";
    case DType::f4e2m1: return "float4_e2m1fn";
    case DType::undefined: break;
  }
  return "undefined";
}

DType dtype_of_numpy(const std::string& word) {
  for (int i = 0; i <= static_cast<int>(DType::f4e2m1); ++i)
    if (const auto dtype = static_cast<DType>(i); numpy_name(dtype) == word) return dtype;
  return DType::undefined;
}

bool holds_quantization(const Graph& graph) {
  for (const Node& node : graph.nodes)
    if (is_op(node, "QuantizeLinear") || is_op(node, "DequantizeLinear")) return true;
  return false;
}

bool has_automatic(const CalibrationTable& table) {
  for (const TensorRange& row : table.tensors)
    if (!row.automatic) return false;
  return !table.tensors.empty();
}

std::optional<std::array<int64_t, 2>> picture_of(const std::string& preprocess) {
  const Result<Preprocess> spec = parse_preprocess(preprocess);  // a bad one is told where the data is opened
  if (!spec) return std::nullopt;
  if (spec->crop_w) return {{spec->crop_h, spec->crop_w}};
  if (spec->stretch_w) return {{spec->stretch_h, spec->stretch_w}};
  return std::nullopt;
}

Result<Graph> lower_to_calibrate(const Graph& clean, const Binding& binding, std::set<std::string> skip) {
  skip.insert({"fuse_channel_shuffle", "gather_parts", "join_gathers"});
  return lower(clean, binding, skip);
}

Result<Graph> lower(const Graph& clean, const Binding& binding, const std::set<std::string>& skip) {
  Graph graph = clean;
  if (const Result<Done> bound = bind_shapes(graph, binding); !bound) return bound.error();
  // Known shapes let the clean stage fold what a symbolic batch had kept alive. But values that calibration and
  // comparison know by name stay: shape changes that only now are seen to meet are left as they are, and so is what is
  // in front of a window that only now is seen to cover its image.
  std::set<std::string> left_out = skip;
  left_out.insert({"merge_reshapes", "merge_transposes", "pool_before_conv"});
  if (const auto cleaned = run_stage(graph, Stage::clean, left_out); !cleaned) return cleaned.error();
  if (const auto fused = run_stage(graph, Stage::fuse, skip); !fused) return fused.error();
  return graph;
}

namespace {

/// What to say of a file that does not read as ONNX, where it is or was meant to be a plan; nothing for others.
std::optional<Error> plan_in_its_place(const std::string& path, std::span<const std::byte> bytes) {
  const std::string again = "; copy it again, or build it again (octet build MODEL.onnx -o FILE)";
  if (looks_like_plan(bytes))
    return Error{ErrorCode::bad_argument, path +
                                              " is a plan, where an ONNX file is expected: a plan runs as it was "
                                              "built; give the model that it was built from"};
  const std::string size = std::to_string(bytes.size());
  if (looks_like_cut_plan(bytes))
    return Error{ErrorCode::bad_model, path + ": is a plan file cut off after " + size + " bytes" + again};
  if (!path.ends_with(".plan") && !path.ends_with(".engine")) return std::nullopt;
  if (bytes.empty()) return Error{ErrorCode::bad_model, path + ": the file is empty; expected a plan file" + again};
  return Error{ErrorCode::bad_model, path + ": is not a plan file of octet (its " + size +
                                         " bytes do not begin with 89 4F 43 54 50), nor an ONNX model" + again};
}

}  // namespace

Result<Model> Model::load(const std::string& path, const LoadOptions& options) {
  Result<std::shared_ptr<const MappedFile>> file = MappedFile::open(path);
  if (!file) return file.error();
  // A graph that needs mending need not verify yet.
  Result<OnnxModel> read =
      read_onnx(path, {.verify = !options.repair, .with_problems = true});  // names the path in its errors
  if (!read) {
    if (const std::optional<Error> plan = plan_in_its_place(path, (*file)->bytes())) return *plan;
    return read.error();
  }
  if (!read->problems.empty()) return within_each(path, all_problems(*std::move(read), options));
  auto state = std::make_shared<State>();
  state->path = path;
  state->file_bytes = static_cast<int64_t>((*file)->bytes().size());
  state->info = std::move(read->info);
  state->graph = std::move(read->graph);
  state->notes = state->info.notes;
  state->skip_passes = options.skip_passes;
  for (const Node& node : state->graph.nodes) ++state->file_ops[std::string(node.op->name)];
  if (options.check_tensorrt)
    state->file_findings =
        target_findings(state->graph, {state->info.opset, state->info.operator_forms, options.calibration_given});
  if (options.repair)
    if (const Result<Done> ok = repair_graph(*state, options); !ok) return within_each(path, ok.error());
  tell_of_training(*state);
  const Result<std::vector<PassReport>> cleaned = run_stage(state->graph, Stage::clean, options.skip_passes);
  if (!cleaned) return within(path, cleaned.error());
  add_notes(state->notes, *cleaned);
  state->quantized = holds_quantization(state->graph);
  if (quantizes_dynamically(state->graph))
    state->notes.push_back(path +
                           " quantizes dynamically (DynamicQuantizeLinear): it runs as it is, with ranges found in "
                           "each run for the whole batch; 'octet repair --recalibrate' gives it ranges from samples");
  state->hash = to_hex(hash_graph(state->graph));
  return Model(std::move(state));
}

const std::string& Model::path() const { return state_->path; }
bool Model::is_quantized() const { return state_->quantized; }
const std::vector<std::string>& Model::notes() const { return state_->notes; }
const std::string& Model::hash() const { return state_->hash; }
const std::vector<RepairEdit>& Model::repairs() const { return state_->repairs; }
const std::vector<TargetFinding>& Model::file_findings() const { return state_->file_findings; }
std::vector<TargetFinding> Model::findings() const { return target_findings(state_->graph, {}); }

std::string to_text(const TargetFinding& f) {
  return "R" + std::to_string(f.rule) + " " + f.severity + (f.node.empty() ? "" : ", node '" + f.node + "'") + ": " +
         f.message + (f.mend.empty() ? "" : " Mend: " + f.mend);
}

Result<Model> Model::float_form() const {
  if (!is_quantized() && !quantizes_dynamically(state_->graph))
    return Error{ErrorCode::bad_argument, path() + " is not quantized; calibrate it as it is"};
  auto state = std::make_shared<State>(*state_);
  RepairLog log;
  if (const Result<Done> ok = make_float(state->graph, log); !ok) return within(path(), ok.error());
  add_rows(*state, std::move(log.rows));
  const Result<std::vector<PassReport>> cleaned = run_stage(state->graph, Stage::clean, state->skip_passes);
  if (!cleaned) return within(path(), cleaned.error());
  state->quantized = false;
  state->hash = to_hex(hash_graph(state->graph));
  return Model(std::move(state));
}

std::vector<TensorInfo> Model::inputs() const {
  std::vector<TensorInfo> infos;
  for (const ValueId id : state_->graph.inputs) infos.push_back(tensor_info(state_->graph.value(id)));
  return infos;
}

std::vector<TensorInfo> Model::outputs() const {
  std::vector<TensorInfo> infos;
  for (const ValueId id : state_->graph.outputs) infos.push_back(tensor_info(state_->graph.value(id)));
  return infos;
}

std::string Model::text(bool elided) const { return print(state_->graph, {.elide_constants = elided}); }

Result<Done> Model::save(const std::string& path, int64_t opset) const {
  return write_onnx_file(path, state_->graph, {.opset = opset});
}

const std::map<std::string, std::string>& Model::metadata() const { return state_->graph.metadata; }

bool Model::is_uncalibrated() const {
  const auto at = metadata().find(k_meta_calibration);
  return at != metadata().end() && at->second == k_uncalibrated;
}

Result<Done> check_quantize_spec(const Model& model, const QuantizeSpec& spec) {
  if (!spec.method.empty() && !calibration_method_from_name(spec.method))
    return Error{ErrorCode::bad_argument,
                 "--method " + spec.method + ": unknown; known are max, entropy, percentile, mse and auto"};
  if (spec.target != "octet" && spec.target != "tensorrt")
    return Error{ErrorCode::bad_argument, "--target " + spec.target + ": unknown; use octet or tensorrt"};
  for (const std::string& wanted : spec.keep_float) {
    bool found = false;
    for (const Node& node : model.state().graph.nodes) found |= node.name == wanted;
    if (!found)
      return Error{ErrorCode::bad_argument,
                   "--keep-float " + wanted + ": no node has this name; octet inspect lists the names"};
  }
  return Done{};
}

Result<Quantized> quantize(const Model& model, const Ranges& ranges, const QuantizeSpec& spec) {
  if (const Result<Done> ok = check_quantize_spec(model, spec); !ok) return ok.error();
  if (model.is_quantized())
    return Error{ErrorCode::bad_argument, model.path() + " is quantized already (it holds Q/DQ nodes)"};
  const CalibrationTable& table = *ranges.table;
  std::string forced = table.forced;
  if (table.model_hash != model.hash() && forced.empty()) {
    forced = "the ranges were made for model " + table.model_hash + ", but " + model.path() + " is " + model.hash();
    if (!spec.force) return Error{ErrorCode::bad_argument, forced + "; calibrate this model again, or use --force"};
  }
  QuantizeOptions options;
  options.method = table.method;
  if (!spec.method.empty()) {
    options.method = *calibration_method_from_name(spec.method);
  }
  if (options.method == CalibrationMethod::automatic && !has_automatic(table))
    return Error{ErrorCode::bad_argument, "the ranges hold no choice of 'auto'; calibrate with --method auto"};
  options.target = spec.target == "tensorrt" ? Target::tensorrt : Target::octet;
  options.keep_float = spec.keep_float;
  options.float_values = spec.float_values;
  options.per_channel = spec.per_channel;

  auto state = std::make_shared<Model::State>(model.state());
  const Result<QuantizeReport> report = octet::quantize(state->graph, table, options);
  if (!report) return within(model.path(), report.error());
  if (report->quantized == 0 && quantizes_dynamically(model.state().graph))
    return Error{ErrorCode::bad_argument,
                 model.path() +
                     " is quantized already, dynamically (DynamicQuantizeLinear), and nothing else in it can "
                     "be: 'octet repair --recalibrate --calib-data PATH' gives it static ranges"};
  state->quantized = true;
  state->hash = to_hex(hash_graph(state->graph));
  stamp(state->graph, table, options.method, forced);
  Quantized made{Model(std::move(state)), report->notes, {}, report->quantized, report->total};
  if (options.method == CalibrationMethod::automatic && table.target != spec.target)
    made.notes.push_back("auto chose for target " + table.target + ", this file is for " + spec.target +
                         "; calibrate with --target " + spec.target);
  const auto with_channels =
      std::count_if(table.tensors.begin(), table.tensors.end(), [](const TensorRange& t) { return t.channels; });
  if (with_channels > 0 && !spec.per_channel)
    made.notes.push_back("the ranges hold the ends of channels of " + std::to_string(with_channels) +
                         " tensors: an integer layer takes one scale for its input, so they were not used; "
                         "--per-channel writes them as fake quantization");
  if (table.uncalibrated)
    made.notes.insert(made.notes.begin(), "UNCALIBRATED: the ranges come from noise; accuracy means nothing");
  if (!forced.empty()) made.notes.insert(made.notes.begin(), "forced: " + forced);
  for (const PlacementRow& row : report->rows) made.rows.push_back({row.node, row.op, row.decision});
  return made;
}

}  // namespace octet
