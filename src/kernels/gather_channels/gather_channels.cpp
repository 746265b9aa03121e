#include "kernels/gather_channels/gather_channels.h"

#include <algorithm>
#include <cstring>

#include "base/vbmi.h"

namespace octet {
namespace {

constexpr uint8_t k_elsewhere = 0x80;

/// A byte of a block, and the input's byte that it is.
struct ByteMove {
  int32_t input, from, to;
};

/// As few windows as there can be for these bytes: each begins at the first byte that no other has.
void cover(std::vector<ByteMove> moves, int window_bytes, std::vector<ChannelWindow>& windows) {
  std::sort(moves.begin(), moves.end(), [](const ByteMove& a, const ByteMove& b) {
    return a.input != b.input ? a.input < b.input : a.from < b.from;
  });
  const size_t first = windows.size();
  for (const ByteMove& move : moves) {
    const bool is_new = windows.size() == first || windows.back().input != move.input ||
                        move.from - windows.back().offset >= window_bytes;
    if (is_new) {
      windows.push_back({move.input, move.from, {}});
      std::memset(windows.back().index, k_elsewhere, sizeof windows.back().index);
    }
    windows.back().index[move.to] = static_cast<uint8_t>(move.from - windows.back().offset);
  }
}

}  // namespace

GatherChannels::GatherChannels(std::span<const ChannelPick> picks, size_t element_bytes,
                               const GatherChannelsKernel& kernel)
    : kernel_(kernel) {
  const auto bytes = static_cast<int32_t>(picks.size() * element_bytes);
  for (int32_t at = 0; at < bytes; at += kernel_.window_bytes)
    add_block(picks, element_bytes, at, std::min(bytes - at, kernel_.window_bytes));
}

void GatherChannels::add_block(std::span<const ChannelPick> picks, size_t element_bytes, int32_t offset,
                               int32_t bytes) {
  const auto size = static_cast<int32_t>(element_bytes);
  std::vector<ByteMove> moves;
  for (int32_t i = 0; i < bytes; ++i) {
    const ChannelPick& pick = picks[static_cast<size_t>((offset + i) / size)];
    moves.push_back({pick.input, pick.channel * size + (offset + i) % size, i});
  }
  const size_t first = windows_.size();
  cover(std::move(moves), kernel_.window_bytes, windows_);
  blocks_.push_back({first, static_cast<int32_t>(windows_.size() - first), offset, bytes});
}

void GatherChannels::run(const ChannelInput* inputs, int64_t pixels, uint8_t* y, int64_t y_step) const {
  for (const Block& b : blocks_)
    kernel_.block({windows_.data() + b.first_window, b.windows, b.offset, b.bytes}, inputs, pixels, y, y_step);
}

GatherChannelsKernel gather_channels_kernel(Isa isa) {
#if defined(__x86_64__)
  if (isa >= Isa::avx512_vnni && has_byte_lookups()) return gather_channels_vbmi;
#endif
#define OCTET_KERNEL(entry, kernel) \
  if (isa >= Isa::entry) return kernel;
#include "kernels/gather_channels/kernels.def"
#undef OCTET_KERNEL
  return gather_channels_scalar;
}

}  // namespace octet
