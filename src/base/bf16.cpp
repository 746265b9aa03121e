#include "base/bf16.h"

#include <algorithm>

namespace octet {
namespace {

#if defined(__x86_64__)
struct CpuBits {
  unsigned a, b, c, d;
};
CpuBits cpuid_7(unsigned leaf) {
  CpuBits bits{7, 0, leaf, 0};
  __asm__("cpuid" : "+a"(bits.a), "=b"(bits.b), "+c"(bits.c), "=d"(bits.d));
  return bits;
}
#endif

bool found([[maybe_unused]] Isa isa) {
#if defined(__x86_64__)
  const std::vector<Isa> have = available_isas();
  if (std::find(have.begin(), have.end(), isa) == have.end()) return false;
  const bool avx512_bf16 = cpuid_7(0).a >= 1 && (cpuid_7(1).a & (1u << 5)) != 0;
  if (isa == Isa::avx512_vnni) return avx512_bf16;
  if (isa == Isa::amx) return avx512_bf16 && (cpuid_7(0).d & (1u << 22)) != 0;
#endif
  return false;
}

}  // namespace

bool has_bf16_products(Isa isa) {
  // Once: under a hypervisor each CPUID instruction costs a microsecond or more.
  static const bool zmm = found(Isa::avx512_vnni), tiles = found(Isa::amx);
  if (isa == Isa::amx) return tiles;
  return isa == Isa::avx512_vnni && zmm;
}

}  // namespace octet
