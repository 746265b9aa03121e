// calibration.flatbuffers, read and written by hand: two kinds of table with strings are less code than a dependency.
// Source: flatbuffers.dev, "FlatBuffer Internals". All numbers are little-endian.
//
//   0          u32 offset of the root table
//   table      s32: its vtable lies at (table - this); then the fields
//   vtable     u16 size of the vtable, u16 size of the table, u16 offset of each field in the table, 0 = absent
//   string     u32 length, the bytes, a zero; vector: u32 length, u32 offsets, each relative to its own place
//   field of type string, vector or table: u32 offset, relative to its own place
#include <algorithm>
#include <cstdint>
#include <cstring>

#include "quant/ort_table.h"

namespace octet {
namespace {

constexpr size_t k_most_entries = 1 << 20;

/// Every read checks its bounds; the first mistake is kept.
class Buffer {
 public:
  explicit Buffer(std::string_view bytes) : bytes_(bytes) {}
  bool failed() const { return !message_.empty(); }
  const std::string& message() const { return message_; }

  template <class T>
  T number(size_t at) {
    T value = 0;
    if (at > bytes_.size() || sizeof(T) > bytes_.size() - at) {
      fail(at, "the file ends too early");
      return value;
    }
    std::memcpy(&value, bytes_.data() + at, sizeof value);
    return value;
  }

  /// Where the offset that stands at `at` leads.
  size_t follow(size_t at) {
    const size_t target = at + number<uint32_t>(at);
    if (!failed() && (target <= at || target >= bytes_.size())) fail(at, "an offset leads out of the file");
    return failed() ? 0 : target;
  }

  /// Where field i of the table lies, 0 = absent.
  size_t field(size_t table, size_t i) {
    const auto back = number<int32_t>(table);
    const int64_t vtable = static_cast<int64_t>(table) - back;
    if (failed() || vtable < 0 || vtable >= static_cast<int64_t>(bytes_.size())) {
      fail(table, "a table has its field list outside the file");
      return 0;
    }
    const auto at = static_cast<size_t>(vtable);
    const size_t size = number<uint16_t>(at), slot = 4 + 2 * i;
    if (slot + 2 > size) return 0;
    const size_t offset = number<uint16_t>(at + slot);
    return offset ? table + offset : 0;
  }

  std::string_view text(size_t at) {
    const size_t length = number<uint32_t>(at);
    if (failed()) return {};
    if (length > bytes_.size() - at - 4) {
      fail(at, "a string is longer than the file");
      return {};
    }
    return bytes_.substr(at + 4, length);
  }

  void fail(size_t at, const std::string& what) {
    if (message_.empty()) message_ = "byte " + std::to_string(at) + ": " + what;
  }

 private:
  std::string_view bytes_;
  std::string message_;
};

OrtRange read_entry(Buffer& buffer, size_t table) {
  OrtRange range;
  const size_t key = buffer.field(table, 0), value = buffer.field(table, 1);
  if (!key || !value) {
    buffer.fail(table, "an entry lacks its key or its value");
    return range;
  }
  range.name = buffer.text(buffer.follow(key));
  const std::string_view text = buffer.text(buffer.follow(value));
  const std::optional<double> amax = decimal_number(text);
  if (!amax)
    buffer.fail(value, "the value of '" + range.name + "' is '" + std::string(text) + "', no finite decimal number");
  range.amax = amax.value_or(0);
  return range;
}

/// Appends little-endian numbers and strings; all offsets lead forwards but those to the two shared vtables.
class Builder {
 public:
  size_t size() const { return bytes_.size(); }
  template <class T>
  void number(T value) {
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof value);
  }
  void align() { bytes_.resize((bytes_.size() + 3) / 4 * 4); }
  size_t text(std::string_view text) {
    align();
    const size_t at = size();
    number(static_cast<uint32_t>(text.size()));
    bytes_ += text;
    bytes_ += '\0';
    return at;
  }
  /// Sets the offset at `at` to lead to target.
  void point(size_t at, size_t target) {
    const auto offset = static_cast<uint32_t>(target - at);
    std::memcpy(bytes_.data() + at, &offset, sizeof offset);
  }
  std::string finish() { return std::move(bytes_); }

 private:
  std::string bytes_;
};

}  // namespace

Result<OrtTable> parse_ort_flatbuffers(std::string_view bytes) {
  Buffer buffer(bytes);
  OrtTable table;
  table.form = OrtForm::flatbuffers;
  const size_t root = buffer.follow(0);
  const size_t dict = buffer.failed() ? 0 : buffer.field(root, 0);
  if (dict) {
    const size_t vector = buffer.follow(dict);
    const size_t count = buffer.number<uint32_t>(vector);
    if (count > std::min(k_most_entries, bytes.size() / 4)) buffer.fail(vector, "the list is longer than the file");
    for (size_t i = 0; i < count && !buffer.failed(); ++i)
      table.ranges.push_back(read_entry(buffer, buffer.follow(vector + 4 + 4 * i)));
  }
  if (buffer.failed())
    return Error{ErrorCode::bad_argument, "ONNX Runtime calibration table (flatbuffers): " + buffer.message()};
  // The writer lists names backwards.
  std::stable_sort(table.ranges.begin(), table.ranges.end(),
                   [](const OrtRange& a, const OrtRange& b) { return a.name < b.name; });
  return table;
}

std::string ort_flatbuffers(const OrtTable& table) {
  std::vector<OrtRange> ranges = table.ranges;
  std::stable_sort(ranges.begin(), ranges.end(), [](const OrtRange& a, const OrtRange& b) { return a.name > b.name; });
  Builder out;
  out.number(uint32_t{0});  // the root, set below
  const size_t entry_vtable = out.size();
  for (const uint16_t word : {8, 12, 4, 8}) out.number(word);  // sizes; key at 4, value at 8
  const size_t root_vtable = out.size();
  for (const uint16_t word : {6, 8, 4}) out.number(word);
  out.align();
  const size_t root = out.size();
  out.point(0, root);
  out.number(static_cast<int32_t>(root - root_vtable));
  out.number(uint32_t{0});
  out.point(root + 4, out.size());
  const size_t vector = out.size();
  out.number(static_cast<uint32_t>(ranges.size()));
  for (size_t i = 0; i < ranges.size(); ++i) out.number(uint32_t{0});
  for (size_t i = 0; i < ranges.size(); ++i) {
    out.align();
    const size_t entry = out.size();
    out.point(vector + 4 + 4 * i, entry);
    out.number(static_cast<int32_t>(entry - entry_vtable));
    out.number(uint32_t{0});
    out.number(uint32_t{0});
    out.point(entry + 4, out.text(ranges[i].name));
    out.point(entry + 8, out.text(python_number(ranges[i].amax)));
  }
  out.align();
  return out.finish();
}

}  // namespace octet
