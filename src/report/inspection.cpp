#include "report/inspection.h"

#include <nlohmann/json.hpp>

#include "report/json_text.h"
#include "report/text_table.h"

namespace octet {
namespace {

nlohmann::ordered_json tensors_json(const std::vector<TensorInfo>& tensors) {
  nlohmann::ordered_json j = nlohmann::ordered_json::array();
  for (const TensorInfo& t : tensors)
    j.push_back({{"name", t.name}, {"shape", t.shape}, {"dtype", t.dtype}, {"format", t.format}});
  return j;
}

std::string tensors_text(const char* title, const std::vector<TensorInfo>& tensors) {
  std::string text = std::string(title) + "\n";
  for (const TensorInfo& t : tensors)
    text += "  Tensor Name: " + t.name + " Shape: " + t.shape + " Data Type: " + t.dtype + " Data Format: " + t.format +
            "\n";
  return text;
}

}  // namespace

std::string to_text(const Inspection& in) {
  const std::string opset = in.opset > 0 ? ", opset " + std::to_string(in.opset) : "";
  std::string text = in.path + "\n  producer " + (in.producer.empty() ? "unknown" : in.producer) + opset + ", " +
                     fixed(static_cast<double>(in.parameters) / 1e6, 3) + " M parameters, " +
                     fixed(static_cast<double>(in.file_bytes) / 1048576.0, 2) + " MiB\n\n";
  text += tensors_text("Input Tensor:", in.inputs) + tensors_text("Output Tensor:", in.outputs) + "\n";
  std::vector<std::vector<std::string>> rows = {{"Where the plan comes from", ""}};
  for (const auto& [key, value] : in.provenance)
    if (key != "notes") rows.push_back({key, value});
  if (rows.size() > 1) text += text_table(rows) + "\n";
  rows = {{"Op in the file", "Count"}};
  for (const auto& [op, count] : in.ops) rows.push_back({op, std::to_string(count)});
  text += text_table(rows) + "\n";
  rows = {{"Step", "Op", "Output", "Type", "MMAC", "Runs as"}};
  for (const LayerInfo& l : in.layers)
    rows.push_back({l.name, l.op, l.shape, l.dtype, l.mmac > 0 ? fixed(l.mmac, 2) : "", l.tactic});
  text += text_table(rows);
  if (!in.target_findings.empty()) {
    text += "\nTensorRT\n";
    for (const std::string& f : in.target_findings) text += "  " + f + "\n";
  }
  if (!in.findings.empty()) {
    text += "\nFindings\n";
    for (const std::string& f : in.findings) text += "  " + f + "\n";
  }
  return text;
}

std::string to_json(const Inspection& in) {
  nlohmann::ordered_json j;
  j["model"] = in.path;
  j["producer"] = in.producer;
  j["ir_version"] = in.ir_version;
  j["opset"] = in.opset;
  j["parameters"] = in.parameters;
  j["file_bytes"] = in.file_bytes;
  j["inputs"] = tensors_json(in.inputs);
  j["outputs"] = tensors_json(in.outputs);
  j["ops"] = in.ops;
  j["layers"] = nlohmann::ordered_json::array();
  for (const LayerInfo& l : in.layers)
    j["layers"].push_back({{"name", l.name},
                           {"op", l.op},
                           {"output", l.output},
                           {"shape", l.shape},
                           {"dtype", l.dtype},
                           {"mmac", l.mmac},
                           {"tactic", l.tactic}});
  if (!in.target_findings.empty()) j["tensorrt"] = in.target_findings;
  for (const auto& [key, value] : in.provenance) j["provenance"][key] = value;
  j["findings"] = in.findings;
  return json_text(j);
}

}  // namespace octet
