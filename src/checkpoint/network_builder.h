#pragma once
// Lays layers on a graph by their state-dict names; what is missing is collected, not stopped at.

#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "checkpoint/network.h"

namespace octet {

class NetworkBuilder {
 public:
  NetworkBuilder(const Checkpoint& checkpoint, const NetworkOptions& options, std::string graph_name,
                 int64_t default_size);

  struct Conv {
    int64_t stride = 1, pad = 0;
  };

  ValueId input() const { return graph_.inputs[0]; }
  bool has(const std::string& key) const { return checkpoint_.tensors.contains(key); }
  /// Dims of a tensor; empty when it is missing.
  Dims dims(const std::string& key) const;
  int64_t channels(ValueId v) const;

  /// NAME.weight [oc, ic/groups, kh, kw] and NAME.bias if there; groups follow from the shapes.
  ValueId conv(ValueId x, const std::string& name, Conv spec);
  /// A convolution whose weight is not in the checkpoint.
  ValueId fixed_conv(ValueId x, const std::string& name, Tensor weight, Conv spec);
  /// NAME.weight, .bias, .running_mean, .running_var; epsilon 1e-5, torch's default.
  ValueId batch_norm(ValueId x, const std::string& name);
  ValueId relu(ValueId x, const std::string& name);
  ValueId relu6(ValueId x, const std::string& name);
  ValueId add(ValueId a, ValueId b, const std::string& name);
  ValueId max_pool(ValueId x, const std::string& name);  // 3x3, stride 2, padding 1
  /// GlobalAveragePool, Flatten, Gemm of NAME.weight [classes, channels] and NAME.bias: the end of the network.
  void classify(ValueId x, const std::string& name);
  void note(std::string text) { notes_.push_back(std::move(text)); }

  /// An Error lists what was missing or left over.
  Result<Network> finish();

 private:
  ValueId node(const char* op, const std::string& name, std::vector<ValueId> inputs, Attributes attributes,
               int64_t channels);
  /// The tensor as an f32 initializer of that rank; k_absent and remembered when it is not there or differs.
  ValueId parameter(const std::string& key, size_t rank);
  void take_quantizers(ValueId x, const std::string& layer);
  Error strictness_error() const;

  const Checkpoint& checkpoint_;
  NetworkOptions options_;
  Graph graph_;
  std::map<ValueId, int64_t> channels_;
  std::map<ValueId, float> amax_;
  std::set<std::string> used_;
  std::vector<std::string> missing_;
  std::vector<std::string> wrong_;
  std::vector<std::string> notes_;
};

/// An architecture: one line in archs.def, its family one file.
struct Architecture {
  std::string_view name;
  int64_t size;  // of the pictures it was made for
  void (*build)(NetworkBuilder& builder);
};

}  // namespace octet
