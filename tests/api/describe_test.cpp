#include <gtest/gtest.h>

#include "base/file.h"
#include "octet/tasks.h"

namespace octet {
namespace {

TEST(Describe, ops_is_the_page_in_the_docs) {
  const Result<std::string> page = describe("ops");
  const Result<std::string> stored = read_text_file(OCTET_SOURCE_DIR "/docs/ops.md");
  ASSERT_TRUE(page && stored);
  EXPECT_EQ(*stored, *page) << "octet --describe ops > docs/ops.md";
}

TEST(Describe, names_the_topics_there_are) {
  const Result<std::string> page = describe("opps");
  ASSERT_FALSE(page);
  EXPECT_EQ(page.error().message, "--describe opps: unknown; this version describes ops");
}

}  // namespace
}  // namespace octet
