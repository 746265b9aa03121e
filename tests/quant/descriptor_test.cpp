// QuantDescriptor: the hand-checked cases of docs/toolkit_behaviour.md, the toolkit's files, errors by message.

#include "quant/descriptor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "quant/python_text.h"

namespace octet {
namespace {

using testing::HasSubstr;
using Floats = std::vector<float>;

std::string yaml_error(const std::string& text) {
  const Result<QuantDescriptor> d = descriptor_from_yaml(text);
  return d ? "" : d.error().message;
}
std::string json_error(const std::string& text) {
  const Result<QuantDescriptor> d = descriptor_from_json(text);
  return d ? "" : d.error().message;
}

QuantDescriptor the_specs_example() {
  return {.num_bits = 2, .name = "a", .axis = {{1, 2}}, .amax = scalar_f32(3.1415926536f)};
}

TEST(QuantDescriptor, default_is_8_bit_fake_per_tensor_full_range_max) {  // case 1
  const QuantDescriptor d;
  EXPECT_EQ(d.num_bits, NumBits(8));
  EXPECT_FALSE(d.name || d.axis || d.amax || d.scale_amax || d.learn_amax || d.is_unsigned || d.narrow_range);
  EXPECT_TRUE(d.fake_quant);
  EXPECT_EQ(d.calib_method, "max");
  EXPECT_EQ(to_yaml(d), "name: null\nnum_bits: 8\n");
  EXPECT_EQ(to_text(d), "QuantDescriptor(8bit fake axis= per-tensor)");  // case 5
}

TEST(QuantDescriptor, yaml_is_the_toolkits) {  // case 2
  const QuantDescriptor d = the_specs_example();
  EXPECT_EQ(to_yaml(d), "amax: 3.1415927410125732\naxis:\n- 1\n- 2\nname: a\nnum_bits: 2\n");
  // As PyYAML 6 writes a character beyond 16 bits; JSON's two escapes are two characters to YAML's readers.
  EXPECT_EQ(to_yaml({.name = "caN\xf0\xa0\x81\xa5x\\uD800"}), "name: \"caN\\U00020065x\\\\uD800\"\nnum_bits: 8\n");
  EXPECT_EQ(*descriptor_from_yaml(to_yaml(d)), d);
  QuantDescriptor tenth{.amax = scalar_f32(0.1f)};
  EXPECT_THAT(to_yaml(tenth), HasSubstr("amax: 0.10000000149011612\n"));
  EXPECT_EQ(*descriptor_from_yaml(to_yaml(tenth)), tenth);
}

TEST(QuantDescriptor, every_predefined_constant_survives_yaml_and_json) {  // case 4, D16
  int checked = 0;
#define OCTET_DESCRIPTOR(word, ...)                                                             \
  EXPECT_TRUE(check(k_quant_desc_##word));                                                      \
  EXPECT_EQ(*descriptor_from_yaml(to_yaml(k_quant_desc_##word)), k_quant_desc_##word) << #word; \
  EXPECT_EQ(*descriptor_from_json(to_json(k_quant_desc_##word)), k_quant_desc_##word) << #word; \
  ++checked;
#include "quant/descriptors.def"
#undef OCTET_DESCRIPTOR
  EXPECT_EQ(checked, 9);
  EXPECT_EQ(k_quant_desc_8bit_convtranspose2d_weight_per_channel.axis->front(), 1);  // D20
  EXPECT_EQ(k_quant_desc_8bit_conv2d_weight_per_channel.axis->front(), 0);
  EXPECT_TRUE(k_quant_desc_unsigned_8bit_per_tensor.is_unsigned);
}

TEST(QuantDescriptor, all_fields_survive_both_forms) {
  const std::vector<QuantDescriptor> all = {
      {.num_bits = NumBits::e4m3()},
      {.num_bits = 4, .fake_quant = false, .axis = {{0}}, .is_unsigned = true},
      {.name = "conv 1: \"quoted\"\n\tü", .calib_method = "histogram", .narrow_range = true},
      {.name = "yes", .scale_amax = 1e-5},
      {.name = ""},
      {.name = "null"},
      {.name = "12"},
      {.amax = scalar_f32(0), .learn_amax = true, .scale_amax = 0.9},
      {.axis = {{-1}}, .amax = f32_tensor({3}, Floats{1, 1e-20f, 3e38f})},
      {.axis = {{0, 2}}, .amax = f32_tensor({2, 1, 2}, Floats{0.7f, 1.5f, 2, 1e-45f})},
      {.name = "\xf0\x90\x80\x80 to \xf4\x8f\xbf\xbf \\ud840"},
  };
  for (const QuantDescriptor& d : all) {
    ASSERT_TRUE(check(d)) << to_text(d);
    const Result<QuantDescriptor> yaml = descriptor_from_yaml(to_yaml(d)), json = descriptor_from_json(to_json(d));
    ASSERT_TRUE(yaml) << yaml.error().message << "\n" << to_yaml(d);
    ASSERT_TRUE(json) << json.error().message << "\n" << to_json(d);
    EXPECT_EQ(*yaml, d) << to_yaml(d);
    EXPECT_EQ(*json, d) << to_json(d);
  }
  EXPECT_THAT(to_yaml(all[9]), HasSubstr("amax:\n- - - 0.699999988079071\n    - 1.5\n- - - 2.0\n"));
  EXPECT_THAT(to_yaml(all[3]), HasSubstr("scale_amax: 1.0e-05\n"));
}

TEST(QuantDescriptor, files_of_the_toolkit_are_read) {  // D16
  const Result<QuantDescriptor> pair = descriptor_from_yaml("name: null\nnum_bits: !!python/tuple\n- 4\n- 3\n");
  ASSERT_TRUE(pair) << pair.error().message;
  EXPECT_TRUE(pair->num_bits.is_e4m3);
  const Result<QuantDescriptor> integer = descriptor_from_yaml("axis: 0\nnum_bits: 8\n");
  ASSERT_TRUE(integer) << integer.error().message;
  EXPECT_EQ(*integer, k_quant_desc_8bit_conv2d_weight_per_channel);
}

TEST(QuantDescriptor, wrong_values_are_refused_by_name) {  // case 3
  EXPECT_THAT(yaml_error("num_bits: -1"), HasSubstr("num_bits must be > 0, not -1."));
  EXPECT_THAT(yaml_error("num_bits: 0"), HasSubstr("num_bits must be > 0, not 0."));
  EXPECT_THAT(yaml_error("num_bits: 8.0"), HasSubstr("num_bits must be a postive integer or tuple (4,3), not 8.0"));
  EXPECT_THAT(yaml_error("num_bits: true"), HasSubstr("num_bits must be a postive integer"));
  EXPECT_THAT(yaml_error("num_bits: [5, 2]"),
              HasSubstr("num_bits must be a postive integer or tuple (4,3), not [5,2]"));
  EXPECT_THAT(yaml_error("num_bits: 17"), HasSubstr("expected 2 to 16"));
  EXPECT_THAT(yaml_error("num_bits: 1"), HasSubstr("expected 2 to 16"));
  EXPECT_EQ(yaml_error("num_bits: 1\nunsigned: true"), "");
  EXPECT_THAT(yaml_error("amax: 1"), HasSubstr("amax must be a float, list or array of floats such as 1.0, not 1"));
  EXPECT_THAT(yaml_error("amax: text"), HasSubstr("amax must be a float"));
  EXPECT_THAT(yaml_error("amax: [1.0, [2.0]]"), HasSubstr("amax must be an even list"));
  EXPECT_THAT(yaml_error("amax: -1.0"), HasSubstr("finite numbers >= 0"));
  EXPECT_THAT(yaml_error("amax: 1.0e+300"), HasSubstr("finite numbers >= 0"));
  EXPECT_THAT(yaml_error("amax: []"), HasSubstr("amax is empty"));
  EXPECT_THAT(yaml_error("name: 3"), HasSubstr("name must be a string or None, not 3"));
  EXPECT_THAT(yaml_error("bits: 3\nsign: true"), HasSubstr("Unused keys: bits, sign"));
  EXPECT_THAT(yaml_error("learn_amax: true\naxis: 0"),
              HasSubstr("axis is ignored and must be None when learn_amax is true"));
  EXPECT_THAT(yaml_error("calib_method: histo"),
              HasSubstr("calib_method is 'histo'; expected max or histogram"));  // D15
  EXPECT_THAT(yaml_error("axis: [0, 0]"), HasSubstr("axis 0 is named twice"));
  EXPECT_THAT(yaml_error("axis: 1.5"), HasSubstr("axis must be an integer"));
  for (const char* text : {"axis: 11615927", "axis: -65", "axis: 18446744073709551615"})
    EXPECT_NE(yaml_error(text), "") << text;
  EXPECT_THAT(json_error("{\"axis\": [11615927]}"), HasSubstr("axis 11615927 is not the number of a dimension"));
  EXPECT_THAT(json_error("{\"axis\": 18446744073709551615}"), HasSubstr("axis must be the number of a dimension"));
  EXPECT_THAT(yaml_error("name: \"\xff\""), HasSubstr("name must be UTF-8"));
  EXPECT_THAT(yaml_error("axis: []"), HasSubstr("axis is an empty list"));
  EXPECT_THAT(yaml_error("fake_quant: 1"), HasSubstr("fake_quant must be true or false, not 1"));
  EXPECT_THAT(yaml_error("scale_amax: 0"), HasSubstr("scale_amax is 0.0; a positive number"));
  EXPECT_THAT(yaml_error("num_bits: 8\nnum_bits: 4"), HasSubstr("'num_bits' occurs twice"));
  EXPECT_THAT(json_error("{\"num_bits\": 8"), HasSubstr("not JSON"));
  EXPECT_THAT(json_error("[]"), HasSubstr("expected keys and values"));
}

TEST(QuantDescriptor, hostile_texts_end_in_an_error) {
  EXPECT_THAT(yaml_error(": : :\n\t- ["), HasSubstr("not YAML"));
  EXPECT_NE(yaml_error(std::string(5000, '[')), "");
  EXPECT_NE(json_error(std::string(200000, '[')), "");
  EXPECT_NE(json_error("{\"amax\": " + std::string(100000, '[') + std::string(100000, ']') + "}"), "");
  std::string bomb = "amax: &a0 [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]\n";
  for (int i = 1; i < 12; ++i) {
    const std::string last = "*a" + std::to_string(i - 1);
    bomb += "k" + std::to_string(i) + ": &a" + std::to_string(i) + " [" + last + "," + last + "," + last + "," + last +
            "," + last + "," + last + "," + last + "," + last + "]\n";
  }
  EXPECT_THAT(yaml_error(bomb), HasSubstr("too large"));
}

TEST(QuantDescriptor, compares_element_by_element) {  // D17
  const QuantDescriptor a{.axis = {{0}}, .amax = f32_tensor({2}, Floats{1, 2})};
  QuantDescriptor b = a;
  EXPECT_EQ(a, b);
  b.amax = f32_tensor({2}, Floats{1, 3});
  EXPECT_FALSE(a == b);
  b.amax.reset();
  EXPECT_FALSE(a == b);
}

TEST(QuantDescriptor, text_names_what_is_not_default) {
  EXPECT_EQ(to_text(the_specs_example()), "a: (2bit fake axis=(1, 2) amax=3.1415927410125732 full_range)");
  EXPECT_EQ(to_text({.num_bits = NumBits::e4m3(), .fake_quant = false, .scale_amax = 0.5, .is_unsigned = true}),
            "QuantDescriptor(unsigned (4, 3)bit real axis= per-tensor scale_amax=0.5)");
}

TEST(PythonText, floats_as_repr_prints_them) {
  const double infinity = std::numeric_limits<double>::infinity();
  const std::vector<std::pair<double, std::string>> cases = {{0, "0.0"},
                                                             {-0.0, "-0.0"},
                                                             {1, "1.0"},
                                                             {127, "127.0"},
                                                             {0.1, "0.1"},
                                                             {1e-5, "1e-05"},
                                                             {1.5e-7, "1.5e-07"},
                                                             {0.0001, "0.0001"},
                                                             {123456.789, "123456.789"},
                                                             {1e15, "1000000000000000.0"},
                                                             {1e16, "1e+16"},
                                                             {1.25e100, "1.25e+100"},
                                                             {-2.5, "-2.5"},
                                                             {infinity, "inf"},
                                                             {-infinity, "-inf"}};
  for (const auto& [value, text] : cases) EXPECT_EQ(python_float(value), text);
}

}  // namespace
}  // namespace octet
