// Graphs in text form that do not parse or do not verify.
#include "errors/cases.h"
#include "ir/text.h"

namespace octet::errors {

std::vector<Case> text_cases() {
  const std::vector<std::pair<const char*, const char*>> texts = {
      {"text_empty", ""},
      {"text_not_a_graph", "network x { }"},
      {"text_input_without_type", "graph (x) -> (y) { y = Relu(x) }"},
      {"text_unknown_dtype", "graph (x: f31[2]) -> (y) { y = Relu(x) }"},
      {"text_extent_negative", "graph (x: f32[-2]) -> (y) { y = Relu(x) }"},
      {"text_shape_too_large", "graph (x: f32[1000000,1000000]) -> (y) { y = Relu(x) }"},
      {"text_unknown_op", "graph (x: f32[2]) -> (y) { y = Polish(x) }"},
      {"text_unknown_value", "graph (x: f32[2]) -> (y) { y = Relu(z) }"},
      {"text_defined_twice", "graph (x: f32[2]) -> (x) { x = Relu(x) }"},
      {"text_output_of_nobody", "graph (x: f32[2]) -> (y) { z = Relu(x) }"},
      {"text_constant_too_short", "graph () -> (y) { const c: f32[3] = {1, 2} y = Relu(c) }"},
      {"text_constant_of_wrong_kind", "graph () -> (y) { const c: s8[1] = {300} y = Identity(c) }"},
      {"text_bad_base64", "graph () -> (y) { const c: s8[3] = base64 \"!!!!\" y = Identity(c) }"},
      {"text_unclosed", "graph (x: f32[2]) -> (y) { y = Relu(x)"},
      {"text_unclosed_string", "graph (x: f32[2]) -> (y) { y = Cast(x, to=\"f32) }"},
      {"text_too_many_inputs", "graph (x: f32[2]) -> (y) { y = Relu(x, x) @r }"},
      {"text_too_few_inputs", "graph (x: f32[2]) -> (y) { y = Add(x) @a }"},
      {"text_unknown_attribute", "graph (x: f32[2]) -> (y) { y = Relu(x, speed=3) @r }"},
      {"text_attribute_of_wrong_kind", "graph (x: f32[2,2]) -> (y) { y = Softmax(x, axis=\"last\") @s }"},
      {"text_axis_out_of_range", "graph (x: f32[2,2]) -> (y) { y = Softmax(x, axis=2) @s }"},
      {"text_no_broadcast", "graph (a: f32[2], b: f32[3]) -> (y) { y = Add(a, b) @a }"},
      {"text_two_types", "graph (a: f32[2], b: s32[2]) -> (y) { y = Add(a, b) @a }"},
      {"text_conv_channels", "graph (x: f32[1,3,8,8], w: f32[4,2,3,3]) -> (y) { y = Conv(x, w) @c }"},
      {"text_matmul_extents", "graph (a: f32[2,3], b: f32[4,5]) -> (y) { y = MatMul(a, b) @m }"},
      {"text_written_type_is_wrong", "graph (x: f32[2]) -> (y) { y = Relu(x) : f32[3] }"},
      {"text_scale_zero",
       "graph (x: f32[2]) -> (y) { const s: f32[] = {0} const z: s8[] = {0} y = QuantizeLinear(x, s, z) @q }"},
      {"text_scale_negative",
       "graph (x: f32[2]) -> (y) { const s: f32[] = {-1} const z: s8[] = {0} y = QuantizeLinear(x, s, z) @q }"},
      {"text_scale_nan", "graph (x: s8[2]) -> (y) { const s: f32[] = {nan} y = DequantizeLinear(x, s) @d }"},
      {"text_scale_subnormal",
       "graph (x: f32[2]) -> (y) { const s: f32[] = {1e-40} const z: s8[] = {0} y = QuantizeLinear(x, s, z) @q }"},
      {"text_zero_point_of_another_rank",
       "graph (x: s8[3]) -> (y) { const s: f32[3] = {1,1,1} const z: s8[3,1] = {0,0,0} y = DequantizeLinear(x, s, z, "
       "axis=0) @d }"},
      {"text_scale_axis",
       "graph (x: s8[4,3]) -> (y) { const s: f32[4] = {1,1,1,1} y = DequantizeLinear(x, s, axis=1) @d }"},
      {"text_scale_is_integer", "graph (x: s8[4]) -> (y) { const s: s32[] = {1} y = DequantizeLinear(x, s) @d }"},
      {"text_reshape_count", "graph (x: f32[2,3]) -> (y) { const s: s64[1] = {7} y = Reshape(x, s) @r }"},
      {"text_after_the_end", "graph (x: f32[2]) -> (y) { y = Relu(x) } more"},
  };
  std::vector<Case> cases;
  for (const auto& [name, text] : texts)
    cases.push_back({name, [text = std::string(text)] { return error_of(parse_graph(text)); }});
  return cases;
}

}  // namespace octet::errors
