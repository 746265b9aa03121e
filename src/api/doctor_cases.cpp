// The bundled vectors. An answer is the hash (XXH3) of the outputs' bytes as the reference back end gives them; that
// back end is held to NumPy and to the ONNX project's tests elsewhere (tests/ops, tests/node_tests).

#include "octet/doctor.h"

namespace octet {

const std::vector<DoctorCase>& doctor_cases() {
  static const std::vector<DoctorCase> cases = {
      {"convolution 3x3, padded, codes of any sign",
       R"(graph g (x: u8[2,5,9,7], w: s8[19,5,3,3], w_scale: f32[19], b: s32[19]) -> (y) {
  y = QuantConv(x, w, w_scale, b, pads=[1,1,1,1], x_scale=0.02, x_zero_point=37, y_scale=0.5, y_zero_point=99, to="u8")
})",
       0xbd8192190a7cabb2ull},
      {"convolution 1x1 of signed codes",
       R"(graph g (x: s8[1,67,6,6], w: s8[33,67,1,1], w_scale: f32[33], b: s32[33]) -> (y) {
  y = QuantConv(x, w, w_scale, b, x_scale=0.02, x_zero_point=-5, y_scale=0.7, y_zero_point=3, to="s8")
})",
       0xd2feee5881dcb31full},
      {"convolution with stride, residual and relu",
       R"(graph g (x: u8[1,16,8,8], r: s8[1,24,4,4], w: s8[24,16,3,3], w_scale: f32[24], b: s32[24]) -> (y) {
  y = QuantConv(x, w, w_scale, b, r, strides=[2,2], pads=[1,1,1,1], x_scale=0.02, x_zero_point=10, y_scale=0.6, y_zero_point=0, residual_scale=0.031, residual_zero_point=-7, activation="Relu", to="u8")
})",
       0x1f58928dfa97903eull},
      {"convolution with an activation evaluated on values",
       R"(graph g (x: u8[1,8,5,5], w: s8[16,8,3,3], w_scale: f32[16], b: s32[16]) -> (y) {
  y = QuantConv(x, w, w_scale, b, x_scale=0.01, x_zero_point=128, y_scale=0.05, y_zero_point=20, activation="Silu", to="u8")
})",
       0xf335120c14ba396eull},
      {"depthwise convolution",
       R"(graph g (x: u8[1,35,9,9], w: s8[35,1,3,3], w_scale: f32[35], b: s32[35]) -> (y) {
  y = QuantConv(x, w, w_scale, b, group=35, pads=[1,1,1,1], x_scale=0.02, x_zero_point=3, y_scale=0.1, y_zero_point=128, to="u8")
})",
       0xd5f9c4a275465dc5ull},
      {"matrix product",
       R"(graph g (x: u8[3,129], w: s8[37,129], w_scale: f32[37], b: s32[37]) -> (y) {
  y = QuantGemm(x, w, w_scale, b, x_scale=0.02, x_zero_point=7, y_scale=0.9, y_zero_point=-3, to="s8")
})",
       0xa28c940482f4bb53ull},
      {"addition of codes",
       R"(graph g (x: u8[2,17,5,3], r: s8[2,17,5,3]) -> (y) {
  y = QuantAdd(x, r, a_scale=0.02, a_zero_point=13, b_scale=0.031, b_zero_point=-4, y_scale=0.04, y_zero_point=100, activation="Relu", to="u8")
})",
       0xed4a4104903c62bfull},
      {"average of codes",
       R"(graph g (x: u8[2,18,7,7]) -> (y) {
  y = QuantGlobalAveragePool(x, x_scale=0.02, x_zero_point=5, y_scale=0.013, y_zero_point=9, to="u8")
})",
       0x04aa5d87c13538c6ull},
      {"table of codes",
       R"(graph g (x: u8[1,20,4,4], table: u8[256]) -> (y) {
  y = QuantLookup(x, table)
})",
       0x2097bedd49ba1193ull},
      {"float convolution",
       R"(graph g (x: f32[1,9,7,7], w: f32[21,9,3,3], b: f32[21]) -> (y) {
  y = FusedConv(x, w, b, pads=[1,1,1,1], activation="Relu")
})",
       0, 2e-5},
      {"softmax",
       R"(graph g (x: f32[4,11]) -> (y) {
  y = Softmax(x, axis=1)
})",
       0, 2e-5},
  };
  return cases;
}

}  // namespace octet
