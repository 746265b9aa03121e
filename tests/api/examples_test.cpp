// The example programs, which check their own numbers: built with the library, run here.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <array>
#include <cstdio>
#include <string>

namespace {

struct Ran {
  int status = -1;
  std::string out;
};

Ran run(const std::string& program) {
  Ran ran;
  FILE* pipe = ::popen((program + " 2>&1").c_str(), "r");
  std::array<char, 4096> buffer;
  for (size_t n; (n = std::fread(buffer.data(), 1, buffer.size(), pipe)) > 0;) ran.out.append(buffer.data(), n);
  const int status = ::pclose(pipe);
  ran.status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  return ran;
}

TEST(Examples, the_toolkits_user_guide_in_its_order) {
  const Ran ran = run(OCTET_EXAMPLE_TOOLKIT_GUIDE);
  EXPECT_EQ(ran.status, 0) << ran.out;
  EXPECT_THAT(ran.out, testing::HasSubstr("scale = [ 128.0057 ]"));
  EXPECT_THAT(ran.out, testing::HasSubstr("all that the guide prints is so"));
}

TEST(Examples, quantizers_placed_by_hand) {
  const Ran ran = run(OCTET_EXAMPLE_PLACE_QUANTIZER);
  EXPECT_EQ(ran.status, 0) << ran.out;
  EXPECT_THAT(ran.out, testing::HasSubstr("quantized against float: SQNR"));
}

}  // namespace
