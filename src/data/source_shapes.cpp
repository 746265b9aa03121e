// shapes:N and shapes-train:N: octet's own labelled pictures, 32x32 RGB, ten classes (sample i shows class i mod 10):
//   0 disc, 1 ring, 2 square, 3 triangle, 4 cross, 5 horizontal, 6 vertical, 7 diagonal stripes, 8 checker, 9 dots
// Place, size, rotation, colours and contrast are random; a gradient, clutter behind and across, and noise make a small
// network err now and then, so that quantization has something to lose: a ResNet of 173,000 weights (five epochs over
// 20,000 pictures, examples/models/train_shapes.py) gets 90.6 % of 2,000. Integers only: every machine draws the same
// pixels. The two splits draw from disjoint seeds; the preprocess spec sees pixels 0..255.
#include <algorithm>
#include <array>

#include "base/hash.h"
#include "data/random.h"
#include "data/source.h"

namespace octet {
namespace {

constexpr int64_t k_side = 32, k_classes = 10;
constexpr uint64_t k_test_seed = 0x7465737400000000ull, k_train_seed = 0x747261696e000000ull;  // "test", "train"
constexpr int64_t k_one = 256;       // one pixel in the fixed-point coordinates
constexpr int64_t k_samples = 3;     // sub-samples of a pixel along each side
constexpr int64_t k_turn = 256;      // angles
constexpr int64_t k_unit_bits = 14;  // sines are scaled by 2^14

// sin(2 pi i / 256) * 2^14, first quarter.
constexpr std::array<int16_t, 65> k_sine = {0,     402,   804,   1205,  1606,  2006,  2404,  2801,  3196,  3590,  3981,
                                            4370,  4756,  5139,  5520,  5897,  6270,  6639,  7005,  7366,  7723,  8076,
                                            8423,  8765,  9102,  9434,  9760,  10080, 10394, 10702, 11003, 11297, 11585,
                                            11866, 12140, 12406, 12665, 12916, 13160, 13395, 13623, 13842, 14053, 14256,
                                            14449, 14635, 14811, 14978, 15137, 15286, 15426, 15557, 15679, 15791, 15893,
                                            15986, 16069, 16143, 16207, 16261, 16305, 16340, 16364, 16379, 16384};

int64_t sine(int64_t angle) {
  const int64_t a = ((angle % k_turn) + k_turn) % k_turn, in_half = a % (k_turn / 2);
  const int64_t value = k_sine[static_cast<size_t>(in_half <= k_turn / 4 ? in_half : k_turn / 2 - in_half)];
  return a < k_turn / 2 ? value : -value;
}
int64_t cosine(int64_t angle) { return sine(angle + k_turn / 4); }

using Colour = std::array<int64_t, 3>;

/// A figure to paint: where, how large, how turned; everything in 1/256 pixel.
struct Figure {
  int64_t kind = 0;
  int64_t x = 0, y = 0, radius = 0, angle = 0;
  int64_t period = 0, phase = 0;  // of stripes, checker and dots
  Colour colour{};
};

int64_t wrapped(int64_t value, int64_t period) { return ((value % period) + period) % period; }

/// Whether (u, v), in the figure's own turned axes, is inside.
bool covers(const Figure& f, int64_t u, int64_t v) {
  const int64_t r = f.radius, distance = u * u + v * v;
  const int64_t au = u < 0 ? -u : u, av = v < 0 ? -v : v;
  const bool in_window = std::max(au, av) < r;
  const auto upper_half = [&](int64_t at) { return wrapped(at + f.phase, f.period) * 2 < f.period; };
  switch (f.kind) {
    case 0: return distance < r * r;
    case 1: return distance < r * r && distance * 100 > r * r * 36;  // inner radius 0.6 r
    case 2: return std::max(au, av) * 100 < r * 85;
    case 3: return v * 2 < r && au * 443 < (v + r) * 256;  // sides at 60 degrees: 443/256 = sqrt(3)
    case 4: return in_window && std::min(au, av) * 10 < r * 3;
    case 5:
    case 6:
    case 7: return in_window && upper_half(v);  // the angle tells these three apart
    case 8: return in_window && upper_half(u) != upper_half(v);
    case 9: {
      const int64_t du = wrapped(u + f.phase, f.period) - f.period / 2, dv = wrapped(v, f.period) - f.period / 2;
      return in_window && (du * du + dv * dv) * 100 < f.period * f.period * 11;  // dots of radius 0.33 period
    }
    default: return au < r && av < f.period;  // a bar of clutter
  }
}

class Canvas {
 public:
  explicit Canvas(uint64_t seed) : random_(seed) {}

  Image draw(int64_t kind) {
    fill_background();
    for (int64_t i = random_.between(2, 5); i > 0; --i) paint(clutter());
    const Figure figure = subject(kind);
    paint(figure);
    for (int64_t i = random_.between(0, 2); i > 0; --i) paint(clutter());
    add_noise();
    return finished();
  }

 private:
  Colour shade_of_background(int64_t least, int64_t most) {
    const int64_t away = random_.between(least, most) * (random_.below(2) ? 1 : -1);
    Colour colour;
    for (size_t c = 0; c < 3; ++c) colour[c] = background_[c] + away + random_.between(-14, 14);
    return colour;
  }

  void fill_background() {
    for (int64_t& c : background_) c = random_.between(60, 195);
    const int64_t angle = random_.below(k_turn), slope = random_.between(0, 40);
    for (int64_t y = 0; y < k_side; ++y) {
      for (int64_t x = 0; x < k_side; ++x) {
        const int64_t along = (x - k_side / 2) * cosine(angle) + (y - k_side / 2) * sine(angle);
        const int64_t change = along * slope / (k_side << k_unit_bits);
        for (size_t c = 0; c < 3; ++c) pixel(x, y)[c] = background_[c] + change;
      }
    }
  }

  Figure clutter() {
    Figure f;
    f.kind = random_.below(2) ? k_classes : 0;  // a bar or a small disc
    f.x = random_.below(k_side * k_one);
    f.y = random_.below(k_side * k_one);
    f.radius = f.kind ? random_.between(3 * k_one, 9 * k_one) : random_.between(k_one, 3 * k_one);
    f.period = random_.between(k_one / 2, k_one);  // half the width of a bar
    f.angle = random_.below(k_turn);
    f.colour = shade_of_background(10, 50);
    return f;
  }

  Figure subject(int64_t kind) {
    Figure f;
    f.kind = kind;
    f.x = k_side * k_one / 2 + random_.between(-5 * k_one, 5 * k_one);
    f.y = k_side * k_one / 2 + random_.between(-5 * k_one, 5 * k_one);
    f.radius = random_.between(5 * k_one, 11 * k_one);
    f.period = random_.between(4 * k_one, 7 * k_one);
    f.phase = random_.below(f.period);
    f.angle = random_.below(k_turn);
    const int64_t tilt = random_.between(-10, 10);  // 14 degrees
    if (kind == 5) f.angle = tilt;
    if (kind == 6) f.angle = k_turn / 4 + tilt;
    if (kind == 7) f.angle = k_turn / 8 + tilt + (random_.below(2) ? k_turn / 4 : 0);
    if (kind >= 5) f.radius = std::max(f.radius, f.period * 3 / 2);  // a pattern needs repeats
    f.colour = shade_of_background(18, 70);
    return f;
  }

  void paint(const Figure& f) {
    const int64_t cos = cosine(f.angle), sin = sine(f.angle);
    const int64_t reach = f.radius * 3 / 2 / k_one + 2;  // pixels: beyond the corners of a turned square
    const int64_t cx = f.x / k_one, cy = f.y / k_one;
    for (int64_t y = std::max<int64_t>(cy - reach, 0); y < std::min(cy + reach, k_side); ++y) {
      for (int64_t x = std::max<int64_t>(cx - reach, 0); x < std::min(cx + reach, k_side); ++x) {
        int64_t covered = 0;
        for (int64_t s = 0; s < k_samples * k_samples; ++s) {
          const int64_t px = x * k_one + (2 * (s % k_samples) + 1) * k_one / (2 * k_samples) - f.x;
          const int64_t py = y * k_one + (2 * (s / k_samples) + 1) * k_one / (2 * k_samples) - f.y;
          covered += covers(f, (px * cos + py * sin) >> k_unit_bits, (py * cos - px * sin) >> k_unit_bits);
        }
        for (size_t c = 0; c < 3; ++c) {
          int64_t& p = pixel(x, y)[c];
          p += (f.colour[c] - p) * covered / (k_samples * k_samples);
        }
      }
    }
  }

  /// The sum of four uniform numbers is close to normal: deviation about 1.15 times the amplitude.
  void add_noise() {
    const int64_t amplitude = random_.between(8, 32);
    for (Colour& p : pixels_) {
      for (int64_t& c : p) {
        for (int k = 0; k < 4; ++k) c += random_.between(-amplitude, amplitude);
      }
    }
  }

  Image finished() const {
    Image image{k_side, k_side, {}};
    for (const Colour& p : pixels_) {
      for (const int64_t c : p) image.rgb.push_back(static_cast<uint8_t>(std::clamp<int64_t>(c, 0, 255)));
    }
    return image;
  }

  Colour& pixel(int64_t x, int64_t y) { return pixels_[static_cast<size_t>(y * k_side + x)]; }

  Random random_;
  Colour background_{};
  std::array<Colour, k_side * k_side> pixels_{};
};

class ShapesSource final : public Source {
 public:
  ShapesSource(int64_t count, uint64_t seed, const Preprocess& preprocess)
      : count_(count), seed_(seed), preprocess_(preprocess) {}

  int64_t size() const override { return count_; }
  std::vector<int64_t> labels(int64_t i) const override { return {i % k_classes}; }
  std::string sample_name(int64_t i) const override {
    return (seed_ == k_train_seed ? "shapes-train " : "shapes ") + std::to_string(i);
  }
  Result<Done> read(int64_t i, const Dims& dims, std::span<float> out) const override {
    return write_picture(preprocess_, picture(i), dims, out);
  }
  bool are_pictures() const override { return true; }
  uint64_t content_hash(int64_t i) const override {
    const Image image = picture(i);
    return hash_bytes(std::as_bytes(std::span(image.rgb)));
  }

 private:
  Image picture(int64_t i) const { return Canvas(Random(seed_ + static_cast<uint64_t>(i)).next()).draw(i % k_classes); }
  int64_t count_;
  uint64_t seed_;
  Preprocess preprocess_;
};

}  // namespace

bool claims_shapes(const std::string& path) { return path.starts_with("shapes:") || path.starts_with("shapes-train:"); }

SourceResult open_shapes(const std::string& path, const SourceOptions& options) {
  const bool train = path.starts_with("shapes-train:");
  const Result<int64_t> count = *count_after(path, train ? "shapes-train" : "shapes");
  if (!count) return count.error();
  return SourceResult(std::make_unique<ShapesSource>(*count, train ? k_train_seed : k_test_seed, options.preprocess));
}

}  // namespace octet
