// Real models in FP32 on the CPU against ONNX Runtime's logits (docs of the data set: $OCTET_DATA/README.md).
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "backends/cpu/cpu_backend.h"
#include "backends/open.h"
#include "base/file.h"
#include "base/isa.h"
#include "ir/op.h"
#include "onnx/onnx.h"
#include "passes/passes.h"
#include "runtime/engine.h"

namespace octet {
namespace {

/// Preprocessing of the data set's README: (pixel / 255 - mean) / std, or caffe_bgr.
struct Norm {
  float mean[3], std[3];
  bool bgr_of_255 = false;
};
constexpr Norm k_c10{{0.4914f, 0.4822f, 0.4465f}, {0.2470f, 0.2435f, 0.2616f}};
constexpr Norm k_cifar{{0.4914f, 0.4822f, 0.4465f}, {0.2023f, 0.1994f, 0.2010f}};
constexpr Norm k_imagenet{{0.485f, 0.456f, 0.406f}, {0.229f, 0.224f, 0.225f}};
constexpr Norm k_half{{0.5f, 0.5f, 0.5f}, {0.5f, 0.5f, 0.5f}};
constexpr Norm k_caffe{{103.939f, 116.779f, 123.68f}, {1, 1, 1}, true};

struct ModelCase {
  const char* name;
  Norm norm;
  bool is_imagenet = false;
  int64_t batch = 16;
};
void PrintTo(const ModelCase& model, std::ostream* out) { *out << model.name; }

std::string data_folder() {
  const char* folder = getenv("OCTET_DATA");
  return folder ? folder : "";
}

std::vector<uint8_t> read_bytes(const std::string& path) {
  const auto file = MappedFile::open(path);
  if (!file) {
    ADD_FAILURE() << file.error().message;
    return {};
  }
  const auto* data = reinterpret_cast<const uint8_t*>((*file)->bytes().data());
  return {data, data + (*file)->bytes().size()};
}

/// The elements of a .npy file of version 1, whatever their type.
std::vector<uint8_t> npy_elements(const std::string& path) {
  const std::vector<uint8_t> bytes = read_bytes(path);
  if (bytes.size() < 10) return {};
  return {bytes.begin() + 10 + bytes[8] + 256 * bytes[9], bytes.end()};
}

/// Normalized NCHW images: the first 256 of CIFAR-10's test batch, or the 17 photographs.
std::vector<float> images_for(const ModelCase& model) {
  const size_t plane = model.is_imagenet ? 224 * 224 : 32 * 32, record = 3 * plane + (model.is_imagenet ? 0 : 1);
  const std::vector<uint8_t> pixels = model.is_imagenet ? npy_elements(data_folder() + "/images/imagenet17_rgb_u8.npy")
                                                        : read_bytes(data_folder() + "/cifar10/test_batch.bin");
  const size_t count = model.is_imagenet ? 17 : 256;
  std::vector<float> images(count * 3 * plane);
  for (size_t i = 0; i < images.size(); ++i) {
    const size_t image = i / (3 * plane), channel = i / plane % 3, at = i % plane;
    const size_t from = model.norm.bgr_of_255 ? 2 - channel : channel;
    const uint8_t pixel = pixels[image * record + (record - 3 * plane) + from * plane + at];
    const float value = model.norm.bgr_of_255 ? static_cast<float>(pixel) : static_cast<float>(pixel) / 255.0f;
    images[i] = (value - model.norm.mean[channel]) / model.norm.std[channel];
  }
  return images;
}

Result<Graph> fused_graph(const ModelCase& model_case) {
  Result<OnnxModel> model = read_onnx(data_folder() + "/models/" + model_case.name + ".onnx");
  if (!model) return model.error();
  Graph graph = std::move(model->graph);
  if (auto cleaned = run_stage(graph, Stage::clean); !cleaned) return cleaned.error();
  const int64_t side = model_case.is_imagenet ? 224 : 32;  // squeezenet1_1 leaves height and width open
  const Binding binding{.batch = 0, .shapes = {{graph.value(graph.inputs[0]).name, {model_case.batch, 3, side, side}}}};
  if (auto bound = bind_shapes(graph, binding); !bound) return bound.error();
  if (auto cleaned = run_stage(graph, Stage::clean); !cleaned) return cleaned.error();
  if (auto fused = run_stage(graph, Stage::fuse); !fused) return fused.error();
  return graph;
}

Result<std::shared_ptr<const Engine>> engine_for(const ModelCase& model_case, int threads) {
  Result<Graph> graph = fused_graph(model_case);
  if (!graph) return graph.error();
  Result<std::shared_ptr<Backend>> backend = open_backend("cpu", {.threads = threads});
  if (!backend) return backend.error();
  return Engine::build(*std::move(graph), *backend);
}

/// Logits of all images, batch by batch; the last batch is filled up with zeros.
std::vector<float> logits_of(const Engine& engine, Context& context, const std::vector<float>& images) {
  const Dims in = *known_dims(*engine.input(0).shape), out = *known_dims(*engine.output(0).shape);
  const auto per_batch_in = static_cast<size_t>(*element_count(in)),
             per_batch_out = static_cast<size_t>(*element_count(out));
  std::vector<float> logits, x(per_batch_in), y(per_batch_out);
  for (size_t at = 0; at < images.size(); at += per_batch_in) {
    const size_t n = std::min(per_batch_in, images.size() - at);
    x.assign(per_batch_in, 0.0f);
    std::copy_n(images.begin() + static_cast<ptrdiff_t>(at), n, x.begin());
    const Result<Done> done =
        context.run({{TensorView::dense(DType::f32, in, reinterpret_cast<std::byte*>(x.data()))},
                     {TensorView::dense(DType::f32, out, reinterpret_cast<std::byte*>(y.data()))}});
    EXPECT_TRUE(done) << done.error().message;
    logits.insert(logits.end(), y.begin(), y.begin() + static_cast<ptrdiff_t>(per_batch_out * n / per_batch_in));
  }
  return logits;
}

class Fp32Model : public testing::TestWithParam<ModelCase> {};

TEST_P(Fp32Model, agrees_with_onnx_runtime) {
  if (data_folder().empty()) GTEST_SKIP() << "OCTET_DATA is not set";
  const ModelCase& model = GetParam();
  const auto engine = engine_for(model, 1);
  ASSERT_TRUE(engine) << engine.error().message;
  Result<Context> context = Context::make(*engine);
  ASSERT_TRUE(context);
  const std::vector<float> logits = logits_of(**engine, *context, images_for(model));
  const std::vector<uint8_t> bytes = npy_elements(data_folder() + "/refs/" + model.name + "_fp32_logits.npy");
  std::vector<float> expected(bytes.size() / sizeof(float));
  std::memcpy(expected.data(), bytes.data(), expected.size() * sizeof(float));
  ASSERT_EQ(logits.size(), expected.size());
  double largest = 0, difference = 0;
  for (size_t i = 0; i < logits.size(); ++i) {
    largest = std::max(largest, std::fabs(static_cast<double>(expected[i])));
    difference = std::max(difference, std::fabs(static_cast<double>(logits[i]) - static_cast<double>(expected[i])));
  }
  RecordProperty("relative_difference", std::to_string(difference / largest));
  EXPECT_LE(difference, 2e-5 * largest) << "largest logit " << largest;  // the design's bound for float layers
}

TEST_P(Fp32Model, gives_the_same_bytes_on_three_threads) {
  if (data_folder().empty()) GTEST_SKIP() << "OCTET_DATA is not set";
  const ModelCase& model = GetParam();
  std::vector<float> images = images_for(model);
  images.resize(images.size() / (model.is_imagenet ? 17 : 256) *
                static_cast<size_t>(std::min<int64_t>(model.batch, 4)));
  std::vector<float> logits[2];
  for (const int threads : {1, 3}) {
    const auto engine = engine_for(model, threads);
    ASSERT_TRUE(engine) << engine.error().message;
    Result<Context> context = Context::make(*engine);
    ASSERT_TRUE(context);
    logits[threads / 3] = logits_of(**engine, *context, images);
  }
  EXPECT_EQ(logits[0], logits[1]);
}

INSTANTIATE_TEST_SUITE_P(Models, Fp32Model,
                         testing::Values(ModelCase{"resnet18_cifar10", k_half, false, 1},
                                         ModelCase{"resnet20_cifar10", k_imagenet},
                                         ModelCase{"resnet56_cifar10_bn_pad", k_cifar},
                                         ModelCase{"mobilenet_v2_cifar10", k_cifar}, ModelCase{"resnet18_c10", k_c10},
                                         ModelCase{"mobilenet_v3_small_c10", k_c10},
                                         ModelCase{"efficientnet_b0_c10", k_c10}, ModelCase{"vit_tiny_c10", k_c10},
                                         ModelCase{"mobilenet_v2_imagenet", k_imagenet, true, 1},
                                         ModelCase{"squeezenet1_1_imagenet", k_caffe, true, 1}),
                         [](const auto& p) { return std::string(p.param.name); });

class Int8Model : public testing::TestWithParam<ModelCase> {};

TEST_P(Int8Model, gives_the_reference_bytes_on_every_isa) {
  if (data_folder().empty()) GTEST_SKIP() << "OCTET_DATA is not set";
  const Result<Graph> graph = fused_graph(GetParam());
  ASSERT_TRUE(graph) << graph.error().message;
  for (const Node& node : graph->nodes)
    ASSERT_NE(node.op->name, "FusedConv") << "a float layer, which may round otherwise";
  std::vector<float> images = images_for(GetParam());
  images.resize(static_cast<size_t>(GetParam().batch) * 3 * 32 * 32);
  const auto logits_on = [&](const std::shared_ptr<Backend>& backend) {
    const auto engine = Engine::build(*graph, backend);
    EXPECT_TRUE(engine) << engine.error().message;
    Result<Context> context = Context::make(*engine);
    return logits_of(**engine, *context, images);
  };
  const std::vector<float> expected = logits_on(*open_backend("ref"));
  for (const Isa isa : available_isas()) {
    for (const int threads : {1, 3}) {
      EXPECT_EQ(logits_on(cpu::make_backend({.threads = threads, .isa = isa})), expected)
          << name(isa) << ", " << threads;
    }
  }
  const auto cuda = open_backend("cuda");
  if (cuda) {
    EXPECT_EQ(logits_on(*cuda), expected) << "cuda";
  }
}

INSTANTIATE_TEST_SUITE_P(Models, Int8Model,
                         testing::Values(ModelCase{"resnet20_cifar10_ort_qdq_s8", k_imagenet, false, 2},
                                         ModelCase{"mobilenet_v2_cifar10_fakequant_qdq", k_cifar, false, 2}),
                         [](const auto& p) { return std::string(p.param.name); });

}  // namespace
}  // namespace octet
