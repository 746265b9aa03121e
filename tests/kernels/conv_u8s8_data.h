#pragma once
// An integer convolution with random data, for the tests of the families that run one.

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include "base/aligned.h"
#include "kernels/conv_cases.h"
#include "kernels/conv_u8s8/conv_u8s8.h"
#include "kernels/guarded.h"

namespace octet {

inline bool has_isa(Isa isa) {
  const std::vector<Isa> isas = available_isas();
  return std::find(isas.begin(), isas.end(), isa) != isas.end();
}

/// Bounds that saturating packs keep, with little or nothing beside them: u8 codes, s8 codes stored 128 up, codes of 7
/// bits; and others near these.
struct PackedRange {
  int zero_point, lo, hi;
};
inline constexpr PackedRange k_packed_ranges[] = {{0, 0, 255}, {128, 0, 255}, {128, 128, 255}, {0, 0, 127},
                                                  {0, 9, 127}, {37, 0, 255},  {37, 60, 255}};

struct ConvU8S8Data {
  explicit ConvU8S8Data(const ConvCase& conv_case, uint32_t seed = 1) : shape(conv_case), random(seed) {
    const WindowGeometry g = shape.geometry();
    desc.geometry = g;
    x.resize(buffer_elements<uint8_t>(shape.batch, g.ih, g.iw, g.x_pitch));
    residual.resize(buffer_elements<uint8_t>(shape.batch, g.oh, g.ow, g.residual_pitch));
    weights.resize(static_cast<size_t>(shape.weight_count()));
    bias.resize(static_cast<size_t>(g.oc));
    multiplier.resize(static_cast<size_t>(g.oc));
    // The channels between C and the pitch get codes too: they must count for nothing.
    for (uint8_t& code : x) code = static_cast<uint8_t>(between(0, 255));
    for (uint8_t& code : residual) code = static_cast<uint8_t>(between(0, 255));
    for (int8_t& code : weights) code = static_cast<int8_t>(between(-127, 127));
    for (int32_t& b : bias) b = between(-20000, 20000);
    const float depth = static_cast<float>(weights.size()) / static_cast<float>(g.oc);
    for (float& m : multiplier) m = static_cast<float>(between(50, 200)) / (10000.0f * std::sqrt(depth));
    desc.x_zero_point = 97;
    desc.y_zero_point = 121;
  }

  int between(int lo, int hi) { return std::uniform_int_distribution<int>(lo, hi)(random); }

  void with_residual(int zero_point, float m) {
    desc.has_residual = true;
    desc.residual_zero_point = zero_point;
    desc.residual_multiplier = m;
  }

  void clamp_to(const PackedRange& range) {
    desc.y_zero_point = range.zero_point;
    desc.lo = range.lo;
    desc.hi = range.hi;
  }

  /// Every product the largest there is, and sums of a whole window times the multiplier `largest`, to codes of 7 bits.
  void fill_with_largest_products(double largest) {
    std::fill(weights.begin(), weights.end(), static_cast<int8_t>(-128));
    std::fill(x.begin(), x.end(), static_cast<uint8_t>(0));
    std::fill(bias.begin(), bias.end(), 0);
    const double sum = 128.0 * 128.0 * static_cast<double>(weights.size() / multiplier.size());
    std::fill(multiplier.begin(), multiplier.end(), static_cast<float>(largest / sum));
    desc.x_zero_point = 128;
    clamp_to({0, 0, 127});
  }

  /// The descriptor's spans are these vectors.
  void describe() {
    desc.weights = weights;
    desc.bias = bias;
    desc.multiplier = multiplier;
  }

  template <class T>
  void set_image(const std::vector<T>& values) {
    const auto* const bytes = reinterpret_cast<const std::byte*>(values.data());
    image.assign(bytes, bytes + values.size() * sizeof(T));
  }

  /// All chunks for `threads` workers, one after the other; y starts as 0x5a everywhere and comes back with its pitch.
  template <class T>
  std::vector<T> run_layer(const ConvU8S8& layer, int threads) const {
    return run_chunks<T>(layer, threads, 0, layer.chunks(shape.batch, threads));
  }

  /// Chunks [first, last) of them; the rest of y stays 0x5a.
  template <class T>
  std::vector<T> run_chunks(const ConvU8S8& layer, int threads, int64_t first, int64_t last) const {
    const WindowGeometry& g = desc.geometry;
    std::vector<T> before(buffer_elements<T>(shape.batch, g.oh, g.ow, g.y_pitch), static_cast<T>(0x5a));
    const AlignedBytes scratch = allocate_aligned(layer.scratch_bytes());
    Guarded<uint8_t> input(x), added(residual);
    Guarded<T> y(before);
    Guarded<std::byte> photograph(image);
    ConvU8S8Args args = {shape.batch, input.data(), added.data(), y.data(), photograph.data()};
    if (in_place) args.y = added.data();
    for (int64_t chunk = last - 1; chunk >= first; --chunk) layer.run_chunk(args, chunk, threads, scratch.get());
    if constexpr (sizeof(T) == 1) {
      if (in_place) return added.values();
    }
    return y.values();
  }

  bool in_place = false;  // codes in the place of the residual
  ConvCase shape;
  std::mt19937 random;
  ConvU8S8Desc desc;
  std::vector<uint8_t> x, residual;
  std::vector<std::byte> image;  // dense NCHW, f32 or u8
  std::vector<int8_t> weights;
  std::vector<int32_t> bias;
  std::vector<float> multiplier;
};

}  // namespace octet
