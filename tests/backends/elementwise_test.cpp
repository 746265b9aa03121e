// Element-wise steps, quantization and lookups against the reference.
#include <gtest/gtest.h>

#include "backends/running.h"

namespace octet {
namespace {

TEST(ElementwiseOnCpu, adds_subtracts_multiplies_and_divides_with_broadcasting) {
  const char* const shapes[][2] = {{"[2,5,3,4]", "[2,5,3,4]"}, {"[2,5,3,4]", "[5,1,1]"},   {"[2,5,3,4]", "[2,5,1,1]"},
                                   {"[2,5,3,4]", "[1]"},       {"[2,5,3,4]", "[2,1,3,1]"}, {"[1,5,3,4]", "[2,1,1,4]"},
                                   {"[3,7]", "[7]"},           {"[3,7]", "[3,1]"},         {"[2,3,7]", "[3,7]"}};
  for (const auto& [a, b] : shapes) {
    for (const char* op : {"Add", "Sub", "Mul", "Div", "FusedAdd", "Min", "Max"}) {
      expect_cpu_equals_ref(
          std::string("graph g (a: f32") + a + ", b: f32" + b + ") -> (y) {\n  y = " + op + "(a, b)\n}\n", {}, k_exact);
    }
  }
}

TEST(ElementwiseOnCpu, takes_constants_on_either_side) {
  const std::string text =
      "graph g (a: f32[2,5,3,4], c: f32[5,1,1]) -> (y, z) {\n  y = Mul(c, a)\n  z = Sub(c, a)\n}\n";
  expect_cpu_equals_ref(text, {"c"}, k_exact);
}

TEST(ElementwiseOnCpu, splits_long_rows_without_losing_an_element) {
  expect_cpu_equals_ref("graph g (a: f32[1,40001], b: f32[1,40001]) -> (y) { y = Add(a, b)\n}\n", {}, k_exact);
  expect_cpu_equals_ref("graph g (a: f32[1,16,64,65], b: f32[1,16,64,65]) -> (y) { y = Mul(a, b)\n}\n", {}, k_exact);
}

// A table's codes lie as what reads them wants: where a Softmax is near, its rows in order, and an image's pixels else.
TEST(ElementwiseOnCpu, looks_codes_up_that_lie_in_another_order_than_the_result) {
  for (const char* dims : {"[5,5,1,2]", "[2,7,16,5]", "[3,33,4,1]"}) {
    const std::string text =
        std::string("graph g (x: f32") + dims + R"(, x_scale: f32[], s_scale: f32[], t: s8[256], u: s8[256]) -> (y, z) {
  q = QuantizeLinear(x, x_scale)
  a = QuantLookup(q, t)
  f = DequantizeLinear(q, x_scale)
  s = Softmax(f, axis=-1)
  p = QuantizeLinear(s, s_scale)
  b = QuantLookup(p, u)
  m = QuantMul(a, b, a_scale=0.02, b_scale=0.02, y_scale=0.01, to="s8")
  n = QuantAdd(q, b, a_scale=0.02, b_scale=0.02, y_scale=0.05, to="s8")
  y = DequantizeLinear(m, x_scale)
  z = DequantizeLinear(n, x_scale)
}
)";
    expect_cpu_equals_ref(text, {"x_scale", "s_scale", "t", "u"}, k_exact);
  }
}

TEST(ElementwiseOnCpu, activates_a_fused_sum) {
  for (const char* activation : {R"("Relu")", R"("Silu")", R"("Clip", activation_params=[-0.5,0.25])",
                                 R"("Clip", activation_params=[0.5,-0.25])"}) {
    expect_cpu_equals_ref(
        std::string("graph g (a: f32[2,5,3,4], b: f32[2,5,3,4]) -> (y) { y = FusedAdd(a, b, activation=") + activation +
            ")\n}\n",
        {}, k_exact);
  }
}

TEST(UnaryOnCpu, gives_the_reference_bits_for_octets_own_activations) {
  for (const char* op : {"Relu(x)", "LeakyRelu(x, alpha=0.1)", "Sigmoid(x)", "HardSigmoid(x, alpha=0.3, beta=0.4)",
                         "HardSwish(x)", "Silu(x)", "Tanh(x)", "Clip(x, lo, hi)", "Clip(x, _, hi)", "Clip(x)"}) {
    expect_cpu_equals_ref(
        std::string("graph g (x: f32[2,21,3,4]) -> (y) {\n  const lo: f32[] = {-0.5}\n  const hi: f32[] = "
                    "{0.75}\n  y = ") +
            op + "\n}\n",
        {}, k_exact);
  }
}

TEST(UnaryOnCpu, evaluates_the_functions_of_the_c_library) {
  for (const char* op : {"Exp", "Erf", "Abs", "Neg", "Floor", "Ceil", "Round"}) {
    expect_cpu_equals_ref(std::string("graph g (x: f32[3,21]) -> (y) { y = ") + op + "(x)\n}\n", {}, k_float);
  }
  for (const char* op : {"Sin", "Cos", "Tan", "Atan", "Sinh", "Cosh", "Asinh"}) {
    expect_cpu_equals_ref(std::string("graph g (x: f32[2,21,3,4]) -> (y) { y = ") + op + "(x)\n}\n", {}, k_exact);
  }
  for (const char* op : {"Asin", "Acos", "Atanh"}) {
    expect_cpu_equals_ref(std::string("graph g (x: f32[3,21]) -> (y) { t = Tanh(x) y = ") + op + "(t)\n}\n", {},
                          k_float);
  }
  expect_cpu_equals_ref("graph g (x: f32[3,21]) -> (y) { c = Cosh(x) y = Acosh(c)\n}\n", {}, k_float);
}

TEST(QuantAddOnCpu, gives_the_reference_bytes) {
  const char* const types[][2] = {{"u8", "u8"}, {"u8", "s8"}, {"s8", "s8"}};
  for (const auto& [a, b] : types) {
    for (const char* rest :
         {R"(y_scale=0.04, y_zero_point=-3, to="s8")", R"(y_scale=0.04, y_zero_point=17, activation="Relu", to="u8")",
          R"(y_scale=0.02, y_zero_point=0, activation="Clip", activation_params=[0.0,6.0], to="u8")",
          R"(activation="Silu", to="f32")"}) {
      expect_cpu_equals_ref(std::string("graph g (a: ") + a + "[2,21,3,4], b: " + b +
                                "[2,21,3,4]) -> (y) { y = QuantAdd(a, b, a_scale=0.013, a_zero_point=9, b_scale=0.037, "
                                "b_zero_point=-0, " +
                                rest + ")\n}\n",
                            {}, k_exact);
    }
  }
}

TEST(QuantMulOnCpu, gives_the_reference_bytes_with_broadcasting) {
  for (const char* b : {"[2,21,3,4]", "[2,21,1,1]", "[1,1,1,1]", "[2,1,3,4]"}) {
    for (const char* to : {"u8", "s8"}) {
      expect_cpu_equals_ref(std::string("graph g (a: u8[2,21,3,4], b: u8") + b +
                                ") -> (y) { y = QuantMul(a, b, a_scale=0.02, a_zero_point=9, b_scale=0.004, "
                                "b_zero_point=3, y_scale=0.01, y_zero_point=11, to=\"" +
                                to + "\")\n}\n",
                            {}, k_exact);
    }
  }
}

// Squeeze and excite: rows of several pixels, a last row of fewer, images that share the factors; on either side.
TEST(QuantMulOnCpu, scales_the_pixels_of_images_of_any_size) {
  for (const char* image : {"[3,32,32,32]", "[3,21,9,7]", "[2,480,4,4]", "[2,2100,2,3]", "[2,16,1,2]"}) {
    const std::string dims = image, channels = dims.substr(3, dims.find(',', 3) - 3);
    for (const std::string& batch : {dims.substr(1, 1), std::string("1")})
      for (const bool is_swapped : {false, true}) {
        const std::string pixel = "[" + batch + "," + channels + ",1,1]";
        const std::string operands =
            is_swapped ? "b: u8" + pixel + ", a: s8" + dims : "a: s8" + dims + ", b: u8" + pixel;
        expect_cpu_equals_ref("graph g (" + operands + ") -> (y) { y = QuantMul(" + (is_swapped ? "b, a" : "a, b") +
                                  ", a_scale=0.02, a_zero_point=9, b_scale=0.004, b_zero_point=3, y_scale=0.01, "
                                  "y_zero_point=11, to=\"u8\")\n}\n",
                              {}, k_exact);
      }
  }
}

TEST(QuantLookupOnCpu, indexes_the_table_by_the_codes_byte) {
  for (const char* x : {"u8", "s8"}) {
    for (const char* table : {"u8", "s8"}) {
      expect_cpu_equals_ref(std::string("graph g (x: ") + x + "[2,21,3,4], table: " + table +
                                "[256]) -> (y) { y = QuantLookup(x, table)\n}\n",
                            {"table"}, k_exact);
    }
  }
}

TEST(QuantPixelsOnCpu, reads_the_callers_planes_and_images_inside_the_graph) {
  for (const char* table : {"u8", "s8"})
    for (const int c : {1, 3, 4, 21}) {
      const std::string image = "u8[2," + std::to_string(c) + ",17,19]", entries = std::to_string(c) + ",256]";
      expect_cpu_equals_ref(
          "graph g (x: " + image + ", t: " + table + "[" + entries + ") -> (y) { y = QuantPixels(x, t)\n}\n", {"t"},
          k_exact);
      expect_cpu_equals_ref("graph g (x: " + image + ", t: " + table + "[" + entries +
                                ") -> (y, p) {\n  p = MaxPool(x, kernel_shape=[2,2])\n  y = QuantPixels(p, t)\n}\n",
                            {"t"}, k_exact);
    }
}

TEST(QuantPixelsOnCpu, feeds_a_stem_of_a_batch_that_is_cut) {
  const std::string text =
      "graph g (x: u8[5,3,32,32], t: u8[3,256], w: s8[20,3,3,3], s: f32[20]) -> (y) {\n  q = QuantPixels(x, t)\n"
      "  y = QuantConv(q, w, s, pads=[1,1,1,1], strides=[2,2], x_scale=0.02, x_zero_point=37, y_scale=0.9, "
      "y_zero_point=99, to=\"u8\")\n}\n";
  expect_cpu_equals_ref(text, {"t", "w", "s"}, k_exact);
}

TEST(QuantizeOnCpu, quantizes_the_callers_image_on_the_way_to_nhwc) {
  for (const char* params : {"const zp: u8[] = {13}", "const zp: s8[] = {-13}"}) {
    expect_cpu_equals_ref(std::string("graph g (x: f32[2,3,17,19]) -> (y, z) {\n  const s: f32[] = {0.017}\n  ") +
                              params + "\n  y = QuantizeLinear(x, s, zp)\n  z = DequantizeLinear(y, s, zp)\n}\n",
                          {}, k_exact);
  }
}

TEST(QuantizeOnCpu, quantizes_values_inside_the_graph_and_of_other_ranks) {
  const std::string params = "  const s: f32[] = {0.017}\n  const zp: s8[] = {-13}\n";
  for (const char* shape : {"[2,21,3,4]", "[3,21]", "[5]"}) {
    expect_cpu_equals_ref(std::string("graph g (x: f32") + shape + ") -> (y, w) {\n" + params +
                              "  r = Relu(x)\n  q = QuantizeLinear(r, s, zp)\n  y = DequantizeLinear(q, s, zp)\n  w = "
                              "QuantizeLinear(x, s, zp)\n}\n",
                          {}, k_exact);
  }
}

TEST(QuantizeOnCpu, takes_codes_of_16_bits) {
  for (const char* type : {"u16[] = {32760}", "s16[] = {-29}"})
    expect_cpu_equals_ref(
        std::string("graph g (x: f32[2,5,3,4]) -> (y, q) {\n  const s: f32[] = {0.00012}\n  const zp: ") + type +
            "\n  q = QuantizeLinear(x, s, zp)\n  y = DequantizeLinear(q, s, zp)\n}\n",
        {}, k_exact);
}

TEST(QuantizeOnCpu, takes_scales_of_blocks) {
  const std::string grid =
      "  const s: f32[2,3] = {0.026, 0.033, 0.036, 0.01, 0.079, 0.021}\n"
      "  const zp: s8[2,3] = {88, 89, -81, 17, -103, -50}\n";
  expect_cpu_equals_ref(
      "graph g (x: s8[4,3]) -> (y) {\n" + grid + "  y = DequantizeLinear(x, s, zp, axis=0, block_size=2)\n}\n", {},
      k_exact);
  expect_cpu_equals_ref(
      "graph g (x: f32[4,3]) -> (y) {\n" + grid + "  y = QuantizeLinear(x, s, zp, axis=0, block_size=2)\n}\n", {},
      k_exact);
}

TEST(QuantizeOnCpu, takes_a_weight_behind_dequantize_as_a_constant) {
  const std::string text =
      "graph g (x: f32[2,5,6,6], q: s8[7,5,3,3], s_scale: f32[7], b: f32[7]) -> (y, z) {\n"
      "  w = DequantizeLinear(q, s_scale, axis=0)\n  y = Conv(x, w, b)\n  z = Relu(w)\n}\n";
  expect_cpu_equals_ref(text, {"q", "s_scale", "b"}, k_float);
}

}  // namespace
}  // namespace octet
