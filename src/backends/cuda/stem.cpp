// Finds the first layers of a network of images that one kernel runs, from ops and shapes.
#include "backends/cuda/stem_steps.h"

#include "backends/cuda/conv_layer.h"
#include "backends/cuda/fused_steps.h"
#include "backends/cuda/window.h"

namespace octet::cuda {
namespace {

/// The steps from `first` on that form a row: each the only reader of the one before it, as its first input.
struct Row {
  const Node* quantize = nullptr;
  const Node* conv = nullptr;
  const Node* pool = nullptr;
  size_t steps() const { return size_t{quantize != nullptr} + size_t{conv != nullptr} + size_t{pool != nullptr}; }
  const Node& last() const { return pool ? *pool : *conv; }
};
Row row_from(const Plan& plan, size_t first) {
  const Graph& graph = plan.graph;
  Row row;
  const auto node_at = [&](size_t i) { return i < plan.steps.size() ? &graph.node(plan.steps[i].node) : nullptr; };
  const auto follows = [&](const Node* node, const Node& before) {
    return node && only_reader(graph, before.outputs[0]) == node && node->inputs[0] == before.outputs[0];
  };
  const Node* node = node_at(first);
  if (is_op(*node, "QuantizeLinear")) {
    row.quantize = node;
    node = node_at(++first);
    if (!follows(node, *row.quantize)) return {};
  }
  if (!is_op(*node, "QuantConv")) return {};
  row.conv = node;
  node = node_at(++first);
  if (node && is_op(*node, "MaxPool") && follows(node, *row.conv)) row.pool = node;
  return row;
}

bool conv_fits(const StepQuery& query, const WindowParams& w, const Layer& layer) {
  return int_attribute(query.node, "group", 1) == 1 && layer.x.layout.is_nhwc() && layer.x.layout.pitch() == 4 &&
         w.kw <= 8 && w.kh <= 16 && w.dilation_h == 1 && w.dilation_w == 1 && w.oc % 64 == 0 &&
         !layer.epilogue.has_residual && !layer.epilogue.on_values && layer.epilogue.to == Store::u8;
}

/// Weights as StemParams.w wants them.
std::vector<int8_t> pack_stem(std::span<const int8_t> w, const WindowParams& window) {
  const int kh = window.kh, kw = window.kw;
  std::vector<int8_t> made(static_cast<size_t>(window.oc) * static_cast<size_t>(kh) * 32);
  for (int row = 0; row < window.oc; ++row) {
    const int n = row % 64, oc = row - n + n % 8 / 2 * 16 + n / 8 * 2 + n % 2;
    for (int c = 0; c < window.c; ++c) {
      for (int i = 0; i < kh * kw; ++i)
        made[static_cast<size_t>((row * kh + i / kw) * 32 + i % kw * 4 + c)] =
            w[static_cast<size_t>((oc * window.c + c) * kh * kw + i)];
    }
  }
  return made;
}

/// What the estimate knows: waves of CTAs, two a multiprocessor, each as long as its pixels take.
double estimate_us(const StemParams& p, const Device& device) {
  const double ctas = static_cast<double>(p.batch) * p.by_tiles.d * (p.y_pitch / 64.0);
  const double cta_us = 1.5 + 0.0012 * p.conv_h * p.conv_w * p.kh + 0.0006 * p.patch_h * p.patch_w;
  return 1.5 + std::max(1.0, ctas / (2.0 * device.sms)) * cta_us;
}

std::string key_of(const StemParams& p) {
  std::string key = "stem";
  for (const int v : {p.batch, p.c, p.ih, p.iw, p.kh, p.stride_h, p.stride_w, p.ph, p.pw, p.y_pitch, p.pool_kh,
                      p.pool_kw, p.pool_stride_h, p.pool_stride_w, int{p.pool}, int{p.scale != nullptr}})
    key += " " + std::to_string(v);
  return key;
}

constexpr int k_tiles[][2] = {{8, 14}, {8, 8}, {4, 8}, {4, 4}, {16, 16}};
std::string tile_name(int h, int w) { return "stem " + std::to_string(h) + "x" + std::to_string(w); }

PreparedStep choices_of(const StemParams& params, int kernel_w, const Operand& x, const Operand& y,
                        const StepBuilder& builder) {
  PreparedStep step;
  step.key = key_of(params);
  for (const auto& [h, w] : k_tiles) {
    const StemParams cut_params = cut_stem(params, h, w, kernel_w);
    const bool wide = cut_params.conv_h * cut_params.conv_w >= 256;
    if (shared_bytes(cut_params) > k_most_shared_bytes || !builder.wants(tile_name(h, w))) continue;
    step.choices.push_back({tile_name(h, w), estimate_us(cut_params, builder.device()),
                            [cut_params, wide, x = x.place, y = y.place](const Launch& run) {
                              StemParams p = cut_params;
                              p.x = run.at(x), p.y = run.at(y);
                              return launch_stem(p, wide, run.stream);
                            }});
  }
  return step;
}

/// The caller's floats instead of codes. False: they cannot be read so.
Result<bool> take_floats(const StepQuery& query, StepBuilder& builder, StemParams& p, Operand& x) {
  Result<Operand> from = builder.input(query, 0);
  if (!from) return from.error();
  const Tensor* scale = query.constant(1);
  const Tensor* zero = query.has_input(2) ? query.constant(2) : nullptr;
  if (from->place.kind != Place::Kind::input || query.dtype(0) != DType::f32 || !scale ||
      scale->dtype() != DType::f32 || scale->as<float>().size() != 1 || (query.has_input(2) && !zero))
    return false;
  std::vector<int32_t> zeros{domain_shift(query.output().dtype)};
  if (zero) {
    const Result<std::vector<int64_t>> given = to_int64s(*zero);
    if (!given || given->size() != 1) return false;
    zeros[0] += static_cast<int32_t>((*given)[0]);
  }
  Result<const void*> s = builder.upload(scale->as<float>().data(), sizeof(float)), z = builder.upload(zeros);
  if (!s || !z) return s ? z.error() : s.error();
  p.scale = static_cast<const float*>(*s), p.zero = static_cast<const int32_t*>(*z);
  x = *from;
  return true;
}

}  // namespace

StemParams cut_stem(StemParams p, int h, int w, int kernel_w) {
  p.tile_h = h, p.tile_w = w;
  p.conv_h = (h - 1) * p.pool_stride_h + p.pool_kh, p.conv_w = (w - 1) * p.pool_stride_w + p.pool_kw;
  p.patch_h = (p.conv_h - 1) * p.stride_h + p.kh, p.patch_w = (p.conv_w - 1) * p.stride_w + std::max(kernel_w, 8);
  const int tiles_w = (p.pw + w - 1) / w, tiles_h = (p.ph + h - 1) / h;
  p.by_tiles_w = fast_div(tiles_w), p.by_tiles = fast_div(int64_t{tiles_w} * tiles_h);
  p.by_conv_w = fast_div(p.conv_w), p.by_patch_w = fast_div(p.patch_w), p.by_tile_w = fast_div(w);
  return p;
}

Result<bool> take_stem_pool(const StepQuery& query, StepBuilder& builder, StemParams& p) {
  const std::vector<int64_t> kernel = ints_attribute(query.node, "kernel_shape", {});
  if (kernel.size() != 2 || kernel[0] > 4 || kernel[1] > 4) return false;
  Result<Operand> x = builder.input(query, 0);
  if (!x) return x.error();
  Result<WindowParams> window = window_params(query, kernel[0], kernel[1], x->layout, builder.output(query).layout);
  if (!window) return window.error();
  if (window->dilation_h != 1 || window->dilation_w != 1) return false;
  p.pool = true;
  p.ph = window->oh, p.pw = window->ow;
  p.pool_kh = window->kh, p.pool_kw = window->kw;
  p.pool_stride_h = window->stride_h, p.pool_stride_w = window->stride_w;
  p.pool_top = window->pad_top, p.pool_left = window->pad_left;
  return true;
}

const Node* only_reader(const Graph& graph, ValueId v) {
  if (std::count(graph.outputs.begin(), graph.outputs.end(), v) > 0) return nullptr;
  const Node* found = nullptr;
  for (const Node& node : graph.nodes) {
    const auto reads = std::count(node.inputs.begin(), node.inputs.end(), v);
    if (reads == 0) continue;
    if (found || reads > 1) return nullptr;
    found = &node;
  }
  return found;
}

std::vector<std::string> stem_names() {
  std::vector<std::string> names;
  for (const auto& [h, w] : k_tiles) names.push_back(tile_name(h, w));
  return names;
}

Result<FusedSteps> fuse_stem(const Plan& plan, size_t first, DType floats, StepBuilder& builder) {
  const Graph& graph = plan.graph;
  const Row row = row_from(plan, first);
  if (row.steps() < 2 || is_constant(graph, row.conv->outputs[0])) return FusedSteps{};
  for (size_t i = 0; i < row.steps(); ++i) {
    const std::string tactic = family_of(plan.steps[first + i].tactic);
    if (tactic != "conv_u8s8" && tactic != "quantize" && tactic != "max_pool") return FusedSteps{};
  }
  const StepQuery query{{graph, *row.conv}, floats, false};
  Result<Layer> layer = integer_layer(query, builder);
  if (!layer) return layer.error();
  const Dims w = query.dims(1);
  Result<WindowParams> window = window_params(query, w[2], w[3], layer->x.layout, layer->y.layout);
  if (!window) return window.error();
  if (!conv_fits(query, *window, *layer)) return FusedSteps{};
  StemParams p;
  p.batch = window->batch, p.c = window->c, p.ih = window->ih, p.iw = window->iw;
  p.oh = p.ph = window->oh, p.ow = p.pw = window->ow;
  p.kh = window->kh, p.stride_h = window->stride_h, p.stride_w = window->stride_w;
  p.pad_top = window->pad_top, p.pad_left = window->pad_left;
  p.y_pitch = window->oc;
  Operand x = layer->x;
  if (row.quantize) {
    const Result<bool> taken = take_floats({{graph, *row.quantize}, floats, false}, builder, p, x);
    if (!taken) return taken.error();
    if (!*taken) return FusedSteps{};
  }
  if (row.pool) {
    const Result<bool> taken = take_stem_pool({{graph, *row.pool}, floats, false}, builder, p);
    if (!taken) return taken.error();
    if (!*taken) return FusedSteps{};
  }
  builder.keep_apart(row.last().outputs[0], row.quantize ? row.quantize->inputs[0] : row.conv->inputs[0]);
  const Operand y = builder.value(row.last().outputs[0]);
  if (y.place.kind != Place::Kind::arena || y.layout.pitch() != p.y_pitch) return FusedSteps{};
  const std::span<const int8_t> weights = query.constant(1)->as<int8_t>();
  const std::vector<int8_t> packed = pack_stem(weights, *window);
  Result<const void*> device_w = builder.upload(packed);
  Result<Channels> channels = upload_channels(query, builder, layer->x_codes, layer->y_scale,
                                              static_cast<size_t>(window->oc), row_sums(weights, w[0]), true);
  if (!device_w || !channels) return device_w ? channels.error() : device_w.error();
  p.w = *device_w;
  p.multiplier = static_cast<const float*>(channels->multiplier);
  p.bias = static_cast<const int32_t*>(channels->bias), p.small_sums = channels->small_sums;
  p.fill = static_cast<uint32_t>(layer->x_codes.zero_point) * 0x01010101u;
  p.epilogue = layer->epilogue;
  p.from_zero = codes_from_zero(p.small_sums, p.epilogue);
  FusedSteps fused{row.steps(), choices_of(p, window->kw, x, y, builder)};
  if (fused.prepared.choices.empty()) return FusedSteps{};
  fused.prepared.packed_bytes = packed.size();
  return fused;
}

}  // namespace octet::cuda
