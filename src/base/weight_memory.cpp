#include "base/weight_memory.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdint>
#include <mutex>
#include <new>
#include <vector>

namespace octet {
namespace {

constexpr size_t k_huge_page = size_t{2} << 20, k_page = 4096, k_line = 64;
/// Address space, not memory: only what is touched costs any.
constexpr size_t k_region_bytes = size_t{64} << 20;

size_t round_up(size_t n, size_t multiple) { return (n + multiple - 1) / multiple * multiple; }

/// Address space that weights are cut from, one behind the other.
struct Region {
  std::byte* mapped = nullptr;
  size_t mapped_bytes = 0;
  std::byte* begin = nullptr;  // at a huge page
  size_t bytes = 0, used = 0;
  size_t pieces = 0;  // not freed yet
};

class Regions {
 public:
  std::byte* allocate(size_t bytes) {
    const std::scoped_lock lock(mutex_);
    const auto fits = [&](const Region& r) { return r.bytes - r.used >= bytes; };
    auto region = std::find_if(regions_.begin(), regions_.end(), fits);
    if (region == regions_.end()) {
      if (!add_region(std::max(k_region_bytes, round_up(bytes, k_huge_page)))) return nullptr;
      region = std::prev(regions_.end());
    }
    std::byte* const piece = region->begin + region->used;
    region->used += bytes;
    ++region->pieces;
    return piece;
  }

  void free(std::byte* piece, size_t bytes) {
    const std::scoped_lock lock(mutex_);
    const auto holds = [&](const Region& r) { return piece >= r.begin && piece < r.begin + r.bytes; };
    const auto region = std::find_if(regions_.begin(), regions_.end(), holds);
    if (--region->pieces == 0) {
      munmap(region->mapped, region->mapped_bytes);
      regions_.erase(region);
      return;
    }
    give_back(piece, bytes);
    if (piece + bytes == region->begin + region->used) region->used -= bytes;
  }

 private:
  bool add_region(size_t bytes) {
    Region region;
    region.mapped_bytes = bytes + k_huge_page;
    void* const mapped =
        mmap(nullptr, region.mapped_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (mapped == MAP_FAILED) return false;
    region.mapped = static_cast<std::byte*>(mapped);
    const auto address = reinterpret_cast<uintptr_t>(mapped);
    region.begin = region.mapped + (round_up(address, k_huge_page) - address);
    region.bytes = bytes;
    prefer_huge_pages(region.begin, bytes);
    regions_.push_back(region);
    return true;
  }

  /// Whole pages of a freed piece go back to the system.
  static void give_back(std::byte* piece, size_t bytes) {
    const auto address = reinterpret_cast<uintptr_t>(piece);
    const size_t head = std::min(bytes, round_up(address, k_page) - address);
    const size_t pages = (bytes - head) / k_page * k_page;
    if (pages > 0) madvise(piece + head, pages, MADV_DONTNEED);
  }

  std::mutex mutex_;
  std::vector<Region> regions_;
};

/// Never destroyed: weights of static engines may outlive it otherwise.
Regions& regions() {
  static Regions* const all = new Regions;
  return *all;
}

}  // namespace

void WeightFree::operator()(std::byte* p) const {
  if (bytes > 0) regions().free(p, bytes);
}

WeightBytes allocate_weights(size_t bytes) {
  const size_t rounded = round_up(std::max<size_t>(bytes, 1), k_line);
  if (rounded < bytes) return nullptr;
  return WeightBytes(regions().allocate(rounded), WeightFree{rounded});
}

void prefer_huge_pages(std::byte* data, size_t bytes) {
#ifdef MADV_HUGEPAGE
  const auto address = reinterpret_cast<uintptr_t>(data);
  const size_t head = round_up(address, k_huge_page) - address;
  if (bytes >= head + k_huge_page) madvise(data + head, (bytes - head) / k_huge_page * k_huge_page, MADV_HUGEPAGE);
#else
  (void)data, (void)bytes;
#endif
}

}  // namespace octet
