// Element-wise work on codes: QuantAdd, QuantMul (with broadcasting), QuantLookup.
#include <array>
#include <cmath>
#include <cstring>
#include <utility>

#include "backends/cpu/constants.h"
#include "backends/cpu/requantize.h"
#include "backends/cpu/rows.h"
#include "backends/cpu/step.h"
#include "kernels/activation/activation.h"
#include "kernels/elementwise/elementwise.h"

namespace octet::cpu {
namespace {

std::string refuse_pair(const StepQuery& query) {
  const OutputForm form = output_form(query.node);
  if (form.on_values && !form.to_f32) return "an activation that is neither Relu nor Clip";
  return query.output_dims().size() > StridedLoop::k_max_rank ? "more than 10 dimensions" : "";
}

struct PairParams {
  AddU8Params add;
  MulU8Params mul;
  bool product = false;
};

PairParams pair_params(const StepQuery& query, const OutputForm& form) {
  const Codes a = codes_of(query.node, "a", query.dtype(0)), b = codes_of(query.node, "b", query.dtype(1));
  const double sa = a.scale, sb = b.scale;
  PairParams p;
  p.product = is_op(query.node, "QuantMul");
  p.add = {a.zero_point, b.zero_point, form.y_zero_point, form.lo, form.hi, form.multiplier(sa), form.multiplier(sb)};
  p.mul = {a.zero_point, b.zero_point, form.y_zero_point, form.lo, form.hi, form.multiplier(sa * sb)};
  return p;
}

void row_to_code(const ElementwiseKernels& kernels, const PairParams& p, const uint8_t* a, const uint8_t* b, size_t n,
                 uint8_t* y) {
  if (p.product) {
    kernels.mul_u8(a, b, n, p.mul, y);
  } else {
    kernels.add_u8(a, b, n, p.add, y);
  }
}

/// Form 3 with an f32 result, before the activation: v = fma(a - za, sa, (b - zb) * sb), or (a - za)(b - zb) * (sa sb).
void row_to_f32(const PairParams& p, const uint8_t* a, const uint8_t* b, size_t n, float* y) {
  for (size_t i = 0; i < n; ++i) {
    const int32_t x = a[i] - p.add.a_zero_point, z = b[i] - p.add.b_zero_point;
    y[i] = p.product ? static_cast<float>(x * z) * p.mul.multiplier
                     : std::fma(static_cast<float>(x), p.add.a_multiplier, static_cast<float>(z) * p.add.b_multiplier);
  }
}

/// (b - zb) * mb of constant codes that rows of a are added to: empty where there is no such row.
std::vector<float> constant_addends(const StepQuery& query, const PairParams& p, const OutputForm& form,
                                    const Operand& b, const StridedLoop& loop) {
  constexpr int64_t k_most = 1 << 16;  // they take four times the codes' room
  std::vector<float> addends;
  if (p.product || form.to_f32 || loop.row_stride(2) != 1 || b.place.kind != Place::Kind::constant ||
      b.layout.elements > k_most || loop.rows() * loop.row_length() < 4 * b.layout.elements || !query.constant(1))
    return addends;
  const auto* codes = reinterpret_cast<const uint8_t*>(b.place.data);
  for (int64_t i = 0; i < b.layout.elements; ++i)
    addends.push_back(static_cast<float>(codes[i] - p.add.b_zero_point) * p.add.b_multiplier);
  return addends;
}

/// Whether every pixel of `image` is multiplied by the one of `pixel` (squeeze and excite), and both lie without gaps.
bool is_scaled_image(const Layout& y, const Layout& image, const Layout& pixel) {
  if (!y.is_nhwc() || !image.is_nhwc() || !pixel.is_nhwc() || image.dims != y.dims || pixel.pixels() != 1) return false;
  const int64_t channels = y.channels(), pitch = channel_pitch(channels);
  return pixel.channels() == channels && (pixel.batch() == y.batch() || pixel.batch() == 1) && y.pixels() > 1 &&
         y.pitch() == pitch && image.pitch() == pitch && pixel.pitch() == pitch;
}

/// Several pixels at a time beside as many copies of the one: rows long enough for whole vectors.
PreparedStep scale_image(const MulU8Params& params, const StepQuery& query, const Operand& image, const Operand& pixel,
                         const Operand& y) {
  constexpr int64_t k_row = 2048;
  const int64_t pitch = y.layout.pitch(), pixels = y.layout.pixels();
  const int64_t block = std::clamp<int64_t>(k_row / pitch, 1, pixels), blocks = (pixels + block - 1) / block;
  PreparedStep step{.scratch_bytes = static_cast<size_t>(block * pitch), .in_team = true};
  step.run = [=, mul = elementwise_kernels(query.isa).mul_u8, image = image.place, pixel = pixel.place, y = y.place,
              batch = y.layout.batch(), is_shared = pixel.layout.batch() == 1](const RunContext& run) {
    run.parallel(batch * blocks, block * pitch, [&](int64_t first, int64_t last, int worker) {
      uint8_t* const row = run.scratch<uint8_t>(worker);
      int64_t in_row = -1;  // the image whose pixel the row repeats
      for (int64_t unit = first; unit < last; ++unit) {
        const int64_t n = unit / blocks, begin = unit % blocks * block, count = std::min(block, pixels - begin);
        const uint8_t* factors = run.at<uint8_t>(pixel) + (is_shared ? 0 : n * pitch);
        if (block > 1) {
          for (int64_t i = 0; in_row != n && i < block; ++i)
            std::memcpy(row + i * pitch, factors, static_cast<size_t>(pitch));
          in_row = n;
          factors = row;
        }
        const int64_t at = (n * pixels + begin) * pitch;
        mul(run.at<uint8_t>(image) + at, factors, static_cast<size_t>(count * pitch), params, run.at<uint8_t>(y) + at);
      }
    });
  };
  return step;
}

Result<PreparedStep> prepare_pair(const StepQuery& query, StepBuilder& builder) {
  Result<Operand> a = builder.input(query, 0), b = builder.input(query, 1);
  if (!a) return a.error();
  if (!b) return b.error();
  const Operand y = builder.output(query);
  const OutputForm form = output_form(query.node);
  const PairParams params = pair_params(query, form);
  if (params.product && !form.to_f32) {
    if (is_scaled_image(y.layout, a->layout, b->layout)) return scale_image(params.mul, query, *a, *b, y);
    MulU8Params swapped = params.mul;
    std::swap(swapped.a_zero_point, swapped.b_zero_point);
    if (is_scaled_image(y.layout, b->layout, a->layout)) return scale_image(swapped, query, *b, *a, y);
  }
  const ElementwiseKernels kernels = elementwise_kernels(query.isa);
  const auto activate = activation_kernels(query.isa).activate;
  PreparedStep step{.scratch_bytes = 2 * k_row_block, .in_team = true};
  const StridedLoop loop = element_loop(y.layout, {&a->layout, &b->layout});
  const std::vector<float> addends = constant_addends(query, params, form, *b, loop);
  step.packed_bytes = addends.size() * sizeof(float);
  step.run = [=, a = a->place, b = b->place, y = y.place](const RunContext& run) {
    const uint8_t *pa = run.at<uint8_t>(a), *pb = run.at<uint8_t>(b);
    for_row_blocks(run, loop, [&](const StridedLoop::Offsets& at, int64_t n, int worker) {
      uint8_t* const scratch = run.scratch<uint8_t>(worker);
      const uint8_t* ra = contiguous_row(pa + at[1], loop.row_stride(1), n, scratch);
      if (!addends.empty())
        return kernels.add_constant_u8(ra, addends.data() + at[2], static_cast<size_t>(n), params.add,
                                       run.at<uint8_t>(y) + at[0]);
      const uint8_t* rb = contiguous_row(pb + at[2], loop.row_stride(2), n, scratch + k_row_block);
      const auto count = static_cast<size_t>(n);
      if (!form.to_f32) {
        row_to_code(kernels, params, ra, rb, count, run.at<uint8_t>(y) + at[0]);
        return;
      }
      float* const row = run.at<float>(y) + at[0];
      row_to_f32(params, ra, rb, count, row);
      if (form.activation.kind != ActivationKind::none) activate(row, count, form.activation);
    });
  };
  return step;
}

std::string refuse_lookup(const StepQuery& query) { return query.constant(1) ? "" : "the table is not a constant"; }

/// Others' channels lie between.
bool is_joined(const Layout& image) { return image.pitch() != channel_pitch(image.channels()); }

/// An image to another pitch: blocks of pixels pass through scratch, where they lie without gaps.
PreparedStep lookup_pixels(const StepQuery& query, const Operand& x, const Operand& y) {
  const int64_t channels = y.layout.channels(), block = std::max<int64_t>(1, k_row_block / channels);
  const auto lookup_rows = elementwise_kernels(query.isa).lookup_rows_u8;
  PreparedStep step{.scratch_bytes = lookup_rows ? 0 : static_cast<size_t>(block * channels), .in_team = true};
  step.run = [=, table = domain_table(*query.constant(1), query.dtype(0)),
              lookup = elementwise_kernels(query.isa).lookup_u8,
              pixels = y.layout.batch() * y.layout.pixels()](const RunContext& run) {
    const int64_t x_pitch = x.layout.pitch(), y_pitch = y.layout.pitch();
    run.parallel((pixels + block - 1) / block, block * channels, [&](int64_t first, int64_t last, int worker) {
      if (lookup_rows) {
        const int64_t begin = first * block, end = std::min(pixels, last * block);
        return lookup_rows({run.at<uint8_t>(x) + begin * x_pitch, run.at<uint8_t>(y) + begin * y_pitch, x_pitch,
                            y_pitch, end - begin, channels},
                           table.data());
      }
      uint8_t* const codes = run.scratch<uint8_t>(worker);
      for (int64_t at = first * block; at < std::min(pixels, last * block); at += block) {
        const int64_t count = std::min(block, pixels - at);
        const uint8_t* from = run.at<uint8_t>(x) + at * x_pitch;
        if (x_pitch != channels) copy_pixels(from, x_pitch, count, channels, codes, channels), from = codes;
        lookup(from, static_cast<size_t>(count * channels), table.data(), codes);
        copy_pixels(codes, channels, count, channels, run.at<uint8_t>(y) + at * y_pitch, y_pitch);
      }
    });
  };
  return step;
}

Result<PreparedStep> prepare_lookup(const StepQuery& query, StepBuilder& builder) {
  Result<Operand> x = builder.input(query, 0);
  if (!x) return x.error();
  const Operand y = builder.output(query);
  if (x->layout.is_nhwc() && y.layout.is_nhwc() && (is_joined(x->layout) || is_joined(y.layout)))
    return lookup_pixels(query, *x, y);
  PreparedStep step{.scratch_bytes = k_row_block, .in_team = true};
  step.run = [loop = element_loop(y.layout, {&x->layout}), table = domain_table(*query.constant(1), query.dtype(0)),
              lookup = elementwise_kernels(query.isa).lookup_u8, x = x->place, y = y.place](const RunContext& run) {
    const uint8_t* px = run.at<uint8_t>(x);
    uint8_t* py = run.at<uint8_t>(y);
    for_row_blocks(run, loop, [&](const StridedLoop::Offsets& at, int64_t n, int worker) {
      const uint8_t* row = contiguous_row(px + at[1], loop.row_stride(1), n, run.scratch<uint8_t>(worker));
      lookup(row, static_cast<size_t>(n), table.data(), py + at[0]);
    });
  };
  return step;
}

}  // namespace

const StepDef elementwise_u8_step = {"elementwise_u8", refuse_pair, streaming_cost_us, prepare_pair};
const StepDef lookup_u8_step = {"lookup_u8", refuse_lookup, streaming_cost_us, prepare_lookup};

}  // namespace octet::cpu
