#include "backends/cpu/constants.h"

#include <cstring>

#include "backends/cpu/strided.h"
#include "backends/cpu/strided_copy.h"
#include "ir/op.h"
#include "kernels/conventions.h"

namespace octet::cpu {
namespace {

const Node* dequantize_of_constants(const Graph& graph, ValueId value) {
  for (const Node& node : graph.nodes) {
    if (node.outputs.empty() || node.outputs[0] != value) continue;
    if (!is_op(node, "DequantizeLinear")) return nullptr;
    for (const ValueId v : node.inputs) {
      if (v != k_absent && !graph.constant(v)) return nullptr;
    }
    return &node;
  }
  return nullptr;
}

/// (q - zero_point) * scale, per tensor or along `axis`. The zero point is 0 where absent.
std::optional<Tensor> dequantize(const Tensor& q, const Tensor& scale, const Tensor* zero_point, int64_t axis) {
  const Result<std::vector<int64_t>> codes = to_int64s(q);
  if (!codes || scale.dtype() != DType::f32) return std::nullopt;
  std::vector<int64_t> zeros(static_cast<size_t>(scale.size()), 0);
  if (zero_point) {
    Result<std::vector<int64_t>> given = to_int64s(*zero_point);
    if (!given || given->size() != zeros.size()) return std::nullopt;
    zeros = *std::move(given);
  }
  int64_t inner = q.size(), channels = 1;
  if (scale.size() != 1) {
    const auto rank = static_cast<int64_t>(q.rank());
    if (axis < 0) axis += rank;
    if (axis < 0 || axis >= rank || q.dims()[static_cast<size_t>(axis)] != scale.size()) return std::nullopt;
    channels = scale.size();
    inner = 1;
    for (size_t i = static_cast<size_t>(axis) + 1; i < q.rank(); ++i) inner *= q.dims()[i];
  }
  std::vector<float> values(codes->size());
  for (size_t i = 0; i < values.size(); ++i) {
    const int64_t c = channels == 1 ? 0 : static_cast<int64_t>(i) / inner % channels;
    values[i] = static_cast<float>((*codes)[i] - zeros[static_cast<size_t>(c)]) * scale.at<float>(c);
  }
  return f32_tensor(q.dims(), values);
}

}  // namespace

bool is_constant(const Graph& graph, ValueId value) {
  return value != k_absent && (graph.constant(value) || dequantize_of_constants(graph, value));
}

std::optional<Tensor> constant_of(const Graph& graph, ValueId value) {
  if (value == k_absent) return std::nullopt;
  if (const Tensor* constant = graph.constant(value)) return *constant;
  const Node* node = dequantize_of_constants(graph, value);
  if (!node) return std::nullopt;
  const Tensor* zero_point =
      node->inputs.size() > 2 && node->inputs[2] != k_absent ? graph.constant(node->inputs[2]) : nullptr;
  const bool blocked = int_attribute(*node, "block_size", 0) != 0;
  std::optional<Tensor> usual;
  if (!blocked)
    usual = dequantize(*graph.constant(node->inputs[0]), *graph.constant(node->inputs[1]), zero_point,
                       int_attribute(*node, "axis", 1));
  if (usual) return usual;
  std::vector<Tensor> inputs;  // blocks, f16 scales, short floats
  for (const ValueId v : node->inputs) inputs.push_back(v == k_absent ? Tensor() : *graph.constant(v));
  const Result<std::vector<Tensor>> odd = node->op->reference({graph, *node}, inputs);
  return odd ? std::optional((*odd)[0]) : std::nullopt;
}

std::optional<std::vector<int64_t>> constant_ints(const Graph& graph, ValueId value) {
  const std::optional<Tensor> tensor = constant_of(graph, value);
  if (!tensor) return std::nullopt;
  Result<std::vector<int64_t>> ints = to_int64s(*tensor);
  if (!ints) return std::nullopt;
  return *std::move(ints);
}

std::optional<float> constant_scalar(const Graph& graph, ValueId value) {
  const std::optional<Tensor> tensor = constant_of(graph, value);
  if (!tensor || tensor->dtype() != DType::f32 || tensor->size() != 1) return std::nullopt;
  return tensor->at<float>(0);
}

std::vector<float> constant_floats(const Graph& graph, ValueId value) {
  const std::optional<Tensor> tensor = constant_of(graph, value);
  if (!tensor || tensor->dtype() != DType::f32) return {};
  const std::span<const float> all = tensor->as<float>();
  return {all.begin(), all.end()};
}

std::vector<uint8_t> pixel_tables(const Graph& graph, const Node& node) {
  const Tensor& codes = *graph.constant(node.inputs[1]);
  std::vector<uint8_t> tables;
  for (const std::byte code : codes.bytes())
    tables.push_back(static_cast<uint8_t>(static_cast<int>(code) ^ domain_shift(codes.dtype())));
  return tables;
}

std::array<uint8_t, 256> domain_table(const Tensor& table, DType x) {
  const std::span<const std::byte> bytes = table.bytes();
  const int x_shift = domain_shift(x), y_shift = domain_shift(table.dtype());
  std::array<uint8_t, 256> entries{};
  for (int code = 0; code < 256; ++code) {
    const auto entry = static_cast<uint8_t>(bytes[static_cast<size_t>(code ^ x_shift)]);
    entries[static_cast<size_t>(code)] = static_cast<uint8_t>(entry ^ y_shift);
  }
  return entries;
}

AlignedBytes to_backend_layout(const Tensor& tensor, const Layout& layout) {
  AlignedBytes bytes = allocate_aligned(layout.bytes() + k_tail_bytes);
  if (!bytes) return bytes;
  std::memset(bytes.get(), 0, layout.bytes() + k_tail_bytes);
  const Layout dense = dense_layout(tensor.dtype(), tensor.dims());
  const StridedLoop loop(tensor.dims(), {layout.strides, dense.strides});
  StridedCopy(loop, layout.element_bytes).run(bytes.get(), tensor.bytes().data());
  if (tensor.dtype() == DType::s8) {
    for (size_t i = 0; i < layout.bytes(); ++i) bytes[i] ^= std::byte{0x80};
  }
  return bytes;
}

}  // namespace octet::cpu
