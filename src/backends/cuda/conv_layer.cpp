// What the kernels of an integer convolution share on the host.
#include "backends/cuda/conv_layer.h"

#include <algorithm>

namespace octet::cuda {
namespace {

/// No sum of 255 codes' worth of weights and the bias leaves +-2^22.
bool sums_are_small(const RowSums& sums, const std::vector<int32_t>& bias) {
  constexpr int64_t k_limit = (int64_t{1} << 22) - 1;
  for (size_t c = 0; c < sums.all.size(); ++c) {
    if (bias[c] + 255 * sums.positive[c] > k_limit || bias[c] + 255 * sums.negative[c] < -k_limit) return false;
  }
  return !sums.all.empty();
}

}  // namespace

RowSums row_sums(std::span<const int8_t> w, int64_t oc) {
  RowSums sums;
  for (std::vector<int64_t>* v : {&sums.all, &sums.positive, &sums.negative}) v->assign(static_cast<size_t>(oc), 0);
  if (oc == 0) return sums;
  const size_t per_row = w.size() / static_cast<size_t>(oc);
  constexpr size_t k_piece = 65536;  // whose sums stay within 31 bits
  for (size_t row = 0; row < static_cast<size_t>(oc); ++row) {
    const std::span<const int8_t> of_row = w.subspan(row * per_row, per_row);
    for (size_t at = 0; at < per_row; at += k_piece) {
      int32_t all = 0, positive = 0;
      for (const int8_t v : of_row.subspan(at, std::min(k_piece, per_row - at)))
        all += v, positive += std::max<int32_t>(v, 0);
      sums.all[row] += all, sums.positive[row] += positive, sums.negative[row] += all - positive;
    }
  }
  return sums;
}

Result<Channels> upload_channels(const StepQuery& query, StepBuilder& builder, const Codes& x, double y_scale,
                                 size_t rows, const RowSums& sums, bool tiled) {
  std::vector<float> multiplier(rows, 0.0f);
  std::vector<int32_t> bias(rows, 0);
  const std::span<const float> scales = query.constant(2)->as<float>();
  for (size_t c = 0; c < scales.size(); ++c)
    multiplier[c] = static_cast<float>(static_cast<double>(x.scale) * static_cast<double>(scales[c]) / y_scale);
  if (query.has_input(3)) {
    const std::span<const int32_t> given = query.constant(3)->as<int32_t>();
    std::copy(given.begin(), given.end(), bias.begin());
  }
  // Sums wrap, and so does this: the accumulator of the real answer fits.
  for (size_t c = 0; c < sums.all.size(); ++c)
    bias[c] = static_cast<int32_t>(static_cast<int64_t>(bias[c]) - x.zero_point * sums.all[c]);
  const bool small = tiled && sums_are_small(sums, bias);
  constexpr int32_t k_integer_bits = 0x4B400000;  // of the float 1.5 * 2^23
  for (int32_t& b : bias) b += small ? k_integer_bits : 0;
  Result<const void*> m = builder.upload(multiplier), b = builder.upload(bias);
  if (!m || !b) return m ? b.error() : m.error();
  return Channels{*m, *b, small};
}

Result<Layer> integer_layer(const StepQuery& query, StepBuilder& builder) {
  Layer layer;
  Result<Operand> x = builder.input(query, 0);
  if (!x) return x.error();
  layer.x = *x;
  layer.y = builder.output(query);
  layer.x_codes = codes_of(query.node, "x", query.dtype(0));
  Result<Epilogue> epilogue = epilogue_of(query, query.floats);
  if (!epilogue) return epilogue.error();
  layer.epilogue = *epilogue;
  if (layer.epilogue.to == Store::u8 && !layer.epilogue.on_values)
    layer.y_scale = static_cast<double>(float_attribute(query.node, "y_scale", 1.0f));
  if (layer.y.place.kind == Place::Kind::output) layer.epilogue.to = layer.y.layout.store;
  if (!query.has_input(4) || is_op(query.node, "QuantGemm")) return layer;
  Result<Operand> residual = builder.input(query, 4);
  if (!residual) return residual.error();
  layer.residual = *residual;
  const Codes r = codes_of(query.node, "residual", query.dtype(4));
  layer.epilogue.has_residual = true;
  layer.epilogue.r_zero = r.zero_point;
  layer.epilogue.r_multiplier = static_cast<float>(static_cast<double>(r.scale) / layer.y_scale);
  return layer;
}

bool codes_from_zero(bool small_sums, const Epilogue& e) {
  return small_sums && e.to == Store::u8 && !e.on_values && e.y_zero == 0 && e.lo == 0 && e.hi == 255;
}

}  // namespace octet::cuda
