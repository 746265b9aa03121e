#include "kernels/peak/peak.h"

#include <algorithm>
#include <chrono>
#include <cstring>

#include "base/aligned.h"
#include "kernels/peak/peak_isa.h"

namespace octet {
namespace {

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

/// One call so many times that it takes about 2 ms: long against the clock, short against the scheduler.
double rate(void (*loop)(int64_t), double work) {
  constexpr double k_wanted_seconds = 2e-3;
  int64_t repeats = 1000;
  const double once = best_seconds(3, [&] { loop(repeats); });
  repeats = std::max<int64_t>(repeats, static_cast<int64_t>(static_cast<double>(repeats) * k_wanted_seconds / once));
  return static_cast<double>(repeats) * work / best_seconds(8, [&] { loop(repeats); });
}

double read_rate(const PeakKernels& kernels, size_t bytes, int tries) {
  const AlignedBytes data = allocate_aligned(bytes);
  if (!data) return 0;
  std::memset(data.get(), 1, bytes);
  uint64_t seen = 0;
  const double seconds = best_seconds(tries, [&] { seen |= kernels.read(data.get(), bytes); });
  return seen == 0 ? 0 : static_cast<double>(bytes) / seconds;
}

}  // namespace

MachinePeak measure_peak(Isa isa) {
  MachinePeak peak;
  const PeakKernels* kernels = pick_kernels(isa);
  if (!kernels) return peak;
  peak.u8s8_instruction = kernels->dot_instruction;
  peak.f32_instruction = kernels->fma_instruction;
  peak.u8s8_gmacs = rate(kernels->dots, kernels->dot_macs) / 1e9;
  peak.f32_gmacs = rate(kernels->fmas, kernels->fma_macs) / 1e9;
  peak.l2_gbs = read_rate(*kernels, 512 << 10, 200) / 1e9;
  peak.l3_gbs = read_rate(*kernels, 8 << 20, 12) / 1e9;
  peak.dram_gbs = read_rate(*kernels, 256 << 20, 3) / 1e9;
  return peak;
}

}  // namespace octet
