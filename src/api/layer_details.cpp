// The steps of an engine as readers of trtexec's layer files expect them.

#include <algorithm>
#include <map>

#include "api/state.h"
#include "ir/op.h"
#include "ir/origins.h"
#include "octet/measure.h"

namespace octet {
namespace {

bool is_port(const Graph& graph, ValueId v) {
  return std::find(graph.inputs.begin(), graph.inputs.end(), v) != graph.inputs.end() ||
         std::find(graph.outputs.begin(), graph.outputs.end(), v) != graph.outputs.end();
}

/// The CPU back end keeps rank-4 activations channel-last (docs/architecture.md, "Layout on the CPU").
LayerTensor tensor_of(const Graph& graph, ValueId v, bool channel_last_inside) {
  const Value& value = graph.value(v);
  LayerTensor tensor{value.name, {}, numpy_name(value.dtype), "linear"};
  if (value.shape) tensor.dims = known_dims(*value.shape).value_or(Dims());
  if (channel_last_inside && tensor.dims.size() == 4 && !is_port(graph, v)) tensor.layout = "channel last";
  return tensor;
}

/// By value: made by a node or given by the caller. The rest are constants, also those whose bytes an engine let go.
std::vector<bool> made_values(const Graph& graph) {
  std::vector<bool> made(graph.values.size(), false);
  for (const ValueId v : graph.inputs) made[static_cast<size_t>(v)] = true;
  for (const Node& node : graph.nodes)
    for (const ValueId v : node.outputs)
      if (v != k_absent) made[static_cast<size_t>(v)] = true;
  return made;
}

bool op_holds(const Node& node, std::string_view part) { return node.op->name.find(part) != std::string_view::npos; }

std::string parameter_type(const Node& node) {
  if (op_holds(node, "ConvTranspose")) return "Deconvolution";
  if (op_holds(node, "Conv")) return "Convolution";
  if (op_holds(node, "Gemm") || op_holds(node, "MatMul")) return "MatrixMultiply";
  if (op_holds(node, "Pool")) return "Pooling";
  if (is_op(node, "QuantizeLinear") || is_op(node, "DequantizeLinear")) return "Reformat";
  if (op_holds(node, "Add") || op_holds(node, "Mul")) return "ElementWise";
  return std::string(node.op->name);
}

/// First and second half of ONNX's pads: begins, then ends.
std::vector<int64_t> half(const std::vector<int64_t>& pads, bool second) {
  const auto middle = pads.begin() + static_cast<std::ptrdiff_t>(pads.size() / 2);
  return second ? std::vector<int64_t>(middle, pads.end()) : std::vector<int64_t>(pads.begin(), middle);
}

void add_window(const Node& node, const Dims& kernel, LayerDetail& layer) {
  const size_t rank = kernel.size();
  const std::vector<int64_t> pads = ints_attribute(node, "pads", std::vector<int64_t>(2 * rank, 0));
  layer.settings.emplace_back(op_holds(node, "Pool") ? "WindowSize" : "Kernel", kernel);
  layer.settings.emplace_back("PaddingMode", std::string("kEXPLICIT_ROUND_DOWN"));
  layer.settings.emplace_back("PrePadding", half(pads, false));
  layer.settings.emplace_back("PostPadding", half(pads, true));
  layer.settings.emplace_back("Stride", ints_attribute(node, "strides", std::vector<int64_t>(rank, 1)));
  layer.settings.emplace_back("Dilation", ints_attribute(node, "dilations", std::vector<int64_t>(rank, 1)));
}

void add_settings(const Graph& graph, const Node& node, LayerDetail& layer) {
  const std::string activation = string_attribute(node, "activation", "");
  if (layer.parameter_type == "Convolution" || layer.parameter_type == "Deconvolution") {
    const Value& weight = graph.value(node.inputs[1]);
    const Dims dims = weight.shape ? known_dims(*weight.shape).value_or(Dims()) : Dims();
    if (dims.size() > 2) add_window(node, Dims(dims.begin() + 2, dims.end()), layer);
    layer.settings.emplace_back("OutMaps", dims.empty() ? int64_t{0} : dims[0]);
    layer.settings.emplace_back("Groups", int_attribute(node, "group", 1));
  } else if (layer.parameter_type == "Pooling") {
    const std::vector<int64_t> kernel = ints_attribute(node, "kernel_shape", {});
    layer.settings.emplace_back("PoolingType", std::string(op_holds(node, "Max") ? "MAX" : "AVERAGE"));
    if (!kernel.empty()) add_window(node, kernel, layer);
  } else if (layer.parameter_type == "Reformat") {
    layer.settings.emplace_back("Origin", std::string("QDQ"));
  }
  if (!layer.constants.empty()) {
    layer.settings.emplace_back("HasBias", int64_t{layer.constants.size() > 1});
    layer.settings.emplace_back("HasReLU", int64_t{activation == "Relu"});
    std::string word = activation.empty() ? "NONE" : activation;
    std::transform(word.begin(), word.end(), word.begin(), [](char c) { return c >= 'a' && c <= 'z' ? c - 32 : c; });
    layer.settings.emplace_back("Activation", word);
  }
}

}  // namespace

std::vector<LayerDetail> layer_details(const Session& session) {
  const Engine& engine = *session.state().engine;
  const Plan& plan = engine.plan();
  const bool channel_last = engine.backend().name() == "cpu";
  const std::vector<bool> made = made_values(plan.graph);
  // A plan of an octet that kept no names has those of its layers.
  const bool names_kept = std::any_of(plan.graph.nodes.begin(), plan.graph.nodes.end(),
                                      [](const Node& node) { return !node.origins.empty(); });
  std::vector<LayerDetail> layers;
  std::map<std::string, int> told;  // readers join files by names
  for (size_t i = 0; i < plan.steps.size(); ++i) {
    const Step& step = plan.steps[i];
    const Node& node = plan.graph.node(step.node);
    LayerDetail layer;
    layer.name = node.name.empty() ? plan.graph.value(node.outputs[0]).name : node.name;
    layer.joined_name = joined_name(plan.graph, node);
    if (const int before = told[layer.joined_name]++; before > 0) layer.joined_name += "_" + std::to_string(before);
    layer.origins = names_kept ? node.origins : std::vector<std::string>{layer.name};
    layer.type = std::string(node.op->name);
    layer.parameter_type = parameter_type(node);
    layer.tactic = engine.program().step_note(i) == k_in_next_step ? k_in_next_step : step.tactic;
    const bool weighted =
        node.op->quant.role == QuantRole::weighted || op_holds(node, "Conv") || op_holds(node, "Gemm");
    for (const ValueId v : node.inputs) {
      if (v == k_absent) continue;
      LayerTensor tensor = tensor_of(plan.graph, v, channel_last);
      if (made[static_cast<size_t>(v)]) {
        layer.inputs.push_back(std::move(tensor));
      } else if (weighted) {
        tensor.layout = "linear";
        tensor.constant = element_count(tensor.dims).value_or(0);
        layer.constants.push_back(std::move(tensor));
      }
    }
    // An integer layer's second constant is its weight scales, the third its bias.
    if (op_holds(node, "Quant") && layer.constants.size() > 1) layer.constants.erase(layer.constants.begin() + 1);
    for (const ValueId v : node.outputs)
      if (v != k_absent) layer.outputs.push_back(tensor_of(plan.graph, v, channel_last));
    add_settings(plan.graph, node, layer);
    layers.push_back(std::move(layer));
  }
  return layers;
}

}  // namespace octet
