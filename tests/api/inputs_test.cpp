// Networks with several inputs: calibrated, quantized and compared from a folder keyed by input name; what is missing
// is named.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "ir/text.h"
#include "octet/model.h"
#include "octet/session.h"
#include "octet/tasks.h"
#include "onnx/onnx.h"

namespace octet {
namespace {

using testing::AllOf;
using testing::HasSubstr;
namespace fs = std::filesystem;

constexpr const char* k_graph =
    "graph g (image: f32[N,3,4,4], mask: f32[N,1,4,4]) -> (y) {\n"
    "  const w: f32[2,3,1,1] = {0.5, -0.25, 1, 0.125, 0.75, -1}\n"
    "  const v: f32[1,2,1,1] = {1, -1}\n"
    "  c = Conv(image, w) @conv\n  r = Relu(c)\n  m = Mul(r, mask)\n  y = Conv(m, v) @last\n}\n";

/// Dense f32 as numpy.save writes it.
std::string npy(const std::string& shape, const std::vector<float>& values) {
  std::string header = "{'descr': '<f4', 'fortran_order': False, 'shape': (" + shape + "), }";
  header += std::string(64 - (10 + header.size() + 1) % 64, ' ') + "\n";
  std::string bytes("\x93NUMPY\x01\x00", 8);
  bytes += static_cast<char>(header.size() & 255);
  bytes += static_cast<char>(header.size() >> 8);
  bytes += header;
  bytes.append(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float));
  return bytes;
}

class SeveralInputs : public testing::Test {
 protected:
  void SetUp() override {
    folder = testing::TempDir() + "octet_inputs_" + std::to_string(::getpid());
    fs::create_directories(folder);
    const Result<Graph> graph = parse_graph(k_graph);
    ASSERT_TRUE(graph) << graph.error().message;
    ASSERT_TRUE(write_onnx_file(folder + "/two.onnx", *graph));
    put("image.npy", "12, 3, 4, 4", 12 * 48, 117);
    put("mask.npy", "12, 1, 4, 4", 12 * 16, 7);
  }
  void TearDown() override { fs::remove_all(folder); }

  void put(const std::string& name, const std::string& shape, size_t n, size_t step) {
    std::vector<float> values(n);
    for (size_t i = 0; i < n; ++i)
      values[i] = static_cast<float>((i * step) % 200) / 100.0f - (step > 100 ? 1.0f : 0.0f);
    std::ofstream(folder + "/" + name, std::ios::binary) << npy(shape, values);
  }
  Model model() const { return *Model::load(folder + "/two.onnx"); }
  std::string error_of_calibration() const {
    CalibrateSpec spec;
    spec.data.path = folder;
    const Result<Ranges> ranges = calibrate(model(), spec);
    return ranges ? "accepted" : ranges.error().message;
  }

  std::string folder;
};

TEST_F(SeveralInputs, are_calibrated_quantized_and_compared) {
  CalibrateSpec spec;
  spec.data.path = folder;
  spec.batch = 5;
  const Result<Ranges> ranges = calibrate(model(), spec);
  ASSERT_TRUE(ranges) << ranges.error().message;
  EXPECT_EQ(ranges->samples(), 12);
  EXPECT_THAT(ranges->json(), AllOf(HasSubstr("\"name\": \"image\""), HasSubstr("\"name\": \"m\"")));
  spec.batch = 1;
  EXPECT_EQ(calibrate(model(), spec)->json(), ranges->json());
  const Result<Quantized> quantized = quantize(model(), *ranges, {});
  ASSERT_TRUE(quantized) << quantized.error().message;
  SessionSpec four, three;
  four.batch = 4;
  three.batch = 3;
  Result<Session> real = Session::build(model(), four), integer = Session::build(quantized->model, three);
  ASSERT_TRUE(real) << real.error().message;
  ASSERT_TRUE(integer) << integer.error().message;
  EvaluateSpec evaluation;
  evaluation.data.path = folder;
  const Result<EvaluationReport> report = evaluate(*real, "a", &*integer, "b", evaluation);
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(report->first.images, 12);
  EXPECT_GT(report->comparison->sqnr_db, 25);
}

TEST_F(SeveralInputs, name_the_input_that_is_missing_and_what_there_is) {
  fs::remove(folder + "/mask.npy");
  EXPECT_THAT(error_of_calibration(),
              AllOf(HasSubstr("input 'mask' is missing; the folder has "), HasSubstr("image.npy")));
}

TEST_F(SeveralInputs, must_have_equally_many_samples) {
  put("mask.npy", "11, 1, 4, 4", 11 * 16, 7);
  EXPECT_THAT(error_of_calibration(), HasSubstr("input 'mask' has 11 samples, input 'image' has 12"));
}

TEST_F(SeveralInputs, do_not_come_from_one_array) {
  CalibrateSpec spec;
  spec.data.path = folder + "/image.npy";
  const Result<Ranges> ranges = calibrate(model(), spec);
  ASSERT_FALSE(ranges);
  EXPECT_THAT(ranges.error().message, HasSubstr("this network has several inputs; give a .npz"));
}

}  // namespace
}  // namespace octet
