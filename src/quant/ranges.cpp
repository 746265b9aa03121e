#include "quant/ranges.h"

#include <bit>
#include <charconv>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <unordered_set>

namespace octet {
namespace {

using Json = nlohmann::json;

constexpr std::string_view k_format = "octet-ranges";
constexpr int k_version = 2;  // 1 lacks everything that read_extras reads

// ---- writing

std::string json_string(std::string_view text) {
  // Bytes that are not UTF-8 (a tensor name may hold any) are replaced rather than refused.
  return Json(std::string(text)).dump(-1, ' ', false, Json::error_handler_t::replace);
}

template <class T>
std::string shortest(T value) {
  char buffer[64];
  const std::to_chars_result end = std::to_chars(buffer, buffer + sizeof buffer, value);
  return std::string(buffer, end.ptr);
}

std::string bits_of(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  std::string text = "\"";
  for (int shift = 28; shift >= 0; shift -= 4) text += "0123456789abcdef"[(bits >> shift) & 15];
  return text + "\"";
}

void append_row(std::string& out, const char* key, const std::vector<float>& values) {
  out += std::string(", \"") + key + "\": [";
  for (size_t i = 0; i < values.size(); ++i) out += (i ? ", " : "") + shortest(values[i]);
  out += "]";
}

void append_channels(std::string& out, const ChannelRanges& channels) {
  out += ",\n     \"channels\": {\"axis\": " + std::to_string(channels.axis);
  append_row(out, "min", channels.min);
  append_row(out, "max", channels.max);
  out += "}";
}

void append_tensor(std::string& out, const TensorRange& tensor) {
  out += "    {\"name\": " + json_string(tensor.name) + ", \"count\": " + std::to_string(tensor.count);
  out += ", \"min\": " + shortest(tensor.min) + ", \"max\": " + shortest(tensor.max);
  out += ", \"bits\": [" + bits_of(tensor.min) + ", " + bits_of(tensor.max) + "],\n     \"methods\": {";
  bool first = true;
  for (const CalibrationMethod method : k_calibration_methods) {
    const ChosenRange& r = tensor.range(method);
    out += std::string(first ? "" : ",") + "\n       \"" + std::string(name(method)) +
           "\": {\"amax\": " + shortest(r.amax) + ", \"lo\": " + shortest(r.lo) + ", \"hi\": " + shortest(r.hi) +
           ", \"bits\": [" + bits_of(r.amax) + ", " + bits_of(r.lo) + ", " + bits_of(r.hi) + "]}";
    first = false;
  }
  if (tensor.automatic) {
    const ChosenRange& r = *tensor.automatic;
    out += ",\n       \"auto\": {\"amax\": " + shortest(r.amax) + ", \"lo\": " + shortest(r.lo) +
           ", \"hi\": " + shortest(r.hi) + ", \"bits\": [" + bits_of(r.amax) + ", " + bits_of(r.lo) + ", " +
           bits_of(r.hi) + "], \"from\": " + json_string(tensor.automatic_from) + "}";
  }
  out += "}";
  if (tensor.channels) append_channels(out, *tensor.channels);
  out += "}";
}

// ---- reading: the first mistake is kept, later reads give zeros

class Reader {
 public:
  bool failed() const { return !message_.empty(); }
  Error error() const { return {ErrorCode::bad_argument, message_}; }
  void fail(const std::string& what) {
    if (message_.empty()) message_ = "ranges table: " + what;
  }

  const Json* member(const Json& object, const char* key, const std::string& where) {
    if (failed()) return nullptr;
    if (!object.is_object()) {
      fail(where + " must be an object, it is " + object.type_name());
      return nullptr;
    }
    const auto found = object.find(key);
    if (found != object.end()) return &*found;
    fail(where + ": key '" + key + "' is missing");
    return nullptr;
  }

  std::string text(const Json& object, const char* key, const std::string& where) {
    const Json* value = member(object, key, where);
    if (!value) return {};
    if (value->is_string()) return value->get<std::string>();
    wrong_kind(*value, key, where, "a string");
    return {};
  }

  double number(const Json& object, const char* key, const std::string& where) {
    const Json* value = member(object, key, where);
    if (!value) return 0;
    if (!value->is_number()) {
      wrong_kind(*value, key, where, "a number");
      return 0;
    }
    const auto number = value->get<double>();
    if (!std::isfinite(number)) fail(where + ": '" + key + "' is not finite");
    return number;
  }

  uint64_t count(const Json& object, const char* key, const std::string& where) {
    const Json* value = member(object, key, where);
    if (!value) return 0;
    if (value->is_number_unsigned()) return value->get<uint64_t>();
    wrong_kind(*value, key, where, "a whole number >= 0");
    return 0;
  }

  /// The float under key; bits[index], where there are bits, is the authority, and the decimal must say the same.
  float value(const Json& object, const char* key, size_t index, size_t of, const std::string& where) {
    const double decimal = number(object, key, where);
    if (failed()) return 0;
    const float rounded = static_cast<float>(decimal);
    if (!std::isfinite(rounded)) {
      fail(where + ": '" + key + "' does not fit a float");
      return 0;
    }
    const auto bits = object.find("bits");
    if (bits == object.end()) return rounded;
    if (!bits->is_array() || bits->size() != of || !(*bits)[index].is_string()) {
      fail(where + ": 'bits' must be an array of " + std::to_string(of) + " strings of 8 hex digits");
      return 0;
    }
    return checked_bits((*bits)[index].get<std::string>(), rounded, key, where);
  }

 private:
  void wrong_kind(const Json& value, const char* key, const std::string& where, const char* wanted) {
    fail(where + ": '" + key + "' must be " + wanted + ", it is " +
         value.dump(-1, ' ', false, Json::error_handler_t::replace));
  }

  float checked_bits(const std::string& hex, float decimal, const char* key, const std::string& where) {
    uint32_t bits = 0;
    const std::from_chars_result end = std::from_chars(hex.data(), hex.data() + hex.size(), bits, 16);
    if (hex.size() != 8 || end.ec != std::errc() || end.ptr != hex.data() + hex.size()) {
      fail(where + ": bits '" + hex + "' of '" + key + "' are not 8 hex digits");
      return 0;
    }
    const auto exact = std::bit_cast<float>(bits);
    // Going through double may round a shortest decimal to the neighbour; anything further is an edited number.
    constexpr float k_infinity = std::numeric_limits<float>::infinity();
    const bool agree = exact == decimal || std::nextafter(exact, k_infinity) == decimal ||
                       std::nextafter(exact, -k_infinity) == decimal;
    if (!agree) {
      fail(where + ": '" + key + "' is " + shortest(decimal) + ", but its bits '" + hex +
           "' say otherwise; to edit a range by hand remove 'bits'");
      return 0;
    }
    return exact;
  }

  std::string message_;
};

ChosenRange read_range(Reader& reader, const Json& object, const std::string& where) {
  ChosenRange range;
  range.amax = reader.value(object, "amax", 0, 3, where);
  range.lo = reader.value(object, "lo", 1, 3, where);
  range.hi = reader.value(object, "hi", 2, 3, where);
  if (range.amax < 0) reader.fail(where + ": 'amax' is negative");
  if (range.lo > 0 || range.hi < 0) reader.fail(where + ": 'lo' <= 0 <= 'hi' must hold, so that zero has a code");
  return range;
}

std::vector<float> read_row(Reader& reader, const Json& object, const char* key, const std::string& where) {
  std::vector<float> values;
  const Json* row = reader.member(object, key, where);
  if (!row) return values;
  if (!row->is_array()) reader.fail(where + ": '" + key + "' must be an array of numbers");
  for (const Json& value : *row) {
    if (!value.is_number() || !std::isfinite(value.get<float>())) {
      reader.fail(where + ": '" + key + "' holds something that is no finite float");
      break;
    }
    values.push_back(value.get<float>());
  }
  return values;
}

std::optional<ChannelRanges> read_channels(Reader& reader, const Json& tensor, const std::string& where) {
  const auto found = tensor.find("channels");
  if (found == tensor.end() || reader.failed()) return std::nullopt;
  ChannelRanges channels;
  channels.axis = static_cast<int64_t>(reader.count(*found, "axis", where + " channels"));
  channels.min = read_row(reader, *found, "min", where + " channels");
  channels.max = read_row(reader, *found, "max", where + " channels");
  if (channels.min.size() != channels.max.size()) reader.fail(where + " channels: 'min' and 'max' differ in length");
  for (size_t c = 0; c < std::min(channels.min.size(), channels.max.size()); ++c)
    if (channels.min[c] > channels.max[c])
      reader.fail(where + " channels: 'min' is above 'max' for channel " + std::to_string(c));
  return channels;
}

TensorRange read_tensor(Reader& reader, const Json& object, size_t index) {
  TensorRange tensor;
  std::string where = "tensors[" + std::to_string(index) + "]";
  tensor.name = reader.text(object, "name", where);
  if (!reader.failed()) where += " '" + tensor.name + "'";
  tensor.count = reader.count(object, "count", where);
  tensor.min = reader.value(object, "min", 0, 2, where);
  tensor.max = reader.value(object, "max", 1, 2, where);
  if (tensor.min > tensor.max) reader.fail(where + ": 'min' is above 'max'");
  const Json* methods = reader.member(object, "methods", where);
  if (!methods) return tensor;
  for (const CalibrationMethod method : k_calibration_methods) {
    const std::string word(name(method));
    const Json* range = reader.member(*methods, word.c_str(), where + " methods");
    if (range)
      tensor.by_method[static_cast<size_t>(method)] = read_range(reader, *range, where + " method '" + word + "'");
  }
  const auto automatic = methods->find("auto");
  if (automatic != methods->end() && !reader.failed()) {
    tensor.automatic = read_range(reader, *automatic, where + " method 'auto'");
    tensor.automatic_from = reader.text(*automatic, "from", where + " method 'auto'");
  }
  tensor.channels = read_channels(reader, object, where);
  return tensor;
}

void read_extras(Reader& reader, const Json& root, CalibrationTable& table) {
  const std::string where = "top level";
  table.octet_version = reader.text(root, "octet_version", where);
  table.source = reader.text(root, "source", where);
  table.forced = reader.text(root, "forced", where);
  table.target = reader.text(root, "target", where);
  table.bins = static_cast<int>(std::min<uint64_t>(reader.count(root, "bins", where), 1u << 20));
  const Json* uncalibrated = reader.member(root, "uncalibrated", where);
  if (uncalibrated && !uncalibrated->is_boolean()) reader.fail("'uncalibrated' must be true or false");
  table.uncalibrated = uncalibrated && uncalibrated->is_boolean() && uncalibrated->get<bool>();
}

void read_header(Reader& reader, const Json& root, CalibrationTable& table) {
  const std::string where = "top level";
  const std::string format = reader.text(root, "format", where);
  if (format != k_format) reader.fail("'format' is '" + format + "', expected '" + std::string(k_format) + "'");
  const uint64_t version = reader.count(root, "version", where);
  if (version < 1 || version > k_version)
    reader.fail("version " + std::to_string(version) + " is not known; this octet reads versions 1 and " +
                std::to_string(k_version));
  table.model_hash = reader.text(root, "model_hash", where);
  table.data = reader.text(root, "data", where);
  table.data_hash = reader.text(root, "data_hash", where);
  table.preprocess = reader.text(root, "preprocess", where);
  const uint64_t samples = reader.count(root, "samples", where);
  if (samples > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) reader.fail("'samples' is too large");
  table.samples = static_cast<int64_t>(samples);
  const std::string word = reader.text(root, "method", where);
  const std::optional<CalibrationMethod> method = calibration_method_from_name(word);
  if (!method) reader.fail("method '" + word + "' is not known; known are max, entropy, percentile, mse, auto");
  table.method = method.value_or(CalibrationMethod::entropy);
  table.percentile = reader.number(root, "percentile", where);
  if (!(table.percentile >= 0 && table.percentile <= 100)) reader.fail("'percentile' must lie in [0, 100]");
  if (version >= 2) read_extras(reader, root, table);
}

}  // namespace

const TensorRange* CalibrationTable::find(std::string_view tensor_name) const {
  for (const TensorRange& tensor : tensors) {
    if (tensor.name == tensor_name) return &tensor;
  }
  return nullptr;
}

std::string to_json(const CalibrationTable& table) {
  std::string out = "{\n  \"format\": " + json_string(k_format) + ",\n  \"version\": " + std::to_string(k_version);
  out += ",\n  \"model_hash\": " + json_string(table.model_hash) + ",\n  \"data\": " + json_string(table.data);
  out +=
      ",\n  \"data_hash\": " + json_string(table.data_hash) + ",\n  \"preprocess\": " + json_string(table.preprocess);
  out += ",\n  \"samples\": " + std::to_string(table.samples) + ",\n  \"method\": " + json_string(name(table.method));
  out += ",\n  \"percentile\": " + shortest(table.percentile) + ",\n  \"bins\": " + std::to_string(table.bins);
  out +=
      ",\n  \"octet_version\": " + json_string(table.octet_version) + ",\n  \"source\": " + json_string(table.source);
  out += std::string(",\n  \"uncalibrated\": ") + (table.uncalibrated ? "true" : "false");
  out += ",\n  \"forced\": " + json_string(table.forced) + ",\n  \"target\": " + json_string(table.target);
  out += ",\n  \"tensors\": [";
  for (size_t i = 0; i < table.tensors.size(); ++i) {
    out += i ? ",\n" : "\n";
    append_tensor(out, table.tensors[i]);
  }
  return out + (table.tensors.empty() ? "]\n}\n" : "\n  ]\n}\n");
}

Result<CalibrationTable> ranges_from_json(std::string_view text) {
  const Json root = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  Reader reader;
  CalibrationTable table;
  if (root.is_discarded()) {
    reader.fail("not JSON; expected the file that 'octet calibrate -o' writes");
    return reader.error();
  }
  read_header(reader, root, table);
  const Json* tensors = reader.member(root, "tensors", "top level");
  if (tensors && !tensors->is_array()) reader.fail("'tensors' must be an array");
  if (reader.failed()) return reader.error();
  std::unordered_set<std::string> names;
  for (size_t i = 0; i < tensors->size() && !reader.failed(); ++i) {
    table.tensors.push_back(read_tensor(reader, (*tensors)[i], i));
    const std::string& tensor_name = table.tensors.back().name;
    if (!names.insert(tensor_name).second) reader.fail("tensor '" + tensor_name + "' occurs twice");
  }
  if (reader.failed()) return reader.error();
  return table;
}

}  // namespace octet
