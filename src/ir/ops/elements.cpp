#include "ir/ops/elements.h"

#include <cassert>
#include <optional>

namespace octet {

template <size_t K>
LineWalk<K>::LineWalk(std::span<const int64_t> dims, const std::array<std::vector<int64_t>, K>& strides) {
  const std::optional<int64_t> count = element_count(dims);
  assert(count && "dims were checked by whoever made the tensors");
  if (*count == 0) {
    lines_left_ = 0;
    return;
  }
  std::vector<Axis> axes;  // the innermost first, those of one element left out, what lies one behind the other joined
  for (size_t d = dims.size(); d-- > 0;) {
    if (dims[d] == 1) continue;
    Axis axis{dims[d], 0, {}};
    for (size_t k = 0; k < K; ++k) axis.strides[k] = strides[k][d];
    bool joins = !axes.empty();
    for (size_t k = 0; k < K && joins; ++k) joins = axis.strides[k] == axes.back().strides[k] * axes.back().extent;
    if (joins) {
      axes.back().extent *= axis.extent;
    } else {
      axes.push_back(axis);
    }
  }
  if (axes.empty()) return;
  line_ = axes.front().extent;
  step_ = axes.front().strides;
  lines_left_ = *count / line_;
  outer_.assign(axes.begin() + 1, axes.end());
}

template <size_t K>
void LineWalk<K>::next() {
  if (--lines_left_ == 0) return;
  for (Axis& axis : outer_) {
    if (++axis.index < axis.extent) {
      for (size_t k = 0; k < K; ++k) at_[k] += axis.strides[k];
      return;
    }
    for (size_t k = 0; k < K; ++k) at_[k] -= axis.strides[k] * (axis.extent - 1);
    axis.index = 0;
  }
}

template class LineWalk<1>;
template class LineWalk<2>;
template class LineWalk<3>;

Error undefined_for(const NodeContext& context, DType dtype) {
  return context.error("is not defined for " + std::string(name(dtype)), ErrorCode::unsupported);
}

}  // namespace octet
