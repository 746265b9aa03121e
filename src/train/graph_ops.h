#pragma once
// Ops of the graph in libtorch's functions, for graph_module.cpp.

#include <torch/torch.h>

#include <span>
#include <string_view>
#include <vector>

#include "ir/op.h"
#include "octet/train/replicas.h"

namespace octet::nn {

using Values = std::vector<torch::Tensor>;

struct OpRun {
  const Graph& graph;
  const Node& node;
  std::span<const torch::Tensor> in;  // undefined = absent
  bool train_batch_norm = false;      // batch statistics, running ones updated in place
  Replicas* replicas = nullptr;       // over whose parts of the batch

  NodeContext context() const { return {graph, node}; }
  bool has(size_t i) const { return i < in.size() && in[i].defined(); }
  /// Throws std::invalid_argument with the node in front.
  [[noreturn]] void fail(const std::string& what) const;
};

/// The differentiable form of an op, or null.
using TorchOp = Values (*)(const OpRun&);
TorchOp find_torch_op(std::string_view op);
/// Any op by its reference kernel on the CPU. No gradient goes through: an input that asks for one is refused.
Values run_reference(const OpRun& run);

/// The integers of a small tensor (shapes, axes).
std::vector<int64_t> integers(const torch::Tensor& tensor);

// The table's rows come from three files.
struct TorchOpRow {
  std::string_view name;
  TorchOp run;
};
std::span<const TorchOpRow> layer_ops();     // convolutions, products, pools, normalizations
std::span<const TorchOpRow> function_ops();  // element-wise and reductions
std::span<const TorchOpRow> shape_ops();     // what moves elements

}  // namespace octet::nn
