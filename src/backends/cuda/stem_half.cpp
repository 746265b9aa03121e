// Finds the first layers of a network of images in half precision that one kernel runs, from ops and shapes.
#include <cuda_fp16.h>

#include "backends/cuda/fused_steps.h"
#include "backends/cuda/stem_steps.h"
#include "backends/cuda/window.h"

namespace octet::cuda {
namespace {

/// Of a pool's outputs, or of the convolution's.
constexpr int k_tiles[][2] = {{8, 8}, {4, 14}, {4, 8}, {4, 4}, {8, 14}, {16, 16}};
std::string tile_name(int h, int w) { return "half stem " + std::to_string(h) + "x" + std::to_string(w); }

bool is_taken(const StepQuery& query, const WindowParams& w, const FusedAct& act, const Layout& y) {
  return int_attribute(query.node, "group", 1) == 1 && w.c <= 4 && w.kw <= 8 && w.kh <= 16 && w.dilation_h == 1 &&
         w.dilation_w == 1 && w.oc % 64 == 0 && y.pitch() == w.oc && !query.has_input(3) &&
         (!query.has_input(2) || is_constant(query.graph, query.id(2))) &&
         (act.act == Act::none || act.act == Act::relu || act.act == Act::clip);
}

/// Weights as StemParams.w wants them.
std::vector<__half> pack_halves(const std::vector<float>& w, const WindowParams& window) {
  const int kh = window.kh, kw = window.kw;
  std::vector<__half> made(static_cast<size_t>(window.oc) * static_cast<size_t>(kh) * 32, __half(0.0f));
  for (int row = 0; row < window.oc; ++row) {
    const int n = row % 64, oc = row - n + n % 8 / 2 * 16 + n / 8 * 2 + n % 2;
    for (int c = 0; c < window.c; ++c)
      for (int i = 0; i < kh * kw; ++i)
        made[static_cast<size_t>((row * kh + i / kw) * 32 + i % kw * 4 + c)] =
            __half(w[static_cast<size_t>((oc * window.c + c) * kh * kw + i)]);
  }
  return made;
}

/// Without a pool.
StemParams params_of(const WindowParams& window, const FusedAct& act) {
  StemParams p;
  p.batch = window.batch, p.c = window.c, p.ih = window.ih, p.iw = window.iw;
  p.oh = p.ph = window.oh, p.ow = p.pw = window.ow;
  p.kh = window.kh, p.kw = window.kw, p.stride_h = window.stride_h, p.stride_w = window.stride_w;
  p.pad_top = window.pad_top, p.pad_left = window.pad_left;
  p.y_pitch = window.oc;
  p.epilogue.act = act.act, p.epilogue.p0 = act.act == Act::clip ? act.p0 : 0.0f, p.epilogue.p1 = act.p1;
  return p;
}

/// The MaxPool behind a step that alone reads its output, as the step after it; null: there is none.
const Node* pool_behind(const Plan& plan, size_t step) {
  const Graph& graph = plan.graph;
  if (step + 1 >= plan.steps.size() || family_of(plan.steps[step + 1].tactic) != "max_pool") return nullptr;
  const Node& next = graph.node(plan.steps[step + 1].node);
  return only_reader(graph, graph.node(plan.steps[step].node).outputs[0]) == &next ? &next : nullptr;
}

std::string key_of(const StemParams& p) {
  std::string key = "half stem";
  for (const int v : {p.batch, p.c, p.ih, p.iw, p.kh, p.kw, p.stride_h, p.stride_w, p.ph, p.pw, p.y_pitch, p.pool_kh,
                      p.pool_kw, p.pool_stride_h, p.pool_stride_w, int{p.pool}})
    key += " " + std::to_string(v);
  return key;
}

/// Waves of CTAs, two a multiprocessor, each as long as its pixels take.
double estimate_us(const StemParams& p, const Device& device) {
  const double ctas = static_cast<double>(p.batch) * p.by_tiles.d * (p.y_pitch / 64.0);
  const double cta_us = 2.0 + 0.0024 * p.conv_h * p.conv_w * p.kh + 0.0006 * p.patch_h * p.patch_w;
  return 1.5 + std::max(1.0, ctas / (2.0 * device.sms)) * cta_us;
}

PreparedStep choices_of(const StemParams& params, const Place& x, const Place& y, const std::vector<const void*>& reads,
                        const StepBuilder& builder) {
  PreparedStep step;
  step.key = key_of(params);
  for (const auto& [height, width] : k_tiles) {
    const StemParams cut = cut_stem(params, height, width, params.kw);
    const bool wide = cut.conv_h * cut.conv_w >= 256;
    const std::string name = tile_name(height, width);
    if (half_stem_bytes(cut) > k_most_shared_bytes || !builder.wants(name)) continue;
    step.choices.push_back({name, estimate_us(cut, builder.device()),
                            [cut, wide, x, y](const Launch& run) {
                              StemParams p = cut;
                              p.x = run.at(x), p.y = run.at(y);
                              return launch_half_stem(p, wide, run.stream);
                            },
                            reads});
  }
  return step;
}

}  // namespace

std::vector<std::string> half_stem_names() {
  std::vector<std::string> names;
  for (const auto& [h, w] : k_tiles) names.push_back(tile_name(h, w));
  return names;
}

Result<FusedSteps> fuse_half_stem(const Plan& plan, size_t first, DType floats, StepBuilder& builder) {
  const Graph& graph = plan.graph;
  const Node& node = graph.node(plan.steps[first].node);
  const auto input = std::find(graph.inputs.begin(), graph.inputs.end(), node.inputs[0]);
  if (floats != DType::f16 || family_of(plan.steps[first].tactic) != "conv_float" || input == graph.inputs.end() ||
      is_constant(graph, node.outputs[0]))
    return FusedSteps{};
  const StepQuery query{{graph, node}, floats, false};
  const Dims w = query.dims(1);
  Result<WindowParams> window =
      window_params(query, w[2], w[3], layout_of(graph, node.inputs[0], floats), builder.output(query).layout);
  if (!window) return window.error();
  const FusedAct act = act_of(node);
  if (!is_taken(query, *window, act, builder.output(query).layout)) return FusedSteps{};
  StemParams p = params_of(*window, act);
  FusedSteps fused{1, {}};
  ValueId out = node.outputs[0];
  if (const Node* pool = pool_behind(plan, first)) {
    const Result<bool> taken = take_stem_pool({{graph, *pool}, floats, false}, builder, p);
    if (!taken) return taken.error();
    if (*taken) out = pool->outputs[0], fused.steps = 2;
  }
  const Operand y = builder.value(out);
  if (y.place.kind != Place::Kind::arena || y.layout.pitch() != p.y_pitch) return FusedSteps{};
  const std::vector<__half> packed = pack_halves(constant_floats(graph, query.id(1)), *window);
  std::vector<float> bias = query.has_input(2) ? constant_floats(graph, query.id(2)) : std::vector<float>();
  bias.resize(static_cast<size_t>(p.y_pitch), 0.0f);
  Result<const void*> device_w = builder.upload(packed), device_bias = builder.upload(bias);
  if (!device_w || !device_bias) return device_w ? device_bias.error() : device_w.error();
  p.w = *device_w, p.bias = static_cast<const int32_t*>(*device_bias);
  const Place x{Place::Kind::input, static_cast<size_t>(input - graph.inputs.begin())};
  fused.prepared = choices_of(p, x, y.place, {*device_w, *device_bias}, builder);
  if (fused.prepared.choices.empty()) return FusedSteps{};
  fused.prepared.packed_bytes = packed.size() * sizeof(__half);
  if (only_reader(graph, node.inputs[0]) == &node) fused.takes_input = node.inputs[0];
  return fused;
}

}  // namespace octet::cuda
