// Two integer convolutions in one kernel whose operands the copy engine brings.
#include "backends/cuda/conv_tma.cuh"

namespace octet::cuda {

std::span<const JoinedTmaEntry> tma_entries_joined() {
  static const JoinedTmaEntry k_entries[] = {
      joined_tma_entry<3, 128, 128, 5>("joined tma 192x128"),
      joined_tma_entry<2, 128, 128, 6>("joined tma 128x128"),
      joined_tma_entry<3, 64, 128, 6>("joined tma 192x64"),
  };
  return k_entries;
}

}  // namespace octet::cuda
