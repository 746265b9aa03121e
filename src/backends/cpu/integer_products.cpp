// ConvInteger and MatMulInteger with constant weights (dynamic quantization): codes without their zero points as s16,
// rows against panels of 16 columns on the matmul_s16 kernels, sums in s32. A row of a convolution is the window of one
// output pixel and one group; a depthwise layer is summed tap by tap, all channels at once. Taps in the padding are 0.
#include <algorithm>

#include "backends/cpu/constants.h"
#include "backends/cpu/geometry.h"
#include "backends/cpu/step.h"
#include "base/aligned.h"
#include "kernels/matmul_s16/matmul_s16.h"

namespace octet::cpu {
namespace {

constexpr int64_t k_longest_row = 32768;  // 255 * 255 * k_longest_row < 2^31
constexpr int64_t k_block = 64;           // rows of a at a time

int64_t round_up(int64_t n, int64_t to) { return (n + to - 1) / to * to; }

/// Weights of one group: [panel][pair][16 columns][2], zero where a column or the odd k does not exist.
struct Panels {
  int64_t pairs = 0, columns = 0;
  std::vector<int16_t> packed;

  Panels() = default;
  /// weight(k, column) without its zero point.
  template <class F>
  Panels(int64_t k, int64_t n, F&& weight) : pairs((k + 1) / 2), columns(n) {
    packed.assign(static_cast<size_t>(pitch() * pairs * 2), 0);
    for (int64_t column = 0; column < n; ++column)
      for (int64_t i = 0; i < k; ++i) {
        const int64_t panel = column / k_matmul_s16_panel, lane = column % k_matmul_s16_panel;
        packed[static_cast<size_t>(((panel * pairs + i / 2) * k_matmul_s16_panel + lane) * 2 + i % 2)] =
            static_cast<int16_t>(weight(i, column));
      }
  }
  int64_t pitch() const { return round_up(columns, k_matmul_s16_panel); }
  /// sums[row][pitch()] of rows of a that lie 2 * pairs apart.
  void multiply(const MatMulS16Kernels& kernels, const int16_t* a, int64_t rows, int32_t* sums) const {
    kernels.panels(a, packed.data(), pairs, rows, pitch() / k_matmul_s16_panel, sums, pitch());
  }
};

/// Zero points of a constant weight: none, one, or one for each output channel.
std::optional<std::vector<int64_t>> weight_zero_points(const StepQuery& query, int64_t channels) {
  if (!query.has_input(3)) return std::vector<int64_t>(static_cast<size_t>(channels), 0);
  std::optional<std::vector<int64_t>> zero = constant_ints(query.graph, query.id(3));
  if (!zero) return std::nullopt;
  if (zero->size() == 1) zero->assign(static_cast<size_t>(channels), zero->front());
  if (static_cast<int64_t>(zero->size()) != channels) return std::nullopt;
  return zero;
}

std::string refuse_operands(const StepQuery& query, int64_t channels, int64_t row) {
  if (!is_constant(query.graph, query.id(1))) return "the weight is not a constant";
  if (!weight_zero_points(query, channels)) return "the weight's zero point is not a constant per output channel";
  if (query.has_input(2) && element_count(query.dims(2)) != 1) return "several zero points of input 0";
  return row >= k_longest_row ? "a sum of " + std::to_string(row) + " products may leave int32" : "";
}

/// The zero point of input 0 as the run has it, in the u8 domain.
struct ZeroPoint {
  std::optional<Place> place;
  int32_t otherwise = 0;
  int32_t at(const RunContext& run) const { return place ? *run.at<uint8_t>(*place) : otherwise; }
};

Result<ZeroPoint> zero_point(const StepQuery& query, StepBuilder& builder) {
  if (!query.has_input(2)) return ZeroPoint{std::nullopt, domain_shift(query.dtype(0))};
  Result<Operand> operand = builder.input(query, 2);
  if (!operand) return operand.error();
  return ZeroPoint{operand->place, 0};
}

double cost_us(const StepQuery& query) {
  const Dims w = query.dims(1);
  const int64_t row =
      element_count(w).value_or(0) / std::max<int64_t>(is_op(query.node, "ConvInteger") ? w[0] : w[1], 1);
  return 2 + static_cast<double>(element_count(query.output_dims()).value_or(0) * row) / 20e3;
}

// ---- ConvInteger

Result<WindowGeometry> geometry_of(const StepQuery& query) {
  const Dims w = query.dims(1);
  Result<WindowGeometry> g = window_geometry(query, w[2], w[3]);
  if (g) g->groups = int_attribute(query.node, "group", 1);
  return g;
}

std::string refuse_conv(const StepQuery& query) {
  if (query.shape(0)->size() != 4) return "only two spatial dimensions (a rank-4 input)";
  const Dims w = query.dims(1);
  const Result<WindowGeometry> g = geometry_of(query);
  if (!g) return g.error().message;
  if (w[0] == 0 || g->ic == 0) return "no channels";
  return refuse_operands(query, w[0], w[1] * w[2] * w[3]);
}

struct Convolution {
  WindowGeometry g;
  std::vector<Panels> groups;   // dense layers
  std::vector<int16_t> by_tap;  // depthwise layers: [tap][channel]
  MatMulS16Kernels kernels;
  int64_t taps() const { return g.kh * g.kw; }
  int64_t row() const { return taps() * (g.ic / g.groups); }
  size_t a_bytes() const { return static_cast<size_t>(round_up(k_block * (row() + 1) * 2, 64)); }
  size_t scratch_bytes() const {
    const int64_t width = groups.empty() ? g.oc : groups.front().pitch();
    return a_bytes() + static_cast<size_t>(round_up((groups.empty() ? 1 : k_block) * width * 4, 64));
  }

  /// The input pixel under a tap, or null in the padding.
  const uint8_t* pixel(const uint8_t* image, int64_t oy, int64_t ox, int64_t tap) const {
    const int64_t iy = oy * g.stride_h - g.pad_top + tap / g.kw * g.dilation_h;
    const int64_t ix = ox * g.stride_w - g.pad_left + tap % g.kw * g.dilation_w;
    return iy < 0 || iy >= g.ih || ix < 0 || ix >= g.iw ? nullptr : image + (iy * g.iw + ix) * g.x_pitch;
  }

  void depthwise_row(const uint8_t* image, int32_t zero, int64_t oy, int32_t* y) const {
    for (int64_t ox = 0; ox < g.ow; ++ox, y += g.y_pitch) {
      std::fill_n(y, g.oc, 0);
      for (int64_t tap = 0; tap < taps(); ++tap) {
        const uint8_t* x = pixel(image, oy, ox, tap);
        if (!x) continue;
        const int16_t* w = by_tap.data() + tap * g.oc;
        for (int64_t c = 0; c < g.oc; ++c) y[c] += int32_t{static_cast<int16_t>(x[c] - zero)} * w[c];
      }
    }
  }

  void gather(const uint8_t* image, int32_t zero, int64_t group, int64_t oy, int64_t ox, int16_t* to) const {
    const int64_t channels = g.ic / g.groups;
    for (int64_t tap = 0; tap < taps(); ++tap, to += channels) {
      const uint8_t* x = pixel(image, oy, ox, tap);
      if (!x) {
        std::fill_n(to, channels, int16_t{0});
        continue;
      }
      x += group * channels;
      for (int64_t c = 0; c < channels; ++c) to[c] = static_cast<int16_t>(x[c] - zero);
    }
    if (row() % 2 != 0) *to = 0;
  }

  void dense_row(const uint8_t* image, int32_t zero, int64_t oy, int32_t* y, std::byte* scratch) const {
    auto* a = reinterpret_cast<int16_t*>(scratch);
    auto* sums = reinterpret_cast<int32_t*>(scratch + a_bytes());
    for (int64_t group = 0; group < g.groups; ++group) {
      const Panels& panels = groups[static_cast<size_t>(group)];
      for (int64_t first = 0; first < g.ow; first += k_block) {
        const int64_t pixels = std::min(k_block, g.ow - first);
        for (int64_t p = 0; p < pixels; ++p) gather(image, zero, group, oy, first + p, a + p * 2 * panels.pairs);
        panels.multiply(kernels, a, pixels, sums);
        for (int64_t p = 0; p < pixels; ++p)
          std::copy_n(sums + p * panels.pitch(), panels.columns, y + (first + p) * g.y_pitch + group * panels.columns);
      }
    }
  }

  void run_row(const uint8_t* x, int32_t zero, int64_t row_index, int32_t* y, std::byte* scratch) const {
    const int64_t n = row_index / g.oh, oy = row_index % g.oh;
    const uint8_t* image = x + n * g.ih * g.iw * g.x_pitch;
    int32_t* to = y + row_index * g.ow * g.y_pitch;
    if (groups.empty())
      depthwise_row(image, zero, oy, to);
    else
      dense_row(image, zero, oy, to, scratch);
  }
};

/// The constant weight, packed for its form. Errors: it cannot be computed.
Result<std::shared_ptr<const Convolution>> packed_convolution(const StepQuery& query) {
  const Result<WindowGeometry> geometry = geometry_of(query);
  if (!geometry) return geometry.error();
  const std::optional<std::vector<int64_t>> codes = constant_ints(query.graph, query.id(1));
  const std::optional<std::vector<int64_t>> zero = weight_zero_points(query, geometry->oc);
  if (!codes || !zero) return query.error("the weight's constant cannot be read", ErrorCode::internal);
  auto made = std::make_shared<Convolution>(Convolution{*geometry, {}, {}, matmul_s16_kernels(query.isa)});
  const WindowGeometry& g = made->g;
  const int64_t channels = g.ic / g.groups, taps = made->taps(), columns = g.oc / g.groups;
  const auto weight = [&](int64_t oc, int64_t c, int64_t tap) {
    return (*codes)[static_cast<size_t>((oc * channels + c) * taps + tap)] - (*zero)[static_cast<size_t>(oc)];
  };
  if (channels == 1 && columns == 1 && g.groups > 1) {
    for (int64_t tap = 0; tap < taps; ++tap)
      for (int64_t c = 0; c < g.oc; ++c) made->by_tap.push_back(static_cast<int16_t>(weight(c, 0, tap)));
    return std::shared_ptr<const Convolution>(made);
  }
  for (int64_t group = 0; group < g.groups; ++group)
    made->groups.emplace_back(made->row(), columns, [&](int64_t k, int64_t column) {
      return weight(group * columns + column, k % channels, k / channels);
    });
  return std::shared_ptr<const Convolution>(made);
}

Result<PreparedStep> prepare_conv(const StepQuery& query, StepBuilder& builder) {
  const Result<std::shared_ptr<const Convolution>> layer = packed_convolution(query);
  if (!layer) return layer.error();
  Result<Operand> x = builder.input(query, 0);
  if (!x) return x.error();
  const Result<ZeroPoint> zero = zero_point(query, builder);
  if (!zero) return zero.error();
  const Operand y = builder.output(query);
  PreparedStep step{.scratch_bytes = (*layer)->scratch_bytes()};
  step.run = [layer = *layer, x = x->place, zero = *zero, y = y.place,
              batch = y.layout.batch()](const RunContext& run) {
    const int32_t z = zero.at(run);
    const int64_t cost = layer->g.ow * layer->g.oc * layer->row() / 8;
    run.parallel(batch * layer->g.oh, cost, [&](int64_t first, int64_t last, int worker) {
      for (int64_t row = first; row < last; ++row)
        layer->run_row(run.at<uint8_t>(x), z, row, run.at<int32_t>(y), run.scratch<std::byte>(worker));
    });
  };
  return step;
}

// ---- MatMulInteger

std::string refuse_matmul(const StepQuery& query) {
  if (query.shape(1)->size() != 2) return "the weight is not a matrix";
  if (query.shape(0)->size() == 4) return "a rank-4 input (channels are innermost in memory, not columns)";
  if (query.shape(0)->size() < 2) return "a rank-1 input";
  return refuse_operands(query, query.dims(1)[1], query.dims(1)[0]);
}

struct MatrixProduct {
  Panels panels;
  int64_t k = 0;
  MatMulS16Kernels kernels;
  size_t a_bytes() const { return static_cast<size_t>(round_up(k_block * 2 * panels.pairs * 2, 64)); }
  size_t scratch_bytes() const { return a_bytes() + static_cast<size_t>(k_block * panels.pitch() * 4); }

  void run(const uint8_t* x, int32_t zero, int64_t rows, int32_t* y, std::byte* scratch) const {
    auto* a = reinterpret_cast<int16_t*>(scratch);
    auto* sums = reinterpret_cast<int32_t*>(scratch + a_bytes());
    for (int64_t r = 0; r < rows; ++r) {
      int16_t* to = a + r * 2 * panels.pairs;
      for (int64_t i = 0; i < k; ++i) to[i] = static_cast<int16_t>(x[r * k + i] - zero);
      if (k % 2 != 0) to[k] = 0;
    }
    panels.multiply(kernels, a, rows, sums);
    for (int64_t r = 0; r < rows; ++r) std::copy_n(sums + r * panels.pitch(), panels.columns, y + r * panels.columns);
  }
};

Result<PreparedStep> prepare_matmul(const StepQuery& query, StepBuilder& builder) {
  const Dims w = query.dims(1);
  const std::optional<std::vector<int64_t>> codes = constant_ints(query.graph, query.id(1));
  const std::optional<std::vector<int64_t>> w_zero = weight_zero_points(query, w[1]);
  if (!codes || !w_zero) return query.error("the weight's constant cannot be read", ErrorCode::internal);
  auto product = std::make_shared<const MatrixProduct>(MatrixProduct{
      Panels(w[0], w[1],
             [&](int64_t k, int64_t column) {
               return (*codes)[static_cast<size_t>(k * w[1] + column)] - (*w_zero)[static_cast<size_t>(column)];
             }),
      w[0], matmul_s16_kernels(query.isa)});
  Result<Operand> x = builder.input(query, 0);
  if (!x) return x.error();
  const Result<ZeroPoint> zero = zero_point(query, builder);
  if (!zero) return zero.error();
  const Operand y = builder.output(query);
  const int64_t rows = w[0] == 0 ? 0 : x->layout.elements / w[0];
  PreparedStep step{.scratch_bytes = product->scratch_bytes()};
  step.run = [product, rows, x = x->place, zero = *zero, y = y.place](const RunContext& run) {
    const int32_t z = zero.at(run);
    const int64_t blocks = (rows + k_block - 1) / k_block, n = product->panels.columns;
    run.parallel(blocks, k_block * n * product->k / 8, [&](int64_t first, int64_t last, int worker) {
      for (int64_t block = first; block < last; ++block) {
        const int64_t at = block * k_block;
        product->run(run.at<uint8_t>(x) + at * product->k, z, std::min(k_block, rows - at), run.at<int32_t>(y) + at * n,
                     run.scratch<std::byte>(worker));
      }
    });
  };
  return step;
}

}  // namespace

const StepDef conv_integer_step = {"conv_integer", refuse_conv, cost_us, prepare_conv};
const StepDef matmul_integer_step = {"matmul_integer", refuse_matmul, cost_us, prepare_matmul};

}  // namespace octet::cpu
