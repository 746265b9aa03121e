#include <gtest/gtest.h>

#include "base/file.h"
#include "octet/tasks.h"

namespace octet {
namespace {

TEST(Describe, each_topic_is_the_page_in_the_docs) {
  for (const std::string topic : {"ops", "repairs", "tensorrt"}) {
    const Result<std::string> page = describe(topic);
    const Result<std::string> stored = read_text_file(OCTET_SOURCE_DIR "/docs/" + topic + ".md");
    ASSERT_TRUE(page && stored) << topic;
    EXPECT_EQ(*stored, *page) << "octet --describe " << topic << " > docs/" << topic << ".md";
  }
}

TEST(Describe, names_the_topics_there_are) {
  const Result<std::string> page = describe("opps");
  ASSERT_FALSE(page);
  EXPECT_EQ(page.error().message, "--describe opps: unknown; this version describes ops, repairs and tensorrt");
}

}  // namespace
}  // namespace octet
