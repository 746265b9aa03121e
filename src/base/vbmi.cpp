#include "base/vbmi.h"

namespace octet {

bool has_byte_lookups() {
#if defined(__x86_64__)
  static const bool has = __builtin_cpu_supports("avx512vbmi") != 0;
  return has;
#else
  return false;
#endif
}

}  // namespace octet
