// Binary PGM (P5) and PPM (P6): "P6 width height maxval", whitespace and #-comments between, one whitespace, samples of
// 1 byte (2, high byte first, when maxval > 255). Samples become round(v * 255 / maxval). Source: netpbm, ppm(5),
// pgm(5).
#include <cctype>
#include <optional>

#include "data/image_io.h"

namespace octet {
namespace {

class HeaderReader {
 public:
  explicit HeaderReader(std::span<const std::byte> bytes) : bytes_(bytes), at_(2) {}

  /// The next decimal number, at most 7 digits.
  std::optional<int64_t> number() {
    skip_space();
    int64_t value = 0;
    const size_t begin = at_;
    while (at_ < bytes_.size() && at_ - begin < 7 && std::isdigit(peek())) value = value * 10 + (take() - '0');
    return at_ == begin ? std::nullopt : std::optional(value);
  }
  /// The samples: behind exactly one whitespace.
  std::span<const std::byte> rest() {
    if (at_ < bytes_.size() && std::isspace(peek())) ++at_;
    return bytes_.subspan(at_);
  }

 private:
  int peek() const { return std::to_integer<int>(bytes_[at_]); }
  int take() { return std::to_integer<int>(bytes_[at_++]); }
  void skip_space() {
    while (at_ < bytes_.size()) {
      if (peek() == '#') {
        while (at_ < bytes_.size() && peek() != '\n') ++at_;
      } else if (std::isspace(peek())) {
        ++at_;
      } else {
        return;
      }
    }
  }
  std::span<const std::byte> bytes_;
  size_t at_;
};

}  // namespace

bool claims_pnm(std::span<const std::byte> bytes) {
  return bytes.size() >= 3 && bytes[0] == std::byte{'P'} &&
         (bytes[1] == std::byte{'5'} || bytes[1] == std::byte{'6'}) &&
         (std::isspace(std::to_integer<int>(bytes[2])) || bytes[2] == std::byte{'#'});
}

Result<Image> decode_pnm(std::span<const std::byte> bytes) {
  HeaderReader header(bytes);
  const std::optional<int64_t> width = header.number(), height = header.number(), most = header.number();
  if (!width || !height || !most || *most < 1 || *most > 65535) {
    return Error{ErrorCode::bad_argument,
                 "damaged PPM or PGM: the header needs width, height and a maximum in 1..65535"};
  }
  const Result<Done> fits = check_image_size(*width, *height);
  if (!fits) return fits.error();
  const int64_t channels = bytes[1] == std::byte{'6'} ? 3 : 1, sample_bytes = *most > 255 ? 2 : 1;
  const std::span<const std::byte> samples = header.rest();
  const int64_t pixels = *width * *height;
  if (static_cast<int64_t>(samples.size()) < pixels * channels * sample_bytes) {
    return Error{ErrorCode::bad_argument, "damaged PPM or PGM: the samples end early"};
  }
  Image image{*width, *height, std::vector<uint8_t>(static_cast<size_t>(3 * pixels))};
  for (int64_t i = 0; i < pixels; ++i) {
    for (int64_t c = 0; c < 3; ++c) {
      const int64_t sample = i * channels + (channels == 3 ? c : 0);
      int64_t value = 0;
      for (int64_t b = 0; b < sample_bytes; ++b) {
        value = value << 8 | std::to_integer<int64_t>(samples[static_cast<size_t>(sample * sample_bytes + b)]);
      }
      const int64_t pixel = (2 * std::min(value, *most) * 255 + *most) / (2 * *most);
      image.rgb[static_cast<size_t>(3 * i + c)] = static_cast<uint8_t>(pixel);
    }
  }
  return image;
}

}  // namespace octet
