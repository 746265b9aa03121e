#pragma once
// What a model holds and where it would run.

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace octet {

struct TensorInfo {
  std::string name, shape, dtype;  // "[N,3,32,32]", "float32"
  std::string format = "LINEAR (row-major)";
};

struct LayerInfo {
  std::string name, op, output, shape, dtype, tactic;
  double mmac = 0;  // multiply-accumulates in millions for one image batch as bound
};

struct Inspection {
  std::string path, producer;
  int64_t ir_version = 0, opset = 0, parameters = 0, file_bytes = 0;
  std::vector<TensorInfo> inputs, outputs;
  std::map<std::string, int64_t> ops;                           // of the file as read
  std::vector<LayerInfo> layers;                                // of the plan: one line per step
  std::vector<std::string> target_findings;                     // TensorRT's rules, when asked for
  std::vector<std::pair<std::string, std::string>> provenance;  // of a plan: key and value
  std::vector<std::string> findings;                            // tolerated oddities, what each pass changed
};

std::string to_text(const Inspection& inspection);
std::string to_json(const Inspection& inspection);

}  // namespace octet
