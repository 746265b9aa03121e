#pragma once
// Products of bfloat16 with FP32 sums: the instructions beside an ISA that some CPUs have and others lack.

#include "base/isa.h"

namespace octet {

/// Whether an engine for `isa` may use them on this machine: vdpbf16ps (AVX512-BF16) for avx512_vnni, both this and
/// tdpbf16ps (AMX-BF16) for amx. No other ISA has any.
bool has_bf16_products(Isa isa);

}  // namespace octet
