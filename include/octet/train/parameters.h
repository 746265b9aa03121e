#pragma once
// What the toolkit's user guide does with parameters and modules: optimizer helpers, weights quantized in place, and
// quantized modules in place of float ones.

#include <torch/torch.h>

#include <functional>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "octet/train/modules.h"

namespace octet::nn {

using NamedParameters = std::vector<std::pair<std::string, torch::Tensor>>;
/// Parameters whose full name holds a match of any pattern (ECMAScript regular expressions), each once, in order of
/// definition.
NamedParameters match_parameters(const torch::nn::Module& module, const std::vector<std::string>& patterns);

struct GroupRates {
  std::vector<double> lrs, momentums, weight_decays;  // empty = the optimizer's own
};
/// One SGD group per list of patterns. "len(lrs) must match len(patterns_list)" for lists of another length.
std::vector<torch::optim::OptimizerParamGroup> group_parameters(
    const torch::nn::Module& module, const std::vector<std::vector<std::string>>& patterns_list,
    const GroupRates& rates = {});
/// requires_grad = false on every match; how many.
size_t freeze_parameters(const torch::nn::Module& module, const std::vector<std::string>& patterns);
/// weight := weight_quantizer(weight) in every module that has both. Quantizing again changes nothing while amax stays.
size_t quant_weight_inplace(torch::nn::Module& module);

/// Which modules get a quantized form. A value, no global state (D36): the same policy twice changes nothing more.
struct QuantModules {
  std::set<std::string> exclude = {};  // "Linear" leaves Linear float
  /// By module name; wins over exclude.
  std::map<std::string, std::function<torch::nn::AnyModule(const torch::nn::AnyModule&)>> custom = {};
};
/// Names of the default map, in the toolkit's order.
std::vector<std::string> default_quant_modules();
/// The same chain with quantized modules, which take over the parameters of the float ones.
torch::nn::Sequential quantized(const torch::nn::Sequential& chain, const QuantModules& policy = {});

/// The toolkit's quant_modules.initialize(), for code that builds its modules by make_module(): from here to
/// deactivate_quant_modules() they come quantized, in this thread. A second call replaces the policy of the first.
void initialize_quant_modules(const QuantModules& policy = {});
void deactivate_quant_modules();
/// The module, or its quantized form while that is asked for.
torch::nn::AnyModule as_initialized(const torch::nn::AnyModule& module);
/// make_module<torch::nn::Conv2d>(torch::nn::Conv2dOptions(3, 8, 3)): for a Sequential, or to be called by forward().
template <class Module, class Options>
torch::nn::AnyModule make_module(const Options& options) {
  return as_initialized(torch::nn::AnyModule(Module(options)));
}

/// From `first` at t = 0 along half a cosine down to `last` at t = total: what the trainer follows.
double half_cosine(double first, double last, double t, double total);
/// lr(t) of the fine-tuning recipe: from lr0 = 1 % of the original rate along half a cosine down to 1 % of lr0.
double cosine_rate(double original_rate, double t, double total);

}  // namespace octet::nn
