// Pad by constant pads, in every mode: runs of elements that lie side by side in input and output, row by row.

#include <algorithm>
#include <array>
#include <cstring>
#include <numeric>

#include "backends/cpu/constants.h"
#include "backends/cpu/movement.h"

namespace octet::cpu {
namespace {

constexpr int64_t k_value = -1;  // in place of an offset in x: Pad's value

std::string mode_of(const StepQuery& query) { return string_attribute(query.node, "mode", "constant"); }

/// One element of Pad's value in the u8 domain (codes) or as it is.
std::array<std::byte, 8> value_of(const StepQuery& query) {
  std::array<std::byte, 8> element{};
  if (const std::optional<Tensor> value = constant_of(query.graph, query.id(2)))
    std::memcpy(element.data(), value->bytes().data(), std::min(value->size_bytes(), element.size()));
  if (query.dtype(0) == DType::s8) element[0] ^= std::byte{0x80};
  return element;
}

/// One axis of the output: where its elements lie, and where they come from (elements; k_value = nowhere).
struct Axis {
  int64_t y_stride = 0;
  std::vector<int64_t> from = {};
};

/// Element i of an axis of x, i possibly outside of it; k_value = none. Which pads a mode takes: src/ir/ops/pad.cpp.
int64_t source_index(int64_t i, int64_t extent, const std::string& mode) {
  if (i >= 0 && i < extent) return i;
  if (mode == "reflect") return i < 0 ? -i : 2 * (extent - 1) - i;
  if (mode == "edge") return i < 0 ? 0 : extent - 1;
  if (mode == "wrap") return (i % extent + extent) % extent;
  return k_value;
}

/// Of all axes, those of the largest strides of y first.
std::vector<Axis> axes_of(const StepQuery& query, const Layout& x, const Layout& y) {
  const std::vector<int64_t> pads = *constant_ints(query.graph, query.id(1));
  const std::optional<std::vector<int64_t>> named = constant_ints(query.graph, query.id(3));
  std::vector<int64_t> begin(x.rank(), 0);
  for (size_t i = 0; i < pads.size() / 2; ++i) {
    const int64_t axis = named ? (*named)[i] : static_cast<int64_t>(i);
    begin[static_cast<size_t>(axis < 0 ? axis + static_cast<int64_t>(x.rank()) : axis)] = pads[i];
  }
  const std::string mode = mode_of(query);
  std::vector<Axis> axes;
  for (size_t d = 0; d < x.rank(); ++d) {
    axes.push_back({y.strides[d]});
    for (int64_t i = 0; i < y.dims[d]; ++i) {
      const int64_t at = source_index(i - begin[d], x.dims[d], mode);
      axes[d].from.push_back(at == k_value ? k_value : at * x.strides[d]);
    }
  }
  std::stable_sort(axes.begin(), axes.end(), [](const Axis& a, const Axis& b) { return a.y_stride > b.y_stride; });
  return axes;
}

/// Elements side by side in x and y, or all of Pad's value.
struct Run {
  int64_t from, to, count;
};

/// The two innermost axes' elements as runs: a row of pixels of an image, all its channels.
std::vector<Run> runs_of(const Axis& outer, const Axis& inner) {
  std::vector<Run> runs;
  for (size_t o = 0; o < outer.from.size(); ++o) {
    for (size_t i = 0; i < inner.from.size(); ++i) {
      const bool is_value = outer.from[o] == k_value || inner.from[i] == k_value;
      const int64_t from = is_value ? k_value : outer.from[o] + inner.from[i];
      const int64_t to = static_cast<int64_t>(o) * outer.y_stride + static_cast<int64_t>(i) * inner.y_stride;
      if (!runs.empty()) {
        Run& last = runs.back();
        const bool goes_on = is_value ? last.from == k_value : last.from != k_value && last.from + last.count == from;
        if (goes_on && last.to + last.count == to) {
          ++last.count;
          continue;
        }
      }
      runs.push_back({from, to, 1});
    }
  }
  return runs;
}

void fill(std::byte* to, const std::array<std::byte, 8>& value, size_t size, size_t bytes) {
  if (size == 1) {
    std::memset(to, std::to_integer<int>(value[0]), bytes);
    return;
  }
  for (size_t at = 0; at < bytes; at += size) std::memcpy(to + at, value.data(), size);
}

/// The rows that all axes but the two innermost make, one after the other.
class Rows {
 public:
  explicit Rows(std::vector<Axis> outer) : outer_(std::move(outer)) {}

  int64_t count() const {
    return std::accumulate(outer_.begin(), outer_.end(), int64_t{1},
                           [](int64_t n, const Axis& axis) { return n * static_cast<int64_t>(axis.from.size()); });
  }
  /// Where row r begins; from = k_value where nothing of it is x's.
  std::pair<int64_t, int64_t> offsets(int64_t r) const {
    int64_t from = 0, to = 0;
    for (size_t d = outer_.size(); d-- > 0;) {
      const auto extent = static_cast<int64_t>(outer_[d].from.size());
      const int64_t at = outer_[d].from[static_cast<size_t>(r % extent)];
      from = from == k_value || at == k_value ? k_value : from + at;
      to += r % extent * outer_[d].y_stride;
      r /= extent;
    }
    return {from, to};
  }

 private:
  std::vector<Axis> outer_;
};

Result<PreparedStep> prepare(const StepQuery& query, StepBuilder& builder) {
  Result<Operand> x = builder.input(query, 0);
  if (!x) return x.error();
  const Operand y = builder.output(query);
  std::vector<Axis> axes = axes_of(query, x->layout, y.layout);
  while (axes.size() < 2) axes.insert(axes.begin(), Axis{0, {0}});
  const Axis inner = axes.back(), outer = axes[axes.size() - 2];
  axes.resize(axes.size() - 2);
  const auto elements = static_cast<int64_t>(inner.from.size() * outer.from.size());
  PreparedStep step{.in_team = true};
  step.run = [rows = Rows(std::move(axes)), runs = runs_of(outer, inner), elements, value = value_of(query),
              size = x->layout.element_bytes, x = x->place, y = y.place](const RunContext& run) {
    const std::byte* const px = run.at<std::byte>(x);
    std::byte* const py = run.at<std::byte>(y);
    run.parallel(rows.count(), elements, [&](int64_t first, int64_t last, int) {
      for (int64_t r = first; r < last; ++r) {
        const auto [from, to] = rows.offsets(r);
        for (const Run& part : runs) {
          std::byte* const out = py + static_cast<size_t>(to + part.to) * size;
          const size_t bytes = static_cast<size_t>(part.count) * size;
          if (from == k_value || part.from == k_value)
            fill(out, value, size, bytes);
          else
            std::memcpy(out, px + static_cast<size_t>(from + part.from) * size, bytes);
        }
      }
    });
  };
  return step;
}

}  // namespace

const StepDef pad_step = {"pad", refuse_computed_indices, streaming_cost_us, prepare};

}  // namespace octet::cpu
