// Checkpoints as published: the network that comes out gives the stored answers.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "data/npy.h"
#include "octet/checkpoint.h"
#include "octet/model.h"
#include "octet/session.h"
#include "octet/tasks.h"

namespace octet {
namespace {

std::string data_root() {
  const char* root = std::getenv("OCTET_DATA");
  return root ? root : "";
}

std::vector<float> floats_of(const std::string& path) {
  const Result<Tensor> tensor = read_npy(path);
  EXPECT_TRUE(tensor) << tensor.error().message;
  if (!tensor) return {};
  const std::span<const float> all = tensor->as<float>();
  return {all.begin(), all.end()};
}

/// Logits of a model on the exact CIFAR-10 images.
std::vector<float> logits(const Model& model, int64_t limit) {
  SessionSpec spec;
  spec.threads = 0;
  spec.batch = 1;
  Result<Session> session = Session::build(model, spec);
  EXPECT_TRUE(session) << session.error().message;
  if (!session) return {};
  const std::string out = testing::TempDir() + "octet_import_logits.npy";
  const RunSpec run{.data = {.path = data_root() + "/cifar10/test_exact_1017.bin",
                             .preprocess = "rgb,norm=imagenet",
                             .limit = limit,
                             .shuffle_seed = -1},
                    .inputs = {},
                    .output = out};
  const Result<RunReport> report = run_files(*session, run);
  EXPECT_TRUE(report) << report.error().message;
  std::vector<float> values = floats_of(out);
  std::filesystem::remove(out);
  return values;
}

size_t best_of(const std::vector<float>& all, size_t row) {
  const auto begin = all.begin() + static_cast<std::ptrdiff_t>(10 * row);
  return static_cast<size_t>(std::max_element(begin, begin + 10) - begin);
}

class ImportedFloat : public testing::TestWithParam<const char*> {};

TEST_P(ImportedFloat, gives_the_logits_of_the_exported_network) {
  if (data_root().empty()) GTEST_SKIP() << "OCTET_DATA is not set";
  const std::string onnx = testing::TempDir() + "octet_import.onnx";
  const Result<ImportReport> report = import_checkpoint({.checkpoint = data_root() + "/checkpoints/" + GetParam(),
                                                         .architecture = "resnet20",
                                                         .output = onnx,
                                                         .ranges = onnx + ".json"});
  ASSERT_TRUE(report) << report.error().message;
  const Result<Model> model = Model::load(onnx);
  ASSERT_TRUE(model) << model.error().message;
  const std::vector<float> have = logits(*model, 256);
  const std::vector<float> want = floats_of(data_root() + "/refs/resnet20_cifar10_fp32_logits_exact256.npy");
  ASSERT_EQ(have.size(), want.size());
  float error = 0, largest = 0;
  for (size_t i = 0; i < want.size(); ++i) {
    error = std::max(error, std::fabs(have[i] - want[i]));
    largest = std::max(largest, std::fabs(want[i]));
  }
  EXPECT_LE(error, 2e-5f * largest);
  std::filesystem::remove(onnx);
  std::filesystem::remove(onnx + ".json");
}

INSTANTIATE_TEST_SUITE_P(Checkpoints, ImportedFloat,
                         testing::Values("resnet20-12fca82f.th", "resnet20_state_dict.pth",
                                         "resnet20_toolkit_entropy.pth"));

// The toolkit quantizes inputs and weights of its layers; octet's engine with the restored ranges also has codes
// between layers, so a few near ties may flip: 99 % of the answers are asked for.
void expect_the_toolkits_answers(const std::string& onnx, const std::string& ranges_file) {
  const Result<Model> model = Model::load(onnx);
  ASSERT_TRUE(model) << model.error().message;
  const Result<Ranges> ranges = Ranges::load(ranges_file);
  ASSERT_TRUE(ranges) << ranges.error().message;
  const Result<Quantized> quantized = quantize(*model, *ranges, {});
  ASSERT_TRUE(quantized) << quantized.error().message;
  EXPECT_GE(quantized->quantized, 40);
  // A checkpoint does not say what its pictures went through, so nothing can be said to differ from it.
  EXPECT_EQ(quantized->model.metadata().count("octet.preprocess"), 0u);
  const std::vector<float> have = logits(quantized->model, 0);
  const std::vector<float> want = floats_of(data_root() + "/refs/resnet20_toolkit_entropy_logits_exact1017.npy");
  ASSERT_EQ(have.size(), want.size());
  size_t same = 0;
  for (size_t row = 0; row < want.size() / 10; ++row) same += best_of(have, row) == best_of(want, row);
  EXPECT_GE(same, 1007u) << "of 1017";
  EXPECT_NE(have, want) << "the float answers themselves: did anything run in INT8?";
}

TEST(ImportedRanges, give_the_toolkits_own_answers_in_int8) {
  if (data_root().empty()) GTEST_SKIP() << "OCTET_DATA is not set";
  const std::string onnx = testing::TempDir() + "octet_toolkit.onnx";
  const Result<ImportReport> report =
      import_checkpoint({.checkpoint = data_root() + "/checkpoints/resnet20_toolkit_entropy.pth",
                         .architecture = "resnet20",
                         .output = onnx,
                         .ranges = onnx + ".json"});
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(report->ranges, 20);
  expect_the_toolkits_answers(onnx, report->ranges_file);
  std::filesystem::remove(onnx);
  std::filesystem::remove(onnx + ".json");
}

// Another export of the same network: its own names, normalizations folded, shortcuts as convolutions of 0 and 1.
TEST(ImportedRanges, go_onto_a_foreign_export_by_its_weights) {
  if (data_root().empty()) GTEST_SKIP() << "OCTET_DATA is not set";
  const std::string onnx = data_root() + "/models/resnet20_cifar10.onnx";
  const std::string file = testing::TempDir() + "octet_matched.ranges.json";
  const ImportSpec spec{
      .checkpoint = data_root() + "/checkpoints/resnet20_toolkit_entropy.pth", .onto = onnx, .output = file};
  const Result<ImportReport> report = import_ranges(spec);
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(report->matches.size(), 20u);
  EXPECT_EQ(report->ranges, 20);
  size_t shortcuts = 0;
  for (const std::string& note : report->notes) shortcuts += note.find("no layer of the checkpoint") != note.npos;
  EXPECT_EQ(shortcuts, 2u);
  EXPECT_THAT(to_text(*report, spec), testing::HasSubstr("20 layers of"));
  expect_the_toolkits_answers(onnx, file);
  std::filesystem::remove(file);
}

TEST(ImportedRanges, never_replace_the_checkpoint_that_they_come_from) {
  if (data_root().empty()) GTEST_SKIP() << "OCTET_DATA is not set";
  const std::string own = testing::TempDir() + "octet_own.pth", onnx = testing::TempDir() + "octet_own.onnx";
  std::filesystem::copy_file(data_root() + "/checkpoints/resnet20_toolkit_entropy.pth", own,
                             std::filesystem::copy_options::overwrite_existing);
  const auto size = std::filesystem::file_size(own);
  const auto refused = [&](const Result<ImportReport>& report) {
    ASSERT_FALSE(report);
    EXPECT_THAT(report.error().message, testing::HasSubstr("it is an input of this command"));
    EXPECT_EQ(std::filesystem::file_size(own), size);
  };
  refused(import_checkpoint({.checkpoint = own, .architecture = "resnet20", .output = own}));
  refused(import_checkpoint({.checkpoint = own, .architecture = "resnet20", .output = onnx, .ranges = own}));
  EXPECT_FALSE(std::filesystem::exists(onnx));
  refused(import_ranges({.checkpoint = own, .onto = data_root() + "/models/resnet20_cifar10.onnx", .output = own}));
  const Result<ImportReport> named = import_ranges(
      {.checkpoint = own, .onto = data_root() + "/models/resnet20_cifar10.onnx", .output = onnx, .opset = 9});
  ASSERT_FALSE(named);
  EXPECT_THAT(named.error().message, testing::HasSubstr("--opset belongs to --arch"));
  const Result<ImportReport> two =
      import_checkpoint({.checkpoint = own, .architecture = "resnet20", .output = onnx, .input_name = "a,b"});
  ASSERT_FALSE(two);
  EXPECT_THAT(two.error().message, testing::HasSubstr("one input and one output"));
  std::filesystem::remove(own);
}

TEST(ImportedRanges, of_another_network_are_refused) {
  if (data_root().empty()) GTEST_SKIP() << "OCTET_DATA is not set";
  const std::string file = testing::TempDir() + "octet_unmatched.ranges.json";
  const Result<ImportReport> report =
      import_ranges({.checkpoint = data_root() + "/checkpoints/resnet20_toolkit_entropy.pth",
                     .onto = data_root() + "/models/vit_tiny_c10.onnx",
                     .output = file});
  ASSERT_FALSE(report);
  EXPECT_THAT(report.error().message, testing::HasSubstr("is it another network?"));
  const Result<ImportReport> none = import_ranges({.checkpoint = data_root() + "/checkpoints/resnet20-12fca82f.th",
                                                   .onto = data_root() + "/models/resnet20_cifar10.onnx",
                                                   .output = file});
  ASSERT_FALSE(none);
  EXPECT_THAT(none.error().message, testing::HasSubstr("none carries an _input_quantizer._amax"));
  EXPECT_FALSE(std::filesystem::exists(file));
}

}  // namespace
}  // namespace octet
