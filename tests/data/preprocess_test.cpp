#include "data/preprocess.h"

#include <gmock/gmock.h>

#include <cmath>

#include "data/resize.h"
#include "fixtures.h"

namespace octet {
namespace {

using testing::HasSubstr;
using Size = std::pair<int64_t, int64_t>;

Preprocess parsed(const std::string& spec) {
  const Result<Preprocess> p = parse_preprocess(spec);
  EXPECT_TRUE(p) << p.error().message;
  return p ? *p : Preprocess{};
}

std::vector<float> applied(const std::string& spec, const Image& image) {
  const Preprocess p = parsed(spec);
  const auto [w, h] = output_size(p, image.width, image.height);
  std::vector<float> out(static_cast<size_t>(3 * w * h));
  apply(p, image, out);
  return out;
}

TEST(ParsePreprocess, gives_names_the_meaning_of_their_specs) {
  EXPECT_EQ(parsed("imagenet"), parsed("resize=256,crop=224,rgb,norm=imagenet"));
  EXPECT_EQ(parsed("cifar10"), parsed("rgb,norm=cifar10"));
  EXPECT_EQ(parsed("opencv224"), parsed("stretch=224x224,float,bgr,norm=imagenet"));
  EXPECT_EQ(parsed("none"), Preprocess{});
  EXPECT_EQ(parsed("none,norm=imagenet"), parsed("rgb,norm=imagenet"));
  EXPECT_EQ(parsed("norm=half"), parsed("mean=0.5,std=0.5"));
  EXPECT_EQ(parsed("norm=caffe_bgr"), parsed("bgr,pixels,mean=103.939/116.779/123.68,std=1"));
}

TEST(ParsePreprocess, lets_later_words_replace_earlier_ones) {
  EXPECT_EQ(parsed("imagenet,crop=192x160").crop_w, 192);
  EXPECT_EQ(parsed("imagenet,crop=192x160").crop_h, 160);
  EXPECT_EQ(parsed("imagenet,norm=caffe_bgr"), parsed("resize=256,crop=224,norm=caffe_bgr"));
}

TEST(ParsePreprocess, comes_back_from_its_canonical_form) {
  for (const char* spec :
       {"none", "imagenet", "cifar10", "opencv224", "norm=caffe_bgr", "norm=half", "rgb", "bgr", "pixels",
        "opencv224,antialias=0", "stretch=320x240", "norm=cifar,mean=0.1/0.2/0.3", "crop=7x9,std=0.3",
        "pixels,mean=127.5,std=127.5", "bgr,norm=imagenet", "mean=1e-9/3/-2,std=1e10"}) {
    const Preprocess p = parsed(spec);
    EXPECT_EQ(parsed(to_string(p)), p) << spec << " -> " << to_string(p);
    EXPECT_EQ(to_string(parsed(to_string(p))), to_string(p));
  }
  EXPECT_EQ(to_string(parsed("imagenet")), "resize=256,crop=224x224,rgb,norm=imagenet");
  EXPECT_EQ(to_string(parsed("opencv224")), "stretch=224x224,float,bgr,norm=imagenet");
  EXPECT_EQ(to_string(parsed("norm=caffe_bgr")), "bgr,norm=caffe_bgr");
}

TEST(ParsePreprocess, says_which_word_is_wrong) {
  const auto message = [](const char* spec) {
    const Result<Preprocess> p = parse_preprocess(spec);
    return p ? "accepted" : p.error().message;
  };
  EXPECT_THAT(message("imagnet"),
              HasSubstr("word 'imagnet' is not known; known are none, imagenet, cifar10, opencv224"));
  EXPECT_THAT(message("rgb,imagenet"), HasSubstr("word 'imagenet' is not known"));
  EXPECT_THAT(message("norm=foo"),
              HasSubstr("norm 'foo' is not known; known are imagenet, cifar10, cifar, half, caffe_bgr"));
  EXPECT_THAT(message("resize=0"), HasSubstr("'resize=0' wants the length of the shorter side, each 1 to 16384"));
  EXPECT_THAT(message("resize=3x4"), HasSubstr("'resize=3x4'"));
  EXPECT_THAT(message("crop=224x"), HasSubstr("'crop=224x' wants N or WIDTHxHEIGHT"));
  EXPECT_THAT(message("mean=1/2"), HasSubstr("'mean=1/2' wants 1 or 3 numbers"));
  EXPECT_THAT(message("mean=1/2/3/4"), HasSubstr("wants 1 or 3 numbers"));
  EXPECT_THAT(message("std=0"), HasSubstr("'std=0' wants 1 or 3 positive numbers"));
  EXPECT_THAT(message("std=nan"), HasSubstr("positive numbers"));
  EXPECT_THAT(message("antialias=2"), HasSubstr("antialias is 0 or 1"));
  EXPECT_THAT(message("resize=9,stretch=3x3"), HasSubstr("exclude each other"));
  EXPECT_THAT(message("rgb,norm=caffe_bgr"), HasSubstr("wants bgr"));
  EXPECT_THAT(message(""), HasSubstr("word '' is not known"));
  EXPECT_THAT(message("imagenet,"), HasSubstr("word '' is not known"));
}

TEST(OutputSize, truncates_the_longer_side_as_torchvision) {
  const Preprocess p = parsed("resize=256");
  EXPECT_EQ(output_size(p, 500, 375), (Size{341, 256}));  // 341.33
  EXPECT_EQ(output_size(p, 375, 500), (Size{256, 341}));
  EXPECT_EQ(output_size(p, 640, 427), (Size{383, 256}));  // 383.7
  EXPECT_EQ(output_size(p, 256, 256), (Size{256, 256}));
  EXPECT_EQ(output_size(p, 100, 10), (Size{2560, 256}));
  EXPECT_EQ(output_size(parsed("imagenet"), 500, 375), (Size{224, 224}));
}

/// Which source column and row the top left pixel of a crop comes from: pixel value = column + 16 * row.
std::pair<int, int> crop_origin(int64_t w, int64_t h, const std::string& spec) {
  Image image{w, h, std::vector<uint8_t>(static_cast<size_t>(3 * w * h))};
  for (int64_t y = 0; y < h; ++y) {
    for (int64_t x = 0; x < w; ++x) image.rgb[static_cast<size_t>(3 * (y * w + x))] = static_cast<uint8_t>(x + 16 * y);
  }
  const int first = static_cast<int>(applied("pixels,mean=0,std=1," + spec, image)[0]);
  return {first % 16, first / 16};
}

TEST(CentreCrop, rounds_halves_to_even_as_torchvision) {     // int(round((whole - crop) / 2.0)) in Python 3
  EXPECT_EQ(crop_origin(5, 5, "crop=4"), std::pair(0, 0));   // 0.5 -> 0
  EXPECT_EQ(crop_origin(7, 9, "crop=4"), std::pair(2, 2));   // 1.5 -> 2, 2.5 -> 2
  EXPECT_EQ(crop_origin(11, 8, "crop=4"), std::pair(4, 2));  // 3.5 -> 4, 2
}

TEST(CentreCrop, pads_with_black_beyond_the_picture) {
  const Image white{2, 1, std::vector<uint8_t>(6, 255)};
  // torchvision pads (crop - whole) // 2 left and above, the odd pixel right and below: 5 - 2 = 3 -> 1 left, 2 right.
  const std::vector<float> out = applied("crop=5x2,mean=0.5,std=0.5", white);
  EXPECT_THAT(std::vector<float>(out.begin(), out.begin() + 10),
              testing::ElementsAre(-1, 1, 1, -1, -1, -1, -1, -1, -1, -1));
}

TEST(Apply, orders_planes_and_norms) {
  const Image image{1, 1, {10, 20, 250}};
  EXPECT_THAT(applied("none", image), testing::ElementsAre(10, 20, 250));
  EXPECT_THAT(applied("rgb", image), testing::ElementsAre(10 / 255.0f, 20 / 255.0f, 250 / 255.0f));
  EXPECT_THAT(applied("bgr", image), testing::ElementsAre(250 / 255.0f, 20 / 255.0f, 10 / 255.0f));
  EXPECT_THAT(applied("norm=imagenet", image),
              testing::ElementsAre((10 / 255.0f - 0.485f) / 0.229f, (20 / 255.0f - 0.456f) / 0.224f,
                                   (250 / 255.0f - 0.406f) / 0.225f));
  // The constants belong to the planes as they come: the practical guide's blue plane gets 0.485.
  EXPECT_THAT(applied("bgr,norm=imagenet", image),
              testing::ElementsAre((250 / 255.0f - 0.485f) / 0.229f, (20 / 255.0f - 0.456f) / 0.224f,
                                   (10 / 255.0f - 0.406f) / 0.225f));
  EXPECT_THAT(applied("norm=caffe_bgr", image), testing::ElementsAre(250 - 103.939f, 20 - 116.779f, 10 - 123.68f));
}

TEST(Apply, resizes_pixels_before_the_norm) {
  const Image image = pattern(300, 201);
  const Image small = resize_pillow(image, 256, 171);
  EXPECT_EQ(applied("stretch=256x171,norm=half", image), applied("norm=half", small));
}

// Channel 0 of pattern(). Antialiased: Pillow 11.3, mode "F", which interpolates in floating point. Plain: ONNX
// Runtime 1.31, Resize-18, linear, half_pixel, antialias = 0.
struct PlaneCase {
  PlaneSize in, out;
  bool antialias;
  std::vector<float> expected;
};
const std::vector<PlaneCase> k_planes = {
    {{17, 13},
     {4, 3},
     true,
     {123.4294f, 132.4177f, 125.9806f, 124.674f, 131.1334f, 120.2561f, 121.3175f, 124.4731f, 150.5708f, 129.7147f,
      120.7047f, 116.6492f}},
    {{17, 13},
     {4, 3},
     false,
     {124.5f, 188.625f, 132.292f, 179.5f, 164.25f, 44, 142.75f, 44.5f, 161.5f, 112.542f, 121.042f, 133.667f}},
    {{5, 4},
     {7, 2},
     true,
     {65, 89, 108.5918f, 112.5714f, 142.9796f, 126.4286f, 88.14286f, 98.28571f, 128.5714f, 135.3265f, 95.42857f,
      134.3061f, 157.8775f, 168.5714f}},
    {{5, 4},
     {7, 2},
     false,
     {45.5f, 68.6429f, 97.5714f, 126.5f, 155.786f, 130.214f, 80.5f, 99.5f, 130.643f, 133.286f, 81.5f, 121.5f, 161.929f,
      194.5f}},
    {{3, 3}, {4, 5}, true, {0,      23.125f, 50.875f, 74,       36.4f,  61.275f, 91.125f, 116,      91,     118.5f,
                            151.5f, 179,     145.6f,  175.725f, 154.5f, 89,      182,     213.875f, 156.5f, 29}},
    {{3, 3}, {4, 5}, false, {0,      23.125f, 50.875f, 74,       36.4f,  61.275f, 91.125f, 116,      91,     118.5f,
                             151.5f, 179,     145.6f,  175.725f, 154.5f, 89,      182,     213.875f, 156.5f, 29}},
};

TEST(ResizePlanes, agrees_with_pillow_in_float_and_onnx_runtime) {
  for (const PlaneCase& c : k_planes) {
    const Image image = pattern(c.in.width, c.in.height);
    std::vector<float> plane;
    for (size_t i = 0; i < image.rgb.size(); i += 3) plane.push_back(image.rgb[i]);
    const std::vector<float> out = resize_planes(plane, 1, c.in, c.out, c.antialias);
    ASSERT_EQ(out.size(), c.expected.size());
    for (size_t i = 0; i < out.size(); ++i) EXPECT_NEAR(out[i], c.expected[i], 6e-4) << i;  // 6 digits are given
  }
}

TEST(Apply, in_float_never_rounds_to_pixels) {
  const Image image = pattern(17, 13);
  const std::vector<float> out = applied("stretch=4x3,float,bgr,mean=0,std=1", image);
  ASSERT_EQ(out.size(), 36u);
  for (size_t i = 0; i < 12; ++i)
    EXPECT_NEAR(out[24 + i] * 255, k_planes[0].expected[i], 1e-3);  // red is the last plane
}

TEST(Apply, without_antialias_rounds_plain_bilinear_to_pixels) {
  const std::vector<float> out = applied("stretch=4x3,antialias=0,pixels,mean=0,std=1", pattern(17, 13));
  for (size_t i = 0; i < 12; ++i) EXPECT_EQ(out[i], std::nearbyint(k_planes[1].expected[i])) << i;
}

TEST(Apply, crops_the_same_window_in_float_and_in_pixels) {
  const Image image = pattern(40, 30);
  const std::vector<float> a = applied("resize=15,crop=11x17,rgb", image),
                           b = applied("resize=15,crop=11x17,float,rgb", image);
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) EXPECT_NEAR(a[i], b[i], 1.5f / 255) << i;
}

}  // namespace
}  // namespace octet
