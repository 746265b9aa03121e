// Both resizers are two passes, along rows and then along columns, over a table of taps for each output position:
//   scale = in/out, reach = max(scale, 1), centre = (i + 1/2) * scale, taps from int(centre - reach + 1/2) to
//   int(centre + reach + 1/2), weight of tap x = max(0, 1 - |x + 1/2 - centre| / reach), divided by their sum.
// Pillow (src/libImaging/Resample.c) then rounds 8-bit weights to 22 = 32 - 8 - 2 fractional bits, half away from zero,
// sums in int starting from one half, and shifts; each pass gives 8-bit pixels. Rows come first, as in every Pillow up
// to 12; Pillow 13 takes columns first where the height shrinks by more than twice as many pixels as the width, and may
// differ there by one.
#include "data/resize.h"

#include <algorithm>
#include <cmath>

namespace octet {
namespace {

constexpr int k_precision_bits = 32 - 8 - 2;

/// Output i reads inputs first[i] .. first[i] + count[i] - 1 with the weights from i * stride on.
struct Taps {
  int64_t stride = 0;
  std::vector<int64_t> first, count;
  std::vector<double> weight;
};

Taps antialiased_taps(int64_t in, int64_t out) {
  const double scale = static_cast<double>(in) / static_cast<double>(out);
  const double reach = std::max(scale, 1.0), inverse_reach = 1.0 / reach;
  Taps taps;
  taps.stride = static_cast<int64_t>(std::ceil(reach)) * 2 + 1;
  taps.weight.resize(static_cast<size_t>(out * taps.stride));
  for (int64_t i = 0; i < out; ++i) {
    const double centre = (static_cast<double>(i) + 0.5) * scale;
    const int64_t begin = std::max<int64_t>(static_cast<int64_t>(centre - reach + 0.5), 0);
    const int64_t end = std::min<int64_t>(static_cast<int64_t>(centre + reach + 0.5), in);
    double* w = taps.weight.data() + i * taps.stride;
    double sum = 0;
    for (int64_t x = 0; x < end - begin; ++x) {
      const double distance = std::abs((static_cast<double>(x + begin) - centre + 0.5) * inverse_reach);
      w[x] = distance < 1.0 ? 1.0 - distance : 0.0;
      sum += w[x];
    }
    for (int64_t x = 0; x < end - begin; ++x) {
      if (sum != 0.0) w[x] /= sum;
    }
    taps.first.push_back(begin);
    taps.count.push_back(end - begin);
  }
  return taps;
}

Taps two_taps(int64_t in, int64_t out) {
  const double scale = static_cast<double>(in) / static_cast<double>(out);
  Taps taps;
  taps.stride = 2;
  for (int64_t i = 0; i < out; ++i) {
    const double at = std::max((static_cast<double>(i) + 0.5) * scale - 0.5, 0.0);
    const int64_t left = std::min<int64_t>(static_cast<int64_t>(at), in - 1);
    const bool inside = left + 1 < in;
    const double right_weight = inside ? at - static_cast<double>(left) : 0.0;
    taps.first.push_back(left);
    taps.count.push_back(inside ? 2 : 1);
    taps.weight.insert(taps.weight.end(), {1.0 - right_weight, right_weight});
  }
  return taps;
}

std::vector<int32_t> fixed_point(const Taps& taps) {
  std::vector<int32_t> weights;
  weights.reserve(taps.weight.size());
  for (const double w : taps.weight) weights.push_back(static_cast<int32_t>(0.5 + w * (1 << k_precision_bits)));
  return weights;
}

uint8_t to_pixel(int32_t sum) { return static_cast<uint8_t>(std::clamp(sum >> k_precision_bits, 0, 255)); }

Image resize_rows(const Image& in, int64_t width) {
  const Taps taps = antialiased_taps(in.width, width);
  const std::vector<int32_t> weights = fixed_point(taps);
  Image out{width, in.height, std::vector<uint8_t>(static_cast<size_t>(3 * width * in.height))};
  for (int64_t y = 0; y < in.height; ++y) {
    const uint8_t* row = in.rgb.data() + 3 * y * in.width;
    uint8_t* to = out.rgb.data() + 3 * y * width;
    for (int64_t i = 0; i < width; ++i, to += 3) {
      const uint8_t* from = row + 3 * taps.first[static_cast<size_t>(i)];
      const int32_t* w = weights.data() + i * taps.stride;
      int32_t sum[3] = {1 << (k_precision_bits - 1), 1 << (k_precision_bits - 1), 1 << (k_precision_bits - 1)};
      for (int64_t x = 0; x < taps.count[static_cast<size_t>(i)]; ++x) {
        for (int64_t c = 0; c < 3; ++c) sum[c] += from[3 * x + c] * w[x];
      }
      for (int64_t c = 0; c < 3; ++c) to[c] = to_pixel(sum[c]);
    }
  }
  return out;
}

Image resize_columns(const Image& in, int64_t height) {
  const Taps taps = antialiased_taps(in.height, height);
  const std::vector<int32_t> weights = fixed_point(taps);
  const int64_t row_bytes = 3 * in.width;
  Image out{in.width, height, std::vector<uint8_t>(static_cast<size_t>(row_bytes * height))};
  std::vector<int32_t> sums(static_cast<size_t>(row_bytes));
  for (int64_t i = 0; i < height; ++i) {
    std::fill(sums.begin(), sums.end(), 1 << (k_precision_bits - 1));
    for (int64_t y = 0; y < taps.count[static_cast<size_t>(i)]; ++y) {
      const uint8_t* from = in.rgb.data() + (taps.first[static_cast<size_t>(i)] + y) * row_bytes;
      const int32_t w = weights[static_cast<size_t>(i * taps.stride + y)];
      for (int64_t x = 0; x < row_bytes; ++x) sums[static_cast<size_t>(x)] += from[x] * w;
    }
    uint8_t* to = out.rgb.data() + i * row_bytes;
    for (int64_t x = 0; x < row_bytes; ++x) to[x] = to_pixel(sums[static_cast<size_t>(x)]);
  }
  return out;
}

}  // namespace

Image resize_pillow(const Image& image, int64_t width, int64_t height) {
  if (width == image.width && height == image.height) return image;
  if (width == image.width) return resize_columns(image, height);
  Image rows = resize_rows(image, width);
  return height == image.height ? rows : resize_columns(rows, height);
}

std::vector<float> resize_planes(std::span<const float> planes, int64_t count, PlaneSize in, PlaneSize out,
                                 bool antialias) {
  if (in.width == out.width && in.height == out.height) return {planes.begin(), planes.end()};
  const Taps across = antialias ? antialiased_taps(in.width, out.width) : two_taps(in.width, out.width);
  const Taps down = antialias ? antialiased_taps(in.height, out.height) : two_taps(in.height, out.height);
  std::vector<float> rows(static_cast<size_t>(count * in.height * out.width));
  for (int64_t y = 0; y < count * in.height; ++y) {
    const float* from = planes.data() + y * in.width;
    float* to = rows.data() + y * out.width;
    for (int64_t i = 0; i < out.width; ++i) {
      float sum = 0;
      for (int64_t x = 0; x < across.count[static_cast<size_t>(i)]; ++x) {
        sum += from[across.first[static_cast<size_t>(i)] + x] *
               static_cast<float>(across.weight[static_cast<size_t>(i * across.stride + x)]);
      }
      to[i] = sum;
    }
  }
  std::vector<float> result(static_cast<size_t>(count * out.height * out.width), 0.0f);
  for (int64_t c = 0; c < count; ++c) {
    for (int64_t i = 0; i < out.height; ++i) {
      float* to = result.data() + (c * out.height + i) * out.width;
      for (int64_t y = 0; y < down.count[static_cast<size_t>(i)]; ++y) {
        const float* from = rows.data() + (c * in.height + down.first[static_cast<size_t>(i)] + y) * out.width;
        const auto w = static_cast<float>(down.weight[static_cast<size_t>(i * down.stride + y)]);
        for (int64_t x = 0; x < out.width; ++x) to[x] += from[x] * w;
      }
    }
  }
  return result;
}

}  // namespace octet
