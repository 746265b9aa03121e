#include "octet/train/graph_module.h"

#include <algorithm>
#include <map>
#include <set>

#include "ir/editor.h"
#include "onnx/onnx.h"
#include "passes/passes.h"
#include "quant/weights.h"
#include "train/convert.h"
#include "train/graph_ops.h"
#include "train/run_options.h"

namespace octet::nn {

using torch::Tensor;

struct GraphModuleImpl::Step {
  enum class Kind { op, quantize, pass, weight } kind = Kind::op;
  NodeId node = -1;
  TorchOp op = nullptr;  // null: reference
  std::shared_ptr<CodeQuantizerImpl> quantizer;
  std::vector<ValueId> last_used;  // values that nobody reads behind this step
};

/// What make() worked out; tensors are registered with the module.
struct GraphModuleImpl::Plan {
  Graph graph;
  std::vector<Step> steps;
  std::map<ValueId, Tensor> constants;   // parameters and buffers; codes behind a weight step as floats
  std::map<ValueId, std::string> names;  // of parameters
  std::map<ValueId, std::shared_ptr<CodeQuantizerImpl>> weight_quantizers;  // by the constant they quantize
  std::map<ValueId, std::shared_ptr<CodeQuantizerImpl>> made_by;            // by the value that a quantizer gives
};

namespace {

std::invalid_argument broken(const Graph& graph, const Node& node, const std::string& what) {
  return std::invalid_argument("node '" + label(graph, node) + "' (" + std::string(node.op->name) + "): " + what);
}

/// The constant behind v through Q, DQ and what only moves it, or absent.
ValueId constant_behind(const Graph& graph, const std::vector<NodeId>& producer, ValueId v) {
  for (int depth = 0; v != k_absent && depth < 8; ++depth) {
    if (graph.constant(v)) return v;
    const NodeId at = producer[static_cast<size_t>(v)];
    if (at < 0 || !is_any(graph.node(at), {"QuantizeLinear", "DequantizeLinear", "Identity", "Transpose", "Reshape"}))
      return k_absent;
    v = graph.node(at).inputs[0];
  }
  return k_absent;
}

/// Whether input i of a node is something to learn when it is constant.
bool is_learned_slot(const Node& node, size_t i, const octet::Tensor& tensor) {
  if (is_any(node, {"Conv", "ConvTranspose", "Gemm"})) return i == 1 || i == 2;
  if (is_any(node, {"BatchNormalization", "LayerNormalization", "InstanceNormalization", "GroupNormalization"}))
    return i == 1 || i == 2;
  if (is_op(node, "PRelu")) return i == 1;
  if (is_any(node, {"MatMul", "Einsum"})) return true;
  if (is_op(node, "Gather")) return i == 0;
  return is_any(node, {"Add", "Sub", "Mul", "Concat", "Expand"}) && tensor.size() > 1;
}

std::set<ValueId> learned_constants(const Graph& graph) {
  const Uses uses(graph);
  std::set<ValueId> found;
  for (const Node& node : graph.nodes)
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      const ValueId v = constant_behind(graph, uses.producer, node.inputs[i]);
      if (v == k_absent) continue;
      const octet::Tensor& tensor = *graph.constant(v);
      const bool number = tensor.dtype() == DType::f32 || (v != node.inputs[i] && tensor.dtype() != DType::s64);
      if (number && is_learned_slot(node, i, tensor)) found.insert(v);
    }
  return found;
}

std::pair<int64_t, int64_t> code_range_of(DType dtype) {
  switch (dtype) {
    case DType::s8: return {-128, 127};
    case DType::u8: return {0, 255};
    case DType::s16: return {-32768, 32767};
    case DType::u16: return {0, 65535};
    case DType::s32: return {-(int64_t{1} << 31), (int64_t{1} << 31) - 1};
    default: throw std::invalid_argument("codes of " + std::string(name(dtype)) + " cannot be trained");
  }
}

/// The quantizer that a Q or DQ stands for.
std::shared_ptr<CodeQuantizerImpl> quantizer_of(const Graph& graph, const Node& node, DType codes) {
  const octet::Tensor* scale = constant_of(graph, node.inputs[1], DType::f32);
  if (!scale)
    throw broken(graph, node, "its scale is computed while the network runs; only constant scales can be trained");
  Codes limits;
  std::tie(limits.lo, limits.hi) = code_range_of(codes);
  if (codes == DType::s8 && scale->size() > 1) limits.lo = -127;  // a weight
  limits.axis = int_attribute(node, "axis", 1);
  if (input(node, 2) != k_absent) {
    const octet::Tensor* zero = graph.constant(node.inputs[2]);
    if (!zero) throw broken(graph, node, "its zero point is computed while the network runs");
    const std::vector<double> all = to_doubles(*zero);
    for (const double z : all)
      if (z != all.front())
        throw broken(graph, node, "its zero points differ by channel; only one value can be trained");
    if (!all.empty()) limits.zero_point = static_cast<int64_t>(all.front());
  }
  return std::make_shared<CodeQuantizerImpl>(to_torch(scale->size() == 1 ? scale->reshaped({}) : *scale), limits);
}

DType code_dtype(const Graph& graph, const Node& quantize) { return graph.value(quantize.outputs[0]).dtype; }

/// Registers under a dotted name: each part but the last is a submodule.
class Registry {
 public:
  explicit Registry(torch::nn::Module& root) : root_(root) {}
  Tensor parameter(const std::string& name, const Tensor& value) {
    auto [owner, last] = owner_of(name);
    return owner->register_parameter(free_name(*owner, last), value);
  }
  Tensor buffer(const std::string& name, const Tensor& value) {
    auto [owner, last] = owner_of(name);
    return owner->register_buffer(free_name(*owner, last), value);
  }
  void quantizer(const std::string& name, const std::shared_ptr<CodeQuantizerImpl>& module) {
    auto [owner, last] = owner_of(name);
    std::string word = last;
    for (int n = 1; owner->named_children().contains(word); ++n) word = last + "_" + std::to_string(n);
    owner->register_module(word, module);
  }

 private:
  struct Node : torch::nn::Module {};
  std::pair<torch::nn::Module*, std::string> owner_of(const std::string& name) {
    torch::nn::Module* at = &root_;
    size_t from = 0;
    for (size_t dot; (dot = name.find('.', from)) != std::string::npos; from = dot + 1) {
      std::string part = name.substr(from, dot - from);
      if (part.empty()) part = "_";
      const auto children = at->named_children();
      at = children.contains(part) ? children[part].get() : at->register_module(part, std::make_shared<Node>()).get();
    }
    const std::string last = name.substr(from);
    return {at, last.empty() ? "_" : last};
  }
  static std::string free_name(const torch::nn::Module& owner, const std::string& wish) {
    std::string word = wish;
    const auto parameters = owner.named_parameters(false), buffers = owner.named_buffers(false);
    for (int n = 1; parameters.contains(word) || buffers.contains(word); ++n) word = wish + "_" + std::to_string(n);
    return word;
  }
  torch::nn::Module& root_;
};

/// "conv1.weight" of "conv1.weight_quantized": how octet names the codes of an initializer.
std::string float_name(const std::string& codes) {
  constexpr std::string_view k_suffix = "_quantized";
  return codes.ends_with(k_suffix) ? codes.substr(0, codes.size() - k_suffix.size()) : codes;
}

/// Where the float behind codes starts: the float graph's own initializer, else what the codes say.
Tensor starting_weight(const Graph& graph, const Node& dequantize, const Graph* float_graph) {
  const Value& codes = graph.value(dequantize.inputs[0]);
  if (float_graph) {
    const std::optional<ValueId> v = float_graph->find_value(float_name(codes.name));
    const octet::Tensor* own = v ? constant_of(*float_graph, *v, DType::f32) : nullptr;
    if (own && own->dims() == codes.constant->dims()) return to_torch(*own);
  }
  std::vector<octet::Tensor> inputs;
  for (const ValueId v : dequantize.inputs) inputs.push_back(v == k_absent ? octet::Tensor() : *graph.constant(v));
  return to_torch(value_or_throw(dequantize.op->reference(NodeContext{graph, dequantize}, inputs)).front());
}

}  // namespace

/// Makes the plan of a graph node by node, and registers what is learned with the module.
struct GraphModuleImpl::Builder {
  Builder(GraphModuleImpl& module, const Graph& of)
      : graph(of),
        plan(*module.plan_),
        float_graph(module.options_.float_graph),
        registry(module),
        learned(learned_constants(of)) {}

  void build() {
    plan.graph = graph;
    for (NodeId id = 0; id < static_cast<NodeId>(graph.nodes.size()); ++id) {
      plan.steps.push_back(step_of(graph.node(id)));
      plan.steps.back().node = id;
    }
    tie_biases();
    leave_relus_to_quantizers();
    find_last_readers();
  }

  using Quantizer = std::shared_ptr<CodeQuantizerImpl>;

  Step step_of(const Node& node) {
    const ValueId x = node.inputs.empty() ? k_absent : node.inputs[0];
    if (is_op(node, "QuantizeLinear")) return quantize_step(node, x);
    if (is_op(node, "DequantizeLinear") && graph.constant(x)) return weight_step(node, x);
    Step step;
    if (is_op(node, "DequantizeLinear")) {
      step.kind = Step::Kind::pass;  // its QuantizeLinear gave real values already
      if (const Quantizer made = maker_of(x)) plan.made_by[node.outputs[0]] = made;
      return step;
    }
    step.op = find_torch_op(node.op->name);
    for (const ValueId v : node.inputs)
      if (v != k_absent && graph.constant(v)) keep_constant(v);
    return step;
  }

  Step quantize_step(const Node& node, ValueId x) {
    Step step;
    step.kind = Step::Kind::quantize;
    step.quantizer = quantizer_of(graph, node, code_dtype(graph, node));
    if (graph.constant(x)) {
      keep_constant(x);
      plan.weight_quantizers[x] = step.quantizer;
    }
    plan.made_by[node.outputs[0]] = step.quantizer;
    registry.quantizer(graph.value(x).name + "_quantizer", step.quantizer);
    return step;
  }

  /// Codes x behind a DequantizeLinear: the float that they stand for is learned, once for all who read them.
  Step weight_step(const Node& node, ValueId x) {
    Step step;
    step.kind = Step::Kind::weight;
    if (plan.constants.contains(x)) {
      step.quantizer = plan.weight_quantizers.at(x);
    } else {
      step.quantizer = quantizer_of(graph, node, graph.value(x).dtype);
      const std::string base = float_name(graph.value(x).name);
      const Tensor start = starting_weight(graph, node, float_graph);
      plan.names[x] = base;
      plan.constants[x] = learned.contains(x) ? registry.parameter(base, start) : registry.buffer(base, start);
      registry.quantizer(base + "_quantizer", step.quantizer);
      plan.weight_quantizers[x] = step.quantizer;
    }
    plan.made_by[node.outputs[0]] = step.quantizer;
    return step;
  }

  void keep_constant(ValueId v) {
    if (plan.constants.contains(v)) return;
    const Value& value = graph.value(v);
    const Tensor tensor = to_torch(*value.constant);
    if (learned.contains(v) && value.dtype == DType::f32) {
      plan.names[v] = value.name;
      plan.constants[v] = registry.parameter(value.name, tensor);
    } else if (value.dtype == DType::f32) {
      plan.constants[v] = registry.buffer(value.name, tensor);
    } else {
      plan.constants[v] = tensor;  // shapes and axes stay on the CPU
    }
  }

  Quantizer maker_of(ValueId v) const {
    const auto at = plan.made_by.find(v);
    return at == plan.made_by.end() ? nullptr : at->second;
  }

  /// Biases stay on the grid of what they are added to.
  void tie_biases() {
    for (const Node& node : graph.nodes) {
      if (!is_any(node, {"Conv", "Gemm", "ConvTranspose"}) || input(node, 2) == k_absent) continue;
      const Quantizer x = maker_of(node.inputs[0]), w = maker_of(node.inputs[1]), bias = maker_of(node.inputs[2]);
      if (x && w && bias && bias->limits().hi > 65535 && bias->scale().numel() == (x->scale() * w->scale()).numel() &&
          torch::allclose(bias->scale(), x->scale() * w->scale()))
        bias->tie(x, w);
    }
  }

  /// A ReLU that only quantizers read whose smallest code is 0: their clamp does its work.
  void leave_relus_to_quantizers() {
    const Uses uses(graph);
    std::map<NodeId, const Step*> quantize;
    for (const Step& step : plan.steps)
      if (step.kind == Step::Kind::quantize) quantize[step.node] = &step;
    for (Step& step : plan.steps) {
      const Node& node = graph.node(step.node);
      if (!is_op(node, "Relu")) continue;
      const auto y = static_cast<size_t>(node.outputs[0]);
      const std::vector<NodeId>& readers = uses.consumers[y];
      const bool only_quantizers = std::all_of(readers.begin(), readers.end(), [&](NodeId reader) {
        const auto at = quantize.find(reader);
        if (at == quantize.end()) return false;
        const Codes& codes = at->second->quantizer->limits();
        return codes.lo == codes.zero_point;
      });
      if (readers.empty() || uses.is_output[y] || !only_quantizers) continue;
      step.kind = Step::Kind::pass;
      for (const NodeId reader : readers) quantize.at(reader)->quantizer->rectify();
    }
  }

  void find_last_readers() {
    std::map<ValueId, size_t> last;
    for (size_t i = 0; i < plan.steps.size(); ++i)
      for (const ValueId v : graph.node(plan.steps[i].node).inputs)
        if (v != k_absent && !graph.constant(v)) last[v] = i;
    for (const ValueId v : graph.outputs) last.erase(v);
    for (const auto& [v, i] : last) plan.steps[i].last_used.push_back(v);
  }

  const Graph& graph;
  Plan& plan;
  const Graph* float_graph;
  Registry registry;
  std::set<ValueId> learned;
};

GraphModuleImpl::GraphModuleImpl(const Graph& graph, const GraphModuleOptions& options)
    : torch::nn::Module("GraphModule"), plan_(std::make_shared<Plan>()), options_(options) {
  Builder(*this, graph).build();
}

Result<std::shared_ptr<GraphModuleImpl>> GraphModuleImpl::make(const Graph& graph, const GraphModuleOptions& options) {
  try {
    return std::shared_ptr<GraphModuleImpl>(new GraphModuleImpl(graph, options));
  } catch (const std::exception& e) {
    return Error{ErrorCode::unsupported, reason(e)};
  }
}

std::vector<Tensor> GraphModuleImpl::forward(const std::vector<Tensor>& inputs) {
  const Plan& plan = *plan_;
  const Graph& graph = plan.graph;
  std::vector<ValueId> ports;
  for (const ValueId v : graph.inputs)
    if (!graph.constant(v)) ports.push_back(v);
  if (inputs.size() != ports.size())
    throw std::invalid_argument("the network has " + std::to_string(ports.size()) + " inputs, " +
                                std::to_string(inputs.size()) + " were given");
  std::vector<Tensor> values(graph.values.size());
  for (size_t i = 0; i < ports.size(); ++i) values[static_cast<size_t>(ports[i])] = inputs[i];
  for (const auto& [v, tensor] : plan.constants) values[static_cast<size_t>(v)] = tensor;
  Values in;
  for (const Step& step : plan.steps) {
    const Node& node = graph.node(step.node);
    const auto value = [&](ValueId v) { return v == k_absent ? Tensor() : values[static_cast<size_t>(v)]; };
    Values out;
    if (step.kind == Step::Kind::op) {
      in.clear();
      for (const ValueId v : node.inputs) in.push_back(value(v));
      const OpRun run{graph, node, in, options_.train_batch_norm && is_training(), replicas_.get()};
      out = step.op ? step.op(run) : run_reference(run);
    } else if (step.kind == Step::Kind::pass) {
      out = {value(node.inputs[0])};
    } else {
      out = {step.quantizer->forward(value(node.inputs[0]))};
    }
    for (size_t i = 0; i < node.outputs.size() && i < out.size(); ++i)
      if (node.outputs[i] != k_absent) values[static_cast<size_t>(node.outputs[i])] = out[i];
    for (const ValueId v : step.last_used) values[static_cast<size_t>(v)] = Tensor();
  }
  std::vector<Tensor> outputs;
  for (const ValueId v : graph.outputs) outputs.push_back(values[static_cast<size_t>(v)]);
  return outputs;
}

Tensor GraphModuleImpl::forward(const Tensor& x) {
  const std::vector<Tensor> outputs = forward(std::vector<Tensor>{x});
  return outputs.at(0);
}

namespace {

/// Codes in the dtype that the graph holds.
octet::Tensor packed(const Tensor& codes, DType dtype) { return to_octet(codes.to(scalar_type(dtype))); }

void put_scale(Graph& graph, const Node& node, const CodeQuantizerImpl& quantizer) {
  Value& scale = graph.value(node.inputs[1]);
  const octet::Tensor now = to_octet(quantizer.scale());
  scale.constant = now.reshaped(scale.constant->dims());
}

}  // namespace

Graph GraphModuleImpl::graph() const {
  const Plan& plan = *plan_;
  Graph made = plan.graph;
  for (const auto& [v, tensor] : plan.constants) {
    Value& value = made.value(v);
    if (value.dtype == DType::f32) value.constant = to_octet(tensor);
  }
  for (const Step& step : plan.steps) {
    if (!step.quantizer) continue;
    const Node& node = plan.graph.node(step.node);
    put_scale(made, node, *step.quantizer);
    if (step.kind == Step::Kind::weight) {
      Value& codes = made.value(node.inputs[0]);
      codes.constant = packed(step.quantizer->codes(plan.constants.at(node.inputs[0])), codes.dtype);
    }
  }
  for (const Step& step : plan.steps) {  // a pair may hold its scale twice
    const Node& node = plan.graph.node(step.node);
    if (step.kind != Step::Kind::pass) continue;
    if (const auto at = plan.made_by.find(node.inputs[0]); at != plan.made_by.end()) put_scale(made, node, *at->second);
  }
  return made;
}

Result<Done> GraphModuleImpl::save(const std::string& path) const {
  try {
    return write_onnx_file(path, graph());
  } catch (const std::exception& e) {
    return Error{ErrorCode::internal, reason(e)};
  }
}

std::vector<GraphModuleImpl::WeightQuantizer> GraphModuleImpl::weight_quantizers() const {
  std::vector<WeightQuantizer> all;
  for (const auto& [v, quantizer] : plan_->weight_quantizers)
    if (quantizer->limits().hi <= 127 && quantizer->limits().zero_point == 0)
      all.push_back({plan_->names.contains(v) ? plan_->names.at(v) : "", plan_->constants.at(v), quantizer});
  return all;
}

std::vector<std::shared_ptr<CodeQuantizerImpl>> GraphModuleImpl::quantizers() const {
  std::vector<std::shared_ptr<CodeQuantizerImpl>> all;
  for (const Step& step : plan_->steps)
    if (step.quantizer) all.push_back(step.quantizer);
  return all;
}

void GraphModuleImpl::keep_scales_positive() { CodeQuantizerImpl::keep_positive(quantizers()); }

Result<GraphModule> read_graph_module(const std::string& path, bool clean, const GraphModuleOptions& options) {
  Result<OnnxModel> model = read_onnx(path);
  if (!model) return within(path, model.error());
  if (clean)
    if (Result<std::vector<PassReport>> done = run_stage(model->graph, Stage::clean); !done)
      return within(path, done.error());
  Result<std::shared_ptr<GraphModuleImpl>> made = GraphModuleImpl::make(model->graph, options);
  if (!made) return within(path, made.error());
  return GraphModule(*made);
}

Result<int64_t> set_weight_bits(GraphModuleImpl& module, int bits, const std::string& method) {
  if (bits < 2 || bits > 8)
    return Error{ErrorCode::bad_argument, "weights of " + std::to_string(bits) + " bits: 2 to 8 are possible"};
  const int64_t bound = (int64_t{1} << (bits - 1)) - 1;
  int64_t count = 0;
  for (const GraphModuleImpl::WeightQuantizer& slot : module.weight_quantizers()) {
    Codes codes = slot.quantizer->limits();
    const bool per_channel = slot.quantizer->scale().numel() > 1;
    const int64_t axis = codes.axis < 0 ? codes.axis + slot.weight.dim() : codes.axis;
    const WeightCalibration options{.method = method, .per_channel = per_channel, .num_bits = bits, .axis = axis};
    Result<octet::Tensor> amax = weight_amax(to_octet(slot.weight), options);
    if (!amax) return within("weight '" + slot.name + "'", amax.error());
    const Tensor old = slot.quantizer->scale();
    Tensor scale = to_torch(*amax).reshape(old.sizes()).to(old.device()) / static_cast<double>(bound);
    scale = torch::where(scale.gt(0), scale, torch::full_like(scale, scale.max().item<double>() * 0x1p-12));
    scale = scale.clamp_min(0x1p-60);
    codes.lo = -bound;
    codes.hi = bound;
    slot.quantizer->set_codes(codes);
    slot.quantizer->set_scale(scale);
    ++count;
  }
  return count;
}

}  // namespace octet::nn
