#include <algorithm>
#include <array>
#include <filesystem>

#include "base/diagnostics.h"
#include "ir/op.h"
#include "onnx/importer.h"
#include "onnx/inline.h"
#include "onnx/refuse.h"

namespace octet {
namespace {

/// Operators whose form or meaning is another one from an opset on, with those opsets. Source: the versions of ONNX's
/// operator schemas between 7 and 28, without those that only took in more types or absent attributes.
struct Changed {
  std::string_view op;
  std::array<int64_t, 2> in;  // 0 = none
};
constexpr Changed k_changed[] = {
    {"Softmax", {13, 0}},
    {"LogSoftmax", {13, 0}},
    {"Hardmax", {13, 0}},
    {"GridSample", {20, 0}},
    {"Clip", {11, 0}},
    {"Dropout", {12, 0}},
    {"Pad", {11, 0}},
    {"Slice", {10, 0}},
    {"Split", {13, 18}},
    {"Squeeze", {13, 0}},
    {"Unsqueeze", {13, 0}},
    {"ReduceSum", {13, 0}},
    {"ReduceL1", {18, 0}},
    {"ReduceL2", {18, 0}},
    {"ReduceLogSum", {18, 0}},
    {"ReduceLogSumExp", {18, 0}},
    {"ReduceMax", {18, 0}},
    {"ReduceMean", {18, 0}},
    {"ReduceMin", {18, 0}},
    {"ReduceProd", {18, 0}},
    {"ReduceSumSquare", {18, 0}},
    {"TopK", {10, 11}},
    {"Resize", {11, 0}},
    {"Upsample", {9, 0}},
    {"BatchNormalization", {9, 14}},
    {"GroupNormalization", {21, 0}},
    {"QuantizeLinear", {13, 0}},
    {"DequantizeLinear", {13, 0}},
};

bool differs_between(std::string_view op, int64_t a, int64_t b) {
  const auto [low, high] = std::minmax(a, b);
  for (const Changed& each : k_changed)
    for (const int64_t opset : each.in)
      if (each.op == op && low < opset && opset <= high) return true;
  return false;
}

/// Functions that a node calls and whose opset octet does not read: one error each.
std::vector<Error> function_problems(const ProtoModel& model) {
  std::vector<Error> problems;
  for (const ProtoFunction& f : model.functions) {
    const Result<Done> ok = f.opset == 0 ? Done{} : check_opset("function '" + std::string(f.name) + "'", f.opset);
    if (ok) continue;
    const auto calls = [&](const ProtoNode& node) { return node.op_type == f.name && node.domain == f.domain; };
    std::vector<const ProtoNode*> nodes;
    for (const ProtoNode& node : model.graph.nodes) nodes.push_back(&node);
    for (const ProtoFunction& other : model.functions)
      for (const ProtoNode& node : other.nodes) nodes.push_back(&node);
    const auto call = std::find_if(nodes.begin(), nodes.end(), [&](const ProtoNode* node) { return calls(*node); });
    if (call != nodes.end()) problems.push_back(within(place_of(**call), ok.error()));
  }
  return problems;
}

void tell_of_functions(const ProtoModel& model, int64_t opset, OnnxInfo& info) {
  tell_of_other_opsets(model.graph.nodes, opset, info);
  for (const ProtoFunction& f : model.functions)
    if (f.opset != 0 && f.opset != opset)
      info.notes.push_back("function '" + std::string(f.name) + "' is of opset " + std::to_string(f.opset) +
                           " in a file of opset " + std::to_string(opset) +
                           ": its nodes mean what its own opset says, as ONNX has it; ONNX Runtime reads them "
                           "by the file's");
}

Result<OnnxModel> read_and_verify(ByteSpan bytes, std::shared_ptr<const void> keep_alive,
                                  std::optional<std::string> folder, const OnnxReadOptions& options) {
  Result<OnnxModel> model = options.with_problems
                                ? import_with_problems(bytes, std::move(keep_alive), std::move(folder))
                                : import_onnx(bytes, std::move(keep_alive), std::move(folder));
  if (!model || !options.verify || !model->problems.empty()) return model;
  if (Result<Done> ok = verify(model->graph); !ok) return ok.error();
  return model;
}

/// What a file that is no ONNX model begins as, for people who gave another file of theirs.
struct Beginning {
  size_t at;
  std::string_view bytes, of;
};
constexpr Beginning k_beginnings[] = {
    {0, std::string_view("PK\x03\x04"), "a zip archive, as PyTorch's checkpoints are: octet import reads those"},
    {0, std::string_view("\x80\x02"), "a Python pickle, as PyTorch's older checkpoints are: octet import reads those"},
    {0, std::string_view("\xff\xd8\xff"), "a JPEG picture"},
    {0, std::string_view("\x89PNG"), "a PNG picture"},
    {0, std::string_view("BM"), "a BMP picture"},
    {0, std::string_view("\x93NUMPY"), "a NumPy array"},
    {0, std::string_view("\x89HDF"), "an HDF5 file, as Keras writes them: convert it with tf2onnx"},
    {4, std::string_view("TFL3"), "a TensorFlow Lite model: convert it with tf2onnx"},
    {0, std::string_view("ftrt"), "a TensorRT engine: give the ONNX file that it was built from"},
    {0, std::string_view("<?xml"), "an XML file"},
    {0, std::string_view("{"), "a JSON file, as octet's ranges are"},
};

Error told_what_it_is(Error error, ByteSpan bytes) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  for (const Beginning& known : k_beginnings)
    if (text.size() >= known.at && text.substr(known.at).starts_with(known.bytes)) {
      error.message += "; it begins as " + std::string(known.of);
      break;
    }
  return error;
}

}  // namespace

void tell_of_other_opsets(const std::vector<ProtoNode>& nodes, int64_t opset, OnnxInfo& info) {
  for (const ProtoNode& node : nodes) {
    if (node.opset == 0 || node.opset == opset || (!node.domain.empty() && node.domain != "ai.onnx") ||
        !differs_between(node.op_type, node.opset, opset))
      continue;
    const std::string_view named = node.name.empty() && !node.outputs.empty() ? node.outputs[0] : node.name;
    info.edits.push_back({"function_opset", std::string(named),
                          std::string(node.op_type) + " in a function of opset " + std::to_string(node.opset) +
                              ", the file is of opset " + std::to_string(opset),
                          "read as opset " + std::to_string(node.opset) + " has it",
                          "ONNX Runtime reads it as opset " + std::to_string(opset) +
                              " has it; ONNX wants both to be the same: export the function in the file's opset"});
  }
}

Result<OnnxModel> import_onnx(ByteSpan bytes, std::shared_ptr<const void> keep_alive,
                              std::optional<std::string> folder) {
  Result<OnnxModel> model = import_with_problems(bytes, std::move(keep_alive), std::move(folder));
  if (model && !model->problems.empty()) return join_problems(std::move(model->problems));
  return model;
}

Result<OnnxModel> import_with_problems(ByteSpan bytes, std::shared_ptr<const void> keep_alive,
                                       std::optional<std::string> folder) {
  Result<ProtoModel> proto = parse_model(bytes);
  if (!proto) return told_what_it_is(proto.error(), bytes);
  std::vector<Error> of_functions = function_problems(*proto);
  if (Result<Done> ok = inline_functions(*proto, bytes.data()); !ok) {
    of_functions.push_back(ok.error());
    return join_problems(std::move(of_functions));
  }
  Result<OnnxModel> model = Importer(*proto, TensorReader(bytes, std::move(keep_alive), std::move(folder))).run();
  if (!model) {
    of_functions.push_back(model.error());
    return join_problems(std::move(of_functions));
  }
  model->problems.insert(model->problems.begin(), of_functions.begin(), of_functions.end());
  tell_of_functions(*proto, model->info.opset, model->info);
  return model;
}

Result<OnnxModel> read_onnx(std::span<const std::byte> bytes, std::shared_ptr<const void> keep_alive,
                            const OnnxReadOptions& options) {
  return read_and_verify(bytes, std::move(keep_alive), {}, options);
}

Result<OnnxModel> read_onnx(const std::string& path, const OnnxReadOptions& options) {
  Result<std::shared_ptr<const MappedFile>> file = MappedFile::open(path);
  if (!file) return file.error();
  const std::string folder = std::filesystem::path(path).parent_path().string();
  Result<OnnxModel> model = read_and_verify((*file)->bytes(), *file, folder.empty() ? "." : folder, options);
  if (!model) return within_each(path, model.error());
  return model;
}

}  // namespace octet
