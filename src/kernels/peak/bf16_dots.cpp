// A file of its own: the runtime library asks this, and has no use for the rest of the folder.

#include "base/bf16.h"
#include "kernels/peak/best_seconds.h"
#include "kernels/peak/peak.h"
#include "kernels/peak/peak_isa.h"

namespace octet {
namespace {

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

}  // namespace octet
