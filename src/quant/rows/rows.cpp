#include "quant/rows/rows.h"

namespace octet {

const QuantRows& quant_rows(Isa isa) {
#define OCTET_KERNEL(entry, kernels) \
  if (isa >= Isa::entry) return kernels;
#include "quant/rows/kernels.def"
#undef OCTET_KERNEL
  return quant_rows_scalar;
}

Result<const QuantRows*> chosen_quant_rows() {
  const Result<Isa> isa = chosen_isa();
  if (!isa) return isa.error();
  return &quant_rows(*isa);
}

}  // namespace octet
