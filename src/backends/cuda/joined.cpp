// Finds two convolutions that one kernel can run: the first's codes are the residual of the second and nobody else
// reads them, as where the branches of a residual block meet.
#include "backends/cuda/joined.h"

#include <cmath>
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
double estimate_us(const ConvTile& tile, const Pair& pair, int split, int resident, double rate, int sms) {
  const double k = (pair.first.params.k_used + pair.second.params.k_used) / static_cast<double>(split);
  const double waves = std::ceil(tiles_of(tile, pair.second.params) * split / (sms * resident));
  return 2.5 + waves * std::max(tile.bm * tile.bn * k / rate, (tile.bm + tile.bn) * k / 60e3);
}

JoinedParams bound(JoinedParams p, const Pair& pair, const Launch& run) {
  p.first.x = run.at(pair.first.layer.x.place);
  p.second.x = run.at(pair.second.layer.x.place), p.second.y = run.at(pair.second.layer.y.place);
  return p;
}

std::string name_of(const ConvTile& tile, int split) {
  return split > 1 ? tile.name + (" " + std::to_string(split)) : tile.name;
}

void add(PreparedStep& step, const std::string& name, double cost_us, bool is_small, const JoinedParams& params,
         const std::function<cudaError_t(const JoinedParams&, const Launch&)>& enqueue) {
  for (const NamedTrigger& t : k_triggers) {
    if (t.trigger != Trigger::landed && !is_small) break;
    JoinedParams p = params;
    p.second.trigger = t.trigger;
    step.choices.push_back({name + t.suffix, cost_us, [p, enqueue](const Launch& run) { return enqueue(p, run); }});
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
    if (!uploaded) {
      Result<const void*> a = builder.upload(pack_blocks(pair->first.packed, tile.k_bytes));
      Result<const void*> b = builder.upload(pack_blocks(pair->second.packed, tile.k_bytes));
      if (!a || !b) return a ? b.error() : a.error();
      params.first.w = *a, params.second.w = *b;
      uploaded = true;
    }
    const bool is_small = tiles_of(tile, params.second) <= 2 * sms;
    add(step, tile.name, estimate_us(tile, *pair, 1, 1, 5e6, sms), is_small, params,
        [=](const JoinedParams& p, const Launch& run) {
          JoinedParams filled = bound(p, *pair, run);
          filled.second.epilogue.has_residual = true;
          return launch_joined_tma(i, filled, sms, run.stream);
        });
  }
  return Done{};
}

void add_choices(const std::shared_ptr<const Pair>& pair, int sms, PreparedStep& step) {
  const JoinedParams params = pair->params();
  for (int i = 0; i < joined_tile_count(); ++i) {
    const ConvTile& tile = joined_tile(i);
    const double tiles = tiles_of(tile, params.second);
    const int k_tiles = (params.first.k_used + params.second.k_used) / tile.k_bytes;
    for (const int split : {1, 2, 4, 8}) {
      if (split > 1 && (tiles * split > 2 * sms || k_tiles < split * tile.groups)) break;
      add(step, name_of(tile, split), estimate_us(tile, *pair, split, 2, 3.2e6, sms), tiles * split <= 2 * sms, params,
          [=](const JoinedParams& p, const Launch& run) {
            return launch_joined(i, bound(p, *pair, run), split, run.stream);
          });
    }
  }
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

bool same_layout(const Layer& a, const Layer& b) {
  return a.y.layout.dims == b.y.layout.dims && a.y.layout.strides == b.y.layout.strides;
}

}  // namespace

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
  const bool is_pair = b.inputs.size() > 4 && b.inputs[4] == a.outputs[0] && only_reader(graph, a.outputs[0]) == &b &&
                       (a.inputs.size() <= 4 || a.inputs[4] == k_absent);
  if (!is_pair || is_constant(graph, a.outputs[0]) || is_constant(graph, b.outputs[0])) return FusedSteps{};
  if (is_constant(graph, a.inputs[0]) || is_constant(graph, b.inputs[0])) return FusedSteps{};
  builder.keep_apart(b.outputs[0], a.inputs[0]);
  Result<DenseCodes> one = dense_codes({{graph, a}, floats, false}, builder),
                     two = dense_codes({{graph, b}, floats, false}, builder);
  if (!one || !two) return one ? two.error() : one.error();
  const bool fits = !one->small_c && !two->small_c && !two->one_pixel && same_layout(one->layer, two->layer) &&
                    one->layer.epilogue.to == Store::u8;
  if (!fits) return FusedSteps{};
  const auto pair = std::make_shared<const Pair>(Pair{*std::move(one), *std::move(two)});
  FusedSteps fused{2, {}};
  fused.prepared.key = key_of(pair->params());
  fused.prepared.packed_bytes = pair->first.packed.bytes.size() + pair->second.packed.bytes.size();
  add_choices(pair, builder.device().sms, fused.prepared);
  if (Result<Done> ok = add_tma_choices(pair, builder, fused.prepared); !ok) return ok.error();
  return fused;
}

}  // namespace octet::cuda
