#include "kernels/implicit_gemm/split.h"

#include <algorithm>

#include "base/ceil_div.h"

namespace octet {
namespace {

// Sizes of a core's caches on the CPUs octet is for: L1 32 to 48 KB, L2 1 to 2 MB.
constexpr int64_t k_l1_share = 16 << 10;
constexpr int64_t k_l2_share = 256 << 10;
constexpr int64_t k_table_bytes = 128 << 10;

// A rough clock of a core: one tile takes 12 cycles per 256 bytes of weights and 60 around them, weights come out of L3
// at 20 GB/s, and a chunk costs some table filling. Only ratios matter: they choose between cuts, never an answer.
constexpr double k_ns_per_weight_byte = 12.0 / 256 / 4;
constexpr double k_ns_per_tile = 15;
constexpr double k_ns_per_streamed_byte = 0.05;
constexpr double k_ns_per_chunk = 300;

// What one input byte costs that another core has made: 20 ns a line where the two share L3, 60 where they do not.
constexpr double k_ns_per_foreign_byte = 0.3;
// A chunk's start is worth less than this part of its work.
constexpr double k_chunk_share = 0.006;
// With fewer tiles than this in a chunk, a tile is cut by panels rather than given away whole.
constexpr int64_t k_few_tiles = 24;

/// Expected time of a worker.
double deal_ns(const ConvWork& work, bool by_panels, int64_t workers) {
  const double tiles = static_cast<double>(ceil_div(work.pixels, work.tile_rows)), n = static_cast<double>(workers);
  const double weights = static_cast<double>(work.panels * work.panel_bytes);
  const double inputs = static_cast<double>(work.pixels * work.pixel_bytes);
  const double own = tiles * (weights * k_ns_per_weight_byte + static_cast<double>(work.panels) * k_ns_per_tile) / n;
  return by_panels ? own + weights / n * k_ns_per_streamed_byte + inputs * (1 - 1 / n) * k_ns_per_foreign_byte
                   : own + weights * k_ns_per_streamed_byte;
}

/// The panel in which `work` of all panels' lies.
int64_t panel_of(const ConvWork& all, int64_t work) {
  if (all.panel_begin.empty()) return work;
  const auto behind = std::upper_bound(all.panel_begin.begin(), all.panel_begin.end() - 1, work);
  return behind - all.panel_begin.begin() - 1;
}

/// Pixels that a cut of pixels keeps together.
int64_t unit_pixels(const ConvWork& work, const ConvDeal& deal) {
  const bool rows_come_out_even = work.row_pixels > 0 && work.pixels % (work.row_pixels * deal.chunks) == 0;
  return rows_come_out_even ? work.row_pixels : work.tile_rows;
}

/// Where chunk `index` begins: (panel, pixel) or (unit of pixels, panel).
CutPosition chunk_begin(const ConvWork& work, const ConvDeal& deal, int64_t index) {
  const auto in_front = [&](int64_t panel) {
    return work.panel_begin.empty() ? panel : work.panel_begin[static_cast<size_t>(panel)];
  };
  const int64_t tiles = ceil_div(work.pixels, unit_pixels(work, deal)), all = in_front(work.panels);
  if (index == deal.chunks) return deal.by_panels ? CutPosition{work.panels, 0} : CutPosition{tiles, 0};
  if (deal.by_panels) {
    const int64_t at = all * work.pixels * index / deal.chunks, panel = panel_of(work, at / work.pixels);
    const int64_t width = in_front(panel + 1) - in_front(panel);
    const int64_t pixel = (at - in_front(panel) * work.pixels) / width;
    const int64_t rounded = (pixel + work.tile_rows / 2) / work.tile_rows * work.tile_rows;
    return rounded >= work.pixels ? CutPosition{panel + 1, 0} : CutPosition{panel, rounded};
  }
  if (tiles >= k_few_tiles * deal.chunks) return {tiles * index / deal.chunks, 0};
  const int64_t at = tiles * all * index / deal.chunks;
  return {at / all, panel_of(work, at % all)};
}

}  // namespace

ConvDeal conv_deal(const ConvWork& work, int threads, CutBy by) {
  const int64_t workers = std::max(1, threads);
  if (workers == 1) return {};
  const double panels_ns = deal_ns(work, true, workers), pixels_ns = deal_ns(work, false, workers);
  ConvDeal deal;
  deal.by_panels = by == CutBy::automatic ? panels_ns < pixels_ns : by == CutBy::panels;
  // More chunks than workers even out those that are held up.
  const double ns = deal.by_panels ? panels_ns : pixels_ns;
  const bool streams =
      !deal.by_panels && work.panels * work.panel_bytes > static_cast<int64_t>(k_resident_weight_bytes);
  const int64_t most = streams ? 1 : 4;  // each chunk meets all weights
  const int64_t per_worker = std::clamp<int64_t>(static_cast<int64_t>(ns * k_chunk_share / k_ns_per_chunk), 1, most);
  const int64_t units = ceil_div(work.pixels, work.tile_rows) * work.panels;
  deal.chunks = std::min(units, workers * per_worker);
  return deal;
}

Pieces<CutPiece> pieces_between(const CutPosition& first, const CutPosition& last, int64_t minors) {
  Pieces<CutPiece> made;
  const auto add = [&](int64_t begin, int64_t end, int64_t from, int64_t to) {
    if (begin < end && from < to) made.pieces[made.count++] = {{begin, end}, {from, to}};
  };
  if (first.major == last.major) {
    add(first.major, first.major + 1, first.minor, last.minor);
    return made;
  }
  const bool is_cut = first.minor > 0;
  if (is_cut) add(first.major, first.major + 1, first.minor, minors);
  add(first.major + (is_cut ? 1 : 0), last.major, 0, minors);
  add(last.major, last.major + 1, 0, last.minor);
  return made;
}

Pieces<ConvPiece> conv_pieces(const ConvWork& work, const ConvDeal& deal, int64_t chunk) {
  Pieces<ConvPiece> made;
  const CutPosition first = chunk_begin(work, deal, chunk), last = chunk_begin(work, deal, chunk + 1);
  const int64_t unit = unit_pixels(work, deal);
  for (const CutPiece& piece : pieces_between(first, last, deal.by_panels ? work.pixels : work.panels)) {
    const IndexRange pixels = {piece.majors.begin * unit, std::min(piece.majors.end * unit, work.pixels)};
    made.pieces[made.count++] =
        deal.by_panels ? ConvPiece{piece.minors, piece.majors} : ConvPiece{pixels, piece.minors};
  }
  return made;
}

KnownCut known_cut(const ExpectedRun& expected, const ConvWork& work, const ConvDeal& deal) {
  return {expected, expected.batch > 0 ? deal.chunks : 0, [&](int64_t chunk) {
            return ConvChunk{deal, conv_pieces(work, deal, chunk)};
          }};
}

int64_t conv_block_pixels(const ConvWork& work) {
  const int64_t weight_bytes = work.panels * work.panel_bytes;
  const int64_t share = weight_bytes <= k_l2_share ? k_l1_share : k_l2_share;
  const int64_t by_table = k_table_bytes / (static_cast<int64_t>(sizeof(void*)) * work.segments);
  const int64_t pixels = std::min(share / std::max<int64_t>(work.pixel_bytes, 1), by_table);
  const int64_t tiles = std::max<int64_t>(pixels / work.tile_rows, 4);
  return tiles * work.tile_rows;
}

IndexRange part_of(int64_t n, int64_t parts, int64_t index, int64_t multiple) {
  const int64_t units = (n + multiple - 1) / multiple;
  return {std::min(n, units * index / parts * multiple), std::min(n, units * (index + 1) / parts * multiple)};
}

std::span<const std::byte> next_layers_share(std::span<const std::byte> weights, int64_t chunk, int64_t parts) {
  constexpr size_t k_most_bytes = 256 << 10;
  const size_t all = static_cast<size_t>(parts), at = static_cast<size_t>(chunk);
  const size_t begin = weights.size() * at / all, end = weights.size() * (at + 1) / all;
  return weights.subspan(begin, std::min(end - begin, (k_most_bytes + all - 1) / all));
}

TileRuns tile_runs(int64_t pixels, int64_t tile_rows) {
  const int64_t tiles = (pixels + tile_rows - 1) / tile_rows;
  const int64_t rows = pixels / tiles, tall = pixels - tiles * rows;
  return {rows, tall, tiles - tall};
}

}  // namespace octet
