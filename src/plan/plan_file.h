#pragma once
// The plan file of docs/plan_format.md: a fused graph with its weights, where it comes from, and parts that only one
// machine can use.

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "ir/graph.h"
#include "plan/plan.h"

namespace octet {

inline constexpr uint32_t k_plan_format = 1;
/// Changes whenever an integer layer may give another byte for the same plan.
inline constexpr uint32_t k_arithmetic_version = 1;

/// Shapes that a plan may be run with; by graph input. Empty = only the graph's own.
struct ShapeProfile {
  std::vector<Dims> smallest, best, largest;
  bool fixed() const { return best.empty(); }
  bool operator==(const ShapeProfile&) const = default;
};

/// Key and value in a fixed order.
using Provenance = std::vector<std::pair<std::string, std::string>>;
/// The value of a key, or "".
std::string provenance_value(const Provenance& provenance, std::string_view key);

/// Tactics that were found by measuring, for one machine and thread count.
struct TuningPart {
  std::string device_key;  // Backend::device_key()
  std::string timing_key;  // Backend::timing_key()
  TacticChoice tactics;    // by node
};

struct PlanFile {
  std::string writer;  // "octet 0.1.0"
  Graph graph;         // fused; shapes of profile.best; origins of its nodes travel in a section of their own
  ShapeProfile profile;
  Provenance provenance;
  std::vector<TuningPart> tuning;
  std::vector<PackedPart> packed;
  std::vector<std::string> notes;  // of the reader: device parts that were left out
};

/// True when the bytes begin as a plan file does (they may still be broken).
bool looks_like_plan(std::span<const std::byte> bytes);
/// True for a few bytes, at least one, with which a plan file begins and which end before its mark does.
bool looks_like_cut_plan(std::span<const std::byte> bytes);

/// What the header says by itself.
struct HeaderVersion {
  uint32_t format = 0, arithmetic = 0;
  std::string writer;
};
/// Errors: bytes that do not begin as a plan does, or end within the header.
Result<HeaderVersion> header_version(std::span<const std::byte> bytes);

/// The file's bytes: equal plans give equal bytes. Errors: a graph with an unknown shape, a text that is too long.
Result<std::vector<std::byte>> plan_bytes(const PlanFile& plan);

/// Weights and packed parts view the bytes, which keep_alive owns; bytes that are not 64-byte aligned are copied first.
/// reader: "octet 0.1.0", named in errors about versions. Any bytes give a plan whose graph verifies, or an Error that
/// says what is wrong and what to do.
Result<PlanFile> read_plan(std::span<const std::byte> bytes, std::shared_ptr<const void> keep_alive,
                           std::string_view reader);

/// The graph with its inputs at these shapes, everything else inferred. Errors: shapes outside the profile (both
/// named), a graph that cannot take them.
Result<Graph> at_shapes(const PlanFile& plan, const std::vector<Dims>& input_shapes);

}  // namespace octet
