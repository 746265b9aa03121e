#pragma once
// A depthwise layer with several outputs for each input channel (oc = m * ic) is one of oc channels whose input has
// each channel m times. That input is made for some output rows and one group of channels at a time.

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/isa.h"
#include "kernels/conventions.h"
#include "kernels/gather_channels/gather_channels.h"
#include "kernels/implicit_gemm/split.h"

namespace octet {

/// m; 0 = the layer is not depthwise.
int64_t repeats_of(const WindowGeometry& g);
/// The layer as one of oc channels; x_pitch stays that of the input.
WindowGeometry with_repeated_channels(WindowGeometry g);

class RepeatedInput {
 public:
  RepeatedInput() = default;
  /// g: with its own channels. group: channels together, of which one pixel is a multiple of 16 bytes. unit_rows: of
  /// the output; band_rows() is a multiple.
  RepeatedInput(const WindowGeometry& g, int64_t group, size_t element_bytes, int64_t unit_rows, Isa isa);

  bool is_none() const { return groups_.empty(); }
  int64_t group() const { return group_; }
  /// Output rows whose input is made at a time.
  int64_t band_rows() const { return band_rows_; }
  size_t scratch_bytes() const;
  /// Makes what these output rows, at most band_rows(), read of `image` for a group, of group() channels a pixel. The
  /// geometry of the layer of oc channels on those input rows; its output rows count as before.
  WindowGeometry fill(const void* image, IndexRange rows, int64_t group, std::byte* scratch) const;

 private:
  struct Group {
    int64_t first_byte;  // of an input pixel
    GatherChannels channels;
  };
  IndexRange rows_read(IndexRange rows) const;

  WindowGeometry geometry_;  // of oc channels
  int64_t group_ = 0, element_bytes_ = 0, band_rows_ = 0;
  std::vector<Group> groups_;
};

}  // namespace octet
