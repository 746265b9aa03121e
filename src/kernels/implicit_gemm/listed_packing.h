#pragma once
// Weights in the order in which listed tiles read them, out of a function that gives each position's.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>

#include "kernels/implicit_gemm/listed_tiles.h"
#include "kernels/implicit_gemm/packed_weights.h"
#include "kernels/implicit_gemm/weight_panel.h"

namespace octet {

template <class F>
ListedWeights ListedTiles::pack(const PackedConvWeights& given, std::string form, std::span<const float> bias,
                                F&& position) const {
  bool is_given = false;
  ListedWeights packed = allocate(given, std::move(form), bias, is_given);
  if (is_given) return packed;
  using Position = decltype(position(int64_t{0}, int64_t{0}));
  static_assert(sizeof(Position) == 4);
  const int64_t depth = taps_.segments() * taps_.segment_elements();
  for (const WeightPanel& panel : panels_) {
    // Blocks follow one another in k order, so the panel is simply [segment][position][channel].
    auto* to = reinterpret_cast<Position*>(packed.own.get()) + panel.weights_offset;
    for (int64_t k = 0; k < depth; ++k, to += lanes_used(panel))
      for (int64_t c = 0; c < panel.channels; ++c) to[c] = position(panel.first_channel + c, k);
  }
  return packed;
}

}  // namespace octet
