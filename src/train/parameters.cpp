#include "octet/train/parameters.h"

#include <cmath>
#include <numbers>
#include <optional>
#include <regex>

#include "octet/train/recurrent.h"

namespace octet::nn {

using torch::Tensor;

NamedParameters match_parameters(const torch::nn::Module& module, const std::vector<std::string>& patterns) {
  std::vector<std::regex> expressions;
  for (const std::string& pattern : patterns) expressions.emplace_back(pattern);
  NamedParameters found;
  for (const auto& item : module.named_parameters())
    for (const std::regex& expression : expressions)
      if (std::regex_search(item.key(), expression)) {
        found.emplace_back(item.key(), item.value());
        break;
      }
  return found;
}

std::vector<torch::optim::OptimizerParamGroup> group_parameters(
    const torch::nn::Module& module, const std::vector<std::vector<std::string>>& patterns_list,
    const GroupRates& rates) {
  const auto require = [&](const std::vector<double>& values, const char* name) {
    if (!values.empty() && values.size() != patterns_list.size())
      throw std::invalid_argument("len(" + std::string(name) + ") must match len(patterns_list)");
  };
  require(rates.lrs, "lrs");
  require(rates.momentums, "momentums");
  require(rates.weight_decays, "weight_decays");
  std::vector<torch::optim::OptimizerParamGroup> groups;
  for (size_t i = 0; i < patterns_list.size(); ++i) {
    std::vector<Tensor> members;
    for (const auto& [name, parameter] : match_parameters(module, patterns_list[i])) members.push_back(parameter);
    auto options = std::make_unique<torch::optim::SGDOptions>(rates.lrs.empty() ? 1e-3 : rates.lrs[i]);
    if (!rates.momentums.empty()) options->momentum(rates.momentums[i]);
    if (!rates.weight_decays.empty()) options->weight_decay(rates.weight_decays[i]);
    groups.emplace_back(members, std::move(options));
  }
  return groups;
}

size_t freeze_parameters(const torch::nn::Module& module, const std::vector<std::string>& patterns) {
  const NamedParameters found = match_parameters(module, patterns);
  for (const auto& [name, parameter] : found) Tensor(parameter).set_requires_grad(false);
  return found.size();
}

size_t quant_weight_inplace(torch::nn::Module& module) {
  torch::NoGradGuard no_grad;
  size_t count = 0;
  const auto quantize = [&](torch::nn::Module& layer) {
    const auto children = layer.named_children();
    const auto own = layer.named_parameters(false);
    auto* found = children.contains("_weight_quantizer")
                      ? dynamic_cast<TensorQuantizerImpl*>(children["_weight_quantizer"].get())
                      : nullptr;
    if (!found || !own.contains("weight")) return;
    Tensor weight = own["weight"];
    weight.copy_(found->forward(weight.detach()));
    ++count;
  };
  quantize(module);
  for (const auto& item : module.named_modules("", false)) quantize(*item.value());
  return count;
}

namespace {

using torch::nn::AnyModule;

/// The options that a module was made with, from those that it keeps.
template <size_t D>
torch::nn::ConvOptions<D> made_with(const torch::nn::detail::ConvNdOptions<D>& o, torch::nn::ConvOptions<D>*) {
  return torch::nn::ConvOptions<D>(o.in_channels(), o.out_channels(), o.kernel_size())
      .stride(o.stride())
      .padding(o.padding())
      .dilation(o.dilation())
      .groups(o.groups())
      .bias(o.bias())
      .padding_mode(o.padding_mode());
}
template <size_t D>
torch::nn::ConvTransposeOptions<D> made_with(const torch::nn::detail::ConvNdOptions<D>& o,
                                             torch::nn::ConvTransposeOptions<D>*) {
  torch::nn::ConvTransposeOptions<D> made(o.in_channels(), o.out_channels(), o.kernel_size());
  if (const auto* padding = get_if<torch::ExpandingArray<D>>(&o.padding())) made.padding(*padding);
  return made.stride(o.stride())
      .output_padding(o.output_padding())
      .dilation(o.dilation())
      .groups(o.groups())
      .bias(o.bias());
}
template <class Options>
const Options& made_with(const Options& options, Options*) {
  return options;
}

/// The quantized twin of a float module, with the same parameters; empty when it is another module.
template <class Quantized, class Float, class Options>
AnyModule twin(const AnyModule& module) {
  const auto* source = dynamic_cast<Float*>(module.ptr().get());
  if (!source || dynamic_cast<Quantized*>(module.ptr().get())) return {};
  auto made = std::make_shared<Quantized>(made_with(source->options, static_cast<Options*>(nullptr)));
  for (const auto& item : source->named_parameters(false))
    made->named_parameters(false)[item.key()].set_data(item.value());
  made->train(source->is_training());
  return AnyModule(made);
}

using Twin = AnyModule (*)(const AnyModule&);
const std::vector<std::pair<std::string, Twin>>& twins() {
#define OCTET_TWIN(name) \
  { #name, &twin < Quant##name##Impl, torch::nn::name##Impl, torch::nn::name##Options> }
  static const std::vector<std::pair<std::string, Twin>> list = {OCTET_TWIN(Conv1d),
                                                                 OCTET_TWIN(Conv2d),
                                                                 OCTET_TWIN(Conv3d),
                                                                 OCTET_TWIN(ConvTranspose1d),
                                                                 OCTET_TWIN(ConvTranspose2d),
                                                                 OCTET_TWIN(ConvTranspose3d),
                                                                 OCTET_TWIN(Linear),
                                                                 OCTET_TWIN(LSTM),
                                                                 OCTET_TWIN(LSTMCell),
                                                                 OCTET_TWIN(AvgPool1d),
                                                                 OCTET_TWIN(AvgPool2d),
                                                                 OCTET_TWIN(AvgPool3d),
                                                                 OCTET_TWIN(AdaptiveAvgPool1d),
                                                                 OCTET_TWIN(AdaptiveAvgPool2d),
                                                                 OCTET_TWIN(AdaptiveAvgPool3d)};
#undef OCTET_TWIN
  return list;
}

/// "Linear" of "torch::nn::LinearImpl".
std::string short_name(const torch::nn::Module& module) {
  std::string name = module.name();
  if (const size_t colon = name.rfind(':'); colon != std::string::npos) name = name.substr(colon + 1);
  return name.ends_with("Impl") ? name.substr(0, name.size() - 4) : name;
}

AnyModule replaced(const AnyModule& module, const QuantModules& policy) {
  const std::string name = short_name(*module.ptr());
  if (const auto custom = policy.custom.find(name); custom != policy.custom.end()) return custom->second(module);
  if (policy.exclude.contains(name)) return module;
  for (const auto& [word, make] : twins())
    if (AnyModule made = make(module); !made.is_empty()) return made;
  return module;
}

}  // namespace

std::vector<std::string> default_quant_modules() {
  std::vector<std::string> names;
  for (const auto& [name, make] : twins()) names.push_back(name);
  return names;
}

torch::nn::Sequential quantized(const torch::nn::Sequential& chain, const QuantModules& policy) {
  torch::nn::Sequential made;
  const auto children = chain->named_children();
  size_t i = 0;
  for (const AnyModule& module : *chain) made->push_back(children[i++].key(), replaced(module, policy));
  return made;
}

namespace {
std::optional<QuantModules>& initialized() {
  thread_local std::optional<QuantModules> policy;
  return policy;
}
}  // namespace

void initialize_quant_modules(const QuantModules& policy) { initialized() = policy; }
void deactivate_quant_modules() { initialized().reset(); }

torch::nn::AnyModule as_initialized(const torch::nn::AnyModule& module) {
  return initialized() ? replaced(module, *initialized()) : module;
}

double half_cosine(double first, double last, double t, double total) {
  return last + (first - last) * (1.0 + std::cos(std::numbers::pi * t / total)) / 2.0;
}

double cosine_rate(double original_rate, double t, double total) {
  const double first = 0.01 * original_rate;
  return half_cosine(first, 0.01 * first, t, total);
}

}  // namespace octet::nn
