#include "backends/cpu/strided.h"

#include <algorithm>
#include <cassert>
#include <vector>

namespace octet::cpu {
namespace {

struct LoopDim {
  int64_t extent;
  StridedLoop::Offsets strides;
};

/// b is directly inside a when stepping through all of b and one further equals one step of a, for every operand.
bool can_merge(const LoopDim& a, const LoopDim& b) {
  for (size_t i = 0; i < k_max_operands; ++i) {
    if (a.strides[i] != b.strides[i] * b.extent) return false;
  }
  return true;
}

}  // namespace

StridedLoop::StridedLoop(std::span<const int64_t> dims, std::initializer_list<std::span<const int64_t>> strides) {
  assert(dims.size() <= k_max_rank && strides.size() <= k_max_operands);
  std::vector<LoopDim> loop;
  for (size_t d = 0; d < dims.size(); ++d) {
    if (dims[d] == 0) return;  // no rows
    if (dims[d] == 1) continue;
    LoopDim dim{dims[d], {}};
    size_t operand = 0;
    for (const std::span<const int64_t> s : strides) dim.strides[operand++] = s[d];
    loop.push_back(dim);
  }
  std::stable_sort(loop.begin(), loop.end(),
                   [](const LoopDim& a, const LoopDim& b) { return std::abs(a.strides[0]) > std::abs(b.strides[0]); });
  std::vector<LoopDim> merged;
  for (const LoopDim& dim : loop) {
    if (!merged.empty() && can_merge(merged.back(), dim)) {
      merged.back() = {merged.back().extent * dim.extent, dim.strides};
    } else {
      merged.push_back(dim);
    }
  }
  if (merged.empty()) merged.push_back({1, {1, 1, 1, 1}});
  length_ = merged.back().extent;
  row_strides_ = merged.back().strides;
  merged.pop_back();
  outer_rank_ = merged.size();
  rows_ = 1;
  for (size_t d = 0; d < outer_rank_; ++d) {
    extents_[d] = merged[d].extent;
    outer_strides_[d] = merged[d].strides;
    rows_ *= merged[d].extent;
  }
}

StridedLoop::Offsets StridedLoop::row_offsets(int64_t r) const {
  Offsets offsets{};
  for (size_t d = outer_rank_; d-- > 0;) {
    const int64_t at = r % extents_[d];
    r /= extents_[d];
    for (size_t i = 0; i < k_max_operands; ++i) offsets[i] += at * outer_strides_[d][i];
  }
  return offsets;
}

Dims broadcast_strides(std::span<const int64_t> dims, std::span<const int64_t> strides,
                       std::span<const int64_t> target) {
  Dims seen(target.size(), 0);
  const size_t lead = target.size() - dims.size();
  for (size_t i = 0; i < dims.size(); ++i) seen[lead + i] = dims[i] == 1 ? 0 : strides[i];
  return seen;
}

}  // namespace octet::cpu
