// Integer depthwise layers: packing, chunks, and form 3 (activation) behind the inner function.

#include <algorithm>
#include <cassert>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "base/aligned.h"
#include "base/aligned_vector.h"
#include "kernels/activation/activation.h"
#include "kernels/conv_u8s8/packing.h"
#include "kernels/depthwise/code_line.h"
#include "kernels/depthwise/depthwise.h"
#include "kernels/depthwise/door.h"
#include "kernels/depthwise/repeated.h"

namespace octet {
namespace {

size_t round_up_64(size_t n) { return (n + 63) / 64 * 64; }

/// The special tile for this window on lattices of that step, or the last entry, which runs every window.
const DepthwiseU8S8Kernel& choose(const DepthwiseU8S8Kernels& kernels, const WindowGeometry& g, int64_t step) {
  for (int i = 0; i + 1 < kernels.count; ++i) {
    const DepthwiseTile& tile = kernels.kernels[i].tile;
    if (g.kh == tile.kh && g.kw == tile.kw && g.stride_h == tile.stride && g.stride_w == tile.stride &&
        g.dilation_h == step && g.dilation_w == step)
      return kernels.kernels[i];
  }
  return kernels.kernels[kernels.count - 1];
}

/// Whether every result of form 2 stays inside +-2^29, so that a kernel may convert to int32 without a clamp.
bool fits_int32(const ConvU8S8Desc& desc) {
  const int64_t taps = desc.geometry.kh * desc.geometry.kw;
  for (int64_t c = 0; c < desc.geometry.ic; ++c) {
    double acc = desc.bias.empty() ? 0.0 : std::fabs(static_cast<double>(desc.bias[static_cast<size_t>(c)]));
    for (int64_t tap = 0; tap < taps; ++tap) acc += 255.0 * std::abs(desc.weights[static_cast<size_t>(c * taps + tap)]);
    const double v = acc * std::fabs(desc.multiplier[static_cast<size_t>(c)]) +
                     (desc.has_residual ? 255.0 * std::fabs(desc.residual_multiplier) : 0.0);
    if (!(v < 0x1p29)) return false;
  }
  return true;
}

/// The bias with the zero point's term.
std::vector<int32_t> folded_bias(const ConvU8S8Desc& desc) {
  const int64_t taps = desc.geometry.kh * desc.geometry.kw;
  std::vector<int32_t> bias(static_cast<size_t>(desc.geometry.ic));
  for (int64_t c = 0; c < desc.geometry.ic; ++c) {
    int32_t sum = 0;
    for (int64_t tap = 0; tap < taps; ++tap) sum += desc.weights[static_cast<size_t>(c * taps + tap)];
    const int64_t own = desc.bias.empty() ? 0 : desc.bias[static_cast<size_t>(c)];
    bias[static_cast<size_t>(c)] = static_cast<int32_t>(own - int64_t{desc.x_zero_point} * sum);
  }
  return bias;
}

/// DepthwiseU8S8Call::fits_f32. bias: with the zero point's term.
bool fits_f32(const ConvU8S8Desc& desc, const std::vector<int32_t>& bias) {
  if (desc.geometry.kh * desc.geometry.kw != 1) return false;
  constexpr int64_t k_integers = 1 << 24;  // up to here floats leave none out
  for (size_t c = 0; c < bias.size(); ++c) {
    const int64_t weight = std::abs(int64_t{desc.weights[c]});
    if (std::abs(int64_t{bias[c]}) + weight * ((1 << 15) + 255) > k_integers) return false;
  }
  return true;
}

/// Whether the sum passes through an f32 activation. Relu and Clip in front of codes are lo and hi (form 2).
bool is_form_3(const ConvU8S8Desc& desc) {
  const ActivationKind kind = desc.activation.kind;
  return desc.f32_output ||
         (kind != ActivationKind::none && kind != ActivationKind::relu && kind != ActivationKind::clip);
}

/// A layer without a window is one on an image of a single row: no tile then reaches past the end of a short row.
WindowGeometry with_long_rows(WindowGeometry g) {
  constexpr int64_t k_row_pixels = 256;  // more would leave the threads nothing to cut
  const bool is_pointwise = g.kh == 1 && g.kw == 1 && g.stride_h == 1 && g.stride_w == 1 && g.pad_top == 0 &&
                            g.pad_left == 0 && g.oh == g.ih && g.ow == g.iw;
  if (!is_pointwise || g.ow % 4 == 0 || g.oh * g.ow > k_row_pixels) return g;
  g.iw = g.ow = g.oh * g.ow;
  g.ih = g.oh = 1;
  return g;
}

/// Lays weights and per-channel values out as depthwise_isa.h describes.
struct Packer {
  const ConvU8S8Desc& desc;
  DepthwiseTile tile;
  int block, dword_bytes;

  int64_t blocks() const { return (desc.geometry.ic + block - 1) / block; }
  int64_t lanes() const { return block / 16; }

  /// Channel of slot (vector j, lane, element i) in a block, or -1 for padding. A last block that is at most half full
  /// holds its channels twice: the halves of a vector then work on neighbouring tiles.
  int64_t channel(int64_t b, int64_t j, int64_t lane, int64_t i) const {
    int64_t slot = 16 * lane + 4 * j + i;
    const int64_t left = desc.geometry.ic - b * block;
    if (2 * left <= block) slot %= block / 2;
    return slot < left ? b * block + slot : -1;
  }

  /// Weight of kernel row r that pixel `position` of quad q has for output j. The quads that one output reads do not
  /// overlap, so no tap is counted twice.
  int8_t weight(int64_t c, int64_t r, int q, int j, int position) const {
    return tap(c, r, q * tile.quad_step + position - static_cast<int64_t>(j) * tile.stride);
  }

  /// 0 where the window has no such tap, or the block no such channel.
  int8_t tap(int64_t c, int64_t row, int64_t column) const {
    if (c < 0 || row < 0 || row >= desc.geometry.kh || column < 0 || column >= desc.geometry.kw) return 0;
    return desc.weights[static_cast<size_t>((c * desc.geometry.kh + row) * desc.geometry.kw + column)];
  }

  size_t bytes() const {
    if (tile.walks) return static_cast<size_t>(blocks() * tile.weight_vectors() * block * dword_bytes);
    size_t used = 0;
    for (int q = 0; q < tile.quads; ++q)
      for (int j = 0; j < tile.tw; ++j) used += tile.uses(j, q);
    return static_cast<size_t>(blocks() * desc.geometry.kh) * used * static_cast<size_t>(block * dword_bytes);
  }

  /// Vector v of block b; weight_of(channel, position in the dword).
  template <class WeightOf>
  void pack_vector(int64_t b, int64_t v, WeightOf weight_of, int8_t* vector) const {
    for (int64_t lane = 0; lane < lanes(); ++lane) {
      for (int64_t i = 0; i < 4; ++i) {
        const int64_t c = channel(b, v, lane, i);
        for (int position = 0; position < 4; ++position) {
          const int8_t w = weight_of(c, position);
          if (dword_bytes == 4) {
            vector[16 * lane + 4 * i + position] = w;
          } else {
            const int16_t wide = w;  // taps 0 and 2 are s16 pairs of the first vector, 1 and 3 of the second
            std::memcpy(vector + (position % 2) * block + 16 * lane + 4 * i + (position / 2) * 2, &wide, 2);
          }
        }
      }
    }
  }

  void pack(int8_t* out) const {
    if (tile.walks) return pack_walk(out);
    const int64_t vector_bytes = block * dword_bytes / 4;
    for (int64_t b = 0; b < blocks(); ++b)
      for (int64_t r = 0; r < desc.geometry.kh; ++r)
        for (int q = 0; q < tile.quads; ++q)
          for (int j = 0; j < tile.tw; ++j) {
            if (!tile.uses(j, q)) continue;
            const auto weight_of = [&](int64_t c, int position) { return weight(c, r, q, j, position); };
            for (int64_t v = 0; v < 4; ++v, out += vector_bytes) pack_vector(b, v, weight_of, out);
          }
  }

  void pack_walk(int8_t* out) const {
    const int64_t vector_bytes = block * dword_bytes / 4;
    for (int64_t b = 0; b < blocks(); ++b)
      for (int part = 0; part < 2; ++part) {
        const auto pack_part = [&](auto weight_of) {
          for (int v = 2 * part; v < 2 * part + 2; ++v, out += vector_bytes) pack_vector(b, v, weight_of, out);
        };
        for (int column = 0; column < tile.kw; ++column)
          for (int t = 0; t < tile.weight_sets(); ++t)
            pack_part([&](int64_t c, int position) { return tap(c, position - t * tile.stride, column); });
        if (!tile.has_fifth_row()) continue;
        pack_part([&](int64_t c, int position) { return tap(c, 4, position + 1); });
        pack_part([&](int64_t c, int position) { return tap(c, 4, position == tile.stride - 1 ? 0 : -1); });
      }
  }

  template <class T>
  void pack_channels(const std::vector<T>& natural, T* out) const {
    for (int64_t b = 0; b < blocks(); ++b)
      for (int64_t j = 0; j < 4; ++j)
        for (int64_t lane = 0; lane < lanes(); ++lane)
          for (int64_t i = 0; i < 4; ++i) {
            const int64_t c = channel(b, j, lane, i);
            *out++ = c < 0 ? T{} : natural[static_cast<size_t>(c)];
          }
  }
};

class DepthwiseU8S8 final : public ConvU8S8 {
 public:
  /// source: desc.geometry, or that of a layer with repeated channels, which desc has all of.
  DepthwiseU8S8(const ConvU8S8Desc& desc, const WindowGeometry& source, const DepthwiseU8S8Kernels& kernels, Isa isa)
      : desc_(desc),
        step_(DepthwiseLattice::step_of(desc.geometry)),
        kernel_(choose(kernels, desc.geometry, step_)),
        block_(kernels.block),
        name_(kernels.name),
        activation_kernels_(activation_kernels(isa)),
        to_codes_(activation_codes(desc, isa)) {
    desc_.geometry = with_long_rows(desc.geometry);
    const WindowGeometry& g = desc_.geometry;
    if (kernel_.tile.stride == 0) kernel_.tile.quads = static_cast<int>((g.kw + 3) / 4), step_ = 1;
    pack(kernels);
    const int64_t columns = std::max<int64_t>(kernel_.tile.columns(), g.kw);
    const bool repeats = source.oc != source.ic;
    // For a window without a tile a block's zero points lie as far from the first as its channels do.
    const bool in_groups = repeats && kernel_.tile.stride != 0;
    const int64_t pitch = in_groups ? k_channel_group : repeats ? channel_pitch(g.oc) : g.x_pitch;
    zero_.assign(static_cast<size_t>(2 * columns * pitch) + k_tail_bytes, static_cast<uint8_t>(desc.x_zero_point));
    known_ = known_chunks(split(desc.expected.batch, desc.expected.threads), desc.expected);
    if (repeats) repeated_ = RepeatedInput(with_long_rows(source), k_channel_group, 1, unit_rows(), isa);
    desc_.weights = {};
    desc_.bias = {};
    desc_.multiplier = {};
  }

  const char* kernel_name() const override { return name_; }
  size_t packed_bytes() const override {
    return packed_bytes_ + bias_.size() * sizeof(int32_t) + multiplier_.size() * sizeof(float) + zero_.size() +
           lines_.size();
  }
  int64_t chunks(int64_t batch, int threads) const override {
    return known_.serves(batch, threads) ? known_.count() : split(batch, threads).chunks;
  }

  size_t scratch_bytes() const override { return repeated_at() + repeated_.scratch_bytes(); }

  /// A layer without a window and for which fits_f32() or the scalar kernel answers: any number of pixels in a row.
  void run_pixels(const uint8_t* x, int64_t x_pitch, const uint8_t* residual, int64_t pixels, uint8_t* y,
                  int64_t y_pitch, bool is_followed = false) const {
    DepthwiseGeometry g = {desc_.geometry, pixels, pixels};
    g.ih = g.oh = 1;
    g.iw = g.ow = pixels;
    g.x_pitch = x_pitch, g.y_pitch = y_pitch, g.residual_pitch = 0;
    DepthwiseU8S8Call call = common_call();
    call.geometry = &g;
    call.x = x;
    call.residual = residual;
    call.y = y;
    call.ahead = is_followed ? pixels * x_pitch : 0;
    call.block_end = blocks();
    call.oy_end = 1;
    kernel_.run(call);
  }

  std::span<const uint8_t> lines() const { return lines_; }

  /// From here on run_pixels() goes by lines of 16 bits where its channels are such. slopes: of all channels. residual:
  /// what run_pixels() will be given.
  void find_lines(std::span<const double> slopes, const uint8_t* residual) {
    if (block_ == 1) return;
    const int64_t pitch = channel_pitch(desc_.geometry.ic);
    AlignedVector<uint8_t> x(static_cast<size_t>(k_all_codes * pitch) + k_tail_bytes), y(x.size());
    for (int q = 0; q < k_all_codes; ++q) std::memset(x.data() + q * pitch, q, static_cast<size_t>(pitch));
    run_pixels(x.data(), pitch, residual, k_all_codes, y.data(), pitch);
    std::vector<std::optional<CodeLine>> lines(slopes.size());
    constexpr size_t k_together = 16;  // channels of a pitch
    for (size_t first = 0; first < slopes.size(); first += k_together) {
      uint8_t codes[k_together][k_all_codes];
      for (int q = 0; q < k_all_codes; ++q)
        for (size_t i = 0; i < k_together; ++i) codes[i][q] = y[static_cast<size_t>(q * pitch) + first + i];
      for (size_t c = first; c < std::min(first + k_together, slopes.size()); ++c)
        lines[c] = find_code_line(codes[c - first], slopes[c], desc_.lo, desc_.hi);
    }
    lines_.assign(static_cast<size_t>(blocks() * line_bytes(block_)), 0);
    for (int64_t b = 0; b < blocks(); ++b) pack_lines(lines, b, lines_.data() + b * line_bytes(block_));
  }

  void run_chunk(const ConvU8S8Args& args, int64_t chunk, int threads, std::byte* scratch) const override {
    const WindowGeometry& g = desc_.geometry;
    const bool is_known = known_.serves(args.batch, threads);
    const DepthwiseChunk own = is_known ? known_[chunk] : split(args.batch, threads).chunk(chunk);
    for (const DepthwisePiece& piece : own.pieces)
      for (int64_t unit = piece.units.begin; unit < piece.units.end;) {
        const int64_t n = unit / row_units(), first = unit % row_units();
        const int64_t last = std::min(row_units(), first + piece.units.end - unit);
        DepthwiseU8S8Call call = image_call(args, n, scratch);
        const IndexRange rows = {first * unit_rows(), std::min(g.oh, last * unit_rows())};
        // Groups, not blocks, are dealt out: several one-channel blocks of the scalar kernel make one group.
        call.block_begin = piece.groups.begin * blocks_per_group();
        call.block_end = std::min(blocks(), piece.groups.end * blocks_per_group());
        if (own.of > 1 && repeated_.is_none()) fetch_edges(call, rows);
        if (repeated_.is_none())
          run_rows(args, n, call, g, rows, scratch);
        else
          run_repeated(args, n, call, rows, scratch);
        unit += last - first;
      }
  }

 private:
  /// Asks for the first and the last rows that the windows meet: others have made them, and blocks of channels would
  /// come upon them one after the other, late.
  void fetch_edges(const DepthwiseU8S8Call& call, IndexRange rows) const {
    constexpr int64_t k_rows = 2;
    const WindowGeometry& g = desc_.geometry;
    const int64_t begin = std::max<int64_t>(rows.begin * g.stride_h - g.pad_top, 0);
    const int64_t end = std::min((rows.end - 1) * g.stride_h - g.pad_top + (g.kh - 1) * g.dilation_h + 1, g.ih);
    const int64_t first = call.block_begin * block_, last = std::min(call.block_end * block_, g.x_pitch);
    for (int64_t row = begin; row < end; ++row) {
      if (row == begin + k_rows) row = std::max(row, end - k_rows);
      for (int64_t column = 0; column < g.iw; ++column)
        for (int64_t channel = first; channel < last; channel += k_channel_group)
          __builtin_prefetch(call.x + (row * g.iw + column) * g.x_pitch + channel, 0, 2);
    }
  }

  static constexpr int64_t k_channel_group = 64;  // codes of one cache line: no line has two writers

  int64_t blocks() const { return (desc_.geometry.ic + block_ - 1) / block_; }
  int64_t blocks_per_group() const { return std::max<int64_t>(k_channel_group / block_, 1); }
  int64_t groups() const { return (blocks() + blocks_per_group() - 1) / blocks_per_group(); }
  /// Of neighbouring rows each lattice has as many as a tile.
  int64_t unit_rows() const { return step_ * kernel_.tile.th; }
  int64_t row_units() const { return (desc_.geometry.oh + unit_rows() - 1) / unit_rows(); }
  DepthwiseSplit split(int64_t batch, int threads) const {
    constexpr double k_outputs_per_ns = 8;
    return DepthwiseSplit::make(desc_.geometry, batch, unit_rows(), groups(), threads, k_outputs_per_ns);
  }

  /// Border tiles are copied here (two tiles of one block), or the window's pixel addresses for the last kernel, or
  /// what the first part of a walk leaves to the second.
  size_t kernel_scratch_bytes() const {
    const WindowGeometry& g = desc_.geometry;
    const size_t patch =
        static_cast<size_t>(kernel_.tile.rows()) * static_cast<size_t>(kernel_.tile.columns() * 2) * 64;
    const size_t pointers = static_cast<size_t>(g.kh * 4 * kernel_.tile.quads) * 2 * sizeof(void*);
    if (kernel_.tile.walks) return static_cast<size_t>(k_walk_outputs * kernel_.tile.th) * k_walk_waiting_bytes;
    return round_up_64(kernel_.tile.stride == 0 ? pointers : patch);
  }
  /// Output rows of form 3 that are made before their activation follows: of a walk, which reads its weights once for
  /// several, as many as L2 takes the floats of.
  int64_t value_rows() const {
    const int64_t th = kernel_.tile.th;
    if (!kernel_.tile.walks) return th;
    constexpr int64_t k_rows = 4, k_bytes = 256 << 10;
    const int64_t fitting = k_bytes / (desc_.geometry.ow * desc_.geometry.ic * static_cast<int64_t>(sizeof(float)));
    return std::max(th, std::min(k_rows, fitting) / th * th);
  }
  /// Form 3 to codes: the floats of these rows.
  size_t values_bytes() const {
    if (!is_form_3(desc_) || desc_.f32_output) return 0;
    return static_cast<size_t>(value_rows() * desc_.geometry.ow * desc_.geometry.ic) * sizeof(float);
  }

  /// Where repeated_ writes.
  size_t repeated_at() const { return round_up_64(kernel_scratch_bytes() + values_bytes()); }

  void pack(const DepthwiseU8S8Kernels& kernels) {
    const std::vector<int32_t> bias = folded_bias(desc_);
    const std::vector<float> multiplier(desc_.multiplier.begin(), desc_.multiplier.end());
    fits_f32_ = fits_f32(desc_, bias);
    if (block_ == 1) {
      packed_bytes_ = desc_.weights.size();
      weights_ = allocate_aligned(packed_bytes_);
      std::memcpy(weights_.get(), desc_.weights.data(), packed_bytes_);
      bias_.assign(bias.begin(), bias.end());
      multiplier_.assign(multiplier.begin(), multiplier.end());
      return;
    }
    const Packer packer{desc_, kernel_.tile, block_, kernels.dword_bytes};
    packed_bytes_ = packer.bytes();
    weights_ = allocate_aligned(packed_bytes_);
    packer.pack(reinterpret_cast<int8_t*>(weights_.get()));
    bias_.resize(static_cast<size_t>(blocks() * block_));
    multiplier_.resize(bias_.size());
    packer.pack_channels(bias, bias_.data());
    packer.pack_channels(multiplier, multiplier_.data());
  }

  /// As depthwise_isa.h describes; nothing where a channel is no line.
  void pack_lines(const std::vector<std::optional<CodeLine>>& lines, int64_t b, uint8_t* out) const {
    const Packer packer{desc_, kernel_.tile, block_, 4};
    uint8_t* const bytes = out + 64;
    uint8_t* const words = bytes + 2 * block_;
    bool flips = false, clamps = false;
    for (int64_t slot = 0; slot < block_; ++slot) {
      const int64_t c = packer.channel(b, slot % 16 / 4, slot / 16, slot % 4);
      if (c < 0) continue;
      if (!lines[static_cast<size_t>(c)]) return;
      const CodeLine& line = *lines[static_cast<size_t>(c)];
      flips = flips || line.flip != 0;
      clamps = clamps || !is_clamped_by_saturation(line, desc_.lo, desc_.hi);
      bytes[slot] = line.flip;
      bytes[block_ + slot] = line.low;
      const int64_t at = slot / 8 % 2 * (block_ / 2) + slot / 16 * 8 + slot % 8;
      std::memcpy(words + 2 * at, &line.slope, 2);
      std::memcpy(words + 2 * (block_ + at), &line.add, 2);
      std::memcpy(words + 2 * (2 * block_ + at), &line.shift, 2);
    }
    out[0] = 1;
    out[1] = flips;
    out[2] = clamps;
  }

  DepthwiseU8S8Call image_call(const ConvU8S8Args& args, int64_t n, std::byte* scratch) const {
    const WindowGeometry& g = desc_.geometry;
    DepthwiseU8S8Call call = common_call();
    call.x = args.x + n * g.ih * g.iw * g.x_pitch;
    if (desc_.has_residual) call.residual = args.residual + n * g.oh * g.ow * g.residual_pitch;
    call.scratch = reinterpret_cast<unsigned char*>(scratch);
    return call;
  }

  /// What does not depend on where input and output lie.
  DepthwiseU8S8Call common_call() const {
    DepthwiseU8S8Call call = {};
    call.weights = reinterpret_cast<const int8_t*>(weights_.get());
    call.bias = bias_.data();
    call.multiplier = multiplier_.data();
    call.zero = zero_.data();
    call.zero_bytes = static_cast<int64_t>(zero_.size() - k_tail_bytes);
    call.x_zero_point = desc_.x_zero_point;
    call.residual_zero_point = desc_.residual_zero_point;
    call.residual_multiplier = desc_.residual_multiplier;
    call.y_zero_point = desc_.y_zero_point;
    call.lo = desc_.lo;
    call.hi = desc_.hi;
    call.fits_f32 = fits_f32_;
    call.lines = lines_.empty() ? nullptr : lines_.data();
    return call;
  }

  /// Group by group and band by band of what repeated_ makes.
  void run_repeated(const ConvU8S8Args& args, int64_t n, DepthwiseU8S8Call call, IndexRange rows,
                    std::byte* scratch) const {
    const int64_t block_end = call.block_end, band = repeated_.band_rows();
    const uint8_t* const x = call.x;
    std::byte* const made = scratch + repeated_at();
    for (; call.block_begin < block_end; call.block_begin = call.block_end) {
      call.block_end = std::min(block_end, call.block_begin + blocks_per_group());
      const int64_t group = call.block_begin / blocks_per_group();
      call.x = reinterpret_cast<const uint8_t*>(made) - group * k_channel_group;
      for (int64_t begin = rows.begin; begin < rows.end; begin += band) {
        const IndexRange own = {begin, std::min(rows.end, begin + band)};
        run_rows(args, n, call, repeated_.fill(x, own, group, made), own, scratch);
      }
    }
  }

  /// image: the call for the whole image, of which x may be a part: g.
  void run_rows(const ConvU8S8Args& args, int64_t n, const DepthwiseU8S8Call& image, const WindowGeometry& g,
                IndexRange rows, std::byte* scratch) const {
    DepthwiseLattice::for_each(g, step_, rows,
                               [&](const DepthwiseLattice& lattice) { run_lattice(args, n, image, lattice, scratch); });
  }

  /// image: the call for the whole image.
  void run_lattice(const ConvU8S8Args& args, int64_t n, const DepthwiseU8S8Call& image, const DepthwiseLattice& lattice,
                   std::byte* scratch) const {
    const DepthwiseGeometry& g = lattice.geometry;
    DepthwiseU8S8Call call = image;
    call.geometry = &g;
    call.x += lattice.x * (g.x_pitch / step_);
    if (call.residual) call.residual += lattice.y * desc_.geometry.residual_pitch;
    call.oy_begin = lattice.rows.begin, call.oy_end = lattice.rows.end;
    const int64_t first_y = (n * desc_.geometry.oh * desc_.geometry.ow + lattice.y) * desc_.geometry.y_pitch;
    if (!is_form_3(desc_)) {
      call.y = static_cast<uint8_t*>(args.y) + first_y;
      kernel_.run(call);
      return;
    }
    const int64_t c_begin = call.block_begin * block_;
    const int64_t channels = std::min(g.ic, call.block_end * block_) - c_begin;
    const int64_t rows = value_rows();
    for (int64_t oy = lattice.rows.begin; oy < lattice.rows.end; oy += rows) {
      call.oy_begin = oy;
      call.oy_end = std::min(lattice.rows.end, oy + rows);
      const int64_t first = first_y + oy * g.y_width * g.y_pitch + c_begin;
      call.v_pitch = desc_.f32_output ? g.y_pitch : channels;
      call.v = desc_.f32_output ? static_cast<float*>(args.y) + first
                                : reinterpret_cast<float*>(scratch + kernel_scratch_bytes());
      kernel_.run(call);
      uint8_t* const y = desc_.f32_output ? nullptr : static_cast<uint8_t*>(args.y) + first;
      const int64_t made = call.oy_end - oy;
      if (g.ow == g.y_width) {
        finish(call.v, call.v_pitch, made * g.ow, channels, y, g.y_pitch);
      } else {
        for (int64_t row = 0; row < made; ++row)
          finish(call.v + row * g.y_width * call.v_pitch, call.v_pitch, g.ow, channels,
                 y ? y + row * g.y_width * g.y_pitch : nullptr, g.y_pitch);
      }
    }
  }

  /// Activation in place, or codes where y is given.
  void finish(float* v, int64_t v_pitch, int64_t pixels, int64_t channels, uint8_t* y, int64_t y_pitch) const {
    if (y) {
      if (y_pitch == channels) return to_codes_.run(v, static_cast<size_t>(pixels * channels), y);
      return to_codes_.rows(v, static_cast<size_t>(channels), static_cast<size_t>(pixels), y, nullptr, y_pitch);
    }
    if (desc_.activation.kind == ActivationKind::none) return;
    const bool dense = v_pitch == channels;
    for (int64_t p = 0; p < (dense ? 1 : pixels); ++p)
      activation_kernels_.activate(v + p * v_pitch, static_cast<size_t>(dense ? pixels * channels : channels),
                                   desc_.activation);
  }

  ConvU8S8Desc desc_;
  int64_t step_;  // of lattices
  DepthwiseU8S8Kernel kernel_;
  int block_;
  const char* name_;
  ActivationKernels activation_kernels_;
  ActivationCodes to_codes_;
  AlignedBytes weights_;
  size_t packed_bytes_ = 0;
  bool fits_f32_ = false;
  AlignedVector<int32_t> bias_;
  AlignedVector<float> multiplier_;
  AlignedVector<uint8_t> zero_;
  AlignedVector<uint8_t> lines_;
  RepeatedInput repeated_;
  KnownDepthwise known_;
};

/// Of any window's description the layer on one pixel.
ConvU8S8Desc on_one_pixel(ConvU8S8Desc desc) {
  WindowGeometry& g = desc.geometry;
  g.ih = g.iw = g.oh = g.ow = 1;
  g.x_pitch = g.y_pitch = channel_pitch(g.ic);
  g.residual_pitch = 0;
  return desc;
}

class Pointwise final : public PointwiseU8S8 {
 public:
  Pointwise(const ConvU8S8Desc& desc, std::span<const uint8_t> residual, const DepthwiseU8S8Kernels& kernels, Isa isa)
      : layer_(on_one_pixel(desc), desc.geometry, kernels, isa), residual_(residual.begin(), residual.end()) {
    if (!residual.empty()) residual_.resize(residual.size() + k_tail_bytes);
    std::vector<double> slopes;
    for (size_t c = 0; c < desc.weights.size(); ++c)
      slopes.push_back(double{desc.multiplier[c]} * static_cast<double>(desc.weights[c]));
    layer_.find_lines(slopes, residual_.empty() ? nullptr : residual_.data());
  }
  size_t packed_bytes() const override { return layer_.packed_bytes() + residual_.size(); }
  std::span<const uint8_t> constants() const override { return layer_.lines(); }
  void run(const uint8_t* x, int64_t x_pitch, int64_t pixels, uint8_t* y, int64_t y_pitch,
           bool is_followed) const override {
    layer_.run_pixels(x, x_pitch, residual_.empty() ? nullptr : residual_.data(), pixels, y, y_pitch, is_followed);
  }

 private:
  DepthwiseU8S8 layer_;
  AlignedVector<uint8_t> residual_;
};

}  // namespace

std::shared_ptr<const PointwiseU8S8> PointwiseU8S8::make(const ConvU8S8Desc& desc, std::span<const uint8_t> residual,
                                                         Isa isa) {
  assert(is_depthwise(desc.geometry) && !is_form_3(desc) && desc.has_residual == !residual.empty());
  const bool fits = fits_int32(desc) && fits_f32(desc, folded_bias(desc));
  return std::make_shared<Pointwise>(desc, residual, (fits ? depthwise_kernels(isa) : depthwise_scalar).u8s8, isa);
}

std::unique_ptr<const ConvU8S8> make_depthwise_u8s8(const ConvU8S8Desc& desc, Isa isa) {
  if (repeats_of(desc.geometry) == 0) return nullptr;
  ConvU8S8Desc all = desc;
  all.geometry = with_repeated_channels(desc.geometry);
  // Scales so far apart that an accumulator times its multiplier leaves int32 do not occur in trained networks; the
  // scalar kernel, which clamps before it rounds, takes them.
  const bool fits = is_form_3(all) || fits_int32(all);
  const DepthwiseKernels& kernels = fits ? depthwise_kernels(isa) : depthwise_scalar;
  return std::make_unique<DepthwiseU8S8>(all, desc.geometry, kernels.u8s8, isa);
}

}  // namespace octet
