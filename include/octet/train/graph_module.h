#pragma once
// Any ONNX graph as a trainable module.
//
//   auto net = octet::nn::GraphModule::read("resnet18_int8.onnx");   // Q/DQ or float
//   torch::Tensor logits = (*net)->forward(images);
//   ...
//   (*net)->save("finetuned.onnx");                                  // Q/DQ ONNX with the trained weights
//
// Parameters are named after the initializers ("layer1.0.conv1.weight"): weights and biases of convolutions, products,
// normalizations and embeddings, and tensors of more than one element that are added or multiplied. A weight that the
// file holds as codes behind a DequantizeLinear is trained as float and quantized in every forward; its parameter is
// named after the float initializer that octet made the codes from. Each Q/DQ pair is a CodeQuantizer,
// "<value>_quantizer". BatchNormalization stays frozen unless told otherwise.
//
// Ops that have no differentiable form here run by their reference kernel as long as no gradient has to go through
// them.

#include <torch/torch.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "ir/graph.h"
#include "octet/train/code_quantizer.h"
#include "octet/train/replicas.h"

namespace octet::nn {

struct GraphModuleOptions {
  bool train_batch_norm = false;       // batch statistics while training
  const Graph* float_graph = nullptr;  // whose initializers, by name, are the starting weights behind codes
};

class GraphModuleImpl : public torch::nn::Module {
 public:
  static Result<std::shared_ptr<GraphModuleImpl>> make(const Graph& graph, const GraphModuleOptions& options = {});
  /// Outputs in the graph's order. Throws what libtorch throws, and std::invalid_argument naming a node.
  std::vector<torch::Tensor> forward(const std::vector<torch::Tensor>& inputs);
  /// For one input and one output.
  torch::Tensor forward(const torch::Tensor& x);

  /// The graph with the weights, scales and statistics as they are now: float initializers, or codes where it had
  /// codes.
  Graph graph() const;
  Result<Done> save(const std::string& path) const;
  using torch::nn::Module::save;  // into libtorch's own archive

  /// Of weights behind codes: by value name, with the parameter that it quantizes.
  struct WeightQuantizer {
    std::string name;  // of the parameter
    torch::Tensor weight;
    std::shared_ptr<CodeQuantizerImpl> quantizer;
  };
  std::vector<WeightQuantizer> weight_quantizers() const;
  std::vector<std::shared_ptr<CodeQuantizerImpl>> quantizers() const;
  void train_batch_norm(bool on) { options_.train_batch_norm = on; }
  /// Batch statistics are those of all processes' parts together; null = of this one's.
  void set_replicas(std::shared_ptr<Replicas> replicas) { replicas_ = std::move(replicas); }
  /// After an optimizer step.
  void keep_scales_positive();

 private:
  struct Step;
  struct Plan;
  struct Builder;
  GraphModuleImpl(const Graph& graph, const GraphModuleOptions& options);
  std::shared_ptr<Plan> plan_;
  GraphModuleOptions options_;
  std::shared_ptr<Replicas> replicas_;
};
TORCH_MODULE_IMPL(GraphModule, GraphModuleImpl);

/// The ONNX file, in octet's clean form (BatchNormalization folded) unless `clean` is false.
Result<GraphModule> read_graph_module(const std::string& path, bool clean = true,
                                      const GraphModuleOptions& options = {});

/// Weights of all layers, or of those named, get fewer bits: codes in [-(2^(bits-1)-1), 2^(bits-1)-1] with scales by
/// the method of octet/quant.h's weight_amax (max, mse, percentile, entropy). 2 to 8 bits.
Result<int64_t> set_weight_bits(GraphModuleImpl& module, int bits, const std::string& method = "mse");

}  // namespace octet::nn
