#include "kernels/peak/peak.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "base/bf16.h"
#include "base/memory.h"
#include "base/thread_pool.h"
#include "base/weight_memory.h"
#include "kernels/peak/best_seconds.h"
#include "kernels/peak/peak_isa.h"

namespace octet {
namespace {

constexpr size_t k_line_words = 8;  // of 64 bits in a cache line: threads do not write to one line

const PeakKernels* pick_kernels(Isa isa) {
#define OCTET_KERNEL(entry, kernels) \
  if (isa >= Isa::entry) return &kernels;
#include "kernels/peak/kernels.def"
#undef OCTET_KERNEL
  return nullptr;
}

/// One call so many times that it takes about 2 ms: long against the clock, short against the scheduler. Each thread
/// makes one such call; a try in which a thread came late, and another made its call too, is not the best.
double rate(void (*loop)(int64_t), double work, ThreadPool& pool) {
  constexpr double k_wanted_seconds = 2e-3;
  int64_t repeats = 1000;
  const double once = best_seconds(3, [&] { loop(repeats); });
  repeats = std::max<int64_t>(repeats, static_cast<int64_t>(static_cast<double>(repeats) * k_wanted_seconds / once));
  const double seconds =
      best_seconds(8, [&] { pool.parallel_for(pool.threads(), [&](int64_t, int) { loop(repeats); }); });
  return static_cast<double>(repeats) * work * pool.threads() / seconds;
}

/// Each thread reads its own `bytes` of data, which holds as many for each: passes after one another for about a
/// millisecond, so that neither the clock nor the start of the threads counts.
double read_rate(const PeakKernels& kernels, const std::byte* data, size_t bytes, ThreadPool& pool) {
  if (bytes == 0) return 0;
  constexpr double k_wanted_seconds = 1e-3;
  constexpr int k_tries = 8;
  std::vector<uint64_t> seen(static_cast<size_t>(pool.threads()) * k_line_words);
  const auto read = [&](int64_t passes) {
    pool.parallel_for(pool.threads(), [&](int64_t part, int) {
      const auto i = static_cast<size_t>(part);
      for (int64_t pass = 0; pass < passes; ++pass) seen[i * k_line_words] |= kernels.read(data + i * bytes, bytes);
    });
  };
  // On one thread: with several, their start would take longer than a pass of L2.
  const double once = best_seconds(3, [&] { seen[0] |= kernels.read(data, bytes); });
  const auto passes = std::max<int64_t>(1, static_cast<int64_t>(k_wanted_seconds / once));
  const double seconds = best_seconds(once > 4 * k_wanted_seconds ? 2 : k_tries, [&] { read(passes); });
  return seen[0] == 0
             ? 0
             : static_cast<double>(pool.threads()) * static_cast<double>(passes) * static_cast<double>(bytes) / seconds;
}

void measure_reading(const PeakKernels& kernels, ThreadPool& pool, MachinePeak& peak) {
  peak.read = read_sizes(cache_sizes(), pool.threads(), free_memory_bytes());
  const size_t most = std::max({peak.read.l2, peak.read.l3, peak.read.dram});             // of a thread
  const WeightBytes data = allocate_weights(most * static_cast<size_t>(pool.threads()));  // huge pages, as arenas have
  if (!data) return;
  pool.parallel_for(pool.threads(), [&](int64_t part, int) {  // near to who reads it, where memory has places
    std::memset(data.get() + static_cast<size_t>(part) * most, 1, most);
  });
  peak.l2_gbs = read_rate(kernels, data.get(), peak.read.l2, pool) / 1e9;
  peak.l3_gbs = read_rate(kernels, data.get(), peak.read.l3, pool) / 1e9;
  peak.dram_gbs = read_rate(kernels, data.get(), peak.read.dram, pool) / 1e9;
}

}  // namespace

ReadSizes read_sizes(const CacheSizes& caches, int threads, int64_t free_bytes) {
  constexpr size_t k_least_dram = size_t{256} << 20, k_most_dram = size_t{1} << 30;
  const auto count = static_cast<size_t>(std::max(1, threads));
  // Two CPUs with one L2 are threads of a core, which the system does not use together while there are other cores.
  const size_t beside_l2 = caches.l2_cpus <= 2 ? 1 : std::min(count, static_cast<size_t>(caches.l2_cpus));
  const size_t on_one_l3 = std::min(count, static_cast<size_t>(std::max(1, caches.l3_cpus)));
  const size_t all_l3 = caches.l3_bytes * ((count + on_one_l3 - 1) / on_one_l3);
  const auto in_units = [](size_t bytes) { return bytes / k_read_unit * k_read_unit; };
  ReadSizes read;
  read.l2 = in_units(caches.l2_bytes / 4 / beside_l2);
  read.l3 = in_units(std::min(4 * caches.l2_bytes, caches.l3_bytes / 4 * 3 / on_one_l3));
  if (read.l3 < 2 * caches.l2_bytes) read.l3 = 0;
  const auto spare = static_cast<size_t>(std::max<int64_t>(0, free_bytes / 4));
  const size_t dram = std::min({std::max(k_least_dram, 4 * all_l3), k_most_dram, spare});
  if (dram >= 2 * all_l3 && dram >= 4 * count * caches.l2_bytes) read.dram = in_units(dram / count);
  return read;
}

MachinePeak measure_peak(Isa isa, int threads) {
  MachinePeak peak;
  const PeakKernels* kernels = pick_kernels(isa);
  if (!kernels) return peak;
  ThreadPool pool(threads);
  peak.u8s8_instruction = kernels->dot_instruction;
  peak.f32_instruction = kernels->fma_instruction;
  peak.u8s8_gmacs = rate(kernels->dots, kernels->dot_macs, pool) / 1e9;
  peak.f32_gmacs = rate(kernels->fmas, kernels->fma_macs, pool) / 1e9;
#if defined(__x86_64__)
  if (has_bf16_products(isa)) {
    const bool tiles = isa == Isa::amx;
    peak.bf16_instruction = tiles ? "tdpbf16ps" : "vdpbf16ps zmm";
    peak.bf16_gmacs = rate(tiles ? peak_bf16_tiles : peak_bf16_zmm, tiles ? 4 * 8192.0 : 24 * 32.0, pool) / 1e9;
  }
#endif
  measure_reading(*kernels, pool, peak);
  return peak;
}

}  // namespace octet
