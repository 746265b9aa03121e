#pragma once
// PyTorch and safetensors checkpoints -> float ONNX, and the ranges that a toolkit's quantized checkpoint carries.

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"

namespace octet {

struct ImportSpec {
  std::string checkpoint;         // .pth, .th, .pt, .safetensors
  std::string architecture = {};  // one of architecture_list(); empty with `onto`
  std::string onto = {};          // float ONNX file that gets the ranges, its layers found by their weights
  std::string output;             // ONNX file to write; with `onto` the ranges file
  std::string ranges = {};  // ranges file; empty = the output's name with .ranges.json, where the checkpoint has ranges
  std::string input_name = "input", output_name = "logits";
  int64_t batch = 0;  // 0 = free
  int64_t size = 0;   // height and width of the pictures; 0 = the architecture's own
  int64_t opset = 0;  // 0 = the lowest that expresses the graph, at least 13
};

struct ImportReport {
  std::string format;       // "PyTorch zip", ...
  int64_t tensors = 0;      // in the checkpoint
  int64_t parameters = 0;   // elements of the network's initializers
  std::string ranges_file;  // empty = the checkpoint has none
  int64_t ranges = 0;       // activations with a range
  std::vector<std::string> notes;
  std::vector<std::vector<std::string>> matches = {};  // with `onto`: node, layer, equal or scaled, range
};

/// What of it contradicts itself, before any file is read: an unknown architecture, flags that do not go together.
Result<Done> check_import(const ImportSpec& spec);
/// Writes the network and, where the checkpoint holds the toolkit's _amax keys, the ranges for `octet quantize
/// --ranges`. Errors: those of the files; keys missing, left over or of a wrong shape; nothing is written then.
Result<ImportReport> import_checkpoint(const ImportSpec& spec);
/// Writes the ranges of `onto` only. Error too: no layer is found in the network, or none has a range.
Result<ImportReport> import_ranges(const ImportSpec& spec);
std::string to_text(const ImportReport& report, const ImportSpec& spec);
std::string to_json(const ImportReport& report, const ImportSpec& spec);

/// "resnet18, resnet34, ..."
std::string architecture_list();

}  // namespace octet
