#pragma once
// Measured times of tactics, kept between builds: a text file, one line per time, that merges with others.
//
//   octet timing cache 1
//   DEVICE <tab> LAYER <tab> TACTIC <tab> MICROSECONDS
//
// DEVICE is Backend::timing_key(): the model of the device, ISA, threads and version of the kernels. A time whose
// device is another one is kept and never used.

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "ir/graph.h"

namespace octet {

class TimingCache {
 public:
  /// A file that does not exist is an empty cache. Errors: unreadable, another format (both named), a malformed line.
  static Result<TimingCache> load(const std::string& path);
  static Result<TimingCache> parse(std::string_view text);
  std::string text() const;
  /// Merges with what the file holds by now, so that two builds at once lose nothing, and replaces it atomically.
  Result<Done> save(const std::string& path) const;

  std::optional<double> find(const std::string& device, const std::string& layer, const std::string& tactic) const;
  /// Rounded to a nanosecond, as the file has it, so that a choice made now and one made from the file are the same.
  void insert(const std::string& device, const std::string& layer, const std::string& tactic, double us);
  /// Of two times for the same thing the smaller one stays: the other was disturbed.
  void merge(const TimingCache& other);
  size_t size() const { return times_.size(); }

 private:
  struct Key {
    std::string device, layer, tactic;
    auto operator<=>(const Key&) const = default;
  };
  std::map<Key, double> times_;
};

/// What decides how long a layer takes: op, attributes, dtypes and extents; no names, weights, scales or zero points.
/// "QuantConv[group=1 strides=1x1 ...](u8 1x64x56x56, const s8 64x64x3x3, ...)->(u8 1x64x56x56)".
std::string layer_signature(const Graph& graph, NodeId node);

}  // namespace octet
