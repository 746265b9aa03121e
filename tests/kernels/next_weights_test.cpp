// Weights that a layer is to bring near while it computes: its own next panel's, then the next layer's. Nothing but
// speed shows whether that happens, so the inner functions here compute nothing and note what they are told.
#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "base/aligned.h"
#include "base/chunk_ranges.h"
#include "kernels/conv_u8s8/image_layer.h"
#include "kernels/conv_u8s8/packed_layer.h"
#include "kernels/conv_u8s8/tile_layer.h"
#include "kernels/conv_u8s8_data.h"
#include "kernels/winograd_u8s8/winograd_u8s8.h"

namespace octet {
namespace {

/// One call of an inner function: the weights it reads, and the bytes that it is to bring near. It asks for all lines
/// of [next, next + asked), of which only those before `end` were wanted.
struct Told {
  const std::byte *weights, *next, *end;
  int64_t asked;
  bool passes_rows = false;
};
thread_local std::vector<Told> told;

const std::byte* as_bytes(const void* p) { return static_cast<const std::byte*>(p); }

const ConvU8S8Kernel k_direct = {
    .run =
        [](const ConvU8S8Run& run) {
          told.push_back({as_bytes(run.weights), as_bytes(run.prefetch), as_bytes(run.prefetch_end),
                          run.tiles * run.dwords * run.prefetch_step});
        },
    .rows = 6,
    .lanes = 16,
    .vectors = 4,
    .widened_weights = false,
    .dot_cycles = 0.5,
    .name = "looks on"};

thread_local int64_t gathered_rows = 0;

const ConvAmxKernel k_amx = {.configure = [](int64_t) {},
                             .sums =
                                 [](const ConvAmxBlock& block) {
                                   const int64_t asked = 64 * block.prefetch_lines * block.steps * block.segments;
                                   told.push_back({as_bytes(block.weights), as_bytes(block.prefetch),
                                                   as_bytes(block.prefetch) + asked, asked, block.passes_rows});
                                 },
                             .flush = [](const ConvAmxUpper&) {},
                             .gather = [](const ConvAmxGather&) { ++gathered_rows; },
                             .finish = [](const ConvU8S8Run&, const int32_t*, const int32_t*, int, int) {}};

const ConvU8S8ImageKernel k_images = {
    .run =
        [](const ConvU8S8Run& run, int64_t) {
          const int64_t asked = run.dwords * run.prefetch_step;
          told.push_back({as_bytes(run.weights), as_bytes(run.prefetch), as_bytes(run.prefetch) + asked, asked});
        },
    .lanes = 16,
    .name = "looks on"};

const WinogradKernel k_winograd = {
    .input = [](const WinogradInput&) {},
    .products =
        [](const WinogradProducts& panel) {
          const int64_t asked = panel.pairs * 16 * k_winograd_codes;
          told.push_back({as_bytes(panel.weights), as_bytes(panel.ahead), as_bytes(panel.ahead) + asked, asked});
        },
    .output = [](const WinogradOutput&) {},
    .finish = [](const ConvU8S8Run&, const int32_t*, const int32_t*) {},
    .lanes = 16,
    .vectors = 1,
    .chunk = 16,
    .rows = 4,
    .dot_cycles = 0.5,
    .name = "looks on",
    .from_codes = true};

/// Blocks of tiles that began since told was cleared; a block's inputs come before its products.
thread_local int64_t blocks = 0;
thread_local bool has_new_inputs = false;

const WinogradKernel k_whole_winograd = {
    .input = [](const WinogradInput&) { has_new_inputs = true; },
    .products =
        [](const WinogradProducts& panel) {
          blocks += has_new_inputs, has_new_inputs = false;
          const std::byte* const next = as_bytes(panel.ahead);
          told.push_back({as_bytes(panel.weights), next, next + panel.ahead_bytes, panel.ahead_bytes});
        },
    .output = [](const WinogradOutput&) {},
    .finish = [](const ConvU8S8Run&, const int32_t*, const int32_t*) {},
    .lanes = 16,
    .vectors = 4,
    .chunk = 32,
    .rows = 6,
    .dot_cycles = 0.5,
    .name = "looks on"};

/// A layer, the packed weights of the one behind it, and what its chunks were told.
struct Watched {
  Watched(const ConvCase& shape, size_t next_bytes) : data(shape), next(next_bytes) {
    data.describe();
    y.resize(buffer_elements<uint8_t>(shape.batch, data.desc.geometry.oh, data.desc.geometry.ow,
                                      data.desc.geometry.y_pitch));
  }

  std::vector<Told> run_chunk(const ConvU8S8& layer, int64_t chunk, int threads) {
    const AlignedBytes scratch = allocate_aligned(layer.scratch_bytes());
    told.clear();
    blocks = 0;
    layer.run_chunk(
        {.batch = data.shape.batch, .x = data.x.data(), .residual = {}, .y = y.data(), .next_weights = next}, chunk,
        threads, scratch.get());
    return told;
  }
  bool is_next(const Told& t) const {
    return !next.empty() && t.next >= next.data() && t.next < next.data() + next.size() && t.next < t.end;
  }

  ConvU8S8Data data;
  std::vector<std::byte> next;
  std::vector<uint8_t> y;
};

constexpr int64_t k_most_ahead = 256 << 10;  // of the next layer's weights, by all chunks of the direct kernels

TEST(NextWeights, are_brought_near_once_by_all_chunks_together_and_as_a_whole) {
  const ConvCase shapes[] = {square(14, 64, 128, 3, 1, 1), square(8, 96, 200, 1), square(1, 512, 256, 1),
                             square(9, 40, 72, 3, 2, 1, 1, 1, 3), square(30, 3, 64, 7, 2, 3)};
  for (const ConvCase& shape : shapes)
    for (const int threads : {1, 2, 3, 5})
      for (const size_t bytes :
           {size_t{1}, size_t{63}, size_t{64}, size_t{4097}, size_t{36864}, size_t{k_most_ahead}}) {
        Watched watched(shape, bytes);
        const auto layer = make_conv_u8s8_packed(watched.data.desc, k_direct, CutBy::automatic, Isa::scalar);
        const std::byte* covered = watched.next.data();
        const int64_t chunks = layer->chunks(shape.batch, threads);
        for (int64_t chunk = 0; chunk < chunks; ++chunk) {
          const std::vector<Told> all = watched.run_chunk(*layer, chunk, threads);
          const std::byte* reached = covered;  // a chunk goes on where the one before it ends
          for (const Told& t : all) {
            if (!watched.is_next(t)) continue;
            ASSERT_EQ(t.next, reached) << shape << ", chunk " << chunk << " of " << chunks << ", " << bytes << " bytes";
            ASSERT_LE(t.end, watched.next.data() + bytes);
            reached = std::min(t.next + t.asked, t.end);
            covered = t.end;
          }
        }
        EXPECT_EQ(covered - watched.next.data(), static_cast<int64_t>(bytes))
            << shape << ", " << chunks << " chunks for " << threads << " threads";
      }
}

TEST(NextWeights, come_whole_where_the_layer_has_steps_enough) {
  Watched watched(square(14, 64, 128, 3, 1, 1), 100000);
  const auto layer = make_conv_u8s8_packed(watched.data.desc, k_direct, CutBy::automatic, Isa::scalar);
  for (int64_t chunk = 0; chunk < layer->chunks(1, 2); ++chunk) {
    const std::byte *reached = nullptr, *end = nullptr;
    for (const Told& t : watched.run_chunk(*layer, chunk, 2))
      if (watched.is_next(t)) reached = t.next + t.asked, end = t.end;
    EXPECT_GE(reached, end) << "chunk " << chunk;
  }
}

TEST(NextWeights, of_a_large_layer_come_in_part_each_chunks_at_its_own_place) {
  constexpr int64_t k_bytes = 3 << 20;
  Watched watched(square(14, 64, 128, 3, 1, 1), k_bytes);
  const auto layer = make_conv_u8s8_packed(watched.data.desc, k_direct, CutBy::automatic, Isa::scalar);
  for (const int threads : {1, 2, 4}) {
    const int64_t chunks = layer->chunks(1, threads);
    int64_t wanted = 0;
    for (int64_t chunk = 0; chunk < chunks; ++chunk) {
      const std::byte *first = nullptr, *end = nullptr;
      for (const Told& t : watched.run_chunk(*layer, chunk, threads))
        if (watched.is_next(t)) first = first ? first : t.next, end = t.end;
      EXPECT_EQ(first - watched.next.data(), k_bytes * chunk / chunks);
      wanted += end - first;
    }
    EXPECT_EQ(wanted, (k_most_ahead + chunks - 1) / chunks * chunks);
  }
}

TEST(NextWeights, where_there_are_none_nothing_is_asked_for) {
  for (const ConvCase& shape : {square(14, 64, 128, 3, 1, 1), square(8, 96, 200, 1)}) {
    Watched watched(shape, 0);
    const auto layer = make_conv_u8s8_packed(watched.data.desc, k_direct, CutBy::pixels, Isa::scalar);
    const std::byte* last_panel = nullptr;
    const std::vector<Told> all = watched.run_chunk(*layer, 0, 1);
    for (const Told& t : all) last_panel = std::max(last_panel, t.weights);
    for (const Told& t : all)
      if (t.weights == last_panel) {
        EXPECT_GE(t.next, t.end);
      }
  }
}

/// While a panel is computed, the weights of the one behind it are asked for.
void expect_own_panels(const std::vector<Told>& all) {
  std::vector<const std::byte*> panels;
  for (const Told& t : all) panels.push_back(t.weights);
  std::sort(panels.begin(), panels.end());
  panels.erase(std::unique(panels.begin(), panels.end()), panels.end());
  ASSERT_GT(panels.size(), 2u);
  for (size_t p = 0; p + 1 < panels.size(); ++p) {
    const auto first = std::find_if(all.begin(), all.end(), [&](const Told& t) { return t.weights == panels[p]; });
    EXPECT_EQ(first->next, panels[p + 1]) << "panel " << p;
    EXPECT_GT(first->asked, 0) << "panel " << p;
  }
}

TEST(NextWeights, of_a_layers_own_next_panel_come_before_those_of_the_next_layer) {
  Watched watched(square(7, 128, 256, 3, 1, 1), 5000);
  const auto layer = make_conv_u8s8_packed(watched.data.desc, k_direct, CutBy::automatic, Isa::scalar);
  expect_own_panels(watched.run_chunk(*layer, 0, 1));
}

/// A layer on AMX that is told `ahead`, and its calls chunk by chunk.
struct WatchedOnAmx : Watched {
  WatchedOnAmx(const ConvCase& shape, CutBy cut) : Watched(shape, 0) {
    layer = make_conv_u8s8_amx(data.desc, k_amx, cut, Isa::scalar);
    const std::vector<Told> all = run_chunk(0, 1, nullptr);
    const std::byte* last = all[0].weights;
    for (const Told& t : all) {
      last = std::max(last, t.weights);
      if (t.weights != all[0].weights && panel == 0) panel = static_cast<size_t>(t.weights - all[0].weights);
    }
    own = {all[0].weights, static_cast<size_t>(last - all[0].weights) + panel};  // behind them lies the bias
  }
  std::vector<Told> run_chunk(int64_t chunk, int threads, const WeightsAhead* ahead) {
    const AlignedBytes scratch = allocate_aligned(layer->scratch_bytes());
    told.clear();
    layer->run_chunk({.batch = data.shape.batch, .x = data.x.data(), .residual = {}, .y = y.data(), .ahead = ahead},
                     chunk, threads, scratch.get());
    return told;
  }
  int64_t chunks(int threads) const { return layer->chunks(data.shape.batch, threads); }

  std::unique_ptr<const ConvU8S8> layer;
  std::span<const std::byte> own;
  size_t panel = 0;  // bytes of 32 channels
};

/// Each byte of `wanted` is asked for once and in order, from the `from`-th call on; returns the call behind the last.
size_t expect_asked_for(std::span<const std::byte> wanted, const std::vector<Told>& all, size_t from) {
  const std::byte* reached = wanted.data();
  const std::byte* const end = wanted.data() + wanted.size();
  for (; from < all.size() && reached < end; ++from) {
    EXPECT_EQ(all[from].next, reached);
    reached = all[from].end;
  }
  EXPECT_GE(reached, end);
  return from;
}

// One panel after the other, all pixels each: 16 blocks and more. A block asks for whole lines of each step.
TEST(NextWeights, on_amx_come_a_panel_before_they_are_read_and_later_layers_behind_them) {
  const std::vector<std::byte> second(50000), third(7000);
  for (const ConvCase& shape :
       {square(14, 64, 256, 3, 1, 1), square(15, 96, 128, 3, 2, 1), square(8, 128, 320, 3, 1, 1)})
    for (const int threads : {1, 2, 3})
      for (const size_t near_panels : {0, 1, 2, 99}) {
        WatchedOnAmx watched(shape, CutBy::pixels);
        const int64_t chunks = watched.chunks(threads);
        const size_t panel = watched.panel;
        const std::span<const std::byte> all_second(second), all_third(third);
        const std::vector<std::span<const std::byte>> rest(static_cast<size_t>(threads), all_second.subspan(20000)),
            whole(static_cast<size_t>(threads), all_third);
        const WeightsAhead ahead{std::min(near_panels * panel, watched.own.size()), {{rest}, {whole}}};
        for (int64_t chunk = 0; chunk < chunks; ++chunk) {
          const std::vector<Told> all = watched.run_chunk(chunk, threads, &ahead);
          const size_t near = std::min(watched.own.size(), std::max<size_t>(near_panels, 1) * panel);
          size_t at = expect_asked_for(watched.own.subspan(near), all, 0);
          // No panel is read before all of it was asked for.
          const std::byte* reached = watched.own.data() + near;
          for (size_t i = 0; i < all.size(); ++i) {
            EXPECT_LE(std::min(all[i].weights + panel, watched.own.data() + watched.own.size()), reached)
                << shape << ", chunk " << chunk << ", call " << i;
            if (i < at) reached = std::max(reached, all[i].end);
          }
          if (all.size() < 24) continue;  // a few blocks bring what they can
          for (const WeightsPart& part : ahead.parts) at = expect_asked_for(share_of(part, chunk, chunks), all, at);
          for (; at < all.size(); ++at) EXPECT_EQ(all[at].asked, 0);
        }
      }
}

// A batch whose pixels do not fit a block together meets all panels again and again; weights that L2 keeps come once.
TEST(NextWeights, on_amx_come_once_where_blocks_of_pixels_share_them) {
  WatchedOnAmx watched(square(28, 64, 96, 3, 1, 1, 1, 1, 8), CutBy::pixels);
  const std::vector<std::byte> second(300000);
  const WeightsAhead ahead{0, {{{second}}}};
  const std::vector<Told> all = watched.run_chunk(0, 1, &ahead);
  const size_t at = expect_asked_for(watched.own.subspan(watched.panel), all, 0);
  const size_t end = expect_asked_for(second, all, at);
  EXPECT_GT(end, all.size() / 2) << "spread over the walks";
}

// Rows of several kilobytes: blocks of them are as large as L2 allows, or the input is copied in place of gathering.
TEST(NextWeights, on_amx_of_large_layers_are_read_by_few_blocks_of_a_batch) {
  struct Case {
    ConvCase shape;
    size_t times;
  };
  for (const Case& c : {Case{square(7, 512, 512, 3, 1, 1, 1, 1, 8), 1}, Case{square(14, 512, 512, 3, 2, 1, 1, 1, 8), 2},
                        Case{square(7, 2048, 512, 1, 1, 0, 1, 1, 8), 1}}) {
    WatchedOnAmx watched(c.shape, CutBy::pixels);
    watched.data.desc.expected = {.batch = 8, .threads = 1};
    watched.layer = make_conv_u8s8_amx(watched.data.desc, k_amx, CutBy::pixels, Isa::scalar);
    const std::vector<Told> all = watched.run_chunk(0, 1, nullptr);
    size_t read = 0;
    for (size_t i = 0; i < all.size(); ++i) read += i == 0 || all[i].weights != all[i - 1].weights;
    EXPECT_EQ(read, c.times * 512 / 32) << c.shape;
  }
}

// 49 pixels: the 17 behind the first 32 do not fill their tiles, and are copied once for all panels.
TEST(NextWeights, on_amx_rows_that_do_not_fill_a_tile_are_copied_once) {
  for (const int64_t outputs : {32, 256}) {
    WatchedOnAmx watched(square(7, 512, outputs, 1, 1, 0), CutBy::pixels);
    gathered_rows = 0;
    watched.run_chunk(0, 1, nullptr);
    EXPECT_EQ(gathered_rows, 17) << outputs << " channels";
  }
}

// A panel's weights and the rows of 32 positions leave no room in L1 for each other: the weights are met again.
TEST(NextWeights, on_amx_stay_in_l1_where_rows_pass_it_by) {
  struct Case {
    ConvCase shape;
    bool passes;
  };
  for (const Case& c : {Case{square(7, 1024, 64, 1, 1, 0), true}, Case{square(10, 1024, 64, 1, 2, 0), false},
                        Case{square(14, 1024, 64, 1, 2, 0), true}, Case{square(7, 512, 64, 1, 1, 0), false},
                        Case{square(7, 2048, 64, 1, 1, 0), false}, Case{square(14, 112, 64, 3, 1, 1), false}}) {
    WatchedOnAmx watched(c.shape, CutBy::pixels);
    for (const Told& t : watched.run_chunk(0, 1, nullptr)) EXPECT_EQ(t.passes_rows, c.passes) << c.shape;
  }
}

// As many chunks as the layer at hand has: a worker's chunks bring what this worker is going to read.
TEST(NextWeights, on_amx_a_share_is_of_what_the_chunks_own_worker_reads) {
  const std::vector<std::byte> weights(5000);
  for (const int64_t workers : {1, 2, 3, 8})
    for (const int64_t chunks : {1, 2, 3, 7, 8, 16}) {
      WeightsPart part;
      for (int64_t w = 0; w < workers; ++w) part.by_worker.push_back(std::span(weights).subspan(512 * w, 700 + w));
      ChunkRanges ranges(static_cast<int>(workers));
      for (int64_t w = 0; w < workers; ++w) {
        const std::span<const std::byte> own = part.by_worker[static_cast<size_t>(w)];
        const std::byte* reached = own.data();
        int64_t chunk = 0;
        bool has_any = false;
        while (ranges.take(1, static_cast<uint64_t>(chunks), static_cast<int>(w), true, chunk)) {
          const std::span<const std::byte> share = share_of(part, chunk, chunks);
          EXPECT_EQ(share.data(), reached) << "chunk " << chunk << " of " << chunks << ", worker " << w;
          reached = share.data() + share.size(), has_any = true;
        }
        if (has_any) {
          EXPECT_EQ(reached, own.data() + own.size()) << chunks << " chunks, worker " << w;
        }
      }
    }
}

// By channels each worker reads some panels, by pixels all of them.
TEST(NextWeights, on_amx_what_a_worker_reads_are_its_panels) {
  WatchedOnAmx by_panels(square(8, 128, 320, 3, 1, 1), CutBy::panels),
      by_pixels(square(8, 128, 320, 3, 1, 1), CutBy::pixels);
  for (const int threads : {1, 2, 3, 5}) {
    const std::byte* reached = by_panels.own.data();
    for (int64_t worker = 0; worker < threads; ++worker) {
      const std::span<const std::byte> own = by_panels.layer->read_by(worker, 1, threads);
      EXPECT_EQ(own.data(), reached);
      EXPECT_EQ(own.size() % by_panels.panel, 0u);
      reached = own.data() + own.size();
      const std::span<const std::byte> all = by_pixels.layer->read_by(worker, 1, threads);
      EXPECT_EQ(all.data(), by_pixels.own.data());
      EXPECT_EQ(all.size(), by_pixels.own.size());
    }
    EXPECT_EQ(reached, by_panels.own.data() + by_panels.own.size());
  }
}

/// Layers that ask for a whole panel's bytes: those of their next panel, then the first of the next layer, if it has so
/// many.
void expect_panels(Watched& watched, const ConvU8S8& layer) {
  const std::vector<Told> all = watched.run_chunk(layer, 0, 1);
  expect_own_panels(all);
  EXPECT_EQ(all.back().next, watched.next.data());
  EXPECT_LE(all.back().asked, static_cast<int64_t>(watched.next.size()));
  EXPECT_GT(all.back().asked, 0);
  watched.next.resize(static_cast<size_t>(all.back().asked) - 1);  // fewer than would be read
  for (const Told& t : watched.run_chunk(layer, 0, 1)) EXPECT_FALSE(watched.is_next(t));
}

TEST(NextWeights, of_small_images_are_a_panels_bytes) {
  Watched watched(square(4, 64, 96, 3, 1, 1), 200000);
  expect_panels(watched, *make_conv_u8s8_images(watched.data.desc, k_images, CutBy::automatic));
}

// Vector by vector, within a panel and from one panel's last to the next one's first.
TEST(NextWeights, of_winograds_codes_are_a_vectors_bytes) {
  for (const int vectors : {1, 4})
    for (const int64_t oc : {96, 130}) {
      WinogradKernel kernel = k_winograd;
      kernel.vectors = vectors;
      Watched watched(square(8, 64, oc, 3, 1, 1), 200000);
      const auto layer = make_winograd_u8s8(watched.data.desc, kernel, Isa::scalar);
      EXPECT_EQ(watched.run_chunk(*layer, 0, 1).size(), static_cast<size_t>((oc + 15) / 16)) << "one block";
      expect_panels(watched, *layer);
    }
}

// Weights that are transformed beforehand bring their next position's near by themselves. A chunk's blocks lie in up to
// three pieces.
TEST(NextWeights, follow_the_last_panel_of_each_block_of_winograds_tiles) {
  for (const ConvCase& shape : {square(30, 64, 96, 3, 1, 1), square(14, 128, 32, 3, 1, 1, 1, 1, 2)})
    for (const int threads : {1, 2, 3})
      for (const int64_t bytes : {int64_t{0}, int64_t{1}, int64_t{4097}, k_most_ahead, 3 * k_most_ahead}) {
        Watched watched(shape, static_cast<size_t>(bytes));
        const auto layer = make_winograd_u8s8(watched.data.desc, k_whole_winograd, Isa::scalar);
        const int64_t chunks = layer->chunks(shape.batch, threads);
        int64_t asked = 0, most_blocks = 0;
        for (int64_t chunk = 0; chunk < chunks; ++chunk) {
          const std::byte* reached = watched.next.data() + bytes * chunk / chunks;
          int64_t turns = 0, least = k_most_ahead, most = 0;
          for (const Told& t : watched.run_chunk(*layer, chunk, threads)) {
            if (!watched.is_next(t)) continue;
            ASSERT_EQ(t.next, reached) << shape << ", chunk " << chunk << " of " << chunks << ", " << bytes << " bytes";
            reached = t.end, asked += t.asked, ++turns;
            least = std::min(least, t.asked), most = std::max(most, t.asked);
          }
          if (bytes < 4097) continue;
          EXPECT_EQ(turns, blocks) << shape << ", chunk " << chunk << " of " << chunks;
          EXPECT_LE(most - least, 1) << shape << ", chunk " << chunk << " of " << chunks;
          most_blocks = std::max(most_blocks, blocks);
        }
        if (bytes >= 4097 && (threads == 1 || shape.batch == 1)) {  // else two and three workers have a block each
          EXPECT_GT(most_blocks, 1) << shape << ", " << threads << " threads";
        }
        EXPECT_EQ(asked, std::min(bytes, (k_most_ahead + chunks - 1) / chunks * chunks))
            << shape << ", " << chunks << " chunks, " << bytes << " bytes";
      }
}

}  // namespace
}  // namespace octet
