// The toolkit's functions against its own recorded runs, bit for bit in ref_compat: quant.npz, affine.npz, e4m3.npz.

#include "golden.h"
#include "quant/formulas.h"
#include "quant/functions.h"
#include "tensor/half.h"

namespace octet {
namespace {

using Json = nlohmann::json;

QuantOptions options_of(const Json& params) {
  return {.num_bits = params["num_bits"],
          .is_unsigned = params["unsigned"],
          .narrow_range = params["narrow_range"],
          .ref_compat = true};
}

class GoldenFunctions : public Golden {};

TEST_F(GoldenFunctions, tensor_quant_and_its_gradient) {
  int gradients = 0;
  const std::vector<Json> all = records("tensor_quant");
  ASSERT_EQ(all.size(), 287u);
  for (const Json& record : all) {
    SCOPED_TRACE(record["id"]);
    const Tensor &x = input(record, "x"), &amax = input(record, "amax");
    const QuantOptions options = options_of(record["params"]);
    const Result<QuantizedTensor> q = tensor_quant(view_of(x), amax, options);
    ASSERT_TRUE(q) << q.error().message;
    if (record["outputs"].contains("q")) {
      EXPECT_TRUE(same_numbers(q->values, output(record, "q")));
    }
    if (record["outputs"].contains("scale")) {
      EXPECT_TRUE(same_numbers(q->scale, output(record, "scale")));
    }
    const Result<Tensor> fake = fake_tensor_quant(view_of(x), amax, options);
    ASSERT_TRUE(fake) << fake.error().message;
    EXPECT_TRUE(same_numbers(*fake, output(record, "fake")));
    if (!record["outputs"].contains("grad_in")) continue;
    ++gradients;
    const Result<Tensor> dx = tensor_quant_backward(view_of(x), amax, view_of(input(record, "grad_out")), true);
    ASSERT_TRUE(dx) << dx.error().message;
    EXPECT_TRUE(same_numbers(*dx, output(record, "grad_in")));
  }
  EXPECT_EQ(gradients, 274);
}

TEST_F(GoldenFunctions, the_default_differs_only_where_a_defect_is_named) {
  // Where every amax is above 2^-24 and finite and bits are in range, the default's codes are the recorded ones.
  int compared = 0;
  for (const Json& record : records("tensor_quant")) {
    SCOPED_TRACE(record["id"]);
    const Tensor &x = input(record, "x"), &amax = input(record, "amax");
    QuantOptions options = options_of(record["params"]);
    options.ref_compat = false;
    bool plain = options.num_bits >= 2 && options.num_bits <= 16;
    for (const double a : to_doubles(amax)) plain &= std::isfinite(a) && (a == 0 || a > 0x1p-24);
    bool nan = false;
    for (const double v : to_doubles(x)) nan |= std::isnan(v);
    if (!plain) continue;
    ++compared;
    const Result<QuantizedTensor> q = tensor_quant(view_of(x), amax, options);
    ASSERT_TRUE(q) << q.error().message;
    if (!nan && record["outputs"].contains("q")) {
      EXPECT_TRUE(same_numbers(q->values, output(record, "q")));
    }
    const Result<Tensor> fake = fake_tensor_quant(view_of(x), amax, options);
    ASSERT_TRUE(fake) << fake.error().message;
    EXPECT_TRUE(same_numbers(*fake, output(record, "fake")));
  }
  EXPECT_GT(compared, 200);
}

TEST_F(GoldenFunctions, half) {
  const std::vector<Json> all = records("tensor_quant_half");
  ASSERT_EQ(all.size(), 12u);
  for (const Json& record : all) {
    SCOPED_TRACE(record["id"]);
    const Tensor &x = input(record, "x"), &amax = input(record, "amax");
    ASSERT_EQ(x.dtype(), DType::f16);
    const Result<QuantizedTensor> q = tensor_quant(view_of(x), amax, options_of(record["params"]));
    ASSERT_TRUE(q) << q.error().message;
    EXPECT_TRUE(same_numbers(q->values, output(record, "q")));
    EXPECT_TRUE(same_numbers(q->scale, output(record, "scale")));
    const Result<Tensor> fake = fake_tensor_quant(view_of(x), amax, options_of(record["params"]));
    ASSERT_TRUE(fake) << fake.error().message;
    EXPECT_TRUE(same_numbers(*fake, output(record, "fake")));
  }
}

TEST_F(GoldenFunctions, bfloat16_as_the_toolkit_and_as_octet) {
  const std::vector<Json> all = records("tensor_quant_bf16");
  ASSERT_EQ(all.size(), 2u);
  for (const Json& record : all) {
    SCOPED_TRACE(record["id"]);
    const Tensor& stored = input(record, "x");  // bfloat16 values in f32
    std::vector<uint16_t> bits;
    for (const float v : stored.as<float>()) bits.push_back(float_to_bfloat16(v));
    const Tensor x = Tensor::from<uint16_t>(DType::bf16, stored.dims(), bits);
    // One number is stored as [1]; the toolkit had it without dimensions, which decides the type of the product.
    const Tensor stored_amax = input(record, "amax");
    const Tensor amax = stored_amax.size() == 1 ? stored_amax.reshaped({}) : stored_amax;
    QuantOptions options = options_of(record["params"]);
    const Result<Tensor> fake = fake_tensor_quant(view_of(x), amax, options);
    ASSERT_TRUE(fake) << fake.error().message;
    EXPECT_EQ(fake->dtype(), record["params"]["out_dtype"] == "torch.bfloat16" ? DType::bf16 : DType::f32);
    EXPECT_TRUE(same_numbers(*fake, output(record, "fake")));
    options.ref_compat = false;
    const Result<Tensor> better = fake_tensor_quant(view_of(x), amax, options);
    ASSERT_TRUE(better) << better.error().message;
    std::vector<uint16_t> rounded;
    for (const double v : to_doubles(output(record, "fake_octet"))) {
      rounded.push_back(float_to_bfloat16(static_cast<float>(v)));
    }
    EXPECT_TRUE(same_numbers(*better, Tensor::from<uint16_t>(DType::bf16, stored.dims(), rounded)));
  }
}

TEST_F(GoldenFunctions, affine) {
  const std::vector<Json> all = records("affine");
  ASSERT_EQ(all.size(), 16u);
  for (const Json& record : all) {
    SCOPED_TRACE(record["id"]);
    const TensorView x = view_of(input(record, "x"));
    const float min = input(record, "min").at<float>(0), max = input(record, "max").at<float>(0);
    const Result<Tensor> y = fake_affine_tensor_quant(x, min, max, {.num_bits = record["params"]["num_bits"]});
    ASSERT_TRUE(y) << y.error().message;
    EXPECT_TRUE(same_numbers(*y, output(record, "y")));
    const Result<Tensor> dx = fake_affine_tensor_quant_backward(x, min, max, view_of(input(record, "grad_out")));
    ASSERT_TRUE(dx) << dx.error().message;
    EXPECT_TRUE(same_numbers(*dx, output(record, "grad_in")));
  }
}

TEST_F(GoldenFunctions, e4m3) {
  const std::vector<Json> all = records("e4m3");
  ASSERT_EQ(all.size(), 7u);
  for (const Json& record : all) {
    SCOPED_TRACE(record["id"]);
    const TensorView x = view_of(input(record, "x"));
    std::optional<Tensor> amax;
    if (record["inputs"].contains("amax")) amax = input(record, "amax");
    const Result<Tensor> y = scaled_e4m3(x, amax);
    ASSERT_TRUE(y) << y.error().message;
    EXPECT_TRUE(same_numbers(*y, output(record, "y")));
    const Result<Tensor> dx = scaled_e4m3_backward(x, amax, view_of(input(record, "grad_out")));
    ASSERT_TRUE(dx) << dx.error().message;
    EXPECT_TRUE(same_numbers(*dx, output(record, "grad_in")));
  }
}

TEST_F(GoldenFunctions, pact_clip) {
  const std::vector<Json> all = records("pact_clip");
  ASSERT_EQ(all.size(), 2u);
  for (const Json& record : all) {
    SCOPED_TRACE(record["id"]);
    const TensorView x = view_of(input(record, "x"));
    const Tensor &min = input(record, "min"), &max = input(record, "max");
    const Result<Tensor> y = pact_clip(x, min, max);
    ASSERT_TRUE(y) << y.error().message;
    EXPECT_TRUE(same_numbers(*y, output(record, "y")));
    const Result<ClipGradients> g = pact_clip_backward(x, min, max, view_of(input(record, "grad_out")));
    ASSERT_TRUE(g) << g.error().message;
    EXPECT_TRUE(same_numbers(g->dx, output(record, "grad_in")));
    const float dmin = scalar(record["scalars"]["grad_min"]), dmax = scalar(record["scalars"]["grad_max"]);
    EXPECT_NEAR(*g->dmin, dmin, 1e-5 * std::abs(dmin));  // the order of the sum is free
    EXPECT_NEAR(*g->dmax, dmax, 1e-5 * std::abs(dmax));
  }
}

TEST_F(GoldenFunctions, pytorchs_own_fake_quantization) {
  ASSERT_EQ(records("torch_fake_quant_tensor").size(), 3u);
  ASSERT_EQ(records("torch_fake_quant_channel").size(), 2u);
  for (const Json& record : records("torch_fake_quant_tensor")) {
    SCOPED_TRACE(record["id"]);
    const Json& p = record["params"];
    const Tensor scale = scalar_f32(static_cast<float>(p["scale_f64"].get<double>()));
    const Result<Tensor> y =
        torch_fake_quantize(view_of(input(record, "x")), scale, {p["zero_point"], p["quant_min"], p["quant_max"]});
    ASSERT_TRUE(y) << y.error().message;
    EXPECT_TRUE(same_numbers(*y, output(record, "y")));
  }
  for (const Json& record : records("torch_fake_quant_channel")) {
    SCOPED_TRACE(record["id"]);
    const Json& p = record["params"];
    const Tensor &x = input(record, "x"), &scale = input(record, "scale");
    Dims dims(x.rank(), 1);
    dims[p["axis"].get<size_t>()] = scale.size();
    const Result<Tensor> y = torch_fake_quantize(view_of(x), scale.reshaped(dims), {0, p["quant_min"], p["quant_max"]});
    ASSERT_TRUE(y) << y.error().message;
    EXPECT_TRUE(same_numbers(*y, output(record, "y")));
  }
}

TEST_F(GoldenFunctions, three_formulas_differ_on_ties) {
  int64_t differ = 0;
  ASSERT_EQ(records("three_formulas").size(), 4u);
  for (const Json& record : records("three_formulas")) {
    SCOPED_TRACE(record["id"]);
    const TensorView x = view_of(input(record, "x"));
    const Tensor scale = input(record, "scale").reshaped({});
    const Result<QuantizedTensor> toolkit = tensor_quant(x, input(record, "amax").reshaped({}), {.ref_compat = true});
    ASSERT_TRUE(toolkit) << toolkit.error().message;
    EXPECT_TRUE(same_numbers(toolkit->values, output(record, "q_toolkit")));
    const Result<Tensor> onnx = onnx_quantize(x, scale);
    ASSERT_TRUE(onnx) << onnx.error().message;
    EXPECT_TRUE(same_numbers(*onnx, output(record, "q_onnx_division")));
    const Result<Tensor> fake = torch_fake_quantize(x, scale);
    ASSERT_TRUE(fake) << fake.error().message;
    const Result<Tensor> wanted = onnx_dequantize(output(record, "q_reciprocal"), scale);
    ASSERT_TRUE(wanted) << wanted.error().message;
    EXPECT_TRUE(same_numbers(*fake, *wanted));
    const std::vector<double> a = to_doubles(toolkit->values), b = to_doubles(*onnx);
    for (size_t i = 0; i < a.size(); ++i) differ += a[i] != b[i];
  }
  EXPECT_GT(differ, 90);  // D43
}

}  // namespace
}  // namespace octet
