// The judge of the family: one element at a time, the formula as written in histogram_isa.h.

#include <math.h>
#include <string.h>

#include "kernels/histogram/histogram_isa.h"

namespace octet {
namespace {

constexpr float k_beyond_any_bin = 1073741824.0f;  // 2^30, still an int32

size_t index_f32(const float* x, size_t n, float bins_per_unit, uint32_t negative_offset, uint32_t* index,
                 int32_t* ends) {
  size_t listed = 0;
  ends[0] = INT32_MAX;
  ends[1] = INT32_MIN;
  for (size_t i = 0; i < n; ++i) {
    int32_t key = 0;
    memcpy(&key, &x[i], sizeof key);
    const bool negative = key < 0;
    if (negative) key ^= 0x7fffffff;
    if (key < ends[0]) ends[0] = key;
    if (key > ends[1]) ends[1] = key;
    if (x[i] == 0.0f) continue;
    const float position = ceilf(fabsf(x[i]) * bins_per_unit);
    const int32_t bin = position >= 1.0f && position <= k_beyond_any_bin ? static_cast<int32_t>(position) - 1 : 0;
    index[listed++] = static_cast<uint32_t>(bin) + (negative ? negative_offset : 0);
  }
  return listed;
}

}  // namespace

const HistogramKernels histogram_scalar = {index_f32, "scalar"};

}  // namespace octet
