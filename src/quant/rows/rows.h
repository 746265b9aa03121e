#pragma once
// Rows of the toolkit's functions: one dense run of floats at a time.

#include "base/isa.h"
#include "quant/rows/rows_isa.h"

namespace octet {

/// The best set of the family that isa runs; its name tells which.
const QuantRows& quant_rows(Isa isa);
/// For chosen_isa(), asked once for each change of OCTET_ISA; an unusable OCTET_ISA is an Error.
Result<const QuantRows*> chosen_quant_rows();

}  // namespace octet
