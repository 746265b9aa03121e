#include "data/zip.h"

#include <zlib.h>

#include <algorithm>
#include <limits>
#include <new>

#include "data/byte_reader.h"

namespace octet {
namespace {

constexpr uint32_t k_end = 0x06054b50, k_end64_locator = 0x07064b50, k_end64 = 0x06064b50;
constexpr uint32_t k_central = 0x02014b50, k_local = 0x04034b50;
constexpr size_t k_end_bytes = 22;
constexpr uint64_t k_in_zip64 = 0xffffffff;
constexpr uint64_t k_most_inflation = 1032;  // deflate cannot do better: a larger claim is a lie

struct Directory {
  uint64_t at = 0, entries = 0;
};

struct Entry {
  std::string name;
  uint16_t method = 0;
  uint32_t crc = 0;
  uint64_t packed = 0, unpacked = 0, local_at = 0;
};

Error damaged(const std::string& what) { return {ErrorCode::bad_argument, "damaged zip archive: " + what}; }

/// The end record lies behind everything but a comment of at most 65535 bytes.
Result<Directory> find_directory(std::span<const std::byte> bytes) {
  if (bytes.size() < k_end_bytes) return damaged("it is shorter than its end record");
  const size_t furthest = bytes.size() - std::min<size_t>(bytes.size(), k_end_bytes + 65535);
  for (size_t at = bytes.size() - k_end_bytes + 1; at-- > furthest;) {
    ByteReader in(bytes, at);
    if (in.u32() != k_end) continue;
    in.take(6);  // disk numbers, entries on this disk
    Directory d;
    d.entries = in.u16();
    in.u32();  // directory bytes
    d.at = in.u32();
    if (d.at != k_in_zip64 && d.entries != 0xffff) return d;
    if (at < 20) return damaged("its zip64 locator is missing");
    ByteReader locator(bytes, at - 20);
    if (locator.u32() != k_end64_locator) return damaged("its zip64 locator is missing");
    locator.u32();
    ByteReader end64(bytes, locator.u64());
    if (end64.u32() != k_end64) return damaged("its zip64 end record is missing");
    end64.take(28);  // record bytes, versions, disk numbers, entries on this disk
    d.entries = end64.u64();
    end64.u64();  // directory bytes
    d.at = end64.u64();
    if (end64.failed()) return damaged("its zip64 end record ends early");
    return d;
  }
  return damaged("no end record (the file may be cut short)");
}

/// Fields that did not fit 32 bits follow in extra field 1, in this order.
void read_zip64_sizes(std::span<const std::byte> extra, Entry& e) {
  for (ByteReader in(extra); !in.failed();) {
    const uint16_t id = in.u16();
    const std::span<const std::byte> field = in.take(in.u16());
    if (in.failed() || id != 1) continue;
    ByteReader sizes(field);
    for (uint64_t* value : {&e.unpacked, &e.packed, &e.local_at}) {
      if (*value == k_in_zip64) *value = sizes.u64();
    }
  }
}

Result<Entry> read_entry(ByteReader& in) {
  if (in.u32() != k_central) return damaged("its directory ends early");
  in.take(6);  // versions, flags
  Entry e;
  e.method = in.u16();
  in.u32();  // time and date
  e.crc = in.u32();
  e.packed = in.u32();
  e.unpacked = in.u32();
  const uint16_t name_bytes = in.u16(), extra_bytes = in.u16(), comment_bytes = in.u16();
  in.take(8);  // disk, attributes
  e.local_at = in.u32();
  const std::span<const std::byte> name = in.take(name_bytes);
  e.name.assign(reinterpret_cast<const char*>(name.data()), name.size());
  read_zip64_sizes(in.take(extra_bytes), e);
  in.take(comment_bytes);
  if (in.failed()) return damaged("its directory ends early");
  return e;
}

bool inflate_raw(std::span<const std::byte> packed, std::vector<std::byte>& out) {
  z_stream stream{};
  if (inflateInit2(&stream, -MAX_WBITS) != Z_OK) return false;
  constexpr size_t k_step = std::numeric_limits<uInt>::max();
  size_t read = 0, written = 0;
  int status = Z_OK;
  while (status == Z_OK) {
    const size_t in = std::min(packed.size() - read, k_step), room = std::min(out.size() - written, k_step);
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(packed.data() + read));
    stream.avail_in = static_cast<uInt>(in);
    stream.next_out = reinterpret_cast<Bytef*>(out.data() + written);
    stream.avail_out = static_cast<uInt>(room);
    status = inflate(&stream, Z_NO_FLUSH);
    read += in - stream.avail_in;
    written += room - stream.avail_out;
  }
  inflateEnd(&stream);
  return status == Z_STREAM_END && written == out.size();
}

bool crc_agrees(std::span<const std::byte> bytes, uint32_t expected) {
  return crc32_z(crc32_z(0, nullptr, 0), reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()) == expected;
}

Result<ZipMember> read_member(std::span<const std::byte> bytes, const std::shared_ptr<const void>& keep_alive,
                              const Entry& e) {
  const std::string place = "member '" + e.name + "'";
  ByteReader in(bytes, e.local_at);
  if (in.u32() != k_local) return damaged(place + " is not where the directory says");
  in.take(22);  // what the directory said already
  const uint16_t name_bytes = in.u16(), extra_bytes = in.u16();
  in.take(size_t{name_bytes} + extra_bytes);
  const std::span<const std::byte> packed = in.take(e.packed);
  if (in.failed()) return damaged(place + " ends early");
  ZipMember member{e.name, keep_alive, packed};
  if (e.method == Z_DEFLATED) {
    if (e.unpacked / k_most_inflation > e.packed)
      return damaged(place + " claims " + std::to_string(e.unpacked) + " bytes");
    auto inflated = std::make_shared<std::vector<std::byte>>(e.unpacked);
    if (!inflate_raw(packed, *inflated)) return damaged(place + " does not inflate to its stated size");
    member.bytes = *inflated;
    member.keep_alive = std::move(inflated);
  } else if (e.method != 0) {
    return Error{ErrorCode::unsupported, "zip archive: " + place + " uses compression method " +
                                             std::to_string(e.method) + "; stored and deflated ones can be read"};
  } else if (e.packed != e.unpacked) {
    return damaged(place + " is stored with two sizes");
  }
  if (!crc_agrees(member.bytes, e.crc)) return damaged(place + " has a wrong checksum");
  return member;
}

Result<std::vector<ZipMember>> read_members(std::span<const std::byte> bytes,
                                            const std::shared_ptr<const void>& keep_alive) {
  const Result<Directory> directory = find_directory(bytes);
  if (!directory) return directory.error();
  std::vector<ZipMember> members;
  ByteReader in(bytes, directory->at);
  for (uint64_t i = 0; i < directory->entries; ++i) {
    const Result<Entry> entry = read_entry(in);
    if (!entry) return entry.error();
    Result<ZipMember> member = read_member(bytes, keep_alive, *entry);
    if (!member) return member.error();
    members.push_back(*std::move(member));
  }
  return members;
}

}  // namespace

Result<std::vector<ZipMember>> read_zip(const std::shared_ptr<const MappedFile>& file) {
  const std::span<const std::byte> bytes = file->bytes();
  return read_zip(bytes, file);
}

Result<std::vector<ZipMember>> read_zip(std::span<const std::byte> bytes,
                                        const std::shared_ptr<const void>& keep_alive) {
  try {
    return read_members(bytes, keep_alive);
  } catch (const std::bad_alloc&) {
    return Error{ErrorCode::out_of_memory, "no memory for the members of the zip archive"};
  }
}

}  // namespace octet
