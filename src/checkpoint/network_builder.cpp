#include "checkpoint/network_builder.h"

#include <algorithm>
#include <cmath>

#include "ir/op.h"

namespace octet {
namespace {

constexpr size_t k_most_named = 4;  // keys spelled out in an error

std::string first_of(const std::vector<std::string>& names) {
  std::string text;
  for (size_t i = 0; i < names.size() && i < k_most_named; ++i) text += (i ? ", " : "") + names[i];
  if (names.size() > k_most_named) text += ", ...";
  return text;
}

Tensor as_f32(const Tensor& tensor) {
  if (tensor.dtype() == DType::f32) return tensor;
  const std::vector<double> values = to_doubles(tensor);
  return f32_tensor(tensor.dims(), std::vector<float>(values.begin(), values.end()));
}

/// True when a per-channel or per-tensor amax is max|w| of that part, which is what octet uses anyway.
bool is_max_of_weight(const Tensor& amax, const Tensor& weight) {
  const std::vector<double> a = to_doubles(amax), w = to_doubles(weight);
  if (a.empty() || w.size() % a.size() != 0) return false;
  const size_t inner = w.size() / a.size();
  for (size_t c = 0; c < a.size(); ++c) {
    double largest = 0;
    for (size_t i = 0; i < inner; ++i) largest = std::max(largest, std::abs(w[c * inner + i]));
    if (static_cast<float>(largest) != static_cast<float>(a[c])) return false;
  }
  return true;
}

}  // namespace

NetworkBuilder::NetworkBuilder(const Checkpoint& checkpoint, const NetworkOptions& options, std::string graph_name,
                               int64_t default_size)
    : checkpoint_(checkpoint), options_(options) {
  graph_.name = std::move(graph_name);
  const Dim batch = options.batch > 0 ? Dim(options.batch) : Dim("N");
  const int64_t size = options.size > 0 ? options.size : default_size;
  const ValueId x = graph_.add_value(options.input_name, DType::f32, Shape{batch, Dim(3), Dim(size), Dim(size)});
  graph_.inputs = {x};
  channels_[x] = 3;
}

Dims NetworkBuilder::dims(const std::string& key) const {
  const auto at = checkpoint_.tensors.find(key);
  return at == checkpoint_.tensors.end() ? Dims() : at->second.dims();
}

int64_t NetworkBuilder::channels(ValueId v) const {
  const auto at = channels_.find(v);
  return at == channels_.end() ? 0 : at->second;
}

ValueId NetworkBuilder::node(const char* op, const std::string& name, std::vector<ValueId> inputs,
                             Attributes attributes, int64_t channels) {
  const ValueId y = graph_.add_value(graph_.unique_value_name(name + ".out"));
  graph_.nodes.push_back({find_op(op), name, std::move(inputs), {y}, std::move(attributes)});
  channels_[y] = channels;
  return y;
}

ValueId NetworkBuilder::parameter(const std::string& key, size_t rank) {
  const auto at = checkpoint_.tensors.find(key);
  if (at == checkpoint_.tensors.end()) {
    missing_.push_back(key);
    return k_absent;
  }
  used_.insert(key);
  const DType dtype = at->second.dtype();
  if (at->second.rank() != rank || at->second.size() == 0 ||
      (dtype != DType::f32 && dtype != DType::f64 && dtype != DType::f16 && dtype != DType::bf16)) {
    wrong_.push_back(key + " is " + std::string(octet::name(dtype)) + " " + to_string(at->second.dims()) +
                     ", expected a float tensor of rank " + std::to_string(rank));
    return k_absent;
  }
  return graph_.add_constant(key, as_f32(at->second));
}

void NetworkBuilder::take_quantizers(ValueId x, const std::string& layer) {
  const std::string of_input = layer + "._input_quantizer._amax", of_weight = layer + "._weight_quantizer._amax";
  if (has(of_input)) {
    used_.insert(of_input);
    const std::vector<double> amax = to_doubles(checkpoint_.tensors.at(of_input));
    if (amax.size() == 1 && std::isfinite(amax[0]) && amax[0] >= 0) {
      float& known = amax_[x];  // several layers may read one value: each saw the same tensor
      known = std::max(known, static_cast<float>(amax[0]));
    } else {
      note(of_input + ": a range per channel of an activation is left aside; calibrate this tensor");
    }
  }
  if (!has(of_weight)) return;
  used_.insert(of_weight);
  if (has(layer + ".weight") &&
      !is_max_of_weight(checkpoint_.tensors.at(of_weight), checkpoint_.tensors.at(layer + ".weight")))
    note(of_weight + " is not the largest absolute weight of each channel; octet quantizes weights by that");
}

ValueId NetworkBuilder::conv(ValueId x, const std::string& name, Conv spec) {
  take_quantizers(x, name);
  const ValueId w = parameter(name + ".weight", 4);
  const ValueId b = has(name + ".bias") ? parameter(name + ".bias", 1) : k_absent;
  if (w == k_absent) return x;
  const Dims wd = dims(name + ".weight");
  const int64_t groups = channels(x) % wd[1] == 0 ? channels(x) / wd[1] : 0;
  if (groups == 0 || wd[0] % groups != 0) {
    wrong_.push_back(name + ".weight is " + to_string(wd) + ", which does not take " + std::to_string(channels(x)) +
                     " channels");
    return x;
  }
  std::vector<ValueId> inputs = {x, w};
  if (b != k_absent) inputs.push_back(b);
  return node("Conv", name, std::move(inputs),
              {{"kernel_shape", std::vector<int64_t>{wd[2], wd[3]}},
               {"strides", std::vector<int64_t>(2, spec.stride)},
               {"pads", std::vector<int64_t>(4, spec.pad)},
               {"dilations", std::vector<int64_t>(2, 1)},
               {"group", groups}},
              wd[0]);
}

ValueId NetworkBuilder::fixed_conv(ValueId x, const std::string& name, Tensor weight, Conv spec) {
  const Dims wd = weight.dims();
  const ValueId w = graph_.add_constant(name + ".weight", std::move(weight));
  return node("Conv", name, {x, w},
              {{"kernel_shape", std::vector<int64_t>{wd[2], wd[3]}},
               {"strides", std::vector<int64_t>(2, spec.stride)},
               {"pads", std::vector<int64_t>(4, spec.pad)},
               {"dilations", std::vector<int64_t>(2, 1)},
               {"group", int64_t{1}}},
              wd[0]);
}

ValueId NetworkBuilder::batch_norm(ValueId x, const std::string& name) {
  used_.insert(name + ".num_batches_tracked");
  std::vector<ValueId> inputs = {x};
  for (const char* part : {".weight", ".bias", ".running_mean", ".running_var"})
    inputs.push_back(parameter(name + part, 1));
  if (std::find(inputs.begin(), inputs.end(), k_absent) != inputs.end()) return x;
  for (const char* part : {".weight", ".bias", ".running_mean", ".running_var"})
    if (dims(name + part)[0] != channels(x)) {
      wrong_.push_back(name + part + " is " + to_string(dims(name + part)) + ", expected [" +
                       std::to_string(channels(x)) + "]");
      return x;
    }
  return node("BatchNormalization", name, std::move(inputs), {{"epsilon", 1e-5f}}, channels(x));
}

ValueId NetworkBuilder::relu(ValueId x, const std::string& name) { return node("Relu", name, {x}, {}, channels(x)); }

ValueId NetworkBuilder::relu6(ValueId x, const std::string& name) {
  const ValueId low = graph_.add_constant(name + ".low", scalar_f32(0));
  const ValueId high = graph_.add_constant(name + ".high", scalar_f32(6));
  return node("Clip", name, {x, low, high}, {}, channels(x));
}

ValueId NetworkBuilder::add(ValueId a, ValueId b, const std::string& name) {
  if (channels(a) != channels(b))
    wrong_.push_back(name + " adds " + std::to_string(channels(a)) + " and " + std::to_string(channels(b)) +
                     " channels");
  return node("Add", name, {a, b}, {}, channels(a));
}

ValueId NetworkBuilder::max_pool(ValueId x, const std::string& name) {
  return node("MaxPool", name, {x},
              {{"kernel_shape", std::vector<int64_t>{3, 3}},
               {"strides", std::vector<int64_t>{2, 2}},
               {"pads", std::vector<int64_t>(4, 1)}},
              channels(x));
}

void NetworkBuilder::classify(ValueId x, const std::string& name) {
  const ValueId pooled = node("GlobalAveragePool", "pool", {x}, {}, channels(x));
  const ValueId flat = node("Flatten", "flatten", {pooled}, {{"axis", int64_t{1}}}, channels(x));
  take_quantizers(flat, name);
  const ValueId w = parameter(name + ".weight", 2), b = parameter(name + ".bias", 1);
  if (w == k_absent || b == k_absent) return;
  const Dims wd = dims(name + ".weight");
  if (wd[1] != channels(flat))
    wrong_.push_back(name + ".weight is " + to_string(wd) + ", expected [classes, " + std::to_string(channels(flat)) +
                     "]");
  const ValueId y = node("Gemm", name, {flat, w, b}, {{"transB", int64_t{1}}}, wd[0]);
  graph_.value(y).name = options_.output_name;
  graph_.outputs = {y};
}

Error NetworkBuilder::strictness_error() const {
  std::string text = "the checkpoint is not a " + graph_.name + ":";
  std::vector<std::string> extra;
  for (const auto& [key, tensor] : checkpoint_.tensors)
    if (!used_.contains(key)) extra.push_back(key);
  if (!missing_.empty()) text += " " + std::to_string(missing_.size()) + " keys missing (" + first_of(missing_) + ")";
  if (!extra.empty()) text += " " + std::to_string(extra.size()) + " keys left over (" + first_of(extra) + ")";
  if (missing_.empty() && !wrong_.empty())
    text += " " + std::to_string(wrong_.size()) + " that do not fit (" + first_of(wrong_) + ")";
  return {ErrorCode::bad_model, text + "; is --arch right?"};
}

Result<Network> NetworkBuilder::finish() {
  const bool left_over = std::any_of(checkpoint_.tensors.begin(), checkpoint_.tensors.end(),
                                     [&](const auto& entry) { return !used_.contains(entry.first); });
  if (!missing_.empty() || !wrong_.empty() || left_over) return strictness_error();
  if (const Result<Done> inferred = infer_shapes(graph_); !inferred) return inferred.error();
  if (const Result<Done> verified = verify(graph_); !verified) return verified.error();
  Network network;
  for (const auto& [value, amax] : amax_) network.amax.emplace_back(graph_.value(value).name, amax);
  network.graph = std::move(graph_);
  network.notes = std::move(notes_);
  return network;
}

}  // namespace octet
