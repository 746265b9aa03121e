#pragma once
// Loops that show what a core can do at most. C headers only: ISA files include this.

#include <stddef.h>
#include <stdint.h>

namespace octet {

struct PeakKernels {
  void (*dots)(int64_t repeats);  // independent u8 x s8 dot products, operands in registers
  double dot_macs;                // of one repeat
  const char* dot_instruction;
  void (*fmas)(int64_t repeats);  // independent f32 multiply-adds, operands in registers
  double fma_macs;
  const char* fma_instruction;
  uint64_t (*read)(const void* data, size_t bytes);  // all of it, a multiple of 512 bytes; 0 only if all are zero
};

extern const PeakKernels peak_avx2;
extern const PeakKernels peak_avx_vnni;
extern const PeakKernels peak_avx512_vnni;
extern const PeakKernels peak_amx;

void peak_fmas_ymm(int64_t repeats);
uint64_t peak_read_ymm(const void* data, size_t bytes);
void peak_fmas_zmm(int64_t repeats);
/// Products of bfloat16: 24 * 32 and 4 * 8192 multiply-adds in a repeat.
void peak_bf16_zmm(int64_t repeats);
void peak_bf16_tiles(int64_t repeats);
uint64_t peak_read_zmm(const void* data, size_t bytes);

}  // namespace octet
