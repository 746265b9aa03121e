#pragma once
// The machine's limits for one thread, measured now: arithmetic on registers alone, and reading from each level of the
// memory. A layer's share of them says how far it is from what the machine can do in the mood it is in.

#include <string>

#include "base/isa.h"

namespace octet {

struct MachinePeak {
  double u8s8_gmacs = 0, f32_gmacs = 0;  // 10^9 multiply-adds per second; 0 where the ISA is scalar
  std::string u8s8_instruction, f32_instruction;
  double l2_gbs = 0, l3_gbs = 0, dram_gbs = 0;  // reads of 512 KB, 8 MB and 256 MB over and over, 10^9 bytes per second
};

/// About a fifth of a second; the best of several short loops.
MachinePeak measure_peak(Isa isa);

}  // namespace octet
