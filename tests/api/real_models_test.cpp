// Real networks on real images through the public API: logits against stored references, INT8 accuracy, text round
// trip.

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string>
#include <vector>

#include "octet/model.h"
#include "octet/session.h"
#include "octet/tasks.h"

namespace octet {
namespace {

std::string data_root() {
  const char* root = std::getenv("OCTET_DATA");
  return root ? root : "";
}

/// float32 values of a dense little-endian .npy file.
std::vector<float> read_npy(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  const std::string bytes{std::istreambuf_iterator<char>(file), {}};
  const size_t head = 10 + static_cast<unsigned char>(bytes.at(8)) + 256u * static_cast<unsigned char>(bytes.at(9));
  std::vector<float> values((bytes.size() - head) / sizeof(float));
  std::memcpy(values.data(), bytes.data() + head, values.size() * sizeof(float));
  return values;
}

struct Fp32Case {
  const char* model;
  const char* preprocess;
  const char* data;
  int64_t limit;
};

class Fp32Logits : public testing::TestWithParam<Fp32Case> {};

// The bound of docs/numerics.md, Exactness: max|a-b| <= 2e-5 max|b| against ONNX Runtime 1.19.2's logits.
TEST_P(Fp32Logits, equal_the_stored_reference) {
  if (data_root().empty()) GTEST_SKIP() << "OCTET_DATA is not set";
  const Fp32Case& c = GetParam();
  Result<Model> model = Model::load(data_root() + "/models/" + c.model + ".onnx");
  ASSERT_TRUE(model) << model.error().message;
  SessionSpec spec;
  spec.threads = 0;
  if (std::string(c.data).ends_with(".npy")) spec.shapes["input"] = {1, 3, 224, 224};
  Result<Session> session = Session::build(*model, spec);
  ASSERT_TRUE(session) << session.error().message;
  const std::string out = testing::TempDir() + "octet_" + c.model + ".npy";
  RunSpec run{.data = {.path = data_root() + c.data, .preprocess = c.preprocess, .limit = c.limit, .shuffle_seed = -1},
              .inputs = {},
              .output = out};
  Result<RunReport> report = run_files(*session, run);
  ASSERT_TRUE(report) << report.error().message;
  const std::vector<float> have = read_npy(out), want = read_npy(data_root() + "/refs/" + c.model + "_fp32_logits.npy");
  std::remove(out.c_str());
  ASSERT_EQ(have.size(), want.size());
  float error = 0, largest = 0;
  for (size_t i = 0; i < want.size(); ++i) {
    error = std::max(error, std::fabs(have[i] - want[i]));
    largest = std::max(largest, std::fabs(want[i]));
  }
  EXPECT_LE(error, 2e-5f * largest);
}

INSTANTIATE_TEST_SUITE_P(
    Models, Fp32Logits,
    testing::Values(Fp32Case{"resnet18_c10", "cifar10", "/cifar10/test_batch.bin", 256},
                    Fp32Case{"mobilenet_v3_small_c10", "cifar10", "/cifar10/test_batch.bin", 256},
                    Fp32Case{"efficientnet_b0_c10", "cifar10", "/cifar10/test_batch.bin", 256},
                    Fp32Case{"resnet20_cifar10", "rgb,norm=imagenet", "/cifar10/test_batch.bin", 256},
                    Fp32Case{"resnet56_cifar10_bn_pad", "rgb,norm=cifar", "/cifar10/test_batch.bin", 256},
                    Fp32Case{"mobilenet_v2_cifar10", "rgb,norm=cifar", "/cifar10/test_batch.bin", 256},
                    Fp32Case{"resnet18_cifar10", "rgb,norm=half", "/cifar10/test_batch.bin", 256},
                    Fp32Case{"mobilenet_v2_imagenet", "none,norm=imagenet", "/images/imagenet17_rgb_u8.npy", 0},
                    Fp32Case{"squeezenet1_1_imagenet", "none,norm=caffe_bgr", "/images/imagenet17_rgb_u8.npy", 0}),
    [](const auto& tested) { return std::string(tested.param.model); });

struct Int8Case {
  const char* model;
  const char* preprocess;
  double allowed_points;  // on 2,000 images, where one point is twenty images; docs/accuracy.md has all 10,000
};

class Int8Accuracy : public testing::TestWithParam<Int8Case> {};

TEST_P(Int8Accuracy, stays_near_fp32_and_agrees_with_it) {
  if (data_root().empty()) GTEST_SKIP() << "OCTET_DATA is not set";
  const Int8Case& c = GetParam();
  Result<Model> model = Model::load(data_root() + "/models/" + c.model + ".onnx");
  ASSERT_TRUE(model) << model.error().message;
  SessionSpec spec;
  spec.threads = 0;
  spec.batch = 8;
  Result<Session> fp32 = Session::build(*model, spec);
  ASSERT_TRUE(fp32) << fp32.error().message;
  spec.precision = "int8";
  spec.calibration.data = {.path = data_root() + "/cifar10/train_exact_4000.bin",
                           .preprocess = c.preprocess,
                           .limit = 512,
                           .shuffle_seed = -1};
  spec.calibration.threads = 0;
  spec.calibration.method = spec.quantization.method = "mse";
  Result<Session> int8 = Session::build(*model, spec);
  ASSERT_TRUE(int8) << int8.error().message;
  const EvaluateSpec evaluation{.data = {.path = data_root() + "/cifar10/test_batch.bin",
                                         .preprocess = c.preprocess,
                                         .limit = 2000,
                                         .shuffle_seed = -1},
                                .progress = {}};
  Result<EvaluationReport> report = evaluate(*fp32, "fp32", &*int8, "int8", evaluation);
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_GE(100 * report->comparison->difference, -c.allowed_points);
  EXPECT_LT(report->comparison->sqnr_db, 60) << "as good as float: did it run in INT8 at all?";
  EXPECT_EQ(int8->precision(), "int8");
}

INSTANTIATE_TEST_SUITE_P(Models, Int8Accuracy,
                         testing::Values(Int8Case{"resnet18_c10", "cifar10", 0.5},
                                         Int8Case{"mobilenet_v3_small_c10", "cifar10", 1.0},
                                         Int8Case{"efficientnet_b0_c10", "cifar10", 2.0},
                                         Int8Case{"resnet20_cifar10", "rgb,norm=imagenet", 0.7},
                                         Int8Case{"mobilenet_v2_cifar10", "rgb,norm=cifar", 0.7}),
                         [](const auto& tested) { return std::string(tested.param.model); });

}  // namespace
}  // namespace octet
