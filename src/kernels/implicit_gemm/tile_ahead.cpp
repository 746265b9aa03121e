#include "kernels/implicit_gemm/tile_ahead.h"

#include <algorithm>

namespace octet {

TileBringing::TileBringing(const TilePlan& plan, IndexRange panels, IndexRange worker_panels, const WeightsAhead* ahead,
                           int64_t chunk, int64_t chunks, double walks)
    : ahead_(ahead),
      chunk_(chunk),
      chunks_(chunks),
      panels_(panels.end - panels.begin),
      walks_(walks),
      step_bytes_(static_cast<size_t>(64 * plan.steps()) * plan.segments().size()),
      own_(plan.panel_weights(panels)) {
  // The first panel's are needed at once.
  near_ = plan.panel_weights({panels.begin, panels.begin + 1}).size();
  if (!ahead_) return;
  const size_t in_front = plan.panel_weights({worker_panels.begin, panels.begin}).size();
  const size_t brought = ahead_->own_near - std::min(ahead_->own_near, in_front);
  near_ = std::min(own_.size(), std::max(near_, brought));
  for (const WeightsPart& part : ahead_->parts) behind_ += share_of(part, chunk, chunks).size();
}

int64_t TileBringing::lines(size_t bytes, int64_t blocks) const {
  const size_t all = step_bytes_ * static_cast<size_t>(std::max<int64_t>(blocks, 1));
  return std::min(static_cast<int64_t>((bytes + all - 1) / all), k_most_lines);
}

void TileBringing::begin_walk(int64_t blocks, int64_t first_pass) {
  // Weights that L2 does not keep from walk to walk come again.
  const bool comes_own = is_first_walk_ || own_.size() > k_resident_weight_bytes;
  const Bytes own = comes_own ? own_.subspan(near_) : Bytes();
  const auto all_blocks = static_cast<int64_t>(static_cast<double>(blocks) * std::max(walks_, 1.0));
  walks_ -= 1, is_first_walk_ = false;
  if (own.empty() && behind_ == 0) return;
  own_lines_ = std::max(lines(own.size(), first_pass - first_pass / panels_), lines(own.size() + behind_, all_blocks));
  const size_t block = static_cast<size_t>(own_lines_) * step_bytes_;
  const auto own_blocks = static_cast<int64_t>((own.size() + block - 1) / block);
  // A part ends with a block.
  const auto parts = static_cast<int64_t>(behind_ > 0 ? ahead_->parts.size() : 0);
  next_lines_ = lines(behind_, all_blocks - own_blocks - parts);
  if (own.empty()) return;
  rest_ = own, now_lines_ = own_lines_;
}

bool TileBringing::find_part() {
  while (ahead_ && part_ < ahead_->parts.size()) {
    rest_ = share_of(ahead_->parts[part_++], chunk_, chunks_);
    behind_ -= rest_.size(), now_lines_ = next_lines_;
    if (!rest_.empty()) return true;
  }
  return false;
}

TileAhead TileBringing::bring() {
  if (rest_.empty() && !find_part()) return {};
  int64_t lines = now_lines_;
  size_t bytes = static_cast<size_t>(lines) * step_bytes_;
  if (bytes > rest_.size()) bytes = rest_.size(), lines = static_cast<int64_t>((bytes + step_bytes_ - 1) / step_bytes_);
  const std::byte* const first = rest_.data();
  rest_ = rest_.subspan(bytes);
  return {first, static_cast<int>(lines)};
}

}  // namespace octet
