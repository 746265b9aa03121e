// PNG by libpng: palettes and gray spread to RGB, the high byte of 16-bit samples, alpha dropped, gamma ignored (as
// Pillow's convert("RGB")). libpng leaves by longjmp: setjmp stays inside this file, and no object with a destructor
// lives between them.
#include <png.h>

#include <csetjmp>
#include <cstdio>
#include <cstring>

#include "data/image_io.h"

namespace octet {
namespace {

struct Decoder {
  png_structp png = nullptr;
  png_infop info = nullptr;
  std::span<const std::byte> bytes;
  size_t at = 0;
  char message[128] = "";

  Decoder() = default;
  ~Decoder() { png_destroy_read_struct(&png, &info, nullptr); }
  Decoder(const Decoder&) = delete;
  Decoder& operator=(const Decoder&) = delete;
};

[[noreturn]] void fail(png_structp png, png_const_charp message) {
  auto* d = static_cast<Decoder*>(png_get_error_ptr(png));
  std::snprintf(d->message, sizeof d->message, "%s", message);
  png_longjmp(png, 1);
}

void pass_over(png_structp, png_const_charp) {}

void read_bytes(png_structp png, png_bytep to, size_t count) {
  auto* d = static_cast<Decoder*>(png_get_io_ptr(png));
  if (count > d->bytes.size() - d->at) png_error(png, "the file ends early");
  std::memcpy(to, d->bytes.data() + d->at, count);
  d->at += count;
}

bool read_header(Decoder& d) {
  d.png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &d, fail, pass_over);
  if (!d.png) return false;
  d.info = png_create_info_struct(d.png);
  if (!d.info) return false;
  if (setjmp(png_jmpbuf(d.png))) return false;
  png_set_read_fn(d.png, &d, read_bytes);
  png_set_user_limits(d.png, static_cast<png_uint_32>(k_max_image_side), static_cast<png_uint_32>(k_max_image_side));
  png_set_chunk_cache_max(d.png, 128);
  png_set_chunk_malloc_max(d.png, 8u << 20);
  png_read_info(d.png, d.info);
  return true;
}

/// rows: the start of each row of 3*width bytes.
bool read_pixels(Decoder& d, png_bytep* rows) {
  if (setjmp(png_jmpbuf(d.png))) return false;
  png_set_expand(d.png);  // palette to RGB, 1/2/4-bit gray to 8, tRNS to alpha
  png_set_strip_16(d.png);
  png_set_gray_to_rgb(d.png);
  png_set_strip_alpha(d.png);
  png_set_interlace_handling(d.png);
  png_read_update_info(d.png, d.info);
  if (png_get_rowbytes(d.png, d.info) != size_t{3} * png_get_image_width(d.png, d.info))
    png_error(d.png, "odd row size");
  png_read_image(d.png, rows);
  png_read_end(d.png, nullptr);
  return true;
}

Error damaged(const Decoder& d) { return {ErrorCode::bad_argument, std::string("damaged PNG: ") + d.message}; }

}  // namespace

bool claims_png(std::span<const std::byte> bytes) {
  return bytes.size() >= 8 && png_sig_cmp(reinterpret_cast<png_const_bytep>(bytes.data()), 0, 8) == 0;
}

Result<Image> decode_png(std::span<const std::byte> bytes) {
  Decoder decoder;
  decoder.bytes = bytes;
  if (!read_header(decoder)) return damaged(decoder);
  Image image{png_get_image_width(decoder.png, decoder.info), png_get_image_height(decoder.png, decoder.info), {}};
  const Result<Done> fits = check_image_size(image.width, image.height);
  if (!fits) return fits.error();
  image.rgb.resize(static_cast<size_t>(3 * image.width * image.height));
  std::vector<png_bytep> rows;
  for (int64_t y = 0; y < image.height; ++y) rows.push_back(image.rgb.data() + 3 * y * image.width);
  if (!read_pixels(decoder, rows.data())) return damaged(decoder);
  return image;
}

}  // namespace octet
