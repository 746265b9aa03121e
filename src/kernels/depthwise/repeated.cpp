#include "kernels/depthwise/repeated.h"

#include <algorithm>

namespace octet {

int64_t repeats_of(const WindowGeometry& g) { return g.groups == g.ic && g.oc % g.ic == 0 ? g.oc / g.ic : 0; }

WindowGeometry with_repeated_channels(WindowGeometry g) {
  g.ic = g.groups = g.oc;
  return g;
}

RepeatedInput::RepeatedInput(const WindowGeometry& g, int64_t group, size_t element_bytes, int64_t unit_rows, Isa isa)
    : geometry_(with_repeated_channels(g)), group_(group), element_bytes_(static_cast<int64_t>(element_bytes)) {
  const int64_t repeats = repeats_of(g);
  const GatherChannelsKernel kernel = gather_channels_kernel(isa);
  for (int64_t begin = 0; begin < g.oc; begin += group) {
    const int64_t first = begin / repeats;
    std::vector<ChannelPick> picks;
    for (int64_t c = begin; c < std::min(g.oc, begin + group); ++c)
      picks.push_back({0, static_cast<int32_t>(c / repeats - first)});
    groups_.push_back({first * element_bytes_, GatherChannels(picks, element_bytes, kernel)});
  }
  // As many as half of a small L2 holds the input of.
  constexpr int64_t k_bytes = 128 << 10;
  const int64_t extent = (g.kh - 1) * g.dilation_h + 1;
  const int64_t rows = (k_bytes / (g.iw * group * element_bytes_) - extent) / g.stride_h + 1;
  const int64_t units = (g.oh + unit_rows - 1) / unit_rows;
  band_rows_ = std::clamp<int64_t>(rows / unit_rows, 1, units) * unit_rows;
}

IndexRange RepeatedInput::rows_read(IndexRange rows) const {
  const WindowGeometry& g = geometry_;
  const int64_t begin = std::clamp<int64_t>(rows.begin * g.stride_h - g.pad_top, 0, g.ih);
  const int64_t end = (rows.end - 1) * g.stride_h - g.pad_top + (g.kh - 1) * g.dilation_h + 1;
  return {begin, std::clamp(end, begin, g.ih)};
}

size_t RepeatedInput::scratch_bytes() const {
  if (is_none()) return 0;
  const WindowGeometry& g = geometry_;
  const int64_t rows = std::min(g.ih, (band_rows_ - 1) * g.stride_h + (g.kh - 1) * g.dilation_h + 1);
  return static_cast<size_t>(rows * g.iw * group_ * element_bytes_) + k_tail_bytes;
}

WindowGeometry RepeatedInput::fill(const void* image, IndexRange rows, int64_t group, std::byte* scratch) const {
  const IndexRange read = rows_read(rows);
  const Group& own = groups_[static_cast<size_t>(group)];
  WindowGeometry made = geometry_;
  made.ih = read.end - read.begin;
  made.pad_top += read.begin;
  made.x_pitch = group_;
  const int64_t step = geometry_.x_pitch * element_bytes_;
  const ChannelInput input = {static_cast<const uint8_t*>(image) + read.begin * geometry_.iw * step + own.first_byte,
                              step};
  const int64_t pixels = made.ih * made.iw;
  if (pixels > 0) own.channels.run(&input, pixels, reinterpret_cast<uint8_t*>(scratch), group_ * element_bytes_);
  return made;
}

}  // namespace octet
