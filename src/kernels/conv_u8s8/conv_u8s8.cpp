#include "kernels/conv_u8s8/conv_u8s8.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <cstring>
#include <map>
#include <utility>

#include "base/aligned.h"
#include "kernels/activation/activation.h"
#include "kernels/conv_u8s8/conv_u8s8_isa.h"
#include "kernels/conv_u8s8/image_layer.h"
#include "kernels/conv_u8s8/packed_layer.h"
#include "kernels/conv_u8s8/packing.h"
#include "kernels/conv_u8s8/scalar.h"
#include "kernels/conv_u8s8/tile_layer.h"
#include "kernels/depthwise/depthwise.h"
#include "kernels/implicit_gemm/pixel_classes.h"
#include "kernels/implicit_gemm/split.h"
#include "kernels/implicit_gemm/tap_table.h"
#include "kernels/implicit_gemm/tile_copy.h"

namespace octet {
namespace {

struct Entry {
  Isa isa;
  const ConvU8S8Kernel* kernel;
};
const std::vector<Entry>& entries() {
  static const std::vector<Entry> list = {
#define OCTET_KERNEL(entry, kernel) {Isa::entry, &kernel},
#include "kernels/conv_u8s8/kernels.def"
#undef OCTET_KERNEL
  };
  return list;
}

/// Why a layer of small images does not keep its sums in registers; empty = it can.
std::string refuse_images(const ConvU8S8Desc& desc) {
  if (desc.reads_image()) return "the layer reads the caller's image";
  if (desc.f32_output) return "writes codes, not floats";
  return needs_f32(desc) ? "knows no activation but Relu and Clip" : "";
}

/// Why a layer's tiles are not neighbours in rows; empty = they can be.
std::string refuse_neighbours(const ConvU8S8Desc& desc, const ConvU8S8Kernel& kernel) {
  const WindowGeometry& g = desc.geometry;
  const int64_t merge = merged_groups(g, kernel.lanes);
  if (g.oc / g.groups * merge > kernel.lanes) return "a wider tile takes more channels at a time";
  if (!has_neighbour_rows(g, kernel.rows))
    return "wants windows of three columns and rows of a multiple of " + std::to_string(kernel.rows) + " pixels";
  if (desc.reads_image() || reads_compact_copy(with_merged_groups(g, merge))) return "few channels are copied";
  if (desc.f32_output) return "writes codes, not floats";
  return needs_f32(desc) ? "knows no activation but Relu and Clip" : "";
}

/// AMX first, a layer of its own; then entries() in order, with their costs for layers of this geometry; then small
/// images, a layer of its own where the geometry fits.
std::vector<ConvTile> tiles(const ConvU8S8Desc& desc, const ConvCpu& cpu) {
  const WindowGeometry& g = desc.geometry;
  // A tile of sums takes 16 cycles per 64 positions of 16 x 16, 1 / 16 of a cycle for what is one dot product here;
  // loads and weights from L2 double it. What a layer takes beside its blocks by measurement (docs/benchmarks_amx.md).
  std::vector<ConvTile> list = {{Isa::amx, k_amx_block_rows, 16, 2, 0.12, "amx 32x32", true}};
  list.front().costs = {.lone_result = 7, .layer = 2000};
  for (const Entry& entry : entries()) {
    const ConvU8S8Kernel& k = *entry.kernel;
    const double share = k.whole_rows ? short_rows_share(g) : 1;
    const bool is_halved = cpu.has_half_width && entry.isa == Isa::avx512_vnni;
    const double dot_cycles = is_halved && k.half_width_dot_cycles > 0 ? k.half_width_dot_cycles : k.dot_cycles;
    list.push_back({entry.isa, k.rows, k.lanes, k.vectors, share * dot_cycles, k.name});
    if (is_halved) list.back().costs = k_half_width_costs;
    if (k.neighbours) {
      // A step of a tile is a third of one that loads three vectors of weights and each column once.
      list.back().loads = (k.rows + 5) / 3.0;
      list.back().dot_cycles *= static_cast<double>(3 * g.ow - 2) / static_cast<double>(3 * g.ow);
      list.back().refused = refuse_neighbours(desc, k);
    }
  }
#if defined(__x86_64__)
  if (is_small_image(g)) {
    // 100 of 144 taps do not lie in the padding; 34 loads serve nine steps.
    const ConvU8S8ImageKernel& k = conv_u8s8_avx512_vnni_images;
    list.push_back(
        {Isa::avx512_vnni, k_image_pixels, k.lanes, 1, 0.5 * 100 / 144, k.name, false, 34.0 / 9, refuse_images(desc)});
    if (cpu.has_half_width) list.back().costs = k_half_width_costs;
  }
#endif
  return list;
}

/// Groups are merged as far as the widest vector allows; a narrower kernel's own merge differs a little.
ConvExtent extent_of(const WindowGeometry& g, int64_t batch) {
  const WindowGeometry merged = with_merged_groups(g, merged_groups(g, 16));
  const TapTable taps(merged, 1, 1);
  const CompactRows rows(merged, 1, taps.is_compact());
  const AmxCopy copy(merged, taps, taps.is_compact(), k_amx_step_bytes, batch);
  const auto up_to_16 = [](int64_t n) { return (n + 15) / 16 * 16; };
  const int64_t pixels = batch * g.oh * g.ow, positions = taps.segments() * taps.segment_elements();
  return {.pixels = pixels,
          .groups = merged.groups,
          .group_channels = g.oc / merged.groups,
          .steps = rows.has_tails() ? taps.segments() * (taps.segment_elements() / 4) + rows.tails()
                                    : taps.segments() * ((taps.segment_elements() + 3) / 4),
          .tile_rows = copy.is_used() ? batch * copy.image_positions() : up_to_16(pixels),
          .tile_steps = copy.is_used() ? taps.segments() * copy.steps() * 16 : up_to_16((positions + 3) / 4),
          .gathered_segments = taps.is_linear() || copy.is_used() ? 0 : taps.segments(),
          .is_copied = copy.is_used()};
}

/// No two products x * w of an output channel, whichever they are, leave 16 bits when they are added: then AVX2's
/// saturating instruction is exact. So it is with codes of 7 bits, and with u8 codes where weights are small.
[[maybe_unused]] bool fits_pairs(const ConvU8S8Desc& desc) {
  const int x = desc.image_scale > 0 ? 255 : std::max(desc.x_most, desc.x_zero_point);
  const auto channels = static_cast<size_t>(desc.geometry.oc);
  const size_t count = channels == 0 ? 0 : desc.weights.size() / channels;
  for (size_t c = 0; c < channels; ++c) {
    int most[2] = {0, 0}, least[2] = {0, 0};  // the two largest and the two smallest
    for (const int w : desc.weights.subspan(c * count, count)) {
      if (w > most[1]) most[1] = std::min(w, most[0]), most[0] = std::max(w, most[0]);
      if (w < least[1]) least[1] = std::max(w, least[0]), least[0] = std::min(w, least[0]);
    }
    if (x * (most[0] + most[1]) > INT16_MAX || x * (least[0] + least[1]) < INT16_MIN) return false;
  }
  return true;
}

/// AVX2's kernel for this layer. Packed weights that were made for the one that always holds decide by themselves: what
/// they were packed from need not be read again.
[[maybe_unused]] const ConvU8S8Kernel& avx2_kernel(const ConvU8S8Desc& desc) {
  if (desc.packed.form.starts_with("u8s8 " + std::string(conv_u8s8_avx2.name) + ",")) return conv_u8s8_avx2;
  return fits_pairs(desc) ? conv_u8s8_avx2_pairs : conv_u8s8_avx2;
}

size_t round_up(size_t bytes) { return (bytes + k_alignment - 1) / k_alignment * k_alignment; }

/// Pixels of tiles that lie side by side.
constexpr size_t k_most_in_order = 160;
constexpr std::array<int32_t, k_most_in_order> k_in_order = [] {
  std::array<int32_t, k_most_in_order> list = {};
  for (size_t i = 0; i < list.size(); ++i) list[i] = static_cast<int32_t>(i);
  return list;
}();

/// Weights to be brought near while other work is done.
struct Ahead {
  const char* next = nullptr;
  const char* end = nullptr;
  explicit Ahead(std::span<const std::byte> bytes)
      : next(reinterpret_cast<const char*>(bytes.data())), end(next + bytes.size()) {}
};

/// One packed layer for one inner function. Scratch of a worker: [offsets in x][pixels of y][copy of the input][f32
/// tile].
class ConvU8S8Packed final : public ConvU8S8 {
 public:
  ConvU8S8Packed(const ConvU8S8Desc& desc, const ConvU8S8Kernel& kernel, CutBy cut, Isa isa)
      : desc_(desc),
        kernel_(kernel),
        cut_(cut),
        merge_(merged_groups(desc.geometry, kernel.lanes)),
        geometry_(with_merged_groups(desc.geometry, merge_)),
        taps_(geometry_, 1, kernel.rows, true),
        classes_(kernel.neighbours ? PixelClasses(geometry_, false, true, false, TilePixels::neighbours)
                                   : PixelClasses::cheapest(geometry_, taps_.is_compact(), tile_of(kernel),
                                                            can_trim_rows(desc, kernel))),
        f32_(needs_f32(desc)),
        activation_(activation_kernels(isa)),
        to_codes_(activation_codes(desc, isa)),
        image_(image_source(desc, isa)),
        packed_(pack_conv_u8s8(desc, merge_, taps_, kernel, f32_, live_runs(desc))),
        pad_(allocate_aligned(static_cast<size_t>(taps_.pad_elements()))),
        clamp_(code_clamp(desc)),
        streams_weights_(packed_.weights_bytes > k_near_weight_bytes) {
    assert(!desc.before || classes_.is_linear());
    std::memset(pad_.get(), desc.x_zero_point, static_cast<size_t>(taps_.pad_elements()));
    for (const ConvU8S8Panel& panel : packed_.panels) panel_begin_.push_back(panel_begin_.back() + panel_lanes(panel));
    choose_block();
    const ConvWork all = work(desc.expected.batch);
    known_ = known_cut(desc.expected, all, conv_deal(all, desc.expected.threads, cut));
    sort_blocks(all.pixels);
    find_class_bias();
    find_parts();
  }

  const char* kernel_name() const override { return kernel_.name; }
  size_t packed_bytes() const override {
    return packed_.weights_bytes + 8 * packed_.bias.size() + (desc_.before ? desc_.before->packed_bytes() : 0);
  }
  PackedConvWeights packed() const override { return packed_.kept; }

  int64_t chunks(int64_t batch, int threads) const override {
    return known_.serves(batch, threads) ? known_.count() : conv_deal(work(batch), threads, cut_).chunks;
  }

  size_t scratch_bytes() const override {
    return offsets_bytes() + pixels_bytes() + round_up(copy_bytes()) + tile_bytes();
  }

  void run_chunk(const ConvU8S8Args& args, int64_t chunk, int threads, std::byte* scratch) const override {
    const auto [deal, pieces] = chunk_at(args.batch, threads, chunk);
    const SortedBlock* const known = !sorted_.empty() && known_.serves(args.batch, threads)
                                         ? &sorted_[first_sorted_[static_cast<size_t>(chunk)]]
                                         : nullptr;
    BlockOrder order{.known = known};
    Ahead ahead(next_layers_share(args.next_weights, chunk, deal.chunks));
    for (const ConvPiece& piece : pieces) {
      // The worker's next piece, or its next chunk, goes on with the next panel; where that is small, it is near.
      const bool goes_on = packed_.weights_bytes > k_resident_weight_bytes &&
                           (&piece + 1 < pieces.end() || deal.is_followed(chunk, threads));
      const int64_t end_of_own = deal.by_panels && goes_on ? panels() : piece.panels.end;
      for (int64_t first = piece.pixels.begin; first < piece.pixels.end;) {
        const IndexRange block = block_at(first, piece.pixels.end);
        if (desc_.before && first == piece.pixels.begin) fetch_source(args, block);
        run_block(args, block, piece.panels, end_of_own, scratch, order, ahead);
        first = block.end;
      }
    }
  }

 private:
  /// A block of the expected run with its pixels in order.
  struct SortedBlock {
    size_t at = 0;  // in x_ and y_
    int64_t counts[PixelClasses::k_most] = {};
  };
  /// What a panel computes for the pixels of a class.
  struct Part {
    std::vector<WindowSegment> segments;
    int64_t dwords = 0;
  };
  /// Of the blocks of a chunk: sorted beforehand, one after the other, or in scratch memory.
  struct BlockOrder {
    const SortedBlock* known = nullptr;
    int64_t sorted = 0;  // pixels whose offsets scratch memory holds
  };

  static bool can_trim_rows(const ConvU8S8Desc& desc, const ConvU8S8Kernel& kernel) {
    return kernel.whole_rows && desc.geometry.oc > kernel.lanes && !desc.before && !needs_f32(desc);
  }

  /// Where segments are taps, or taps side by side.
  std::vector<TapRun> live_runs(const ConvU8S8Desc& desc) const {
    const bool has_taps = !taps_.is_compact() && classes_.row_width() == 0 && classes_.neighbour_step() == 0;
    return has_taps && merge_ == 1 ? conv_u8s8_runs(desc, kernel_) : std::vector<TapRun>();
  }

  const Part& part_of(int64_t p, size_t c) const { return parts_[first_parts_[static_cast<size_t>(p)] + c]; }

  /// Once for all panels with the same live taps.
  void find_parts() {
    std::vector<LiveTaps> made;
    for (const ConvU8S8Panel& panel : packed_.panels) {
      const auto known = static_cast<size_t>(std::find(made.begin(), made.end(), panel.taps) - made.begin());
      first_parts_.push_back(known * classes_.classes().size());
      if (known < made.size()) continue;
      made.push_back(panel.taps);
      for (const PixelClass& c : classes_.classes())
        parts_.push_back(panel.taps == k_all_taps ? Part{c.segments, c.dwords} : live_part(c, panel.taps));
    }
  }

  /// A segment falls into one for each of its taps that is live; those side by side are one again.
  Part live_part(const PixelClass& all, LiveTaps live) const {
    const int64_t tap_dwords = (geometry_.ic + 3) / 4;
    Part part;
    for (const WindowSegment& s : all.segments)
      for (int64_t d = 0; d < s.dwords; d += tap_dwords) {
        if (((live >> ((s.dword + d) / tap_dwords)) & 1) == 0) continue;
        part.dwords += tap_dwords;
        const bool goes_on =
            d > 0 && !part.segments.empty() && part.segments.back().dword + part.segments.back().dwords == s.dword + d;
        if (goes_on)
          part.segments.back().dwords += tap_dwords;
        else
          part.segments.push_back({s.x + 4 * d, s.dword + d, tap_dwords});
      }
    return part;
  }

  static ConvTile tile_of(const ConvU8S8Kernel& kernel) {
    return {.rows = kernel.rows,
            .lanes = kernel.lanes,
            .vectors = kernel.vectors,
            .dot_cycles = kernel.dot_cycles,
            .name = kernel.name};
  }

  /// Rows of a block's compact copy should stay in L1: at most about 16 KB of input. With tails a row takes half as
  /// much again or more, and fewer rows are made twice if a copy may fill L1.
  int64_t compact_block_pixels() const {
    const size_t most = taps_.compact_rows().has_tails() ? 32 << 10 : 16 << 10;
    int64_t rows = 1;
    while (rows < geometry_.oh && classes_.copy_bytes((rows + 1) * geometry_.ow) <= most) ++rows;
    return rows * geometry_.ow;
  }

  /// Where pixels fall into classes a block is whole images, or rows enough that the columns at the sides fill tiles.
  void choose_block() {
    const WindowGeometry& g = geometry_;
    block_pixels_ = conv_block_pixels(work(1));
    if (taps_.is_compact()) {
      block_pixels_ = std::min(block_pixels_, compact_block_pixels());
    } else if (classes_.classes().size() > 1) {
      constexpr int64_t k_most_bytes = 256 << 10;
      const int64_t image_pixels = g.oh * g.ow, most = std::max(k_most_bytes / work(1).pixel_bytes, block_pixels_);
      const int64_t wanted = std::clamp(2 * kernel_.rows * g.ow, block_pixels_, most);
      if (wanted >= image_pixels) {
        block_pixels_ = wanted / image_pixels * image_pixels;
      } else {
        const int64_t rows = std::max<int64_t>(wanted / g.ow, 1), blocks = (g.oh + rows - 1) / rows;
        block_pixels_ = (g.oh + blocks - 1) / blocks * g.ow;
      }
    }
  }

  /// The block that begins at pixel `first`, before `end`.
  IndexRange block_at(int64_t first, int64_t end) const {
    const int64_t left = end - first;
    int64_t count = left <= most_block_pixels() ? left : block_pixels_;
    if (classes_.is_copied()) {  // a copy serves one image
      const int64_t image_pixels = geometry_.oh * geometry_.ow;
      count = std::min(count, image_pixels - first % image_pixels);
    }
    return {first, first + count};
  }

  /// Sorts the pixels of all blocks of the expected run, where they are few: there it takes a good part of a chunk's
  /// time to begin. Of many pixels the tables would come from farther away than it takes to fill them anew. Blocks that
  /// lie alike in their images have one order: chunks of other panels, and images one after the other.
  void sort_blocks(int64_t pixels) {
    constexpr int64_t k_few_pixels = 1024;
    if (pixels == 0 || pixels > k_few_pixels) return;
    std::map<std::pair<int64_t, int64_t>, size_t> known;  // in sorted_, by the first pixel's place and the number
    size_t end = 0;
    for (int64_t chunk = 0; chunk < known_.count(); ++chunk) {
      first_sorted_.push_back(sorted_.size());
      for (const ConvPiece& piece : known_[chunk].pieces)
        for (int64_t first = piece.pixels.begin; first < piece.pixels.end;) {
          const IndexRange block = block_at(first, piece.pixels.end);
          first = block.end;
          const int64_t count = block.end - block.begin;
          const int64_t place = classes_.is_linear() ? 0 : block.begin % (geometry_.oh * geometry_.ow);
          const auto [like, is_new] = known.emplace(std::pair(place, count), sorted_.size());
          if (!is_new) {
            sorted_.push_back(sorted_[like->second]);
            continue;
          }
          SortedBlock& made = sorted_.emplace_back();
          made.at = end;
          end += static_cast<size_t>(count + slack());
          x_.resize(end), y_.resize(end);
          made.counts[0] = count;
          classes_.sort(block, {x_.data() + made.at, y_.data() + made.at}, made.counts, slack());
        }
    }
  }

  ConvChunk chunk_at(int64_t batch, int threads, int64_t chunk) const {
    if (known_.serves(batch, threads)) return known_[chunk];
    const ConvWork all = work(batch);
    const ConvDeal deal = conv_deal(all, threads, cut_);
    return {deal, conv_pieces(all, deal, chunk)};
  }

  int64_t panels() const { return static_cast<int64_t>(packed_.panels.size()); }
  ConvWork work(int64_t batch) const {
    const WindowGeometry& g = geometry_;
    return {.pixels = batch * g.oh * g.ow,
            .panels = panels(),
            .panel_bytes = static_cast<int64_t>(packed_.weights_bytes) / panels(),
            .pixel_bytes = g.ic * std::min(g.stride_h, g.kh) * std::min(g.stride_w, g.kw),
            .tile_rows = kernel_.rows,
            .panel_begin = panel_begin_,
            .row_pixels = g.ow};
  }

  /// Where codes are made of others a last block is longer rather than that one of a few pixels follows: these would
  /// meet all weights for much more than their share.
  int64_t most_block_pixels() const { return desc_.before ? block_pixels_ + block_pixels_ / 3 : block_pixels_; }
  int64_t slack() const { return 2 * kernel_.rows; }  // a tile brings near what the next one writes
  size_t offsets_bytes() const {
    return round_up(sizeof(int64_t) * static_cast<size_t>(most_block_pixels() + slack()));
  }
  size_t pixels_bytes() const { return round_up(sizeof(int32_t) * static_cast<size_t>(most_block_pixels() + slack())); }
  /// A block's input, where it is not read in place.
  size_t copy_bytes() const {
    return desc_.before ? static_cast<size_t>(most_block_pixels() * geometry_.x_pitch) + k_tail_bytes
                        : classes_.copy_bytes(block_pixels_);
  }
  /// Only form 3 to a code passes through f32 tiles, as many as stay in L1 beside what else is there: tables and the
  /// few values that need more than a table are the cheaper per value the more there are.
  int64_t tiles_at_once() const {
    constexpr int64_t k_values = 2048;
    const int64_t rows = static_cast<int64_t>(k_most_in_order) - slack();
    return std::max<int64_t>(std::min<int64_t>(k_values / tile_values(), rows / kernel_.rows), 1);
  }
  int64_t tile_values() const { return int64_t{kernel_.rows} * kernel_.lanes * kernel_.vectors; }
  size_t tile_bytes() const {
    return through_tile() ? sizeof(float) * static_cast<size_t>(tiles_at_once() * tile_values()) : 0;
  }

  /// The bias of each class: the padding that it leaves out would have met the zero point's term that is folded into
  /// the bias of whole windows. Empty where that is nothing.
  void find_class_bias() {
    const WindowGeometry& g = geometry_;
    class_bias_.resize(classes_.classes().size());
    if (desc_.x_zero_point == 0 || taps_.is_compact()) return;
    const int64_t tap_dwords = (g.ic / g.groups + 3) / 4;
    for (size_t c = 0; c < class_bias_.size(); ++c) {
      const TapBand &rows = classes_.classes()[c].rows, &columns = classes_.classes()[c].columns;
      const bool is_by_rows = classes_.row_width() > 0;
      if (!is_by_rows && (rows.k_end - rows.k_begin) * (columns.k_end - columns.k_begin) == g.kh * g.kw) continue;
      // By rows: of pixels within a row, of its first, which lacks the first taps, and of its last.
      for (int side = 0; side < (is_by_rows ? 3 : 1); ++side) {
        const int64_t k_begin = columns.k_begin + (side == 1 ? 1 : 0), k_end = columns.k_end - (side == 2 ? 1 : 0);
        const size_t at = class_bias_[c].size();
        class_bias_[c].insert(class_bias_[c].end(), packed_.bias.begin(), packed_.bias.end());
        for (const ConvU8S8Panel& panel : packed_.panels)
          for (int64_t ky = 0; ky < g.kh; ++ky)
            for (int64_t kx = 0; kx < g.kw; ++kx) {
              const bool is_met = ky >= rows.k_begin && ky < rows.k_end && kx >= k_begin && kx < k_end;
              if (!is_met)
                add_weight_sums(panel, (ky * g.kw + kx) * tap_dwords, tap_dwords,
                                class_bias_[c].data() + at + panel.lane_offset);
            }
      }
    }
  }

  int64_t panel_lanes(const ConvU8S8Panel& panel) const {
    return (panel.channels + kernel_.lanes - 1) / kernel_.lanes * kernel_.lanes;
  }

  /// bias[lane] += x_zero_point * sum of the weights that the lane has in the dwords. Loads wait for it: no divisions.
  /// Modulo 2^32: the weights may be those of a file that was made to do harm.
  void add_weight_sums(const ConvU8S8Panel& panel, int64_t first_dword, int64_t dwords, int32_t* bias) const {
    const int64_t lanes = panel_lanes(panel), count = 4 * dwords * lanes, own = kernel_.lanes;
    const std::byte* from =
        packed_.weights + panel.weights_offset + first_dword * 4 * lanes * (kernel_.widened_weights ? 2 : 1);
    std::vector<int32_t> sums(static_cast<size_t>(lanes), 0);
    if (kernel_.widened_weights) {  // a dword's weights: [vector][2][lane][2]
      const auto* w = reinterpret_cast<const int16_t*>(from);
      for (int64_t d = 0; d < count; d += 4 * lanes)
        for (int64_t lane = 0; lane < lanes; ++lane) {
          const int16_t* pair = w + d + lane / own * 4 * own + lane % own * 2;
          sums[static_cast<size_t>(lane)] += pair[0] + pair[1] + pair[2 * own] + pair[2 * own + 1];
        }
    } else {  // [vector][lane][4]
      const auto* w = reinterpret_cast<const int8_t*>(from);
      for (int64_t d = 0; d < count; d += 4 * lanes)
        for (int64_t lane = 0; lane < lanes; ++lane) {
          const int8_t* four = w + d + 4 * lane;
          sums[static_cast<size_t>(lane)] += four[0] + four[1] + four[2] + four[3];
        }
    }
    for (int64_t lane = 0; lane < lanes; ++lane)
      bias[lane] = static_cast<int32_t>(static_cast<uint32_t>(bias[lane]) +
                                        static_cast<uint32_t>(desc_.x_zero_point) *
                                            static_cast<uint32_t>(sums[static_cast<size_t>(lane)]));
  }

  /// The input of a block: where the pixels' offsets count from.
  const uint8_t* bring_input(const ConvU8S8Args& args, IndexRange pixels, std::byte* copy) const {
    if (desc_.before) {
      auto* const codes = reinterpret_cast<uint8_t*>(copy);
      const uint8_t* const source = args.x + pixels.begin * desc_.source_pitch;
      const int64_t count = pixels.end - pixels.begin;
      const bool is_followed = pixels.end + count <= args.batch * geometry_.oh * geometry_.ow;
      desc_.before->run(source, desc_.source_pitch, count, codes, geometry_.x_pitch, is_followed);
      return codes;
    }
    if (!classes_.is_copied()) return args.x + classes_.origin(pixels.begin);
    if (taps_.is_compact()) {
      const bool is_image = desc_.reads_image();
      const std::byte* x = is_image ? args.image : reinterpret_cast<const std::byte*>(args.x);
      taps_.copy_compact(x, pad_.get(), pixels.begin, pixels.end - pixels.begin, copy, is_image ? &image_ : nullptr);
    } else {
      classes_.copy(args.x, static_cast<uint8_t>(desc_.x_zero_point), pixels, reinterpret_cast<uint8_t*>(copy));
    }
    return reinterpret_cast<const uint8_t*>(copy);
  }

  /// Asks for all that making a first block's codes reads, at once: it would be found missing part by part.
  void fetch_source(const ConvU8S8Args& args, IndexRange block) const {
    constexpr int64_t k_line = 64;
    const std::span<const uint8_t> constants = desc_.before->constants();
    for (size_t i = 0; i < constants.size(); i += k_line) __builtin_prefetch(constants.data() + i, 0, 3);
    for (int64_t p = block.begin; p < block.end; ++p)
      for (int64_t c = 0; c < geometry_.ic; c += k_line) __builtin_prefetch(args.x + p * desc_.source_pitch + c, 0, 3);
  }

  /// order: of the blocks before; a layer that reads all pixels in order has the same one in every block, shorter ones
  /// the first part of it.
  /// end_of_own: up to this panel, weights of the next one are fetched while one is run; then those of the next layer.
  void run_block(const ConvU8S8Args& args, IndexRange pixels, IndexRange panels, int64_t end_of_own, std::byte* scratch,
                 BlockOrder& order, Ahead& ahead) const {
    const BlockPixels block{reinterpret_cast<int64_t*>(scratch), reinterpret_cast<int32_t*>(scratch + offsets_bytes())};
    std::byte* const copy = scratch + offsets_bytes() + pixels_bytes();
    float* const f32_tile = reinterpret_cast<float*>(copy + round_up(copy_bytes()));
    const uint8_t* const x = bring_input(args, pixels, copy);
    int64_t counts_here[PixelClasses::k_most] = {pixels.end - pixels.begin};
    const int64_t* const counts = order.known ? order.known->counts : counts_here;
    const int64_t* const x_offsets = order.known ? x_.data() + order.known->at : block.x;
    const int32_t* const y_pixels = order.known ? y_.data() + order.known->at : block.y;
    if (order.known)
      ++order.known;
    else if (!classes_.is_linear() || order.sorted < counts_here[0])
      order.sorted = counts_here[0], classes_.sort(pixels, block, counts_here, slack());
    for (int64_t p = panels.begin; p < panels.end; ++p) {
      const ConvU8S8Panel& panel = packed_.panels[static_cast<size_t>(p)];
      ConvU8S8Run run = panel_run(args, panel, pixels.begin);
      run.x = x + panel.group * (geometry_.ic / geometry_.groups);
      run.x_offsets = x_offsets;
      run.y_pixels = run.residual_pixels = y_pixels;
      const bool is_own = streams_weights_ && p + 1 < end_of_own;
      fetch(is_own ? Ahead(panel_bytes(p + 1)) : ahead, tile_steps(p, counts), run);
      for (size_t c = 0; c < classes_.classes().size(); ++c) {
        if (counts[c] == 0) continue;
        const Part& part = part_of(p, c);
        run.segment_list = part.segments.data();
        run.segments = static_cast<int64_t>(part.segments.size());
        run.dwords = part.dwords;
        run.bias = (class_bias_[c].empty() ? packed_.bias.data() : class_bias_[c].data()) + panel.lane_offset;
        run.side_bias_step = class_bias_[c].empty() ? 0 : static_cast<int64_t>(packed_.bias.size());
        // Tiles are whole rows, or as many neighbours as a row is a multiple of.
        const int64_t unit = classes_.neighbour_step() > 0 ? kernel_.rows : std::max<int64_t>(classes_.row_width(), 1);
        assert(counts[c] % unit == 0);
        const TileRuns runs = tile_runs(counts[c] / unit, kernel_.rows / unit);
        run_tiles(run, (runs.rows + 1) * unit, runs.tall, f32_tile);
        run_tiles(run, runs.rows * unit, runs.low, f32_tile);
      }
      if (!is_own && ahead.next) ahead.next = run.prefetch;
    }
  }

  /// Steps of the inner loop that a panel takes over the pixels of each class.
  int64_t tile_steps(int64_t p, const int64_t* counts) const {
    int64_t steps = 0;
    for (size_t c = 0; c < classes_.classes().size(); ++c) {
      const int64_t tiles = (counts[c] + kernel_.rows - 1) / kernel_.rows;
      steps += tiles * part_of(p, c).dwords;
    }
    return steps;
  }

  /// What all tiles of a panel have in common; pixels count from `first`.
  ConvU8S8Run panel_run(const ConvU8S8Args& args, const ConvU8S8Panel& panel, int64_t first) const {
    const WindowGeometry& g = geometry_;
    ConvU8S8Run run = common_run(desc_, f32_, clamp_);
    run.weights = packed_.weights + panel.weights_offset;
    run.multiplier = packed_.multiplier.data() + panel.lane_offset;
    if (desc_.has_residual) run.residual = args.residual + first * g.residual_pitch + panel.first_channel;
    run.y = static_cast<std::byte*>(args.y) + (first * g.y_pitch + panel.first_channel) * y_element_bytes();
    run.channels = static_cast<int32_t>(panel.channels);
    run.row_width = static_cast<int32_t>(classes_.row_width());
    run.neighbour_step = classes_.neighbour_step();
    run.first_column = static_cast<int32_t>(first % g.ow);
    return run;
  }

  std::span<const std::byte> panel_bytes(int64_t p) const {
    const auto at = [&](int64_t i) {
      return i < static_cast<int64_t>(packed_.panels.size()) ? packed_.panels[static_cast<size_t>(i)].weights_offset
                                                             : packed_.weights_bytes;
    };
    return {packed_.weights + at(p), at(p + 1) - at(p)};
  }

  /// `steps` steps are to come. The least that brings all of it, one or two lines in each.
  static void fetch(const Ahead& ahead, int64_t steps, ConvU8S8Run& run) {
    const bool is_empty = ahead.next == nullptr;  // an address that is mapped, then
    run.prefetch = is_empty ? static_cast<const char*>(run.weights) : ahead.next;
    run.prefetch_end = is_empty ? run.prefetch : ahead.end;
    run.prefetch_step = ahead.end - ahead.next > 64 * steps ? 128 : 64;
  }

  /// Runs `tiles` tiles of `rows` pixels and moves `run` behind them.
  void run_tiles(ConvU8S8Run& run, int64_t rows, int64_t tiles, float* f32_tile) const {
    if (tiles == 0) return;
    run.row_count = static_cast<int32_t>(rows);
    if (through_tile()) {
      for (int64_t t = 0; t < tiles;) {
        const int64_t count = std::min(tiles_at_once(), tiles - t);
        ConvU8S8Run some = run;
        some.tiles = static_cast<int32_t>(count);
        some.y = f32_tile;
        some.y_step = run.channels;
        some.y_pixels = k_in_order.data();
        kernel_.run(some);
        to_codes_.rows(f32_tile, static_cast<size_t>(run.channels), static_cast<size_t>(count * rows),
                       static_cast<uint8_t*>(run.y), run.y_pixels, run.y_step);
        advance(run, count);
        t += count;
      }
      return;
    }
    run.tiles = static_cast<int32_t>(tiles);
    kernel_.run(run);
    if (f32_ && desc_.activation.kind != ActivationKind::none)
      for (int64_t r = 0; r < tiles * rows; ++r)
        activation_.activate(static_cast<float*>(run.y) + run.y_pixels[r] * run.y_step,
                             static_cast<size_t>(run.channels), desc_.activation);
    advance(run, tiles);
  }

  void advance(ConvU8S8Run& run, int64_t tiles) const {
    const int64_t pixels = tiles * run.row_count;
    run.x_offsets += pixels;
    run.y_pixels += pixels;
    run.residual_pixels += pixels;
    run.prefetch += tiles * run.dwords * run.prefetch_step;
  }

  bool through_tile() const { return f32_ && !desc_.f32_output; }
  int64_t y_element_bytes() const { return desc_.f32_output ? 4 : 1; }

  ConvU8S8Desc desc_;  // what its spans hold is not used after construction
  const ConvU8S8Kernel& kernel_;
  CutBy cut_;
  int64_t merge_;
  WindowGeometry geometry_;  // with merged groups
  TapTable taps_;            // the order of positions; a stem's compact copy
  PixelClasses classes_;
  bool f32_;
  ActivationKernels activation_;
  ActivationCodes to_codes_;
  ImageSource image_;
  PackedConvU8S8 packed_;
  AlignedBytes pad_;  // a pixel of x_zero_point
  std::vector<AlignedVector<int32_t>> class_bias_;
  std::vector<Part> parts_;                 // [live taps][class]
  std::vector<size_t> first_parts_;         // by panel, in parts_
  std::vector<int64_t> panel_begin_ = {0};  // in lanes
  int64_t block_pixels_ = 1;
  KnownCut known_;
  std::vector<SortedBlock> sorted_;   // of its chunks, where sort_blocks() has sorted them
  std::vector<size_t> first_sorted_;  // of each chunk
  AlignedVector<int64_t> x_;
  AlignedVector<int32_t> y_;
  CodeClamp clamp_;
  bool streams_weights_;  // panels are fetched ahead of their use
};

}  // namespace

std::unique_ptr<const ConvU8S8> make_conv_u8s8_packed(const ConvU8S8Desc& desc, const ConvU8S8Kernel& kernel, CutBy cut,
                                                      Isa isa) {
  return std::make_unique<ConvU8S8Packed>(desc, kernel, cut, isa);
}

std::unique_ptr<const ConvU8S8> ConvU8S8::make(const ConvU8S8Desc& desc, Isa isa, std::string_view variant) {
  const WindowGeometry& g = desc.geometry;
  assert(g.ic % g.groups == 0 && g.oc % g.groups == 0 && "groups divide both channel counts");
  assert(static_cast<int64_t>(desc.weights.size()) == g.oc * (g.ic / g.groups) * g.kh * g.kw);
  assert(static_cast<int64_t>(desc.multiplier.size()) == g.oc && desc.lo >= 0 && desc.lo <= desc.hi && desc.hi <= 255);
  assert(desc.image_tables.empty() || static_cast<int64_t>(desc.image_tables.size()) == 256 * g.ic);
  if (desc.before && (isa == Isa::scalar || isa == Isa::amx)) return nullptr;
  if (isa == Isa::scalar) return desc.reads_image() ? nullptr : make_conv_u8s8_scalar(desc);
  const ChosenVariant chosen =
      choose_variant(tiles(desc, conv_cpu()), extent_of(g, std::max<int64_t>(desc.expected.batch, 1)), isa, variant);
  if (chosen.tile < 0) return variant.empty() && !desc.before ? make_conv_u8s8_scalar(desc) : nullptr;
  if (chosen.tile == 0) return make_conv_u8s8_amx(desc, conv_amx_kernel, chosen.cut, isa);
#if defined(__x86_64__)
  if (chosen.tile > static_cast<int>(entries().size()))
    return make_conv_u8s8_images(desc, conv_u8s8_avx512_vnni_images, chosen.cut);
#endif
  const ConvU8S8Kernel* kernel = entries()[static_cast<size_t>(chosen.tile - 1)].kernel;
#if defined(__x86_64__)
  if (kernel == &conv_u8s8_avx2) kernel = &avx2_kernel(desc);
#endif
  return make_conv_u8s8_packed(desc, *kernel, chosen.cut, isa);
}

std::vector<ConvVariant> conv_u8s8_variants(const ConvU8S8Desc& desc, int64_t batch, Isa isa, int threads,
                                            const ConvCpu& cpu) {
  if (isa == Isa::scalar) return {scalar_variant(extent_of(desc.geometry, batch))};
  return conv_variants(tiles(desc, cpu), extent_of(desc.geometry, batch), isa, threads);
}

}  // namespace octet
