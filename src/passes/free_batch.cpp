// A batch that the file fixes at 1 made free. Every value that depends on the inputs is one sample's; in the new graph
// it gets a leading batch axis: [1, rest] becomes [N, rest], and a value whose axis of 1 the file dropped (Squeeze,
// Reshape to [C]) becomes [N, rest] too. An op is taken only when it works on each sample by itself along that axis;
// the first other one ends it with its name. Afterwards shape inference has to give [N, rest] for every such value.

#include "passes/free_batch.h"

#include <algorithm>
#include <map>
#include <numeric>

#include "passes/match.h"

namespace octet {
namespace {

/// What a sample's value looks like: its old extents, and whether the old shape had the axis of 1 in front.
struct Sample {
  Shape rest;
  bool dropped = false;  // the file had [rest], not [1, rest]
  size_t old_rank() const { return rest.size() + (dropped ? 0 : 1); }
};

/// Each element of the result is one of each operand, broadcast.
bool is_of_elements(const Node& node) {
  return is_any(node, {"Add",         "Sub",     "Mul",   "Div",   "Mod",   "Pow",        "Min",       "Max",
                       "Sum",         "Mean",    "PRelu", "Where", "Equal", "Greater",    "Less",      "GreaterOrEqual",
                       "LessOrEqual", "And",     "Or",    "Xor",   "Not",   "BitwiseAnd", "BitwiseOr", "BitwiseXor",
                       "BitwiseNot",  "BitShift"}) ||
         is_any(node, {"Relu",
                       "LeakyRelu",
                       "Clip",
                       "Sigmoid",
                       "HardSigmoid",
                       "HardSwish",
                       "Tanh",
                       "Silu",
                       "Gelu",
                       "Elu",
                       "Selu",
                       "Celu",
                       "Erf",
                       "Softplus",
                       "Softsign",
                       "Mish",
                       "ThresholdedRelu",
                       "Shrink",
                       "IsNaN",
                       "IsInf"}) ||
         is_any(node, {"Sin",   "Cos",   "Tan",   "Asin", "Acos",       "Atan", "Sinh",     "Cosh",
                       "Asinh", "Acosh", "Atanh", "Exp",  "Log",        "Sqrt", "Abs",      "Neg",
                       "Floor", "Ceil",  "Round", "Sign", "Reciprocal", "Cast", "Identity", "Dropout"});
}

class BatchFreer {
 public:
  explicit BatchFreer(Graph& graph) : editor_(graph), graph_(graph) {
    for (const Value& value : graph.values)
      for (const Dim& dim : value.shape.value_or(Shape()))
        if (dim.symbol == "N") batch_ = Dim(std::string("samples"));
  }

  Result<Done> run() {
    for (const ValueId v : graph_.inputs) {
      Value& value = graph_.value(v);
      if (!value.shape || value.shape->empty() || value.shape->front() != Dim(1))
        return Error{ErrorCode::unsupported, "input '" + value.name + "' has no leading extent of 1"};
      note_sample(v);
      value.shape->front() = batch_;
    }
    for (NodeId id = 0; id < editor_.node_count(); ++id) {
      const Node& node = editor_.node(id);
      if (std::none_of(node.inputs.begin(), node.inputs.end(), [&](ValueId v) { return sample(v) != nullptr; }))
        continue;
      for (const ValueId v : node.outputs)
        if (v != k_absent && !graph_.value(v).shape) return refuse(node, "its result has no known rank");
      std::string reason = rewrite(id);
      if (!reason.empty()) return refuse(editor_.node(id), reason);
      for (const ValueId v : editor_.node(id).outputs)
        if (v != k_absent) note_sample(v);
    }
    editor_.finish();
    return check();
  }

 private:
  static Error refuse(const Graph& graph, const Node& node, const std::string& reason) {
    return Error{ErrorCode::unsupported, "node '" + label(graph, node) + "' (" + std::string(node.op->name) +
                                             ") does not work on each sample by itself: " + reason};
  }
  Error refuse(const Node& node, const std::string& reason) const { return refuse(graph_, node, reason); }

  const Sample* sample(ValueId v) const {
    const auto at = samples_.find(v);
    return at == samples_.end() ? nullptr : &at->second;
  }
  void note_sample(ValueId v) {
    const Shape& shape = *graph_.value(v).shape;
    const bool has_axis = !shape.empty() && shape.front() == Dim(1);
    samples_[v] = {Shape(shape.begin() + (has_axis ? 1 : 0), shape.end()), !has_axis};
  }

  /// Makes the node work on a batch; the reason when it cannot.
  std::string rewrite(NodeId id) {
    const Node& node = editor_.node(id);
    static const std::map<std::string_view, std::string (BatchFreer::*)(NodeId)> rules = {
        {"Reshape", &BatchFreer::reshape},
        {"Squeeze", &BatchFreer::reshape},
        {"Unsqueeze", &BatchFreer::reshape},
        {"Flatten", &BatchFreer::reshape},
        {"Transpose", &BatchFreer::transpose},
        {"MatMul", &BatchFreer::matmul},
        {"Gemm", &BatchFreer::gemm},
        {"Concat", &BatchFreer::one_axis},
        {"Softmax", &BatchFreer::one_axis},
        {"LogSoftmax", &BatchFreer::one_axis},
        {"Hardmax", &BatchFreer::one_axis},
        {"LayerNormalization", &BatchFreer::one_axis},
        {"RMSNormalization", &BatchFreer::one_axis},
        {"LpNormalization", &BatchFreer::one_axis},
        {"Gather", &BatchFreer::one_axis},
        {"GatherElements", &BatchFreer::one_axis},
        {"ScatterElements", &BatchFreer::one_axis},
        {"Split", &BatchFreer::one_axis},
        {"TopK", &BatchFreer::one_axis},
        {"ArgMax", &BatchFreer::one_axis},
        {"ArgMin", &BatchFreer::one_axis},
        {"OneHot", &BatchFreer::one_hot},
        {"Slice", &BatchFreer::listed_axes},
        {"CumSum", &BatchFreer::listed_axes},
        {"ReduceMean", &BatchFreer::listed_axes},
        {"ReduceSum", &BatchFreer::listed_axes},
        {"ReduceMax", &BatchFreer::listed_axes},
        {"ReduceMin", &BatchFreer::listed_axes},
        {"ReduceProd", &BatchFreer::listed_axes},
        {"ReduceL1", &BatchFreer::listed_axes},
        {"ReduceL2", &BatchFreer::listed_axes},
        {"ReduceSumSquare", &BatchFreer::listed_axes},
        {"ReduceLogSum", &BatchFreer::listed_axes},
        {"ReduceLogSumExp", &BatchFreer::listed_axes},
        {"MeanVarianceNormalization", &BatchFreer::attribute_axes},
        {"Trilu", &BatchFreer::trilu},
        {"Expand", &BatchFreer::expand},
        {"Tile", &BatchFreer::tile},
        {"Resize", &BatchFreer::resize},
        {"GridSample", &BatchFreer::grid_sample},
        {"MatMulInteger", &BatchFreer::matmul_integer},
        {"Pad", &BatchFreer::pad},
        {"QuantizeLinear", &BatchFreer::codes},
        {"DequantizeLinear", &BatchFreer::codes}};
    if (const auto rule = rules.find(node.op->name); rule != rules.end()) return (this->*rule->second)(id);
    if (is_any(node, {"Conv", "ConvInteger", "ConvTranspose", "MaxPool", "AveragePool", "LpPool", "GlobalAveragePool",
                      "GlobalMaxPool", "GlobalLpPool", "BatchNormalization", "InstanceNormalization",
                      "GroupNormalization", "LRN", "DepthToSpace", "SpaceToDepth"}))
      return image(id);
    if (is_of_elements(node)) return elementwise(id);
    return "no rule for this op";
  }

  std::string image(NodeId id) {
    const Node& node = editor_.node(id);
    const Sample* x = sample(node.inputs[0]);
    if (!x || x->dropped) return "its image has no axis for the batch";
    if (is_op(node, "MaxPool") && node.outputs.size() > 1 && node.outputs[1] != k_absent)
      return "its indices count the elements of all samples";
    if (int_attribute(node, "training_mode", 0) != 0) return "its statistics are the batch's";
    return one_sample_input(node);
  }

  /// All samples of one rank, constants below or without an extent at the batch axis.
  std::string elementwise(NodeId id) {
    const Node& node = editor_.node(id);
    size_t rank = 0;
    for (const ValueId v : node.inputs)
      if (const Sample* s = v == k_absent ? nullptr : sample(v)) {
        if (rank != 0 && rank != s->rest.size() + 1) return "its operands would have different ranks";
        rank = s->rest.size() + 1;
      }
    for (const ValueId v : node.inputs) {
      if (v == k_absent || sample(v)) continue;
      const std::optional<Shape>& shape = graph_.value(v).shape;
      if (!shape || shape->size() > rank || (shape->size() == rank && shape->front() != Dim(1)))
        return "operand '" + graph_.value(v).name + "' has more than one sample's extents";
    }
    return "";
  }

  /// One row-major order of a sample's elements is another: a Reshape to [0, rest].
  std::string reshape(NodeId id) {
    const Node node = editor_.node(id);
    if (!sample(node.inputs[0])) return "its shape depends on the sample";
    for (size_t i = 1; i < node.inputs.size(); ++i)
      if (node.inputs[i] != k_absent && sample(node.inputs[i])) return "its shape depends on the sample";
    const Shape& old = *graph_.value(node.outputs[0]).shape;
    std::vector<int64_t> target{0};
    for (size_t i = !old.empty() && old.front() == Dim(1) ? 1 : 0; i < old.size(); ++i) {
      if (!old[i].known()) return "an extent of its result is unknown";
      target.push_back(old[i].value);
    }
    const Dims dims{static_cast<int64_t>(target.size())};
    const ValueId shape = editor_.add_constant(graph_.value(node.outputs[0]).name + "_batch_shape",
                                               Tensor::from<int64_t>(DType::s64, dims, target));
    editor_.replace(id, make_node("Reshape", node.name, {node.inputs[0], shape}, node.outputs));
    return "";
  }

  std::string transpose(NodeId id) {
    Node node = editor_.node(id);
    const Sample& x = *sample(node.inputs[0]);
    std::vector<int64_t> perm;
    if (const auto at = node.attributes.find("perm"); at != node.attributes.end())
      perm = std::get<std::vector<int64_t>>(at->second);
    else
      for (size_t i = x.old_rank(); i-- > 0;) perm.push_back(static_cast<int64_t>(i));
    if (x.dropped) {
      for (int64_t& p : perm) ++p;
      perm.insert(perm.begin(), 0);
    }
    if (perm.empty() || perm.front() != 0) return "it moves the batch axis";
    node.attributes["perm"] = perm;
    editor_.replace(id, std::move(node));
    return "";
  }

  std::string matmul(NodeId id) {
    const Node& node = editor_.node(id);
    const Sample *a = sample(node.inputs[0]), *b = sample(node.inputs[1]);
    if (!a) return "its first operand is the same for all samples";
    if (!b) {
      const std::optional<Shape>& w = graph_.value(node.inputs[1]).shape;
      return w && w->size() == 2 ? "" : "its second operand is no matrix";
    }
    if (a->rest.size() != b->rest.size() || a->rest.size() < 2) return "its operands would have different ranks";
    return "";
  }

  std::string gemm(NodeId id) {
    const Node node = editor_.node(id);
    const Sample* a = sample(node.inputs[0]);
    if (!a || int_attribute(node, "transA", 0) != 0) return "its rows are not the samples";
    if (sample(node.inputs[1])) return "its weight depends on the sample";
    const ValueId c = input(node, 2);
    if (c != k_absent && sample(c)) return "its bias depends on the sample";
    if (c != k_absent) {
      const Shape& bias = *graph_.value(c).shape;
      if (bias.size() > 1 && bias.front() != Dim(1)) return "its bias has rows";
    }
    return a->dropped ? gemm_of_rows(id) : "";
  }

  /// A sample's matrix [rows, K]: a MatMul of all of them, and an Add.
  std::string gemm_of_rows(NodeId id) {
    const Node node = editor_.node(id);
    if (float_attribute(node, "alpha", 1.0f) != 1 || float_attribute(node, "beta", 1.0f) != 1)
      return "its rows are not the samples, and it has factors";
    const ValueId y = node.outputs[0], c = input(node, 2);
    const std::string base = graph_.value(y).name;
    const DType dtype = graph_.value(y).dtype;
    ValueId w = node.inputs[1];
    if (int_attribute(node, "transB", 0) != 0) {
      const ValueId turned = editor_.add_value(base + "_weight", dtype, std::nullopt);
      editor_.insert_before(id, make_node("Transpose", "", {w}, {turned}, {{"perm", std::vector<int64_t>{1, 0}}}));
      w = turned;
    }
    if (c == k_absent) {
      editor_.replace(id, make_node("MatMul", node.name, {node.inputs[0], w}, {y}));
      return "";
    }
    const ValueId product = editor_.add_value(base + "_product", dtype, std::nullopt);
    editor_.insert_before(id, make_node("MatMul", node.name, {node.inputs[0], w}, {product}));
    editor_.replace(id, make_node("Add", "", {product, c}, {y}));
    return "";
  }

  /// An axis of the old rank as one of the new, or nothing when it is the batch.
  static std::optional<int64_t> moved(int64_t axis, const Sample& x) {
    const auto rank = static_cast<int64_t>(x.old_rank());
    const int64_t at = (axis < 0 ? axis + rank : axis) + (x.dropped ? 1 : 0);
    return at >= 1 ? std::optional(at) : std::nullopt;
  }

  std::string one_axis(NodeId id) {
    Node node = editor_.node(id);
    const bool joins = is_any(node, {"Concat", "GatherElements", "ScatterElements"});  // all operands have the axis
    const Sample* first = nullptr;
    for (const ValueId v : node.inputs) {
      const Sample* s = v == k_absent ? nullptr : sample(v);
      if (first && s && (s->dropped != first->dropped || s->rest.size() != first->rest.size()))
        return "its operands would have different ranks";
      if (!first) first = s;
      if (joins && !s) return "operand '" + graph_.value(v).name + "' is the same for all samples";
    }
    if (!sample(node.inputs[0])) return "its data is the same for all samples";
    if (!joins)
      if (std::string why = one_sample_input(node); !why.empty()) return why;
    const bool last = is_any(node, {"Softmax", "LogSoftmax", "Hardmax", "LayerNormalization", "RMSNormalization",
                                    "LpNormalization", "TopK"});
    const std::optional<int64_t> axis = moved(int_attribute(node, "axis", last ? -1 : 0), *first);
    if (!axis) return "its axis is the batch";
    if (is_op(node, "Gather") && graph_.value(node.outputs[0]).shape->size() < 2 && !first->dropped)
      return "it takes the batch axis away";
    node.attributes["axis"] = *axis;
    editor_.replace(id, std::move(node));
    return "";
  }

  /// Why inputs behind the first are not the same for all samples; empty when they are.
  std::string one_sample_input(const Node& node) const {
    for (size_t i = 1; i < node.inputs.size(); ++i)
      if (node.inputs[i] != k_absent && sample(node.inputs[i]))
        return "input " + std::to_string(i) + " depends on the sample";
    return "";
  }

  /// Its axis counts those of the result, which has one more.
  std::string one_hot(NodeId id) {
    Node node = editor_.node(id);
    if (!sample(node.inputs[0])) return "its indices are the same for all samples";
    Sample y = *sample(node.inputs[0]);
    if (std::string why = one_sample_input(node); !why.empty()) return why;
    y.rest.push_back(Dim());
    const std::optional<int64_t> axis = moved(int_attribute(node, "axis", -1), y);
    if (!axis) return "its axis is the batch";
    node.attributes["axis"] = *axis;
    editor_.replace(id, std::move(node));
    return "";
  }

  std::optional<std::vector<int64_t>> moved(std::vector<int64_t> axes, const Sample& x) const {
    for (int64_t& axis : axes) {
      const std::optional<int64_t> to = moved(axis, x);
      if (!to) return std::nullopt;
      axis = *to;
    }
    return axes;
  }

  /// A constant of integers in place of an input.
  ValueId new_integers(ValueId old, const std::vector<int64_t>& values, bool is_scalar = false) {
    const Dims dims = is_scalar ? Dims() : Dims{static_cast<int64_t>(values.size())};
    return editor_.add_constant(graph_.value(old).name + "_batch", Tensor::from<int64_t>(DType::s64, dims, values));
  }

  std::string listed_axes(NodeId id) {
    Node node = editor_.node(id);
    const Sample* x = sample(node.inputs[0]);
    if (!x) return "its data is the same for all samples";
    if (std::string why = one_sample_input(node); !why.empty()) return why;
    const size_t at = is_op(node, "Slice") ? 3 : 1;
    const std::optional<std::vector<int64_t>> axes = constant_ints(graph_, input(node, at));
    if (!axes) return "its axes are not constants";
    const std::optional<std::vector<int64_t>> to = moved(*axes, *x);
    if (!to) return "it works along the batch";
    node.inputs[at] = new_integers(node.inputs[at], *to, is_op(node, "CumSum"));
    editor_.replace(id, std::move(node));
    return "";
  }

  std::string attribute_axes(NodeId id) {
    Node node = editor_.node(id);
    const std::optional<std::vector<int64_t>> axes =
        moved(ints_attribute(node, "axes", {0, 2, 3}), *sample(node.inputs[0]));
    if (!axes) return "it works along the batch";
    node.attributes["axes"] = *axes;
    editor_.replace(id, std::move(node));
    return "";
  }

  std::string trilu(NodeId id) {
    const Node& node = editor_.node(id);
    const Sample* x = sample(node.inputs[0]);
    if (!x || x->rest.size() < 2) return "its matrices are not a sample's";
    return one_sample_input(node);
  }

  std::string expand(NodeId id) {
    const Node& node = editor_.node(id);
    const Sample* x = sample(node.inputs[0]);
    const std::optional<std::vector<int64_t>> target = constant_ints(graph_, input(node, 1));
    if (!x || !target) return "its shape is not a constant";
    const size_t rank = x->rest.size() + 1;
    return target->size() < rank || (target->size() == rank && target->front() == 1) ? "" : "it repeats the batch";
  }

  std::string tile(NodeId id) {
    Node node = editor_.node(id);
    const Sample* x = sample(node.inputs[0]);
    std::optional<std::vector<int64_t>> repeats = constant_ints(graph_, input(node, 1));
    if (!x || !repeats || repeats->size() != x->old_rank()) return "its repeats are not constants";
    if (x->dropped) repeats->insert(repeats->begin(), 1);
    if (repeats->front() != 1) return "it repeats the batch";
    node.inputs[1] = new_integers(node.inputs[1], *repeats);
    editor_.replace(id, std::move(node));
    return "";
  }

  /// Sizes of all axes become those of all but the batch.
  std::string resize(NodeId id) {
    Node node = editor_.node(id);
    const Sample* x = sample(node.inputs[0]);
    if (!x || x->dropped) return "its image has no axis for the batch";
    if (std::string why = one_sample_input(node); !why.empty()) return why;
    if (string_attribute(node, "coordinate_transformation_mode", "half_pixel") == "tf_crop_and_resize")
      return "it crops";
    std::vector<int64_t> axes(x->old_rank());
    std::iota(axes.begin(), axes.end(), 0);
    axes = ints_attribute(node, "axes", axes);
    for (int64_t& axis : axes) axis += axis < 0 ? static_cast<int64_t>(x->old_rank()) : 0;
    const auto batch = std::find(axes.begin(), axes.end(), 0);
    if (batch == axes.end()) return "";
    const auto at = static_cast<size_t>(batch - axes.begin());
    const ValueId scales = input(node, 2);
    if (scales != k_absent) {
      const std::optional<Tensor>& given = graph_.value(scales).constant;
      if (!given || given->size() != static_cast<int64_t>(axes.size())) return "its scales are not constants";
      return to_doubles(*given)[at] == 1 ? "" : "it works along the batch";
    }
    std::optional<std::vector<int64_t>> sizes = constant_ints(graph_, input(node, 3));
    if (!sizes || sizes->size() != axes.size()) return "its sizes are not constants";
    if ((*sizes)[at] != 1 || string_attribute(node, "keep_aspect_ratio_policy", "stretch") != "stretch")
      return "it works along the batch";
    sizes->erase(sizes->begin() + static_cast<std::ptrdiff_t>(at));
    axes.erase(batch);
    node.inputs[1] = k_absent;  // a region is for crops only
    node.inputs[3] = new_integers(node.inputs[3], *sizes);
    node.attributes["axes"] = axes;
    editor_.replace(id, std::move(node));
    return "";
  }

  std::string grid_sample(NodeId id) {
    const Node& node = editor_.node(id);
    const Sample *x = sample(node.inputs[0]), *grid = sample(node.inputs[1]);
    if (!x || x->dropped) return "its image has no axis for the batch";
    return grid && !grid->dropped ? "" : "its grid is the same for all samples";
  }

  std::string matmul_integer(NodeId id) {
    const Node& node = editor_.node(id);
    for (const size_t i : {size_t{2}, size_t{3}}) {
      const ValueId zero = input(node, i);
      if (zero == k_absent) continue;
      if (sample(zero)) return "its zero point depends on the sample";
      const std::optional<Shape>& shape = graph_.value(zero).shape;
      if (i == 2 && (!shape || !(shape->empty() || (shape->size() == 1 && shape->front() == Dim(1)))))
        return "it has a zero point for each row";
    }
    return matmul(id);
  }

  std::string pad(NodeId id) {
    const Node& node = editor_.node(id);
    const Sample* x = sample(node.inputs[0]);
    const std::optional<std::vector<int64_t>> pads = constant_ints(graph_, input(node, 1));
    if (!x || x->dropped || input(node, 3) != k_absent) return "its axes are not those of an image";
    if (!pads || pads->size() != 2 * x->old_rank()) return "its pads are not constants";
    return pads->front() == 0 && (*pads)[pads->size() / 2] == 0 ? "" : "it pads the batch";
  }

  std::string codes(NodeId id) {
    Node node = editor_.node(id);
    const Sample* x = sample(node.inputs[0]);
    if (!x || sample(node.inputs[1])) return "its scale depends on the sample";
    if (int_attribute(node, "block_size", 0) != 0) return "it has blocks";
    const Shape& scale = *graph_.value(node.inputs[1]).shape;
    if (scale.empty() || (scale.size() == 1 && scale.front() == Dim(1))) return "";
    const std::optional<int64_t> axis = moved(int_attribute(node, "axis", 1), *x);
    if (!axis) return "its scales lie along the batch";
    node.attributes["axis"] = *axis;
    editor_.replace(id, std::move(node));
    return "";
  }

  /// The shapes that inference finds are the ones promised.
  Result<Done> check() {
    for (Value& value : graph_.values) {
      const auto v = static_cast<ValueId>(&value - graph_.values.data());
      if (const Sample* s = sample(v); s && !editor_.is_input(v)) value.shape.reset();
    }
    if (Result<Done> ok = infer_shapes(graph_); !ok) return ok;
    for (const Node& node : graph_.nodes)
      for (const ValueId v : node.outputs) {
        const Sample* s = v == k_absent ? nullptr : sample(v);
        if (!s) continue;
        Shape expected{batch_};
        expected.insert(expected.end(), s->rest.begin(), s->rest.end());
        const std::optional<Shape>& shape = graph_.value(v).shape;
        if (!shape || *shape != expected)
          return refuse(node, "its result would be " + (shape ? to_string(*shape) : "of unknown shape") +
                                  ", expected " + to_string(expected));
      }
    return Done{};
  }

  Editor editor_;
  Graph& graph_;
  Dim batch_ = Dim(std::string("N"));
  std::map<ValueId, Sample> samples_;
};

}  // namespace

Result<Done> free_batch(Graph& graph) {
  Graph freed = graph;
  {
    BatchFreer freer(freed);
    if (Result<Done> ok = freer.run(); !ok) return within("the batch cannot be made free", ok.error());
  }
  compact(freed);
  graph = std::move(freed);
  return verify(graph);
}

std::string why_batch_stays(const Graph& clean, int64_t asked, int64_t has) {
  if (asked <= 0 || asked == has || clean.inputs.empty()) return "";
  const std::string stays =
      "--batch " + std::to_string(asked) + " is not possible, the batch stays " + std::to_string(has) + ": ";
  Graph copy = clean;
  if (const Result<Done> ok = free_batch(copy); !ok) return stays + ok.error().message;
  return stays + "the shapes asked for fix it";
}

}  // namespace octet
