// How the work of a layer is cut for threads: every output once, evenly.
#include "kernels/implicit_gemm/split.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "kernels/depthwise/door.h"

namespace octet {
namespace {

/// How often the chunks meet each (panel, pixel); and what the workers get, each an equal number of chunks.
struct Dealt {
  std::vector<int> times;
  std::vector<int64_t> work;
};
Dealt deal_out(const ConvWork& work, const ConvDeal& deal, int threads, int64_t unit = 0) {
  Dealt dealt{std::vector<int>(static_cast<size_t>(work.panels * work.pixels)),
              std::vector<int64_t>(static_cast<size_t>(threads))};
  for (int64_t chunk = 0; chunk < deal.chunks; ++chunk)
    for (const ConvPiece& piece : conv_pieces(work, deal, chunk)) {
      EXPECT_EQ(piece.pixels.begin % (unit > 0 ? unit : work.tile_rows), 0);
      for (int64_t panel = piece.panels.begin; panel < piece.panels.end; ++panel)
        for (int64_t pixel = piece.pixels.begin; pixel < piece.pixels.end; ++pixel) {
          ++dealt.times[static_cast<size_t>(panel * work.pixels + pixel)];
          ++dealt.work[static_cast<size_t>(chunk * threads / deal.chunks)];
        }
    }
  return dealt;
}

TEST(ConvDeal, meets_every_pixel_of_every_panel_once) {
  for (const int64_t pixels : {1, 5, 6, 7, 49, 196, 3136})
    for (const int64_t panels : {1, 2, 5, 11})
      for (const int64_t panel_bytes : {1 << 10, 1 << 18})
        for (const int threads : {1, 2, 3, 7})
          for (const CutBy by : {CutBy::automatic, CutBy::pixels, CutBy::panels}) {
            const ConvWork work = {
                .pixels = pixels, .panels = panels, .panel_bytes = panel_bytes, .pixel_bytes = 256, .tile_rows = 6};
            const ConvDeal deal = conv_deal(work, threads, by);
            ASSERT_GE(deal.chunks, 1);
            const Dealt dealt = deal_out(work, deal, threads);
            EXPECT_TRUE(std::all_of(dealt.times.begin(), dealt.times.end(), [](int n) { return n == 1; }))
                << pixels << " pixels, " << panels << " panels, " << threads << " threads";
          }
}

TEST(ConvDeal, gives_odd_numbers_of_panels_to_two_workers_evenly) {
  for (const int64_t panels : {1, 3, 5, 11})
    for (const CutBy by : {CutBy::automatic, CutBy::pixels, CutBy::panels}) {
      const ConvWork work = {
          .pixels = 196, .panels = panels, .panel_bytes = 64 << 10, .pixel_bytes = 960, .tile_rows = 6};
      const Dealt dealt = deal_out(work, conv_deal(work, 2, by), 2);
      const auto all = static_cast<double>(work.pixels * panels);
      EXPECT_LT(static_cast<double>(*std::max_element(dealt.work.begin(), dealt.work.end())) / all, 0.52)
          << panels << " panels";
    }
}

TEST(ConvDeal, weighs_panels_of_unequal_width) {
  // 16 vectors of channels in panels of three and two, as a tile of three vectors packs them.
  const std::vector<int64_t> begin = {0, 3, 6, 9, 12, 14, 16};
  for (const CutBy by : {CutBy::pixels, CutBy::panels})
    for (const int threads : {2, 3, 4}) {
      const ConvWork work = {
          .pixels = 64, .panels = 6, .panel_bytes = 96 << 10, .pixel_bytes = 256, .tile_rows = 8, .panel_begin = begin};
      const ConvDeal deal = conv_deal(work, threads, by);
      const Dealt dealt = deal_out(work, deal, threads);
      EXPECT_TRUE(std::all_of(dealt.times.begin(), dealt.times.end(), [](int n) { return n == 1; }));
      std::vector<int64_t> weighed(static_cast<size_t>(threads));
      for (int64_t chunk = 0; chunk < deal.chunks; ++chunk)
        for (const ConvPiece& piece : conv_pieces(work, deal, chunk))
          weighed[static_cast<size_t>(chunk * threads / deal.chunks)] +=
              (piece.pixels.end - piece.pixels.begin) *
              (begin[static_cast<size_t>(piece.panels.end)] - begin[static_cast<size_t>(piece.panels.begin)]);
      EXPECT_LE(*std::max_element(weighed.begin(), weighed.end()), 64 * 16 / threads + 2 * 3 * 8) << threads;
    }
}

TEST(ConvDeal, cuts_between_rows_where_each_worker_has_as_many) {
  for (const int64_t rows : {4, 8, 14, 32, 112})
    for (const int64_t images : {1, 3})
      for (const int64_t panels : {1, 5})
        for (const int64_t tile_rows : {6, 8, 12}) {
          const ConvWork work = {.pixels = images * rows * rows,
                                 .panels = panels,
                                 .panel_bytes = 1 << 10,
                                 .pixel_bytes = 64,
                                 .tile_rows = tile_rows,
                                 .row_pixels = rows};
          const ConvDeal deal = conv_deal(work, 2, CutBy::pixels);
          if (images * rows % deal.chunks != 0) continue;
          const Dealt dealt = deal_out(work, deal, 2, rows);
          EXPECT_TRUE(std::all_of(dealt.times.begin(), dealt.times.end(), [](int n) { return n == 1; }));
          EXPECT_EQ(dealt.work[0], dealt.work[1]) << rows << " rows, " << images << " images, tiles of " << tile_rows;
        }
}

TEST(ConvDeal, cuts_between_tiles_where_rows_do_not_come_out_even) {
  for (const int threads : {2, 3, 5}) {
    const ConvWork work = {
        .pixels = 49, .panels = 3, .panel_bytes = 1 << 10, .pixel_bytes = 64, .tile_rows = 6, .row_pixels = 7};
    const Dealt dealt = deal_out(work, conv_deal(work, threads, CutBy::pixels), threads);
    EXPECT_TRUE(std::all_of(dealt.times.begin(), dealt.times.end(), [](int n) { return n == 1; })) << threads;
  }
}

TEST(ConvDeal, cuts_large_weights_by_panels_and_large_images_by_pixels) {
  const ConvWork late = {.pixels = 49, .panels = 8, .panel_bytes = 288 << 10, .pixel_bytes = 512, .tile_rows = 6};
  EXPECT_TRUE(conv_deal(late, 2).by_panels);
  const ConvWork early = {.pixels = 12544, .panels = 2, .panel_bytes = 4 << 10, .pixel_bytes = 64, .tile_rows = 6};
  EXPECT_FALSE(conv_deal(early, 2).by_panels);
}

TEST(DepthwiseSplit, meets_every_unit_of_every_group_once_and_deals_rows_evenly) {
  for (const int64_t images : {1, 3})
    for (const int64_t rows : {1, 7, 14, 56})
      for (const int64_t groups : {1, 3, 15})
        for (const int threads : {1, 2, 3, 5}) {
          WindowGeometry g;
          g.ih = g.iw = g.oh = g.ow = rows;
          g.ic = 64 * groups;
          const DepthwiseSplit split = DepthwiseSplit::make(g, images, 2, groups, threads, 8);
          std::vector<int> times(static_cast<size_t>(images * split.units_per_image() * groups));
          std::vector<int64_t> work(static_cast<size_t>(threads));
          for (int64_t chunk = 0; chunk < split.chunks; ++chunk)
            for (const DepthwisePiece& piece : split.pieces(chunk))
              for (int64_t unit = piece.units.begin; unit < piece.units.end; ++unit)
                for (int64_t group = piece.groups.begin; group < piece.groups.end; ++group) {
                  ++times[static_cast<size_t>(unit * groups + group)];
                  work[static_cast<size_t>(chunk * threads / split.chunks)] +=
                      std::min<int64_t>(2, rows - unit % split.units_per_image() * 2);
                }
          EXPECT_TRUE(std::all_of(times.begin(), times.end(), [](int n) { return n == 1; }))
              << images << " x " << rows << " rows, " << groups << " groups, " << threads << " threads";
          const int64_t share = images * rows * groups / threads;
          EXPECT_LE(*std::max_element(work.begin(), work.end()), share + 4) << rows << " rows, " << threads;
          EXPECT_EQ(split.by_groups, images * rows * rows <= 64 && threads > 1 && groups >= 2 * threads);
        }
}

}  // namespace
}  // namespace octet
