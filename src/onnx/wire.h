#pragma once
// The protobuf wire format, read and written by hand. Source: protobuf.dev/programming-guides/encoding.
//
// Why not libprotobuf: it copies every weight out of the mapped file, refuses messages above 2 GiB, and would put its
// version into every program that links octet. ONNX needs four wire types and about sixty fields; that is less code
// than the glue to a generated class.
//
// A message is a row of fields: tag = varint(number << 3 | type), then by type
//   0  varint: 7 bits a byte, low bits first, the top bit says "more follows", at most 10 bytes
//   1  8 bytes, little-endian        5  4 bytes, little-endian
//   2  varint length, then that many bytes (text, a nested message, packed numbers)
// Types 3 and 4 (groups) are deprecated; ONNX has none, so they are refused.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace octet {

enum class WireType : uint8_t { varint = 0, fixed64 = 1, bytes = 2, fixed32 = 5 };

/// Walks the fields of one message without copying. After a failure next() answers false and failed() true; the values
/// handed out from then on are zero or empty, so a caller checks once, after its loop.
class WireReader {
 public:
  /// message: the bytes of one message. origin: start of the file, so that errors can name offsets.
  /// what: the message's name in errors ("graph").
  WireReader(std::span<const std::byte> message, const std::byte* origin, std::string_view what);

  /// Steps to the next field; false at the end of the message or after a failure.
  bool next();
  uint32_t number() const { return number_; }
  WireType type() const { return type_; }

  // The current field's value; another wire type than the one asked for is a failure.
  int64_t integer();
  float real();
  std::span<const std::byte> bytes();
  std::string_view text();
  // The current field of a repeated number, packed or single, appended.
  void append_varints(std::vector<int64_t>& out);
  void append_fixed32(std::vector<uint32_t>& out);
  void append_fixed64(std::vector<uint64_t>& out);

  bool failed() const { return error_.has_value(); }
  /// Only after failed().
  const Error& error() const { return *error_; }

 private:
  std::optional<uint64_t> read_varint();
  template <class T>
  std::optional<T> read_fixed();
  template <class T>
  void append_fixed(std::vector<T>& out, WireType single);
  bool fail(const std::byte* at, std::string text);
  bool expect(WireType type);

  const std::byte* at_;
  const std::byte* end_;
  const std::byte* origin_;
  std::string_view what_;
  const std::byte* field_at_ = nullptr;
  uint32_t number_ = 0;
  WireType type_ = WireType::varint;
  uint64_t value_ = 0;                  // varint, fixed32, fixed64
  std::span<const std::byte> payload_;  // bytes
  std::optional<Error> error_;
};

/// Builds one message. Long byte strings are borrowed until finish(), so weights are copied once, however deep the
/// message that holds them is nested. Fields appear in the order of the calls: same calls, same bytes.
class WireWriter {
 public:
  void integer(uint32_t number, int64_t value);  // negative numbers take 10 bytes, as protobuf's int64 does
  void real(uint32_t number, float value);
  void text(uint32_t number, std::string_view value);
  void packed_integers(uint32_t number, std::span<const int64_t> values);
  void packed_reals(uint32_t number, std::span<const float> values);
  /// value must outlive finish().
  void borrowed_bytes(uint32_t number, std::span<const std::byte> value);
  void message(uint32_t number, WireWriter inner);
  size_t size() const { return own_.size() + borrowed_size_; }
  std::vector<std::byte> finish() const;

 private:
  struct Borrowed {
    size_t position;  // in own_, before which the bytes belong
    std::span<const std::byte> bytes;
  };
  void varint(uint64_t value);
  void tag(uint32_t number, WireType type);
  void fixed32(float value);
  std::vector<std::byte> own_;
  std::vector<Borrowed> borrowed_;
  size_t borrowed_size_ = 0;
};

}  // namespace octet
