// Seeds with ops of codes: ONNX's and those of com.microsoft.

#include "onnx_seed_parts.h"

namespace octet::test {
namespace {

constexpr const char* k_microsoft = "com.microsoft";

using Constants = std::vector<std::pair<std::string, Tensor>>;

/// Scales s and t, a zero point z and other codes o.
Constants scales() {
  return {{"s", scalar_f32(0.5f)},
          {"t", scalar_f32(0.25f)},
          {"z", bytes(DType::u8, {}, {7})},
          {"o", bytes(DType::u8, {1, 4, 1, 1}, {1, 255, 0, 9})}};
}

/// Codes x [2,4,6,6] -> the op -> y.
Seed of_codes(const std::string& op, std::vector<std::string> inputs, std::vector<WireWriter> attributes = {},
              const Constants& more = {}, const std::string& domain = k_microsoft) {
  Constants constants = scales();
  constants.insert(constants.end(), more.begin(), more.end());
  return with_input(op + (domain.empty() ? "" : "_microsoft"), 13, {2, 4, 6, 6}, DType::u8,
                    {op, std::move(inputs), {"y"}, std::move(attributes), "n", domain}, constants);
}

}  // namespace

std::vector<Seed> seeds_of_codes() {
  const auto ints = ints_attribute_proto;
  const auto integer = int_attribute_proto;
  const Tensor weights = bytes(DType::s8, {2, 4, 1, 1}, {1, 2, 3, 4, 251, 6, 7, 128});
  const Tensor matrix = bytes(DType::s8, {6, 2}, {1, 2, 3, 4, 251, 6, 7, 128, 9, 0, 127, 12});
  const int32_t bias[] = {10, -20};
  const Constants convolution = {{"w", weights},
                                 {"ws", f32_tensor({2}, std::vector<float>{0.5f, 0.25f})},
                                 {"b", Tensor::from<int32_t>(DType::s32, {2}, bias)}};
  const std::vector<std::string> conv = {"x", "s", "z", "w", "ws", "", "t", "z", "b"},
                                 pair = {"x", "s", "z", "o", "t", "z", "s", "z"}, one = {"x", "s", "z", "t", "z"};
  std::vector<Seed> seeds = {
      of_codes("QLinearConv", conv, {ints("pads", {0, 1, 0, 1})}, convolution, ""),
      of_codes("QLinearMatMul", {"x", "s", "z", "m", "t", "", "s", "z"}, {}, {{"m", matrix}}, ""),
      of_codes("ConvInteger", {"x", "w", "z"}, {ints("strides", {2, 1})}, {{"w", weights}}, ""),
      of_codes("MatMulInteger", {"x", "m", "z"}, {}, {{"m", matrix}}, ""),
      of_codes("QLinearConv", conv, {ints("dilations", {1, 2})}, convolution),
      of_codes("QLinearAdd", pair),
      of_codes("QLinearMul", pair),
      of_codes("QLinearAveragePool", one,
               {ints("kernel_shape", {3, 2}), ints("strides", {2, 2}), integer("ceil_mode", 1),
                integer("channels_last", 1)}),
      of_codes("QLinearGlobalAveragePool", one, {integer("channels_last", 0)}),
      of_codes("QLinearConcat", {"s", "z", "x", "s", "z", "x", "t", "z"}, {integer("axis", 1)}),
      of_codes("QLinearSigmoid", one),
      of_codes("QLinearLeakyRelu", one, {float_attribute_proto("alpha", 0.5f)}),
      of_codes("QLinearSoftmax", one, {integer("axis", 1), integer("opset", 12)}),
      of_codes("QLinearWhere", {"c", "x", "s", "z", "o", "t", "z", "s", "z"}, {},
               {{"c", bytes(DType::boolean, {4, 1, 1}, {1, 0, 0, 1})}}),
      of_codes("DequantizeLinear", {"x", "s", "z"}),
      with_input("DynamicQuantizeLinear", 11, {3, 4}, DType::f32, {"DynamicQuantizeLinear", {"x"}, {"y", "ys", "yz"}}),
      with_input("QuantizeLinear_microsoft", 13, {3, 4}, DType::f32,
                 {"QuantizeLinear", {"x", "s", "z"}, {"y"}, {}, "n", k_microsoft}, scales()),
      with_input(
          "FusedConv_microsoft", 13, {1, 4, 6, 6}, DType::f32,
          {"FusedConv",
           {"x", "w", "", "x"},
           {"y"},
           {string_attribute_proto("activation", "LeakyRelu"), floats_attribute_proto("activation_params", {0.25f})},
           "n",
           k_microsoft},
          {{"w", reals({4, 4, 1, 1})}}),
      with_input("QGemm_microsoft", 13, {3, 6}, DType::u8,
                 {"QGemm",
                  {"x", "s", "z", "m", "ws", "", "b", "t", "z"},
                  {"y"},
                  {float_attribute_proto("alpha", 2)},
                  "n",
                  k_microsoft},
                 {{"m", matrix},
                  {"ws", convolution[1].second},
                  {"b", convolution[2].second},
                  {"s", scalar_f32(0.5f)},
                  {"t", scalar_f32(0.25f)},
                  {"z", bytes(DType::u8, {}, {7})}}),
  };
  return seeds;
}

}  // namespace octet::test
