// The functions and TensorQuantizer on libtorch's tensors: against the toolkit's recorded runs, the hand-checked cases
// of docs/toolkit_behaviour.md, and octet's own functions without libtorch.

#include <cmath>
#include <limits>
#include <mutex>
#include <set>
#include <thread>

#include "octet/train/tensor_quantizer.h"
#include "train/parallel.h"
#include "train/torch_tests.h"

namespace octet::nn {
namespace {

using Json = nlohmann::json;
using torch::Tensor;

class GoldenTorch : public Golden {
 protected:
  Tensor x_of(const Json& record, const char* name = "x") { return to_torch(input(record, name)).requires_grad_(true); }
  static QuantOptions options_of(const Json& p) {
    return {.num_bits = p.value("num_bits", 8),
            .is_unsigned = p.value("unsigned", false),
            .narrow_range = p.value("narrow_range", true),
            .ref_compat = true};
  }
};

TEST_F(GoldenTorch, tensor_quant_and_its_gradient) {
  int count = 0;
  for (const Json& record : records("tensor_quant")) {
    const Json& p = record["params"];
    if (p.contains("num_bits") && (!p["num_bits"].is_number() || p["num_bits"].get<int>() < 2)) continue;
    SCOPED_TRACE(record["id"]);
    const Tensor amax = to_torch(input(record, "amax"));
    Tensor x = x_of(record);
    const Tensor y = fake_tensor_quant(x, amax, options_of(p));
    EXPECT_TRUE(same(y, to_torch(output(record, "fake"))));
    Tensor again = x_of(record);
    const auto [q, scale] = tensor_quant(again, amax, options_of(p));
    EXPECT_TRUE(same(q, to_torch(output(record, "q"))));
    EXPECT_TRUE(same(scale, to_torch(output(record, "scale"))));
    if (!record["inputs"].contains("grad_out")) continue;
    ++count;
    y.backward(to_torch(input(record, "grad_out")));
    EXPECT_TRUE(same(x.grad(), to_torch(output(record, "grad_in"))));
    q.backward(to_torch(input(record, "grad_out")));
    EXPECT_TRUE(same(again.grad(), to_torch(output(record, "grad_in"))));
  }
  EXPECT_GE(count, 200);
}

TEST_F(GoldenTorch, affine_e4m3_and_pact) {
  int count = 0;
  for (const Json& record : records("affine")) {
    SCOPED_TRACE(record["id"]);
    Tensor x = x_of(record);
    const float min = input(record, "min").at<float>(0), max = input(record, "max").at<float>(0);
    const Tensor y =
        fake_affine_tensor_quant(x, min, max, {.num_bits = record["params"].value("num_bits", 8), .ref_compat = true});
    EXPECT_TRUE(same(y, to_torch(output(record, "y"))));
    y.backward(to_torch(input(record, "grad_out")));
    EXPECT_TRUE(same(x.grad(), to_torch(output(record, "grad_in"))));
    ++count;
  }
  for (const Json& record : records("e4m3")) {
    SCOPED_TRACE(record["id"]);
    Tensor x = x_of(record);
    std::optional<Tensor> amax;
    if (record["inputs"].contains("amax")) amax = to_torch(input(record, "amax"));
    const Tensor y = scaled_e4m3(x, amax);
    EXPECT_TRUE(same(y, to_torch(output(record, "y"))));
    y.backward(to_torch(input(record, "grad_out")));
    EXPECT_TRUE(same(x.grad(), to_torch(output(record, "grad_in"))));
    ++count;
  }
  for (const Json& record : records("pact_clip")) {
    SCOPED_TRACE(record["id"]);
    Tensor x = x_of(record), min = x_of(record, "min"), max = x_of(record, "max");
    const Tensor y = pact_clip(x, min, max);
    EXPECT_TRUE(same(y, to_torch(output(record, "y"))));
    y.backward(to_torch(input(record, "grad_out")));
    EXPECT_TRUE(same(x.grad(), to_torch(output(record, "grad_in"))));
    const float dmin = scalar(record["scalars"]["grad_min"]), dmax = scalar(record["scalars"]["grad_max"]);
    EXPECT_NEAR(min.grad().item<float>(), dmin, 1e-5 * std::abs(dmin));  // the order of the sum is free
    EXPECT_NEAR(max.grad().item<float>(), dmax, 1e-5 * std::abs(dmax));
    ++count;
  }
  EXPECT_GE(count, 10);
}

constexpr float k_nan = std::numeric_limits<float>::quiet_NaN(), k_inf = std::numeric_limits<float>::infinity();

TEST(Functions, gradient_passes_inside_amax_inclusively) {  // functions, case 12
  Tensor x = floats({-1.1f, -1, -.5f, 0, 1, std::nextafter(1.0f, 2.0f), k_nan, k_inf}).requires_grad_(true);
  fake_tensor_quant(x, torch::tensor(1.0f)).backward(floats({1, 2, 3, 4, 5, 6, 7, 8}));
  EXPECT_TRUE(same(x.grad(), {0, 2, 3, 4, 5, 0, 0, 0}));
  Tensor m = floats({1, 2, 3, 4}).reshape({2, 2}).requires_grad_(true);
  tensor_quant(m, floats({1.5f, 3}).reshape({2, 1})).first.backward(floats({1, 2, 3, 4}).reshape({2, 2}));
  EXPECT_TRUE(same(m.grad(), {1, 0, 3, 0}));
}

TEST(Functions, pact_gives_the_bounds_what_lies_at_and_beyond_them) {  // functions, case 15
  Tensor x = floats({-2, -1, -.3f, .5f, 1, 3}).requires_grad_(true);
  Tensor min = torch::tensor(-1.0f).requires_grad_(true), max = torch::tensor(1.0f).requires_grad_(true);
  const Tensor y = fake_tensor_quant(pact_clip(x, min, max), torch::tensor(1.0f));
  EXPECT_TRUE(same(y, {-1, -1, -0.2992126f, 0.503937f, 1, 1}));
  y.backward(floats({1, 2, 3, 4, 5, 6}));
  EXPECT_TRUE(same(x.grad(), {0, 0, 3, 4, 0, 0}));
  EXPECT_EQ(min.grad().item<float>(), 3.0f);
  EXPECT_EQ(max.grad().item<float>(), 11.0f);
}

TEST(Functions, wrong_arguments_throw_with_the_toolkits_words) {
  const Tensor x = floats({-1, 1});
  EXPECT_THROW(fake_tensor_quant(x, torch::tensor(1.0f), {.is_unsigned = true}), std::invalid_argument);
  EXPECT_THROW(fake_tensor_quant(x, torch::tensor(-1.0f)), std::invalid_argument);
  EXPECT_THROW(tensor_quant(x, torch::tensor(k_nan)), std::invalid_argument);
  EXPECT_THROW(fake_quantize(x, floats({1, 2, 3}), {-127, 127}, 0), std::invalid_argument);
}

TEST(Functions, bits_are_octets_own_per_tensor_per_channel_half_and_strided) {
  torch::manual_seed(3);
  const Tensor x = torch::randn({5, 7, 40, 41});
  for (const Tensor& input : {x, x.transpose(1, 3), x.to(torch::kFloat16), x.to(torch::kBFloat16)})
    for (const bool per_channel : {false, true}) {
      const Tensor amax = per_channel ? input.to(torch::kFloat32).abs().amax({0, 2, 3}, true) : torch::tensor(2.5f);
      const auto wanted = octet::fake_tensor_quant(view_of(input), to_octet(amax), {.num_bits = 5});
      ASSERT_TRUE(wanted);
      EXPECT_TRUE(same_bits(fake_tensor_quant(input, amax, {.num_bits = 5}), *wanted));
    }
}

/// clamp(rint(x / s)) * s element by element in plain C++.
float onnx_value(float x, float s, float lo, float hi) { return std::min(std::max(std::nearbyint(x / s), lo), hi) * s; }

TEST(Functions, fake_quantize_is_onnx_quantize_then_dequantize) {
  torch::manual_seed(4);
  Tensor x = torch::randn({3, 6, 11, 13}) * 3;
  x.view({-1})[0] = 0.16535432636737823f;  // the tie of case 9: ONNX rounds to 4
  const Tensor scale = torch::rand({6}) * 0.05 + 0.001;
  Tensor with_gradient = x.clone().requires_grad_(true);
  for (const CodeLimits limits : {CodeLimits{-127, 127}, CodeLimits{-3, 3}, CodeLimits{-17, 238}}) {
    const Tensor y = fake_quantize(x, scale, limits, 1), z = fake_quantize(with_gradient, scale, limits, 1);
    EXPECT_TRUE(same(y, z.detach()));
    const auto xs = x.accessor<float, 4>(), ys = y.accessor<float, 4>();
    for (int64_t n = 0; n < 3; ++n)
      for (int64_t c = 0; c < 6; ++c)
        for (int64_t h = 0; h < 11; ++h)
          for (int64_t w = 0; w < 13; ++w)
            ASSERT_EQ(ys[n][c][h][w], onnx_value(xs[n][c][h][w], scale[c].item<float>(), limits.lo, limits.hi));
  }
  EXPECT_EQ(fake_quantize(torch::tensor(0.16535432636737823f), torch::tensor(0.04724409431219101f), {-128, 127})
                .item<float>(),
            4 * 0.04724409431219101f);
}

TEST(Functions, a_rectified_quantizer_is_a_relu_with_a_quantizer_behind_it) {
  torch::manual_seed(5);
  Tensor x = torch::randn({3, 40, 21}) * 3;
  x.view({-1}).narrow(0, 0, 6).copy_(floats({0.0f, -0.0f, 0x1p-149f, 12.75f, 12.750001f, -1e-30f}));
  const Tensor scale = torch::tensor(0.05f), dy = torch::randn_like(x);
  Tensor plain = x.clone().requires_grad_(true), fused = x.clone().requires_grad_(true);
  const Tensor wanted = fake_quantize(torch::relu(plain), scale, {0, 255});
  const Tensor got = fake_quantize(fused, scale, {0, 255, /*rectified=*/true});
  EXPECT_TRUE(same(got.detach(), wanted.detach()));
  wanted.backward(dy);
  got.backward(dy);
  EXPECT_TRUE(same(fused.grad(), plain.grad()));
  EXPECT_EQ(fused.grad().view({-1})[0].item<float>(), 0);
}

TEST(Functions, learned_step_gradient_is_formula_3_of_lsq) {
  Tensor x = floats({-9, -0.6f, 0.2f, 1.3f, 9}).requires_grad_(true);
  Tensor s = torch::tensor(1.0f).requires_grad_(true);
  const Tensor y = learned_quantize(x, s, {-3, 3});
  EXPECT_TRUE(same(y, {-3, -1, 0, 1, 3}));
  y.backward(floats({1, 1, 1, 1, 1}));
  EXPECT_TRUE(same(x.grad(), {0, 1, 1, 1, 0}));
  const double sum = -3 + (-1 + 0.6) + (0 - 0.2) + (1 - 1.3) + 3;
  EXPECT_NEAR(s.grad().item<double>(), sum / std::sqrt(5.0 * 3.0), 1e-6);
}

TEST(TorchQuantizer, flow_and_texts) {
  TensorQuantizer q;
  EXPECT_TRUE(same(q(floats({1, -2, 3, -4})), {1.007874f, -2.015748f, 2.992126f, -4}));
  EXPECT_EQ(q->text(), "8bit fake per-tensor amax=dynamic calibrator=MaxCalibrator scale=1.0 quant");
  TensorQuantizer rows(QuantDescriptor{.fake_quant = false, .axis = {{0}}});
  EXPECT_TRUE(same(rows(floats({1, -2, 3, -4}).reshape({2, 2})), {64, -127, 95, -127}));
  TensorQuantizer scaled(QuantDescriptor{.fake_quant = false, .amax = scalar_f32(127.0f)});
  scaled->set_pre_quant_scale(torch::tensor(2.0f));
  EXPECT_TRUE(same(scaled(floats({0, .4f, 1.1f, 2})), {0, 1, 2, 4}));
  scaled->disable();
  EXPECT_TRUE(same(scaled(floats({0, .4f, 1.1f, 2})), {0, .8f, 2.2f, 4}));
  EXPECT_THROW(TensorQuantizer()->load_calib_amax(), std::invalid_argument);
  EXPECT_THROW(TensorQuantizer()->enable_clip(), std::invalid_argument);
}

TEST(TorchQuantizer, axes_ranges_and_modes) {  // quantizer, cases 2 and 3
  const Tensor m = floats({1, -2, 3, -4}).reshape({2, 2});
  TensorQuantizer columns(QuantDescriptor{.fake_quant = false, .axis = {{1}}});
  EXPECT_TRUE(same(columns(m), {42, -64, 127, -127}));
  const Tensor x = floats({-1.1f, -1.004f, 1.1f});
  TensorQuantizer full(QuantDescriptor{.amax = scalar_f32(1.0f)});
  EXPECT_TRUE(same(full(x), {-1.007874f, -1.007874f, 1}));
  TensorQuantizer narrow(QuantDescriptor{.amax = scalar_f32(1.0f), .narrow_range = true});
  EXPECT_TRUE(same(narrow(x), {-1, -1, 1}));
  // The toolkit never passes narrow_range on when real (D11): its answer with ref_compat, the descriptor's without.
  const QuantDescriptor real{.fake_quant = false, .amax = scalar_f32(1.0f)};
  TensorQuantizer as_there(real, QuantizerOptions{.ref_compat = true});
  EXPECT_TRUE(same(as_there(x), {-127, -127, 127}));
  TensorQuantizer mended(real);
  EXPECT_TRUE(same(mended(x), {-128, -128, 127}));
}

TEST(TorchQuantizer, gradients_by_mode) {  // the functions' gradients through the module
  const auto gradient = [](TensorQuantizer q, const Tensor& x) {
    Tensor in = x.detach().clone().requires_grad_(true);
    q(in).backward(torch::arange(1, x.numel() + 1).to(torch::kFloat32).reshape(x.sizes()));
    return in.grad();
  };
  const Tensor x = floats({-1.1f, -1, 0.3f, 1, 1.1f});
  EXPECT_TRUE(same(gradient(TensorQuantizer(QuantDescriptor{.amax = scalar_f32(1.0f)}), x), {0, 2, 3, 4, 0}));
  EXPECT_TRUE(same(gradient(TensorQuantizer(), x), {1, 2, 3, 4, 5}));  // dynamic: all within
  TensorQuantizer scaled(QuantDescriptor{.amax = scalar_f32(1.0f)});
  scaled->set_pre_quant_scale(torch::tensor(2.0f));
  EXPECT_TRUE(same(gradient(scaled, x), {0, 0, 6, 0, 0}));
  TensorQuantizer disabled(QuantDescriptor{.amax = scalar_f32(1.0f)});
  disabled->disable();
  EXPECT_TRUE(same(gradient(disabled, x), {1, 2, 3, 4, 5}));
  TensorQuantizer rows(QuantDescriptor{.axis = {{0}}});
  rows->set_amax(floats({1.5f, 3}).reshape({2, 1}));
  EXPECT_TRUE(same(gradient(rows, floats({1, 2, 3, 4}).reshape({2, 2})), {1, 0, 3, 0}));
  TensorQuantizer e4m3(QuantDescriptor{.num_bits = NumBits::e4m3(), .amax = scalar_f32(1.0f)});
  EXPECT_TRUE(same(gradient(e4m3, x), {0, 2, 3, 4, 0}));
}

TEST(TorchQuantizer, texts) {  // quantizer, case 7
  TensorQuantizer rows(QuantDescriptor{.axis = {{0}}});
  rows->set_amax(floats({0.7f, 1.5f}));
  EXPECT_EQ(rows->text(), "8bit fake axis=0 amax=[0.7000, 1.5000](2) calibrator=MaxCalibrator scale=1.0 quant");
  TensorQuantizer odd(
      QuantDescriptor{.scale_amax = 0.5, .calib_method = "histogram", .is_unsigned = true, .narrow_range = true});
  EXPECT_EQ(odd->text(),
            "unsigned 8bit narrow fake per-tensor amax=dynamic *0.5 calibrator=HistogramCalibrator scale=1.0 quant");
}

TEST(TorchQuantizer, state_names_of_a_whole_module) {  // quantizer, case 8
  TensorQuantizer q(QuantDescriptor{.learn_amax = true});
  q->set_pre_quant_scale(torch::tensor(2.0f));
  const std::map<std::string, Tensor> state = state_dict(*q);
  for (const char* name : {"clip.clip_value_min", "clip.clip_value_max", "_pre_quant_scale"})
    EXPECT_TRUE(state.contains(name)) << name;
  TensorQuantizer other(QuantDescriptor{.learn_amax = true});
  load_state_dict(*other, state);
  EXPECT_TRUE(same(other(floats({0.25f, 2})), q(floats({0.25f, 2}))));
  EXPECT_EQ(q->plain().text(), q->text());
}

TEST(TorchQuantizer, learned_bounds_clip_before_quantizing) {  // quantizer, case 6
  TensorQuantizer q(QuantDescriptor{.learn_amax = true});
  {
    torch::NoGradGuard no_grad;
    q->named_parameters()["clip.clip_value_min"].fill_(-0.5f);
    q->named_parameters()["clip.clip_value_max"].fill_(1.0f);
  }
  const Tensor y = q(floats({-2, -1, -.3f, .5f, 1, 3}));
  EXPECT_TRUE(same(y.detach(), {-0.503937f, -0.503937f, -0.2992126f, 0.503937f, 1, 1}));
  y.sum().backward();
  EXPECT_EQ(q->named_parameters()["clip.clip_value_min"].grad().item<float>(), 2.0f);
}

TEST(TorchQuantizer, calibration_then_state_round_trip) {  // quantizer, case 8
  TensorQuantizer q(QuantDescriptor{.axis = {{1}}});
  q->enable_calib();
  q->disable_quant();
  q(floats({1, -2, 3, -4, 5, 6}).reshape({1, 3, 2}));
  q->load_calib_amax();
  q->disable_calib();
  q->enable_quant();
  const std::map<std::string, Tensor> state = state_dict(*q);
  ASSERT_EQ(state.size(), 1u);
  EXPECT_TRUE(same(state.at("_amax"), {2, 4, 6}));
  TensorQuantizer other;
  load_state_dict(*other, state);  // created where it was absent
  EXPECT_TRUE(same(other->amax(), state.at("_amax")));
  EXPECT_THROW(load_state_dict(*other, {}), std::invalid_argument);
  EXPECT_THROW(q->set_amax(floats({1, 2})), std::invalid_argument);
}

// Against libtorch's own element-wise functions: blocks of marks, and what is left of them.
TEST(Functions, quantize_and_pass_gradients_for_any_number_of_elements) {
  torch::manual_seed(2);
  const Tensor scale = torch::tensor({0.25f});
  for (const int64_t n : {0, 1, 7, 8, 15, 16, 63, 64, 65, 129, 1000, (1 << 15) + 5})
    for (const bool rectified : {false, true}) {
      SCOPED_TRACE(std::to_string(n) + (rectified ? " rectified" : ""));
      const float lo = rectified ? 0.0f : -5.0f;
      Tensor x = torch::randn({n}), dy = torch::randn({n});
      for (int64_t i = 0; i < std::min<int64_t>(n, 6); ++i)  // the bounds, beside them, a zero, no number
        x[i] = std::vector<float>{
            1.5f, std::nextafter(1.5f, 2.0f), -1.25f, 0.0f, -0.0f, std::nanf("")}[static_cast<size_t>(i)];
      const Tensor in = x.clone().requires_grad_(true);
      const Tensor y = fake_quantize(in, scale, {lo, 6.0f, rectified});
      y.backward(dy);
      const Tensor v = x / scale;
      Tensor passes = v.ge(lo).logical_and(v.le(6.0f));
      if (rectified) passes = passes.logical_and(x.gt(0));
      const Tensor wanted = torch::where(v.isnan(), torch::full_like(v, lo), v).clamp(lo, 6.0).round() * scale;
      EXPECT_TRUE(same(y.detach(), wanted));
      EXPECT_TRUE(same_bits(in.grad(), to_octet(torch::where(passes, dy, torch::zeros_like(dy)))));
    }
}

/// Which threads run pieces of one loop.
std::set<std::thread::id> threads_of_a_loop() {
  std::mutex lock;
  std::set<std::thread::id> seen;
  on_torch_threads(0, 64, 1, [&](int64_t, int64_t) {
    const std::lock_guard hold(lock);
    seen.insert(std::this_thread::get_id());
  });
  return seen;
}

struct Quantized {
  Tensor y, dx, ds;
};

Quantized quantized(const Tensor& values, const Tensor& scale, int64_t axis, bool learned) {
  const Tensor x = values.clone().requires_grad_(true), s = scale.clone().requires_grad_(true);
  const Tensor y = learned ? learned_quantize(x, s, {-3, 3}, axis) : fake_quantize(x, s, {-3, 3}, axis);
  y.backward(values.cos());
  return {y.detach(), x.grad(), learned ? s.grad() : torch::zeros({1})};
}

TEST(Functions, run_on_all_threads_and_give_the_same_bits_on_any_number_of_them) {
  if (!OCTET_LOOPS_HAVE_THREADS) GTEST_SKIP() << "not applicable: this compiler has no OpenMP, loops run on one thread";
  const int before = torch::get_num_threads();
  torch::set_num_threads(1);
  EXPECT_EQ(threads_of_a_loop().size(), 1u);
  torch::manual_seed(1);
  const Tensor x = torch::randn({4, 16, 40, 40}), one = torch::tensor({0.21f}), many = torch::rand({16}) + 0.1;
  std::vector<Quantized> alone;
  const auto all = [&](std::vector<Quantized>& made) {
    for (const bool learned : {false, true}) {
      made.push_back(quantized(x, one, 0, learned));
      made.push_back(quantized(x, many, 1, learned));
    }
  };
  all(alone);
  torch::set_num_threads(3);
  EXPECT_EQ(threads_of_a_loop().size(), 3u);
  std::vector<Quantized> together;
  all(together);
  torch::set_num_threads(before);
  for (size_t i = 0; i < alone.size(); ++i) {
    EXPECT_TRUE(same_bits(together[i].y, to_octet(alone[i].y)));
    EXPECT_TRUE(same_bits(together[i].dx, to_octet(alone[i].dx)));
    EXPECT_TRUE(same_bits(together[i].ds, to_octet(alone[i].ds)));
  }
}

}  // namespace
}  // namespace octet::nn
