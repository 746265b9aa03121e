// Finds a 1x1 convolution and the 1x1 convolution that reads its output, as between two bottlenecks, for one kernel;
// with the convolution before them where nobody else reads its output and that is the first one's residual, or the
// first one's input.
#include "backends/cuda/chain.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <memory>

#include "backends/cuda/conv_layer.h"
#include "backends/cuda/fused_steps.h"

namespace octet::cuda {
namespace {

struct Chain {
  std::vector<DenseCodes> parts;  // two, or three with what makes the residual
  ChainParams params;

  const DenseCodes& first() const { return parts[parts.size() - 2]; }
  const DenseCodes& last() const { return parts.back(); }
};

/// Places to addresses.
ChainParams bound(ChainParams p, const Chain& chain, const Launch& run) {
  const Layer &first = chain.first().layer, &last = chain.last().layer;
  if (p.has_before()) p.before.x = run.at(chain.parts[0].layer.x.place);
  p.first.x = run.at(first.x.place), p.first.y = run.at(first.y.place);
  if (p.kind != ChainKind::joined) p.first.residual = run.at(first.residual.place);
  p.last.y = run.at(last.y.place);
  return p;
}

/// Waves of tiles, each as long as its products or what it reads and writes take.
double estimate_us(const ConvTile& tile, const ChainParams& p, int sms) {
  const bool block = p.kind == ChainKind::block;
  const double channels = p.first.oc, window = block ? p.before.k_used : 0,
               k = p.first.k_used + (p.kind == ChainKind::joined ? p.before.k_used : 0);
  const double macs = tile.bm * (channels * (k + tile.bn) + window * p.before.oc);
  const double bytes = tile.bm * ((block ? p.before.x_pitch : k) + 2 * channels + tile.bn);
  const double waves = std::ceil(std::ceil(static_cast<double>(p.first.m) / tile.bm) / sms);
  return 3 + waves * (std::max(macs / 5e6, bytes / 20e3) + 0.5);
}

/// w: of each part for rows of k_bytes, or for codes in registers.
Result<std::vector<const void*>> upload_weights(const Chain& chain, int k_bytes, StepBuilder& builder) {
  std::vector<const void*> w;
  for (size_t i = 0; i < chain.parts.size(); ++i) {
    const PackedWeights& packed = chain.parts[i].packed;
    const bool reads_registers = i + 1 == chain.parts.size() || (i == 1 && chain.params.kind == ChainKind::block);
    Result<const void*> made =
        builder.upload(reads_registers ? pack_blocks(turn_columns(packed), 64) : pack_blocks(packed, k_bytes));
    if (!made) return made.error();
    w.push_back(*made);
  }
  return w;
}

/// Whether most multiprocessors have a tile of so many pixels.
constexpr int k_least_rows = 128;
bool fills(int64_t pixels, int rows, const Device& device) { return 4 * pixels >= int64_t{3} * rows * device.sms; }

/// Whether a tile is worth preparing: it takes the layers, and most multiprocessors have one, or the plan names it.
bool is_offered(int tile, const ChainParams& p, const StepBuilder& builder) {
  const ConvTile& t = chain_tile(tile);
  return chain_takes(tile, p) &&
         (builder.is_one_wanted() ? builder.wants_tile(t.name) : fills(p.first.m, t.bm, builder.device()));
}

Result<Done> add_choices(const std::shared_ptr<const Chain>& chain, StepBuilder& builder, PreparedStep& step) {
  const int sms = builder.device().sms;
  std::map<int, std::vector<const void*>> weights;  // by width of their rows
  for (int i = 0; i < chain_tile_count(); ++i) {
    const ConvTile& tile = chain_tile(i);
    if (!is_offered(i, chain->params, builder)) continue;
    std::vector<const void*>& w = weights[tile.k_bytes];
    if (w.empty()) {
      Result<std::vector<const void*>> made = upload_weights(*chain, tile.k_bytes, builder);
      if (!made) return made.error();
      w = *std::move(made);
    }
    for (const NamedTrigger& t : k_triggers) {
      if (t.trigger != Trigger::landed && chain->params.first.m > 2 * sms * tile.bm) break;
      if (!builder.wants(tile.name + std::string(t.suffix))) continue;
      ChainParams p = chain->params;
      if (p.has_before()) p.before.w = w[0];
      p.first.w = w[w.size() - 2], p.last.w = w.back();
      p.last.trigger = t.trigger;
      step.choices.push_back(
          {tile.name + std::string(t.suffix), estimate_us(tile, p, sms),
           [=](const Launch& run) { return launch_chain(i, bound(p, *chain, run), sms, run.stream); }, w});
    }
  }
  return Done{};
}

std::string key_of(const ChainParams& params) {
  constexpr const char* k_kinds[] = {"chain", "chain joined", "block"};
  std::string key = k_kinds[static_cast<size_t>(params.kind)];
  for (const ConvParams* p : {&params.before, &params.first, &params.last})
    for (const int v : {p->m, p->oc, p->k_used, p->ih, p->iw, p->oh, p->ow, p->stride_h, p->stride_w, p->x_pitch,
                        p->y_pitch, p->r_pitch, p->kh, p->kw, p->dilation_h, p->dilation_w,
                        int{p->epilogue.has_residual}, static_cast<int>(p->epilogue.act)})
      key += " " + std::to_string(v);
  return key;
}

/// The dense integer convolutions from plan.steps[first] on, three at most.
std::vector<const Node*> convolutions_from(const Plan& plan, size_t first) {
  std::vector<const Node*> nodes;
  for (size_t i = first; i < plan.steps.size() && nodes.size() < 3; ++i) {
    if (family_of(plan.steps[i].tactic) != "conv_u8s8") break;
    nodes.push_back(&plan.graph.node(plan.steps[i].node));
  }
  return nodes;
}

bool has_residual(const Node& node) { return node.inputs.size() > 4 && node.inputs[4] != k_absent; }

/// Whether the last reads the output of the one before it and has no residual, and nothing is known before the run.
bool end_as_a_chain(const Graph& graph, const std::vector<const Node*>& nodes) {
  const Node &from = *nodes[nodes.size() - 2], &to = *nodes.back();
  return to.inputs[0] == from.outputs[0] && !has_residual(to) &&
         std::none_of(nodes.begin(), nodes.end(), [&](const Node* n) {
           return is_constant(graph, n->inputs[0]) || is_constant(graph, n->outputs[0]);
         });
}

/// Nodes of plan.steps[first] and up that may be such a chain; empty: they are none.
std::vector<const Node*> chain_from(const Plan& plan, size_t first) {
  std::vector<const Node*> nodes = convolutions_from(plan, first);
  if (nodes.size() < 2) return {};
  const bool joined = makes_residual_of(plan.graph, *nodes[0], *nodes[1]);
  nodes.resize(std::min<size_t>(nodes.size(), joined ? 3 : 2));
  const bool fits = nodes.size() == (joined ? 3u : 2u) && end_as_a_chain(plan.graph, nodes);
  return fits ? nodes : std::vector<const Node*>{};
}

/// Likewise with a convolution before the two that only the first of them reads.
std::vector<const Node*> block_from(const Plan& plan, size_t first) {
  std::vector<const Node*> nodes = convolutions_from(plan, first);
  const bool fits = nodes.size() == 3 && !has_residual(*nodes[0]) && nodes[1]->inputs[0] == nodes[0]->outputs[0] &&
                    only_reader(plan.graph, nodes[0]->outputs[0]) == nodes[1] && end_as_a_chain(plan.graph, nodes);
  return fits ? nodes : std::vector<const Node*>{};
}

/// The last output is written while others are still read, and so is the one before it.
void keep_apart(const std::vector<const Node*>& nodes, ChainKind kind, StepBuilder& builder) {
  const ValueId between = nodes[nodes.size() - 2]->outputs[0], last = nodes.back()->outputs[0];
  for (size_t i = 0; i + 1 < nodes.size(); ++i) {
    if (has_residual(*nodes[i]) && kind != ChainKind::joined) builder.keep_apart(last, nodes[i]->inputs[4]);
    if (kind == ChainKind::block && i == 1) continue;  // in registers
    builder.keep_apart(last, nodes[i]->inputs[0]);
    builder.keep_apart(between, nodes[i]->inputs[0]);
  }
}

Result<FusedSteps> fuse_nodes(const Plan& plan, const std::vector<const Node*>& nodes, ChainKind kind, DType floats,
                              StepBuilder& builder) {
  const Graph& graph = plan.graph;
  if (nodes.empty()) return FusedSteps{};
  if (const Dims y = *known_dims(*graph.value(nodes.back()->outputs[0]).shape);
      y.size() != 4 || (!builder.is_one_wanted() && !fills(y[0] * y[2] * y[3], k_least_rows, builder.device())))
    return FusedSteps{};  // before any weights are packed
  Chain chain;
  for (const Node* node : nodes) {
    Result<DenseCodes> made = dense_codes({{graph, *node}, floats, false}, builder);
    if (!made) return made.error();
    if (made->small_c || made->one_pixel) return FusedSteps{};
    chain.parts.push_back(*std::move(made));
  }
  ChainParams& p = chain.params;
  p.kind = kind;
  p.first = chain.first().params, p.last = chain.last().params;
  if (p.has_before()) p.before = chain.parts[0].params;
  if (kind == ChainKind::joined && !same_output_layout(chain.parts[0].layer, chain.first().layer)) return FusedSteps{};
  bool is_any = false;
  for (int i = 0; i < chain_tile_count(); ++i) is_any = is_any || is_offered(i, p, builder);
  if (!is_any) return FusedSteps{};
  keep_apart(nodes, kind, builder);
  // Where they lie may have changed.
  for (size_t i = 0; i < nodes.size(); ++i) chain.parts[i].layer.y = builder.value(nodes[i]->outputs[0]);
  FusedSteps fused{nodes.size(), {}};
  fused.prepared.key = key_of(p);
  for (const DenseCodes& part : chain.parts) fused.prepared.packed_bytes += part.packed.bytes.size();
  if (Result<Done> ok = add_choices(std::make_shared<const Chain>(std::move(chain)), builder, fused.prepared); !ok)
    return ok.error();
  return fused;
}

}  // namespace

std::vector<std::string> chain_names(std::string_view kind) {
  std::vector<std::string> names;
  for (int i = 0; i < chain_tile_count(); ++i)
    if (std::string_view(chain_tile(i).name).starts_with(kind)) names.emplace_back(chain_tile(i).name);
  return names;
}

Result<FusedSteps> fuse_chain(const Plan& plan, size_t first, DType floats, StepBuilder& builder) {
  if (builder.device().major != 9) return FusedSteps{};
  const std::vector<const Node*> nodes = chain_from(plan, first);
  return fuse_nodes(plan, nodes, nodes.size() == 3 ? ChainKind::joined : ChainKind::pair, floats, builder);
}

Result<FusedSteps> fuse_block(const Plan& plan, size_t first, DType floats, StepBuilder& builder) {
  if (builder.device().major != 9) return FusedSteps{};
  return fuse_nodes(plan, block_from(plan, first), ChainKind::block, floats, builder);
}

}  // namespace octet::cuda
