// How a layer of AMX is cut for threads: every pixel of every panel once, evenly, and where it costs least.
#include "kernels/implicit_gemm/tile_grid.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "kernels/implicit_gemm/tap_table.h"
#include "kernels/implicit_gemm/tile_plan.h"

namespace octet {
namespace {

WindowGeometry window(int64_t size, int64_t channels, int64_t outputs, int64_t kernel) {
  WindowGeometry g;
  g.ih = g.iw = g.oh = g.ow = size;
  g.ic = g.x_pitch = channels, g.oc = g.y_pitch = outputs;
  g.kh = g.kw = kernel, g.pad_top = g.pad_left = kernel / 2;
  return g;
}

/// A layer of u8 codes as ConvU8S8Amx describes it, without weights.
TilePlan plan_of(const WindowGeometry& g, CutBy by, const ExpectedRun& expected = {}) {
  const TapTable taps(g, 1, k_amx_tile_rows);
  const AmxCopy copy = g.kh > 1 ? AmxCopy(g, taps, false) : AmxCopy();
  const int64_t row_bytes = g.kh * g.kw * g.ic, panels = (g.oc + 31) / 32;
  TilePlan plan(by, g, copy.is_used() ? TileRows::copied : TileRows::input, copy, row_bytes, k_amx_step_bytes);
  std::vector<TilePanel> made;
  for (int64_t p = 0; p < panels; ++p)
    made.push_back({0, 32 * p, std::min<int64_t>(32, g.oc - 32 * p), static_cast<size_t>(32 * row_bytes * p), 0});
  plan.set_weights(std::move(made), nullptr, static_cast<size_t>(32 * row_bytes * panels));
  plan.expect(expected, 1);
  return plan;
}

TEST(TilePlan, meets_every_pixel_of_every_panel_once) {
  for (const int64_t size : {1, 4, 7, 14, 33})
    for (const int64_t outputs : {32, 64, 96, 160, 320})
      for (const int64_t kernel : {1, 3})
        for (const int64_t batch : {1, 3})
          for (const int threads : {1, 2, 3, 5})
            for (const CutBy by : {CutBy::automatic, CutBy::pixels, CutBy::panels}) {
              const WindowGeometry g = window(size, 64, outputs, kernel);
              const TilePlan plan = plan_of(g, by), expecting = plan_of(g, by, {batch, threads});
              const bool is_copied = plan.rows() == TileRows::copied;
              const int64_t units = batch * size * (is_copied ? 1 : size), panels = (outputs + 31) / 32;
              std::vector<int> times(static_cast<size_t>(units * panels));
              const int64_t chunks = plan.chunk_count(batch, threads);
              ASSERT_EQ(chunks, expecting.chunk_count(batch, threads));
              for (int64_t chunk = 0; chunk < chunks; ++chunk) {
                const ConvPiece piece = plan.piece(batch, chunk, threads),
                                same = expecting.piece(batch, chunk, threads);
                EXPECT_EQ(piece.pixels.begin, same.pixels.begin);
                EXPECT_EQ(piece.panels.begin, same.panels.begin);
                EXPECT_EQ(piece.pixels.begin % (is_copied ? 1 : k_amx_tile_rows), 0);
                // Two panels of 32 codes are a cache line, where the rows of the output begin with one.
                EXPECT_EQ(piece.panels.begin % (outputs % 64 == 0 && panels >= 2 * threads ? 2 : 1), 0);
                for (int64_t unit = piece.pixels.begin; unit < piece.pixels.end; ++unit)
                  for (int64_t panel = piece.panels.begin; panel < piece.panels.end; ++panel)
                    ++times[static_cast<size_t>(unit * panels + panel)];
              }
              EXPECT_TRUE(std::all_of(times.begin(), times.end(), [](int n) { return n == 1; }))
                  << size << "x" << size << " x " << outputs << ", window " << kernel << ", batch " << batch << ", "
                  << threads << " threads";
            }
}

TEST(TilePlan, leaves_a_layers_input_where_it_was_made_unless_its_weights_weigh_more) {
  for (const int64_t batch : {1, 8}) {
    const auto is_cut_by_panels = [&](const WindowGeometry& g) {
      const ConvPiece first = plan_of(g, CutBy::automatic).piece(batch, 0, 2);
      return first.panels.end < (g.oc + 31) / 32;
    };
    EXPECT_FALSE(is_cut_by_panels(window(56, 64, 64, 3)));
    EXPECT_FALSE(is_cut_by_panels(window(14, 1024, 256, 1)));
    EXPECT_FALSE(is_cut_by_panels(window(14, 256, 1024, 1)));
    EXPECT_EQ(is_cut_by_panels(window(7, 512, 2048, 1)), batch == 1);  // 1 MB for 49 pixels
  }
}

TEST(TileGrid, gives_a_worker_several_chunks_only_where_these_are_long) {
  const TileGridWork tiny = {.pixel_units = 8, .unit_tiles = 0.625, .panels = 2, .panel_bytes = 18 << 10};
  EXPECT_EQ(tile_grid(tiny, 2).chunks(), 2);
  const TileGridWork large = {
      .pixel_units = 6272, .unit_tiles = 1, .panels = 2, .panel_bytes = 18 << 10, .input_bytes = 6 << 20};
  EXPECT_GT(tile_grid(large, 2).chunks(), 4);
  EXPECT_EQ(tile_grid(large, 1).chunks(), 1);
}

}  // namespace
}  // namespace octet
