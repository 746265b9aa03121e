#include "plan/features.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <set>
#include <sstream>

#include "ir/op.h"
#include "ir/text.h"

namespace octet {
namespace {

using Attributes = std::set<std::string>;

/// Ops and their attributes as the first octet that wrote plan format 1 had them; never edited.
std::map<std::string, Attributes> first_ops() {
  std::ifstream file(OCTET_FORMAT_1_OPS);
  std::map<std::string, Attributes> ops;
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    std::string op, attribute;
    words >> op;
    while (words >> attribute) ops[op].insert(attribute);
    ops.try_emplace(op);
  }
  return ops;
}

TEST(PlanFeatures, every_op_and_attribute_since_the_formats_first_files_has_a_flag) {
  const std::map<std::string, Attributes> first = first_ops();
  ASSERT_EQ(first.size(), 97u) << "the list of the first files stays as it is: new ops get a line in features.def";
  std::set<std::string> listed;
  for (const PlanFeatureUse& use : plan_feature_uses())
    EXPECT_TRUE(listed.insert(std::string(use.op) + " " + std::string(use.attribute)).second) << use.op;
  std::set<std::string> needed;
  for (const OpDef* op : all_ops()) {
    const auto known = first.find(std::string(op->name));
    if (known == first.end()) {
      needed.insert(std::string(op->name) + " ");
      continue;
    }
    for (const std::string_view attribute : op->attributes)
      if (!known->second.contains(std::string(attribute)))
        needed.insert(std::string(op->name) + " " + std::string(attribute));
  }
  EXPECT_EQ(listed, needed) << "src/plan/features.def lists what an older reader of plans does not know, and no more";
}

TEST(PlanFeatures, have_a_bit_each) {
  std::set<int> bits;
  for (const PlanFeature& feature : plan_features()) {
    EXPECT_TRUE(bits.insert(feature.bit).second) << feature.word;
    EXPECT_TRUE(feature.bit >= 0 && feature.bit < 64) << feature.word;
    EXPECT_EQ(known_features() >> feature.bit & 1, 1u);
  }
  EXPECT_EQ(bits_text(0x8000000000000005u), "0, 2, 63");
}

uint64_t features_of_text(const std::string& text) {
  Result<Graph> graph = parse_graph("graph g " + text);
  EXPECT_TRUE(graph) << graph.error().message;
  return graph ? features_of(*graph) : 0;
}

TEST(PlanFeatures, are_those_of_the_ops_and_attributes_that_a_graph_uses) {
  EXPECT_EQ(features_of_text("(x: f32[2]) -> (y) {\n y = Relu(x)\n}\n"), 0u);
  EXPECT_EQ(features_of_text("(x: f32[2]) -> (y) {\n y = Celu(x)\n}\n"), 2u);
  EXPECT_EQ(features_of_text("(x: f32[2]) -> (y) {\n const s: f32[] = {1}\n y = QuantizeLinear(x, s)\n}\n"), 0u);
  EXPECT_EQ(features_of_text("(x: f32[2,2]) -> (y) {\n const s: f32[2,1] = {1, 2}\n const z: s8[2,1] = {0, 0}\n"
                             " y = QuantizeLinear(x, s, z, axis=1, block_size=2)\n}\n"),
            2u);
}

}  // namespace
}  // namespace octet
