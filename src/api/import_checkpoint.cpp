#include <algorithm>
#include <nlohmann/json.hpp>

#include "api/state.h"
#include "checkpoint/match_weights.h"
#include "checkpoint/network.h"
#include "octet/checkpoint.h"
#include "octet/files.h"
#include "onnx/written_opset.h"
#include "quant/ranges.h"
#include "report/json_text.h"
#include "report/text_table.h"

namespace octet {
namespace {

std::string ranges_name(const ImportSpec& spec) {
  if (!spec.ranges.empty()) return spec.ranges;
  const std::string& onnx = spec.output;
  return (onnx.ends_with(".onnx") ? onnx.substr(0, onnx.size() - 5) : onnx) + ".ranges.json";
}

int64_t parameter_count(const Graph& graph) {
  int64_t count = 0;
  for (const Value& value : graph.values)
    if (value.constant && value.dtype == DType::f32) count += value.constant->size();
  return count;
}

/// A table that knows amax only (passes/choose_codes.h); tensors that the checkpoint has no range for stay float.
CalibrationTable table_of(const std::vector<std::pair<std::string, float>>& ranges, const Model& model,
                          const ImportSpec& spec) {
  CalibrationTable table;
  table.model_hash = model.hash();
  table.data = "the _amax values of " + spec.checkpoint;
  table.method = CalibrationMethod::max;
  for (const auto& [name, amax] : ranges) {
    TensorRange range;
    range.name = name;
    range.min = -amax;
    range.max = amax;
    range.by_method.fill(ChosenRange{.amax = amax, .lo = 0, .hi = 0});
    table.tensors.push_back(std::move(range));
  }
  return table;
}

/// With `onto` nothing is made that these could be of.
Result<Done> check_flags_of_ranges(const ImportSpec& spec) {
  const std::pair<const char*, bool> of_a_network[] = {
      {"--opset", spec.opset != 0},
      {"--batch", spec.batch != 0},
      {"--size", spec.size != 0},
      {"--ranges", !spec.ranges.empty()},
      {"--input-names", spec.input_name != ImportSpec().input_name},
      {"--output-names", spec.output_name != ImportSpec().output_name}};
  for (const auto& [flag, given] : of_a_network)
    if (given)
      return Error{ErrorCode::bad_argument, std::string(flag) + " belongs to --arch, which makes a network; --onto " +
                                                spec.onto + " only finds ranges for it: leave " + flag + " out"};
  return Done{};
}

}  // namespace

Result<Done> check_import(const ImportSpec& spec) {
  if (spec.architecture.empty() == spec.onto.empty())
    return Error{ErrorCode::bad_argument, "give --arch to make the network, or --onto FILE to find its layers there"};
  if (!spec.onto.empty()) return check_flags_of_ranges(spec);
  const auto known = architecture_names();
  if (std::find(known.begin(), known.end(), spec.architecture) == known.end())
    return Error{ErrorCode::bad_argument,
                 "architecture '" + spec.architecture + "' is unknown; known are " + architecture_list()};
  if (spec.input_name.find(',') != std::string::npos || spec.output_name.find(',') != std::string::npos)
    return Error{ErrorCode::bad_argument, "'" + spec.input_name + "' and '" + spec.output_name +
                                              "': the network has one input and one output; give one name for each"};
  if (spec.input_name.empty() || spec.output_name.empty() || spec.input_name == spec.output_name)
    return Error{ErrorCode::bad_argument, "--input-names '" + spec.input_name + "' and --output-names '" +
                                              spec.output_name + "': two names that differ are expected"};
  return check_written_opset(spec.opset);
}

Result<ImportReport> import_checkpoint(const ImportSpec& spec) {
  if (const Result<Done> ok = check_import(spec); !ok) return ok.error();
  for (const std::string& written : {spec.output, ranges_name(spec)})
    if (const Result<Done> ok = check_output(written, {spec.checkpoint}); !ok) return ok.error();
  const Result<Checkpoint> checkpoint = read_checkpoint(spec.checkpoint);
  if (!checkpoint) return checkpoint.error();
  const NetworkOptions options{
      .input_name = spec.input_name, .output_name = spec.output_name, .batch = spec.batch, .size = spec.size};
  Result<Network> network = build_network(*checkpoint, spec.architecture, options);
  if (!network) return within(spec.checkpoint, network.error());
  if (const Result<Done> done = write_onnx_file(spec.output, network->graph, {.opset = spec.opset}); !done)
    return done.error();
  ImportReport report{.format = checkpoint->format,
                      .tensors = static_cast<int64_t>(checkpoint->tensors.size()),
                      .parameters = parameter_count(network->graph),
                      .ranges_file = {},
                      .ranges = static_cast<int64_t>(network->amax.size()),
                      .notes = checkpoint->notes};
  report.notes.insert(report.notes.end(), network->notes.begin(), network->notes.end());
  if (network->amax.empty()) return report;
  // The table names the model by the hash of its clean form, which loading the written file gives.
  const Result<Model> model = Model::load(spec.output);
  if (!model) return model.error();
  const Ranges ranges{std::make_shared<const CalibrationTable>(table_of(network->amax, *model, spec))};
  report.ranges_file = ranges_name(spec);
  if (const Result<Done> saved = ranges.save(report.ranges_file); !saved) return saved.error();
  return report;
}

Result<ImportReport> import_ranges(const ImportSpec& spec) {
  if (const Result<Done> ok = check_import(spec); !ok) return ok.error();
  if (const Result<Done> ok = check_output(spec.output, {spec.checkpoint, spec.onto}); !ok) return ok.error();
  const Result<Checkpoint> checkpoint = read_checkpoint(spec.checkpoint);
  if (!checkpoint) return checkpoint.error();
  const Result<Model> model = Model::load(spec.onto);
  if (!model) return model.error();
  if (model->is_quantized())
    return Error{ErrorCode::bad_argument, spec.onto + " is quantized already; ranges go onto the float network"};
  const Result<WeightMatches> found = match_weights(*checkpoint, model->state().graph);
  if (!found) return within(spec.onto, found.error());
  if (found->amax.empty())
    return Error{ErrorCode::bad_argument, spec.checkpoint + ": " + std::to_string(found->layers.size()) +
                                              " layers are those of " + spec.onto +
                                              ", but none carries an _input_quantizer._amax"};
  ImportReport report{.format = checkpoint->format,
                      .tensors = static_cast<int64_t>(checkpoint->tensors.size()),
                      .ranges_file = spec.output,
                      .ranges = static_cast<int64_t>(found->amax.size()),
                      .notes = checkpoint->notes};
  report.notes.insert(report.notes.end(), found->notes.begin(), found->notes.end());
  for (std::string& note : lossy_repair_notes(*model)) report.notes.push_back(std::move(note));
  for (const MatchedLayer& m : found->layers)
    report.matches.push_back({m.node, m.layer, m.scaled ? "scaled" : "equal", m.amax < 0 ? "-" : fixed(m.amax, 6)});
  const Ranges ranges{std::make_shared<const CalibrationTable>(table_of(found->amax, *model, spec))};
  if (const Result<Done> saved = ranges.save(spec.output); !saved) return saved.error();
  return report;
}

std::string to_text(const ImportReport& report, const ImportSpec& spec) {
  if (!spec.onto.empty()) {
    std::vector<std::vector<std::string>> rows = {{"node", "layer", "weight", "range"}};
    rows.insert(rows.end(), report.matches.begin(), report.matches.end());
    return text_table(rows) + std::to_string(report.matches.size()) + " layers of " + spec.checkpoint + " found in " +
           spec.onto + ", ranges of " + std::to_string(report.ranges) + " activations, wrote " + spec.output +
           "; next: octet quantize " + spec.onto + " --ranges " + spec.output + " -o int8.onnx\n";
  }
  std::string text = spec.architecture + " from " + spec.checkpoint + " (" + report.format + ", " +
                     std::to_string(report.tensors) + " tensors): " + std::to_string(report.parameters) +
                     " parameters, wrote " + spec.output + "\n";
  if (!report.ranges_file.empty())
    text += "ranges of " + std::to_string(report.ranges) + " activations restored, wrote " + report.ranges_file +
            "; next: octet quantize " + spec.output + " --ranges " + report.ranges_file + " -o int8.onnx\n";
  return text;
}

std::string to_json(const ImportReport& report, const ImportSpec& spec) {
  nlohmann::ordered_json json = {{"checkpoint", spec.checkpoint},     {"format", report.format},
                                 {"architecture", spec.architecture}, {"tensors", report.tensors},
                                 {"parameters", report.parameters},   {"output", spec.output}};
  if (!spec.onto.empty()) {
    json["onto"] = spec.onto;
    for (const std::vector<std::string>& row : report.matches)
      json["matches"].push_back({{"node", row[0]}, {"layer", row[1]}, {"weight", row[2]}, {"range", row[3]}});
  }
  if (!report.ranges_file.empty()) json.update({{"ranges_file", report.ranges_file}, {"ranges", report.ranges}});
  json["notes"] = report.notes;
  return json_text(json);
}

std::string architecture_list() {
  std::string list;
  for (const std::string& name : architecture_names()) list += (list.empty() ? "" : ", ") + name;
  return list;
}

}  // namespace octet
