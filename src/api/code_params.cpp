#include "api/code_params.h"

#include "ir/op.h"

namespace octet {
namespace {

bool is_code(const Graph& graph, ValueId v) {
  return v != k_absent && (graph.value(v).dtype == DType::u8 || graph.value(v).dtype == DType::s8);
}

class Finder {
 public:
  explicit Finder(const Graph& graph) : graph_(graph), params_(graph.values.size()) {}

  std::vector<std::optional<QuantParams>> find() {
    for (const Node& node : graph_.nodes) from_producer(node);
    for (const Node& node : graph_.nodes) from_reader(node);
    // Chains of steps that pass codes through settle in as many rounds as they are long.
    while (pass_through()) {
    }
    return std::move(params_);
  }

 private:
  bool set(ValueId v, float scale, int64_t zero_point) {
    if (!is_code(graph_, v) || params_[static_cast<size_t>(v)]) return false;
    params_[static_cast<size_t>(v)] = QuantParams{scale, static_cast<int32_t>(zero_point), graph_.value(v).dtype};
    return true;
  }

  void by_attributes(const Node& node, ValueId v, const std::string& prefix) {
    if (has_attribute(node, prefix + "_scale"))
      set(v, float_attribute(node, prefix + "_scale", 1), int_attribute(node, prefix + "_zero_point", 0));
  }

  /// Scalar scale and zero point among the inputs of QuantizeLinear and DequantizeLinear.
  void by_inputs(const Node& node, ValueId v) {
    const Tensor* scale = node.inputs.size() > 1 ? graph_.constant(node.inputs[1]) : nullptr;
    if (!scale || scale->size() != 1 || scale->dtype() != DType::f32) return;
    const bool has_zero = node.inputs.size() > 2 && node.inputs[2] != k_absent;
    const Tensor* zero = has_zero ? graph_.constant(node.inputs[2]) : nullptr;
    if (has_zero && !zero) return;
    const Result<std::vector<int64_t>> codes = zero ? to_int64s(*zero) : std::vector<int64_t>{0};
    if (codes && !codes->empty()) set(v, scale->at<float>(0), codes->front());
  }

  void from_producer(const Node& node) {
    if (node.outputs.empty()) return;
    by_attributes(node, node.outputs[0], "y");
    if (is_op(node, "QuantizeLinear")) by_inputs(node, node.outputs[0]);
  }

  void from_reader(const Node& node) {
    if (node.inputs.empty()) return;
    by_attributes(node, node.inputs[0], has_attribute(node, "a_scale") ? "a" : "x");
    if (node.inputs.size() > 1) by_attributes(node, node.inputs[1], "b");
    if (node.inputs.size() > 4) by_attributes(node, node.inputs[4], "residual");
    if (is_op(node, "DequantizeLinear")) by_inputs(node, node.inputs[0]);
  }

  bool passes_codes(const Node& node) const {
    return node.op->quant.role == QuantRole::same_scale || node.op->quant.role == QuantRole::shared_scale;
  }

  bool pass_through() {
    bool changed = false;
    for (const Node& node : graph_.nodes) {
      if (!passes_codes(node)) continue;
      std::optional<QuantParams> known;
      for (const auto* ids : {&node.inputs, &node.outputs})
        for (const ValueId v : *ids)
          if (is_code(graph_, v) && params_[static_cast<size_t>(v)]) known = params_[static_cast<size_t>(v)];
      if (!known) continue;
      for (const auto* ids : {&node.inputs, &node.outputs})
        for (const ValueId v : *ids) changed |= set(v, known->scale, known->zero_point);
    }
    return changed;
  }

  const Graph& graph_;
  std::vector<std::optional<QuantParams>> params_;
};

}  // namespace

std::vector<std::optional<QuantParams>> code_params(const Graph& graph) { return Finder(graph).find(); }

std::string float_name(const std::string& value) {
  for (const char* ending : {"_quantized", "_dequantized", "_QuantizeLinear_Output", "_DequantizeLinear_Output"})
    if (value.ends_with(ending)) return value.substr(0, value.size() - std::string(ending).size());
  return value;
}

Result<Tensor> tapped_tensor(const TensorView& view, int offset) {
  Result<Tensor> copy = dense_copy(view);
  if (!copy || offset == 0) return copy;
  std::vector<int8_t> codes;
  for (const std::byte b : copy->bytes()) codes.push_back(static_cast<int8_t>(static_cast<int>(b) - offset));
  return Tensor::from<int8_t>(DType::s8, view.dims, codes);
}

std::vector<double> real_values(const Tensor& tensor, const std::optional<QuantParams>& params) {
  std::vector<double> values = to_doubles(tensor);
  if (params)
    for (double& v : values) v = (v - params->zero_point) * static_cast<double>(params->scale);
  return values;
}

}  // namespace octet
