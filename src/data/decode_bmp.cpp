// BMP, uncompressed: 1, 4 and 8 bits with a palette, 24 bits, 32 bits (alpha or filler dropped), bottom-up or top-down.
// Source: Microsoft, "Bitmap Storage" (BITMAPFILEHEADER, BITMAPCOREHEADER, BITMAPINFOHEADER and its successors).
#include <array>

#include "data/byte_reader.h"
#include "data/image_io.h"

namespace octet {
namespace {

enum Compression : uint32_t { k_rgb = 0, k_bit_fields = 3 };

struct Header {
  size_t pixels_at = 0, palette_at = 0;
  size_t palette_entry_bytes = 4;
  uint32_t palette_entries = 0;
  int64_t width = 0, height = 0;
  bool top_down = false;
  int bits = 0;
  // Where each colour's byte stands in a 24- or 32-bit pixel: B, G, R in memory unless bit fields say otherwise.
  std::array<size_t, 3> rgb_byte = {2, 1, 0};
};

Error damaged(const std::string& what) { return {ErrorCode::bad_argument, "damaged BMP: " + what}; }
Error unsupported(const std::string& what) {
  return {ErrorCode::unsupported, "BMP with " + what + " is not supported"};
}

Result<Done> read_bit_fields(ByteReader& in, Header& h) {
  for (size_t c = 0; c < 3; ++c) {
    const uint32_t mask = in.u32();
    size_t byte = 0;
    while (byte < 4 && mask != 0xffu << (8 * byte)) ++byte;
    if (byte == 4) return unsupported("colour masks that are not whole bytes");
    h.rgb_byte[c] = byte;
  }
  return Done{};
}

Result<Header> read_header(std::span<const std::byte> bytes) {
  Header h;
  ByteReader in(bytes, 10);
  h.pixels_at = in.u32();
  const uint32_t header_bytes = in.u32();
  const bool core = header_bytes == 12;
  if (!core && header_bytes < 40) return damaged("header of " + std::to_string(header_bytes) + " bytes");
  h.width = core ? in.u16() : in.s32();
  h.height = core ? in.u16() : in.s32();
  h.top_down = h.height < 0;
  if (h.top_down) h.height = -h.height;
  in.u16();  // colour planes, always 1
  h.bits = in.u16();
  h.palette_entry_bytes = core ? 3 : 4;
  h.palette_at = 14 + size_t{header_bytes};
  if (!core) {
    const uint32_t compression = in.u32();
    in.take(12);  // image bytes, pixels per metre
    h.palette_entries = in.u32();
    in.u32();  // important colours
    if (compression == k_bit_fields && h.bits == 32) {
      const Result<Done> masks = read_bit_fields(in, h);
      if (!masks) return masks.error();
    } else if (compression != k_rgb) {
      return unsupported("compression " + std::to_string(compression) + " at " + std::to_string(h.bits) + " bits");
    }
  }
  if (in.failed()) return damaged("the header ends early");
  const Result<Done> fits = check_image_size(h.width, h.height);
  if (!fits) return fits.error();
  return h;
}

Result<Done> read_palette_rows(std::span<const std::byte> bytes, const Header& h, Image& image, size_t row_bytes) {
  const uint32_t most = 1u << h.bits;
  const uint32_t entries = h.palette_entries == 0 ? most : h.palette_entries;
  if (entries > most) return damaged("palette of " + std::to_string(entries) + " colours");
  ByteReader in(bytes, h.palette_at);
  const std::span<const std::byte> palette = in.take(entries * h.palette_entry_bytes);
  if (in.failed()) return damaged("the palette ends early");
  for (int64_t y = 0; y < h.height; ++y) {
    const std::byte* row =
        bytes.data() + h.pixels_at + row_bytes * static_cast<size_t>(h.top_down ? y : h.height - 1 - y);
    uint8_t* to = image.rgb.data() + 3 * y * h.width;
    for (int64_t x = 0; x < h.width; ++x, to += 3) {
      const int64_t bit = x * h.bits;
      const auto shift = static_cast<int>(8 - h.bits - bit % 8);
      const size_t index = (std::to_integer<size_t>(row[bit / 8]) >> shift) & (most - 1);
      if (index >= entries) return damaged("pixel of colour " + std::to_string(index) + " beyond the palette");
      for (size_t c = 0; c < 3; ++c) to[c] = std::to_integer<uint8_t>(palette[index * h.palette_entry_bytes + 2 - c]);
    }
  }
  return Done{};
}

void read_colour_rows(std::span<const std::byte> bytes, const Header& h, Image& image, size_t row_bytes) {
  const auto pixel_bytes = static_cast<size_t>(h.bits / 8);
  for (int64_t y = 0; y < h.height; ++y) {
    const std::byte* from =
        bytes.data() + h.pixels_at + row_bytes * static_cast<size_t>(h.top_down ? y : h.height - 1 - y);
    uint8_t* to = image.rgb.data() + 3 * y * h.width;
    for (int64_t x = 0; x < h.width; ++x, from += pixel_bytes, to += 3) {
      for (size_t c = 0; c < 3; ++c) to[c] = std::to_integer<uint8_t>(from[h.rgb_byte[c]]);
    }
  }
}

}  // namespace

bool claims_bmp(std::span<const std::byte> bytes) {
  return bytes.size() >= 2 && bytes[0] == std::byte{'B'} && bytes[1] == std::byte{'M'};
}

Result<Image> decode_bmp(std::span<const std::byte> bytes) {
  const Result<Header> header = read_header(bytes);
  if (!header) return header.error();
  const Header& h = *header;
  const bool has_palette = h.bits == 1 || h.bits == 4 || h.bits == 8;
  if (!has_palette && h.bits != 24 && h.bits != 32) return unsupported(std::to_string(h.bits) + " bits per pixel");
  const auto row_bytes = static_cast<size_t>((h.width * h.bits + 31) / 32 * 4);
  const size_t need = row_bytes * static_cast<size_t>(h.height);
  if (h.pixels_at > bytes.size() || need > bytes.size() - h.pixels_at) return damaged("the pixels end early");
  Image image{h.width, h.height, std::vector<uint8_t>(static_cast<size_t>(3 * h.width * h.height))};
  if (!has_palette) {
    read_colour_rows(bytes, h, image, row_bytes);
    return image;
  }
  const Result<Done> read = read_palette_rows(bytes, h, image, row_bytes);
  if (!read) return read.error();
  return image;
}

}  // namespace octet
