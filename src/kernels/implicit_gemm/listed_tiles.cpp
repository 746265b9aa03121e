#include "kernels/implicit_gemm/listed_tiles.h"

#include <algorithm>
#include <cstring>
#include <numeric>

namespace octet {
namespace {

constexpr int64_t k_position_bytes = 4;
/// Weights of one block of one panel: a quarter to an eighth of L2, beside the next block that is being fetched.
constexpr int64_t k_block_bytes = 256 << 10;

size_t round_up(size_t bytes) { return (bytes + k_alignment - 1) / k_alignment * k_alignment; }

std::vector<ReductionBlock> cut_reduction(const TapTable& taps, int64_t panel_width) {
  const int64_t most = std::max<int64_t>(k_block_bytes / (k_position_bytes * panel_width), 1);  // positions
  const int64_t segments = taps.segments(), elements = taps.segment_elements();
  std::vector<ReductionBlock> blocks;
  if (elements > most) {
    const int64_t parts = (elements + most - 1) / most;
    for (int64_t s = 0; s < segments; ++s)
      for (int64_t p = 0; p < parts; ++p) {
        const int64_t begin = elements * p / parts, end = elements * (p + 1) / parts;
        blocks.push_back({s, 1, begin, end - begin});
      }
    return blocks;
  }
  const int64_t parts = (segments * elements + most - 1) / most;
  for (int64_t p = 0; p < parts; ++p) {
    const int64_t begin = segments * p / parts, end = segments * (p + 1) / parts;
    if (begin < end) blocks.push_back({begin, end - begin, 0, elements});
  }
  return blocks;
}

/// With as many vectors as the layer's panels have.
ConvTile tile_of_layer(ConvTile tile, const WindowGeometry& g) {
  tile.vectors = panel_vectors(g.oc / g.groups, tile.lanes, tile.vectors).front();
  return tile;
}

}  // namespace

ListedTiles::ListedTiles(const WindowGeometry& geometry, const ConvTile& tile, CutBy cut, const ExpectedRun& expected,
                         std::span<const TapRun> runs)
    : geometry_(geometry),
      tile_rows_(tile.rows),
      lanes_(tile.lanes),
      cut_(cut),
      taps_(geometry, k_position_bytes, 1),
      classes_(taps_.is_compact()
                   ? TapClasses(geometry, false, false)  // the copy has the padding, and tiles are short
                   : TapClasses::cheapest(geometry, tile_of_layer(tile, geometry),
                                          static_cast<double>(geometry.ic) / static_cast<double>(geometry.groups))),
      blocks_(cut_reduction(taps_, tile.lanes * tile.vectors)),
      pad_(allocate_aligned(static_cast<size_t>(k_position_bytes * taps_.pad_elements()))) {
  std::memset(pad_.get(), 0, static_cast<size_t>(k_position_bytes * taps_.pad_elements()));
  const int64_t group_channels = geometry.oc / geometry.groups, depth = taps_.segments() * taps_.segment_elements();
  const std::vector<PanelCut> cuts = cut_panels(group_channels, tile.lanes, tile.vectors, runs);
  size_t positions = 0;
  for (int64_t group = 0; group < geometry.groups; ++group)
    for (const PanelCut& c : cuts) {
      const int64_t lanes_used = c.vectors * tile.lanes;
      panels_.push_back({group, group * group_channels + c.first, c.channels, positions, bias_floats_, c.taps});
      positions += static_cast<size_t>(depth * lanes_used);
      bias_floats_ += static_cast<size_t>(lanes_used);
    }
  weights_bytes_ = k_position_bytes * positions;
  streams_weights_ = weights_bytes_ > k_resident_weight_bytes;
  block_pixels_ = conv_block_pixels(work(1));
  if (taps_.is_compact())
    block_pixels_ = std::min(block_pixels_, compact_block_pixels());
  else if (!classes_.is_whole())
    block_pixels_ = class_block_pixels();
  make_parts();
  const ConvWork all = work(expected.batch);
  known_ = known_cut(expected, all, conv_deal(all, expected.threads, cut));
  if (classes_.is_whole()) {
    in_order_.resize(static_cast<size_t>(block_pixels_ + slack()));
    std::iota(in_order_.begin(), in_order_.end() - slack(), 0);
  }
}

ConvChunk ListedTiles::chunk(int64_t batch, int threads, int64_t index) const {
  if (known_.serves(batch, threads)) return known_[index];
  const ConvWork all = work(batch);
  const ConvDeal deal = conv_deal(all, threads, cut_);
  return {deal, conv_pieces(all, deal, index)};
}

/// Once for all panels with the same live taps.
void ListedTiles::make_parts() {
  std::vector<LiveTaps> made;
  for (const WeightPanel& panel : panels_) {
    const auto known = static_cast<size_t>(std::find(made.begin(), made.end(), panel.taps) - made.begin());
    first_parts_.push_back(known * blocks_.size() * classes_.classes().size());
    if (known < made.size()) continue;
    made.push_back(panel.taps);
    for (const ReductionBlock& block : blocks_)
      for (const TapClass& c : classes_.classes()) parts_.push_back(part_of(c, block, panel.taps));
  }
}

/// A class of taps within a block. Where segments are kernel rows the class is a part of each, from the first column
/// that is live in any row to the last.
ListedTiles::Part ListedTiles::part_of(const TapClass& taps, const ReductionBlock& block, LiveTaps live) const {
  const WindowGeometry& g = geometry_;
  const int64_t channels = g.ic / g.groups, elements = taps_.segment_elements();
  const auto is_live = [&](int64_t ky, int64_t kx) {
    return live == k_all_taps || ((live >> (ky * g.kw + kx)) & 1) != 0;
  };
  const auto row_is_live = [&](int64_t ky) {
    for (int64_t kx = 0; kx < g.kw; ++kx)
      if (is_live(ky, kx)) return true;
    return false;
  };
  const auto column_is_live = [&](int64_t kx) {
    for (int64_t ky = 0; ky < g.kh; ++ky)
      if (is_live(ky, kx)) return true;
    return false;
  };
  const TapBand& rows = taps.rows;
  TapBand columns = taps.columns;
  while (columns.k_begin < columns.k_end && !column_is_live(columns.k_begin)) ++columns.k_begin;
  while (columns.k_begin < columns.k_end && !column_is_live(columns.k_end - 1)) --columns.k_end;
  Part part;
  part.first_position = block.first_position;
  int64_t end = block.first_position + block.positions;
  if (taps_.is_by_rows()) {
    part.first_position = std::max(part.first_position, columns.k_begin * channels);
    end = std::min(end, columns.k_end * channels);
  }
  part.positions = end - part.first_position;
  if (part.positions <= 0) return {};
  for (int64_t s = block.first_segment; s < block.first_segment + block.segments; ++s) {
    const int64_t ky = taps_.is_by_rows() ? s : s / g.kw, kx = taps_.is_by_rows() ? columns.k_begin : s % g.kw;
    if (ky >= rows.k_begin && ky < rows.k_end && kx >= columns.k_begin && kx < columns.k_end &&
        (taps_.is_by_rows() ? row_is_live(ky) : is_live(ky, kx)))
      part.segments.push_back({s, s * elements + part.first_position});
  }
  return part;
}

/// Rows of a block's compact copy should stay in L1 or near: at most about 32 KB of input.
int64_t ListedTiles::compact_block_pixels() const {
  const WindowGeometry& g = geometry_;
  int64_t rows = 1;
  while (rows < g.oh && taps_.compact_bytes((rows + 1) * g.ow) <= (32u << 10)) ++rows;
  return rows * g.ow;
}

/// Whole rows, four at least and about as many pixels as other blocks have, or whole images: the columns at the sides
/// are tiles of their own.
int64_t ListedTiles::class_block_pixels() const {
  const WindowGeometry& g = geometry_;
  constexpr int64_t k_least_rows = 4;
  const int64_t image_pixels = g.oh * g.ow, wanted = std::max(block_pixels_, k_least_rows * g.ow);
  if (wanted >= image_pixels) return wanted / image_pixels * image_pixels;
  const int64_t rows = wanted / g.ow, blocks = (g.oh + rows - 1) / rows;
  return (g.oh + blocks - 1) / blocks * g.ow;
}

ConvWork ListedTiles::work(int64_t batch) const {
  const WindowGeometry& g = geometry_;
  const int64_t panels = static_cast<int64_t>(panels_.size());
  const int64_t pixel_positions = g.ic * std::min(g.stride_h, g.kh) * std::min(g.stride_w, g.kw);
  return {.pixels = batch * g.oh * g.ow,
          .panels = panels,
          .panel_bytes = static_cast<int64_t>(weights_bytes_) / panels,
          .pixel_bytes = k_position_bytes * pixel_positions,
          .segments = taps_.segments(),
          .tile_rows = tile_rows_,
          .row_pixels = g.ow};
}

size_t ListedTiles::table_bytes() const {
  return round_up(static_cast<size_t>(block_pixels_ * taps_.segments()) * sizeof(std::byte*));
}
size_t ListedTiles::pixels_bytes() const {
  return classes_.is_whole() ? 0 : round_up(static_cast<size_t>(block_pixels_ + slack()) * sizeof(int32_t));
}

ListedWeights ListedTiles::allocate(const PackedConvWeights& given, std::string form, std::span<const float> bias,
                                    bool& is_given) const {
  const size_t bias_at = round_up(weights_bytes_), bytes = bias_at + sizeof(float) * bias_floats_;
  ListedWeights packed;
  packed.kept = {std::move(form), given.bytes};
  is_given = given.form == packed.kept.form && given.bytes.size() == bytes &&
             reinterpret_cast<uintptr_t>(given.bytes.data()) % k_alignment == 0;
  if (!is_given) {
    packed.own = allocate_weights(bytes);
    packed.kept.bytes = {packed.own.get(), bytes};
    std::memset(packed.own.get(), 0, bytes);
    auto* const to = reinterpret_cast<float*>(packed.own.get() + bias_at);
    for (const WeightPanel& panel : panels_)
      for (int64_t c = 0; c < panel.channels && !bias.empty(); ++c)
        to[panel.bias_offset + static_cast<size_t>(c)] = bias[static_cast<size_t>(panel.first_channel + c)];
  }
  packed.weights = packed.kept.bytes.data();
  packed.bias = {reinterpret_cast<const float*>(packed.weights + bias_at), bias_floats_};
  return packed;
}

ListedTiles::Listed ListedTiles::list(const Source& source, IndexRange pixels, std::byte* scratch) const {
  const std::byte** const table = reinterpret_cast<const std::byte**>(scratch);
  std::byte* const copy = scratch + table_bytes() + pixels_bytes();
  const int64_t count = pixels.end - pixels.begin;
  const TileRuns each = {1, 0, count};
  if (taps_.is_compact()) {
    taps_.copy_compact(source.x, pad_.get(), pixels.begin, count, copy, source.planar);
    taps_.fill_compact(copy, pixels.begin, each, table);
  } else {
    taps_.fill(source.x, pad_.get(), pixels.begin, each, copy_bytes() > 0 ? copy : nullptr, table);
  }
  Listed listed{table, in_order_.data(), {count}};
  if (classes_.is_whole()) return listed;
  auto* const sorted = reinterpret_cast<int32_t*>(scratch + table_bytes());
  classes_.sort(pixels, sorted, listed.counts, slack());
  listed.pixels = sorted;
  return listed;
}

}  // namespace octet
