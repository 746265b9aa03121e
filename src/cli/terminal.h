#pragma once
// What octet prints holds names from files of strangers. A control character in one could move the cursor, change the
// window's title or hide a line of the log, so none reaches a stream as it is.

#include <cstdio>
#include <string>
#include <string_view>

namespace octet::cli {

/// `text` with each control character but newline and tab written as \x1b and the like: C0 and DEL, and C1 in UTF-8.
inline std::string printable(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  const auto escape = [&out](unsigned char byte) {
    char code[5];
    std::snprintf(code, sizeof code, "\\x%02x", byte);
    out += code;
  };
  for (size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    const auto next = i + 1 < text.size() ? static_cast<unsigned char>(text[i + 1]) : 0;
    if ((byte < 0x20 && byte != '\n' && byte != '\t') || byte == 0x7f) {
      escape(byte);
    } else if (byte == 0xc2 && next >= 0x80 && next < 0xa0) {
      escape(next);
      ++i;
    } else {
      out += text[i];
    }
  }
  return out;
}

/// Writes `text` to `stream` for a person or a log to read.
inline void show(std::FILE* stream, std::string_view text) {
  const std::string shown = printable(text);
  std::fwrite(shown.data(), 1, shown.size(), stream);
}

}  // namespace octet::cli
