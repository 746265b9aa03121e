#pragma once
// Files: mapped for reading, written to a temporary name, synced and renamed.

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

namespace octet {

/// A read-only mapping of a whole file. Shared, because every tensor that views it keeps it alive.
class MappedFile {
 public:
  static Result<std::shared_ptr<const MappedFile>> open(const std::string& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  std::span<const std::byte> bytes() const { return {data_, size_}; }
  /// Gives the pages that were read so far back to the system; they come again from the file when they are read again.
  void drop_pages() const;

 private:
  MappedFile(const std::byte* data, size_t size) : data_(data), size_(size) {}
  const std::byte* data_;
  size_t size_;
};

/// Where the bytes lie in a mapped file, gives their whole pages back to the system; reading them later brings them
/// back from the file. Elsewhere it does nothing. For weights that have been packed, so that a process holds them once.
void release_mapped_pages(std::span<const std::byte> bytes);

Result<std::string> read_text_file(const std::string& path);

/// What write_file_atomically would say of the path, without writing: no such folder, a file that is not replaced.
Result<Done> may_write(const std::string& path);
/// Replaces path by these bytes: temporary file beside it, fsync, rename. On failure the old file is untouched. A file
/// that is write-protected, that this process has mapped (a command's input), or that is no regular file is not
/// replaced. A replaced file keeps its mode; a symbolic link stays and its target is replaced. A process that is killed
/// while it writes leaves PATH.tmpPID behind.
Result<Done> write_file_atomically(const std::string& path, std::span<const std::byte> bytes);
Result<Done> write_file_atomically(const std::string& path, std::string_view text);
/// head, then body.
Result<Done> write_file_atomically(const std::string& path, std::string_view head, std::string_view body);

}  // namespace octet
