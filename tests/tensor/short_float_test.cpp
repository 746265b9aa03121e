// The short floats against the tables of ONNX's documentation and of the OCP formats.
#include "tensor/short_float.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace octet {
namespace {

constexpr float k_infinity = std::numeric_limits<float>::infinity();
constexpr DType k_short[] = {DType::f8e4m3fn, DType::f8e4m3fnuz, DType::f8e5m2, DType::f8e5m2fnuz, DType::f4e2m1};

TEST(ShortFloat, has_the_extremes_of_the_formats) {
  EXPECT_EQ(short_float_value(DType::f8e4m3fn, 0x7e), 448.0f);
  EXPECT_EQ(short_float_value(DType::f8e4m3fn, 0x01), 0x1p-9f);
  EXPECT_EQ(short_float_value(DType::f8e4m3fnuz, 0x7f), 240.0f);
  EXPECT_EQ(short_float_value(DType::f8e4m3fnuz, 0x01), 0x1p-10f);
  EXPECT_EQ(short_float_value(DType::f8e5m2, 0x7b), 57344.0f);
  EXPECT_EQ(short_float_value(DType::f8e5m2, 0xfc), -k_infinity);
  EXPECT_EQ(short_float_value(DType::f8e5m2fnuz, 0x7f), 57344.0f);
  EXPECT_EQ(short_float_value(DType::f8e5m2fnuz, 0x01), 0x1p-17f);
  EXPECT_EQ(short_float_value(DType::f4e2m1, 0xf), -6.0f);
  EXPECT_TRUE(std::isnan(short_float_value(DType::f8e4m3fn, 0xff)));
  EXPECT_TRUE(std::isnan(short_float_value(DType::f8e4m3fnuz, 0x80)));
  EXPECT_TRUE(std::isnan(short_float_value(DType::f8e5m2, 0x7d)));
}

TEST(ShortFloat, gives_every_finite_code_back) {
  for (const DType dtype : k_short) {
    for (int code = 0; code < (dtype == DType::f4e2m1 ? 16 : 256); ++code) {
      const float value = short_float_value(dtype, static_cast<uint8_t>(code));
      if (std::isnan(value)) continue;
      EXPECT_EQ(short_float_code(dtype, value, false), code) << name(dtype);
    }
  }
}

TEST(ShortFloat, rounds_ties_to_the_even_code) {
  EXPECT_EQ(short_float_value(DType::f4e2m1, short_float_code(DType::f4e2m1, 2.5f, true)), 2.0f);
  EXPECT_EQ(short_float_value(DType::f4e2m1, short_float_code(DType::f4e2m1, 3.5f, true)), 4.0f);
  EXPECT_EQ(short_float_value(DType::f4e2m1, short_float_code(DType::f4e2m1, 0.25f, true)), 0.0f);
  EXPECT_EQ(short_float_value(DType::f4e2m1, short_float_code(DType::f4e2m1, -0.75f, true)), -1.0f);
  EXPECT_EQ(short_float_value(DType::f8e4m3fn, short_float_code(DType::f8e4m3fn, 17.0f, true)), 16.0f);
  EXPECT_EQ(short_float_value(DType::f8e4m3fn, short_float_code(DType::f8e4m3fn, 19.0f, true)), 20.0f);
}

TEST(ShortFloat, saturates_or_overflows_as_asked) {
  for (const float big : {1e6f, k_infinity}) {
    EXPECT_EQ(short_float_code(DType::f8e4m3fn, big, true), 0x7e);
    EXPECT_EQ(short_float_code(DType::f8e4m3fn, -big, false), 0xff);
    EXPECT_EQ(short_float_code(DType::f8e4m3fnuz, -big, true), 0xff);
    EXPECT_EQ(short_float_code(DType::f8e4m3fnuz, -big, false), 0x80);
    EXPECT_EQ(short_float_code(DType::f8e5m2, big, true), 0x7b);
    EXPECT_EQ(short_float_code(DType::f8e5m2, big, false), 0x7c);
    EXPECT_EQ(short_float_code(DType::f4e2m1, -big, false), 0xf);
  }
  EXPECT_EQ(short_float_code(DType::f8e4m3fn, 464.0f, false), 0x7e);  // a tie with the 480 that is not there
  EXPECT_EQ(short_float_code(DType::f8e4m3fn, 465.0f, false), 0x7f);
  EXPECT_EQ(short_float_code(DType::f8e4m3fnuz, -0.0f, true), 0);
}

}  // namespace
}  // namespace octet
