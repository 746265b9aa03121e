#pragma once
// The machine's limits for some threads at the same time, measured now: arithmetic on registers alone, and reading from
// each level of the memory. A layer's share of them says how far it is from what the machine can do in the mood it is
// in.

#include <string>

#include "base/isa.h"

namespace octet {

/// Sums over the threads.
struct MachinePeak {
  // 10^9 multiply-adds per second; 0 where the ISA is scalar, or has no products of bfloat16.
  double u8s8_gmacs = 0, f32_gmacs = 0, bf16_gmacs = 0;
  std::string u8s8_instruction, f32_instruction, bf16_instruction;
  // Reads over and over, 10^9 bytes per second: of 512 KB by each thread, of 8 MB and 256 MB shared out among them.
  double l2_gbs = 0, l3_gbs = 0, dram_gbs = 0;
};

/// About a fifth of a second; the best of several short loops, which all threads begin together.
MachinePeak measure_peak(Isa isa, int threads = 1);

/// Whether vdpbf16ps multiplies at least a quarter faster than vfmadd on zmm registers: twice as fast on some CPUs, at
/// half the rate on others. Measured once, in less than a millisecond; false where there is none.
bool bf16_dots_pay();

}  // namespace octet
