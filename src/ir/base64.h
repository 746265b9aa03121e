#pragma once
// Base64 with the standard alphabet and padding (RFC 4648, section 4): bytes inside a text.

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace octet {

std::string to_base64(std::span<const std::byte> bytes);
/// Nothing when a character, the length or the padding is wrong.
std::optional<std::vector<std::byte>> from_base64(std::string_view text);

}  // namespace octet
