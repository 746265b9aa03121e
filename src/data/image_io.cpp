#include "data/image_io.h"

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <new>

#include "base/file.h"

namespace octet {
namespace {

Result<Image> decode(std::span<const std::byte> bytes) {
#define OCTET_IMAGE_FORMAT(word) \
  if (claims_##word(bytes)) return decode_##word(bytes);
#include "data/image_formats.def"
#undef OCTET_IMAGE_FORMAT
  return Error{ErrorCode::bad_argument, std::string(k_no_picture)};
}

bool ends_as_one_of(std::span<const std::string_view> extensions, const std::string& path) {
  std::string own = std::filesystem::path(path).extension().string();
  for (char& c : own) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return std::find(extensions.begin(), extensions.end(), own) != extensions.end();
}

}  // namespace

Result<Image> decode_image(std::span<const std::byte> bytes) {
  try {
    return decode(bytes);
  } catch (const std::bad_alloc&) {
    return Error{ErrorCode::out_of_memory, "no memory for the pixels of the picture"};
  }
}

Result<Image> read_image(const std::string& path) {
  const Result<std::shared_ptr<const MappedFile>> file = MappedFile::open(path);
  if (!file) return file.error();
  Result<Image> image = decode_image((*file)->bytes());
  if (!image) return within(path, image.error());
  return image;
}

bool is_image_name(const std::string& path) {
  static constexpr std::string_view k_read[] = {".jpg", ".jpeg", ".jfif", ".png", ".bmp", ".ppm", ".pgm"};
  return ends_as_one_of(k_read, path);
}

bool is_foreign_image_name(const std::string& path) {
  static constexpr std::string_view k_foreign[] = {".gif",  ".webp", ".tif", ".tiff", ".heic",
                                                   ".heif", ".avif", ".jp2", ".jxl",  ".pbm"};
  return ends_as_one_of(k_foreign, path);
}

Result<Done> check_image_size(int64_t width, int64_t height) {
  const bool fits = width >= 1 && height >= 1 && width <= k_max_image_side && height <= k_max_image_side &&
                    width * height <= k_max_pixels;
  if (fits) return Done{};
  return Error{ErrorCode::bad_argument, "picture of " + std::to_string(width) + "x" + std::to_string(height) +
                                            " pixels; octet takes sides of 1 to " + std::to_string(k_max_image_side) +
                                            " and at most " + std::to_string(k_max_pixels) + " pixels"};
}

}  // namespace octet
