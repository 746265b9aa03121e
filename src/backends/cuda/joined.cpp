// Finds two convolutions that one kernel can run: the first's codes are the residual of the second and nobody else
// reads them, as where the branches of a residual block meet.
#include "backends/cuda/joined.h"

#include <cmath>
#include <functional>
#include <memory>

#include "backends/cuda/conv_layer.h"
#include "backends/cuda/fused_steps.h"
#include "backends/cuda/tma.h"

namespace octet::cuda {
namespace {

struct Pair {
  DenseCodes first, second;
  JoinedParams params() const { return {first.params, second.params}; }
};

double tiles_of(const ConvTile& tile, const ConvParams& p) {
  return static_cast<double>((p.m + tile.bm - 1) / tile.bm) * ((p.oc + tile.bn - 1) / tile.bn);
}

/// Waves of CTAs, each as long as its products or its bytes take.
struct Rate {
  int split = 1, resident = 1;  // CTAs of a tile, and of a multiprocessor
  double macs_per_us = 5e6;
  int sms = 1;
};
double estimate_us(const ConvTile& tile, const Pair& pair, const Rate& rate) {
  const double k = (pair.first.params.k_used + pair.second.params.k_used) / static_cast<double>(rate.split);
  const double waves = std::ceil(tiles_of(tile, pair.second.params) * rate.split / (rate.sms * rate.resident));
  return 2.5 + waves * std::max(tile.bm * tile.bn * k / rate.macs_per_us, (tile.bm + tile.bn) * k / 60e3);
}

JoinedParams bound(JoinedParams p, const Pair& pair, const Launch& run) {
  p.first.x = run.at(pair.first.layer.x.place);
  p.second.x = run.at(pair.second.layer.x.place), p.second.y = run.at(pair.second.layer.y.place);
  return p;
}

std::string name_of(const ConvTile& tile, int split) {
  return split > 1 ? tile.name + (" " + std::to_string(split)) : tile.name;
}

/// A kernel as a choice.
struct Kernel {
  std::string name;
  double cost_us = 0;
  bool is_small = false;  // about one wave of CTAs
  std::function<cudaError_t(const JoinedParams&, const Launch&)> enqueue;
};

void add(const Kernel& kernel, const JoinedParams& params, const StepBuilder& builder, PreparedStep& step) {
  for (const NamedTrigger& t : k_triggers) {
    if (t.trigger != Trigger::landed && !kernel.is_small) break;
    if (!builder.wants(kernel.name + t.suffix)) continue;
    JoinedParams p = params;
    p.second.trigger = t.trigger;
    step.choices.push_back({kernel.name + t.suffix,
                            kernel.cost_us,
                            [p, enqueue = kernel.enqueue](const Launch& run) { return enqueue(p, run); },
                            {p.first.w, p.second.w}});
  }
}

Result<Done> add_tma_choices(const std::shared_ptr<const Pair>& pair, StepBuilder& builder, PreparedStep& step) {
  JoinedParams params = pair->params();
  params.second.epilogue.has_residual = false;  // none comes from memory
  const int sms = builder.device().sms;
  bool uploaded = false;
  for (int i = 0; i < joined_tma_tile_count(); ++i) {
    const ConvTile& tile = joined_tma_tile(i);
    if (!tma_takes(ConvType::u8s8, tile, params.first) || !tma_takes(ConvType::u8s8, tile, params.second)) continue;
    if (!builder.wants_tile(tile.name)) continue;
    if (!uploaded) {
      Result<const void*> a = builder.upload(pack_blocks(pair->first.packed, tile.k_bytes));
      Result<const void*> b = builder.upload(pack_blocks(pair->second.packed, tile.k_bytes));
      if (!a || !b) return a ? b.error() : a.error();
      params.first.w = *a, params.second.w = *b;
      uploaded = true;
    }
    const auto enqueue = [=](const JoinedParams& p, const Launch& run) {
      JoinedParams filled = bound(p, *pair, run);
      filled.second.epilogue.has_residual = true;
      return launch_joined_tma(i, filled, sms, run.stream);
    };
    const bool is_small = tiles_of(tile, params.second) <= 2 * sms;
    add({tile.name, estimate_us(tile, *pair, {1, 1, 5e6, sms}), is_small, enqueue}, params, builder, step);
  }
  return Done{};
}

/// rows of both in device memory, once a kernel wants them.
Result<Done> upload_rows(const Pair& pair, StepBuilder& builder, JoinedParams& params) {
  if (params.first.w) return Done{};
  Result<const void*> a = builder.upload(pair.first.packed.bytes), b = builder.upload(pair.second.packed.bytes);
  if (!a || !b) return a ? b.error() : a.error();
  params.first.w = *a, params.second.w = *b;
  return Done{};
}

Result<Done> add_choices(const std::shared_ptr<const Pair>& pair, StepBuilder& builder, PreparedStep& step) {
  JoinedParams params = pair->params();
  const int sms = builder.device().sms;
  for (int i = 0; i < joined_tile_count(); ++i) {
    const ConvTile& tile = joined_tile(i);
    const double tiles = tiles_of(tile, params.second);
    const int k_tiles = (params.first.k_used + params.second.k_used) / tile.k_bytes;
    for (const int split : {1, 2, 4, 8}) {
      if (split > 1 && (tiles * split > 2 * sms || k_tiles < split * tile.groups)) break;
      if (!builder.wants_tile(name_of(tile, split))) continue;
      if (Result<Done> ok = upload_rows(*pair, builder, params); !ok) return ok;
      const auto enqueue = [=](const JoinedParams& p, const Launch& run) {
        return launch_joined(i, bound(p, *pair, run), split, run.stream);
      };
      const double cost_us = estimate_us(tile, *pair, {split, 2, 3.2e6, sms});
      add({name_of(tile, split), cost_us, tiles * split <= 2 * sms, enqueue}, params, builder, step);
    }
  }
  return Done{};
}

std::string key_of(const JoinedParams& params) {
  std::string key = "joined";
  for (const ConvParams* p : {&params.first, &params.second})
    for (const int v : {p->m,
                        p->oc,
                        p->k_bytes,
                        p->ih,
                        p->iw,
                        p->oh,
                        p->ow,
                        p->kh,
                        p->kw,
                        p->stride_h,
                        p->stride_w,
                        p->pad_top,
                        p->pad_left,
                        p->dilation_h,
                        p->dilation_w,
                        p->x_pitch,
                        p->y_pitch,
                        int{p->fill != 0},
                        static_cast<int>(p->epilogue.to),
                        static_cast<int>(p->epilogue.act)})
      key += " " + std::to_string(v);
  return key;
}

}  // namespace

bool same_output_layout(const Layer& a, const Layer& b) {
  return a.y.layout.dims == b.y.layout.dims && a.y.layout.strides == b.y.layout.strides;
}

bool makes_residual_of(const Graph& graph, const Node& a, const Node& b) {
  return b.inputs.size() > 4 && b.inputs[4] == a.outputs[0] && only_reader(graph, a.outputs[0]) == &b &&
         (a.inputs.size() <= 4 || a.inputs[4] == k_absent);
}

std::vector<std::string> joined_names() {
  std::vector<std::string> names;
  for (int i = 0; i < joined_tile_count(); ++i)
    for (const int split : {1, 2, 4, 8}) names.push_back(name_of(joined_tile(i), split));
  for (int i = 0; i < joined_tma_tile_count(); ++i) names.emplace_back(joined_tma_tile(i).name);
  return names;
}

Result<FusedSteps> fuse_residual(const Plan& plan, size_t first, DType floats, StepBuilder& builder) {
  const Graph& graph = plan.graph;
  if (!builder.device().has_clusters() || first + 1 >= plan.steps.size()) return FusedSteps{};
  const Node &a = graph.node(plan.steps[first].node), &b = graph.node(plan.steps[first + 1].node);
  for (size_t i : {first, first + 1})
    if (family_of(plan.steps[i].tactic) != "conv_u8s8") return FusedSteps{};
  if (!makes_residual_of(graph, a, b) || is_constant(graph, a.outputs[0]) || is_constant(graph, b.outputs[0]))
    return FusedSteps{};
  if (is_constant(graph, a.inputs[0]) || is_constant(graph, b.inputs[0])) return FusedSteps{};
  builder.keep_apart(b.outputs[0], a.inputs[0]);
  Result<DenseCodes> one = dense_codes({{graph, a}, floats, false}, builder),
                     two = dense_codes({{graph, b}, floats, false}, builder);
  if (!one || !two) return one ? two.error() : one.error();
  const bool fits = !one->small_c && !two->small_c && !two->one_pixel && same_output_layout(one->layer, two->layer) &&
                    one->layer.epilogue.to == Store::u8;
  if (!fits) return FusedSteps{};
  const auto pair = std::make_shared<const Pair>(Pair{*std::move(one), *std::move(two)});
  FusedSteps fused{2, {}};
  fused.prepared.key = key_of(pair->params());
  fused.prepared.packed_bytes = pair->first.packed.bytes.size() + pair->second.packed.bytes.size();
  if (Result<Done> ok = add_choices(pair, builder, fused.prepared); !ok) return ok.error();
  if (Result<Done> ok = add_tma_choices(pair, builder, fused.prepared); !ok) return ok.error();
  return fused;
}

}  // namespace octet::cuda
