// libFuzzer target of the picture decoders (JPEG, PNG, BMP, PPM/PGM): any bytes give pixels of the size that the
// picture claims, or an Error.

#include <cstdint>
#include <cstdlib>

#include "data/image_io.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  // A header of 30 bytes may rightly claim 384 MiB of pixels; pictures above 1 megapixel only cost time here.
  const octet::Result<octet::Image> image = octet::decode_image(std::as_bytes(std::span(data, size)));
  if (!image && image.error().message.empty()) std::abort();
  return 0;
}
