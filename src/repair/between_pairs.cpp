// src/repair/between_pairs.cpp: what stands between a QuantizeLinear and its DequantizeLinear. A Cast or Identity that
// keeps every code goes; a Clip of the codes (narrow ranges, as PyTorch writes them) becomes a Clip of the real numbers
// before the QuantizeLinear, with the same codes; an op that only moves elements goes behind a DequantizeLinear of one
// scale and stays before one with several, whose axis is that of the moved codes.

#include <algorithm>

#include "repair/parameters.h"
#include "repair/repair.h"

namespace octet {
namespace {

struct CodeRange {
  int64_t low, high;
};
std::optional<CodeRange> range_of(DType dtype) {
  switch (dtype) {
    case DType::s8: return CodeRange{-128, 127};
    case DType::u8: return CodeRange{0, 255};
    case DType::s16: return CodeRange{-32768, 32767};
    case DType::u16: return CodeRange{0, 65535};
    case DType::s32: return CodeRange{-(int64_t{1} << 31), (int64_t{1} << 31) - 1};
    case DType::s64: return CodeRange{-(int64_t{1} << 62), int64_t{1} << 62};
    case DType::f32: return CodeRange{-(1 << 24), 1 << 24};  // every integer there is a float
    default: return std::nullopt;
  }
}

bool is_mover(const Node& node) { return is_any(node, {"Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose"}); }
bool may_stand_between(const Node& node) { return is_any(node, {"Cast", "Identity", "Clip"}) || is_mover(node); }

/// The nodes between a QuantizeLinear and this DequantizeLinear, the nearest to the latter first; nothing when its
/// codes come from elsewhere.
std::optional<std::vector<NodeId>> chain_above(const Editor& editor, const Node& dequantize) {
  std::vector<NodeId> chain;
  for (NodeId at = editor.producer(dequantize.inputs[0]); at >= 0; at = editor.producer(editor.node(at).inputs[0])) {
    if (is_quantize(editor.node(at))) return chain;
    if (!may_stand_between(editor.node(at))) return std::nullopt;
    chain.push_back(at);
  }
  return std::nullopt;
}

/// One scale and one zero point for all codes, so that it does not matter where they stand.
bool is_per_tensor(const Graph& graph, const Node& dequantize) {
  const Tensor* scale = graph.constant(dequantize.inputs[1]);
  const Tensor* zero = input(dequantize, 2) == k_absent ? scale : graph.constant(dequantize.inputs[2]);
  return scale && zero && scale->size() == 1 && zero->size() == 1 && int_attribute(dequantize, "block_size", 0) == 0;
}

/// Bounds of a Clip on codes, within those of the codes themselves.
std::optional<CodeRange> clip_bounds(const Graph& graph, const Node& clip, CodeRange codes) {
  for (const size_t i : {size_t{1}, size_t{2}}) {
    if (input(clip, i) == k_absent) continue;
    const Tensor* bound = graph.constant(clip.inputs[i]);
    if (!bound || bound->size() != 1) return std::nullopt;
    const auto value = static_cast<int64_t>(to_doubles(*bound)[0]);
    (i == 1 ? codes.low : codes.high) = i == 1 ? std::max(codes.low, value) : std::min(codes.high, value);
  }
  return codes;
}

class PairCleaner {
 public:
  PairCleaner(Graph& graph, RepairLog& log) : graph_(graph), log_(log), editor_(graph) {}

  void run() {
    for (NodeId id = 0; id < editor_.node_count(); ++id) {
      if (editor_.gone(id) || !is_dequantize(editor_.node(id))) continue;
      const std::optional<std::vector<NodeId>> chain = chain_above(editor_, editor_.node(id));
      if (chain && !chain->empty()) clean(id, *chain);
    }
  }

 private:
  void clean(NodeId dequantize, const std::vector<NodeId>& chain) {
    const NodeId quantize = editor_.producer(editor_.node(chain.back()).inputs[0]);
    const std::optional<CodeParams> params = code_params(graph_, editor_.node(quantize));
    const std::optional<CodeRange> codes = range_of(graph_.value(editor_.node(quantize).outputs[0]).dtype);
    if (!codes) return;
    std::optional<CodeRange> clip = codes;
    bool moves = false;
    for (const NodeId id : chain) {
      const Node& node = editor_.node(id);
      const std::optional<CodeRange> held = range_of(graph_.value(node.outputs[0]).dtype);
      if (!held || held->low > codes->low || held->high < codes->high) return;  // a code could change
      if (is_op(node, "Clip")) clip = clip ? clip_bounds(graph_, node, *clip) : std::nullopt;
      moves = moves || is_mover(node);
    }
    const bool narrow = clip && (clip->low > codes->low || clip->high < codes->high);
    if (!clip || clip->low > clip->high || ((narrow || moves) && !params)) return;
    if (moves && !is_per_tensor(graph_, editor_.node(dequantize))) return;
    if (narrow && !is_private(quantize, chain)) return;
    if (!retype(dequantize, quantize, params)) return;
    if (narrow) clip_before(quantize, *params, *clip);
    if (moves) return move_behind(dequantize, chain);
    const std::string text = chain_text(chain);
    editor_.set_input(dequantize, 0, editor_.node(quantize).outputs[0]);
    log_.add(label(graph_, editor_.node(dequantize)), text + " between QuantizeLinear and DequantizeLinear",
             narrow ? "Clip of the real numbers before QuantizeLinear" : "removed");
  }

  /// Nobody else reads the codes on their way.
  bool is_private(NodeId quantize, const std::vector<NodeId>& chain) const {
    return editor_.single_use(editor_.node(quantize).outputs[0]) &&
           std::all_of(chain.begin(), chain.end(),
                       [&](NodeId id) { return editor_.single_use(editor_.node(id).outputs[0]); });
  }

  /// The DequantizeLinear takes a zero point of the codes' own dtype. False when that cannot hold it.
  bool retype(NodeId dequantize, NodeId quantize, const std::optional<CodeParams>& params) {
    const DType dtype = graph_.value(editor_.node(quantize).outputs[0]).dtype;
    Node node = editor_.node(dequantize);
    if (graph_.value(node.inputs[0]).dtype == dtype || input(node, 2) == k_absent) return true;
    const std::optional<std::vector<int64_t>> zero = constant_ints(graph_, input(node, 2));
    const std::optional<CodeRange> range = range_of(dtype);
    if (!params || !is_code(dtype) || !zero || zero->size() != 1 || zero->front() < range->low ||
        zero->front() > range->high)
      return false;
    node.inputs[2] = editor_.add_constant(graph_.value(node.inputs[2]).name + "_" + std::string(name(dtype)),
                                          code_scalar(dtype, static_cast<int32_t>(zero->front())));
    editor_.replace(dequantize, std::move(node));
    return true;
  }

  void clip_before(NodeId quantize, const CodeParams& params, CodeRange clip) {
    const ValueId x = editor_.node(quantize).inputs[0];
    const std::string base = graph_.value(x).name;
    const auto real = [&](int64_t code) {
      return scalar_f32(static_cast<float>(code - params.zero_point) * params.scale);
    };
    if (const Tensor* weight = constant_of(graph_, x, DType::f32)) {
      std::vector<float> values(weight->as<float>().begin(), weight->as<float>().end());
      const float low = real(clip.low).as<float>()[0], high = real(clip.high).as<float>()[0];
      for (float& v : values) v = std::clamp(v, low, high);
      const Dims dims = weight->dims();
      return editor_.set_input(quantize, 0, editor_.add_constant(base + "_clipped", f32_tensor(dims, values)));
    }
    const ValueId low = editor_.add_constant(base + "_low", real(clip.low));
    const ValueId high = editor_.add_constant(base + "_high", real(clip.high));
    const ValueId clipped = editor_.add_value(base + "_clipped", x);
    editor_.insert_before(quantize, make_node("Clip", "", {x, low, high}, {clipped}));
    editor_.set_input(quantize, 0, clipped);
  }

  /// The movers of the chain, in their order, behind the DequantizeLinear.
  void move_behind(NodeId dequantize, const std::vector<NodeId>& chain) {
    const Node before = editor_.node(dequantize);
    const ValueId y = before.outputs[0];
    ValueId at = editor_.add_value(graph_.value(y).name + "_unmoved", graph_.value(y).dtype, std::nullopt);
    Node moved = before;
    moved.outputs[0] = at;
    std::vector<Node> movers;
    for (auto id = chain.rbegin(); id != chain.rend(); ++id) {
      Node mover = editor_.node(*id);
      if (!is_mover(mover)) continue;
      mover.inputs[0] = at;
      mover.name = unique_node_name(graph_, mover.name.empty() ? "" : mover.name + "_real");
      at = editor_.add_value(graph_.value(mover.outputs[0]).name + "_real", graph_.value(y).dtype,
                             graph_.value(mover.outputs[0]).shape);
      mover.outputs[0] = at;
      movers.push_back(std::move(mover));
    }
    movers.back().outputs[0] = y;
    // The last mover takes the place of the DequantizeLinear, which runs just before.
    Node last = std::move(movers.back());
    movers.pop_back();
    moved.inputs[0] = editor_.node(editor_.producer(editor_.node(chain.back()).inputs[0])).outputs[0];
    editor_.replace(dequantize, std::move(last));
    editor_.insert_before(dequantize, std::move(moved));
    for (Node& mover : movers) editor_.insert_before(dequantize, std::move(mover));
    log_.add(label(graph_, before), chain_text(chain) + " between QuantizeLinear and DequantizeLinear",
             "behind DequantizeLinear");
  }

  std::string chain_text(const std::vector<NodeId>& chain) const {
    std::string text;
    for (auto id = chain.rbegin(); id != chain.rend(); ++id)
      text += (text.empty() ? "" : ", ") + std::string(editor_.node(*id).op->name);
    return text;
  }

  Graph& graph_;
  RepairLog& log_;
  Editor editor_;
};

}  // namespace

Result<Done> between_pairs(Graph& graph, RepairLog& log) {
  PairCleaner(graph, log).run();
  return Done{};
}

}  // namespace octet
