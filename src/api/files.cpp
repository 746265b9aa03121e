#include "octet/files.h"

#include "base/file.h"

namespace octet {

Result<Done> write_text_file(const std::string& path, std::string_view text) {
  return write_file_atomically(path, text);
}

Result<Done> write_binary_file(const std::string& path, std::span<const std::byte> bytes) {
  return write_file_atomically(path, bytes);
}

}  // namespace octet
