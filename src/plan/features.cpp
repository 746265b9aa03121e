#include "plan/features.h"

#include <algorithm>
#include <array>

#include "ir/op.h"

namespace octet {
namespace {

constexpr std::array k_features = {
#define OCTET_PLAN_FEATURE(word, bit, people) PlanFeature{#word, bit, people},
#define OCTET_PLAN_OP(word, op)
#define OCTET_PLAN_ATTRIBUTE(word, op, attribute)
#include "plan/features.def"
#undef OCTET_PLAN_FEATURE
#undef OCTET_PLAN_OP
#undef OCTET_PLAN_ATTRIBUTE
};

constexpr std::array k_uses = {
#define OCTET_PLAN_FEATURE(word, bit, people)
#define OCTET_PLAN_OP(word, op) PlanFeatureUse{#word, op, ""},
#define OCTET_PLAN_ATTRIBUTE(word, op, attribute) PlanFeatureUse{#word, op, attribute},
#include "plan/features.def"
#undef OCTET_PLAN_FEATURE
#undef OCTET_PLAN_OP
#undef OCTET_PLAN_ATTRIBUTE
};

constexpr uint64_t flag_of(std::string_view word) {
  for (const PlanFeature& feature : k_features)
    if (feature.word == word) return uint64_t{1} << feature.bit;
  return 0;
}

constexpr bool every_use_has_a_flag() {
  return std::all_of(k_uses.begin(), k_uses.end(), [](const PlanFeatureUse& use) { return flag_of(use.word) != 0; });
}
static_assert(every_use_has_a_flag(), "a line of features.def names a feature that has none of its own");

}  // namespace

std::span<const PlanFeature> plan_features() { return k_features; }
std::span<const PlanFeatureUse> plan_feature_uses() { return k_uses; }

uint64_t features_of(const Graph& graph) {
  uint64_t features = 0;
  for (const Node& node : graph.nodes)
    for (const PlanFeatureUse& use : k_uses)
      if (use.op == node.op->name && (use.attribute.empty() || node.attributes.contains(std::string(use.attribute))))
        features |= flag_of(use.word);
  return features;
}

uint64_t known_features() {
  uint64_t known = 0;
  for (const PlanFeature& feature : k_features) known |= uint64_t{1} << feature.bit;
  return known;
}

std::string bits_text(uint64_t features) {
  std::string text;
  for (int bit = 0; bit < 64; ++bit)
    if (features >> bit & 1) text += (text.empty() ? "" : ", ") + std::to_string(bit);
  return text;
}

}  // namespace octet
