#include "plan/timing_cache.h"

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "base/file.h"
#include "ir/op.h"

namespace octet {
namespace {

constexpr std::string_view k_head = "octet timing cache 1";

/// A field of a line: no tabs, no line ends.
std::string field(std::string_view text) {
  std::string clean(text);
  for (char& c : clean)
    if (static_cast<unsigned char>(c) < ' ') c = '_';
  return clean;
}

std::string microseconds(double us) {
  char text[40];
  std::snprintf(text, sizeof text, "%.3f", us);
  return text;
}

std::vector<std::string_view> split(std::string_view line, char at) {
  std::vector<std::string_view> parts;
  while (true) {
    const size_t end = line.find(at);
    parts.push_back(line.substr(0, end));
    if (end == std::string_view::npos) return parts;
    line.remove_prefix(end + 1);
  }
}

struct AttributeText {
  std::string operator()(int64_t x) const { return std::to_string(x); }
  std::string operator()(float x) const {
    char text[40];
    std::snprintf(text, sizeof text, "%g", static_cast<double>(x));
    return text;
  }
  std::string operator()(const std::string& x) const { return x; }
  std::string operator()(const Tensor& x) const { return std::string(name(x.dtype())) + to_string(x.dims()); }
  template <class T>
  std::string operator()(const std::vector<T>& list) const {
    std::string text;
    for (const T& x : list) text += (text.empty() ? "" : "x") + (*this)(x);
    return text;
  }
};

/// Numbers of the quantization: they change codes, not times.
bool is_code_parameter(std::string_view key) { return key.ends_with("_scale") || key.ends_with("_zero_point"); }

std::string values_text(const Graph& graph, const std::vector<ValueId>& values) {
  std::string text;
  for (const ValueId v : values) {
    if (!text.empty()) text += ", ";
    if (v == k_absent) {
      text += "-";
      continue;
    }
    const Value& value = graph.value(v);
    if (value.constant) text += "const ";
    text += std::string(name(value.dtype)) + " ";
    const std::optional<Dims> dims = value.shape ? known_dims(*value.shape) : std::nullopt;
    text += dims ? AttributeText{}(*dims) : "?";
  }
  return text;
}

}  // namespace

std::string layer_signature(const Graph& graph, NodeId id) {
  const Node& node = graph.node(id);
  std::string attributes;
  for (const auto& [key, value] : node.attributes) {
    if (is_code_parameter(key)) continue;
    attributes += (attributes.empty() ? "" : " ") + key + "=" + std::visit(AttributeText{}, value);
  }
  return field(std::string(node.op->name) + "[" + attributes + "](" + values_text(graph, node.inputs) + ")->(" +
               values_text(graph, node.outputs) + ")");
}

Result<TimingCache> TimingCache::parse(std::string_view text) {
  TimingCache cache;
  const std::vector<std::string_view> lines = split(text, '\n');
  if (lines[0] != k_head)
    return Error{ErrorCode::bad_argument, "not a timing cache of this octet: the first line is '" +
                                              field(lines[0].substr(0, 60)) + "', expected '" + std::string(k_head) +
                                              "'; delete the file and it will be made anew"};
  for (size_t i = 1; i < lines.size(); ++i) {
    if (lines[i].empty() && i + 1 == lines.size()) break;
    const std::vector<std::string_view> parts = split(lines[i], '\t');
    const std::string number = parts.size() == 4 ? std::string(parts[3]) : "";
    char* end = nullptr;
    const double us = std::strtod(number.c_str(), &end);
    if (number.empty() || *end != '\0' || !(us >= 0) || !std::isfinite(us))
      return Error{
          ErrorCode::bad_argument,
          "line " + std::to_string(i + 1) +
              " of the timing cache is not 'device, layer, tactic, microseconds' between tabs; delete the line"};
    cache.insert(std::string(parts[0]), std::string(parts[1]), std::string(parts[2]), us);
  }
  return cache;
}

Result<TimingCache> TimingCache::load(const std::string& path) {
  if (::access(path.c_str(), F_OK) != 0) return TimingCache();
  Result<std::string> text = read_text_file(path);
  if (!text) return text.error();
  Result<TimingCache> cache = parse(*text);
  if (!cache) return within(path, cache.error());
  return cache;
}

std::string TimingCache::text() const {
  std::string text = std::string(k_head) + "\n";
  for (const auto& [key, us] : times_)
    text += key.device + "\t" + key.layer + "\t" + key.tactic + "\t" + microseconds(us) + "\n";
  return text;
}

Result<Done> TimingCache::save(const std::string& path) const {
  Result<TimingCache> all = load(path);
  if (!all) return all.error();
  all->merge(*this);
  return write_file_atomically(path, all->text());
}

std::optional<double> TimingCache::find(const std::string& device, const std::string& layer,
                                        const std::string& tactic) const {
  const auto found = times_.find({field(device), layer, tactic});
  return found == times_.end() ? std::nullopt : std::optional(found->second);
}

void TimingCache::insert(const std::string& device, const std::string& layer, const std::string& tactic, double us) {
  times_[{field(device), field(layer), field(tactic)}] = std::strtod(microseconds(us).c_str(), nullptr);
}

void TimingCache::merge(const TimingCache& other) {
  for (const auto& [key, us] : other.times_) {
    const auto [at, is_new] = times_.emplace(key, us);
    if (!is_new) at->second = std::min(at->second, us);
  }
}

}  // namespace octet
