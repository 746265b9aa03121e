// FP32 layers, pools, normalizations and reductions against the reference.
#include <gtest/gtest.h>

#include "backends/running.h"

namespace octet {
namespace {

std::string graph_of(const std::string& inputs, const std::string& body) {
  return "graph g (" + inputs + ") -> (y) {\n" + body + "\n}\n";
}

TEST(ConvOnCpu, agrees_with_the_reference) {
  const char* const attributes[] = {"pads=[1,1,1,1]", "strides=[2,2], pads=[0,1,1,0]", "dilations=[2,2]",
                                    "auto_pad=\"SAME_LOWER\", strides=[2,1]"};
  for (const char* attribute : attributes) {
    for (const char* op : {"Conv(x, w, b, ", "FusedConv(x, w, b, _, activation=\"HardSwish\", "}) {
      expect_cpu_equals_ref(
          graph_of("x: f32[2,3,11,9], w: f32[17,3,3,3], b: f32[17]", std::string("  y = ") + op + attribute + ")"),
          {"w", "b"}, k_float);
    }
  }
}

TEST(ConvOnCpu, adds_a_residual_before_the_activation) {
  expect_cpu_equals_ref(graph_of("x: f32[2,8,5,5], w: f32[16,8,3,3], b: f32[16], r: f32[2,16,5,5]",
                                 "  y = FusedConv(x, w, b, r, pads=[1,1,1,1], activation=\"Relu\")"),
                        {"w", "b"}, k_float);
}

TEST(ConvOnCpu, runs_depthwise_and_grouped_layers) {
  expect_cpu_equals_ref(graph_of("x: f32[2,24,9,7], w: f32[24,1,5,5], b: f32[24]",
                                 "  y = Conv(x, w, b, group=24, pads=[2,2,2,2], strides=[2,2])"),
                        {"w", "b"}, k_float);
  expect_cpu_equals_ref(graph_of("x: f32[1,12,6,6], w: f32[18,4,3,3]", "  y = Conv(x, w, group=3)"), {"w"}, k_float);
}

TEST(GemmOnCpu, agrees_with_the_reference_in_all_its_spellings) {
  for (const int n : {10, 32}) {
    const std::string N = std::to_string(n);
    expect_cpu_equals_ref(graph_of("x: f32[5,37], w: f32[" + N + ",37], b: f32[" + N + "]",
                                   "  y = FusedGemm(x, w, b, activation=\"Relu\")"),
                          {"w", "b"}, k_float);
    expect_cpu_equals_ref(
        graph_of("x: f32[5,37], w: f32[37," + N + "], b: f32[1," + N + "]", "  y = Gemm(x, w, b, alpha=0.5, beta=2.0)"),
        {"w", "b"}, k_float);
    expect_cpu_equals_ref(graph_of("x: f32[2,3,48], w: f32[48," + N + "]", "  y = MatMul(x, w)"), {"w"}, k_float);
    expect_cpu_equals_ref(graph_of("x: f32[130,1], w: f32[1," + N + "]", "  y = MatMul(x, w)"), {"w"}, k_float);
    expect_cpu_equals_ref(graph_of("x: f32[130,4], w: f32[4," + N + "]", "  y = MatMul(x, w)"), {"w"}, k_float);
  }
}

TEST(GemmOnCpu, runs_narrow_rows_side_by_side_in_all_spellings) {
  for (const auto& [k, n] : {std::pair{4, 4}, {8, 8}, {2, 7}, {5, 3}, {3, 1}}) {
    const std::string K = std::to_string(k), N = std::to_string(n);
    expect_cpu_equals_ref(graph_of("x: f32[700," + K + "], w: f32[" + N + "," + K + "], b: f32[" + N + "]",
                                   "  y = FusedGemm(x, w, b, activation=\"Sigmoid\")"),
                          {"w", "b"}, k_float);
    expect_cpu_equals_ref(graph_of("x: f32[15," + K + "], w: f32[" + K + "," + N + "], b: f32[1]",
                                   "  y = Gemm(x, w, b, alpha=0.5, beta=2.0)"),
                          {"w", "b"}, k_float);
    expect_cpu_equals_ref(graph_of("x: f32[2,333," + K + "], w: f32[" + K + "," + N + "]", "  y = MatMul(x, w)"), {"w"},
                          k_float);
  }
}

TEST(MatMulOnCpu, multiplies_two_values) {
  expect_cpu_equals_ref(graph_of("a: f32[2,3,5,7], b: f32[2,3,7,4]", "  y = MatMul(a, b)"), {}, k_float);
  expect_cpu_equals_ref(graph_of("a: f32[2,1,5,7], b: f32[3,7,4]", "  y = MatMul(a, b)"), {}, k_float);
  expect_cpu_equals_ref(graph_of("a: f32[2,5,7], b: f32[2,7,40]", "  y = MatMul(a, b)"), {}, k_float);
}

TEST(PoolOnCpu, takes_the_largest_of_f32_and_of_codes) {
  for (const char* type : {"f32", "u8", "s8"}) {
    for (const char* window :
         {"kernel_shape=[3,3], strides=[2,2], pads=[1,1,1,1]", "kernel_shape=[2,2], strides=[2,2], ceil_mode=1",
          "kernel_shape=[3,2], dilations=[2,1]"}) {
      expect_cpu_equals_ref(
          graph_of(std::string("x: ") + type + "[2,21,9,7]", std::string("  y = MaxPool(x, ") + window + ")"), {},
          k_exact);
    }
  }
}

TEST(PoolOnCpu, averages_f32) {
  for (const char* window :
       {"kernel_shape=[3,3], strides=[2,2], pads=[1,1,1,1]", "kernel_shape=[3,3], pads=[1,1,1,1], count_include_pad=1",
        "kernel_shape=[2,2], strides=[2,2], ceil_mode=1"}) {
    expect_cpu_equals_ref(graph_of("x: f32[2,21,9,7]", std::string("  y = AveragePool(x, ") + window + ")"), {},
                          k_float);
  }
  expect_cpu_equals_ref(graph_of("x: f32[2,21,9,7]", "  y = GlobalAveragePool(x)"), {}, k_float);
  expect_cpu_equals_ref(graph_of("x: f32[2,21,9,7]", "  y = GlobalMaxPool(x)"), {}, k_exact);
}

TEST(PoolOnCpu, takes_one_window_that_reaches_beyond_the_input) {
  for (const char* window : {"kernel_shape=[2,2], strides=[2,2], ceil_mode=1",
                             "kernel_shape=[2,3], strides=[2,3], ceil_mode=1, count_include_pad=1"}) {
    const std::string call = std::string("Pool(x, ") + window;
    expect_cpu_equals_ref(graph_of("x: f32[2,21,1,1]", "  y = Average" + call + ")"), {}, k_float);
    for (const char* type : {"u8", "s8"})
      expect_cpu_equals_ref(graph_of(std::string("x: ") + type + "[2,21,1,1]",
                                     "  y = QuantAverage" + call +
                                         ", x_scale=0.02, x_zero_point=5, y_scale=0.013, y_zero_point=9, to=\"u8\")"),
                            {}, k_exact);
  }
  for (const char* type : {"f32", "u8", "s8"})
    expect_cpu_equals_ref(graph_of(std::string("x: ") + type + "[2,21,1,1]",
                                   "  y = MaxPool(x, kernel_shape=[2,2], strides=[2,2], ceil_mode=1)"),
                          {}, k_exact);
}

TEST(PoolOnCpu, averages_codes_to_the_reference_bytes) {
  for (const char* type : {"u8", "s8"}) {
    for (const char* to : {"u8", "s8", "f32"}) {
      const std::string params =
          std::string("x_scale=0.02, x_zero_point=5, y_scale=0.013, y_zero_point=-0, to=\"") + to + "\")";
      expect_cpu_equals_ref(
          graph_of(std::string("x: ") + type + "[2,21,9,7]", "  y = QuantGlobalAveragePool(x, " + params), {}, k_exact);
      expect_cpu_equals_ref(
          graph_of(std::string("x: ") + type + "[2,21,9,7]",
                   "  y = QuantAveragePool(x, kernel_shape=[3,3], strides=[2,2], pads=[1,1,1,1], " + params),
          {}, k_exact);
      expect_cpu_equals_ref(
          graph_of(std::string("x: ") + type + "[2,21,9,7]",
                   "  y = QuantAveragePool(x, kernel_shape=[3,3], pads=[1,1,1,1], count_include_pad=1, " + params),
          {}, k_exact);
    }
  }
}

/// Groups of 64 channels, the last of 2 and of 8, are dealt to workers, a chunk of them across images.
TEST(PoolOnCpu, pools_many_channels_to_one_pixel) {
  for (const char* shape : {"[3,130,7,5]", "[1,200,9,9]", "[5,64,8,8]"}) {
    const auto graph = [&](const char* type, const std::string& call) {
      return graph_of(std::string("x: ") + type + shape, "  y = " + call + ")");
    };
    expect_cpu_equals_ref(graph("f32", "GlobalAveragePool(x"), {}, k_float);
    expect_cpu_equals_ref(graph("f32", "GlobalMaxPool(x"), {}, k_exact);
    for (const char* type : {"u8", "s8"})
      for (const char* to : {"u8", "s8", "f32"})
        expect_cpu_equals_ref(
            graph(type, std::string("QuantGlobalAveragePool(x, x_scale=0.02, x_zero_point=5, y_scale=0.013, "
                                    "y_zero_point=-0, to=\"") +
                            to + "\""),
            {}, k_exact);
  }
}

TEST(ReduceOnCpu, reduces_any_axes) {
  for (const char* axes : {"[2] = {2, 3}", "[1] = {1}", "[1] = {-1}", "[2] = {0, 2}"}) {
    for (const char* op :
         {"ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceL1", "ReduceL2", "ReduceSumSquare"}) {
      for (const char* keep : {"0", "1"}) {
        expect_cpu_equals_ref(graph_of("x: f32[2,21,3,4]", std::string("  const axes: s64") + axes + "\n  y = " + op +
                                                               "(x, axes, keepdims=" + keep + ")"),
                              {}, k_float);
      }
    }
  }
  expect_cpu_equals_ref(graph_of("x: f32[2,21,7]", "  const axes: s64[1] = {1}\n  y = ReduceMean(x, axes)"), {},
                        k_float);
  expect_cpu_equals_ref(graph_of("x: f32[2,21,7]", "  y = ReduceSum(x, keepdims=0)"), {}, k_float);
  // Planes become an image.
  for (const char* op : {"ReduceMean", "ReduceSum", "ReduceMax", "ReduceL2"})
    for (const char* dims : {"[2,2,21,7,11]", "[1,3,16,8,8]", "[2,1,5,1,3]", "[1,2,35,1,70]"})
      for (const char* axis : {"1", "0", "2", "4"}) {
        expect_cpu_equals_ref(graph_of(std::string("x: f32") + dims, std::string("  const a: s64[1] = {") + axis +
                                                                         "}\n  y = " + op + "(x, a, keepdims=0)"),
                              {}, k_float);
      }
}

TEST(ReduceOnCpu, is_no_number_where_an_element_is_none) {
  for (const char* op : {"ReduceMax", "ReduceMin"})
    for (const char* axis : {"1", "2"})
      expect_cpu_equals_ref(graph_of("x: f32[3,41,17]", std::string("  const a: s64[1] = {") + axis +
                                                            "}\n  const most: f32[] = {2}\n  d = Sub(most, x)\n"
                                                            "  s = Sqrt(d)\n  y = " +
                                                            op + "(s, a, keepdims=0)"),
                            {}, k_exact);
}

TEST(GroupNormalizationOnCpu, normalises_channels_and_groups_of_them) {
  for (const char* shape : {"[2,6,5,7]", "[1,150,3,3]", "[2,6,40]", "[3,6]", "[2,6,2,3,4]", "[1,6,1,1]", "[0,6,2,2]"}) {
    const std::string channels = std::string(shape) == "[1,150,3,3]" ? "150" : "6";
    const auto graph = [&](const char* call) {
      return graph_of("x: f32" + std::string(shape) + ", s: f32[" + channels + "], b: f32[" + channels + "]",
                      std::string("  y = ") + call);
    };
    expect_cpu_equals_ref(graph("InstanceNormalization(x, s, b, epsilon=0.01)"), {"s", "b"}, k_float);
    for (const char* groups : {"1", "2", "6"})
      expect_cpu_equals_ref(graph(("GroupNormalization(x, s, b, num_groups=" + std::string(groups) + ")").c_str()),
                            {"s", "b"}, k_float);
  }
}

TEST(SoftmaxOnCpu, sums_to_one_along_any_axis) {
  for (const char* axis : {"-1", "1", "0"}) {
    for (const char* op : {"Softmax", "LogSoftmax"}) {
      for (const char* shape : {"[5,10]", "[2,21,3,4]", "[2,3,7]"}) {
        expect_cpu_equals_ref(
            graph_of(std::string("x: f32") + shape, std::string("  y = ") + op + "(x, axis=" + axis + ")"), {},
            k_float);
      }
    }
  }
}

TEST(NormalizationOnCpu, scales_and_shifts_per_channel) {
  for (const char* shape : {"[2,21,3,4]", "[5,21]"}) {
    expect_cpu_equals_ref(graph_of(std::string("x: f32") + shape + ", g: f32[21], b: f32[21], m: f32[21], var: f32[21]",
                                   "  y = BatchNormalization(x, g, b, m, var)"),
                          {"g", "b", "m", "var"}, k_float);
  }
}

TEST(NormalizationOnCpu, normalizes_the_last_axis) {
  expect_cpu_equals_ref(graph_of("x: f32[2,5,32], s: f32[32], b: f32[32]", "  y = LayerNormalization(x, s, b)"),
                        {"s", "b"}, k_float);
  expect_cpu_equals_ref(graph_of("x: f32[2,5,32], s: f32[32]", "  y = LayerNormalization(x, s, epsilon=0.1)"), {"s"},
                        k_float);
}

TEST(NormalizationOnCpu, normalizes_images_along_rows_planes_and_all_but_the_batch) {
  for (const auto& [axis, dims] : {std::pair("-1", "6"), {"2", "5,6"}, {"1", "7,5,6"}}) {
    const std::string d = dims;
    expect_cpu_equals_ref(
        graph_of("x: f32[2,7,5,6], s: f32[" + d + "], b: f32[" + d + "]",
                 "  v = Relu(x)\n  w = LayerNormalization(v, s, b, axis=" + std::string(axis) + ")\n  y = Abs(w)"),
        {"s", "b"}, k_float);
  }
}

}  // namespace
}  // namespace octet
