// Reads a QuantDescriptor: YAML is first made a tree of JSON values, so that both have one reader and one set of
// errors.
#include <yaml-cpp/yaml.h>

#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>
#include <set>

#include "quant/descriptor.h"

namespace octet {
namespace {

using Json = nlohmann::json;

constexpr size_t k_most_text = size_t{1} << 24;  // bytes
constexpr int k_most_depth = 12;                 // lists in lists; a tensor's rank
constexpr int k_most_nodes = 1 << 20;            // aliases can make a small text a huge tree

Error bad(std::string message) { return {ErrorCode::bad_argument, "QuantDescriptor: " + std::move(message)}; }

std::string shown(const Json& value) {
  std::string text = value.dump(-1, ' ', false, Json::error_handler_t::replace);
  if (text.size() > 60) text = text.substr(0, 57) + "...";
  return text;
}

// ---- YAML to JSON values

/// A plain scalar by the rules of YAML 1.1 that PyYAML follows, as far as descriptors need them.
Json resolved(const std::string& text) {
  static const std::set<std::string> nulls = {"", "~", "null", "Null", "NULL"};
  static const std::set<std::string> trues = {"true", "True", "TRUE", "yes", "Yes", "YES", "on", "On", "ON"};
  static const std::set<std::string> falses = {"false", "False", "FALSE", "no", "No", "NO", "off", "Off", "OFF"};
  if (nulls.contains(text)) return nullptr;
  if (trues.contains(text)) return true;
  if (falses.contains(text)) return false;
  const char* begin = text.data() + (text[0] == '+' ? 1 : 0);
  const char* end = text.data() + text.size();
  int64_t integer = 0;
  if (const auto read = std::from_chars(begin, end, integer); read.ec == std::errc() && read.ptr == end) return integer;
  const bool numeric =
      begin != end && (std::isdigit(static_cast<unsigned char>(*begin)) || *begin == '-' || *begin == '.');
  double number = 0;
  if (const auto read = std::from_chars(begin, end, number); numeric && read.ec == std::errc() && read.ptr == end) {
    return number;
  }
  return text;
}

Result<Json> to_json_value(const YAML::Node& node, int depth, int& nodes) {
  if (depth > k_most_depth || ++nodes > k_most_nodes) return bad("nested too deeply or too large for a descriptor");
  switch (node.Type()) {
    case YAML::NodeType::Scalar: return node.Tag() == "?" ? resolved(node.Scalar()) : Json(node.Scalar());
    case YAML::NodeType::Sequence: {
      Json list = Json::array();
      for (const YAML::Node& item : node) {
        Result<Json> value = to_json_value(item, depth + 1, nodes);
        if (!value) return value;
        list.push_back(*std::move(value));
      }
      return list;
    }
    case YAML::NodeType::Map: {
      Json object = Json::object();
      for (const auto& item : node) {
        if (!item.first.IsScalar()) return bad("a key is not a word");
        if (object.contains(item.first.Scalar())) return bad("key '" + item.first.Scalar() + "' occurs twice");
        Result<Json> value = to_json_value(item.second, depth + 1, nodes);
        if (!value) return value;
        object[item.first.Scalar()] = *std::move(value);
      }
      return object;
    }
    default: return Json(nullptr);
  }
}

// ---- one field each

Error wrong(const char* key, const char* wanted, const Json& value) {
  return bad(std::string(key) + " must be " + wanted + ", not " + shown(value));
}

Result<Done> read_bool(const Json& value, const char* key, bool& out) {
  if (!value.is_boolean()) return wrong(key, "true or false", value);
  out = value.get<bool>();
  return Done{};
}

Result<Done> read_bits(const Json& value, NumBits& out) {
  if (value.is_array() && value == Json::array({4, 3})) {
    out = NumBits::e4m3();
    return Done{};
  }
  if (!value.is_number_integer()) return wrong("num_bits", "a postive integer or tuple (4,3)", value);
  const auto bits = value.get<int64_t>();
  out = static_cast<int>(std::clamp<int64_t>(bits, -1, 1000));
  return bits < 0 ? Result<Done>(bad("num_bits must be > 0, not " + std::to_string(bits) + ".")) : Done{};
}

Result<Done> read_axis(const Json& value, std::optional<std::vector<int64_t>>& out) {
  if (value.is_null()) return Done{};
  const Json list = value.is_array() ? value : Json::array({value});
  std::vector<int64_t> axes;
  for (const Json& axis : list) {
    if (!axis.is_number_integer()) return wrong("axis", "an integer or a list of integers", value);
    if (axis.is_number_unsigned() && axis.get<uint64_t>() > INT64_MAX)
      return wrong("axis", "the number of a dimension", value);
    axes.push_back(axis.get<int64_t>());
  }
  out = axes;
  return Done{};
}

Result<Done> read_numbers(const Json& value, size_t depth, Dims& dims, std::vector<float>& out) {
  if (depth > static_cast<size_t>(k_most_depth)) return bad("amax is nested too deeply");
  if (value.is_array()) {
    if (depth == dims.size() && out.empty()) dims.push_back(static_cast<int64_t>(value.size()));
    if (depth >= dims.size() || dims[depth] != static_cast<int64_t>(value.size()))
      return wrong("amax", "an even list of lists", value);
    for (const Json& item : value) {
      if (Result<Done> read = read_numbers(item, depth + 1, dims, out); !read) return read;
    }
    return Done{};
  }
  if (!value.is_number_float()) return wrong("amax", "a float, list or array of floats such as 1.0", value);
  if (depth != dims.size()) return wrong("amax", "an even list of lists", value);
  out.push_back(static_cast<float>(value.get<double>()));
  return Done{};
}

Result<Done> read_amax(const Json& value, std::optional<Tensor>& out) {
  if (value.is_null()) return Done{};
  Dims dims;
  std::vector<float> numbers;
  if (Result<Done> read = read_numbers(value, 0, dims, numbers); !read) return read;
  const std::optional<int64_t> count = element_count(dims);
  if (!count || *count != static_cast<int64_t>(numbers.size())) return wrong("amax", "an even list of lists", value);
  out = f32_tensor(dims, numbers);
  return Done{};
}

Result<Done> read_field(const std::string& key, const Json& value, QuantDescriptor& d) {
  if (key == "num_bits") return read_bits(value, d.num_bits);
  if (key == "axis") return read_axis(value, d.axis);
  if (key == "amax") return read_amax(value, d.amax);
  if (key == "fake_quant") return read_bool(value, "fake_quant", d.fake_quant);
  if (key == "learn_amax") return read_bool(value, "learn_amax", d.learn_amax);
  if (key == "unsigned") return read_bool(value, "unsigned", d.is_unsigned);
  if (key == "narrow_range") return read_bool(value, "narrow_range", d.narrow_range);
  if (key == "name") {
    if (value.is_null()) return Done{};
    if (!value.is_string()) return wrong("name", "a string or None", value);
    // YAML's reader passes any bytes; what could not be written again is refused.
    if (Json::parse(value.dump(-1, ' ', true, Json::error_handler_t::replace)) != value)
      return wrong("name", "UTF-8", value);
    d.name = value.get<std::string>();
    return Done{};
  }
  if (key == "calib_method") {
    if (!value.is_string()) return wrong("calib_method", "max or histogram", value);
    d.calib_method = value.get<std::string>();
    return Done{};
  }
  if (value.is_null()) return Done{};  // scale_amax
  if (!value.is_number()) return wrong("scale_amax", "a number", value);
  d.scale_amax = value.get<double>();
  return Done{};
}

Result<QuantDescriptor> from_value(const Json& root) {
  static const std::set<std::string> known = {"amax", "axis",         "calib_method", "fake_quant", "learn_amax",
                                              "name", "narrow_range", "num_bits",     "scale_amax", "unsigned"};
  if (!root.is_object()) return bad("expected keys and values such as 'num_bits: 8', not " + shown(root));
  std::string unused;
  for (const auto& [key, value] : root.items()) {
    if (!known.contains(key)) unused += (unused.empty() ? "" : ", ") + key;
  }
  if (!unused.empty()) return bad("Unused keys: " + unused.substr(0, 200));
  QuantDescriptor descriptor;
  for (const auto& [key, value] : root.items()) {
    if (Result<Done> read = read_field(key, value, descriptor); !read) return read.error();
  }
  if (Result<Done> fine = check(descriptor); !fine) return fine.error();
  return descriptor;
}

}  // namespace

Result<QuantDescriptor> descriptor_from_yaml(std::string_view text) {
  if (text.size() > k_most_text) return bad("the text is larger than 16 MiB");
  try {
    int nodes = 0;
    const Result<Json> root = to_json_value(YAML::Load(std::string(text)), 0, nodes);
    if (!root) return root.error();
    return from_value(*root);
  } catch (const YAML::Exception& error) {  // the library throws; nothing of ours does
    return bad("not YAML: " + std::string(error.what()));
  }
}

Result<QuantDescriptor> descriptor_from_json(std::string_view text) {
  if (text.size() > k_most_text) return bad("the text is larger than 16 MiB");
  bool too_deep = false;  // printing a value is recursive in the library, so what is too deep goes no further
  const auto watch = [&](int depth, Json::parse_event_t, Json&) {
    too_deep |= depth > k_most_depth;
    return true;
  };
  const Json root = Json::parse(text, watch, /*allow_exceptions=*/false);
  if (too_deep) return bad("nested too deeply for a descriptor");
  if (root.is_discarded()) return bad("not JSON; expected an object such as {\"num_bits\": 8}");
  return from_value(root);
}

}  // namespace octet
