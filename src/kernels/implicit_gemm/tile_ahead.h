#pragma once
// Which weights the blocks of a chunk on AMX bring near: the rest of its own, at least a panel before they are needed,
// then those of layers behind it, spread over all blocks.

#include <cstddef>
#include <cstdint>
#include <span>

#include "kernels/implicit_gemm/split.h"
#include "kernels/implicit_gemm/tile_plan.h"
#include "kernels/implicit_gemm/weights_ahead.h"

namespace octet {

/// What one block of 32 positions brings near.
struct TileAhead {
  const std::byte* first = nullptr;
  int lines = 0;  // per step
};

class TileBringing {
 public:
  /// Nothing.
  TileBringing() = default;
  /// Whether a layer that is told `ahead` brings anything.
  static bool brings(const TilePlan& plan, const WeightsAhead* ahead) {
    return ahead ? ahead->own_near < plan.weight_bytes() || !ahead->parts.empty()
                 : plan.weight_bytes() > k_near_weight_bytes;
  }
  /// Of a chunk whose panels are walked again and again, `walks` times; the last time may be a part of one. ahead: null
  /// = nothing but its own.
  /// worker_panels: all that the chunk's worker meets in the layer.
  TileBringing(const TilePlan& plan, IndexRange panels, IndexRange worker_panels, const WeightsAhead* ahead,
               int64_t chunk, int64_t chunks, double walks);
  /// blocks: of one walk; first_pass: of these, how many meet every panel once.
  void begin_walk(int64_t blocks, int64_t first_pass);
  bool is_idle() const { return own_.empty(); }
  TileAhead next() { return rest_.empty() && behind_ == 0 ? TileAhead{} : bring(); }

 private:
  static constexpr int64_t k_most_lines = 32;
  using Bytes = std::span<const std::byte>;

  int64_t lines(size_t bytes, int64_t blocks) const;
  bool find_part();
  TileAhead bring();

  const WeightsAhead* ahead_ = nullptr;
  int64_t chunk_ = 0, chunks_ = 1, panels_ = 1;
  double walks_ = 0;
  size_t step_bytes_ = 1;  // what a block brings at a line per step
  Bytes own_, rest_;
  size_t near_ = 0, behind_ = 0;  // of own_; of later layers' weights, not begun
  size_t part_ = 0;
  int64_t own_lines_ = 0, next_lines_ = 0, now_lines_ = 0;
  bool is_first_walk_ = true;
};

}  // namespace octet
