#pragma once
// Which ISA's functions a family without kernels for every ISA runs.

#include <string>

#include "base/isa.h"

namespace octet {

/// Families without integer dot products: avx_vnni lends nothing to avx2, amx nothing to avx512_vnni.
inline std::string float_isa_of(Isa isa) {
  if (isa == Isa::avx_vnni) return "avx2";
  return std::string(name(isa == Isa::amx ? Isa::avx512_vnni : isa));
}

}  // namespace octet
