// GridSample(x [N,C,spatial...], grid [N,out spatial...,R]; mode, padding_mode, align_corners): y [N,C,out spatial...]
// is x at the places that grid names, the last spatial axis first. Source: ONNX operator GridSample, opset 20.
//   A coordinate g of an axis of extent L lies at p = (g + 1) / 2 * (L - 1) with align_corners, else at
//   ((g + 1) * L - 1) / 2, in the dtype of grid; from there on in double, and y is rounded once.
//   mode: nearest (ties to even), linear, cubic (Keys' kernel, a = -0.75), separable.
//   padding_mode: zeros (elements outside are 0), border (elements outside are the nearest inside, as PyTorch and ONNX
//   Runtime 1.32 have it for cubic, too), reflection (p, then the elements, are mirrored at the image's edges: those of
//   align_corners are the centres of the outer elements, else half an element further out). NaN coordinates, and
//   infinite ones with reflection, count as far below the image.
#include <algorithm>

#include "ir/ops/common.h"

namespace octet {
namespace {

constexpr std::string_view k_attributes[] = {"align_corners", "mode", "padding_mode"};
constexpr size_t k_most_axes = 3;  // a cubic sample reads 4^axes elements

enum class Mode { nearest, linear, cubic };
enum class Padding { zeros, border, reflection };

struct Sampling {
  Mode mode = Mode::linear;
  Padding padding = Padding::zeros;
  bool align_corners = false;
};

Result<Sampling> sampling_of(const NodeContext& context) {
  Sampling s;
  const std::string mode = string_attribute(context.node, "mode", "linear");
  const std::string padding = string_attribute(context.node, "padding_mode", "zeros");
  if (mode != "linear" && mode != "nearest" && mode != "cubic")
    return context.error("mode is '" + mode + "', expected linear, nearest or cubic");
  if (padding != "zeros" && padding != "border" && padding != "reflection")
    return context.error("padding_mode is '" + padding + "', expected zeros, border or reflection");
  s.mode = mode == "nearest" ? Mode::nearest : mode == "cubic" ? Mode::cubic : Mode::linear;
  s.padding = padding == "border" ? Padding::border : padding == "reflection" ? Padding::reflection : Padding::zeros;
  s.align_corners = int_attribute(context.node, "align_corners", 0) != 0;
  return s;
}

/// Ranks and extents of x and grid that fit each other.
Result<Done> check_shapes(const NodeContext& context, const Shape& x, const Shape& grid) {
  const auto refuse = [&](const std::string& what) {
    return context.error("x " + to_string(x) + " and grid " + to_string(grid) + ": " + what);
  };
  if (x.size() < 3 || x.size() > k_most_axes + 2)
    return context.error("x " + to_string(x) + " has not 1 to 3 spatial axes", ErrorCode::unsupported);
  if (grid.size() != x.size()) return refuse("the ranks differ");
  if (!unified_dim(x[0], grid[0])) return refuse("the batches differ");
  if (grid.back().known() && grid.back().value != static_cast<int64_t>(x.size()) - 2)
    return refuse("the last extent of grid is not the number of spatial axes");
  return Done{};
}

Result<ValueTypes> infer(const NodeContext& context) {
  if (Result<Sampling> s = sampling_of(context); !s) return s.error();
  for (const size_t i : {size_t{0}, size_t{1}})
    if (Result<Done> ok = require_float(context, i); !ok) return ok.error();
  if (!context.shape(0) || !context.shape(1)) return typed(context);
  const Shape &x = *context.shape(0), &grid = *context.shape(1);
  if (Result<Done> ok = check_shapes(context, x, grid); !ok) return ok.error();
  Shape y = {*unified_dim(x[0], grid[0]), x[1]};
  y.insert(y.end(), grid.begin() + 1, grid.end() - 1);
  return typed(context, std::move(y));
}

/// Of an axis: the elements that a sample reads, -1 for one that is zero, and their weights.
struct Taps {
  int count = 0;
  std::array<int64_t, 4> element{};
  std::array<double, 4> weight{};
};

/// p mirrored at low and high until it lies between them.
double mirrored(double p, double low, double high) {
  const double range = high - low;
  if (range <= 0) return low;
  const double r = std::fmod(std::fabs(p - low), 2 * range);
  return low + (r > range ? 2 * range - r : r);
}

class Axis {
 public:
  Axis(const Sampling& s, int64_t extent)
      : s_(s),
        extent_(extent),
        low_(s.align_corners ? 0 : -0.5),
        high_(static_cast<double>(extent) - (s.align_corners ? 1 : 0.5)) {}

  Taps at(double p) const {
    if (s_.mode == Mode::nearest) p = std::nearbyint(p);
    p = inside(p);
    Taps taps;
    if (s_.mode == Mode::nearest) {
      add(taps, std::nearbyint(p), 1);
    } else if (s_.mode == Mode::linear) {
      const double first = std::floor(p), t = p - first;
      add(taps, first, 1 - t);
      add(taps, first + 1, t);
    } else {
      const double first = std::floor(p), t = p - first;
      constexpr double a = -0.75;
      const auto near = [](double d) { return ((a + 2) * d - (a + 3)) * d * d + 1; };
      const auto far = [](double d) { return ((a * d - 5 * a) * d + 8 * a) * d - 4 * a; };
      const double weights[] = {far(t + 1), near(t), near(1 - t), far(2 - t)};
      for (int i = 0; i < 4; ++i) add(taps, first - 1 + i, weights[i]);
    }
    return taps;
  }

 private:
  /// p within the image, or so near that it fits any integer where its elements decide what is outside.
  double inside(double p) const {
    const auto extent = static_cast<double>(extent_);
    if (std::isnan(p) || (std::isinf(p) && s_.padding == Padding::reflection)) p = low_ - 4;
    if (s_.padding == Padding::zeros || (s_.padding == Padding::border && s_.mode == Mode::cubic))
      return std::clamp(p, -4.0, extent + 4);
    if (s_.padding == Padding::border) return std::clamp(p, 0.0, extent - 1);
    return p < low_ || p > high_ ? mirrored(p, low_, high_) : p;
  }

  void add(Taps& taps, double element, double weight) const {
    const auto last = static_cast<double>(extent_ - 1);
    if (s_.padding == Padding::reflection && (element < 0 || element > last)) element = mirrored(element, low_, high_);
    const bool is_zero = s_.padding == Padding::zeros && (element < 0 || element > last);
    const auto i = static_cast<size_t>(taps.count++);
    taps.element[i] = is_zero ? -1 : static_cast<int64_t>(std::clamp(element, 0.0, last));
    taps.weight[i] = weight;
  }

  Sampling s_;
  int64_t extent_;
  double low_, high_;
};

/// Elements of a plane with their weights.
using Samples = std::vector<std::pair<int64_t, double>>;

/// samples times the taps of one more axis.
Samples with_axis(const Samples& samples, const Taps& taps, int64_t stride) {
  Samples out;
  for (const auto& [offset, weight] : samples)
    for (size_t i = 0; i < static_cast<size_t>(taps.count); ++i)
      if (taps.element[i] >= 0) out.emplace_back(offset + taps.element[i] * stride, weight * taps.weight[i]);
  return out;
}

/// p of a coordinate of grid.
template <class G>
double place_of(G g, int64_t extent, bool align_corners) {
  const auto length = static_cast<G>(extent);
  return static_cast<double>(align_corners ? (g + 1) / 2 * (length - 1) : ((g + 1) * length - 1) / 2);
}

/// p of all coordinates, in grid's order.
Result<std::vector<double>> places(const NodeContext& context, const Tensor& grid, const Dims& x, bool align_corners) {
  std::vector<double> p;
  p.reserve(static_cast<size_t>(grid.size()));
  const Result<Done> filled = with_float_type(context, grid.dtype(), [&]<class T>(T) -> Result<Done> {
    const size_t axes = x.size() - 2;
    for (const T& g : grid.as<T>())
      p.push_back(place_of(static_cast<Wide<T>>(g), x[x.size() - 1 - p.size() % axes], align_corners));
    return Done{};
  });
  if (!filled) return filled.error();
  return p;
}

/// p: the places of all samples; dims: y's.
template <class T>
Result<Tensors> sampled(const Sampling& s, const Tensor& x, std::span<const double> p, const Dims& dims) {
  Result<std::pair<Tensor, std::byte*>> made = Tensor::allocate(x.dtype(), dims);
  if (!made) return made.error();
  if (made->first.size() == 0) return Tensors{std::move(made->first)};
  T* y = reinterpret_cast<T*>(made->second);
  const size_t axes = dims.size() - 2;
  const int64_t plane = *element_count(std::span(x.dims()).subspan(2)),
                out_plane = made->first.size() / (dims[0] * dims[1]);
  const std::vector<int64_t> strides = row_major_strides(x.dims());
  for (int64_t at = 0; at < dims[0] * out_plane; ++at) {
    Samples samples = {{0, 1.0}};
    for (size_t a = 0; a < axes; ++a)
      samples = with_axis(samples, Axis(s, x.dims()[a + 2]).at(p[static_cast<size_t>(at) * axes + axes - 1 - a]),
                          strides[a + 2]);
    for (int64_t c = 0; c < dims[1]; ++c) {
      const int64_t image = at / out_plane * dims[1] + c;
      double sum = 0;
      for (const auto& [offset, weight] : samples)
        sum +=
            weight * static_cast<double>(static_cast<Wide<T>>(x.as<T>()[static_cast<size_t>(image * plane + offset)]));
      y[image * out_plane + at % out_plane] = static_cast<T>(static_cast<Wide<T>>(sum));
    }
  }
  return Tensors{std::move(made->first)};
}

Result<Tensors> reference(const NodeContext& context, std::span<const Tensor> inputs) {
  const Result<Sampling> s = sampling_of(context);
  if (!s) return s.error();
  const Dims &x = inputs[0].dims(), &grid = inputs[1].dims();
  if (Result<Done> ok = check_shapes(context, to_shape(x), to_shape(grid)); !ok) return ok.error();
  Dims dims = {x[0], x[1]};
  dims.insert(dims.end(), grid.begin() + 1, grid.end() - 1);
  const std::optional<int64_t> count = element_count(dims);
  if (!count) return context.error("output " + to_string(dims) + " is too large");
  if (inputs[0].size() == 0 && *count > 0) return context.error("x " + to_string(x) + " has no element to sample");
  const Result<std::vector<double>> p = places(context, inputs[1], x, s->align_corners);
  if (!p) return p.error();
  return with_float_type(context, inputs[0].dtype(), [&]<class T>(T) { return sampled<T>(*s, inputs[0], *p, dims); });
}

}  // namespace

const OpDef grid_sample_op = {.name = "GridSample",
                              .min_inputs = 2,
                              .max_inputs = 2,
                              .attributes = k_attributes,
                              .infer = infer,
                              .reference = reference};

}  // namespace octet
