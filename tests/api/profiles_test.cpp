// Optimization profiles of a plan: kept, chosen, and what a text in a file may do to them.

#include "api/profiles.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

namespace octet {
namespace {

using testing::HasSubstr;

TEST(Profiles, are_a_line_for_each_input_of_each) {
  const std::vector<OptimizationProfile> profiles = {
      {{"x", {{1, 3, 8, 8}, {2, 3, 8, 8}, {4, 3, 8, 8}}}, {"a b", {{}, {}, {}}}}, {{"x", {{5}, {6}, {7}}}}};
  const std::string text = "0\ta b\t\t\t\n0\tx\t1x3x8x8\t2x3x8x8\t4x3x8x8\n1\tx\t5\t6\t7\n";
  EXPECT_EQ(profiles_text(profiles), text);
  const std::vector<OptimizationProfile> read = read_profiles(text);
  ASSERT_EQ(read.size(), 2u);
  EXPECT_EQ(read[0].at("x").largest, (Dims{4, 3, 8, 8}));
  EXPECT_TRUE(read[0].at("a b").best.empty());
  EXPECT_EQ(read[1].at("x").best, Dims{6});
}

TEST(Profiles, of_a_text_that_is_none_are_none) {
  for (const std::string text :
       {"", "0", "0\tx\t1\t2\t3", "0\tx\t1\t2\n", "1\tx\t1\t2\t3\n", "-1\tx\t1\t2\t3\n", "0\tx\t1x\t2\t3\n",
        "0\tx\t1\t2\t-3\n", "0\tx\t1\t2\t99999999999999999999\n", "0\tx\t1\t2\t3\n0\tx\t1\t2\t3\n", "\n",
        "0\tx\ty\t1\t2\t3\n", "18446744073709551616\tx\t1\t2\t3\n"})
    EXPECT_TRUE(read_profiles(text).empty()) << text;
}

ShapeRange images(int64_t low, int64_t best, int64_t high) {
  return {{low, 3, 32, 32}, {best, 3, 32, 32}, {high, 3, 32, 32}};
}

TEST(Profiles, come_back_from_the_file_and_bound_the_shapes) {
  const Result<Model> model = Model::load(OCTET_DEMO_MODEL);
  ASSERT_TRUE(model) << model.error().message;
  BuildSpec spec;
  spec.profile["input"] = images(1, 2, 8);
  spec.profiles = {{{"input", images(1, 2, 2)}}, {{"input", images(4, 6, 8)}}};
  const Result<EngineFile> built = build_engine(*model, spec);
  ASSERT_TRUE(built) << built.error().message;
  const std::string path = testing::TempDir() + "octet_profiles_" + std::to_string(::getpid()) + ".plan";
  ASSERT_TRUE(built->save(path));
  const Result<EngineFile> file = EngineFile::load(path);
  std::filesystem::remove(path);
  ASSERT_TRUE(file) << file.error().message;
  ASSERT_EQ(file->profiles().size(), 2u);
  EXPECT_EQ(file->profiles()[1].at("input").best, (Dims{6, 3, 32, 32}));
  SessionSpec with;
  with.profile = 1;
  EXPECT_EQ(Session::load(*file, with)->batch(), 6);
  with.shapes["input"] = {7, 3, 32, 32};
  EXPECT_EQ(Session::load(*file, with)->batch(), 7);
  with.shapes["input"] = {3, 3, 32, 32};
  const Result<Session> between = Session::load(*file, with);
  ASSERT_FALSE(between);
  EXPECT_THAT(between.error().message, HasSubstr("outside profile 1, which has [4,3,32,32] to [8,3,32,32]"));
  with.profile = -1;
  EXPECT_EQ(Session::load(*file, with)->batch(), 3);  // any shape of the plan's range
  with.profile = 2;
  EXPECT_THAT(Session::load(*file, with).error().message, HasSubstr("exceeds the number of profiles"));
}

TEST(Profiles, of_a_plan_without_are_its_one_range) {
  const Result<EngineFile> file = EngineFile::load(OCTET_COMPAT_PLAN);
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ(file->profiles().size(), 1u);
  EXPECT_FALSE(file->is_refittable());
}

}  // namespace
}  // namespace octet
