#include "octet/files.h"

#include <fstream>

#include "base/file.h"

namespace octet {

Result<Done> check_output(const std::string& path) { return path.empty() ? Done{} : may_write(path); }

Result<Done> write_text_file(const std::string& path, std::string_view text) {
  return write_file_atomically(path, text);
}

Result<Done> write_report_file(const std::string& path, std::string_view text) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file.write(text.data(), static_cast<std::streamsize>(text.size()));
  file.close();
  if (!file) return Error{ErrorCode::io, "cannot write " + path + ": is its folder there, and is there room?"};
  return Done{};
}

Result<Done> write_binary_file(const std::string& path, std::span<const std::byte> bytes) {
  return write_file_atomically(path, bytes);
}

}  // namespace octet
