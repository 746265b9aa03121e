// The spec's words: parsing and the canonical form.
#include "data/preprocess.h"

#include <charconv>
#include <cmath>
#include <optional>
#include <tuple>

namespace octet {
namespace {

constexpr int64_t k_max_side = 16384;

struct Norm {
  std::string_view word;
  bool scale_to_unit;
  bool bgr;
  std::array<float, 3> mean, std;
};
constexpr Norm k_norms[] = {
#define OCTET_NORM(word, unit, bgr, m0, m1, m2, s0, s1, s2) {#word, unit, bgr, {m0, m1, m2}, {s0, s1, s2}},
#include "data/norms.def"
#undef OCTET_NORM
};

struct Preset {
  std::string_view word, spec;
};
constexpr Preset k_presets[] = {
#define OCTET_PRESET(word, spec) {#word, spec},
#include "data/presets.def"
#undef OCTET_PRESET
};

template <class T, size_t N>
std::string listed(const T (&table)[N]) {
  std::string text;
  for (const T& row : table) text += (text.empty() ? "" : ", ") + std::string(row.word);
  return text;
}

template <class T>
std::optional<T> number(std::string_view text) {
  T value{};
  const std::from_chars_result end = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || end.ec != std::errc() || end.ptr != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<int64_t> side(std::string_view text) {
  const std::optional<int64_t> n = number<int64_t>(text);
  return n && *n >= 1 && *n <= k_max_side ? n : std::nullopt;
}

/// "224" or "320x240", width first.
std::optional<std::pair<int64_t, int64_t>> sides(std::string_view text) {
  const size_t x = text.find('x');
  const std::optional<int64_t> w = side(text.substr(0, x));
  const std::optional<int64_t> h = x == std::string_view::npos ? w : side(text.substr(x + 1));
  if (!w || !h) return std::nullopt;
  return std::pair(*w, *h);
}

/// "0.5" or "0.485/0.456/0.406".
std::optional<std::array<float, 3>> planes(std::string_view text) {
  std::array<float, 3> values{};
  size_t count = 0;
  while (count < 3) {
    const size_t slash = text.find('/');
    const std::optional<float> value = number<float>(text.substr(0, slash));
    if (!value || !std::isfinite(*value)) return std::nullopt;
    values[count++] = *value;
    if (slash == std::string_view::npos) break;
    text.remove_prefix(slash + 1);
    if (count == 3) return std::nullopt;
  }
  if (count == 1) values = {values[0], values[0], values[0]};
  if (count == 2) return std::nullopt;
  return values;
}

class Parser {
 public:
  explicit Parser(std::string_view spec) : spec_(spec) {}

  Result<Preprocess> parse() {
    std::string_view rest = spec_;
    bool first = true;
    while (true) {
      const size_t comma = rest.find(',');
      const std::string_view word = rest.substr(0, comma);
      const Result<Done> done = first ? first_word(word) : plain_word(word);
      if (!done) return done.error();
      if (comma == std::string_view::npos) break;
      rest.remove_prefix(comma + 1);
      first = false;
    }
    if (p_.resize_shorter && p_.stretch_w) return wrong("resize and stretch exclude each other");
    if (rgb_said_ && wants_bgr_) return wrong("norm=caffe_bgr wants bgr, but the spec says rgb");
    return p_;
  }

 private:
  Error wrong(const std::string& what) const {
    return {ErrorCode::bad_argument, "preprocess '" + std::string(spec_) + "': " + what};
  }

  Result<Done> first_word(std::string_view word) {
    for (const Preset& preset : k_presets) {
      if (preset.word != word) continue;
      if (preset.spec.empty()) return Done{};  // none: the later words, if any, say it all
      const Result<Preprocess> expanded = Parser(preset.spec).parse();
      if (!expanded) return expanded.error();
      p_ = *expanded;
      return Done{};
    }
    return plain_word(word);
  }

  Result<Done> plain_word(std::string_view word) {
    const size_t equals = word.find('=');
    const std::string_view key = word.substr(0, equals);
    const bool has_value = equals != std::string_view::npos;
    const std::string_view value = has_value ? word.substr(equals + 1) : std::string_view();
    p_.none = false;
    if (!has_value) return flag(word);
    if (key == "norm") return norm(value);
    if (key == "resize" || key == "stretch" || key == "crop") return geometry(key, value);
    if (key == "mean" || key == "std") return statistics(key, value);
    if (key == "antialias" && (value == "0" || value == "1")) {
      p_.antialias = value == "1";
      return Done{};
    }
    if (key == "antialias") return wrong("antialias is 0 or 1, not '" + std::string(value) + "'");
    return unknown(word);
  }

  Result<Done> flag(std::string_view word) {
    if (word == "rgb" || word == "bgr") {
      p_.bgr = word == "bgr";
      rgb_said_ = word == "rgb";
    } else if (word == "float") {
      p_.in_float = true;
    } else if (word == "pixels") {
      p_.scale_to_unit = false;
    } else {
      return unknown(word);
    }
    return Done{};
  }

  Result<Done> norm(std::string_view value) {
    for (const Norm& norm : k_norms) {
      if (norm.word != value) continue;
      p_.scale_to_unit = norm.scale_to_unit;
      if (norm.bgr) p_.bgr = true;
      wants_bgr_ = norm.bgr;
      p_.mean = norm.mean;
      p_.std = norm.std;
      return Done{};
    }
    return wrong("norm '" + std::string(value) + "' is not known; known are " + listed(k_norms) +
                 ", or mean=A/B/C,std=A/B/C");
  }

  Result<Done> geometry(std::string_view key, std::string_view value) {
    const std::optional<std::pair<int64_t, int64_t>> wh = sides(value);
    if (!wh || (key == "resize" && value.find('x') != std::string_view::npos)) {
      return wrong("'" + std::string(key) + "=" + std::string(value) + "' wants " +
                   (key == "resize" ? "the length of the shorter side" : "N or WIDTHxHEIGHT") + ", each 1 to " +
                   std::to_string(k_max_side));
    }
    if (key == "resize") p_.resize_shorter = wh->first;
    if (key == "stretch") std::tie(p_.stretch_w, p_.stretch_h) = *wh;
    if (key == "crop") std::tie(p_.crop_w, p_.crop_h) = *wh;
    return Done{};
  }

  Result<Done> statistics(std::string_view key, std::string_view value) {
    const std::optional<std::array<float, 3>> values = planes(value);
    const bool positive = values && (*values)[0] > 0 && (*values)[1] > 0 && (*values)[2] > 0;
    if (!values || (key == "std" && !positive)) {
      return wrong("'" + std::string(key) + "=" + std::string(value) + "' wants 1 or 3 " +
                   (key == "std" ? "positive numbers" : "numbers") + " separated by '/'");
    }
    (key == "mean" ? p_.mean : p_.std) = *values;
    return Done{};
  }

  Error unknown(std::string_view word) const {
    return wrong(
        "word '" + std::string(word) + "' is not known; known are " + listed(k_presets) +
        " (first word only), resize=N, stretch=WxH, crop=WxH, antialias=0, float, rgb, bgr, pixels, norm=NAME, "
        "mean=A/B/C, std=A/B/C");
  }

  std::string_view spec_;
  Preprocess p_;
  bool rgb_said_ = false, wants_bgr_ = false;
};

std::string joined(const std::array<float, 3>& values) {
  std::string text;
  for (const float value : values) {
    char buffer[32];
    text += (text.empty() ? "" : "/") + std::string(buffer, std::to_chars(buffer, buffer + sizeof buffer, value).ptr);
  }
  return text;
}

std::string pair_text(int64_t w, int64_t h) { return std::to_string(w) + "x" + std::to_string(h); }

}  // namespace

Result<Preprocess> parse_preprocess(std::string_view spec) { return Parser(spec).parse(); }

std::string to_string(const Preprocess& p) {
  if (p.none) return "none";
  std::string text;
  if (p.resize_shorter) text += "resize=" + std::to_string(p.resize_shorter) + ",";
  if (p.stretch_w) text += "stretch=" + pair_text(p.stretch_w, p.stretch_h) + ",";
  if (p.crop_w) text += "crop=" + pair_text(p.crop_w, p.crop_h) + ",";
  if (!p.antialias) text += "antialias=0,";
  if (p.in_float) text += "float,";
  text += p.bgr ? "bgr," : "rgb,";
  for (const Norm& norm : k_norms) {
    const bool same = norm.scale_to_unit == p.scale_to_unit && norm.mean == p.mean && norm.std == p.std;
    if (same && (p.bgr || !norm.bgr)) return text + "norm=" + std::string(norm.word);
  }
  if (!p.scale_to_unit) text += "pixels,";
  return text + "mean=" + joined(p.mean) + ",std=" + joined(p.std);
}

}  // namespace octet
