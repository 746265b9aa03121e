// Runs every node test of the ONNX project that is of an op octet claims, on `ref` and on `cpu`.
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>

#include "node_tests/node_tests.h"

namespace octet::testing {
namespace {

struct Counts {
  int passed = 0, failed = 0, refused = 0, unclaimed = 0;
  void add(Verdict verdict) {
    ++(verdict == Verdict::passed    ? passed
       : verdict == Verdict::failed  ? failed
       : verdict == Verdict::refused ? refused
                                     : unclaimed);
  }
};

std::string text_of(const Counts& c) {
  return std::to_string(c.passed) + " passed, " + std::to_string(c.failed) + " failed, " + std::to_string(c.refused) +
         " refused, " + std::to_string(c.unclaimed) + " unclaimed";
}

const std::string k_folder = std::string(OCTET_BINARY_DIR) + "/onnx_node_tests/node";

class NodeTests : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    const std::string command = std::string(OCTET_SOURCE_DIR) + "/tools/get_node_tests.py '" + OCTET_BINARY_DIR + "'";
    const int status = std::system(command.c_str());
    got_ = WIFEXITED(status) ? WEXITSTATUS(status) : 1;
    if (got_ != 0) return;
    tests_ = new std::vector<NodeTest>;
    for (const std::string& name : list_node_tests(k_folder)) tests_->push_back(run_node_test(k_folder, name));
  }
  void SetUp() override {
    if (got_ == 3) GTEST_SKIP() << "the node tests are written by the PyPI package onnx, and PyPI cannot be reached";
    ASSERT_EQ(got_, 0) << "tools/get_node_tests.py failed";
  }
  static int got_;
  static std::vector<NodeTest>* tests_;
};
int NodeTests::got_ = 1;
std::vector<NodeTest>* NodeTests::tests_ = nullptr;

TEST_F(NodeTests, ref_passes_most_of_the_claimed_ones) {
  Counts counts;
  for (const NodeTest& test : *tests_) {
    counts.add(test.ref.verdict);
    if (test.ref.verdict != Verdict::passed && test.ref.verdict != Verdict::unclaimed)
      std::printf("ref %s %s: %s\n", test.ref.verdict == Verdict::failed ? "FAILED" : "refused", test.name.c_str(),
                  test.ref.reason.c_str());
  }
  std::printf("node tests on ref: %s\n", text_of(counts).c_str());
  EXPECT_GE(counts.passed, 826);
}

TEST_F(NodeTests, cpu_passes_what_it_runs) {
  Counts counts;
  for (const NodeTest& test : *tests_) {
    counts.add(test.cpu.verdict);
    if (test.cpu.verdict == Verdict::failed)
      std::printf("cpu FAILED %s: %s\n", test.name.c_str(), test.cpu.reason.c_str());
  }
  std::printf("node tests on cpu: %s\n", text_of(counts).c_str());
  EXPECT_GE(counts.passed, 355);
}

}  // namespace
}  // namespace octet::testing
