// The toolkit's calibrators and quantizers against its own recorded runs: calib.npz, quantizer.npz.

#include <gmock/gmock.h>

#include <random>

#include "golden.h"
#include "quant/quantizer.h"
#include "quant/weights.h"

namespace octet {
namespace {

using Json = nlohmann::json;
using testing::HasSubstr;

std::optional<std::vector<int64_t>> axis_of(const Json& params) {
  if (!params.contains("axis") || params["axis"].is_null()) return std::nullopt;
  if (params["axis"].is_array()) return params["axis"].get<std::vector<int64_t>>();
  return std::vector<int64_t>{params["axis"].get<int64_t>()};
}

class GoldenQuantizer : public Golden {
 protected:
  static QuantDescriptor descriptor_of(const Json& p) {
    QuantDescriptor d;
    if (p.contains("num_bits"))
      d.num_bits = p["num_bits"].is_array() ? NumBits::e4m3() : NumBits(p["num_bits"].get<int>());
    d.axis = axis_of(p);
    d.fake_quant = p.value("fake_quant", true);
    d.learn_amax = p.value("learn_amax", false);
    d.is_unsigned = p.value("unsigned", false);
    d.narrow_range = p.value("narrow_range", false);
    if (p.contains("amax")) d.amax = scalar_f32(p["amax"].get<float>());
    if (p.contains("scale_amax")) d.scale_amax = p["scale_amax"].get<double>();
    return d;
  }
};

TEST_F(GoldenQuantizer, max_calibrator_after_every_batch) {
  const std::vector<Json> all = records("max_calibrator");
  ASSERT_EQ(all.size(), 9u);
  for (const Json& record : all) {
    SCOPED_TRACE(record["id"]);
    MaxCalibrator calibrator({.axis = axis_of(record["params"]), .track_amax = true, .ref_compat = true});
    const auto expect_same = [&](const Tensor& got, const std::string& key) {
      EXPECT_TRUE(same_numbers(got, output(record, key.c_str()))) << key;
    };
    size_t n = 0;
    for (; record["inputs"].contains("batch" + std::to_string(n)); ++n) {
      const std::string batch = std::to_string(n);
      const Result<Done> done = calibrator.collect(view_of(input(record, ("batch" + batch).c_str())));
      ASSERT_TRUE(done) << done.error().message;
      const Result<std::optional<Tensor>> amax = calibrator.compute_amax();
      ASSERT_TRUE(amax && *amax);
      expect_same(**amax, "amax" + batch);
    }
    for (size_t i = 0; i < n; ++i) expect_same(calibrator.tracked()[i], "local" + std::to_string(i));
  }
}

TEST_F(GoldenQuantizer, calibrate_weights) {
  const std::vector<Json> all = records("calibrate_weights");
  ASSERT_EQ(all.size(), 28u);
  int errors = 0;
  for (const Json& record : all) {
    SCOPED_TRACE(record["id"]);
    const Json& p = record["params"];
    WeightCalibration options{
        .method = p["method"], .per_channel = p["perchannel"], .num_bins = p["num_bins"], .ref_compat = true};
    options.percentile = p.value("percentile", 99.99);
    options.axis = p["module"].get<std::string>().starts_with("convt") ? 1 : 0;
    const Result<Tensor> amax = weight_amax(input(record, "weight"), options);
    if (p.contains("error")) {
      ++errors;
      ASSERT_FALSE(amax);
      EXPECT_THAT(amax.error().message, HasSubstr(p["message"].get<std::string>()));
      continue;
    }
    ASSERT_TRUE(amax) << amax.error().message;
    EXPECT_TRUE(same_numbers(*amax, output(record, "amax")));
  }
  EXPECT_EQ(errors, 1);
}

TEST_F(GoldenQuantizer, dead_channels_are_0_by_every_method_by_default) {  // D34
  for (const Json& record : records("calibrate_weights")) {
    const Json& p = record["params"];
    if (!p.contains("error")) continue;
    for (const char* method : {"max", "entropy", "percentile", "mse"}) {
      const Tensor& weight = input(record, "weight");
      const Result<Tensor> amax = weight_amax(weight, {.method = method});
      ASSERT_TRUE(amax) << amax.error().message;
      int dead = 0;
      for (const float a : amax->as<float>()) dead += a == 0;
      EXPECT_EQ(dead, 1) << method;
    }
  }
}

TEST_F(GoldenQuantizer, torch_rand_of_seed_12345_is_24_bits_of_mt19937) {  // so the guide's examples need no torch
  for (const Json& record : records("quantizer")) {
    if (record["id"] != "seed_quantizer") continue;
    std::mt19937 generator(12345);
    for (const float x : input(record, "x").as<float>()) {
      ASSERT_EQ(x, static_cast<float>(generator() & 0xffffff) * 0x1p-24f);
    }
  }
}

TEST_F(GoldenQuantizer, forward_backward_and_text) {
  const std::vector<Json> all = records("quantizer");
  ASSERT_EQ(all.size(), 17u);
  for (const Json& record : all) {
    SCOPED_TRACE(record["id"]);
    const Json& p = record["params"];
    const std::string id = record["id"];
    QuantizerOptions options{.ref_compat = true};
    options.if_quant = p.value("if_quant", true);
    options.if_clip = p.value("if_clip", false);
    Result<TensorQuantizer> q = TensorQuantizer::make(descriptor_of(p), options);
    ASSERT_TRUE(q) << q.error().message;
    if (id.starts_with("tq_pre_scale")) q->set_pre_quant_scale(scalar_f32(2.0f));
    if (id.ends_with("_disabled")) q->disable();
    const Result<Tensor> y = q->forward(view_of(input(record, "x")));
    ASSERT_TRUE(y) << y.error().message;
    EXPECT_TRUE(same_numbers(*y, output(record, "y")));
    if (record["outputs"].contains("scale")) {
      ASSERT_TRUE(q->scale());
      const Tensor& wanted = output(record, "scale");
      EXPECT_TRUE(same_numbers(q->scale()->reshaped(wanted.dims()), wanted));
    }
    if (p.contains("extra_repr")) {
      EXPECT_EQ(q->text(), p["extra_repr"].get<std::string>());
    }
    if (!record["inputs"].contains("grad_out")) continue;
    const Result<QuantizerGradients> g = q->backward(view_of(input(record, "x")), view_of(input(record, "grad_out")));
    ASSERT_TRUE(g) << g.error().message;
    EXPECT_TRUE(same_numbers(g->dx, output(record, "grad_in")));
    const float dmin = scalar(record["scalars"]["grad_min"]), dmax = scalar(record["scalars"]["grad_max"]);
    EXPECT_NEAR(*g->dmin, dmin, 1e-5 * std::abs(dmin));
    EXPECT_NEAR(*g->dmax, dmax, 1e-5 * std::abs(dmax));
  }
}

}  // namespace
}  // namespace octet
