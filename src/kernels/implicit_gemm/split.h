#pragma once
// How the work of a convolution is cut: into chunks for the threads, and within a chunk into blocks for the caches.

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace octet {

/// Weights up to this size stay in L2 (1 to 2 MB) beside a block's activations; larger ones are fetched ahead of their
/// use.
inline constexpr size_t k_resident_weight_bytes = 512 << 10;
/// Weights up to this size are not worth it: a network's weights together do not stay in L2, so those of a layer come
/// from farther away in each run, but a few lines come as fast as they are asked for.
inline constexpr size_t k_near_weight_bytes = 64 << 10;

/// A convolution seen as pixels x panels of output channels.
struct ConvWork {
  int64_t pixels = 0;                         // of the whole batch
  int64_t panels = 0;                         // over all groups
  int64_t panel_bytes = 0;                    // packed weights of one panel
  int64_t pixel_bytes = 0;                    // input bytes that one more output pixel brings in
  int64_t segments = 1;                       // pointers per pixel in the tap table
  int64_t tile_rows = 6;                      // most pixels of a tile
  std::span<const int64_t> panel_begin = {};  // work in front of each panel, and all; empty = panels are alike
  int64_t row_pixels = 0;                     // of a row of the output; 0 = cuts of pixels need not keep rows whole
};

struct IndexRange {
  int64_t begin = 0, end = 0;
};

/// Which of a layer's two sides is cut for the threads; automatic = the cut of least expected time.
enum class CutBy : uint8_t { automatic, pixels, panels };

/// Chunks of nearly equal work, each a run of neighbours of (panel, pixel) or of (tile of pixels, panel): the cut need
/// not fall on a whole panel or a whole row of panels, so that odd counts come out even. Where rows of pixels come out
/// even, chunks are whole rows: two layers one after the other are cut alike then, whatever their tiles, and a window
/// meets fewer lines that another core has made.
struct ConvDeal {
  int64_t chunks = 1;
  bool by_panels = false;  // each worker has panels of its own and meets all pixels; else the other way round

  /// Whether the next chunk is the same worker's.
  bool is_followed(int64_t chunk, int64_t threads) const {
    return (chunk + 1) * threads / chunks == chunk * threads / chunks;
  }
};
/// Of least expected time: panels where weights weigh more than the input, which every worker then reads whole, mostly
/// out of the others' caches.
ConvDeal conv_deal(const ConvWork& work, int threads, CutBy by = CutBy::automatic);

/// Some pixels of some panels.
struct ConvPiece {
  IndexRange pixels, panels;
};
/// What a chunk is made of: a rest, what is whole, a rest; any of these may be missing.
template <class Piece>
struct Pieces {
  Piece pieces[3];
  int count = 0;

  const Piece* begin() const { return pieces; }
  const Piece* end() const { return pieces + count; }
};
Pieces<ConvPiece> conv_pieces(const ConvWork& work, const ConvDeal& deal, int64_t chunk);

/// A place in rows of `minors` each.
struct CutPosition {
  int64_t major = 0, minor = 0;
};
struct CutPiece {
  IndexRange majors, minors;
};
/// Everything from one place to another: pieces of whole rows, and of one row each.
Pieces<CutPiece> pieces_between(const CutPosition& first, const CutPosition& last, int64_t minors);

/// The images and threads that a layer is going to be run with, as far as one knows when it is made: how it is cut for
/// them it works out then, and not in each run. With others it does the same, and takes a little longer to begin.
struct ExpectedRun {
  int64_t batch = 0;
  int threads = 0;

  bool operator==(const ExpectedRun&) const = default;
};

/// The chunks of the expected run.
template <class Chunk>
class KnownChunks {
 public:
  KnownChunks() = default;  // of no run
  /// make(i): the i-th of them.
  template <class Make>
  KnownChunks(const ExpectedRun& expected, int64_t chunks, Make&& make) : expected_(expected) {
    for (int64_t i = 0; i < chunks; ++i) chunks_.push_back(make(i));
  }

  bool serves(int64_t batch, int threads) const { return !chunks_.empty() && expected_ == ExpectedRun{batch, threads}; }
  int64_t count() const { return static_cast<int64_t>(chunks_.size()); }
  const Chunk& operator[](int64_t chunk) const { return chunks_[static_cast<size_t>(chunk)]; }

 private:
  ExpectedRun expected_;
  std::vector<Chunk> chunks_;
};

/// A chunk, and the cut that it is of.
struct ConvChunk {
  ConvDeal deal;
  Pieces<ConvPiece> pieces;
};
using KnownCut = KnownChunks<ConvChunk>;
/// work: of the expected run.
KnownCut known_cut(const ExpectedRun& expected, const ConvWork& work, const ConvDeal& deal);

/// Pixels of a block: all panels meet one block before the next one begins. Small weights stay in L2 by themselves, and
/// then a block is what fits L1; large weights are streamed once per block, which therefore takes up to half of L2.
int64_t conv_block_pixels(const ConvWork& work);

/// The index-th of `parts` nearly equal parts of [0, n), cut at multiples of `multiple`.
IndexRange part_of(int64_t n, int64_t parts, int64_t index, int64_t multiple = 1);

/// What one of `parts` chunks brings near of the next layer's weights: where that layer is cut by channels, about what
/// the same worker is going to read. All of them together, or the first of each chunk's where that is much.
std::span<const std::byte> next_layers_share(std::span<const std::byte> weights, int64_t chunk, int64_t parts);

/// A block's pixels as tiles of nearly equal height: first `tall` tiles of rows + 1 pixels, then `low` of rows.
struct TileRuns {
  int64_t rows = 0, tall = 0, low = 0;
};
TileRuns tile_runs(int64_t pixels, int64_t tile_rows);

}  // namespace octet
