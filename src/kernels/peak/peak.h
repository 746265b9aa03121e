#pragma once
// The machine's limits for some threads at the same time, measured now: arithmetic on registers alone, and reading from
// each level of the memory. A layer's share of them says how far it is from what the machine can do in the mood it is
// in.

#include <cstddef>
#include <cstdint>
#include <string>

#include "base/cpus.h"
#include "base/isa.h"

namespace octet {

/// Bytes that each of some threads reads over and over so that they come from one level of the memory and from no
/// nearer one; multiples of k_read_unit. 0: no size does that, as where a thread's share of L3 is no larger than its
/// L2.
struct ReadSizes {
  size_t l2 = 0, l3 = 0, dram = 0;
};
inline constexpr size_t k_read_unit = 512;

/// L2: a quarter of it, where pages do not yet compete for its sets. L3: four times L2 where all threads' fit into
/// three quarters of it, at least twice L2. DRAM: four times all L3s that the threads reach, at least 256 MiB together,
/// at most 1 GiB and a quarter of free_bytes; not less than twice those L3s and four times all L2s.
ReadSizes read_sizes(const CacheSizes& caches, int threads, int64_t free_bytes);

/// Sums over the threads.
struct MachinePeak {
  // 10^9 multiply-adds per second; 0 where the ISA is scalar, or has no products of bfloat16.
  double u8s8_gmacs = 0, f32_gmacs = 0, bf16_gmacs = 0;
  std::string u8s8_instruction, f32_instruction, bf16_instruction;
  // Reading, 10^9 bytes per second; 0 where `read` has no size for it.
  double l2_gbs = 0, l3_gbs = 0, dram_gbs = 0;
  ReadSizes read;
};

/// About a quarter of a second; the best of several short loops, which all threads begin together.
MachinePeak measure_peak(Isa isa, int threads = 1);

/// Whether vdpbf16ps multiplies at least a quarter faster than vfmadd on zmm registers: twice as fast on some CPUs, at
/// half the rate on others. Measured once, in less than a millisecond; false where there is none.
bool bf16_dots_pay();

}  // namespace octet
