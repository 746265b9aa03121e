// Fully connected layers: FusedGemm, Gemm and MatMul with constant weights, QuantGemm. A layer of N outputs is a 1x1
// convolution over images of one pixel; the batch is M.
#include "backends/cpu/gemm.h"

#include "backends/cpu/constants.h"
#include "backends/cpu/requantize.h"
#include "backends/cpu/strided_copy.h"
#include "kernels/conv_f32/conv_f32.h"
#include "kernels/conv_u8s8/conv_u8s8.h"

namespace octet::cpu {
namespace {

bool weight_is_n_by_k(const StepQuery& query) {
  if (is_op(query.node, "MatMul")) return false;
  return !is_op(query.node, "Gemm") || int_attribute(query.node, "transB", 0) != 0;
}

std::string refuse_shape(const StepQuery& query) {
  if (!is_constant(query.graph, query.id(1))) return "the weight is not a constant";
  if (query.shape(1)->size() != 2) return "the weight is not a matrix";
  if (query.shape(0)->size() == 4) return "a rank-4 input (channels are innermost in memory, not columns)";
  if (query.shape(0)->size() < 2) return "a rank-1 input";
  return "";
}

}  // namespace

GemmSizes gemm_sizes(const StepQuery& query) {
  const Dims x = query.dims(0), w = query.dims(1);
  GemmSizes s;
  s.k = x.back();
  for (size_t i = 0; i + 1 < x.size(); ++i) s.m *= x[i];
  s.n = weight_is_n_by_k(query) ? w[0] : w[1];
  return s;
}

std::string refuse_gemm_f32(const StepQuery& query) {
  if (query.dtype(0) != DType::f32) return "the input is " + std::string(name(query.dtype(0))) + ", not f32";
  if (int_attribute(query.node, "transA", 0) != 0) return "transA";
  const std::string reason = refuse_shape(query);
  if (!reason.empty() || !query.has_input(2)) return reason;
  if (!is_constant(query.graph, query.id(2))) return "the bias is not a constant";
  const Dims bias = query.dims(2);
  const int64_t count = element_count(bias).value_or(0);
  const bool per_column = count == 1 || (!bias.empty() && bias.back() == count && count == gemm_sizes(query).n);
  return per_column ? "" : "a bias of shape " + to_string(bias) + " is not one value per column";
}

std::string refuse_gemm_u8s8(const StepQuery& query) {
  for (const size_t i : {size_t{1}, size_t{2}, size_t{3}}) {
    if (query.has_input(i) && !query.constant(i)) return "weight, w_scale and bias have to be initializers";
  }
  return refuse_shape(query);
}

std::vector<float> gemm_weights(const StepQuery& query, const GemmSizes& s) {
  std::vector<float> weights = constant_floats(query.graph, query.id(1));
  if (!weight_is_n_by_k(query)) {
    std::vector<float> transposed(weights.size());
    for (int64_t n = 0; n < s.n; ++n) {
      for (int64_t k = 0; k < s.k; ++k)
        transposed[static_cast<size_t>(n * s.k + k)] = weights[static_cast<size_t>(k * s.n + n)];
    }
    weights = std::move(transposed);
  }
  const float alpha = is_op(query.node, "Gemm") ? float_attribute(query.node, "alpha", 1.0f) : 1.0f;
  if (alpha != 1.0f) {
    for (float& w : weights) w *= alpha;
  }
  return weights;
}

std::vector<float> gemm_bias(const StepQuery& query, const GemmSizes& s) {
  std::vector<float> bias = constant_floats(query.graph, query.id(2));
  if (bias.size() == 1) bias.assign(static_cast<size_t>(s.n), bias[0]);
  const float beta = is_op(query.node, "Gemm") ? float_attribute(query.node, "beta", 1.0f) : 1.0f;
  for (float& b : bias) b *= beta;
  return bias;
}

namespace {

WindowGeometry one_pixel(const GemmSizes& s) {
  WindowGeometry g;
  g.ic = s.k, g.oc = s.n;
  g.x_pitch = channel_pitch(s.k);
  g.y_pitch = g.residual_pitch = channel_pitch(s.n);
  return g;
}

std::vector<ConvVariant> u8s8_variants(const WindowGeometry& geometry, int64_t rows, Isa isa, int threads) {
  ConvU8S8Desc desc;
  desc.geometry = geometry;
  return conv_u8s8_variants(desc, rows, isa, threads);
}

std::vector<ConvVariant> f32_variants(const WindowGeometry& geometry, int64_t rows, Isa isa, int threads) {
  return conv_f32_variants(geometry, rows, isa, threads);
}

template <auto list>
std::vector<StepVariant> variants_of(const StepQuery& query) {
  const GemmSizes s = gemm_sizes(query);
  std::vector<StepVariant> variants;
  for (ConvVariant& v : list(one_pixel(s), s.m, query.isa, query.threads))
    variants.push_back({std::move(v.name), std::move(v.refused), 1 + v.cost_us});
  return variants;
}

/// `rows` rows of `width` elements from one pitch to another.
StridedCopy copy_of_rows(int64_t rows, int64_t width, int64_t to_pitch, int64_t from_pitch, size_t element_bytes) {
  return StridedCopy(StridedLoop(Dims{rows, width}, {Dims{to_pitch, 1}, Dims{from_pitch, 1}}), element_bytes);
}

/// Dense rows to pitched ones and back. Behind a row of floats its padding is cleared: no kernel may meet NaN there.
template <class T>
void move_rows(const RunContext& run, const StridedCopy& copy, int64_t rows, T* to, const T* from, int64_t width,
               int64_t pitch) {
  constexpr int64_t k_parts = 64;                                             // what is cleared is near still
  const int64_t rows_per_part = copy.parts() == 0 ? 0 : rows / copy.parts();  // rows of one element are one part
  run.parallel(copy.parts(), copy.elements_per_part(), [&](int64_t first, int64_t last, int) {
    for (; first < last; first += k_parts) {
      const int64_t end = std::min(first + k_parts, last);
      copy.run(reinterpret_cast<std::byte*>(to), reinterpret_cast<const std::byte*>(from), first, end);
      if (std::is_integral_v<T> || pitch <= width) continue;
      for (int64_t r = first * rows_per_part; r < end * rows_per_part; ++r)
        for (int64_t i = width; i < pitch; ++i) to[r * pitch + i] = T{};
    }
  });
}

size_t padded_bytes(size_t bytes) { return (bytes + k_tail_bytes + k_alignment - 1) / k_alignment * k_alignment; }

/// Runs a layer whose rows must be pitched: copies x in and y out where the graph's dense rows are not so already, or
/// lie in the caller's buffer, which has no room behind it.
template <class Layer, class Args, class X, class Y>
PreparedStep pitched_step(const StepQuery& query, std::shared_ptr<const Layer> layer, const GemmSizes& s,
                          const Operand& x, const Operand& y) {
  const int64_t x_pitch = channel_pitch(s.k), y_pitch = channel_pitch(s.n);
  const bool stage_x = x_pitch != s.k || !x.place.is_padded();
  const bool stage_y = y_pitch != s.n || !y.place.is_padded();
  const size_t x_bytes = stage_x ? padded_bytes(static_cast<size_t>(s.m * x_pitch) * sizeof(X)) : 0;
  const size_t y_bytes = stage_y ? padded_bytes(static_cast<size_t>(s.m * y_pitch) * sizeof(Y)) : 0;
  PreparedStep step{.scratch_bytes = layer->scratch_bytes(),
                    .shared_bytes = x_bytes + y_bytes,
                    .in_team = true,
                    .packed_bytes = layer->packed_bytes()};
  keep_packed(query, layer->packed(), step);
  const StridedCopy copy_in = copy_of_rows(s.m, s.k, x_pitch, s.k, sizeof(X)),
                    copy_out = copy_of_rows(s.m, s.n, s.n, y_pitch, sizeof(Y));
  step.run = [=, xp = x.place, yp = y.place](const RunContext& run) {
    const X* from = run.at<X>(xp);
    Y* to = run.at<Y>(yp);
    auto* const shared = run.shared<std::byte>();
    Args args{.batch = s.m, .x = from, .y = to};
    if (stage_x) {
      X* const staged = reinterpret_cast<X*>(shared);
      move_rows(run, copy_in, s.m, staged, from, s.k, x_pitch);
      args.x = staged;
    }
    Y* const result = stage_y ? reinterpret_cast<Y*>(shared + x_bytes) : to;
    args.y = result;
    run_layer(run, *layer, args);
    if (stage_y) move_rows(run, copy_out, s.m, to, result, s.n, s.n);
  };
  return step;
}

Result<PreparedStep> prepare_f32(const StepQuery& query, StepBuilder& builder) {
  const GemmSizes s = gemm_sizes(query);
  const std::vector<float> weights = gemm_weights(query, s), bias = gemm_bias(query, s);
  ConvF32Desc desc;
  desc.geometry = one_pixel(s);
  desc.weights = weights;
  desc.bias = bias;
  desc.activation = fused_activation(query.node);
  desc.packed = given_weights(query);
  desc.expected = {s.m, builder.workers(query)};
  std::shared_ptr<const ConvF32> layer = ConvF32::make(desc, query.isa, query.variant);
  if (!layer) return query.error("the kernel does not take this size", ErrorCode::internal);
  Result<Operand> x = builder.input(query, 0);
  if (!x) return x.error();
  return pitched_step<ConvF32, ConvF32Args, float, float>(query, std::move(layer), s, *x, builder.output(query));
}

Result<PreparedStep> prepare_u8s8(const StepQuery& query, StepBuilder& builder) {
  const GemmSizes s = gemm_sizes(query);
  const Codes x_codes = codes_of(query.node, "x", query.dtype(0));
  const OutputForm form = output_form(query.node);
  std::vector<float> multiplier;
  for (const float w_scale : query.constant(2)->as<float>())
    multiplier.push_back(form.multiplier(static_cast<double>(x_codes.scale) * static_cast<double>(w_scale)));
  ConvU8S8Desc desc;
  desc.geometry = one_pixel(s);
  desc.weights = query.constant(1)->as<int8_t>();
  desc.multiplier = multiplier;
  if (query.has_input(3)) desc.bias = query.constant(3)->as<int32_t>();
  desc.x_zero_point = x_codes.zero_point;
  if (query.isa == Isa::avx2) desc.x_most = largest_code(query.graph, query.id(0));
  desc.f32_output = form.to_f32;
  desc.y_zero_point = form.y_zero_point;
  desc.lo = form.lo, desc.hi = form.hi;
  desc.activation = form.activation;
  desc.inverse_y_scale = form.inverse_y_scale;
  desc.packed = given_weights(query);
  desc.expected = {s.m, builder.workers(query)};
  std::shared_ptr<const ConvU8S8> layer = ConvU8S8::make(desc, query.isa, query.variant);
  if (!layer) return query.error("the kernel does not take this size", ErrorCode::internal);
  Result<Operand> x = builder.input(query, 0);
  if (!x) return x.error();
  const Operand y = builder.output(query);
  if (form.to_f32) return pitched_step<ConvU8S8, ConvU8S8Args, uint8_t, float>(query, std::move(layer), s, *x, y);
  return pitched_step<ConvU8S8, ConvU8S8Args, uint8_t, uint8_t>(query, std::move(layer), s, *x, y);
}

}  // namespace

const StepDef gemm_f32_step = {"gemm_f32", refuse_gemm_f32, nullptr, prepare_f32, variants_of<f32_variants>};
const StepDef gemm_u8s8_step = {"gemm_u8s8", refuse_gemm_u8s8, nullptr, prepare_u8s8, variants_of<u8s8_variants>};

}  // namespace octet::cpu
