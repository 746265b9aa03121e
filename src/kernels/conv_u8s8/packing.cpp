#include "kernels/conv_u8s8/packing.h"

#include <algorithm>
#include <cstring>
#include <optional>

#include "base/aligned.h"
#include "kernels/implicit_gemm/variant.h"
#include "kernels/layout/layout.h"

namespace octet {
namespace {

/// Bytes from segment to segment of a packed row, one output channel's positions. Segments end at a dword; in tile
/// order at a step of 64 positions, or only the whole row does. Tails (compact_rows.h) lie behind all segments.
int64_t segment_bytes_of(const TapTable& taps, const ConvU8S8Kernel& kernel) {
  const int64_t elements = taps.segment_elements();
  if (taps.compact_rows().has_tails()) return elements / 4 * 4;
  if (!kernel.tile_order) return (elements + 3) / 4 * 4;
  return kernel.whole_steps ? (elements + 63) / 64 * 64 : elements;
}
int64_t packed_row_bytes(const TapTable& taps, const ConvU8S8Kernel& kernel) {
  const int64_t bytes = taps.segments() * segment_bytes_of(taps, kernel) + 4 * taps.compact_rows().tails();
  return kernel.tile_order ? (bytes + 63) / 64 * 64 : bytes;
}

/// Output channels as packed rows, gaps and merged groups' positions zero.
class Rows {
 public:
  Rows(const ConvU8S8Desc& desc, int64_t merge, const TapTable& taps, const ConvU8S8Kernel& kernel)
      : weights_(desc.weights.data()),
        own_count_(static_cast<size_t>(desc.geometry.ic / desc.geometry.groups * desc.geometry.kh * desc.geometry.kw)),
        group_channels_(desc.geometry.oc / desc.geometry.groups),
        own_(own_count_ + 1, 0) {
    for (int64_t m = 0; m < merge; ++m) orders_.push_back(order_of(desc.geometry, m, taps, kernel));
  }

  /// Writes the row of channel oc; its sum.
  int64_t write(int64_t oc, int8_t* row) {
    const std::vector<uint32_t>& order = orders_[static_cast<size_t>(oc / group_channels_) % orders_.size()];
    const int8_t* from = weights_ + static_cast<size_t>(oc) * own_count_;
    const int64_t sum = sum_of(from, own_count_);
    if (is_plain_) {
      std::memcpy(row, from, own_count_);
      std::memset(row + own_count_, 0, order.size() - own_count_);
      return sum;
    }
    if (has_gaps_) {  // they read the zero behind the weights
      std::memcpy(own_.data(), from, own_count_);
      from = own_.data();
    }
    const uint32_t* const index = order.data();
    for (size_t k = 0, n = order.size(); k < n; ++k) row[k] = from[index[k]];
    return sum;
  }

 private:
  /// By position of the row: where its weight lies among the channel's own, or own_count_, where a zero lies.
  std::vector<uint32_t> order_of(const WindowGeometry& g, int64_t group_in_merge, const TapTable& taps,
                                 const ConvU8S8Kernel& kernel) {
    std::vector<uint32_t> order(static_cast<size_t>(packed_row_bytes(taps, kernel)), static_cast<uint32_t>(own_count_));
    const int64_t elements = taps.segment_elements(), window = g.kh * g.kw;
    const int64_t segment_bytes = segment_bytes_of(taps, kernel);
    const bool has_tails = taps.compact_rows().has_tails();
    for (int64_t s = 0; s < taps.segments(); ++s)
      for (int64_t k = 0; k < elements; ++k) {
        const int64_t index = taps.weight_index(s, k) - group_in_merge * (g.ic / g.groups) * window;
        const bool is_own = index >= 0 && index < static_cast<int64_t>(own_count_);
        const int64_t at =
            k < segment_bytes || !has_tails ? s * segment_bytes + k : taps.segments() * segment_bytes + s;
        if (is_own) order[static_cast<size_t>(at)] = static_cast<uint32_t>(index);
        is_plain_ = is_plain_ && is_own && index == at;
      }
    has_gaps_ = has_gaps_ || std::find(order.begin(), order.end(), own_count_) != order.end();
    return order;
  }

  /// Eight codes at a time: u = code + 128 is code ^ 0x80, and four sums of 16 bits take 128 pairs of u.
  static int64_t sum_of(const int8_t* codes, size_t n) {
    constexpr uint64_t k_flip = 0x8080808080808080ull, k_even = 0x00ff00ff00ff00ffull;
    int64_t sum = 0;
    size_t i = 0;
    while (i + 8 <= n) {
      uint64_t pairs = 0;
      const size_t end = std::min(n / 8 * 8, i + 8 * 128);
      for (; i < end; i += 8) {
        uint64_t eight = 0;
        std::memcpy(&eight, codes + i, 8);
        eight ^= k_flip;
        pairs += (eight & k_even) + ((eight >> 8) & k_even);
      }
      for (; pairs != 0; pairs >>= 16) sum += static_cast<int64_t>(pairs & 0xffff);
    }
    sum -= 128 * static_cast<int64_t>(i);
    for (; i < n; ++i) sum += codes[i];
    return sum;
  }

  const int8_t* weights_;
  size_t own_count_;
  int64_t group_channels_;
  std::vector<int8_t> own_;  // one channel's weights and the zero
  std::vector<std::vector<uint32_t>> orders_;
  bool is_plain_ = true;  // the row is the channel's weights as they lie
  bool has_gaps_ = false;
};

using FourDwords = int32_t __attribute__((vector_size(16)));

/// Four dwords of four rows: to + d * step gets dword d of each.
inline void transpose_4x4(const int8_t* rows, int64_t row_step, std::byte* to, int64_t step) {
  FourDwords r[4], t[4];
  for (int i = 0; i < 4; ++i) std::memcpy(&r[i], rows + i * row_step, 16);
  t[0] = __builtin_shufflevector(r[0], r[1], 0, 4, 1, 5), t[1] = __builtin_shufflevector(r[2], r[3], 0, 4, 1, 5);
  t[2] = __builtin_shufflevector(r[0], r[1], 2, 6, 3, 7), t[3] = __builtin_shufflevector(r[2], r[3], 2, 6, 3, 7);
  r[0] = __builtin_shufflevector(t[0], t[1], 0, 1, 4, 5), r[1] = __builtin_shufflevector(t[0], t[1], 2, 3, 6, 7);
  r[2] = __builtin_shufflevector(t[2], t[3], 0, 1, 4, 5), r[3] = __builtin_shufflevector(t[2], t[3], 2, 3, 6, 7);
  for (int i = 0; i < 4; ++i) std::memcpy(to + i * step, &r[i], 16);
}

/// Dword d of `lanes` rows side by side, d by d; vectors lie between one another. Both orders keep 4 dwords that begin
/// at a multiple of 4 at one distance.
void interleave(const int8_t* rows, int64_t row_step, int64_t row_bytes, const ConvU8S8Kernel& kernel, int vectors,
                std::byte* to) {
  const int64_t lanes = kernel.lanes, dwords = row_bytes / 4, step = kernel.tile_order ? 64 : vectors * lanes * 4;
  for (int64_t d = 0; d < dwords; d += 4) {
    std::byte* vector = to + (kernel.tile_order ? d / 16 * vectors * 1024 + d % 16 * 64 : d * step);
    for (int64_t lane = 0; lane < lanes; lane += 4) {
      const int8_t* from = rows + lane * row_step + 4 * d;
      if (d + 4 <= dwords) {
        transpose_4x4(from, row_step, vector + 4 * lane, step);
        continue;
      }
      for (int64_t e = d; e < dwords; ++e)
        for (int64_t l = 0; l < 4; ++l)
          std::memcpy(vector + (e - d) * step + 4 * (lane + l), from + l * row_step + 4 * (e - d), 4);
    }
  }
}

/// The same as s16: a vector of the positions' pairs (0, 2), then one of pairs (1, 3).
void interleave_wide(const int8_t* rows, int64_t row_step, int64_t row_bytes, const ConvU8S8Kernel& kernel, int vectors,
                     std::byte* to) {
  const int64_t lanes = kernel.lanes, dwords = row_bytes / 4;
  for (int64_t d = 0; d < dwords; ++d)
    for (int64_t lane = 0; lane < lanes; ++lane) {
      const int8_t* w = rows + lane * row_step + 4 * d;
      const int16_t even[2] = {w[0], w[2]}, odd[2] = {w[1], w[3]};
      std::byte* vector = to + (d * vectors * 2 * lanes + lane) * 4;
      std::memcpy(vector, even, 4);
      std::memcpy(vector + 4 * lanes, odd, 4);
    }
}

std::vector<ConvU8S8Panel> lay_out_panels(int64_t oc, const ConvPanelOrder& order) {
  std::vector<ConvU8S8Panel> panels;
  const int64_t group_channels = oc / order.groups;
  const std::vector<PanelCut> cuts = cut_panels(group_channels, order.lanes, order.vectors, order.runs);
  size_t weights_offset = 0, lane_offset = 0;
  for (int64_t group = 0; group < order.groups; ++group)
    for (const PanelCut& c : cuts) {
      panels.push_back({group, group * group_channels + c.first, c.channels, weights_offset, lane_offset, c.taps});
      weights_offset += static_cast<size_t>(c.vectors) * order.vector_bytes;
      lane_offset += static_cast<size_t>(c.vectors * order.lanes);
    }
  return panels;
}

}  // namespace

WindowGeometry with_merged_groups(WindowGeometry geometry, int64_t merge) {
  geometry.groups /= merge;
  return geometry;
}

int64_t merged_groups(const WindowGeometry& g, int lanes) {
  const int64_t channels = g.oc / g.groups;
  int64_t merge = 1;
  for (int64_t m = 2; m <= g.groups && m * channels <= lanes; ++m)
    if (g.groups % m == 0) merge = m;
  return merge;
}

bool needs_f32(const ConvU8S8Desc& desc) {
  const ActivationKind kind = desc.activation.kind;
  const bool is_bound = kind == ActivationKind::none || kind == ActivationKind::relu || kind == ActivationKind::clip;
  return desc.f32_output || !is_bound;
}

ActivationCodes activation_codes(const ConvU8S8Desc& desc, Isa isa) {
  // A table takes some 0.2 ms to make; with this many outputs some hundred images pay for it.
  constexpr int64_t k_many_outputs = 4096;
  const ActivationKind kind = desc.activation.kind;
  const bool is_costly =
      kind == ActivationKind::sigmoid || kind == ActivationKind::silu || kind == ActivationKind::tanh_;
  // |value| < 2^31 * 2^50 + 255 * 2^50: finite, and no NaN.
  const auto is_small = [](float m) { return std::abs(m) <= 0x1p50f; };
  const bool is_bounded = std::all_of(desc.multiplier.begin(), desc.multiplier.end(), is_small) &&
                          (!desc.has_residual || is_small(desc.residual_multiplier));
  const WindowGeometry& g = desc.geometry;
  const bool many_values = !desc.f32_output && is_costly && is_bounded && g.oh * g.ow * g.oc >= k_many_outputs;
  return ActivationCodes({desc.activation, desc.inverse_y_scale, desc.y_zero_point, desc.lo, desc.hi}, isa,
                         many_values);
}

CodeClamp code_clamp(const ConvU8S8Desc& desc) {
  const auto is_small = [](float m) { return m >= 0 && m <= 0.25f; };
  const bool is_bounded = std::all_of(desc.multiplier.begin(), desc.multiplier.end(), is_small) &&
                          (!desc.has_residual || (desc.residual_multiplier >= 0 && desc.residual_multiplier < 0x1p20f));
  if (desc.f32_output || !is_bounded) return CodeClamp::any;
  if (desc.y_zero_point == 0 && desc.lo == 0 && desc.hi == 127) return CodeClamp::u7;
  if (desc.hi != 255) return CodeClamp::any;
  if (desc.lo == 0 && desc.y_zero_point == 0) return CodeClamp::u8;
  return desc.lo == 0 && desc.y_zero_point == 128 ? CodeClamp::s8 : CodeClamp::at_zero_point;
}

namespace {

/// What the forms of a kernel's weights begin with.
std::string own_form(const ConvU8S8Kernel& kernel) { return "u8s8 " + std::string(kernel.name) + ", "; }

std::string form_of(const ConvU8S8Kernel& kernel, const TapTable& taps, bool natural_order) {
  return own_form(kernel) + std::to_string(taps.segments()) + " x " + std::to_string(taps.segment_elements()) +
         " positions, " + (taps.compact_rows().has_tails() ? "tails, " : "") +
         (kernel.whole_steps ? "whole steps, " : "") + (natural_order ? "natural" : "lane") + " order, packing " +
         std::to_string(k_conv_u8s8_packing);
}

/// Weights and bias of one panel.
void pack_panel(const ConvU8S8Desc& desc, const ConvU8S8Kernel& kernel, bool natural_order, int64_t row_bytes,
                const ConvU8S8Panel& panel, Rows& rows, std::byte* to, int32_t* bias) {
  const int lanes = kernel.lanes, vectors = static_cast<int>((panel.channels + lanes - 1) / lanes);
  const int64_t row_step = (row_bytes + 63) / 64 * 64 + 64;  // rows do not meet in one set of L1
  std::vector<int8_t> side_by_side(static_cast<size_t>(lanes * row_step));
  for (int v = 0; v < vectors; ++v) {
    std::memset(side_by_side.data(), 0, side_by_side.size());
    for (int lane = 0; lane < lanes; ++lane) {
      const int64_t c = conv_u8s8_channel(kernel.lanes, vectors, natural_order, v, lane);
      if (c >= panel.channels) continue;
      const int64_t oc = panel.first_channel + c;
      const int64_t sum = rows.write(oc, side_by_side.data() + lane * row_step);
      const int32_t own = desc.bias.empty() ? 0 : desc.bias[static_cast<size_t>(oc)];
      bias[v * lanes + lane] = static_cast<int32_t>(own - desc.x_zero_point * sum);
    }
    const int64_t vector_bytes = kernel.tile_order ? 1024 : lanes * (kernel.widened_weights ? 8 : 4);
    const auto pack = kernel.widened_weights ? interleave_wide : interleave;
    pack(side_by_side.data(), row_step, row_bytes, kernel, vectors, to + v * vector_bytes);
  }
}

}  // namespace

PackedConvU8S8 pack_panels(const ConvU8S8Desc& desc, const ConvPanelOrder& order,
                           const std::function<void(const ConvU8S8Panel&, std::byte*, int32_t*)>& write) {
  const int64_t lanes = order.lanes;
  PackedConvU8S8 packed;
  packed.panels = lay_out_panels(desc.geometry.oc, order);
  const ConvU8S8Panel& last = packed.panels.back();
  const size_t last_vectors = static_cast<size_t>((last.channels + lanes - 1) / lanes);
  packed.weights_bytes = last.weights_offset + last_vectors * order.vector_bytes;
  const size_t lane_count = last.lane_offset + last_vectors * static_cast<size_t>(lanes);
  const size_t bias_at = (packed.weights_bytes + k_alignment - 1) / k_alignment * k_alignment;
  const size_t bytes = bias_at + lane_count * sizeof(int32_t);

  packed.multiplier.assign(lane_count, 0.0f);
  for (const ConvU8S8Panel& panel : packed.panels) {
    const int vectors = static_cast<int>((panel.channels + lanes - 1) / lanes);
    for (int v = 0; v < vectors; ++v)
      for (int lane = 0; lane < lanes; ++lane) {
        const int64_t c = conv_u8s8_channel(order.lanes, vectors, order.natural_order, v, lane);
        if (c < panel.channels)
          packed.multiplier[panel.lane_offset + static_cast<size_t>(v * lanes + lane)] =
              desc.multiplier[static_cast<size_t>(panel.first_channel + c)];
      }
  }
  packed.kept = {order.form, desc.packed.bytes};
  const bool is_given = desc.packed.form == packed.kept.form && desc.packed.bytes.size() == bytes &&
                        reinterpret_cast<uintptr_t>(desc.packed.bytes.data()) % k_alignment == 0;
  if (!is_given) {
    packed.own = allocate_weights(bytes);
    packed.kept.bytes = {packed.own.get(), bytes};
    std::memset(packed.own.get() + packed.weights_bytes, 0, bytes - packed.weights_bytes);
    auto* const bias = reinterpret_cast<int32_t*>(packed.own.get() + bias_at);
    for (const ConvU8S8Panel& panel : packed.panels)
      write(panel, packed.own.get() + panel.weights_offset, bias + panel.lane_offset);
  }
  packed.weights = packed.kept.bytes.data();
  packed.bias = {reinterpret_cast<const int32_t*>(packed.weights + bias_at), lane_count};
  return packed;
}

std::vector<TapRun> conv_u8s8_runs(const ConvU8S8Desc& desc, const ConvU8S8Kernel& kernel) {
  return tap_runs(desc.weights, desc.geometry, kernel.lanes, desc.packed,
                  {own_form(kernel), ", packing " + std::to_string(k_conv_u8s8_packing)});
}

PackedConvU8S8 pack_conv_u8s8(const ConvU8S8Desc& desc, int64_t merge, const TapTable& taps,
                              const ConvU8S8Kernel& kernel, bool natural_order, std::vector<TapRun> runs) {
  const int64_t row_bytes = packed_row_bytes(taps, kernel);
  const ConvPanelOrder order{
      .groups = desc.geometry.groups / merge,
      .lanes = kernel.lanes,
      .vectors = kernel.vectors,
      .vector_bytes = static_cast<size_t>(row_bytes * kernel.lanes * (kernel.widened_weights ? 2 : 1)),
      .natural_order = natural_order,
      .form = form_of(kernel, taps, natural_order) + form_of(runs),
      .runs = std::move(runs)};
  std::optional<Rows> rows;  // not where packed weights are given
  return pack_panels(desc, order, [&](const ConvU8S8Panel& panel, std::byte* weights, int32_t* bias) {
    if (!rows) rows.emplace(desc, merge, taps, kernel);
    pack_panel(desc, kernel, natural_order, row_bytes, panel, *rows, weights, bias);
  });
}

ImageSource image_source(const ConvU8S8Desc& desc, Isa isa) {
  return {.kernels = layout_kernels(isa),
          .scale = desc.image_scale,
          .zero_point = desc.image_zero_point,
          .tables = {desc.image_tables.begin(), desc.image_tables.end()},
          .is_interleaved = desc.image_is_interleaved};
}

ConvU8S8Run common_run(const ConvU8S8Desc& desc, bool f32, CodeClamp clamp) {
  ConvU8S8Run run;
  run.residual_step = desc.geometry.residual_pitch;
  run.y_step = desc.geometry.y_pitch;
  run.residual_zero_point = desc.residual_zero_point;
  run.residual_multiplier = desc.residual_multiplier;
  run.y_zero_point = desc.y_zero_point;
  run.lo = desc.lo;
  run.hi = desc.hi;
  run.residual_centre = 0x1p23f + static_cast<float>(desc.residual_zero_point);
  run.residual_origin = -0x1p23f * desc.residual_multiplier;  // exact: a power of two
  run.y_zero_points = static_cast<int32_t>((static_cast<uint32_t>(desc.y_zero_point) & 0xffff) * 0x10001);
  run.los = static_cast<int32_t>((static_cast<uint32_t>(desc.lo) & 0xff) * 0x1010101);
  run.f32_output = f32;
  run.clamp = clamp;
  return run;
}

}  // namespace octet
