#include "kernels/conv_bf16/stem_rows.h"

#include <algorithm>

#include "base/aligned.h"
#include "base/ceil_div.h"
#include "kernels/layout/layout.h"

namespace octet {
namespace {

/// Most bytes of the copy as bfloat16.
constexpr size_t k_compact_bytes = 16 << 10;
/// Pixels whose pointers lie side by side in the table of taps.
constexpr int64_t k_table_rows = 16;

size_t round_up(size_t bytes) { return (bytes + k_alignment - 1) / k_alignment * k_alignment; }

}  // namespace

StemRows::StemRows(const ConvBf16Desc& desc, Gather gatherer, Isa isa)
    : geometry_(desc.geometry),
      is_f32_(!desc.x_is_bf16),
      is_planar_(desc.planar_x),
      source_(desc.geometry, is_f32_ ? sizeof(float) : sizeof(uint16_t), k_table_rows),
      taps_(desc.geometry, sizeof(uint16_t), k_table_rows),
      gather_(gatherer),
      planar_{layout_kernels(isa)},
      pad_(sizeof(float) * static_cast<size_t>(source_.pad_elements())) {}

int64_t StemRows::copied_pixels() const {
  int64_t rows = 1;
  while (rows < geometry_.oh && taps_.compact_bytes((rows + 1) * geometry_.ow) <= k_compact_bytes) ++rows;
  return rows * geometry_.ow;
}

/// A vector is read and written behind the last position.
size_t StemRows::copy_bytes() const { return round_up(taps_.compact_bytes(copied_pixels()) + 2 * k_alignment); }
size_t StemRows::source_bytes() const { return is_f32_ ? round_up(source_.compact_bytes(copied_pixels())) : 0; }

size_t StemRows::scratch_bytes(int64_t rows) const {
  const auto pointers = static_cast<size_t>(ceil_div(rows, k_table_rows) * k_table_rows * taps_.segments());
  return copy_bytes() + std::max(source_bytes(), round_up(pointers * sizeof(std::byte*)));
}

void StemRows::copy(const void* x, IndexRange pixels, std::byte* scratch) const {
  const int64_t count = pixels.end - pixels.begin;
  std::byte* const source = is_f32_ ? scratch + copy_bytes() : scratch;
  source_.copy_compact(static_cast<const std::byte*>(x), pad_.data(), pixels.begin, count, source,
                       is_planar_ ? &planar_ : nullptr);
  if (!is_f32_) return;
  const int64_t first_row = pixels.begin / geometry_.ow, last_row = (pixels.end - 1) / geometry_.ow;
  const int64_t rows = (last_row - first_row) * geometry_.stride_h + (geometry_.kh - 1) * geometry_.dilation_h + 1;
  const void* const from = source;
  gather_({.rows = &from,
           .row_step = 1,
           .segments = 1,
           .elements = rows * source_.compact_row_bytes() / static_cast<int64_t>(sizeof(float)),
           .from_f32 = true,
           .to = reinterpret_cast<uint16_t*>(scratch)});
}

void StemRows::gather(IndexRange own, int64_t first, uint16_t* to, int64_t row_step, std::byte* scratch) const {
  auto* table = reinterpret_cast<const std::byte**>(scratch + copy_bytes());
  const int64_t rows_before = own.begin / geometry_.ow - first / geometry_.ow;
  const std::byte* const begin = scratch + rows_before * geometry_.stride_h * taps_.compact_row_bytes();
  const TileRuns runs = tile_runs(own.end - own.begin, k_table_rows);
  taps_.fill_compact(begin, own.begin, runs, table);
  ConvBf16Gather row = {
      .row_step = k_table_rows, .segments = taps_.segments(), .elements = taps_.segment_elements(), .to = to};
  for (int64_t tile = 0; tile < runs.tall + runs.low; ++tile, table += taps_.segments() * k_table_rows) {
    const int64_t rows = runs.rows + (tile < runs.tall ? 1 : 0);
    for (int64_t r = 0; r < rows; ++r, row.to += row_step) {
      row.rows = reinterpret_cast<const void* const*>(table + r);
      gather_(row);
    }
  }
}

}  // namespace octet
