#pragma once
// Feature flags of plan files: which bits a graph asks of its reader, and which bits this octet knows (features.def).

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "ir/graph.h"

namespace octet {

struct PlanFeature {
  std::string_view word;    // "bf16"
  int bit = 0;              // of the header's feature flags
  std::string_view people;  // "layers that multiply in BF16"
};
std::span<const PlanFeature> plan_features();

/// An op, or one attribute of it, that not every reader of format 1 knows.
struct PlanFeatureUse {
  std::string_view word, op, attribute;  // attribute: empty = the op itself
};
std::span<const PlanFeatureUse> plan_feature_uses();

/// The flags of a plan of this graph.
uint64_t features_of(const Graph& graph);
/// All bits of features.def.
uint64_t known_features();
/// "1, 7": the bits that are set.
std::string bits_text(uint64_t features);

}  // namespace octet
