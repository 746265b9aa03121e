// A module's quantizers as Q/DQ in an ONNX file: the cases under ONNX of docs/toolkit_behaviour.md through libtorch's
// modules.

#include "octet/export.h"

#include <gmock/gmock.h>
#include <unistd.h>

#include <fstream>
#include <iterator>

#include "ir/text.h"
#include "octet/train/graph_module.h"
#include "octet/train/modules.h"
#include "onnx/onnx.h"
#include "train/torch_tests.h"

namespace octet::nn {
namespace {

using testing::HasSubstr;
using torch::Tensor;

class ExportedModule : public testing::Test {
 protected:
  void SetUp() override {
    torch::manual_seed(9);
    path_ = testing::TempDir() + "octet_train_export_" + std::to_string(::getpid()) + ".onnx";
    fc_ = QuantLinear(torch::nn::LinearOptions(4, 3));
  }
  void TearDown() override { ::unlink(path_.c_str()); }

  static std::string numbers(const Tensor& t) {
    std::string text;
    const Tensor flat = t.detach().reshape(-1);
    char word[32];
    for (int64_t i = 0; i < flat.numel(); ++i) {
      std::snprintf(word, sizeof word, "%s%.9g", i ? ", " : "", double{flat[i].item<float>()});
      text += word;
    }
    return text;
  }
  /// The float network of the module.
  Model model() {
    const Result<Graph> graph =
        parse_graph("graph g (x: f32[N,4]) -> (y) {\n  const w: f32[3,4] = {" + numbers(fc_->weight) +
                    "}\n  const b: f32[3] = {" + numbers(fc_->bias) + "}\n  y = Gemm(x, w, b, transB=1) @fc\n}\n");
    EXPECT_TRUE(graph) << graph.error().message;
    EXPECT_TRUE(write_onnx_file(path_, *graph));
    return *Model::load(path_);
  }
  Result<Model> exported() {
    const octet::TensorQuantizer x = fc_->input_quantizer->plain(), w = fc_->weight_quantizer->plain();
    return export_quantizers(model(), {{"x", &x}, {"w", &w}});
  }

  std::string path_;
  QuantLinear fc_{nullptr};
};

TEST_F(ExportedModule, has_the_scales_of_the_modules_ranges) {  // cases 1 and 2
  fc_->input_quantizer->set_amax(torch::tensor(2.54f));
  fc_->weight_quantizer->set_amax(floats({0.254f, 1, 0}).reshape({3, 1}));
  const Result<Model> out = exported();
  ASSERT_TRUE(out) << out.error().message;
  const std::string text = out->text(false);
  EXPECT_THAT(text, HasSubstr("const x_scale: f32[] = {0.02}"));
  EXPECT_THAT(text, HasSubstr("const x_zero_point: s8[] = {0}"));
  EXPECT_THAT(text, HasSubstr("const w_scale: f32[3] = {0.002, 0.007874016, 1}"));
  EXPECT_THAT(text, HasSubstr("w_quantized = QuantizeLinear(w, w_scale, w_zero_point, axis=0)"));
  EXPECT_TRUE(out->save(path_, 13));
  const Result<Done> ten = out->save(path_, 10);  // case 4
  ASSERT_FALSE(ten);
  EXPECT_THAT(ten.error().message, HasSubstr("13"));
}

TEST_F(ExportedModule, scales_per_channel_are_read_from_a_file_that_says_opset_10) {  // case 4
  fc_->input_quantizer->set_amax(torch::tensor(2.54f));
  fc_->weight_quantizer->set_amax(floats({0.254f, 1, 0.5f}).reshape({3, 1}));
  const Result<Model> out = exported();
  ASSERT_TRUE(out) << out.error().message;
  ASSERT_TRUE(out->save(path_, 13));
  std::ifstream in(path_, std::ios::binary);
  std::string bytes{std::istreambuf_iterator<char>(in), {}};
  const size_t version = bytes.rfind("\x10\x0d");  // of the opset, field 2 of the last message
  ASSERT_NE(version, std::string::npos);
  ASSERT_GT(version + 16, bytes.size());
  bytes[version + 1] = 10;
  std::ofstream(path_, std::ios::binary) << bytes;
  const Result<Model> ten = Model::load(path_);
  ASSERT_TRUE(ten) << ten.error().message;
  EXPECT_THAT(ten->text(false), HasSubstr("w_scale: f32[3] = {0.002, 0.007874016"));
}

TEST_F(ExportedModule, unsigned_inputs_have_uint8_zero_points) {  // case 3
  fc_->input_quantizer->set_unsigned(true);
  fc_->input_quantizer->set_amax(torch::tensor(5.1f));
  fc_->weight_quantizer->set_amax(torch::ones({3, 1}));
  const Result<Model> out = exported();
  ASSERT_TRUE(out) << out.error().message;
  EXPECT_THAT(out->text(false), HasSubstr("const x_scale: f32[] = {0.02}"));
  EXPECT_THAT(out->text(false), HasSubstr("const x_zero_point: u8[] = {0}"));
}

TEST_F(ExportedModule, narrow_and_uncalibrated_quantizers_are_refused_by_name) {  // case 5
  const Result<Model> dynamic = exported();
  ASSERT_FALSE(dynamic);
  EXPECT_THAT(dynamic.error().message, HasSubstr("Quantizer has not been calibrated"));
  EXPECT_THAT(dynamic.error().message, testing::AnyOf(HasSubstr("'x'"), HasSubstr("'w'")));
  fc_->input_quantizer->set_amax(torch::tensor(1.0f));
  fc_->weight_quantizer->set_amax(torch::ones({3, 1}));
  fc_->input_quantizer->set_narrow_range(true);
  const Result<Model> narrow = exported();
  ASSERT_FALSE(narrow);
  EXPECT_THAT(narrow.error().message, HasSubstr("'x'"));
  EXPECT_THAT(narrow.error().message, HasSubstr("narrow_range"));
}

TEST_F(ExportedModule, read_back_as_a_trainable_graph_answers_as_the_module) {
  const Tensor x = torch::rand({16, 4}) * 2 - 1;
  fc_->input_quantizer->set_amax(torch::tensor(1.0f));
  fc_->weight_quantizer->set_amax(fc_->weight.detach().abs().amax({1}, true));
  const Result<Model> out = exported();
  ASSERT_TRUE(out) << out.error().message;
  ASSERT_TRUE(out->save(path_, 13));
  Result<GraphModule> graph = read_graph_module(path_);
  ASSERT_TRUE(graph) << graph.error().message;
  torch::NoGradGuard no_grad;
  // Q and DQ of ONNX divide where the toolkit multiplies: an ulp, or one step where a value falls on a tie.
  EXPECT_TRUE(torch::allclose((*graph)->forward(x), fc_(x), 0, 0.02));
  EXPECT_LE(((*graph)->forward(x) - fc_(x)).abs().gt(1e-5).sum().item<int64_t>(), 3);
}

}  // namespace
}  // namespace octet::nn
