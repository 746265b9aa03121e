// On real networks the layers account for the run: what no layer holds is at most 3 %.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <string>

#include "octet/measure.h"

namespace octet {
namespace {

/// Share of a run that no layer accounts for, by run; the median is not moved by runs in which the machine took the
/// processor away just between two layers.
double median_share(const RunProfile& profile) {
  std::vector<double> shares;
  for (size_t run = 0; run < profile.run_ms.size(); ++run) {
    double layers = 0;
    for (const LayerSamples& layer : profile.layers) layers += static_cast<double>(layer.ms[run]);
    shares.push_back(1 - layers / static_cast<double>(profile.run_ms[run]));
  }
  std::sort(shares.begin(), shares.end());
  return shares.empty() ? 1 : shares[shares.size() / 2];
}

class Attribution : public testing::TestWithParam<const char*> {};

TEST_P(Attribution, layers_account_for_all_but_3_percent_of_a_run) {
  const char* data = std::getenv("OCTET_DATA");
  if (!data) GTEST_SKIP() << "OCTET_DATA is not set";
  const Result<Model> model = Model::load(std::string(data) + "/models/" + GetParam());
  ASSERT_TRUE(model) << model.error().message;
  for (const int threads : {1, 2}) {
    SessionSpec spec;
    spec.precision = model->is_quantized() ? "int8" : "fp32";
    spec.threads = threads;
    Result<Session> session = Session::build(*model, spec);
    ASSERT_TRUE(session) << session.error().message;
    Result<TensorBuffers> buffers = TensorBuffers::make(*session);
    ASSERT_TRUE(buffers) << buffers.error().message;
    const Stream stream{&*session, &*buffers};
    RunProfile profile;
    const MeasureSpec few{.iterations = 41, .duration_s = 0, .warmup_ms = 0, .transfers = false};
    const Result<std::vector<QueryTrace>> trace = measure({&stream, 1}, few, &profile);
    ASSERT_TRUE(trace) << trace.error().message;
    ASSERT_EQ(profile.runs(), 41);
    const double share = median_share(profile);
    EXPECT_GE(share, 0) << threads << " threads";
    EXPECT_LE(share, 0.03) << threads << " threads";
    // The definition: layers and the rest are the run.
    double layers = 0;
    for (const LayerSamples& layer : profile.layers)
      for (const float ms : layer.ms) layers += static_cast<double>(ms);
    EXPECT_NEAR(layers + profile.unattributed_ms(), profile.total_ms(), 1e-6 * profile.total_ms());
  }
}

INSTANTIATE_TEST_SUITE_P(RealNetworks, Attribution,
                         testing::Values("resnet18_cifar10.onnx", "resnet18_cifar10_eager_int8.onnx",
                                         "resnet20_cifar10.onnx", "resnet20_cifar10_ort_qdq_s8.onnx",
                                         "mobilenet_v2_imagenet.onnx", "mobilenet_v2_imagenet_ort_qdq.onnx",
                                         "efficientnet_b0_c10.onnx", "vit_tiny_c10.onnx"),
                         [](const auto& model) {
                           std::string name = model.param;
                           return name.substr(0, name.find('.'));
                         });

}  // namespace
}  // namespace octet
