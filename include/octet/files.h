#pragma once
// Writing files the way octet does: to a temporary name, synced, renamed.

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

namespace octet {

Result<Done> write_text_file(const std::string& path, std::string_view text);
Result<Done> write_binary_file(const std::string& path, std::span<const std::byte> bytes);

}  // namespace octet
