#include <gmock/gmock.h>

#include "data/dataset.h"
#include "fixtures.h"

namespace octet {
namespace {

std::vector<uint8_t> pixels(const std::string& spec, int64_t i) {
  const Result<std::unique_ptr<Dataset>> data = open_dataset(spec, {});
  EXPECT_TRUE(data);
  std::vector<float> out(3072);
  EXPECT_TRUE((*data)->read(i, {3, 32, 32}, out));
  return {out.begin(), out.end()};
}

TEST(Shapes, are_the_same_pixels_on_every_machine_and_for_ever) {
  // Accuracies are quoted for these pictures: a changed generator needs new figures, and new hashes here (FNV-1a).
  EXPECT_EQ(fnv(pixels("shapes:10", 0)), 486034812016121182u);
  EXPECT_EQ(fnv(pixels("shapes:10", 8)), 14860123587070869073u);
  EXPECT_EQ(fnv(pixels("shapes-train:10", 3)), 12769820778121045864u);
}

TEST(Shapes, do_not_depend_on_how_many_are_asked_for) { EXPECT_EQ(pixels("shapes:7", 6), pixels("shapes:1000", 6)); }

TEST(Shapes, have_ten_balanced_classes_and_two_disjoint_splits) {
  const Result<std::unique_ptr<Dataset>> data = open_dataset("shapes:100", {});
  ASSERT_TRUE(data);
  std::vector<int> counts(10);
  for (int64_t i = 0; i < 100; ++i) ++counts.at(static_cast<size_t>((*data)->labels(i).at(0)));
  EXPECT_THAT(counts, testing::Each(10));
  for (int64_t i = 0; i < 20; ++i) EXPECT_NE(pixels("shapes:20", i), pixels("shapes-train:20", i));
  EXPECT_NE((*data)->hash(), (*open_dataset("shapes-train:100", {}))->hash());
}

TEST(Shapes, go_through_the_preprocess_spec) {
  const Result<std::unique_ptr<Dataset>> data = open_dataset("shapes:1", {.preprocess = "norm=half"});
  ASSERT_TRUE(data);
  std::vector<float> out(3072);
  ASSERT_TRUE((*data)->read(0, {3, 32, 32}, out));
  EXPECT_EQ(out[7], (static_cast<float>(pixels("shapes:1", 0)[7]) / 255.0f - 0.5f) / 0.5f);
}

TEST(Shapes, want_a_count) {
  EXPECT_THAT(open_dataset("shapes:", {}).error().message, testing::HasSubstr("expected shapes:N"));
  EXPECT_THAT(open_dataset("shapes-train:-1", {}).error().message, testing::HasSubstr("expected shapes-train:N"));
}

}  // namespace
}  // namespace octet
