#include "base/vector_width.h"

namespace octet {

// CPUID.8000001A:EAX, AMD's alone: bit 2 says that the data path has 256 bits at least, bit 3 that it has 512 (AMD64
// Architecture Programmer's Manual, volume 3, appendix E).
bool is_half_width_avx512(unsigned last_leaf, unsigned data_path) {
  return last_leaf >= 0x8000001a && (data_path & (1u << 2)) != 0 && (data_path & (1u << 3)) == 0;
}

bool has_half_width_avx512() {
#if defined(__x86_64__)
  static const bool is_half = [] {
    unsigned a = 0x80000000, b = 0, c = 0, d = 0;
    __asm__("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
    const unsigned last_leaf = a;
    a = 0x8000001a, c = 0;
    __asm__("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
    return is_half_width_avx512(last_leaf, a);
  }();
  return is_half;
#else
  return false;
#endif
}

}  // namespace octet
