// Rearrangements that are one strided copy: Tile, DepthToSpace, SpaceToDepth.
#include <algorithm>
#include <cstring>
#include <vector>

#include "backends/cpu/constants.h"
#include "backends/cpu/movement.h"
#include "kernels/gather_channels/gather_channels.h"

namespace octet::cpu {
namespace {

PreparedStep copy_step(Copy copy) {
  PreparedStep step{.in_team = true};
  step.run = [copy](const RunContext& run) { run_copy(run, copy); };
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
  return copy_step({StridedLoop(dims, {to, from}), y.layout.element_bytes, y.place, x->place});
}

std::string no_reason(const StepQuery&) { return ""; }

/// Channels of phases as pixels: copies of `run` bytes each, b side by side, w of these in a row. The size is known to
/// the compiler where it is a common one.
template <size_t run>
void spread_row(std::byte* dst, int64_t dst_pixel, const std::byte* src, int64_t src_pixel, int64_t b, int64_t w,
                int64_t bytes) {
  for (int64_t x = 0; x < w; ++x, src += src_pixel)
    for (int64_t j = 0; j < b; ++j, dst += dst_pixel)
      std::memcpy(dst, src + j * bytes, run == 0 ? static_cast<size_t>(bytes) : run);
}

using SpreadRow = void (*)(std::byte*, int64_t, const std::byte*, int64_t, int64_t, int64_t, int64_t);

SpreadRow spread_row_of(int64_t bytes) {
  switch (bytes) {
    case 4: return spread_row<4>;
    case 12: return spread_row<12>;
    case 16: return spread_row<16>;
    case 32: return spread_row<32>;
    case 64: return spread_row<64>;
    case 128: return spread_row<128>;
    case 256: return spread_row<256>;
    default: return spread_row<0>;
  }
}

/// DepthToSpace in the order DCR between images: row by row of y.
PreparedStep spread_step(const Operand& x, const Operand& y, int64_t b) {
  const auto size = static_cast<int64_t>(y.layout.element_bytes);
  const Dims from = x.layout.strides, to = y.layout.strides;
  const int64_t c = y.layout.dims[1], w = x.layout.dims[3], height = y.layout.dims[2];
  const bool is_dense = y.layout.pitch() == c;  // a block's pixels are neighbours on both sides
  const int64_t runs = is_dense ? 1 : b, bytes = (is_dense ? b * c : c) * size;
  const SpreadRow spread = spread_row_of(bytes);
  PreparedStep step{.in_team = true};
  step.run = [=, dst = y.place, src = x.place, rows = y.layout.dims[0] * height](const RunContext& run) {
    std::byte* const dst_base = run.at<std::byte>(dst);
    const std::byte* const src_base = run.at<std::byte>(src);
    run.parallel(rows, w * b * c, [&](int64_t first, int64_t last, int) {
      for (int64_t row = first; row < last; ++row) {
        const int64_t n = row / height, oh = row % height;
        spread(dst_base + (n * to[0] + oh * to[2]) * size, (is_dense ? b * c : to[3]) * size,
               src_base + (n * from[0] + oh / b * from[2] + oh % b * b * c) * size, from[3] * size, runs, w, bytes);
      }
    });
  };
  return step;
}

/// DepthToSpace in the order CRD between images: a block's pixels take every b * b-th channel, those of a row of the
/// block in one go where their pixels leave no gap.
PreparedStep pick_step(const StepQuery& query, const Operand& x, const Operand& y, int64_t b) {
  const auto size = static_cast<int64_t>(y.layout.element_bytes);
  const Dims from = x.layout.strides, to = y.layout.strides;
  const int64_t c = y.layout.dims[1], w = x.layout.dims[3], height = x.layout.dims[2];
  const bool is_dense = y.layout.pitch() == c;
  const int64_t runs = is_dense ? 1 : b;
  std::vector<GatherChannels> gathers;  // [row of the block][run]
  for (int64_t i = 0; i < b; ++i)
    for (int64_t r = 0; r < runs; ++r) {
      std::vector<ChannelPick> picks;
      for (int64_t j = r; j < (is_dense ? b : r + 1); ++j)
        for (int64_t k = 0; k < c; ++k) picks.push_back({0, static_cast<int32_t>(k * b * b + i * b + j)});
      gathers.emplace_back(picks, y.layout.element_bytes, gather_channels_kernel(query.isa));
    }
  PreparedStep step{.in_team = true};
  step.run = [=, gathers = std::move(gathers), dst = y.place, src = x.place,
              rows = x.layout.dims[0] * height](const RunContext& run) {
    constexpr int64_t k_block = 64;  // pixels that stay in L1
    auto* const dst_base = run.at<uint8_t>(dst);
    const auto* const src_base = run.at<uint8_t>(src);
    run.parallel(rows, w * b * b * c, [&](int64_t first, int64_t last, int) {
      for (int64_t row = first; row < last; ++row)
        for (int64_t p = 0; p < w; p += k_block) {
          const int64_t n = row / height, h = row % height;
          const ChannelInput input{src_base + (n * from[0] + h * from[2] + p * from[3]) * size, from[3] * size};
          for (int64_t i = 0; i < b; ++i)
            for (int64_t r = 0; r < runs; ++r) {
              uint8_t* const y_at = dst_base + (n * to[0] + (h * b + i) * to[2] + (p * b + r) * to[3]) * size;
              gathers[static_cast<size_t>(i * runs + r)].run(&input, std::min(k_block, w - p), y_at, b * to[3] * size);
            }
        }
    });
  };
  return step;
}

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
  if (to_space && deep.is_nhwc() && wide.is_nhwc()) {
    constexpr int64_t k_max_picked = 65536;  // something is prepared for each channel
    if (!crd || c == 1) return spread_step(*x, y, b);
    if (deep.dims[1] <= k_max_picked) return pick_step(query, *x, y, b);
  }
  const int64_t deep_c = deep.strides[1];
  const Dims dims = {deep.dims[0], c, deep.dims[2], b, deep.dims[3], b};
  const Dims of_deep = {deep.strides[0], crd ? b * b * deep_c : deep_c, deep.strides[2], (crd ? b : b * c) * deep_c,
                        deep.strides[3], (crd ? 1 : c) * deep_c};
  const Dims of_wide = {wide.strides[0], wide.strides[1],     wide.strides[2] * b,
                        wide.strides[2], wide.strides[3] * b, wide.strides[3]};
  const StridedLoop loop(dims, {to_space ? of_wide : of_deep, to_space ? of_deep : of_wide});
  return copy_step({loop, y.layout.element_bytes, y.place, x->place});
}

}  // namespace

const StepDef tile_step = {"tile", refuse_tile, streaming_cost_us, prepare_tile};
const StepDef space_depth_step = {"space_depth", no_reason, streaming_cost_us, prepare_blocks};

}  // namespace octet::cpu
