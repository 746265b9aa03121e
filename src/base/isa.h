#pragma once
// Instruction sets of the CPU at hand, and the one that OCTET_ISA forces.

#include <optional>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace octet {

/// Worst to best; a machine that runs one runs all before it, except that avx512_vnni does not imply avx_vnni.
enum class Isa { scalar, avx2, avx_vnni, avx512_vnni, amx };

std::string_view name(Isa isa);
std::optional<Isa> isa_from_name(std::string_view word);

/// Every ISA this CPU and operating system can run, worst first; always holds scalar.
/// avx2 means AVX2, FMA3 and F16C; avx512_vnni means AVX512 F, BW, VL, DQ and VNNI.
std::vector<Isa> available_isas();

/// The ISA to use: OCTET_ISA when set (an error when unknown or not available), else the best available.
Result<Isa> chosen_isa();

}  // namespace octet
