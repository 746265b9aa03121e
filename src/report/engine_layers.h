#pragma once
// Layer information and tensor values in the forms of trtexec's --exportLayerInfo, --dumpLayerInfo and --exportOutput.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace octet {

/// A tensor as a layer reads or writes it.
struct LayerTensor {
  std::string name;
  std::vector<int64_t> dims;
  std::string dtype;     // "float32", "int8", "uint8"
  std::string layout;    // "linear" (row-major) or "channel last"
  int64_t constant = 0;  // > 0: a constant of so many elements
};

/// One step of an engine, with what a reader of layer files may want to know.
struct LayerDetail {
  std::string name, type, parameter_type;    // "conv1", "QuantConv", "Convolution"
  std::string joined_name;                   // "conv1 + add1 + relu1": the file's nodes that the step does
  std::vector<std::string> origins;          // "conv1", "add1", "relu1"; none where octet made the step by itself
  std::vector<LayerTensor> inputs, outputs;  // activations only
  std::vector<LayerTensor> constants;        // weights first, then bias
  /// Numbers, lists and words in the order they are written: "Kernel", "Stride", ...
  using Setting = std::variant<int64_t, std::vector<int64_t>, std::string>;
  std::vector<std::pair<std::string, Setting>> settings;
  std::string tactic;
};

enum class LayerVerbosity { none, names, detailed };
/// {"Layers": [...], "Bindings": [...]}.
std::string layers_json(std::span<const LayerDetail> layers, std::span<const std::string> bindings,
                        LayerVerbosity verbosity);
/// "Layer(QuantConv): conv1 + relu1, Tactic: 0x..., x (Int8[1,64,8,8]) -> y (Int8[1,64,8,8])".
std::string layer_line(const LayerDetail& layer, LayerVerbosity verbosity);
/// What trtexec's readers know a tensor's type and order by: "Channel major Int8 format", "Row major linear FP32".
std::string format_text(const LayerTensor& tensor);

/// Values of one tensor with their shape.
struct NamedValues {
  std::string name;
  std::vector<int64_t> dims;
  std::string dtype;
  std::span<const std::byte> bytes;
};
/// "1x3x32x32"; empty for a scalar.
std::string dims_text(std::span<const int64_t> dims);
/// Six significant digits for floats, whole numbers otherwise, separated by `separator`.
std::string values_text(const NamedValues& values, const std::string& separator);
/// --exportOutput.
std::string outputs_json(std::span<const NamedValues> outputs);

}  // namespace octet
