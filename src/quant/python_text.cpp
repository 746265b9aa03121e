#include "quant/python_text.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>

namespace octet {

std::string python_float(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
  char buffer[40];
  const std::to_chars_result end = std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::scientific);
  const std::string text(buffer, end.ptr);  // d.ddde+xx
  const size_t e = text.find('e');
  const int exponent = std::atoi(text.c_str() + e + 1);
  const bool negative = text[0] == '-';
  std::string digits;
  for (const char c : text.substr(0, e)) {
    if (c != '.' && c != '-') digits += c;
  }
  std::string out = negative ? "-" : "";
  const int count = static_cast<int>(digits.size());
  if (exponent < -4 || exponent >= 16) {
    out += digits.substr(0, 1) + (count > 1 ? "." + digits.substr(1) : "");
    char suffix[16];
    std::snprintf(suffix, sizeof suffix, "e%c%02d", exponent < 0 ? '-' : '+', std::abs(exponent));
    return out + suffix;
  }
  if (exponent < 0) return out + "0." + std::string(static_cast<size_t>(-exponent - 1), '0') + digits;
  if (count <= exponent + 1) return out + digits + std::string(static_cast<size_t>(exponent + 1 - count), '0') + ".0";
  return out + digits.substr(0, static_cast<size_t>(exponent) + 1) + "." +
         digits.substr(static_cast<size_t>(exponent) + 1);
}

std::string python_axes(const std::vector<int64_t>& axes) {
  if (axes.size() == 1) return std::to_string(axes[0]);
  std::string out;
  for (const int64_t axis : axes) out += (out.empty() ? "(" : ", ") + std::to_string(axis);
  return out + ")";
}

std::string python_amax(const Tensor& amax) {
  const std::vector<double> values = to_doubles(amax);
  if (values.empty()) return "[](0)";
  const auto [least, most] = std::minmax_element(values.begin(), values.end());
  char text[128];
  if (values.size() == 1) {
    std::snprintf(text, sizeof text, "%.4f", values[0]);
  } else {
    std::snprintf(text, sizeof text, "[%.4f, %.4f](%zu)", *least, *most, values.size());
  }
  return text;
}

}  // namespace octet
