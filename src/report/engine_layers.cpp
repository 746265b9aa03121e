#include "report/engine_layers.h"

#include <cstdio>
#include <cstring>

#include "base/hash.h"
#include "report/text_table.h"
#include "tensor/half.h"

namespace octet {
namespace {

std::string quoted(const std::string& text) { return "\"" + json_escaped(text) + "\""; }

std::string list_text(std::span<const int64_t> values) {
  std::string text = "[";
  for (size_t i = 0; i < values.size(); ++i) text += (i ? "," : "") + std::to_string(values[i]);
  return text + "]";
}

/// The words that trtexec's readers count precisions by.
std::string type_word(const std::string& dtype) {
  if (dtype == "float32") return "FP32";
  if (dtype == "float16") return "FP16";
  if (dtype == "bfloat16") return "BFloat16";
  if (dtype == "int8") return "Int8";
  if (dtype == "uint8") return "UInt8";
  if (dtype == "int32") return "Int32";
  if (dtype == "int64") return "Int64";
  if (dtype == "bool") return "BOOL";
  return dtype;
}

/// Element types of constants have words of their own.
std::string constant_word(const std::string& dtype) {
  if (dtype == "float32") return "Float";
  if (dtype == "float16") return "Half";
  return type_word(dtype);
}

/// TensorRT has no unsigned codes inside a network, and its engine explorer counts what it does not know as no
/// precision at all: u8 codes are Int8 there, and a key of octet's own says that they are unsigned.
std::string tensor_json(const LayerTensor& tensor) {
  LayerTensor known = tensor;
  if (tensor.dtype == "uint8") known.dtype = "int8";
  return "{\n    \"Name\": " + quoted(tensor.name) + ",\n    \"Dimensions\": " + list_text(tensor.dims) +
         ",\n    \"Format/Datatype\": " + quoted(format_text(known)) +
         (tensor.dtype == "uint8" ? ",\n    \"Codes\": \"unsigned\"" : "") + "\n  }";
}

std::string tensors_json(std::span<const LayerTensor> tensors) {
  std::string text = "[";
  for (size_t i = 0; i < tensors.size(); ++i) text += (i ? ",\n  " : "\n  ") + tensor_json(tensors[i]);
  return text + "]";
}

std::string setting_json(const LayerDetail::Setting& setting) {
  if (const auto* number = std::get_if<int64_t>(&setting)) return std::to_string(*number);
  if (const auto* list = std::get_if<std::vector<int64_t>>(&setting)) return list_text(*list);
  return quoted(std::get<std::string>(setting));
}

/// The delimiter of TensorRT's Metadata, an ASCII record separator.
std::string metadata(const LayerDetail& layer) {
  std::string text;
  for (const std::string& origin : layer.origins)
    text += (text.empty() ? "" : "\x1e") + ("[ONNX Layer: " + origin + "]");
  return text;
}

std::string tactic_value(const LayerDetail& layer) {
  const uint64_t hash = hash_bytes(std::as_bytes(std::span(layer.tactic.data(), layer.tactic.size())));
  char text[24];
  std::snprintf(text, sizeof text, "0x%016llx", static_cast<unsigned long long>(hash));
  return text;
}

std::string layer_json(const LayerDetail& layer) {
  std::string text = "{\n  \"Name\": " + quoted(layer.joined_name) + ",\n  \"LayerType\": " + quoted(layer.type) +
                     ",\n  \"Inputs\": " + tensors_json(layer.inputs) +
                     ",\n  \"Outputs\": " + tensors_json(layer.outputs) +
                     ",\n  \"ParameterType\": " + quoted(layer.parameter_type);
  for (const auto& [key, setting] : layer.settings) text += ",\n  " + quoted(key) + ": " + setting_json(setting);
  const char* roles[] = {"Weights", "Bias"};
  for (size_t i = 0; i < layer.constants.size() && i < std::size(roles); ++i)
    text += ",\n  " + quoted(roles[i]) + ": {\"Type\": " + quoted(constant_word(layer.constants[i].dtype)) +
            ", \"Count\": " + std::to_string(layer.constants[i].constant) + "}";
  return text + ",\n  \"TacticName\": " + quoted(layer.tactic) +
         ",\n  \"TacticValue\": " + quoted(tactic_value(layer)) +
         ",\n  \"StreamId\": 0,\n  \"Metadata\": " + quoted(metadata(layer)) + "\n}";
}

std::string short_tensor(const LayerTensor& tensor) {
  return tensor.name + " (" + (tensor.dtype == "float32" ? "Float" : type_word(tensor.dtype)) + list_text(tensor.dims) +
         ")";
}

template <class T>
T element(const NamedValues& values, size_t i) {
  T value;
  std::memcpy(&value, values.bytes.data() + i * sizeof(T), sizeof(T));
  return value;
}

template <class T>
std::string joined(const NamedValues& values, const std::string& separator) {
  std::string text;
  for (size_t i = 0; i < values.bytes.size() / sizeof(T); ++i) {
    if (i) text += separator;
    if constexpr (std::is_floating_point_v<T>) {
      text += short_number(static_cast<double>(element<T>(values, i)));
    } else {
      text += std::to_string(element<T>(values, i));
    }
  }
  return text;
}

std::string halves(const NamedValues& values, const std::string& separator) {
  std::string text;
  for (size_t i = 0; i < values.bytes.size() / sizeof(uint16_t); ++i)
    text += (i ? separator : "") + short_number(static_cast<double>(half_to_float(element<uint16_t>(values, i))));
  return text;
}

}  // namespace

std::string format_text(const LayerTensor& tensor) {
  const std::string word = type_word(tensor.dtype);
  if (tensor.layout == "channel last") return "Channel major " + word + " format";
  if (word == "FP32" || word == "Int32" || word == "BOOL") return "Row major linear " + word;
  if (word == "Int8") return "Row major Int8 format";
  return "Row major linear " + word + " format";
}

std::string layers_json(std::span<const LayerDetail> layers, std::span<const std::string> bindings,
                        LayerVerbosity verbosity) {
  std::string text = "{\"Layers\": [";
  if (verbosity != LayerVerbosity::none)
    for (size_t i = 0; i < layers.size(); ++i)
      text += (i ? "\n," : "") +
              (verbosity == LayerVerbosity::detailed ? layer_json(layers[i]) : quoted(layers[i].joined_name));
  text += "\n],\n\"Bindings\": [";
  for (size_t i = 0; i < bindings.size(); ++i) text += (i ? "\n," : "") + quoted(bindings[i]);
  return text + "\n]}\n";
}

std::string layer_line(const LayerDetail& layer, LayerVerbosity verbosity) {
  if (verbosity != LayerVerbosity::detailed) return layer.joined_name;
  std::string text = "Layer(" + layer.type + "): " + layer.joined_name + ", Tactic: " + tactic_value(layer) + " (" +
                     layer.tactic + "), ";
  for (size_t i = 0; i < layer.inputs.size(); ++i) text += (i ? ", " : "") + short_tensor(layer.inputs[i]);
  text += " -> ";
  for (size_t i = 0; i < layer.outputs.size(); ++i) text += (i ? ", " : "") + short_tensor(layer.outputs[i]);
  return text;
}

std::string dims_text(std::span<const int64_t> dims) {
  std::string text;
  for (size_t i = 0; i < dims.size(); ++i) text += (i ? "x" : "") + std::to_string(dims[i]);
  return text;
}

std::string values_text(const NamedValues& values, const std::string& separator) {
  if (values.dtype == "float32") return joined<float>(values, separator);
  if (values.dtype == "float64") return joined<double>(values, separator);
  if (values.dtype == "float16") return halves(values, separator);
  if (values.dtype == "int8") return joined<int8_t>(values, separator);
  if (values.dtype == "uint8" || values.dtype == "bool") return joined<uint8_t>(values, separator);
  if (values.dtype == "int16") return joined<int16_t>(values, separator);
  if (values.dtype == "int32") return joined<int32_t>(values, separator);
  if (values.dtype == "int64") return joined<int64_t>(values, separator);
  return "";
}

std::string outputs_json(std::span<const NamedValues> outputs) {
  // JSON has no infinity and no NaN.
  const auto numbers = [](const NamedValues& output) {
    std::string list = values_text(output, ", ");
    if (!output.dtype.starts_with("float")) return list;
    for (const char* word : {"-nan", "nan", "-inf", "inf"})
      for (size_t at = list.find(word); at != std::string::npos; at = list.find(word, at))
        list.replace(at, std::strlen(word), "null");
    return list;
  };
  std::string text = "[\n";
  for (size_t i = 0; i < outputs.size(); ++i)
    text += std::string(i ? ", " : "  ") + "{ \"name\" : " + quoted(outputs[i].name) + "\n  , \"dimensions\" : \"" +
            dims_text(outputs[i].dims) + "\"\n  , \"values\" : [ " + numbers(outputs[i]) + " ]\n  }\n";
  return text + "]\n";
}

}  // namespace octet
