#include "base/file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>

namespace octet {
namespace {

Error io_error(const std::string& path, const char* act) {
  return {ErrorCode::io, path + ": cannot " + act + ": " + std::strerror(errno)};
}

/// Every live mapping: dropping pages is harmless for a file's and destroys anybody else's memory, so
/// release_mapped_pages has to know which is which; and a file that is being read is not to be replaced.
class Mappings {
 public:
  void add(const std::byte* data, size_t size, const struct stat& file) {
    const std::lock_guard lock(mutex_);
    all_[address(data)] = {address(data) + size, file.st_dev, file.st_ino};
  }
  void remove(const std::byte* data) {
    const std::lock_guard lock(mutex_);
    all_.erase(address(data));
  }
  bool holds(std::uintptr_t begin, std::uintptr_t end) {
    const std::lock_guard lock(mutex_);
    auto after = all_.upper_bound(begin);
    return after != all_.begin() && end <= std::prev(after)->second.end;
  }
  bool read(const struct stat& file) {
    const std::lock_guard lock(mutex_);
    return std::any_of(all_.begin(), all_.end(), [&](const auto& entry) {
      return entry.second.device == file.st_dev && entry.second.inode == file.st_ino;
    });
  }
  static std::uintptr_t address(const std::byte* p) { return reinterpret_cast<std::uintptr_t>(p); }

 private:
  struct Mapping {
    std::uintptr_t end = 0;
    dev_t device = 0;
    ino_t inode = 0;
  };
  std::mutex mutex_;
  std::map<std::uintptr_t, Mapping> all_;
};

Mappings& mappings() {
  static Mappings all;
  return all;
}

/// A file descriptor that closes itself.
struct Descriptor {
  int fd = -1;
  ~Descriptor() {
    if (fd >= 0) ::close(fd);
  }
};

}  // namespace

Result<std::shared_ptr<const MappedFile>> MappedFile::open(const std::string& path) {
  // O_NONBLOCK: opening a named pipe would wait for somebody to write into it. It changes nothing for a file.
  const Descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
  if (file.fd < 0) return io_error(path, "open");
  struct stat status {};
  if (::fstat(file.fd, &status) != 0) return io_error(path, "stat");
  if (S_ISDIR(status.st_mode)) return Error{ErrorCode::io, path + ": a folder, where a file is expected"};
  if (!S_ISREG(status.st_mode)) return Error{ErrorCode::io, path + ": not a regular file"};
  const auto size = static_cast<size_t>(status.st_size);
  if (size == 0) return std::shared_ptr<const MappedFile>(new MappedFile(nullptr, 0));
  void* data = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.fd, 0);
  if (data == MAP_FAILED) return io_error(path, "map");
  mappings().add(static_cast<const std::byte*>(data), size, status);
  return std::shared_ptr<const MappedFile>(new MappedFile(static_cast<const std::byte*>(data), size));
}

MappedFile::~MappedFile() {
  if (!data_) return;
  mappings().remove(data_);
  ::munmap(const_cast<std::byte*>(data_), size_);
}

void release_mapped_pages(std::span<const std::byte> bytes) {
  const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  const std::uintptr_t begin = (Mappings::address(bytes.data()) + page - 1) / page * page;
  const std::uintptr_t end = (Mappings::address(bytes.data()) + bytes.size()) / page * page;
  if (begin >= end || !mappings().holds(begin, end)) return;
  ::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);  // advice: a refusal changes nothing
}

void MappedFile::drop_pages() const {
  // Advice only: a mapping that is read-only and private has nothing to lose.
  if (data_) ::madvise(const_cast<std::byte*>(data_), size_, MADV_DONTNEED);
}

Result<std::string> read_text_file(const std::string& path) {
  Result<std::shared_ptr<const MappedFile>> file = MappedFile::open(path);
  if (!file) return file.error();
  const std::span<const std::byte> bytes = (*file)->bytes();
  return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

namespace {

/// Replacing goes by rename, which asks for the folder's permission only: the file's own is asked for here.
Result<Done> may_replace(const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return Done{};  // nothing there yet
  if (!S_ISREG(status.st_mode)) return Error{ErrorCode::io, path + ": cannot be replaced: it is no regular file"};
  if ((status.st_mode & (S_IWUSR | S_IWGRP | S_IWOTH)) == 0)
    return Error{ErrorCode::io, path + ": cannot be replaced: it is write-protected; give another output name"};
  if (mappings().read(status))
    return Error{ErrorCode::io,
                 path + ": cannot be replaced: it is an input of this command; give another output name"};
  return Done{};
}

/// Where a symbolic link leads; other paths as they are.
std::string resolved(const std::string& path) {
  const std::unique_ptr<char, decltype(&std::free)> real(::realpath(path.c_str(), nullptr), &std::free);
  return real ? real.get() : path;
}

}  // namespace

Result<Done> may_write(const std::string& path) {
  if (Result<Done> allowed = may_replace(path); !allowed) return allowed.error();
  const size_t slash = path.rfind('/');
  const std::string folder = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  if (::access(folder.c_str(), W_OK | X_OK) != 0)
    return io_error(path, "create (does its folder exist and may you write there?)");
  return Done{};
}

namespace {

Result<Done> replace_file(const std::string& path, std::initializer_list<std::string_view> parts) {
  if (Result<Done> allowed = may_replace(path); !allowed) return allowed.error();
  const std::string target = resolved(path), temporary = target + ".tmp" + std::to_string(::getpid());
  struct stat old {};
  const bool replaces = ::stat(target.c_str(), &old) == 0;
  {
    const Descriptor file{::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644)};
    if (file.fd < 0) return io_error(path, "create (does its folder exist and may you write there?)");
    if (replaces && ::fchmod(file.fd, old.st_mode & 07777) != 0) {
      const Error error = io_error(path, "set the mode of");
      ::unlink(temporary.c_str());
      return error;
    }
    for (std::string_view left : parts)
      while (!left.empty()) {
        const ssize_t n = ::write(file.fd, left.data(), left.size());
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) {
          const Error error = io_error(path, "write");
          ::unlink(temporary.c_str());
          return error;
        }
        left.remove_prefix(static_cast<size_t>(n));
      }
    if (::fsync(file.fd) != 0) {
      const Error error = io_error(path, "sync");
      ::unlink(temporary.c_str());
      return error;
    }
  }
  if (::rename(temporary.c_str(), target.c_str()) != 0) {
    const Error error = io_error(path, "replace");
    ::unlink(temporary.c_str());
    return error;
  }
  return Done{};
}

}  // namespace

Result<Done> write_file_atomically(const std::string& path, std::span<const std::byte> bytes) {
  return replace_file(path, {std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size())});
}

Result<Done> write_file_atomically(const std::string& path, std::string_view text) {
  return replace_file(path, {text});
}

Result<Done> write_file_atomically(const std::string& path, std::string_view head, std::string_view body) {
  return replace_file(path, {head, body});
}

}  // namespace octet
