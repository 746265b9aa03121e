#pragma once
// Little-endian fields of plan files: a writer that appends, a reader that never reads behind the end.

#include <bit>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "ir/graph.h"
#include "plan/plan_file.h"

namespace octet {

static_assert(std::endian::native == std::endian::little, "plan files are little-endian and are mapped as they lie");

inline constexpr size_t k_plan_alignment = 64;
inline size_t plan_align(size_t at) { return (at + k_plan_alignment - 1) / k_plan_alignment * k_plan_alignment; }

class FieldWriter {
 public:
  template <class T>
  void number(T value) {
    static_assert(std::is_arithmetic_v<T>);
    raw(std::as_bytes(std::span(&value, 1)));
  }
  void text(std::string_view text) {
    number(static_cast<uint32_t>(text.size()));
    raw(std::as_bytes(std::span(text.data(), text.size())));
  }
  void raw(std::span<const std::byte> bytes) { bytes_.insert(bytes_.end(), bytes.begin(), bytes.end()); }
  void count(size_t n) { number(static_cast<uint32_t>(n)); }
  void pad() { bytes_.resize(plan_align(bytes_.size())); }
  size_t size() const { return bytes_.size(); }
  std::vector<std::byte>& bytes() { return bytes_; }

 private:
  std::vector<std::byte> bytes_;
};

/// After the first failure every read gives zero or nothing; ask failed() at the end.
class FieldReader {
 public:
  /// place: "graph section", for errors.
  FieldReader(std::span<const std::byte> bytes, std::string place) : bytes_(bytes), place_(std::move(place)) {}

  template <class T>
  T number() {
    T value{};
    if (const std::byte* from = take(sizeof(T))) std::memcpy(&value, from, sizeof(T));
    return value;
  }
  std::string text() {
    const size_t size = number<uint32_t>();
    const std::byte* from = take(size);
    return from ? std::string(reinterpret_cast<const char*>(from), size) : std::string();
  }
  /// A count of things that take at least bytes_each, so that the rest of the section bounds it.
  size_t count(size_t bytes_each) {
    const size_t n = number<uint32_t>();
    if (n > (bytes_.size() - at_) / bytes_each) fail("a list of " + std::to_string(n) + " things is longer than it");
    return failed() ? 0 : n;
  }
  void fail(const std::string& what) {
    if (error_.empty()) error_ = place_ + ", byte " + std::to_string(at_) + ": " + what;
  }
  bool failed() const { return !error_.empty(); }
  bool at_end() const { return at_ == bytes_.size(); }
  Error error() const { return Error{ErrorCode::bad_model, error_}; }

 private:
  const std::byte* take(size_t size) {
    if (failed()) return nullptr;
    if (size > bytes_.size() - at_) {
      fail("ends in the middle of a field");
      return nullptr;
    }
    const std::byte* from = bytes_.data() + at_;
    at_ += size;
    return from;
  }

  std::span<const std::byte> bytes_;
  size_t at_ = 0;
  std::string place_, error_;
};

/// Graph and profile as the graph section has them; constants go to weights.
Result<Done> write_graph(const Graph& graph, const ShapeProfile& profile, FieldWriter& out, FieldWriter& weights);

struct GraphAndProfile {
  Graph graph;
  ShapeProfile profile;
};
/// The inverse; tensors view the weights section. The graph is decoded, not yet verified.
Result<GraphAndProfile> read_graph(std::span<const std::byte> section, std::span<const std::byte> weights,
                                   const std::shared_ptr<const void>& keep_alive);

}  // namespace octet
