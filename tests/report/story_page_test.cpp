// The page: self-contained, escaped, and everything of the story on it.

#include "report/story_page.h"

#include <gmock/gmock.h>

namespace octet {
namespace {

using testing::HasSubstr;
using testing::Not;

Story small_story() {
  Story story{.title = "a <network> & more",
              .summary = "one line",
              .rows = {},
              .histograms = {},
              .errors = {},
              .first = {},
              .second = {},
              .repairs = {},
              .provenance = {}};
  story.rows = {{"FP32", 0.9, {}, 4.0, 1, 1 << 20}, {"INT8, entropy", 0.895, 0.99, 1.0, 4.0, 1 << 18}};
  for (int i = 0; i < 8; ++i)
    story.histograms.push_back({"tensor" + std::to_string(i), {100, 10, 0, 1}, 0.5, {{"max", 2.0}, {"entropy", 1.0}}});
  LayerErrorReport errors;
  errors.samples = 3;
  LayerError layer{
      .name = "conv1", .op = "QuantConv", .value = "y", .reference = "y", .own = ErrorSums(), .accumulated = {}};
  layer.own->add(1.0, 1.1);         // 20 dB
  layer.accumulated.add(1.0, 0.0);  // 0 dB
  errors.layers = {layer};
  story.errors = errors;
  PerformanceReport slow, fast;
  slow.model = "FP32";
  fast.model = "INT8";
  for (int i = 0; i < 50; ++i) {
    slow.queries.push_back({0, 0, 4.0f, 0});
    fast.queries.push_back({0, 0, 1.0f, 0});
  }
  fast.layers = {{"conv1", "QuantConv", "avx2 direct", 0.25}};
  story.first = slow;
  story.second = fast;
  story.provenance = {{"hash", "0123"}};
  return story;
}

TEST(StoryPage, loads_nothing_and_runs_nothing) {
  const std::string page = story_page(small_story());
  for (const char* foreign : {"http:", "https:", "<script", "src=", "url(", "@import"})
    EXPECT_THAT(page, Not(HasSubstr(foreign)));
  EXPECT_THAT(page, HasSubstr("prefers-color-scheme:dark"));
  EXPECT_THAT(page, HasSubstr("name=\"viewport\""));
}

TEST(StoryPage, text_of_the_user_is_escaped) {
  const std::string page = story_page(small_story());
  EXPECT_THAT(page, HasSubstr("a &lt;network&gt; &amp; more"));
  EXPECT_THAT(page, Not(HasSubstr("<network>")));
}

TEST(StoryPage, holds_the_table_histograms_errors_latencies_layers_and_provenance) {
  const std::string page = story_page(small_story());
  for (const char* part :
       {"89.50 %", "99.00 %", "4.00", "0.25 MiB", "tensor7", "entropy 1", "20.0 dB", "250.0 us, avx2 direct",
        "speed-up 4", "the other 2 tensors", "Nothing had to be mended", "0123"})
    EXPECT_THAT(page, HasSubstr(part)) << part;
  EXPECT_THAT(story_table(small_story()), HasSubstr("INT8, entropy"));
}

TEST(StoryPage, one_slow_query_does_not_squeeze_the_figure_of_the_others) {
  Story story = small_story();
  story.first->queries.push_back({0, 0, 45.0f, 0});
  story.second->queries.push_back({0, 0, 1.0f, 0});
  const std::string page = story_page(story);
  EXPECT_THAT(page, HasSubstr("the slowest of all took 45 ms."));
  EXPECT_THAT(page, HasSubstr("text-anchor=\"end\">4.08</text>"));  // the fastest 99 % end at 4 ms
  EXPECT_THAT(page, Not(HasSubstr("text-anchor=\"end\">45")));
}

TEST(StoryPage, a_step_below_the_clock_is_not_given_a_time_of_zero) {
  Story story = small_story();
  story.second->layers.push_back({"input_QuantizeLinear", "QuantizeLinear", "in place", 0.00001});
  const std::string page = story_page(story);
  EXPECT_THAT(page, HasSubstr("under 0.1 us, in place"));
  EXPECT_THAT(page, Not(HasSubstr(">0.0 us")));
}

TEST(HtmlPage, names_of_rows_stay_left_and_numbers_go_right) {
  HtmlPage page("t");
  page.table({{"", "top-1"}, {"2 bits", "90.00 %"}});
  EXPECT_THAT(page.text(), HasSubstr("<td>2 bits</td><td class=\"n\">90.00 %</td>"));
  EXPECT_THAT(page.text(), HasSubstr("<th></th><th class=\"n\">top-1</th>"));
  HtmlPage facts("t");
  facts.table({{"what", "value"}, {"date", "2026-11-26 03:03 UTC"}, {"hash", "7bfe773202"}});
  EXPECT_THAT(facts.text(), HasSubstr("<th>value</th>"));
  EXPECT_THAT(facts.text(), HasSubstr("<td>2026-11-26 03:03 UTC</td>"));
}

TEST(HtmlPage, the_text_behind_the_longest_bar_stays_inside_the_figure) {
  const std::string text = "420.7 us, conv_u8s8 avx512_vnni 12x32";
  HtmlPage page("t");
  page.bars("time", {{"a", 421, text}, {"b", 1, "1"}});
  const std::string html = page.text();
  // tools/check_report.py sees in a browser that nothing is cut; here, that the room asked for fits the text.
  EXPECT_THAT(html, HasSubstr("--text:21.35em"));  // 37 letters of 0.55 em, and a gap
  EXPECT_THAT(html, HasSubstr("--part:1.0000\"></i><b>" + text));
  EXPECT_THAT(html, HasSubstr("--part:0.0024\"></i><b>1<"));
}

TEST(HtmlPage, a_histogram_marks_places_in_proportion) {
  HtmlPage page("t");
  page.histogram({"h", {1, 1, 1, 1}, 1.0, {{"middle", 2.0}, {"beyond", 9.0}}});
  EXPECT_THAT(page.text(), HasSubstr("x1=\"150.00\""));
  EXPECT_THAT(page.text(), HasSubstr("x1=\"299.00\""));  // kept on the figure
}

}  // namespace
}  // namespace octet
