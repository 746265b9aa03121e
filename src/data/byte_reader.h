#pragma once
// Little-endian numbers out of untrusted bytes; reading past the end gives zeros and is remembered.

#include <cstddef>
#include <cstdint>
#include <span>

namespace octet {

class ByteReader {
 public:
  explicit ByteReader(std::span<const std::byte> bytes, size_t at = 0) : bytes_(bytes), at_(at) {}

  uint64_t unsigned_number(size_t size) {
    if (at_ > bytes_.size() || size > bytes_.size() - at_) {
      failed_ = true;
      return 0;
    }
    uint64_t value = 0;
    for (size_t i = size; i-- > 0;) value = value << 8 | std::to_integer<uint64_t>(bytes_[at_ + i]);
    at_ += size;
    return value;
  }
  uint16_t u16() { return static_cast<uint16_t>(unsigned_number(2)); }
  uint32_t u32() { return static_cast<uint32_t>(unsigned_number(4)); }
  int32_t s32() { return static_cast<int32_t>(u32()); }
  uint64_t u64() { return unsigned_number(8); }

  /// The next count bytes; empty and failed when there are fewer.
  std::span<const std::byte> take(size_t count) {
    if (at_ > bytes_.size() || count > bytes_.size() - at_) {
      failed_ = true;
      return {};
    }
    const std::span<const std::byte> part = bytes_.subspan(at_, count);
    at_ += count;
    return part;
  }
  bool failed() const { return failed_; }
  size_t at() const { return at_; }

 private:
  std::span<const std::byte> bytes_;
  size_t at_;
  bool failed_ = false;
};

}  // namespace octet
