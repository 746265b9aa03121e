// Rearrangements that are one or several strided copies: Tile, DepthToSpace, SpaceToDepth, Gather with constant
// indices.
#include <cstring>

#include "backends/cpu/constants.h"
#include "backends/cpu/movement.h"

namespace octet::cpu {
namespace {

constexpr int64_t k_max_gathered = 65536;  // one copy is prepared for each index

PreparedStep copy_step(std::vector<Copy> copies) {
  PreparedStep step{.in_team = true};
  step.run = [copies = std::move(copies)](const RunContext& run) {
    for (const Copy& copy : copies) run_copy(run, copy);
  };
  return step;
}

std::string refuse_tile(const StepQuery& query) {
  return 2 * query.shape(0)->size() > StridedLoop::k_max_rank ? "more than 5 dimensions" : "";
}

/// y of extents r*d, seen as [r, d] per axis, is x with a stride of 0 along r.
Result<PreparedStep> prepare_tile(const StepQuery& query, StepBuilder& builder) {
  Result<Operand> x = builder.input(query, 0);
  if (!x) return x.error();
  const Operand y = builder.output(query);
  Dims dims, to, from;
  for (size_t i = 0; i < x->layout.rank(); ++i) {
    const int64_t extent = x->layout.dims[i];
    dims.insert(dims.end(), {extent == 0 ? 0 : y.layout.dims[i] / extent, extent});
    to.insert(to.end(), {y.layout.strides[i] * extent, y.layout.strides[i]});
    from.insert(from.end(), {0, x->layout.strides[i]});
  }
  return copy_step({Copy{StridedLoop(dims, {to, from}), y.layout.element_bytes, y.place, x->place}});
}

std::string no_reason(const StepQuery&) { return ""; }

/// The deep side has channels [i, j, c] (DCR, SpaceToDepth) or [c, i, j] (CRD); the wide side has pixels [h, i] x [w,
/// j].
Result<PreparedStep> prepare_blocks(const StepQuery& query, StepBuilder& builder) {
  Result<Operand> x = builder.input(query, 0);
  if (!x) return x.error();
  const Operand y = builder.output(query);
  const bool to_space = is_op(query.node, "DepthToSpace");
  const Layout &deep = to_space ? x->layout : y.layout, &wide = to_space ? y.layout : x->layout;
  const int64_t b = int_attribute(query.node, "blocksize", 1), c = wide.dims[1];
  const bool crd = to_space && string_attribute(query.node, "mode", "DCR") == "CRD";
  const int64_t deep_c = deep.strides[1];
  const Dims dims = {deep.dims[0], c, deep.dims[2], b, deep.dims[3], b};
  const Dims of_deep = {deep.strides[0], crd ? b * b * deep_c : deep_c, deep.strides[2], (crd ? b : b * c) * deep_c,
                        deep.strides[3], (crd ? 1 : c) * deep_c};
  const Dims of_wide = {wide.strides[0], wide.strides[1],     wide.strides[2] * b,
                        wide.strides[2], wide.strides[3] * b, wide.strides[3]};
  const StridedLoop loop(dims, {to_space ? of_wide : of_deep, to_space ? of_deep : of_wide});
  return copy_step({Copy{loop, y.layout.element_bytes, y.place, x->place}});
}

std::string refuse_gather(const StepQuery& query) {
  const std::optional<std::vector<int64_t>> indices = constant_ints(query.graph, query.id(1));
  if (!indices) return "the indices are not constant";
  if (static_cast<int64_t>(indices->size()) > k_max_gathered) return "more than 65536 indices";
  const auto rank = static_cast<int64_t>(query.shape(0)->size());
  const int64_t axis = int_attribute(query.node, "axis", 0);
  const int64_t extent = query.dims(0)[static_cast<size_t>(axis < 0 ? axis + rank : axis)];
  for (const int64_t i : *indices) {
    if (i < -extent || i >= extent) return "index " + std::to_string(i) + " is out of range";
  }
  return query.output_dims().size() > StridedLoop::k_max_rank ? "more than 10 dimensions" : "";
}

/// Channels of pixels in another order.
struct ChannelOrder {
  std::vector<int64_t> from;
  bool interleaves_halves = false;  // a shuffle of two groups

  explicit ChannelOrder(std::vector<int64_t> channels) : from(std::move(channels)) {
    const auto count = static_cast<int64_t>(from.size());
    interleaves_halves = count % 2 == 0;
    for (int64_t c = 0; c < count && interleaves_halves; ++c)
      interleaves_halves = from[static_cast<size_t>(c)] == c % 2 * (count / 2) + c / 2;
  }

  template <class T>
  void pixel(const T* x, T* y) const {
    const auto count = static_cast<int64_t>(from.size());
    if (!interleaves_halves) {
      for (int64_t c = 0; c < count; ++c) y[c] = x[from[static_cast<size_t>(c)]];
      return;
    }
    constexpr int64_t k_block = 16;  // a constant extent, which becomes vectors
    const int64_t half = count / 2;
    int64_t c = 0;
    for (; c + k_block <= half; c += k_block) {
      T both[2 * k_block];
      for (int64_t i = 0; i < k_block; ++i) both[2 * i] = x[c + i], both[2 * i + 1] = x[half + c + i];
      std::memcpy(y + 2 * c, both, sizeof both);
    }
    for (; c < half; ++c) y[2 * c] = x[c], y[2 * c + 1] = x[half + c];
  }
};

template <class T>
PreparedStep channel_step(const Operand& x, const Operand& y, ChannelOrder order) {
  PreparedStep step{.in_team = true};
  step.run = [order = std::move(order), xp = x.place, yp = y.place, x_pitch = x.layout.pitch(),
              y_pitch = y.layout.pitch(), pixels = x.layout.batch() * x.layout.pixels()](const RunContext& run) {
    const T* const from = run.at<T>(xp);
    T* const to = run.at<T>(yp);
    run.parallel(pixels, y_pitch, [&](int64_t first, int64_t last, int) {
      for (int64_t p = first; p < last; ++p) order.pixel(from + p * x_pitch, to + p * y_pitch);
    });
  };
  return step;
}

Result<PreparedStep> prepare_gather(const StepQuery& query, StepBuilder& builder) {
  Result<Operand> x = builder.input(query, 0);
  if (!x) return x.error();
  const Operand y = builder.output(query);
  if (x->layout.is_nhwc() && y.layout.is_nhwc() && int_attribute(query.node, "axis", 0) == 1) {
    std::vector<int64_t> channels = *constant_ints(query.graph, query.id(1));
    for (int64_t& c : channels) c += c < 0 ? x->layout.channels() : 0;
    if (x->layout.element_bytes == 1) return channel_step<uint8_t>(*x, y, ChannelOrder(std::move(channels)));
    if (x->layout.element_bytes == 4) return channel_step<uint32_t>(*x, y, ChannelOrder(std::move(channels)));
  }
  const auto rank = static_cast<int64_t>(x->layout.rank());
  const int64_t axis = int_attribute(query.node, "axis", 0);
  const auto at = static_cast<size_t>(axis < 0 ? axis + rank : axis);
  const Dims index_dims = query.dims(1);
  // x without the axis; the same dims of y lie before and behind the index dims.
  Dims dims = x->layout.dims, from = x->layout.strides, to = y.layout.strides;
  dims.erase(dims.begin() + static_cast<ptrdiff_t>(at));
  from.erase(from.begin() + static_cast<ptrdiff_t>(at));
  const auto first = to.begin() + static_cast<ptrdiff_t>(at);
  const Dims index_strides(first, first + static_cast<ptrdiff_t>(index_dims.size()));
  to.erase(first, first + static_cast<ptrdiff_t>(index_dims.size()));
  const StridedLoop loop(dims, {to, from});
  const StridedLoop positions(index_dims, {index_strides, row_major_strides(index_dims)});
  const std::vector<int64_t> indices = *constant_ints(query.graph, query.id(1));
  std::vector<Copy> copies;
  for (int64_t r = 0; r < positions.rows(); ++r) {
    const StridedLoop::Offsets row = positions.row_offsets(r);
    for (int64_t i = 0; i < positions.row_length(); ++i) {
      const int64_t index = indices[static_cast<size_t>(row[1] + i * positions.row_stride(1))];
      const int64_t wrapped = index < 0 ? index + x->layout.dims[at] : index;
      copies.push_back({loop, y.layout.element_bytes, y.place, x->place, row[0] + i * positions.row_stride(0),
                        wrapped * x->layout.strides[at]});
    }
  }
  return copy_step(std::move(copies));
}

}  // namespace

const StepDef tile_step = {"tile", refuse_tile, streaming_cost_us, prepare_tile};
const StepDef space_depth_step = {"space_depth", no_reason, streaming_cost_us, prepare_blocks};
const StepDef gather_step = {"gather", refuse_gather, streaming_cost_us, prepare_gather};

}  // namespace octet::cpu
