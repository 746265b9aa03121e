// Quantizers placed by hand and exported: the file's Q/DQ against numbers worked out here, and against the quantizers'
// own forward().
#include "octet/export.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>

#include "ir/text.h"
#include "octet/session.h"
#include "onnx/onnx.h"

namespace octet {
namespace {

using testing::HasSubstr;

class Exported : public testing::Test {
 protected:
  void SetUp() override {
    path_ = testing::TempDir() + "octet_export_" + std::to_string(::getpid()) + ".onnx";
    const Result<Graph> graph = parse_graph(
        "graph g (x: f32[N,4]) -> (y) {\n  const w: f32[3,4] = {0.5, -0.25, 1, 0.125, 2, -2, 0.5, 1, 0, 0, 0, 0}\n"
        "  const b: f32[3] = {0.25, 0, -1}\n  h = Gemm(x, w, b, transB=1) @fc\n  y = Relu(h)\n}\n");
    ASSERT_TRUE(graph) << graph.error().message;
    ASSERT_TRUE(write_onnx_file(path_, *graph));
    const Result<Model> model = Model::load(path_);
    ASSERT_TRUE(model) << model.error().message;
    model_ = *model;
  }
  void TearDown() override { ::unlink(path_.c_str()); }

  static TensorQuantizer made(const QuantDescriptor& d) {
    Result<TensorQuantizer> q = TensorQuantizer::make(d);
    EXPECT_TRUE(q) << q.error().message;
    return *q;
  }
  std::string refusal(const std::string& name, const TensorQuantizer& q) const {
    const Result<Model> out = export_quantizers(*model_, {{name, &q}});
    return out ? "exported" : out.error().message;
  }

  std::string path_;
  std::optional<Model> model_;
};

TEST_F(Exported, scales_are_amax_over_127_and_a_dead_channel_has_1) {
  const TensorQuantizer x = made({.amax = scalar_f32(2.54f)});
  TensorQuantizer w = made({.axis = {{0}}});
  ASSERT_TRUE(w.set_amax(f32_tensor({3, 1}, std::vector<float>{1, 2, 0})));
  const Result<Model> out = export_quantizers(*model_, {{"x", &x}, {"w", &w}});
  ASSERT_TRUE(out) << out.error().message;
  const std::string text = out->text(false);
  EXPECT_THAT(text, HasSubstr("const x_scale: f32[] = {0.02}"));
  EXPECT_THAT(text, HasSubstr("const x_zero_point: s8[] = {0}"));
  EXPECT_THAT(text, HasSubstr("const w_scale: f32[3] = {0.007874016, 0.015748031, 1}"));  // 1/127, 2/127, D39
  EXPECT_THAT(text, HasSubstr("w_quantized = QuantizeLinear(w, w_scale, w_zero_point, axis=0)"));
  EXPECT_THAT(text, HasSubstr("h = Gemm(x_dequantized, w_dequantized, b, transB=1)"));
  EXPECT_TRUE(out->is_quantized());
  const Result<Model> folded = export_quantizers(*model_, {{"w", &w}}, {.fold_weights = true});
  ASSERT_TRUE(folded) << folded.error().message;
  EXPECT_THAT(folded->text(false),
              HasSubstr("const w_quantized: s8[3,4] = {64, -32, 127, 16, 127, -127, 32, 64, 0, 0, 0, 0}"));
}

TEST_F(Exported, the_file_answers_as_the_quantizers_do) {
  TensorQuantizer x = made({.amax = scalar_f32(3), .is_unsigned = true}),
                  w = made(k_quant_desc_8bit_linear_weight_per_row);
  const std::vector<float> weight = {0.5f, -0.25f, 1, 0.125f, 2, -2, 0.5f, 1, 0, 0, 0, 0}, bias = {0.25f, 0, -1};
  const Tensor w_tensor = f32_tensor({3, 4}, weight);
  ASSERT_TRUE(w.set_amax(*kept_amax(view_of(w_tensor), {{0}})));
  // Multiples of 3/255 and of amax/127 away from ties, so that the toolkit's formula and ONNX's give the same codes.
  std::vector<float> input;
  for (int i = 0; i < 20; ++i) input.push_back(static_cast<float>((i * 37) % 255) * 3.0f / 255.0f + 0.001f);
  const Tensor x_tensor = f32_tensor({5, 4}, input);
  const Tensor xq = *x.forward(view_of(x_tensor)), wq = *w.forward(view_of(w_tensor));
  std::vector<float> wanted;
  for (int64_t n = 0; n < 5; ++n)
    for (int64_t o = 0; o < 3; ++o) {
      float sum = bias[static_cast<size_t>(o)];
      for (int64_t i = 0; i < 4; ++i) sum += xq.at<float>(n * 4 + i) * wq.at<float>(o * 4 + i);
      wanted.push_back(std::max(sum, 0.0f));
    }
  for (const bool fold : {false, true}) {
    const Result<Model> out = export_quantizers(*model_, {{"x", &x}, {"w", &w}}, {.fold_weights = fold});
    ASSERT_TRUE(out) << out.error().message;
    const Result<Done> saved = out->save(path_, 13);
    ASSERT_TRUE(saved) << saved.error().message;
    SessionSpec spec;
    spec.batch = 5;
    Result<Session> session = Session::open(path_, spec);
    ASSERT_TRUE(session) << session.error().message;
    std::vector<float> y(15);
    const std::byte* in = reinterpret_cast<const std::byte*>(input.data());
    std::byte* to = reinterpret_cast<std::byte*>(y.data());
    const Result<Done> ran = session->run(std::span(&in, 1), std::span(&to, 1));
    ASSERT_TRUE(ran) << ran.error().message;
    // An integer layer rounds the float bias to its grid once: half of s_x * s_w, 2/127 being the largest s_w.
    const float half_grid = 0.5f * (3.0f / 255.0f) * (2.0f / 127.0f);
    for (size_t i = 0; i < y.size(); ++i) EXPECT_NEAR(y[i], wanted[i], half_grid + 1e-6f) << fold << " " << i;
  }
}

TEST_F(Exported, calibrated_learned_and_scaled_amax_all_go_in) {
  TensorQuantizer calibrated = made({});
  calibrated.enable_calib();
  calibrated.disable_quant();
  ASSERT_TRUE(calibrated.forward(view_of(f32_tensor({1, 4}, std::vector<float>{1, -1.27f, 0, 0.5f}))));
  ASSERT_TRUE(calibrated.load_calib_amax());
  EXPECT_THAT(export_quantizers(*model_, {{"x", &calibrated}})->text(false), HasSubstr("x_scale: f32[] = {0.01}"));
  TensorQuantizer learned = made({.amax = scalar_f32(1), .learn_amax = true});
  ASSERT_TRUE(learned.set_clip(-0.5f, 2.54f));
  EXPECT_THAT(export_quantizers(*model_, {{"x", &learned}})->text(false), HasSubstr("x_scale: f32[] = {0.02}"));
  TensorQuantizer scaled = made({.amax = scalar_f32(2.54f), .scale_amax = 0.5});
  scaled.set_pre_quant_scale(scalar_f32(2));
  const std::string text = export_quantizers(*model_, {{"x", &scaled}})->text(false);
  EXPECT_THAT(text, HasSubstr("x_scale: f32[] = {0.01}"));
  EXPECT_THAT(text, HasSubstr("x_scaled = Mul(x, x_pre_quant_scale)"));
  TensorQuantizer disabled = made({});
  disabled.disable();
  EXPECT_FALSE(export_quantizers(*model_, {{"x", &disabled}})->is_quantized()) << "left out, not an error (D24)";
}

TEST_F(Exported, what_cannot_be_written_is_refused_by_name) {
  EXPECT_THAT(refusal("x", made({})), HasSubstr("'x': a quantizer: Quantizer has not been calibrated"));
  EXPECT_THAT(refusal("nobody", made({.amax = scalar_f32(1)})), HasSubstr("'nobody': no value has this name"));
  EXPECT_THAT(refusal("x", made({.num_bits = 4, .amax = scalar_f32(1)})), HasSubstr("4 bits; only 8 bits"));
  EXPECT_THAT(refusal("x", made({.num_bits = NumBits::e4m3(), .amax = scalar_f32(1)})), HasSubstr("E4M3"));
  EXPECT_THAT(refusal("x", made({.fake_quant = false, .amax = scalar_f32(1)})), HasSubstr("fake_quant is false"));
  EXPECT_THAT(refusal("x", made({.amax = scalar_f32(1), .narrow_range = true})), HasSubstr("narrow_range"));
  TensorQuantizer both = made({.axis = {{0, 1}}});
  ASSERT_TRUE(both.set_amax(f32_tensor({3, 4}, std::vector<float>(12, 1.0f))));
  EXPECT_THAT(refusal("w", both), HasSubstr("amax is [3,4], expected one number"));
  TensorQuantizer wrong = made({.axis = {{0}}});
  ASSERT_TRUE(wrong.set_amax(f32_tensor({5}, std::vector<float>(5, 1.0f))));
  EXPECT_THAT(refusal("w", wrong), HasSubstr("amax has 5 elements, axis 0 of the tensor has 3"));
}

}  // namespace
}  // namespace octet
