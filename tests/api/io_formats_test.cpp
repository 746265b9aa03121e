// Inputs and outputs in other types and orders than the network's: the answers are those of the network's own form.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>

#include "api/state.h"
#include "base/file.h"
#include "ir/text.h"
#include "octet/engine_file.h"
#include "octet/tasks.h"
#include "onnx/onnx.h"
#include "tensor/half.h"

namespace octet {
namespace {

using testing::HasSubstr;

constexpr size_t k_channels = 6, k_pixels = 5 * 4;

Model picture(const std::string& batch) {
  const std::string path = testing::TempDir() + "octet_formats_" + std::to_string(::getpid()) + ".onnx";
  const Result<Graph> graph = parse_graph("graph picture (x: f32[" + batch +
                                          ",6,5,4]) -> (y) {\n  const k: f32[] = {0.25}\n  m = Mul(x, k) @mul\n  y = "
                                          "Add(x, m) @add\n}\n");
  EXPECT_TRUE(graph && write_onnx_file(path, *graph));
  Result<Model> model = Model::load(path);
  EXPECT_TRUE(model) << model.error().message;
  return *std::move(model);
}

/// Values that half precision holds exactly, also one and a quarter times.
std::vector<float> values(size_t images) {
  std::vector<float> x;
  for (size_t i = 0; i < images * k_channels * k_pixels; ++i) x.push_back(static_cast<float>(i * 37 % 128) / 64 - 1);
  return x;
}

/// Each element's place, by the definition of the order: k channels together, the last group filled up.
std::vector<float> ordered(const std::vector<float>& chw, size_t k, float filling) {
  const size_t images = chw.size() / (k_channels * k_pixels), groups = (k_channels + k - 1) / k;
  std::vector<float> made(images * groups * k_pixels * k, filling);
  for (size_t n = 0; n < images; ++n)
    for (size_t c = 0; c < k_channels; ++c)
      for (size_t p = 0; p < k_pixels; ++p)
        made[((n * groups + c / k) * k_pixels + p) * k + c % k] = chw[(n * k_channels + c) * k_pixels + p];
  return made;
}

std::vector<std::byte> bytes_of(const std::vector<float>& values, bool half) {
  std::vector<std::byte> bytes(values.size() * (half ? 2 : 4));
  for (size_t i = 0; i < values.size(); ++i) {
    const uint16_t bits = float_to_half(values[i]);
    if (half) {
      std::memcpy(bytes.data() + 2 * i, &bits, 2);
    } else {
      std::memcpy(bytes.data() + 4 * i, &values[i], 4);
    }
  }
  return bytes;
}

std::vector<std::byte> run(const EngineFile& file, const std::string& device, int64_t batch,
                           const std::vector<std::byte>& x) {
  SessionSpec spec;
  spec.device = device;
  spec.batch = batch;
  Result<Session> session = Session::load(file, spec);
  EXPECT_TRUE(session) << session.error().message;
  if (!session) return {};
  EXPECT_EQ(session->inputs()[0].bytes, x.size());
  std::vector<std::byte> y(session->outputs()[0].bytes);
  const std::byte* in[] = {x.data()};
  std::byte* out[] = {y.data()};
  EXPECT_TRUE(session->run(in, out));
  return y;
}

TEST(IoFormats, are_the_networks_values_in_another_type_and_order) {
  const Model model = picture("N");
  for (const bool half : {false, true})
    for (const int together : {0, 1, 4, 32}) {
      BuildSpec spec;
      spec.formats["x"] = spec.formats["y"] = {.dtype = half ? "float16" : "", .channels_together = together};
      spec.profile["x"] = {{1, 6, 5, 4}, {2, 6, 5, 4}, {3, 6, 5, 4}};
      spec.session.batch = 2;
      const Result<EngineFile> file = build_engine(model, spec);
      ASSERT_TRUE(file) << file.error().message;
      const size_t k = together == 0 ? 1 : together == 1 ? k_channels : static_cast<size_t>(together);
      for (const int64_t batch : {1, 3}) {
        const std::vector<float> x = values(static_cast<size_t>(batch));
        std::vector<float> y;
        for (const float v : x) y.push_back(1.25f * v);
        for (const char* device : {"cpu", "ref"})
          EXPECT_EQ(run(*file, device, batch, bytes_of(ordered(x, k, -7), half)), bytes_of(ordered(y, k, 0), half))
              << half << " " << together << " " << device;
      }
      const auto kept = file->formats();
      ASSERT_EQ(kept.size(), half || together ? 2u : 0u);
      if (kept.empty()) continue;
      EXPECT_EQ(kept.at("y").dtype, half ? "float16" : "");
      EXPECT_EQ(kept.at("y").channels_together, together);
      EXPECT_EQ(kept.at("y").channels, together > 1 ? 6 : 0);
    }
}

TEST(IoFormats, errors_say_what_was_asked_for_what_there_is_and_what_to_do) {
  const Model model = picture("1");
  const auto error = [&](const std::string& tensor, IoFormat format, const std::string& precision = "fp32") {
    BuildSpec spec;
    spec.formats[tensor] = std::move(format);
    spec.session.precision = precision;
    spec.session.calibration.data.path = "synthetic:4";
    const Result<EngineFile> file = build_engine(model, spec);
    EXPECT_FALSE(file);
    return file ? "" : file.error().message;
  };
  EXPECT_THAT(error("z", {.dtype = "float16"}), HasSubstr("a format is asked for of tensor 'z', but"));
  EXPECT_THAT(error("x", {.dtype = "int8", .channels_together = 4}),
              HasSubstr("input 'x' is asked for as int8 in chw4 (--inputIOFormats of octet trtexec), but the network "
                        "does not quantize it first thing"));
  EXPECT_THAT(error("x", {.dtype = "int8"}, "best"), HasSubstr("'x' is asked for as int8 codes, but --precision best"));
}

/// The text is a stranger's: what does not fit the tensor is no format.
TEST(IoFormats, of_a_plan_are_read_only_where_they_fit) {
  const Model model = picture("1");
  BuildSpec spec;
  spec.formats["x"] = {.dtype = "", .channels_together = 4};
  const Result<EngineFile> built = build_engine(model, spec);
  ASSERT_TRUE(built);
  EXPECT_EQ(built->formats().size(), 1u);
  const std::string path = testing::TempDir() + "octet_hostile_" + std::to_string(::getpid()) + ".plan";
  for (const char* hostile : {"format=y::hwc5", "format=y::chw4", "format=y::chw4.9", "format=y:int8:chw",
                              "format=x::hwc", "format=x::chw4.0", "format=x::chw4.99", "format=x::chw0.1",
                              "format=x::chw999999999999", "format=:", "format=::", "format=x"}) {
    PlanFile plan = built->state().plan;
    for (auto& [key, value] : plan.provenance)
      if (key == "options") value = hostile;
    const Result<std::vector<std::byte>> bytes = plan_bytes(plan);
    ASSERT_TRUE(bytes && write_file_atomically(path, *bytes));
    const Result<EngineFile> read = EngineFile::load(path);
    ASSERT_TRUE(read) << read.error().message;
    EXPECT_TRUE(read->formats().empty()) << hostile;
  }
}

TEST(IoFormats, are_not_what_samples_are_fed_in) {
  BuildSpec spec;
  spec.formats["x"] = {.dtype = "", .channels_together = 1};
  const Result<EngineFile> built = build_engine(picture("1"), spec);
  ASSERT_TRUE(built);
  Result<Session> session = Session::load(*built, {});
  ASSERT_TRUE(session);
  EvaluateSpec evaluation;
  evaluation.data.path = "synthetic:2";
  const auto report = evaluate(*session, "plan", nullptr, "", evaluation);
  ASSERT_FALSE(report);
  EXPECT_THAT(report.error().message, HasSubstr("tensor 'x' is in another form than the network's (hwc)"));
}

TEST(IoFormats, of_a_text_are_those_that_were_written) {
  EXPECT_EQ(order_name({}), "chw");
  EXPECT_EQ(order_name({.dtype = "", .channels_together = 1}), "hwc");
  EXPECT_EQ(order_name({.dtype = "", .channels_together = 32}), "chw32");
  const IoFormat format{.dtype = "", .channels_together = 4, .channels = 6};
  EXPECT_EQ(dims_in_format({2, 6, 5, 4}, format), (Dims{2, 2, 5, 4, 4}));
  EXPECT_EQ(dims_in_network({2, 2, 5, 4, 4}, format), (Dims{2, 6, 5, 4}));
  EXPECT_EQ(dims_in_network({2, 5, 4, 6}, {.dtype = "", .channels_together = 1}), (Dims{2, 6, 5, 4}));
}

}  // namespace
}  // namespace octet
