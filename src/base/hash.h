#pragma once
// 64-bit content hashes (xxHash, XXH3): fingerprints of models and data, not cryptographic.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace octet {

uint64_t hash_bytes(std::span<const std::byte> bytes, uint64_t seed = 0);
/// 16 lower-case hex digits.
std::string to_hex(uint64_t hash);

}  // namespace octet
