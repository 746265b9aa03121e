#include "quant/descriptor.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "quant/python_text.h"

namespace octet {
namespace {

Error bad(std::string message) { return {ErrorCode::bad_argument, "QuantDescriptor: " + std::move(message)}; }

std::string json_string(const std::string& text) {
  // Bytes that are not UTF-8 are replaced rather than refused.
  return nlohmann::json(text).dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
}

/// JSON's quotes, but characters beyond 16 bits, which JSON writes as two escapes and YAML as one.
std::string yaml_quoted(const std::string& text) {
  std::string out;
  const std::string json = json_string(text);
  for (size_t i = 0; i < json.size(); ++i) {
    out += json[i];
    if (json[i] != '\\') continue;
    const auto half = [&](size_t at) { return std::stoul(json.substr(at, 4), nullptr, 16); };
    const bool is_pair = json[i + 1] == 'u' && half(i + 2) >= 0xd800 && half(i + 2) < 0xdc00;
    if (is_pair) {
      char code[12];
      std::snprintf(code, sizeof code, "U%08lX", 0x10000 + ((half(i + 2) - 0xd800) << 10) + (half(i + 8) - 0xdc00));
      out += code;
      i += 11;  // \uXXXX\uXXXX
    } else {
      out += json[++i];
    }
  }
  return out;
}

/// A name that YAML reads back as text needs no quotes when it starts like an identifier and is no word of YAML's own.
std::string yaml_string(const std::string& text) {
  static const std::vector<std::string> words = {"null", "true", "false", "yes", "no", "on", "off", "y", "n"};
  std::string lower;
  for (const char c : text) lower += static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
  const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || c == '_'; };
  const auto inner = [&](char c) { return letter(c) || (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '/'; };
  const bool plain = !lower.empty() && letter(lower[0]) && std::all_of(lower.begin(), lower.end(), inner) &&
                     std::find(words.begin(), words.end(), lower) == words.end();
  return plain ? text : yaml_quoted(text);
}

/// PyYAML writes 1e-05 as 1.0e-05: its own reader takes only that for a number.
std::string yaml_float(double value) {
  std::string text = python_float(value);
  const size_t e = text.find('e');
  if (e != std::string::npos && text.find('.') == std::string::npos) text.insert(e, ".0");
  return text;
}

/// Block sequences: "- - 1.0" opens two at once.
void append_yaml(std::string& out, const Tensor& amax, size_t axis, int64_t& at, size_t indent) {
  for (int64_t i = 0; i < amax.dims()[axis]; ++i) {
    if (i > 0) out += std::string(indent, ' ');
    out += "- ";
    if (axis + 1 == amax.rank()) {
      out += yaml_float(amax.at<float>(at++)) + "\n";
    } else {
      append_yaml(out, amax, axis + 1, at, indent + 2);
    }
  }
}

void append_json(std::string& out, const Tensor& amax, size_t axis, int64_t& at) {
  if (axis == amax.rank()) {
    out += python_float(amax.at<float>(at++));
    return;
  }
  out += "[";
  for (int64_t i = 0; i < amax.dims()[axis]; ++i) {
    if (i > 0) out += ", ";
    append_json(out, amax, axis + 1, at);
  }
  out += "]";
}

std::string json_amax(const Tensor& amax) {
  std::string out;
  int64_t at = 0;
  append_json(out, amax, 0, at);
  return out;
}

std::string bits_text(NumBits bits, const char* pair) { return bits.is_e4m3 ? pair : std::to_string(bits.integer); }

Result<Done> check_bits(const QuantDescriptor& d) {
  if (d.num_bits.is_e4m3) return Done{};
  const int bits = d.num_bits.integer;
  if (bits <= 0) return bad("num_bits must be > 0, not " + std::to_string(bits) + ".");
  const int least = d.is_unsigned ? 1 : 2;
  if (bits >= least && bits <= 16) return Done{};
  return bad("num_bits is " + std::to_string(bits) + "; expected " + std::to_string(least) +
             " to 16, or the pair (4, 3)");
}

Result<Done> check_axis(const QuantDescriptor& d) {
  if (!d.axis) return Done{};
  if (d.learn_amax)
    return bad("axis is ignored and must be None when learn_amax is true, got " + python_axes(*d.axis) + ".");
  if (d.axis->empty()) return bad("axis is an empty list; leave it out for one amax per tensor");
  constexpr int64_t k_most_rank = 64;
  for (const int64_t axis : *d.axis) {
    if (axis < -k_most_rank || axis >= k_most_rank)
      return bad("axis " + std::to_string(axis) + " is not the number of a dimension");
  }
  std::vector<int64_t> sorted = *d.axis;
  std::sort(sorted.begin(), sorted.end());
  const auto twice = std::adjacent_find(sorted.begin(), sorted.end());
  if (twice != sorted.end()) return bad("axis " + std::to_string(*twice) + " is named twice");
  return Done{};
}

Result<Done> check_amax(const QuantDescriptor& d) {
  if (!d.amax) return Done{};
  if (d.amax->dtype() != DType::f32) return bad("amax is " + std::string(name(d.amax->dtype())) + "; expected f32");
  if (d.amax->size() == 0) return bad("amax is empty; leave it out when there is none");
  for (const float a : d.amax->as<float>()) {
    if (!(a >= 0) || !std::isfinite(a))
      return bad("amax holds " + python_float(a) + "; finite numbers >= 0 are expected");
  }
  return Done{};
}

}  // namespace

Result<Done> check(const QuantDescriptor& d) {
  for (const auto checked : {check_bits, check_axis, check_amax}) {
    if (Result<Done> fine = checked(d); !fine) return fine;
  }
  if (d.scale_amax && !(*d.scale_amax > 0 && std::isfinite(*d.scale_amax))) {
    return bad("scale_amax is " + python_float(*d.scale_amax) + "; a positive number is expected");
  }
  if (d.calib_method != "max" && d.calib_method != "histogram") {
    return bad("calib_method is '" + d.calib_method + "'; expected max or histogram");
  }
  return Done{};
}

std::string to_text(const QuantDescriptor& d) {
  std::string out = d.name ? *d.name + ": " : "QuantDescriptor";
  out += std::string("(") + (d.is_unsigned ? "unsigned " : "") + bits_text(d.num_bits, "(4, 3)") + "bit";
  out += d.fake_quant ? " fake" : " real";
  out += d.axis ? " axis=" + python_axes(*d.axis) : " axis= per-tensor";
  if (d.amax) out += " amax=" + json_amax(*d.amax) + (d.narrow_range ? " narrow_range" : " full_range");
  if (d.learn_amax) out += " learn_amax";
  if (d.scale_amax) out += " scale_amax=" + python_float(*d.scale_amax);
  return out + ")";
}

std::string to_yaml(const QuantDescriptor& d) {
  std::string out;
  if (d.amax && d.amax->rank() == 0) out += "amax: " + yaml_float(d.amax->at<float>(0)) + "\n";
  if (d.amax && d.amax->rank() > 0) {
    out += "amax:\n";
    int64_t at = 0;
    append_yaml(out, *d.amax, 0, at, 0);
  }
  if (d.axis) {
    out += "axis:\n";
    for (const int64_t axis : *d.axis) out += "- " + std::to_string(axis) + "\n";
  }
  if (d.calib_method != "max") out += "calib_method: " + yaml_string(d.calib_method) + "\n";
  if (!d.fake_quant) out += "fake_quant: false\n";
  if (d.learn_amax) out += "learn_amax: true\n";
  out += "name: " + (d.name ? yaml_string(*d.name) : "null") + "\n";
  if (d.narrow_range) out += "narrow_range: true\n";
  out += "num_bits: " + bits_text(d.num_bits, "[4, 3]") + "\n";
  if (d.scale_amax) out += "scale_amax: " + yaml_float(*d.scale_amax) + "\n";
  if (d.is_unsigned) out += "unsigned: true\n";
  return out;
}

std::string to_json(const QuantDescriptor& d) {
  std::string out = "{";
  if (d.amax) out += "\"amax\": " + json_amax(*d.amax) + ", ";
  if (d.axis) {
    std::string axes;
    for (const int64_t axis : *d.axis) axes += (axes.empty() ? "" : ", ") + std::to_string(axis);
    out += "\"axis\": [" + axes + "], ";
  }
  if (d.calib_method != "max") out += "\"calib_method\": " + json_string(d.calib_method) + ", ";
  if (!d.fake_quant) out += "\"fake_quant\": false, ";
  if (d.learn_amax) out += "\"learn_amax\": true, ";
  out += "\"name\": " + (d.name ? json_string(*d.name) : "null");
  if (d.narrow_range) out += ", \"narrow_range\": true";
  out += ", \"num_bits\": " + bits_text(d.num_bits, "[4, 3]");
  if (d.scale_amax) out += ", \"scale_amax\": " + python_float(*d.scale_amax);
  if (d.is_unsigned) out += ", \"unsigned\": true";
  return out + "}";
}

}  // namespace octet
