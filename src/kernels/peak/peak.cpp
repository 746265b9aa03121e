#include "kernels/peak/peak.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <vector>

#include "base/aligned.h"
#include "base/bf16.h"
#include "base/thread_pool.h"
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

/// Smallest seconds of `tries` calls.
template <class F>
double best_seconds(int tries, F&& run) {
  double best = 1e9;
  for (int i = 0; i < tries; ++i) {
    const auto start = std::chrono::steady_clock::now();
    run();
    best = std::min(best, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  return best;
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

/// bytes: of each thread.
double read_rate(const PeakKernels& kernels, size_t bytes, int tries, ThreadPool& pool) {
  const auto threads = static_cast<size_t>(pool.threads());
  const AlignedBytes data = allocate_aligned(threads * bytes);
  if (!data) return 0;
  std::memset(data.get(), 1, threads * bytes);
  std::vector<uint64_t> seen(threads * k_line_words);
  const double seconds = best_seconds(tries, [&] {
    pool.parallel_for(pool.threads(), [&](int64_t part, int) {
      const auto i = static_cast<size_t>(part);
      seen[i * k_line_words] |= kernels.read(data.get() + i * bytes, bytes);
    });
  });
  return seen[0] == 0 ? 0 : static_cast<double>(threads * bytes) / seconds;
}

/// A share of bytes for each of the threads, in the readers' unit.
size_t share(size_t bytes, const ThreadPool& pool) {
  constexpr size_t k_unit = 512;
  return bytes / static_cast<size_t>(pool.threads()) / k_unit * k_unit;
}

bool measure_bf16_dots() {
#if defined(__x86_64__)
  if (!has_bf16_products(Isa::avx512_vnni)) return false;
  constexpr int64_t k_repeats = 1000;
  constexpr int k_tries = 12;
  const double dots = best_seconds(k_tries, [] { peak_bf16_zmm(k_repeats); });  // 32 products each
  const double fmas = best_seconds(k_tries, [] { peak_fmas_zmm(k_repeats); });  // 16
  return 2 * fmas > 1.25 * dots;
#else
  return false;
#endif
}

}  // namespace

bool bf16_dots_pay() {
  static const bool pay = measure_bf16_dots();
  return pay;
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
  peak.l2_gbs = read_rate(*kernels, 512 << 10, 200, pool) / 1e9;
  peak.l3_gbs = read_rate(*kernels, share(8 << 20, pool), 12, pool) / 1e9;
  peak.dram_gbs = read_rate(*kernels, share(256 << 20, pool), 3, pool) / 1e9;
  return peak;
}

}  // namespace octet
