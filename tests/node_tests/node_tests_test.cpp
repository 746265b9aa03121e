// Runs every node test of the ONNX project that is of an op octet claims, on `ref` and on `cpu`.
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <map>

#include "base/file.h"
#include "ir/op.h"
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
const std::string k_own_folder = std::string(OCTET_BINARY_DIR) + "/own_node_tests";

/// Tests of operators that ONNX has none of, in the same form; own_node_tests.py computes what they expect.
const std::vector<NodeTest>& own_tests() {
  static const std::vector<NodeTest> tests = [] {
    const std::string script = std::string(OCTET_SOURCE_DIR) + "/tests/node_tests/own_node_tests.py";
    std::vector<NodeTest> made;
    if (std::system(("python3 " + script + " '" + k_own_folder + "'").c_str()) != 0) return made;
    for (const std::string& name : list_node_tests(k_own_folder)) made.push_back(run_node_test(k_own_folder, name));
    return made;
  }();
  return tests;
}

TEST(OwnNodeTests, pass_on_ref_and_cpu) {
  EXPECT_EQ(own_tests().size(), 42u);
  for (const NodeTest& test : own_tests()) {
    EXPECT_EQ(test.ref.verdict, Verdict::passed) << test.name << ": " << test.ref.reason;
    EXPECT_EQ(test.cpu.verdict, Verdict::passed) << test.name << ": " << test.cpu.reason;
  }
}

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

std::string read_file(const std::string& path) {
  const Result<std::string> text = read_text_file(path);
  return text ? *text : "";
}

/// Why a test fails whose expected numbers contradict the operator's text.
struct Known {
  std::string_view prefix, why;
};
constexpr Known k_known[] = {
    {"test_qlinearmatmul_2D_int8", "wants results that wrap around where the operator saturates"},
    {"test_qlinearmatmul_3D_int8", "wants results that wrap around where the operator saturates"},
    {"test_cast_FLOAT_to_BFLOAT16", "wants bfloat16 cut off where the operator rounds to nearest even"},
    {"test_castlike_FLOAT_to_BFLOAT16", "wants bfloat16 cut off where the operator rounds to nearest even"},
    {"test_resize_downsample_scales_linear_align_corners",
     "divides by scale * n - 1, where the operator's text, PyTorch and ONNX Runtime have the output's length - 1"},
    {"test_resize_downsample_scales_cubic_align_corners",
     "divides by scale * n - 1, where the operator's text, PyTorch and ONNX Runtime have the output's length - 1"},
    {"test_mish_expanded", "tanh near 0: octet's function is exact to 1e-7 of 1, not of the result (docs/numerics.md)"},
};

std::string reason_of(const NodeTest& test, const Outcome& outcome) {
  for (const Known& known : k_known)
    if (test.name.starts_with(known.prefix)) return std::string(known.why);
  const size_t path = outcome.reason.find("model.onnx: ");  // the message without the machine's folder
  return path == std::string::npos ? outcome.reason : outcome.reason.substr(path + 12);
}

/// docs/onnx_node_tests.md as it has to be.
std::string page(const std::vector<NodeTest>& tests) {
  Counts ref, cpu;
  std::map<std::string, int> unclaimed;
  std::string failing;
  int strings = 0;
  for (const NodeTest& test : tests) {
    ref.add(test.ref.verdict);
    cpu.add(test.cpu.verdict);
    if (test.ref.verdict == Verdict::unclaimed) ++unclaimed[test.ref.reason];
    if (test.ref.verdict == Verdict::refused && test.ref.reason.find("is STRING") != std::string::npos) ++strings;
    const bool on_ref = test.ref.verdict == Verdict::failed || test.ref.verdict == Verdict::refused;
    const bool on_cpu = test.cpu.verdict == Verdict::failed && !on_ref;
    if (!on_ref && !on_cpu) continue;
    const Outcome& outcome = on_ref ? test.ref : test.cpu;
    failing += "| " + test.name + " | " + (outcome.verdict == Verdict::failed ? "failed" : "refused") +
               (on_cpu ? " on cpu" : "") + " | " + reason_of(test, outcome) + " |\n";
  }
  std::string text =
      "# ONNX node tests\n\nWritten by `octet_node_tests_test`, which fails when this page is not what it finds. The "
      "tests "
      "are the ONNX project's own (onnx 1.18.0:\nopset 23, IR version 11). `ref` runs the reference kernels, `cpu` the "
      "fast ones where there are any.\n\n| | ref | cpu |\n| --- | --- | --- |\n";
  const auto row = [&](const char* what, int a, int b) {
    text += std::string("| ") + what + " | " + std::to_string(a) + " | " + std::to_string(b) + " |\n";
  };
  row("passed", ref.passed, cpu.passed);
  row("failed", ref.failed, cpu.failed);
  row("refused by name (all ops known)", ref.refused, cpu.refused);
  row("of an op that octet does not have", ref.unclaimed, cpu.unclaimed);
  const auto share = [](int passed, int of) {
    char number[16];
    std::snprintf(number, sizeof number, "%.2f %%", 100.0 * passed / of);
    return std::string(number);
  };
  const int all = ref.passed + ref.failed + ref.refused;
  text +=
      "\nOf the tests that run, " + share(ref.passed, ref.passed + ref.failed) + " pass on `ref` (" +
      std::to_string(ref.passed) + " of " + std::to_string(ref.passed + ref.failed) + "). Tensors of strings (" +
      std::to_string(strings) +
      " of the refused) have no integer or float meaning and are\nrefused by name, as octet's scope has it; without "
      "them, the other refused ones counted as not passed, " +
      share(ref.passed, all - strings) + " of the tests of claimed ops\npass (" + std::to_string(ref.passed) + " of " +
      std::to_string(all - strings) + "); of all, strings too, " + share(ref.passed, all) + " (" +
      std::to_string(ref.passed) + " of " + std::to_string(all) + ").\n";
  text +=
      "\nGlobalLpPool and LpNormalization, of which ONNX has no node tests, have 24 and 18 of the same form "
      "(tests/node_tests/own_node_tests.py): all pass.\n";
  text += "\n## Failed and refused\n\n| test | | why |\n| --- | --- | --- |\n" + failing;
  text += "\n## Not claimed\n\n| ops | tests |\n| --- | --- |\n";
  for (const auto& [ops, count] : unclaimed) text += "| " + ops + " | " + std::to_string(count) + " |\n";
  return text;
}

TEST_F(NodeTests, ref_passes_98_percent_of_what_it_reads) {
  Counts counts;
  for (const NodeTest& test : *tests_) counts.add(test.ref.verdict);
  std::printf("node tests on ref: %s\n", text_of(counts).c_str());
  EXPECT_GE(counts.passed + counts.failed, 900);
  EXPECT_GE(counts.passed, 0.98 * (counts.passed + counts.failed));
  EXPECT_GE(counts.passed, 0.98 * (counts.passed + counts.failed + counts.refused));  // strings and all
}

TEST_F(NodeTests, cpu_passes_what_ref_passes) {
  Counts counts;
  for (const NodeTest& test : *tests_) {
    counts.add(test.cpu.verdict);
    EXPECT_TRUE(test.cpu.verdict != Verdict::failed || test.ref.verdict != Verdict::passed)
        << test.name << ": " << test.cpu.reason;
  }
  std::printf("node tests on cpu: %s\n", text_of(counts).c_str());
}

TEST_F(NodeTests, every_claimed_op_has_a_passing_test) {
  std::map<std::string, int> passed;
  for (const NodeTest& test : *tests_)
    if (test.ref.verdict != Verdict::unclaimed)
      for (const std::string& op : test.ops) passed[op] += test.ref.verdict == Verdict::passed ? 1 : 0;
  for (const NodeTest& test : own_tests())
    for (const std::string& op : test.ops) passed[op] += test.ref.verdict == Verdict::passed ? 1 : 0;
  for (const OpDef* op : all_ops()) {
    if (!op->is_onnx) continue;
    EXPECT_GT(passed[std::string(op->name)], 0) << op->name;
  }
}

TEST_F(NodeTests, the_page_in_the_docs_is_what_they_give) {
  const std::string wanted = page(*tests_), folder = OCTET_BINARY_DIR "/onnx_node_tests/";
  const Result<Done> written = write_file_atomically(folder + "onnx_node_tests.md", wanted);
  ASSERT_TRUE(written);
  EXPECT_EQ(read_file(OCTET_SOURCE_DIR "/docs/onnx_node_tests.md"), wanted)
      << "copy " << folder << "onnx_node_tests.md to docs/";
}

}  // namespace
}  // namespace octet::testing
