#include "passes/lookup_table.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "passes/element_chain.h"
#include "tensor/activation.h"

namespace octet {
namespace {

int32_t quantized(float y, const CodeParams& to) {
  const float lo = to.dtype == DType::s8 ? -128.0f : 0.0f, hi = to.dtype == DType::s8 ? 127.0f : 255.0f;
  const float steps = std::nearbyint(y / to.scale);
  if (std::isnan(steps)) return to.zero_point;
  // Both bounds are integers, so clamping in float before the zero point is added loses nothing.
  const auto zero = static_cast<float>(to.zero_point);
  return static_cast<int32_t>(std::clamp(steps, lo - zero, hi - zero)) + to.zero_point;
}

}  // namespace

namespace {

/// The real value of the code whose byte is i.
std::array<float, 256> values_of(const CodeParams& from) {
  std::array<float, 256> values{};
  for (int32_t byte = 0; byte < 256; ++byte) {
    const int32_t code = from.dtype == DType::s8 && byte >= 128 ? byte - 256 : byte;
    values[static_cast<size_t>(byte)] = static_cast<float>(code - from.zero_point) * from.scale;
  }
  return values;
}

Tensor table_of(std::span<const float> values, const CodeParams& to) {
  std::array<uint8_t, 256> table{};
  for (size_t i = 0; i < table.size(); ++i) table[i] = static_cast<uint8_t>(quantized(values[i], to));
  if (to.dtype == DType::u8) return Tensor::from<uint8_t>(DType::u8, {256}, table);
  std::array<int8_t, 256> codes{};
  std::copy(table.begin(), table.end(), codes.begin());
  return Tensor::from<int8_t>(DType::s8, {256}, codes);
}

}  // namespace

Result<Tensor> lookup_table(const CodeParams& from, const std::optional<ActivationCall>& call, const CodeParams& to) {
  Result<Activation> activation = activation_from_name(call ? call->name : "");
  if (!activation) return activation.error();
  std::array<float, 256> values = values_of(from);
  if (call)
    for (float& x : values) x = activate(*activation, call->params, x);
  return table_of(values, to);
}

Result<Tensor> lookup_table(const CodeParams& from, const Graph& graph, std::span<const Node> chain,
                            const CodeParams& to) {
  Tensor data = f32_tensor({256}, values_of(from));
  for (const Node& node : chain) {
    const size_t place = element_input(graph, node).value_or(0);
    std::vector<Tensor> inputs;
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      const Tensor* constant = node.inputs[i] == k_absent ? nullptr : graph.constant(node.inputs[i]);
      inputs.push_back(i == place ? data : constant ? *constant : Tensor());
    }
    Result<std::vector<Tensor>> y = node.op->reference(NodeContext{graph, node}, inputs);
    if (!y) return y.error();
    data = std::move((*y)[0]);
  }
  return table_of(data.as<float>(), to);
}

}  // namespace octet
