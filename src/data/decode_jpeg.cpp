// JPEG by libjpeg-turbo with its defaults (accurate integer DCT, smooth chroma upsampling), which are Pillow's, so
// pixels are equal. libjpeg reports errors by a callback that must not return: setjmp and longjmp stay inside this
// file, and no object with a destructor lives between them.
#include <cstdio>  // jpeglib.h needs FILE

#include <jpeglib.h>
// jerror.h needs jpeglib.h first.
#include <jerror.h>

#include <csetjmp>

#include "data/image_io.h"

namespace octet {
namespace {

constexpr int k_max_scans = 500;  // a progressive file can ask for any number of passes over the same pixels

struct ErrorState {
  jpeg_error_mgr base;  // first: libjpeg hands back a pointer to it
  std::jmp_buf jump;
  char message[JMSG_LENGTH_MAX];
};

[[noreturn]] void fail(j_common_ptr info) {
  auto* state = reinterpret_cast<ErrorState*>(info->err);
  info->err->format_message(info, state->message);
  std::longjmp(state->jump, 1);
}

/// Warnings are passed over, as Pillow does, but a file that ends early is an error there too.
void warn(j_common_ptr info, int level) {
  if (level < 0 && info->err->msg_code == JWRN_JPEG_EOF) fail(info);
}

void count_scans(j_common_ptr info) {
  auto* decoder = reinterpret_cast<j_decompress_ptr>(info);
  if (decoder->input_scan_number <= k_max_scans) return;
  auto* state = reinterpret_cast<ErrorState*>(info->err);
  std::snprintf(state->message, sizeof state->message, "more than %d scans", k_max_scans);
  std::longjmp(state->jump, 1);
}

struct Decoder {
  jpeg_decompress_struct info{};
  ErrorState errors{};
  jpeg_progress_mgr progress{};
  bool created = false;

  Decoder() {
    info.err = jpeg_std_error(&errors.base);
    errors.base.error_exit = fail;
    errors.base.emit_message = warn;
    progress.progress_monitor = count_scans;
  }
  ~Decoder() {
    if (created) jpeg_destroy_decompress(&info);
  }
  Decoder(const Decoder&) = delete;
  Decoder& operator=(const Decoder&) = delete;
};

bool read_header(Decoder& d, std::span<const std::byte> bytes) {
  if (setjmp(d.errors.jump)) return false;
  jpeg_create_decompress(&d.info);
  d.created = true;
  d.info.progress = &d.progress;
  jpeg_mem_src(&d.info, reinterpret_cast<const unsigned char*>(bytes.data()), static_cast<unsigned long>(bytes.size()));
  jpeg_read_header(&d.info, TRUE);
  const bool four = d.info.jpeg_color_space == JCS_CMYK || d.info.jpeg_color_space == JCS_YCCK;
  d.info.out_color_space = four ? JCS_CMYK : JCS_RGB;  // gray is spread over three channels by libjpeg
  jpeg_calc_output_dimensions(&d.info);
  return true;
}

/// Adobe's files hold inverted CMYK: c, m, y and k are amounts of light. As Pillow: r = c * k / 255, rounded.
void light_to_rgb(const JSAMPLE* from, size_t pixels, uint8_t* rgb) {
  for (size_t i = 0; i < pixels; ++i) {
    for (size_t c = 0; c < 3; ++c) {
      const unsigned product = unsigned{from[4 * i + c]} * from[4 * i + 3] + 128;
      rgb[3 * i + c] = static_cast<uint8_t>(((product >> 8) + product) >> 8);
    }
  }
}

/// rgb: 3*width*height bytes; line: 4*width bytes of scratch.
bool read_pixels(Decoder& d, uint8_t* rgb, uint8_t* line) {
  if (setjmp(d.errors.jump)) return false;
  jpeg_start_decompress(&d.info);
  const size_t width = d.info.output_width;
  while (d.info.output_scanline < d.info.output_height) {
    uint8_t* to = rgb + 3 * width * d.info.output_scanline;
    JSAMPROW row = d.info.out_color_space == JCS_CMYK ? line : to;
    jpeg_read_scanlines(&d.info, &row, 1);
    if (d.info.out_color_space == JCS_CMYK) light_to_rgb(line, width, to);
  }
  jpeg_finish_decompress(&d.info);
  return true;
}

Error damaged(const Decoder& d) { return {ErrorCode::bad_argument, std::string("damaged JPEG: ") + d.errors.message}; }

}  // namespace

bool claims_jpeg(std::span<const std::byte> bytes) {
  return bytes.size() >= 3 && bytes[0] == std::byte{0xff} && bytes[1] == std::byte{0xd8} && bytes[2] == std::byte{0xff};
}

Result<Image> decode_jpeg(std::span<const std::byte> bytes) {
  Decoder decoder;
  if (!read_header(decoder, bytes)) return damaged(decoder);
  const Result<Done> fits = check_image_size(decoder.info.output_width, decoder.info.output_height);
  if (!fits) return fits.error();
  Image image{decoder.info.output_width, decoder.info.output_height, {}};
  image.rgb.resize(static_cast<size_t>(3 * image.width * image.height));
  std::vector<uint8_t> line(static_cast<size_t>(4 * image.width));
  if (!read_pixels(decoder, image.rgb.data(), line.data())) return damaged(decoder);
  return image;
}

}  // namespace octet
