#include "plan/timing_cache.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "base/file.h"
#include "ir/text.h"

namespace octet {
namespace {

using testing::HasSubstr;
using testing::Not;

std::string temporary_path(const std::string& name) {
  return (std::filesystem::temp_directory_path() / ("octet_timing_" + name)).string();
}

TEST(TimingCache, keeps_times_by_device_layer_and_tactic) {
  TimingCache cache;
  cache.insert("cpu a", "Conv", "wide", 12.5);
  cache.insert("cpu b", "Conv", "wide", 3);
  EXPECT_EQ(cache.find("cpu a", "Conv", "wide"), 12.5);
  EXPECT_EQ(cache.find("cpu b", "Conv", "wide"), 3);
  EXPECT_EQ(cache.find("cpu a", "Conv", "tall"), std::nullopt);
  EXPECT_EQ(cache.find("cpu c", "Conv", "wide"), std::nullopt);
}

TEST(TimingCache, text_parses_back_to_the_same_text) {
  TimingCache cache;
  cache.insert("cpu", "b", "x", 0.12345);
  cache.insert("cpu", "a\tb\n", "y", 7);
  const std::string text = cache.text();
  EXPECT_EQ(text, "octet timing cache 1\ncpu\ta_b_\ty\t7.000\ncpu\tb\tx\t0.123\n");
  const Result<TimingCache> again = TimingCache::parse(text);
  ASSERT_TRUE(again);
  EXPECT_EQ(again->text(), text);
}

TEST(TimingCache, a_time_is_rounded_as_the_file_has_it) {
  TimingCache cache;
  cache.insert("cpu", "a", "x", 1.23456789);
  EXPECT_EQ(cache.find("cpu", "a", "x"), TimingCache::parse(cache.text())->find("cpu", "a", "x"));
}

TEST(TimingCache, merging_keeps_everything_and_the_smaller_of_two_times_in_either_order) {
  TimingCache a, b;
  a.insert("cpu", "a", "x", 5);
  a.insert("cpu", "only a", "x", 1);
  b.insert("cpu", "a", "x", 4);
  b.insert("cpu", "only b", "x", 2);
  TimingCache ab = a, ba = b;
  ab.merge(b);
  ba.merge(a);
  EXPECT_EQ(ab.text(), ba.text());
  EXPECT_EQ(ab.find("cpu", "a", "x"), 4);
  EXPECT_EQ(ab.size(), 3u);
}

TEST(TimingCache, saving_adds_to_what_another_build_wrote_meanwhile) {
  const std::string path = temporary_path("merge");
  std::filesystem::remove(path);
  TimingCache mine, theirs;
  mine.insert("cpu", "a", "x", 5);
  theirs.insert("cpu", "b", "x", 6);
  ASSERT_TRUE(theirs.save(path));
  ASSERT_TRUE(mine.save(path));
  const Result<TimingCache> both = TimingCache::load(path);
  ASSERT_TRUE(both);
  EXPECT_EQ(both->size(), 2u);
  std::filesystem::remove(path);
}

TEST(TimingCache, a_file_that_does_not_exist_is_empty) {
  const Result<TimingCache> cache = TimingCache::load(temporary_path("nowhere"));
  ASSERT_TRUE(cache);
  EXPECT_EQ(cache->size(), 0u);
}

TEST(TimingCache, refuses_another_format_and_broken_lines_by_name) {
  const Result<TimingCache> other = TimingCache::parse("TensorRT cache\n");
  ASSERT_FALSE(other);
  EXPECT_THAT(other.error().message, HasSubstr("'TensorRT cache'"));
  EXPECT_THAT(other.error().message, HasSubstr("octet timing cache 1"));
  for (const std::string line :
       {"cpu\ta\tx", "cpu\ta\tx\tfast", "cpu\ta\tx\t-1", "cpu\ta\tx\tnan", "cpu\ta\tx\t1e999", "a\tb\tc\t1\t2"}) {
    const Result<TimingCache> broken = TimingCache::parse("octet timing cache 1\ncpu\ta\tx\t1\n" + line + "\n");
    ASSERT_FALSE(broken) << line;
    EXPECT_THAT(broken.error().message, HasSubstr("line 3"));
  }
  EXPECT_FALSE(TimingCache::parse(""));
}

Graph parsed(const std::string& text) {
  Result<Graph> graph = parse_graph(text);
  if (!graph) ADD_FAILURE() << graph.error().message;
  return graph ? *graph : Graph{};
}

TEST(LayerSignature, holds_what_decides_the_time_and_nothing_else) {
  const auto signature = [](const std::string& name, const std::string& alpha, const std::string& size) {
    const Graph graph =
        parsed("graph g (x: f32[" + size + "]) -> (y) {\n  y = LeakyRelu(x, alpha=" + alpha + ") @" + name + "\n}\n");
    return layer_signature(graph, 0);
  };
  EXPECT_EQ(signature("a", "0.5", "1,4"), signature("b", "0.5", "1,4"));
  EXPECT_NE(signature("a", "0.5", "1,4"), signature("a", "0.5", "2,4"));
  EXPECT_THAT(signature("a", "0.5", "1,4"), HasSubstr("f32 1x4"));
  EXPECT_THAT(signature("a", "0.5", "1,4"), HasSubstr("alpha=0.5"));
  EXPECT_THAT(signature("first", "0.5", "1,4"), Not(HasSubstr("first")));
}

}  // namespace
}  // namespace octet
