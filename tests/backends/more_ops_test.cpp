// Ops beyond the usual layers of a CNN: variadic arithmetic, smooth activations, rearrangements, Resize, Cast, ArgMax.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>

#include "backends/cpu/cpu_backend.h"
#include "backends/ref/ref.h"
#include "backends/running.h"
#include "base/isa.h"
#include "ir/text.h"

namespace octet {
namespace {

void expect_step(const std::string& inputs, const std::string& body, Tolerance tolerance = k_exact) {
  expect_cpu_equals_ref("graph g (" + inputs + ") -> (y) {\n" + body + "\n}\n", {}, tolerance);
}

TEST(VariadicOnCpu, folds_any_number_of_inputs) {
  for (const char* op : {"Sum", "Mean", "Min", "Max"}) {
    expect_step("a: f32[2,5,3,4], b: f32[5,1,1], c: f32[2,5,3,4]", std::string("  y = ") + op + "(a, b, c)", k_float);
    expect_step("a: f32[4], b: f32[3,4]", std::string("  y = ") + op + "(a, b)", k_float);
  }
}

TEST(UnaryOnCpu, evaluates_smooth_activations) {
  for (const char* op :
       {"Gelu(x)", "Gelu(x, approximate=\"tanh\")", "Elu(x, alpha=0.5)", "Selu(x)", "Softplus(x)", "Mish(x)"})
    expect_step("x: f32[2,21,3,4]", std::string("  y = ") + op, k_float);
  expect_step("x: f32[2,21,3,4], s: f32[21,1,1]", "  y = PRelu(x, s)");
}

TEST(ElementwiseOnCpu, broadcasts_onto_images_of_one_channel) {
  for (const char* shape : {"[2,1,1,1]", "[2,1,3,5]", "[3,1,4,1]"}) {
    const std::string x = std::string("x: f32") + shape;
    expect_step(x + ", b: f32[]", "  y = Mul(x, b)");
    expect_step(x + ", b: f32[1]", "  y = Add(b, x)");
    expect_step(x + ", b: f32[1,1,1]", "  y = Div(x, b)");
    expect_step(x, "  m = Relu(x)\n  s = Neg(x)\n  y = Sub(m, s)");
  }
  expect_step("x: f32[2,1,3,5], b: f32[2,1,1,5]", "  y = Sub(x, b)");
  expect_step("x: f32[2,1,3,5], b: f32[5]", "  y = Sub(b, x)");
}

TEST(ReferenceOnCpu, runs_ops_without_a_kernel_of_their_own) {
  expect_step("x: s8[2,5,3,4]", "  y = Abs(x)");
  expect_step("x: f32[2,5,3,4]", "  y = Softsign(x)");
  expect_step("x: f32[2,5,3,4]", "  const k: s64[1] = {2}\n  v, i = TopK(x, k, axis=1)\n  y = Cast(i, to=\"f32\")");
  expect_step("x: f32[2,6,3,4]", "  y = LRN(x, size=3)");
}

TEST(QuantMatMulOnCpu, equals_the_reference_byte_for_byte) {
  const std::string codes = "a_scale=0.02, a_zero_point=7, b_scale=0.03, b_zero_point=-5";
  const std::string to_u8 = ", to=\"u8\", y_scale=0.5, y_zero_point=100)", to_f32 = ", to=\"f32\")";
  const std::pair<const char*, const char*> shapes[] = {{"[5,7]", "[7,3]"},
                                                        {"[2,9,33]", "[2,33,17]"},
                                                        {"[3,4,1,8]", "[3,4,8,5]"},
                                                        {"[2,3,20,6]", "[6,16]"},
                                                        {"[1,4,64,32]", "[1,4,32,64]"}};
  for (const auto& [a, b] : shapes)
    for (const std::string& end : {to_u8, to_f32})
      expect_step(std::string("a: u8") + a + ", b: s8" + b, "  y = QuantMatMul(a, b, " + codes + end);
}

TEST(AttentionOnCpu, lies_dense_between_its_products_and_as_an_image_elsewhere) {
  // Heads from one projection, scores, softmax, and back; then a value that an image op reads as well.
  const std::string heads =
      "  const to: s64[5] = {2, 9, 3, 5, 8}\n  const q0: s64[1] = {0}\n  const q1: s64[1] = {1}\n  const q2: s64[1] = "
      "{2}\n  const q3: s64[1] = {3}\n  const ax: s64[1] = {0}\n  const back: s64[3] = {2, 9, 40}\n  const c: f32[] = "
      "{0.35}\n  r = Reshape(x, to)\n  t = Transpose(r, perm=[2,0,3,1,4])\n  s0 = Slice(t, q0, q1, ax)\n  s1 = "
      "Slice(t, q1, q2, ax)\n  s2 = Slice(t, q2, q3, ax)\n  q = Squeeze(s0, ax)\n  k = Squeeze(s1, ax)\n  v = "
      "Squeeze(s2, ax)\n  kt = Transpose(k, perm=[0,1,3,2])\n  m = MatMul(q, kt)\n  d = Mul(m, c)\n  e = "
      "Softmax(d)\n  o = MatMul(e, v)\n  u = Transpose(o, perm=[0,2,1,3])\n";
  expect_step("x: f32[2,9,120]", heads + "  y = Reshape(u, back)", {5e-6});
  expect_step("x: f32[2,9,120]", heads + "  p = GlobalAveragePool(o)\n  y = Mul(o, p)", {5e-6});
}

TEST(AttentionOnCpu, masks_and_codes_between_dense_and_image_values) {
  expect_step("a: f32[2,3,7,6], b: f32[2,3,6,7], mask: f32[1,1,7,7]",
              "  m = MatMul(a, b)\n  s = Add(m, mask)\n  y = Softmax(s)", {5e-6});
  expect_step("a: f32[2,1,7,6], b: f32[2,1,6,20]",
              "  const s: f32[] = {0.1}\n  const z: u8[] = {100}\n  m = MatMul(a, b)\n  q = QuantizeLinear(m, s, z)\n  "
              "f = DequantizeLinear(q, s, z)\n  p = MaxPool(f, kernel_shape=[2,2])\n  y = Relu(p)",
              {0.02});
  expect_step("x: f32[2,3,7,6], b: f32[2,3,6,20]",
              "  const s: f32[] = {0.1}\n  const z: u8[] = {100}\n  c = MaxPool(x, kernel_shape=[1,1])\n  q = "
              "QuantizeLinear(c, s, z)\n  f = DequantizeLinear(q, s, z)\n  y = MatMul(f, b)",
              {1e-5});
}

TEST(IntegerProductsOnCpu, equal_the_reference_byte_for_byte) {
  // Dense, 1x1 with a stride, grouped, depthwise with padding and dilation, an odd number of products, auto_pad.
  const std::pair<const char*, const char*> layers[] = {
      {"[2,5,7,9]", "w: s8[6,5,3,3]|pads=[1,1,1,1]"},
      {"[1,16,8,8]", "w: s8[33,16,1,1]|strides=[2,2]"},
      {"[2,6,5,5]", "w: u8[4,3,3,2]|group=2, pads=[0,1,2,0]"},
      {"[1,21,9,70]", "w: s8[21,1,3,3]|group=21, dilations=[2,1], pads=[2,1,2,1]"},
      {"[1,3,8,8]", "w: u8[8,3,3,3]|auto_pad=\"SAME_UPPER\", strides=[2,2]"},
  };
  for (const auto& [x, layer] : layers) {
    const std::string text(layer), weight = text.substr(0, text.find('|')),
                                   attributes = text.substr(text.find('|') + 1);
    const std::string type = weight.substr(3, 2), channels = weight.substr(6, weight.find(',') - 6);
    for (const char* codes : {"u8", "s8"}) {
      const std::string head =
          "graph g (x: " + std::string(codes) + x + ", " + weight + ", zx: " + codes + "[], zw: " + type;
      const std::set<std::string> constants = {"w", "zw"};
      expect_cpu_equals_ref(head + "[]) -> (y) {\n  y = ConvInteger(x, w, zx, zw, " + attributes + ")\n}\n", constants,
                            k_exact);
      expect_cpu_equals_ref(
          head + "[" + channels + "]) -> (y) {\n  y = ConvInteger(x, w, zx, zw, " + attributes + ")\n}\n", constants,
          k_exact);
      expect_cpu_equals_ref("graph g (x: " + std::string(codes) + x + ", " + weight +
                                ") -> (y) {\n  y = ConvInteger(x, w, " + attributes + ")\n}\n",
                            {"w"}, k_exact);
    }
  }
  for (const char* a : {"[1,7]", "[3,70,7]", "[130,7]"})
    for (const char* w : {"u8[7,5]", "s8[7,33]"}) {
      const std::string weight(w), n = weight.substr(5, weight.size() - 6);
      expect_cpu_equals_ref(std::string("graph g (x: u8") + a + ", w: " + w + ", zx: u8[], zw: " + weight.substr(0, 2) +
                                "[" + n + "]) -> (y) {\n  y = MatMulInteger(x, w, zx, zw)\n}\n",
                            {"w", "zw"}, k_exact);
    }
}

TEST(DynamicQuantizeOnCpu, finds_the_range_of_images_and_of_rows) {
  for (const char* shape : {"[2,5,3,4]", "[1,1,9,9]", "[70]", "[3,1000]", "[1]", "[2,16,8,8]"})
    expect_cpu_equals_ref(
        std::string("graph g (x: f32") + shape +
            ") -> (q, s, z) {\n  c = Mul(x, x)\n  y = Sub(c, x)\n  q, s, z = DynamicQuantizeLinear(y)\n}\n",
        {}, k_exact);
}

TEST(RearrangeOnCpu, tiles) {
  for (const char* type : {"f32", "s8"}) {
    expect_step(std::string("x: ") + type + "[2,5,3,4]", "  const r: s64[4] = {1, 3, 2, 1}\n  y = Tile(x, r)");
    expect_step(std::string("x: ") + type + "[3]", "  const r: s64[1] = {4}\n  y = Tile(x, r)");
  }
}

TEST(RearrangeOnCpu, moves_blocks_between_channels_and_pixels) {
  for (const char* type : {"f32", "u8"}) {
    expect_step(std::string("x: ") + type + "[2,12,3,5]", "  y = DepthToSpace(x, blocksize=2)");
    expect_step(std::string("x: ") + type + "[2,12,3,5]", "  y = DepthToSpace(x, blocksize=2, mode=\"CRD\")");
    expect_step(std::string("x: ") + type + "[2,3,4,6]", "  y = SpaceToDepth(x, blocksize=2)");
  }
}

TEST(RearrangeOnCpu, spreads_phases_of_any_number_of_channels) {
  for (const char* type : {"f32", "u8", "s8"})
    for (const int channels : {1, 3, 4, 5, 16, 32, 64, 128, 80})  // dense rows, padded pixels, sizes known or not
      for (const int block : {2, 3})
        expect_step(std::string("x: ") + type + "[2," + std::to_string(channels * block * block) + ",3,5]",
                    "  y = DepthToSpace(x, blocksize=" + std::to_string(block) + ")");
}

TEST(RearrangeOnCpu, copies_slices_side_by_side_and_renames_frames) {
  for (const char* type : {"f32", "u8", "s8"})
    for (const int channels : {1, 3, 4, 12, 16, 64, 128}) {  // sizes known or not
      const std::string x = std::string("x: ") + type + "[2," + std::to_string(channels) + ",4,15]";
      const std::string value = type == std::string("f32") ? "" : ", x_zero_point=77";
      for (const char* window :
           {"", ", kernel_shape=[3], pads=[1,1]", ", kernel_shape=[2], dilations=[3], strides=[2], pads=[3,0]",
            ", pads=[1,0]", ", strides=[3]", ", kernel_shape=[1], pads=[0,0]"})
        for (const int group : {1, 2})
          if (channels % group == 0)
            expect_step(
                x, "  y = PlanesToFrames(x, height=3" + (window + value) + ", group=" + std::to_string(group) + ")");
      expect_step(x, "  a = PlanesToFrames(x, height=5)\n  y = FramesToPlanes(a, depth=4)");
      expect_step(x, "  y = FramesToPlanes(x, depth=2)");
    }
}

TEST(RearrangeOnCpu, cuts_rows_and_columns_off_an_image) {
  for (const char* channels : {"1", "3", "5", "16"})
    for (const char* type : {"f32", "u8"})
      expect_step(std::string("x: ") + type + "[2," + channels + ",7,9]",
                  "  const s: s64[2] = {1, 1}\n  const e: s64[2] = {-1, -2}\n  const a: s64[2] = {2, 3}\n"
                  "  y = Slice(x, s, e, a)");
}

TEST(RearrangeOnCpu, gathers_by_constant_indices) {
  expect_step("x: f32[2,5,3,4]", "  const i: s64[3] = {4, 0, -2}\n  y = Gather(x, i, axis=1)");
  for (const char* dtype : {"f32", "u8", "s8"})  // shuffles of two and of three groups, with vectors and tails
    for (const int channels : {6, 36, 96})
      for (const int groups : {2, 3}) {
        std::string order;
        for (int c = 0; c < channels; ++c)
          order += (c ? ", " : "") + std::to_string(c % groups * (channels / groups) + c / groups);
        const std::string n = std::to_string(channels);
        expect_step(std::string("x: ") + dtype + "[2," + n + ",5,7]",
                    "  const i: s64[" + n + "] = {" + order + "}\n  y = Gather(x, i, axis=1)");
      }
  expect_step("x: f32[2,5,7]", "  const i: s64[] = {0}\n  y = Gather(x, i, axis=1)");
  expect_step("x: s8[5,7]", "  const i: s64[2,2] = {1, 1, 6, 0}\n  y = Gather(x, i, axis=-1)");
}

TEST(RearrangeOnCpu, gathers_channels_of_several_values) {
  for (const char* dtype : {"f32", "u8", "s8"})
    for (const int channels : {5, 29, 64, 116}) {
      const std::string n = std::to_string(channels), all = std::to_string(2 * channels);
      std::string order, half;
      for (int c = 0; c < 2 * channels; ++c) {
        const std::string from = std::to_string(c % 2 * channels + c / 2);
        order += (c ? ", " : "") + from;
        if (c < channels) half += (c ? ", " : "") + from;
      }
      const std::string inputs = std::string("x: ") + dtype + "[3," + n + ",5,7], z: " + dtype + "[3," + n + ",5,7]";
      expect_step(inputs, "  const i: s64[" + all + "] = {" + order + "}\n  y = JoinedGather(i, _, x, z, axis=1)");
      expect_step(inputs, "  const i: s64[" + n + "] = {" + half + "}\n  y = JoinedGather(i, _, x, z, axis=1)");
    }
  expect_step("x: f32[1,3,2,2], z: f32[1,1,2,2]",
              "  const i: s64[3] = {-1, 0, 3}\n  y = JoinedGather(i, _, x, z, x, axis=-3)");
  expect_step("x: u8[4,3], z: u8[2,3]", "  const i: s64[3] = {5, 0, -2}\n  y = JoinedGather(i, _, x, z)");
  expect_step("x: f32[1,3,2,2], z: f32[1,1,2,2]",
              "  const a: s64[2] = {2, -1}\n  const b: s64[2] = {1, 0}\n  i = Add(a, b)\n"
              "  y = JoinedGather(i, _, x, z, axis=1)");
  std::string many =
      "  const i: s64[19] = {18, 0, 17, 1, 16, 2, 15, 3, 14, 4, 13, 5, 12, 6, 11, 7, 10, 8, 9}\n  y = JoinedGather(i, "
      "_";
  for (int i = 0; i < 19; ++i) many += ", x";
  expect_step("x: u8[1,1,3,4]", many + ", axis=1)");
}

TEST(RearrangeOnCpu, looks_gathered_codes_up) {
  for (const char* from : {"u8", "s8"})
    for (const char* to : {"u8", "s8"})
      expect_cpu_equals_ref(std::string("graph g (x: ") + from + "[2,20,9,11], z: " + from + "[2,7,9,11], t: " + to +
                                "[256]) -> (y) {\n  const i: s64[6] = {26, 0, 19, 20, 3, -1}\n"
                                "  y = JoinedGather(i, t, x, z, axis=1)\n}\n",
                            {"t"}, k_exact);
}

TEST(ResizeOnCpu, takes_the_nearest_pixel_or_mixes_four) {
  const std::string scales = "  const s: f32[4] = {1, 1, 2, 1.5}\n", sizes = "  const z: s64[4] = {2, 5, 4, 9}\n";
  for (const char* coordinates :
       {"half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel", "half_pixel_symmetric"}) {
    for (const char* type : {"f32", "u8"})
      expect_step(
          std::string("x: ") + type + "[2,5,6,4]",
          scales + "  y = Resize(x, _, s, mode=\"nearest\", nearest_mode=\"floor\", coordinate_transformation_mode=\"" +
              coordinates + "\")");
    for (const char* mode : {"linear", "cubic", "cubic\", cubic_coeff_a=-0.5, keep_aspect_ratio_policy=\"stretch"}) {
      const std::string how =
          std::string("mode=\"") + mode + "\", coordinate_transformation_mode=\"" + coordinates + "\")";
      expect_step("x: f32[2,5,6,4]", scales + "  y = Resize(x, _, s, " + how, k_float);
      expect_step("x: f32[2,5,6,4]", sizes + "  y = Resize(x, _, _, z, " + how, k_float);
    }
  }
}

/// Channels that fill their pixels and such that do not; rows that are skipped, met again and shared out to workers.
TEST(ResizeOnCpu, mixes_rows_of_many_pixels) {
  for (const char* extents : {"[3,16,9,7]", "[2,21,12,14]", "[1,40,30,5]", "[1,3,20,11]"})
    for (const char* scales : {"{1, 1, 8, 8}", "{1, 1, 0.3, 0.4}", "{1, 1, 1, 3}", "{1, 1, 2.5, 1}"})
      for (const char* mode : {"linear", "cubic"})
        expect_step(std::string("x: f32") + extents,
                    std::string("  const s: f32[4] = ") + scales + "\n  y = Resize(x, _, s, mode=\"" + mode + "\")",
                    k_float);
}

TEST(ResizeOnCpu, takes_the_axes_that_the_node_names) {
  const std::string scales = "  const s: f32[2] = {1.5, 2}\n", sizes = "  const z: s64[3] = {9, 5, 4}\n";
  for (const char* mode : {"nearest", "linear", "cubic"}) {
    expect_step("x: f32[2,5,6,4]", scales + "  y = Resize(x, _, s, axes=[3,-2], mode=\"" + mode + "\")", k_float);
    expect_step("x: f32[2,5,6,4]", sizes + "  y = Resize(x, _, _, z, axes=[3,1,2], mode=\"" + mode + "\")", k_float);
  }
}

/// Channels are resampled, too, where their scale says so, though their number stays: by the reference kernel.
TEST(ResizeOnCpu, takes_a_scale_of_channels_that_stay_as_many) {
  for (const char* mode : {"nearest", "linear", "cubic"})
    expect_step("x: f32[1,5,4,4]",
                std::string("  const s: f32[4] = {1, 1.1, 2, 2}\n  y = Resize(x, _, s, mode=\"") + mode + "\")",
                k_float);
}

/// What ONNX Runtime 1.32 answers. In double 3 / 0.6 is below 5 for the float 0.6, and 10 * 0.7 below 7.
TEST(ResizeOnCpu, counts_and_chooses_pixels_as_onnx_runtime_where_no_float_is_the_scale) {
  struct Case {
    const char *scale, *mode;
    std::vector<float> expected;
  };
  const Case cases[] = {
      {"0.6", "nearest_mode=\"floor\", coordinate_transformation_mode=\"asymmetric\"", {0, 1, 3, 5, 6, 8}},
      {"0.6", "nearest_mode=\"floor\", coordinate_transformation_mode=\"half_pixel\"", {0, 2, 3, 5, 6, 8}},
      {"0.7", "nearest_mode=\"round_prefer_floor\"", {0, 2, 3, 4, 6, 7, 9}},
      {"0.3", "nearest_mode=\"round_prefer_ceil\", coordinate_transformation_mode=\"pytorch_half_pixel\"", {1, 5, 8}}};
  for (const Case& c : cases) {
    const Result<Graph> graph =
        parse_graph(std::string("graph g (x: f32[1,1,1,10]) -> (y) {\n  const s: f32[4] = {1, 1, 1, ") + c.scale +
                    "}\n  y = Resize(x, _, s, mode=\"nearest\", " + c.mode + ")\n}\n");
    ASSERT_TRUE(graph) << graph.error().message;
    const std::vector<Tensor> x = {
        Tensor::from<float>(DType::f32, {1, 1, 1, 10}, std::vector<float>{0, 1, 2, 3, 4, 5, 6, 7, 8, 9})};
    for (const auto& backend : {make_ref_backend(), cpu::make_backend({})}) {
      const std::vector<Tensor> y = run_graph(*graph, backend, x);
      ASSERT_EQ(y.size(), 1u);
      const auto got = y[0].as<float>();
      EXPECT_EQ(std::vector<float>(got.begin(), got.end()), c.expected) << c.scale << " " << c.mode;
    }
  }
}

TEST(CastOnCpu, converts_between_dtypes) {
  for (const char* from : {"f32", "u8", "s8", "s32", "s64"}) {
    for (const char* to : {"f32", "s32", "s64", "bool"})
      expect_step(std::string("x: ") + from + "[2,5,3,4]", std::string("  y = Cast(x, to=\"") + to + "\")");
  }
  expect_step("x: f32[2,5,3,4]", "  a = Abs(x)\n  y = Cast(a, to=\"u8\")");
  expect_step("x: f32[7,5]", "  y = Cast(x, to=\"s8\")");
}

/// Elements where the dtypes end, some of them inexact in double or float.
Tensor extremes(DType dtype) {
  const auto integers = [&]<class T>(T) {
    std::vector<T> v;
    for (const uint64_t base : {uint64_t{0}, uint64_t{1} << 7, uint64_t{1} << 8, uint64_t{1} << 15, uint64_t{1} << 16,
                                uint64_t{1} << 24, uint64_t{1} << 31, uint64_t{1} << 32, uint64_t{1} << 53,
                                (uint64_t{1} << 60) + (uint64_t{1} << 36), uint64_t{1} << 63})
      for (const int by : {-2, -1, 0, 1, 2}) {
        const uint64_t bits = base + static_cast<uint64_t>(int64_t{by});
        v.push_back(static_cast<T>(bits));
        v.push_back(static_cast<T>(0 - bits));
      }
    return Tensor::from<T>(dtype, {static_cast<int64_t>(v.size())}, v);
  };
  switch (dtype) {
    case DType::u8: return integers(uint8_t{});
    case DType::s8: return integers(int8_t{});
    case DType::s32: return integers(int32_t{});
    case DType::s64: return integers(int64_t{});
    case DType::boolean: return Tensor::from<uint8_t>(dtype, {2}, std::vector<uint8_t>{0, 1});
    default: break;
  }
  std::vector<float> v = {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::denorm_min(), 0.0f};
  for (const float x : {0.5f, 0.999f, 1.0f, 127.0f, 127.9f, 128.0f, 128.9f, 255.0f, 255.9f, 256.0f, 300.0f, 65536.0f,
                        2147483520.0f, 2147483648.0f, 4294967296.0f, 9223371487098961920.0f, 9223372036854775808.0f,
                        1e38f, std::numeric_limits<float>::infinity()}) {
    v.push_back(x);
    v.push_back(-x);
  }
  return f32_tensor({static_cast<int64_t>(v.size())}, v);
}

TEST(CastOnCpu, converts_every_pair_of_dtypes_at_its_extremes_as_the_reference) {
  const std::vector<DType> dtypes = {DType::f32, DType::u8, DType::s8, DType::s32, DType::s64, DType::boolean};
  for (const DType from : dtypes)
    for (const DType to : dtypes) {
      const Tensor x = extremes(from);
      const std::string text = "graph g (x: " + std::string(name(from)) + to_string(x.dims()) +
                               ") -> (y) {\n  y = Cast(x, to=\"" + std::string(name(to)) + "\")\n}\n";
      Result<Graph> graph = parse_graph(text);
      ASSERT_TRUE(graph) << graph.error().message;
      const std::vector<Tensor> want = run_graph(*graph, make_ref_backend(), {x}),
                                have = run_graph(
                                    *graph, cpu::make_backend({.threads = 1, .isa = available_isas().back()}), {x});
      ASSERT_EQ(want.size(), 1u) << text;
      ASSERT_EQ(have.size(), 1u) << text;
      ASSERT_EQ(have[0].dtype(), to);
      EXPECT_TRUE(std::ranges::equal(have[0].bytes(), want[0].bytes())) << text;
      expect_close(have[0], want[0], k_exact, text);
    }
}

TEST(CastOnCpu, wraps_integers_around_and_keeps_those_beyond_the_doubles) {
  const auto cast = [](const std::string& from, const std::string& to, const Tensor& x) {
    const Result<Graph> graph = parse_graph("graph g (x: " + from + "[3]) -> (y) { y = Cast(x, to=\"" + to + "\") }");
    const std::vector<Tensor> y =
        run_graph(*graph, cpu::make_backend({.threads = 1, .isa = available_isas().back()}), {x});
    return y.empty() ? Tensor() : y[0];
  };
  const Tensor s64 = Tensor::from<int64_t>(DType::s64, {3}, std::vector<int64_t>{300, -129, (int64_t{1} << 60) + 5});
  const Tensor s8 = cast("s64", "s8", s64), u8 = cast("s64", "u8", s64), s32 = cast("s64", "s32", s64);
  EXPECT_THAT(s8.as<int8_t>(), testing::ElementsAre(44, 127, 5));
  EXPECT_THAT(u8.as<uint8_t>(), testing::ElementsAre(44, 127, 5));
  EXPECT_THAT(s32.as<int32_t>(), testing::ElementsAre(300, -129, 5));
  // Halfway between two floats and one more: a double on the way would round it down, to even.
  const Tensor odd = Tensor::from<int64_t>(
      DType::s64, {3}, std::vector<int64_t>{(int64_t{1} << 60) + (int64_t{1} << 36) + 1, 16777217, 16777219});
  const Tensor f32 = cast("s64", "f32", odd);
  EXPECT_THAT(f32.as<float>(), testing::ElementsAre(0x1.000002p60f, 16777216.0f, 16777220.0f));
}

TEST(ArgOnCpu, finds_the_extreme_along_any_axis) {
  for (const char* op :
       {"ArgMax(x, axis=1)", "ArgMin(x, axis=-1, keepdims=0)", "ArgMax(x, axis=0, select_last_index=1)"}) {
    expect_step("x: f32[2,21,3,4]", std::string("  y = ") + op);
    expect_step("x: f32[5,10]", std::string("  y = ") + op);
  }
}

}  // namespace
}  // namespace octet
