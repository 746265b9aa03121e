#pragma once
// How a layer of AMX is cut into chunks for the threads: a grid of ranges of pixels x ranges of panels.

#include <cstdint>

#include "kernels/implicit_gemm/split.h"

namespace octet {

struct TileGrid {
  int64_t pixel_parts = 1;
  int64_t panel_parts = 1;

  int64_t chunks() const { return pixel_parts * panel_parts; }
};

/// What a cut costs depends on. Units are what a cut keeps together.
struct TileGridWork {
  int64_t pixel_units = 1;              // of the whole batch
  double unit_tiles = 1;                // tiles of 16 positions that a unit takes, with those between rows
  int64_t panels = 1, unit_panels = 1;  // of 32 channels, over all groups
  int64_t panel_bytes = 0;              // packed weights of one panel
  int64_t input_bytes = 0;              // of the whole batch
  int64_t shared_bytes = 0;             // of these, what the pixels on both sides of a cut read
};

/// The cut of least expected time. A worker takes its tiles through its panels, or waits for its panels' weights; bytes
/// that another core has made come slowly. Cut by pixels, a layer finds what it reads where the layer before it has
/// left it, but for the rows around the cut; cut by panels, it reads all pixels, most of which others have made.
TileGrid tile_grid(const TileGridWork& work, int threads, CutBy by = CutBy::automatic);

}  // namespace octet
