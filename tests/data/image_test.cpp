#include <gmock/gmock.h>

#include <cstring>
#include <random>

#include "data/image_io.h"
#include "data/resize.h"
#include "fixtures.h"

namespace octet {
namespace {

using testing::HasSubstr;

TEST(DecodeImage, gives_the_pixels_that_pillow_gives) {
  for (const FileFixture& f : k_files) {
    const Result<Image> image = decode_image(bytes_of(f.hex));
    ASSERT_TRUE(image) << f.name << ": " << image.error().message;
    EXPECT_EQ(image->width, f.width) << f.name;
    EXPECT_EQ(image->height, f.height) << f.name;
    EXPECT_EQ(fnv(image->rgb), f.hash) << f.name;
  }
}

TEST(ResizePillow, equals_pillow_to_the_byte) {
  for (const ResizeFixture& f : k_resizes) {
    const Image out = resize_pillow(pattern(f.width, f.height), f.out_width, f.out_height);
    EXPECT_EQ(out.width, f.out_width);
    EXPECT_EQ(out.height, f.out_height);
    EXPECT_EQ(fnv(out.rgb), f.hash) << f.width << "x" << f.height << " to " << f.out_width << "x" << f.out_height;
  }
}

TEST(DecodeImage, refuses_files_that_end_early) {
  for (const FileFixture& f : k_files) {
    const std::vector<std::byte> whole = bytes_of(f.hex);
    for (size_t size = 0; size < whole.size() - 20; size += 7) {
      const std::vector<std::byte> part(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
      EXPECT_FALSE(decode_image(part)) << f.name << " cut to " << size;
    }
  }
}

TEST(DecodeImage, survives_any_damage) {
  std::mt19937 random(1);
  for (const FileFixture& f : k_files) {
    const std::vector<std::byte> whole = bytes_of(f.hex);
    for (int round = 0; round < 200; ++round) {
      std::vector<std::byte> damaged = whole;
      for (int k = 0; k < 3; ++k) damaged[random() % std::min<size_t>(damaged.size(), 120)] = std::byte(random());
      const Result<Image> image = decode_image(damaged);
      if (!image) continue;
      EXPECT_EQ(image->rgb.size(), static_cast<size_t>(3 * image->width * image->height));
    }
  }
}

void put(std::vector<std::byte>& bytes, size_t at, uint32_t value) { std::memcpy(bytes.data() + at, &value, 4); }

TEST(DecodeImage, refuses_absurd_sizes_before_it_allocates) {
  std::vector<std::byte> bmp = fixture_bytes("bmp_24");
  put(bmp, 18, 0x7fffffff);
  EXPECT_THAT(decode_image(bmp).error().message, HasSubstr("octet takes sides of 1 to 65535"));
  put(bmp, 18, 60000);
  put(bmp, 22, 60000);
  EXPECT_THAT(decode_image(bmp).error().message, HasSubstr("at most 134217728 pixels"));
  const std::string ppm = "P6 40000 3000 255\n";
  EXPECT_THAT(decode_image(std::as_bytes(std::span(ppm))).error().message, HasSubstr("the samples end early"));
  const std::string zero = "P5 0 3 255\n";
  EXPECT_THAT(decode_image(std::as_bytes(std::span(zero))).error().message, HasSubstr("picture of 0x3 pixels"));
  std::vector<std::byte> jpeg = fixture_bytes("jpeg_420");
  for (size_t i = 0; i + 9 < jpeg.size(); ++i) {
    if (jpeg[i] != std::byte{0xff} || jpeg[i + 1] != std::byte{0xc0}) continue;
    for (size_t k = 5; k < 9; ++k) jpeg[i + k] = std::byte{0xff};  // 65535 x 65535
  }
  EXPECT_FALSE(decode_image(jpeg));
}

TEST(DecodeImage, names_what_it_does_not_know) {
  const std::string text = "GIF89a";
  EXPECT_THAT(decode_image(std::as_bytes(std::span(text))).error().message,
              HasSubstr("JPEG, PNG, BMP, binary PPM or PGM"));
  std::vector<std::byte> bmp = fixture_bytes("bmp_8");
  put(bmp, 30, 1);
  EXPECT_THAT(decode_image(bmp).error().message, HasSubstr("BMP with compression 1 at 8 bits is not supported"));
  bmp = fixture_bytes("bmp_8");
  put(bmp, 46, 2);  // only two colours
  EXPECT_THAT(decode_image(bmp).error().message, HasSubstr("beyond the palette"));
}

TEST(ReadImage, says_which_file) {
  EXPECT_THAT(read_image("/nowhere/a.jpg").error().message, HasSubstr("/nowhere/a.jpg"));
  EXPECT_TRUE(is_image_name("a/B.JPeG"));
  EXPECT_TRUE(is_image_name("a/b.jfif")) << "a JPEG by another name";
  EXPECT_FALSE(is_image_name("a/jpg"));
}

}  // namespace
}  // namespace octet
