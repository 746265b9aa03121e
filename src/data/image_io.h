#pragma once
// Picture files to pixels: JPEG, PNG, BMP and binary PPM/PGM, as Pillow's convert("RGB") gives them. EXIF orientation
// is ignored and alpha dropped, as torchvision does. Files are hostile: every size is checked, damage gives an Error.

#include <cstddef>
#include <span>
#include <string>

#include "base/result.h"
#include "data/preprocess.h"

namespace octet {

/// Larger pictures are refused: the pixels alone would take more than 384 MiB.
inline constexpr int64_t k_max_pixels = int64_t{1} << 27;
inline constexpr int64_t k_max_image_side = 65535;

Result<Image> decode_image(std::span<const std::byte> bytes);
/// The Error begins with the path.
Result<Image> read_image(const std::string& path);
/// What is said of a file that is none of the kinds that are read.
inline constexpr std::string_view k_no_picture = "not a picture that octet reads (JPEG, PNG, BMP, binary PPM or PGM)";
/// Of one that a folder holds.
inline constexpr std::string_view k_out_of_folder = "; convert it, or take it out of the folder";
/// By the file name alone: .jpg .jpeg .jfif .png .bmp .ppm .pgm, any case.
bool is_image_name(const std::string& path);
/// A picture of a kind that is not read (.webp, .gif, .tiff, ...): to be named, neither passed over nor taken for
/// numbers.
bool is_foreign_image_name(const std::string& path);

/// An Error unless 1 <= width, height <= k_max_image_side and width*height <= k_max_pixels.
Result<Done> check_image_size(int64_t width, int64_t height);

#define OCTET_IMAGE_FORMAT(word)                        \
  bool claims_##word(std::span<const std::byte> bytes); \
  Result<Image> decode_##word(std::span<const std::byte> bytes);
#include "data/image_formats.def"
#undef OCTET_IMAGE_FORMAT

}  // namespace octet
