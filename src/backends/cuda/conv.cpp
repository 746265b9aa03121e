// Convolutions and fully connected layers: dense ones on tensor cores, depthwise ones, and the plain kernel for the
// rest. A fully connected layer is a 1x1 convolution over images of one pixel.
#include <cuda_fp16.h>

#include <cstring>

#include "backends/cuda/conv_choices.h"
#include "backends/cuda/conv_layer.h"
#include "backends/cuda/cublas.h"
#include "backends/cuda/cudnn.h"
#include "backends/cuda/pack.h"
#include "backends/cuda/window.h"

namespace octet::cuda {
namespace {

int64_t groups_of(const StepQuery& query) { return int_attribute(query.node, "group", 1); }
bool is_depthwise(const StepQuery& query) {
  const int64_t groups = groups_of(query);
  return groups > 1 && groups == query.dims(0)[1] && groups == query.output_dims()[1];
}

std::string refuse_shape(const StepQuery& query) {
  if (query.shape(0)->size() != 4) return "only two spatial dimensions (a rank-4 input)";
  if (!is_constant(query.graph, query.id(1))) return "the weight is not a constant";
  const Dims w = query.dims(1);
  const Layout x = layout_of(query.graph, query.id(0), query.floats),
               y = layout_of(query.graph, query.node.outputs[0], query.floats);
  const Result<WindowParams> window = window_params(query, w[2], w[3], x, y);
  return window ? "" : window.error().message;
}

/// Offsets inside packed weights have 31 bits.
std::string refuse_weights(int64_t n, int64_t row_bytes) {
  constexpr int64_t k_rows = 64, k_row = 128;  // see pack.h
  const int64_t packed = (n + k_rows - 1) / k_rows * k_rows * ((row_bytes + k_row - 1) / k_row * k_row);
  return packed >= int64_t{1} << 31 ? "weights of 2 GiB or more" : "";
}

/// Offsets inside x are 32-bit words of 4 bytes, window corners 16-bit, and pixels are counted in 31 bits.
std::string refuse_size(const StepQuery& query) {
  const Dims x = query.dims(0), y = query.output_dims(), w = query.dims(1);
  if (x[2] > 16000 || x[3] > 16000) return "an image of more than 16000 rows or columns";
  const Layout from = layout_of(query.graph, query.id(0), query.floats),
               to = layout_of(query.graph, query.node.outputs[0], query.floats);
  const Result<WindowParams> window = window_params(query, w[2], w[3], from, to);
  if (window && std::max({window->pad_top, window->pad_left, window->pad_bottom, window->pad_right}) > 16000)
    return "padding of more than 16000 rows or columns";
  const int64_t tap_bytes = (w[1] * static_cast<int64_t>(from.element_bytes) + 15) / 16 * 16;
  if (const std::string reason = refuse_weights(w[0], w[2] * w[3] * tap_bytes); !reason.empty()) return reason;
  if (y[0] * y[2] * y[3] >= (int64_t{1} << 31) - 256) return "more than 2^31 output pixels";
  if (layout_of(query.graph, query.id(0), query.floats).bytes() >= size_t{1} << 33) return "an input of 8 GiB or more";
  return "";
}

std::string refuse_float(const StepQuery& query) {
  if (query.dtype(0) != DType::f32) return "the input is " + std::string(name(query.dtype(0))) + ", not f32";
  if (query.has_input(2) && !is_constant(query.graph, query.id(2))) return "the bias is not a constant";
  return refuse_shape(query);
}
std::string refuse_dense_float(const StepQuery& query) {
  const std::string reason = refuse_float(query);
  if (!reason.empty()) return reason;
  return groups_of(query) == 1 ? refuse_size(query) : "groups";
}

std::string refuse_codes(const StepQuery& query) {
  for (const size_t i : {size_t{1}, size_t{2}, size_t{3}})
    if (query.has_input(i) && !query.constant(i)) return "weight, w_scale and bias have to be initializers";
  return refuse_shape(query);
}
std::string refuse_dense_codes(const StepQuery& query) {
  const std::string reason = refuse_codes(query);
  if (!reason.empty()) return reason;
  return groups_of(query) == 1 ? refuse_size(query) : "groups";
}
std::string refuse_depthwise(const StepQuery& query) {
  const std::string reason = refuse_codes(query);
  if (!reason.empty()) return reason;
  return is_depthwise(query) ? "" : "not depthwise (group = input channels = output channels)";
}

// ---- integer layers ----

/// The residual's codes have a pitch of their own where y is floats. One pixel is read again for every pixel.
int residual_pitch(const Layer& layer, int pitch) {
  if (!layer.epilogue.has_residual) return pitch;
  return layer.residual.layout.dims != layer.y.layout.dims ? 0 : static_cast<int>(layer.residual.layout.pitch());
}

Result<PreparedStep> prepare_dense_codes(const StepQuery& query, StepBuilder& builder) {
  Result<DenseCodes> made = dense_codes(query, builder);
  if (!made) return made.error();
  const Layer& layer = made->layer;
  DenseConv conv{ConvType::u8s8, made->params, made->packed, made->small_c, layer.x, layer.residual, layer.y};
  Result<PreparedStep> step = conv_choices(conv, builder);
  if (!step || made->small_c || made->one_pixel) return step;  // the others read residuals by rows
  if (Result<Done> ok = add_cluster_choices(conv, builder, *step); !ok) return ok.error();
  if (Result<Done> ok = add_hopper_choices(conv, builder, *step); !ok) return ok.error();
  return step;
}

PreparedStep window_step(const WindowParams& params, const Operand& x, const Operand& residual, const Operand& y,
                         size_t packed_bytes, cudaError_t (*enqueue)(const WindowParams&, cudaStream_t)) {
  PreparedStep step = PreparedStep::of([=, x = x.place, r = residual.place, y = y.place](const Launch& run) {
    WindowParams p = params;
    p.x = run.at(x), p.residual = run.at(r), p.y = run.at(y);
    return enqueue(p, run.stream);
  });
  step.packed_bytes = packed_bytes;
  return step;
}

Result<PreparedStep> prepare_direct_codes(const StepQuery& query, StepBuilder& builder) {
  Result<Layer> layer = integer_layer(query, builder);
  if (!layer) return layer.error();
  const Dims w = query.dims(1);
  Result<WindowParams> p = window_params(query, w[2], w[3], layer->x.layout, layer->y.layout);
  if (!p) return p.error();
  p->r_pitch = residual_pitch(*layer, p->r_pitch);
  const Tensor& weights = *query.constant(1);
  Result<const void*> device_w = builder.upload(weights.bytes().data(), weights.size_bytes());
  if (!device_w) return device_w.error();
  Result<Channels> channels =
      upload_channels(query, builder, layer->x_codes, layer->y_scale, static_cast<size_t>(w[0]), {}, false);
  if (!channels) return channels.error();
  p->w = *device_w, p->multiplier = static_cast<const float*>(channels->multiplier), p->bias = channels->bias;
  p->groups = static_cast<int>(groups_of(query));
  p->x_zero = layer->x_codes.zero_point;
  p->epilogue = layer->epilogue;
  return window_step(*p, layer->x, layer->residual, layer->y, weights.size_bytes(), launch_direct_u8s8);
}

Result<PreparedStep> prepare_depthwise(const StepQuery& query, StepBuilder& builder) {
  Result<Layer> layer = integer_layer(query, builder);
  if (!layer) return layer.error();
  const Dims w = query.dims(1);
  Result<WindowParams> p = window_params(query, w[2], w[3], layer->x.layout, layer->y.layout);
  if (!p) return p.error();
  p->r_pitch = residual_pitch(*layer, p->r_pitch);
  const std::span<const int8_t> weights = query.constant(1)->as<int8_t>();
  const auto taps = static_cast<size_t>(w[2] * w[3]), pitch = static_cast<size_t>(p->x_pitch);
  // Half floats of up to four channels are stored by eights, so that the kernels read behind the last channel.
  const size_t rows = std::max(pitch, static_cast<size_t>(p->y_pitch)), room = 4 * (rows - pitch);
  // Windows of 3x3 have a kernel of their own, with the taps of a window row in one word per channel.
  p->w_by_rows = p->kh == 3 && p->kw == 3 && p->dilation_h == 1 && p->dilation_w == 1 && p->stride_h == p->stride_w &&
                 p->stride_h <= 2 && !layer->epilogue.has_residual;
  std::vector<int8_t> packed((p->w_by_rows ? 3 * 4 * pitch : taps * pitch) + room, 0);
  for (size_t c = 0; c < static_cast<size_t>(w[0]); ++c) {
    for (size_t t = 0; t < taps; ++t)
      packed[p->w_by_rows ? (t / 3 * pitch + c) * 4 + t % 3 : t * pitch + c] = weights[c * taps + t];
  }
  Result<const void*> device_w = builder.upload(packed);
  if (!device_w) return device_w.error();
  Result<Channels> channels =
      upload_channels(query, builder, layer->x_codes, layer->y_scale, rows, row_sums(weights, w[0]), false);
  if (!channels) return channels.error();
  p->w = *device_w, p->multiplier = static_cast<const float*>(channels->multiplier), p->bias = channels->bias;
  p->x_zero = layer->x_codes.zero_point;
  p->epilogue = layer->epilogue;
  return window_step(*p, layer->x, layer->residual, layer->y, packed.size(), launch_depthwise_u8s8);
}

// ---- float layers ----

ConvType float_type(const StepQuery& query) {
  return query.floats == DType::f16 ? ConvType::f16 : query.tf32 ? ConvType::tf32 : ConvType::f32;
}

/// f32 weights in the storage type.
std::vector<std::byte> stored(const std::vector<float>& values, DType floats) {
  const size_t size = floats == DType::f16 ? sizeof(__half) : sizeof(float);
  std::vector<std::byte> made(values.size() * size);
  for (size_t i = 0; i < values.size(); ++i) {
    const __half half(values[i]);
    std::memcpy(made.data() + i * size, floats == DType::f16 ? static_cast<const void*>(&half) : &values[i], size);
  }
  return made;
}

Result<const void*> upload_bias(const std::vector<float>& bias, size_t rows, StepBuilder& builder) {
  std::vector<float> padded(rows, 0.0f);
  std::copy(bias.begin(), bias.end(), padded.begin());
  return builder.upload(padded);
}

Epilogue float_epilogue(const StepQuery& query, bool has_residual) {
  Epilogue e;
  const FusedAct act = act_of(query.node);
  e.to = query.float_store();
  e.act = act.act, e.p0 = act.p0, e.p1 = act.p1;
  e.has_residual = has_residual;
  return e;
}

Result<PreparedStep> prepare_float(const StepQuery& query, StepBuilder& builder, bool direct) {
  Result<Operand> x = builder.input(query, 0);
  if (!x) return x.error();
  const bool has_residual = query.has_input(3);
  Result<Operand> residual = has_residual ? builder.input(query, 3) : Operand();
  if (!residual) return residual.error();
  const Operand y = builder.output(query);
  const Dims w = query.dims(1);
  Result<WindowParams> window = window_params(query, w[2], w[3], x->layout, y.layout);
  if (!window) return window.error();
  const std::vector<float> weights = constant_floats(query.graph, query.id(1));
  const std::vector<float> bias = query.has_input(2) ? constant_floats(query.graph, query.id(2)) : std::vector<float>();
  const Epilogue epilogue = float_epilogue(query, has_residual);
  if (direct) {
    Result<const void*> device_w = builder.upload(weights), b = upload_bias(bias, static_cast<size_t>(w[0]), builder);
    if (!device_w || !b) return device_w ? b.error() : device_w.error();
    window->w = *device_w, window->bias = *b, window->groups = static_cast<int>(groups_of(query));
    window->epilogue = epilogue;
    PreparedStep step = window_step(
        *window, *x, *residual, y, weights.size() * sizeof(float),
        query.floats == DType::f16
            ? [](const WindowParams& p, cudaStream_t s) { return launch_direct_float(p, Store::f16, s); }
            : [](const WindowParams& p, cudaStream_t s) { return launch_direct_float(p, Store::f32, s); });
    step.choices[0].run = sequence({clear_padding(y), step.choices[0].run});
    return step;
  }
  const std::vector<std::byte> elements = stored(weights, query.floats);
  const PackedWeights packed = pack_weights(elements.data(), w[0], w[1], w[2], w[3], x->layout.element_bytes, false);
  DenseConv conv{float_type(query), conv_params(*window, packed, x->layout, y.layout), packed, false, *x, *residual, y};
  Result<const void*> b = upload_bias(bias, static_cast<size_t>(packed.rows), builder);
  if (!b) return b.error();
  conv.params.bias = *b;
  conv.params.epilogue = epilogue;
  Result<PreparedStep> step = conv_choices(conv, builder);
  if (!step) return step;
  if (Result<Done> ok = add_hopper_choices(conv, builder, *step); !ok) return ok.error();
  if (Result<Done> ok = add_cublas_choices(conv, bias, builder, *step); !ok) return ok.error();
  if (Result<Done> ok = add_cudnn_choice(conv, bias, builder, *step); !ok) return ok.error();
  return step;
}

// ---- fully connected layers ----

struct Sizes {
  int64_t m = 1, n = 1, k = 1;
};
bool weight_is_n_by_k(const StepQuery& query) {
  if (is_op(query.node, "MatMul")) return false;
  return !is_op(query.node, "Gemm") || int_attribute(query.node, "transB", 0) != 0;
}
Sizes sizes_of(const StepQuery& query) {
  const Dims x = query.dims(0), w = query.dims(1);
  Sizes s;
  s.k = x.back();
  for (size_t i = 0; i + 1 < x.size(); ++i) s.m *= x[i];
  s.n = weight_is_n_by_k(query) ? w[0] : w[1];
  return s;
}

std::string refuse_matrix(const StepQuery& query) {
  if (!is_constant(query.graph, query.id(1))) return "the weight is not a constant";
  if (query.shape(1)->size() != 2) return "the weight is not a matrix";
  if (query.shape(0)->size() == 4) return "a rank-4 input (channels are innermost in memory, not columns)";
  if (query.shape(0)->size() < 2) return "a rank-1 input";
  return "";
}
std::string refuse_gemm_codes(const StepQuery& query) {
  for (const size_t i : {size_t{1}, size_t{2}, size_t{3}})
    if (query.has_input(i) && !query.constant(i)) return "weight, w_scale and bias have to be initializers";
  const std::string reason = refuse_matrix(query);
  return reason.empty() ? refuse_weights(sizes_of(query).n, sizes_of(query).k) : reason;
}
std::string refuse_gemm_float(const StepQuery& query) {
  if (query.dtype(0) != DType::f32) return "the input is " + std::string(name(query.dtype(0))) + ", not f32";
  if (int_attribute(query.node, "transA", 0) != 0) return "transA";
  std::string reason = refuse_matrix(query);
  if (!reason.empty()) return reason;
  const Sizes s = sizes_of(query);
  reason = refuse_weights(s.n, s.k * (query.floats == DType::f16 ? 2 : 4));
  if (!reason.empty() || !query.has_input(2)) return reason;
  if (!is_constant(query.graph, query.id(2))) return "the bias is not a constant";
  const Dims bias = query.dims(2);
  const int64_t count = element_count(bias).value_or(0);
  const bool per_column = count == 1 || (!bias.empty() && bias.back() == count && count == sizes_of(query).n);
  return per_column ? "" : "a bias of shape " + to_string(bias) + " is not one value per column";
}

/// Rows of x as images of one pixel.
WindowParams one_pixel(const Sizes& s) {
  WindowParams p;
  p.batch = static_cast<int>(s.m);
  p.c = static_cast<int>(s.k), p.oc = static_cast<int>(s.n);
  p.x_pitch = static_cast<int>(s.k), p.y_pitch = p.r_pitch = static_cast<int>(s.n);
  return p;
}

Result<PreparedStep> prepare_gemm_codes(const StepQuery& query, StepBuilder& builder) {
  Result<Layer> layer = integer_layer(query, builder);
  if (!layer) return layer.error();
  const Sizes s = sizes_of(query);
  WindowParams window = one_pixel(s);
  const Tensor& weights = *query.constant(1);
  const auto n = static_cast<size_t>(s.n);
  if (s.k % 16 != 0) {
    Result<const void*> w = builder.upload(weights.bytes().data(), weights.size_bytes());
    if (!w) return w.error();
    Result<Channels> channels = upload_channels(query, builder, layer->x_codes, layer->y_scale, n, {}, false);
    if (!channels) return channels.error();
    window.w = *w, window.multiplier = static_cast<const float*>(channels->multiplier), window.bias = channels->bias;
    window.x_zero = layer->x_codes.zero_point, window.epilogue = layer->epilogue;
    return window_step(window, layer->x, {}, layer->y, weights.size_bytes(), launch_direct_u8s8);
  }
  const PackedWeights packed = pack_weights(weights.bytes().data(), s.n, s.k, 1, 1, 1, false);
  DenseConv conv{
      ConvType::u8s8, conv_params(window, packed, layer->x.layout, layer->y.layout), packed, false, layer->x, {},
      layer->y};
  Result<Channels> channels =
      upload_channels(query, builder, layer->x_codes, layer->y_scale, static_cast<size_t>(packed.rows),
                      row_sums(weights.as<int8_t>(), s.n), true);
  if (!channels) return channels.error();
  ConvParams& p = conv.params;
  p.multiplier = static_cast<const float*>(channels->multiplier), p.bias = channels->bias;
  p.small_sums = channels->small_sums;
  p.fill = static_cast<uint32_t>(layer->x_codes.zero_point) * 0x01010101u;
  p.epilogue = layer->epilogue;
  p.from_zero = codes_from_zero(p.small_sums, p.epilogue);
  Result<PreparedStep> step = conv_choices(conv, builder);
  if (!step) return step;
  if (Result<Done> ok = add_cluster_choices(conv, builder, *step); !ok) return ok.error();
  if (Result<Done> ok = add_gemv(query, *layer, GemvParams{}, builder, *step); !ok) return ok.error();
  return step;
}

Result<PreparedStep> prepare_gemm_float(const StepQuery& query, StepBuilder& builder) {
  Result<Operand> x = builder.input(query, 0);
  if (!x) return x.error();
  const Operand y = builder.output(query);
  const Sizes s = sizes_of(query);
  WindowParams window = one_pixel(s);
  std::vector<float> weights = constant_floats(query.graph, query.id(1));
  if (!weight_is_n_by_k(query)) {
    std::vector<float> turned(weights.size());
    for (int64_t n = 0; n < s.n; ++n)
      for (int64_t k = 0; k < s.k; ++k)
        turned[static_cast<size_t>(n * s.k + k)] = weights[static_cast<size_t>(k * s.n + n)];
    weights = std::move(turned);
  }
  const bool scaled = is_op(query.node, "Gemm");
  for (float& w : weights) w *= scaled ? float_attribute(query.node, "alpha", 1.0f) : 1.0f;
  std::vector<float> bias = query.has_input(2) ? constant_floats(query.graph, query.id(2)) : std::vector<float>();
  if (bias.size() == 1) bias.assign(static_cast<size_t>(s.n), bias[0]);
  for (float& b : bias) b *= scaled ? float_attribute(query.node, "beta", 1.0f) : 1.0f;
  const Epilogue epilogue = float_epilogue(query, false);
  if (static_cast<size_t>(s.k) * x->layout.element_bytes % 16 != 0) {
    Result<const void*> w = builder.upload(weights), b = upload_bias(bias, static_cast<size_t>(s.n), builder);
    if (!w || !b) return w ? b.error() : w.error();
    window.w = *w, window.bias = *b, window.epilogue = epilogue;
    return window_step(
        window, *x, {}, y, weights.size() * sizeof(float),
        query.floats == DType::f16
            ? [](const WindowParams& p, cudaStream_t st) { return launch_direct_float(p, Store::f16, st); }
            : [](const WindowParams& p, cudaStream_t st) { return launch_direct_float(p, Store::f32, st); });
  }
  const std::vector<std::byte> elements = stored(weights, query.floats);
  const PackedWeights packed = pack_weights(elements.data(), s.n, s.k, 1, 1, x->layout.element_bytes, false);
  DenseConv conv{float_type(query), conv_params(window, packed, x->layout, y.layout), packed, false, *x, {}, y};
  Result<const void*> b = upload_bias(bias, static_cast<size_t>(packed.rows), builder);
  if (!b) return b.error();
  conv.params.bias = *b;
  conv.params.epilogue = epilogue;
  Result<PreparedStep> step = conv_choices(conv, builder);
  if (!step) return step;
  if (Result<Done> ok = add_cublas_choices(conv, bias, builder, *step); !ok) return ok.error();
  return step;
}

Result<PreparedStep> prepare_conv_float(const StepQuery& query, StepBuilder& builder) {
  return prepare_float(query, builder, false);
}
Result<PreparedStep> prepare_direct_float(const StepQuery& query, StepBuilder& builder) {
  return prepare_float(query, builder, true);
}

}  // namespace

Result<DenseCodes> dense_codes(const StepQuery& query, StepBuilder& builder) {
  Result<Layer> layer = integer_layer(query, builder);
  if (!layer) return layer.error();
  const Dims w = query.dims(1);
  Result<WindowParams> window = window_params(query, w[2], w[3], layer->x.layout, layer->y.layout);
  if (!window) return window.error();
  window->r_pitch = residual_pitch(*layer, window->r_pitch);
  const std::span<const int8_t> weights = query.constant(1)->as<int8_t>();
  DenseCodes made;
  made.small_c = layer->x.layout.pitch() == 4;
  made.packed =
      pack_weights(reinterpret_cast<const std::byte*>(weights.data()), w[0], w[1], w[2], w[3], 1, made.small_c);
  ConvParams& p = made.params;
  p = conv_params(*window, made.packed, layer->x.layout, layer->y.layout);
  Result<Channels> channels = upload_channels(query, builder, layer->x_codes, layer->y_scale,
                                              static_cast<size_t>(made.packed.rows), row_sums(weights, w[0]), true);
  if (!channels) return channels.error();
  if (made.small_c) p.by_kw = fast_div(1);
  p.multiplier = static_cast<const float*>(channels->multiplier), p.bias = channels->bias;
  p.small_sums = channels->small_sums;
  p.fill = static_cast<uint32_t>(layer->x_codes.zero_point) * 0x01010101u;
  p.epilogue = layer->epilogue;
  p.from_zero = codes_from_zero(p.small_sums, p.epilogue);
  // Floats of up to four channels: their rows are aligned, the residual's four codes a pixel are not.
  if (layer->epilogue.has_residual && p.r_pitch % 16 != 0) p.wide_store = false;
  made.one_pixel = layer->epilogue.has_residual && p.r_pitch == 0;
  made.layer = *std::move(layer);
  return made;
}

Result<Done> add_gemv(const StepQuery& query, const Layer& layer, GemvParams p, StepBuilder& builder,
                      PreparedStep& step) {
  constexpr int64_t k_most_rows = 8;
  const Sizes s = sizes_of(query);
  if (s.m > k_most_rows || s.m < 1 || s.n < 1 || s.k % 16 != 0 || s.k > k_most_gemv_k) return Done{};
  if (!builder.wants("gemv")) return Done{};
  const Tensor& weights = *query.constant(1);
  Result<const void*> w = builder.upload(weights.bytes().data(), weights.size_bytes());
  if (!w) return w.error();
  Result<Channels> channels = upload_channels(query, builder, layer.x_codes, layer.y_scale, static_cast<size_t>(s.n),
                                              row_sums(weights.as<int8_t>(), s.n), false);
  if (!channels) return channels.error();
  p.w = *w, p.multiplier = static_cast<const float*>(channels->multiplier);
  p.bias = static_cast<const int32_t*>(channels->bias);
  p.rows = static_cast<int>(s.m), p.n = static_cast<int>(s.n), p.k = static_cast<int>(s.k);
  p.epilogue = layer.epilogue;
  const double cost_us = 2.0 + static_cast<double>(s.m * s.n * s.k) / 8e6;
  step.choices.push_back({"gemv",
                          cost_us,
                          [p, x = layer.x.place, y = layer.y.place](const Launch& run) {
                            GemvParams bound = p;
                            bound.x = run.at(x), bound.y = run.at(y);
                            return launch_gemv(bound, run.stream);
                          },
                          {*w}});
  return Done{};
}

const StepDef conv_u8s8_step = {"conv_u8s8", refuse_dense_codes, 1, prepare_dense_codes, code_choices};
const StepDef depthwise_u8s8_step = {"depthwise_u8s8", refuse_depthwise, 1, prepare_depthwise};
const StepDef direct_u8s8_step = {"direct_u8s8", refuse_codes, 9, prepare_direct_codes};
const StepDef conv_float_step = {"conv_float", refuse_dense_float, 1, prepare_conv_float, float_choices};
const StepDef direct_float_step = {"direct_float", refuse_float, 9, prepare_direct_float};
const StepDef gemm_u8s8_step = {"gemm_u8s8", refuse_gemm_codes, 1, prepare_gemm_codes, code_choices};
const StepDef gemm_float_step = {"gemm_float", refuse_gemm_float, 1, prepare_gemm_float, float_choices};

}  // namespace octet::cuda
