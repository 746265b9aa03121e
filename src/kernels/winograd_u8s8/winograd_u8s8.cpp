// Winograd's F(4x4, 3x3) in integers. For a tile of 4 x 4 outputs and its 6 x 6 inputs d (codes without their zero
// point), with the matrices of Lavin and Gray, arXiv:1509.09308:
//
//   y = A^T [ sum over channels of (G g G^T) * (B^T d B) ] A
//
// B^T is of integers, and no row's absolute values add to more than 10: |B^T d B| <= 100 * 255 fits s16. G is not; its
// rows times 24, 6, 6, 24, 24 and 6 are (packing.cpp), and G g G^T then fits s16 as well. A^T undoes these factors up
// to one per row: 24, 12, 6 and 6. So what comes out is T = y * 9 * 2^k, k = k_shift[i] + k_shift[j] <= 6, and it is
// computed modulo 2^32, as are the sums of products: none of them can lose anything. T * 9^-1 modulo 2^32 is y * 2^k
// modulo 2^32, and an arithmetic shift to the right gives y, provided that y * 2^k is an int32: |y| < 2^25. That is
// proven from the weights; a layer for which it does not hold is refused.
//
// F(2, 3)'s points are four of those six: 0, 1, -1 and infinity. With the same weights and the rows of B^T times 1, -3,
// 3 and -1 its A^T gives y * 6 in either output, so a tile may be the smaller form's in either axis (WinogradSize).
#include "kernels/winograd_u8s8/winograd_u8s8.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <cstdlib>
#include <cstring>

#include "base/aligned.h"
#include "base/ceil_div.h"
#include "kernels/activation/activation.h"
#include "kernels/conv_u8s8/image_layer.h"
#include "kernels/conv_u8s8/packing.h"
#include "kernels/implicit_gemm/pixel_classes.h"
#include "kernels/implicit_gemm/split.h"
#include "kernels/winograd_u8s8/packing.h"
#include "kernels/winograd_u8s8/winograd_isa.h"

namespace octet {
namespace {

/// Kernels of 256 bits serve engines of their own ISA alone: better ones have a faster one.
bool serves(Isa kernel, Isa engine) { return kernel == engine || (kernel == Isa::avx512_vnni && kernel < engine); }

/// That run under `isa` on this machine.
std::vector<const WinogradKernel*> kernels_of(Isa isa) {
  const std::vector<Isa> have = available_isas();
  std::vector<const WinogradKernel*> list;
#define OCTET_KERNEL(entry, kernel)                                                             \
  if (serves(Isa::entry, isa) && std::find(have.begin(), have.end(), Isa::entry) != have.end()) \
    list.push_back(&(kernel));
#include "kernels/winograd_u8s8/kernels.def"
#undef OCTET_KERNEL
  return list;
}

size_t round_up(size_t bytes) { return (bytes + k_alignment - 1) / k_alignment * k_alignment; }

constexpr int32_t k_in_order[k_winograd_pixels] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

/// Transformed inputs and sums of a block of tiles stay in L2: beside the weights that pass where those are few; where
/// they are many, each block more would bring all of them from memory again.
int64_t block_tiles_of(const WinogradKernel& kernel, const WindowGeometry& g) {
  if (kernel.from_codes) return kernel.rows;
  const int64_t weight_bytes = k_winograd_positions * 2 * g.ic * g.oc;
  const bool is_small = weight_bytes <= static_cast<int64_t>(k_resident_weight_bytes);
  const int64_t share = is_small ? 224 << 10 : 896 << 10;
  const int64_t lanes = kernel.lanes * std::min<int64_t>(kernel.vectors, ceil_div(g.oc, kernel.lanes));
  const int64_t tile_bytes = k_winograd_positions * (ceil_div(g.ic, kernel.chunk) * kernel.chunk * 2 + lanes * 4);
  return std::max<int64_t>(share / tile_bytes, kernel.rows);
}

/// What things cost, in cycles of a core as in implicit_gemm/variant.cpp: two vectors of products per cycle, a round
/// clock. Only the ratio to the direct way's cost matters.
struct Costs {
  double load, latency;  // of a vector; from a product to the next of the same sum
  double block;          // around the products of a block of tiles at a position
  double chunk;          // of channels, in the input transform of a tile
  double vector;         // of output channels of a tile: transform back, requantize, store
  double weights;        // that are transformed on the way, for four tiles: six of them
  double row;            // of positions, around those
  double bytes;          // per cycle: weights come from L3 or memory, what a network reads in between leaves none in L2
  double near_bytes;     // where the network's weights as codes stay in L2: these come from it, or L3 still has them
  double codes_margin;   // how much better the form that keeps codes has to be
};
constexpr Costs k_whole = {
    .load = 0.5,
    .latency = 4,
    .block = 25,
    .chunk = 100,
    .vector = 110,
    .weights = 7.7,
    .row = 40,
    .bytes = 6,
    .near_bytes = 6,        // not measured on such a CPU
    .codes_margin = 1.08};  // its instructions want the products' pipes, and on no such CPU has it been measured
// Where a 512-bit instruction takes two turns a cycle is two of them, and weights are transformed on pipes that
// products leave free.
constexpr Costs k_halves = {.load = 0.4,
                            .latency = 2,
                            .block = 12,
                            .chunk = 90,
                            .vector = 85,
                            .weights = 1.4,
                            .row = 60,
                            .bytes = 12,
                            .near_bytes = 24,
                            .codes_margin = 1};
// Cores with 2 MB of L2 share an L3 that lies all over the chip (servers of Intel since 2023): it gives one core 9
// bytes a cycle, about half of the 17 or more that one of eight cores gets, so each byte that passes counts double.
constexpr size_t k_l2_before_far_l3 = size_t{2} << 20;
constexpr Costs k_far = [] {
  Costs far = k_whole;
  far.bytes = far.near_bytes = k_whole.bytes / 2;
  far.codes_margin = 1;
  return far;
}();
// Kernels of 256 bits, whichever instruction multiplies; measured on a Zen 4.
constexpr Costs k_narrow = [] {
  Costs narrow = k_whole;
  narrow.latency = 4.5;
  narrow.chunk = 105;
  narrow.vector = 150;
  narrow.bytes = narrow.near_bytes = 8;
  return narrow;
}();
constexpr double k_cycles_per_us = 3500;
// The direct way is taken where this one is not clearly better: it needs an eighth of the weights' memory.
constexpr double k_margin = 1.08;

const Costs& costs_of(const WinogradKernel& kernel, const ConvCpu& cpu) {
  if (kernel.lanes == 8) return k_narrow;
  if (cpu.has_half_width) return k_halves;
  return cpu.l2_bytes >= k_l2_before_far_l3 ? k_far : k_whole;
}

/// Share of an axis' taps that do not lie in the padding.
double live_share(int64_t in, int64_t out, int64_t pad) {
  int64_t live = 0;
  for (int64_t o = 0; o < out; ++o)
    for (int64_t k = 0; k < 3; ++k) live += o - pad + k >= 0 && o - pad + k < in;
  return static_cast<double>(std::max<int64_t>(live, 1)) / static_cast<double>(3 * out);
}

/// Outputs of the tiles of an axis on which `left` are left: a small tile where it is the last.
int outputs_of(const WinogradKernel& kernel, int64_t left) { return kernel.has_halves && left <= 2 ? 2 : 4; }

/// Tiles of an axis of n outputs, in tiles of six positions.
double axis_tiles(const WinogradKernel& kernel, int64_t n) {
  const int64_t whole = n / 4;
  return static_cast<double>(whole) + (n % 4 == 0 ? 0 : (outputs_of(kernel, n % 4) + 2) / 6.0);
}

/// Cycles of the products of a panel of `vectors` with all tiles.
double panel_cycles(const WinogradKernel& kernel, const Costs& costs, int64_t ic, double tiles, int vectors) {
  const auto pairs = static_cast<double>(ceil_div(ic, 2));
  const double blocks = std::ceil(tiles / kernel.rows);
  const double rows = tiles / blocks;
  if (kernel.from_codes) {
    const double row = pairs * (6 * kernel.rows * kernel.dot_cycles + costs.weights) + costs.row;
    return 6 * vectors * blocks * row;
  }
  const double step = std::max({rows * vectors * kernel.dot_cycles, (rows + vectors) * costs.load, costs.latency});
  return k_winograd_positions * blocks * (pairs * step + costs.block);
}

double cost_us(const WinogradKernel& kernel, const Costs& costs, const WindowGeometry& g, int64_t batch, bool is_near) {
  const int64_t tiles = batch * ceil_div(g.oh, 4) * ceil_div(g.ow, 4);
  const auto pairs = static_cast<double>(ceil_div(g.ic, 2));
  const double whole_tiles = static_cast<double>(batch) * axis_tiles(kernel, g.oh) * axis_tiles(kernel, g.ow);
  double products = 0, vectors = 0;
  for (const int v : panel_vectors(g.oc, kernel.lanes, kernel.vectors))
    products += panel_cycles(kernel, costs, g.ic, whole_tiles, v), vectors += v;
  const double pair_bytes = kernel.from_codes ? k_winograd_codes : 4 * k_winograd_positions;
  const double weight_bytes = pair_bytes * pairs * vectors * kernel.lanes;
  const bool stay = weight_bytes <= static_cast<double>(k_resident_weight_bytes);
  const auto turns = static_cast<double>(stay ? 1 : ceil_div(tiles, block_tiles_of(kernel, g)));
  const double chunks = static_cast<double>(ceil_div(g.ic, kernel.chunk));
  const double transforms = static_cast<double>(tiles) * (chunks * costs.chunk + vectors * costs.vector);
  const double cycles =
      std::max(products, turns * weight_bytes / (is_near ? costs.near_bytes : costs.bytes)) + transforms;
  // The direct way's cost counts taps in the padding, but for short rows and small images, though it leaves them out.
  const double live =
      is_small_image(g) ? 1
                        : live_share(g.ih, g.oh, g.pad_top) * live_share(g.iw, g.ow, g.pad_left) / short_rows_share(g);
  return (kernel.from_codes ? costs.codes_margin : k_margin) * cycles / live / k_cycles_per_us;
}

/// Scratch of a worker: [transformed inputs of a block][sums of a block and panel][pixels of a tile][f32 tile]. Weights
/// that are kept as codes meet vector by vector of a panel, and then pixels are those of all tiles of a block: a line
/// of codes is stored whole.
class WinogradU8S8 final : public ConvU8S8 {
 public:
  WinogradU8S8(const ConvU8S8Desc& desc, const WinogradKernel& kernel, Isa isa)
      : desc_(desc),
        geometry_(desc.geometry),
        kernel_(kernel),
        f32_(needs_f32(desc)),
        activation_(activation_kernels(isa)),
        to_codes_(activation_codes(desc, isa)),
        packed_(pack_winograd_u8s8(desc, kernel, f32_)),
        clamp_(code_clamp(desc)),
        tiles_y_(ceil_div(geometry_.oh, 4)),
        tiles_x_(ceil_div(geometry_.ow, 4)),
        has_small_tiles_(outputs_of(kernel, (geometry_.oh - 1) % 4 + 1) == 2 ||
                         outputs_of(kernel, (geometry_.ow - 1) % 4 + 1) == 2),
        row_(ceil_div(geometry_.ic, kernel.chunk) * kernel.chunk),
        pad_(static_cast<size_t>(row_) + k_tail_bytes, static_cast<uint8_t>(desc.x_zero_point)),
        block_tiles_(block_tiles_of(kernel, geometry_)) {
    for (int32_t i = 0; i < k_winograd_pixels; ++i) {
      places_[i] = static_cast<int32_t>(i / 4 * geometry_.ow) + i % 4;
      rows_[i] = i * static_cast<int32_t>(panel());
    }
    const ConvWork all = work(desc.expected.batch, desc.expected.threads);
    known_ = known_cut(desc.expected, all, deal(all, desc.expected.threads));
    fit_block();
    desc_.weights = {};
    desc_.bias = {};
    desc_.multiplier = {};
  }

  const char* kernel_name() const override { return kernel_.name; }
  size_t packed_bytes() const override { return packed_.weights_bytes + 8 * packed_.bias.size() + pad_.size(); }
  PackedConvWeights packed() const override { return packed_.kept; }

  int64_t chunks(int64_t batch, int threads) const override {
    return known_.serves(batch, threads) ? known_.count() : deal(work(batch, threads), threads).chunks;
  }

  size_t scratch_bytes() const override {
    const int64_t tiles = (kernel_.from_codes ? block_tiles_ : 1) + (through_tile() ? 1 : 0);
    return input_bytes() + sums_bytes() + static_cast<size_t>(tiles) * pixels_bytes();
  }

  void run_chunk(const ConvU8S8Args& args, int64_t chunk, int threads, std::byte* scratch) const override {
    const ConvChunk own = chunk_at(args.batch, threads, chunk);
    const Pieces<ConvPiece>& pieces = own.pieces;
    std::span<const std::byte> next_weights = next_layers_share(args.next_weights, chunk, own.deal.chunks);
    int64_t blocks_left = 0;
    for (const ConvPiece& piece : pieces) blocks_left += blocks_of(piece);
    for (const ConvPiece& piece : pieces) {
      const int64_t count = piece.pixels.end - piece.pixels.begin, blocks = blocks_of(piece);
      for (int64_t b = 0; b < blocks; ++b, --blocks_left) {
        const IndexRange tiles = part_of(count, blocks, b, tile_rows(args.batch * tiles_y_ * tiles_x_, threads));
        const bool is_last = blocks_left == 1;
        const auto share = next_weights.first(next_weights.size() / static_cast<size_t>(blocks_left));
        next_weights = next_weights.subspan(share.size());
        run_block(args, {piece.pixels.begin + tiles.begin, piece.pixels.begin + tiles.end}, piece.panels, is_last,
                  share, scratch);
      }
    }
  }

 private:
  int64_t panel() const { return kernel_.lanes * kernel_.vectors; }
  // A line between positions, or 36 lines of a tile would meet in a few sets of L1.
  int64_t input_step() const { return block_tiles_ * row_ + 32; }
  int64_t sum_lanes() const { return kernel_.from_codes ? kernel_.lanes : panel(); }
  int64_t sums_step() const { return block_tiles_ * sum_lanes() + 16; }
  size_t input_bytes() const { return round_up(static_cast<size_t>(k_winograd_positions * input_step()) * 2); }
  size_t sums_bytes() const { return round_up(static_cast<size_t>(k_winograd_positions * sums_step()) * 4); }
  size_t pixels_bytes() const { return static_cast<size_t>(k_winograd_pixels * panel()) * 4; }  // of a tile
  bool through_tile() const { return f32_ && !desc_.f32_output; }
  int64_t blocks_of(const ConvPiece& piece) const {
    return ceil_div(piece.pixels.end - piece.pixels.begin, block_tiles_);
  }

  /// Pixels are tiles here. What a tile's input costs a worker that another has made: fetching it, and the transform.
  /// Where tiles are too few for the workers to have whole blocks of them, half a block each: with all tiles' channels
  /// in parts, each would transform all inputs and write to lines that others write to.
  ConvWork work(int64_t batch, int threads) const {
    const int64_t tiles = batch * tiles_y_ * tiles_x_;
    return {.pixels = tiles,
            .panels = static_cast<int64_t>(packed_.panels.size()),
            .panel_bytes = static_cast<int64_t>(packed_.weights_bytes / packed_.panels.size()),
            .pixel_bytes = 2 * k_winograd_pixels * geometry_.ic,
            .tile_rows = tile_rows(tiles, threads)};
  }
  int64_t tile_rows(int64_t tiles, int threads) const {
    if (!kernel_.from_codes) return 1;
    return tiles < kernel_.rows * threads ? kernel_.rows / 2 : kernel_.rows;
  }
  ConvChunk chunk_at(int64_t batch, int threads, int64_t chunk) const {
    if (known_.serves(batch, threads)) return known_[chunk];
    const ConvWork all = work(batch, threads);
    const ConvDeal cut = deal(all, threads);
    return {cut, conv_pieces(all, cut, chunk)};
  }

  /// Every chunk transforms the tiles that it meets: cut by panels, one for each worker and no more.
  static ConvDeal deal(const ConvWork& work, int threads) {
    ConvDeal deal = conv_deal(work, threads);
    if (deal.by_panels) deal.chunks = std::min<int64_t>(deal.chunks, threads);
    return deal;
  }

  /// A block of no more tiles than a chunk of the expected run has: positions lie the closer together.
  void fit_block() {
    int64_t most = 0;
    for (int64_t chunk = 0; chunk < known_.count(); ++chunk)
      for (const ConvPiece& piece : known_[chunk].pieces) most = std::max(most, piece.pixels.end - piece.pixels.begin);
    if (most > 0) block_tiles_ = std::min(block_tiles_, std::max<int64_t>(most, kernel_.rows));
  }

  struct Tile {
    int64_t image, y, x;  // first output
  };
  WinogradSize size_of(const Tile& tile) const {
    if (!has_small_tiles_) return {};
    return {outputs_of(kernel_, geometry_.oh - tile.y), outputs_of(kernel_, geometry_.ow - tile.x)};
  }

  /// A block's tiles in the order of WinogradProducts: those of a size lie together.
  class Places {
   public:
    void count(const WinogradSize& size) { ++next_[kind(size) + 1]; }
    void begin() {
      for (size_t i = 1; i < std::size(next_); ++i) next_[i] += next_[i - 1];
    }
    int64_t take(const WinogradSize& size) { return next_[kind(size)]++; }
    /// Before the first take().
    int64_t first(const WinogradSize& size) const { return next_[kind(size)]; }

   private:
    static size_t kind(const WinogradSize& size) {
      if (size.rows == 4) return size.columns == 4 ? 1 : 0;
      return size.columns == 4 ? 2 : 3;
    }
    int64_t next_[5] = {};
  };
  Places places_of(Tile tile, int64_t count) const {
    Places places;
    for (int64_t t = 0; t < count; ++t, advance(tile)) places.count(size_of(tile));
    places.begin();
    return places;
  }

  Tile tile_at(int64_t index) const {
    const int64_t of_image = tiles_y_ * tiles_x_, at = index % of_image;
    return {index / of_image, at / tiles_x_ * 4, at % tiles_x_ * 4};
  }
  void advance(Tile& tile) const {
    tile.x += 4;
    if (tile.x < geometry_.ow) return;
    tile.x = 0;
    tile.y += 4;
    if (tile.y < geometry_.oh) return;
    tile.y = 0;
    ++tile.image;
  }

  /// Transforms a tile's inputs. Where some lie in the padding it goes by addresses: those are a pixel of zero points.
  void bring_input(const uint8_t* x, const Tile& tile, int16_t* to) const {
    const WindowGeometry& g = geometry_;
    const int64_t top = tile.y - g.pad_top, left = tile.x - g.pad_left;
    WinogradInput input;
    input.x = x + ((tile.image * g.ih + top) * g.iw + left) * g.x_pitch;
    input.row_bytes = g.iw * g.x_pitch;
    input.pixel_bytes = g.x_pitch;
    input.channels = g.ic;
    input.zero_point = desc_.x_zero_point;
    input.to = to;
    input.step = input_step();
    input.size = size_of(tile);
    const uint8_t* pixels[k_winograd_positions];
    if (input.size.rows + input.size.columns < 8 || top < 0 || left < 0 || top + 6 > g.ih || left + 6 > g.iw) {
      find_pixels(input, top, left, pixels);
      input.pixels = pixels;
    }
    kernel_.input(input);
  }

  /// First as if all lay in the image, then what does not: few tests, as a layer of small images has such tiles only.
  void find_pixels(const WinogradInput& input, int64_t top, int64_t left,
                   const uint8_t* (&pixels)[k_winograd_positions]) const {
    const uint8_t* row = input.x;
    for (int64_t i = 0; i < 6; ++i, row += input.row_bytes)
      for (int64_t j = 0; j < 6; ++j) pixels[6 * i + j] = row + j * input.pixel_bytes;
    for (int64_t j = 0; j < 6; ++j)
      if (left + j < 0 || left + j >= geometry_.iw)
        for (int64_t i = 0; i < 6; ++i) pixels[6 * i + j] = pad_.data();
    for (int64_t i = 0; i < 6; ++i)
      if (top + i < 0 || top + i >= geometry_.ih)
        for (int64_t j = 0; j < 6; ++j) pixels[6 * i + j] = pad_.data();
  }

  /// next_weights: the block's share of what is brought near of the next layer's.
  void run_block(const ConvU8S8Args& args, IndexRange tiles, IndexRange panels, bool is_last,
                 std::span<const std::byte> next_weights, std::byte* scratch) const {
    auto* const inputs = reinterpret_cast<int16_t*>(scratch);
    auto* const sums = reinterpret_cast<int32_t*>(scratch + input_bytes());
    const int64_t count = tiles.end - tiles.begin;
    const Tile first = tile_at(tiles.begin);
    const Places all_places = has_small_tiles_ ? places_of(first, count) : Places();
    Places places = all_places;
    // Tiles of one size lie in order, and need not be counted: layers of few tiles feel it.
    const auto place_of = [&](int64_t t, const WinogradSize& size) { return has_small_tiles_ ? places.take(size) : t; };
    Tile tile = first;
    for (int64_t t = 0; t < count; ++t, advance(tile))
      bring_input(args.x, tile, inputs + place_of(t, size_of(tile)) * row_);
    WinogradProducts products;
    products.whole_columns = all_places.first({4, 4});
    products.half_rows = has_small_tiles_ ? all_places.first({2, 4}) : count;
    products.corners = has_small_tiles_ ? all_places.first({2, 2}) : count;
    products.a = inputs;
    products.a_step = input_step();
    products.row = row_;
    products.pairs = (geometry_.ic + 1) / 2;
    products.tiles = count;
    products.sums = sums;
    products.sums_step = sums_step();
    for (int64_t p = panels.begin; p < panels.end; ++p) {
      const ConvU8S8Panel& own = packed_.panels[static_cast<size_t>(p)];
      const ConvU8S8Run run = panel_run(args, own);
      const int vectors = vectors_of(own);
      products.vectors = kernel_.from_codes ? 1 : vectors;
      for (int v = 0; v < vectors; v += products.vectors) {
        const bool is_last_vector = v + products.vectors == vectors;
        products.weights = packed_.weights + own.weights_offset + v * vector_bytes();
        if (kernel_.from_codes) {
          const bool is_end = is_last_vector && p + 1 == panels.end;
          products.ahead = is_end ? reinterpret_cast<const char*>(ahead_of(panels, is_last, args))
                                  : static_cast<const char*>(products.weights) + vector_bytes();
        } else if (p + 1 == panels.end) {
          products.ahead = reinterpret_cast<const char*>(next_weights.data());
          products.ahead_bytes = static_cast<int64_t>(next_weights.size());
        }
        kernel_.products(products);
        const int32_t* const bias = packed_.bias.data() + own.lane_offset + v * kernel_.lanes;
        tile = first;
        places = all_places;
        for (int64_t t = 0; t < count; ++t, advance(tile)) {
          int32_t* const pixels = pixels_at(scratch, kernel_.from_codes ? t : 0);
          const WinogradSize size = size_of(tile);
          kernel_.output({sums + place_of(t, size) * sum_lanes(), sums_step(), bias, products.vectors,
                          pixels + v * kernel_.lanes, panel(), size});
          if (is_last_vector) finish_tile(run, tile, pixels, scratch);
        }
      }
    }
  }

  int32_t* pixels_at(std::byte* scratch, int64_t tile) const {
    const size_t at = input_bytes() + sums_bytes() + static_cast<size_t>(tile) * pixels_bytes();
    return reinterpret_cast<int32_t*>(scratch + at);
  }

  /// Of codes.
  int64_t vector_bytes() const { return (geometry_.ic + 1) / 2 * kernel_.lanes * k_winograd_codes; }

  /// What is wanted behind the last vector of a block: the first one's weights again, or those of the next layer.
  const std::byte* ahead_of(IndexRange panels, bool is_last_block, const ConvU8S8Args& args) const {
    if (is_last_block && args.next_weights.size() >= static_cast<size_t>(vector_bytes()))
      return args.next_weights.data();
    return packed_.weights + packed_.panels[static_cast<size_t>(panels.begin)].weights_offset;
  }

  int vectors_of(const ConvU8S8Panel& panel) const { return static_cast<int>(ceil_div(panel.channels, kernel_.lanes)); }

  /// common: panel_run().
  void finish_tile(const ConvU8S8Run& common, const Tile& tile, const int32_t* pixels, std::byte* scratch) const {
    const WindowGeometry& g = geometry_;
    ConvU8S8Run run = common;
    const int64_t origin = (tile.image * g.oh + tile.y) * g.ow + tile.x;
    run.y = static_cast<std::byte*>(run.y) + origin * g.y_pitch * (desc_.f32_output ? 4 : 1);
    if (run.residual) run.residual += origin * g.residual_pitch;
    const int32_t* rows = rows_;
    int32_t places[2 * k_winograd_pixels], own_rows[k_winograd_pixels];
    if (tile.y + 4 > g.oh || tile.x + 4 > g.ow) {
      run.row_count = 0;
      for (int64_t i = 0; i < std::min<int64_t>(4, g.oh - tile.y); ++i)
        for (int64_t j = 0; j < std::min<int64_t>(4, g.ow - tile.x); ++j) {
          places[run.row_count] = static_cast<int32_t>(i * g.ow + j);
          own_rows[run.row_count++] = rows_[4 * i + j];
        }
      run.y_pixels = run.residual_pixels = places;
      rows = own_rows;
    }
    if (through_tile()) {
      auto* const values = reinterpret_cast<float*>(scratch + scratch_bytes() - pixels_bytes());
      ConvU8S8Run one = run;
      one.y = values;
      one.y_step = run.channels;
      one.y_pixels = k_in_order;
      kernel_.finish(one, pixels, rows);
      to_codes_.rows(values, static_cast<size_t>(run.channels), static_cast<size_t>(run.row_count),
                     static_cast<uint8_t*>(run.y), run.y_pixels, run.y_step);
      return;
    }
    kernel_.finish(run, pixels, rows);
    if (f32_ && desc_.activation.kind != ActivationKind::none)
      for (int32_t r = 0; r < run.row_count; ++r)
        activation_.activate(static_cast<float*>(run.y) + run.y_pixels[r] * run.y_step,
                             static_cast<size_t>(run.channels), desc_.activation);
  }

  /// What all tiles of a panel have in common, and a whole tile's pixels, from its first.
  ConvU8S8Run panel_run(const ConvU8S8Args& args, const ConvU8S8Panel& own) const {
    ConvU8S8Run run = common_run(desc_, f32_, clamp_);
    run.multiplier = packed_.multiplier.data() + own.lane_offset;
    if (desc_.has_residual) run.residual = args.residual + own.first_channel;
    run.y = static_cast<std::byte*>(args.y) + own.first_channel * (desc_.f32_output ? 4 : 1);
    run.y_pixels = run.residual_pixels = places_;
    run.row_count = k_winograd_pixels;
    run.channels = static_cast<int32_t>(own.channels);
    return run;
  }

  ConvU8S8Desc desc_;  // its spans are not used after construction
  WindowGeometry geometry_;
  const WinogradKernel& kernel_;
  bool f32_;
  ActivationKernels activation_;
  ActivationCodes to_codes_;
  PackedConvU8S8 packed_;
  CodeClamp clamp_;
  int64_t tiles_y_, tiles_x_;
  bool has_small_tiles_;  // as well as whole ones, or only such
  int64_t row_;           // elements of a tile's channels at one position
  AlignedVector<uint8_t> pad_;
  int64_t block_tiles_;
  KnownCut known_;
  int32_t places_[k_winograd_pixels], rows_[k_winograd_pixels];  // of a whole tile: in y, in its sums
};

/// The sum of an output channel's weights above zero, and that of those below.
struct SignedSums {
  int64_t above = 0, below = 0;
  explicit SignedSums(std::span<const int8_t> weights) {
    size_t i = 0;
    for (; i + 32 <= weights.size(); i += 32) {  // a fixed count becomes vectors
      int sizes = 0, sum = 0;
      for (size_t k = 0; k < 32; ++k) sizes += std::abs(static_cast<int>(weights[i + k])), sum += weights[i + k];
      above += (sizes + sum) / 2;
      below -= (sizes - sum) / 2;
    }
    for (; i < weights.size(); ++i) (weights[i] > 0 ? above : below) += weights[i];
  }
  /// The largest size of a sum of (x - zero_point) * w for codes x of 0 to 255.
  int64_t most(int64_t zero_point) const {
    const int64_t least = -zero_point, largest = 255 - zero_point;
    return std::max(largest * above + least * below, -(largest * below + least * above));
  }
};

}  // namespace

std::string refuse_winograd_u8s8(const WindowGeometry& g, std::span<const int8_t> weights, int32_t zero_point,
                                 Isa isa) {
  if (g.kh != 3 || g.kw != 3) return "the window is not 3x3";
  if (g.stride_h != 1 || g.stride_w != 1 || g.dilation_h != 1 || g.dilation_w != 1)
    return "only strides and dilations of 1";
  if (g.groups != 1) return "only one group";
  if (kernels_of(isa).empty()) return "no kernel for " + std::string(name(isa));
  constexpr int64_t k_limit = 1 << 25;  // of a sum, see above
  const int64_t count = g.ic * 9;
  if (count * 128 * 255 < k_limit) return "";
  for (int64_t oc = 0; oc < g.oc; ++oc) {
    const SignedSums sums(weights.subspan(static_cast<size_t>(oc * count), static_cast<size_t>(count)));
    if (const int64_t most = sums.most(zero_point); most >= k_limit)
      return "a sum of output channel " + std::to_string(oc) + " may reach " + std::to_string(most) +
             ", and 2^25 is too much";
  }
  return "";
}

int64_t winograd_u8s8_positions([[maybe_unused]] std::string_view variant, int64_t oh, int64_t ow) {
  const auto along = [&](int64_t n) {
    const int64_t left = n % 4;
    int64_t last = left == 0 ? 0 : 6;
#define OCTET_KERNEL(entry, kernel) \
  if (variant == kernel.name && left != 0) last = outputs_of(kernel, left) + 2;
#include "kernels/winograd_u8s8/kernels.def"
#undef OCTET_KERNEL
    return n / 4 * 6 + last;
  };
  return along(oh) * along(ow);
}

std::vector<ConvVariant> winograd_u8s8_variants(const WindowGeometry& g, int64_t batch, Isa isa, int64_t network_bytes,
                                                int threads, const ConvCpu& cpu) {
  // Of few tiles each worker has two, reads all transformed weights for them, and all layers' do not stay in its L2:
  // codes are as fast by then.
  const bool is_near = threads == 1 && network_bytes <= static_cast<int64_t>(cpu.l2_bytes);
  std::vector<ConvVariant> variants;
  for (const WinogradKernel* kernel : kernels_of(isa))
    variants.push_back({kernel->name, "", cost_us(*kernel, costs_of(*kernel, cpu), g, batch, is_near)});
  return variants;
}

std::unique_ptr<const ConvU8S8> make_winograd_u8s8(const ConvU8S8Desc& desc, const WinogradKernel& kernel, Isa isa) {
  if (desc.reads_image() || desc.before) return nullptr;
  assert(desc.geometry.kh == 3 && desc.geometry.kw == 3 && desc.geometry.stride_h == 1 && desc.geometry.stride_w == 1 &&
         desc.geometry.groups == 1 && "refuse_winograd_u8s8 has let the layer pass");
  return std::make_unique<WinogradU8S8>(desc, kernel, isa);
}

std::unique_ptr<const ConvU8S8> make_winograd_u8s8(const ConvU8S8Desc& desc, Isa isa, std::string_view variant) {
  for (const WinogradKernel* kernel : kernels_of(isa))
    if (variant.empty() || variant == kernel->name) return make_winograd_u8s8(desc, *kernel, isa);
  return nullptr;
}

}  // namespace octet
