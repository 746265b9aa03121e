#include "onnx/wire.h"

#include <array>
#include <bit>
#include <cstring>

namespace octet {

static_assert(std::endian::native == std::endian::little, "fixed32 and fixed64 are copied as they lie");

WireReader::WireReader(std::span<const std::byte> message, const std::byte* origin, std::string_view what)
    : at_(message.data()), end_(message.data() + message.size()), origin_(origin), what_(what) {}

bool WireReader::fail(const std::byte* at, std::string text) {
  if (!error_)
    error_ = Error{ErrorCode::bad_model,
                   "byte " + std::to_string(at - origin_) + ", in the " + std::string(what_) + ": " + std::move(text)};
  at_ = end_;
  value_ = 0;
  payload_ = {};
  return false;
}

std::optional<uint64_t> WireReader::read_varint() {
  const std::byte* start = at_;
  uint64_t value = 0;
  for (int shift = 0; shift < 70; shift += 7) {
    if (at_ == end_) {
      fail(start, "a number runs past the end; the file is truncated or not an ONNX model");
      return std::nullopt;
    }
    const auto byte = static_cast<uint64_t>(*at_++);
    if (shift == 63 && byte > 1) break;  // the tenth byte holds bit 63 alone
    value |= (byte & 0x7f) << shift;
    if (byte < 0x80) return value;
  }
  fail(start, "a number has more than 64 bits; this is not an ONNX model");
  return std::nullopt;
}

template <class T>
std::optional<T> WireReader::read_fixed() {
  if (static_cast<size_t>(end_ - at_) < sizeof(T)) {
    fail(at_, "a number of " + std::to_string(sizeof(T)) + " bytes runs past the end; the file is truncated");
    return std::nullopt;
  }
  T value;
  std::memcpy(&value, at_, sizeof(T));
  at_ += sizeof(T);
  return value;
}

bool WireReader::next() {
  if (at_ == end_ || error_) return false;
  field_at_ = at_;
  const std::optional<uint64_t> tag = read_varint();
  if (!tag) return false;
  const uint64_t number = *tag >> 3;
  if (number == 0 || number > 0x1fffffff)
    return fail(field_at_, "field number " + std::to_string(number) + " cannot be; this is not an ONNX model");
  number_ = static_cast<uint32_t>(number);
  const auto kind = static_cast<unsigned>(*tag & 7);
  value_ = 0;
  payload_ = {};
  if (kind == 0) {
    type_ = WireType::varint;
    const std::optional<uint64_t> value = read_varint();
    value_ = value.value_or(0);
  } else if (kind == 1) {
    type_ = WireType::fixed64;
    value_ = read_fixed<uint64_t>().value_or(0);
  } else if (kind == 5) {
    type_ = WireType::fixed32;
    value_ = read_fixed<uint32_t>().value_or(0);
  } else if (kind == 2) {
    type_ = WireType::bytes;
    const std::optional<uint64_t> length = read_varint();
    if (!length) return false;
    const auto left = static_cast<uint64_t>(end_ - at_);
    if (*length > left)
      return fail(field_at_, "field " + std::to_string(number) + " claims " + std::to_string(*length) + " bytes, but " +
                                 std::to_string(left) + " are left; the file is truncated or not an ONNX model");
    payload_ = {at_, static_cast<size_t>(*length)};
    at_ += *length;
  } else {
    return fail(field_at_, "wire type " + std::to_string(kind) + " does not occur in ONNX; this is not an ONNX model");
  }
  return !error_;
}

bool WireReader::expect(WireType type) {
  if (error_) return false;
  if (type_ == type) return true;
  return fail(field_at_, "field " + std::to_string(number_) + " has wire type " +
                             std::to_string(static_cast<int>(type_)) + ", expected " +
                             std::to_string(static_cast<int>(type)) + "; this is not an ONNX model");
}

int64_t WireReader::integer() { return expect(WireType::varint) ? static_cast<int64_t>(value_) : 0; }

float WireReader::real() {
  return expect(WireType::fixed32) ? std::bit_cast<float>(static_cast<uint32_t>(value_)) : 0.0f;
}

std::span<const std::byte> WireReader::bytes() {
  return expect(WireType::bytes) ? payload_ : std::span<const std::byte>{};
}

std::string_view WireReader::text() {
  const std::span<const std::byte> raw = bytes();
  return {reinterpret_cast<const char*>(raw.data()), raw.size()};
}

void WireReader::append_varints(std::vector<int64_t>& out) {
  if (type_ != WireType::bytes) {
    const int64_t value = integer();
    if (!failed()) out.push_back(value);
    return;
  }
  WireReader packed(payload_, origin_, what_);
  while (packed.at_ != packed.end_) {
    const std::optional<uint64_t> value = packed.read_varint();
    if (!value) {
      error_ = packed.error_;
      at_ = end_;
      return;
    }
    out.push_back(static_cast<int64_t>(*value));
  }
}

template <class T>
void WireReader::append_fixed(std::vector<T>& out, WireType single) {
  if (type_ == single) {
    out.push_back(static_cast<T>(value_));
    return;
  }
  if (!expect(WireType::bytes)) return;
  if (payload_.size() % sizeof(T) != 0) {
    fail(field_at_, "packed numbers of " + std::to_string(sizeof(T)) + " bytes fill " +
                        std::to_string(payload_.size()) + " bytes, which is no multiple");
    return;
  }
  if (payload_.empty()) return;
  const size_t before = out.size();
  out.resize(before + payload_.size() / sizeof(T));
  std::memcpy(out.data() + before, payload_.data(), payload_.size());
}

void WireReader::append_fixed32(std::vector<uint32_t>& out) { append_fixed(out, WireType::fixed32); }
void WireReader::append_fixed64(std::vector<uint64_t>& out) { append_fixed(out, WireType::fixed64); }

void WireWriter::varint(uint64_t value) {
  while (value >= 0x80) {
    own_.push_back(static_cast<std::byte>(value | 0x80));
    value >>= 7;
  }
  own_.push_back(static_cast<std::byte>(value));
}

void WireWriter::tag(uint32_t number, WireType type) { varint(uint64_t{number} << 3 | static_cast<uint64_t>(type)); }

void WireWriter::fixed32(float value) {
  const auto raw = std::bit_cast<std::array<std::byte, 4>>(value);
  own_.insert(own_.end(), raw.begin(), raw.end());
}

void WireWriter::integer(uint32_t number, int64_t value) {
  tag(number, WireType::varint);
  varint(static_cast<uint64_t>(value));
}

void WireWriter::real(uint32_t number, float value) {
  tag(number, WireType::fixed32);
  fixed32(value);
}

void WireWriter::text(uint32_t number, std::string_view value) {
  tag(number, WireType::bytes);
  varint(value.size());
  const auto* raw = reinterpret_cast<const std::byte*>(value.data());
  own_.insert(own_.end(), raw, raw + value.size());
}

void WireWriter::packed_integers(uint32_t number, std::span<const int64_t> values) {
  WireWriter inner;
  for (const int64_t v : values) inner.varint(static_cast<uint64_t>(v));
  message(number, std::move(inner));
}

void WireWriter::packed_reals(uint32_t number, std::span<const float> values) {
  WireWriter inner;
  for (const float v : values) inner.fixed32(v);
  message(number, std::move(inner));
}

void WireWriter::borrowed_bytes(uint32_t number, std::span<const std::byte> value) {
  tag(number, WireType::bytes);
  varint(value.size());
  borrowed_.push_back({own_.size(), value});
  borrowed_size_ += value.size();
}

void WireWriter::message(uint32_t number, WireWriter inner) {
  tag(number, WireType::bytes);
  varint(inner.size());
  for (const Borrowed& b : inner.borrowed_) borrowed_.push_back({own_.size() + b.position, b.bytes});
  borrowed_size_ += inner.borrowed_size_;
  own_.insert(own_.end(), inner.own_.begin(), inner.own_.end());
}

std::vector<std::byte> WireWriter::finish() const {
  std::vector<std::byte> out;
  out.reserve(size());
  size_t done = 0;
  const auto copy_own_until = [&](size_t end) {
    out.insert(out.end(), own_.begin() + static_cast<ptrdiff_t>(done), own_.begin() + static_cast<ptrdiff_t>(end));
    done = end;
  };
  for (const Borrowed& b : borrowed_) {
    copy_own_until(b.position);
    out.insert(out.end(), b.bytes.begin(), b.bytes.end());
  }
  copy_own_until(own_.size());
  return out;
}

}  // namespace octet
