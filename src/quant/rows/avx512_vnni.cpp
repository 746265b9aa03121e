// AVX-512: 16 floats a step. The loops are shared, the flags are this file's own (src/quant/CMakeLists.txt).

#include "quant/rows/rows_isa.h"

namespace octet {
namespace {
#include "quant/rows/loops.h"
}  // namespace

const QuantRows quant_rows_avx512_vnni = {quantize,         fake_quantize,
                                          pass_within,      clip,
                                          affine,           e4m3,
                                          abs_max,          any_negative,
                                          from_f16,         from_bf16,
                                          to_f16,           to_bf16,
                                          to_code<int8_t>,  to_code<uint8_t>,
                                          to_code<int16_t>, to_code<uint16_t>,
                                          "avx512_vnni"};

}  // namespace octet
