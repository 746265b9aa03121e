// BatchNormalization: what only training reads is dropped; training_mode=1 becomes its parts:
//   mean, var = of x over all axes but 1;  y = BatchNormalization(x, scale, b, mean, var)
//   running_mean = input_mean * momentum + mean * (1 - momentum), running_var likewise
// Statistics per pixel (spatial=0) are refused. Source: ONNX operator BatchNormalization, opsets 7, 9, 14 and 15.

#include "onnx/oddity.h"

namespace octet {
namespace {

/// Emits nodes behind one another, with values named after the node.
class Chain {
 public:
  Chain(Importer& importer, const ForeignNode& node) : importer_(importer), node_(node) {}
  /// A new value, or `to` where it is given.
  ValueId add(std::string_view op, std::vector<ValueId> inputs, std::string_view suffix, Attributes attributes = {},
              ValueId to = k_absent) {
    const ValueId y = to == k_absent ? importer_.add_value(node_, suffix) : to;
    if (ok_) ok_ = importer_.emit({std::string(op), "", node_.opset, std::move(inputs), {y}, std::move(attributes)});
    return y;
  }
  ValueId scalar(float value, std::string_view suffix) {
    return importer_.add_constant(node_, suffix, scalar_f32(value));
  }
  Result<Done> result() const { return ok_; }

 private:
  Importer& importer_;
  const ForeignNode& node_;
  Result<Done> ok_ = Done{};
};

Result<Done> emit_training(Importer& importer, ForeignNode node, float momentum) {
  const Shape* shape = importer.shape(node, 0);
  if (!shape || shape->size() < 2 || node.inputs.size() != 5 || importer.value(node.inputs[0]).dtype != DType::f32)
    return importer.error(node, "training_mode is 1, which octet reads for f32 of known rank only");
  std::vector<int64_t> others;
  for (size_t d = 0; d < shape->size(); ++d)
    if (d != 1) others.push_back(static_cast<int64_t>(d));
  Chain chain(importer, node);
  const ValueId axes = importer.add_constant(node, "axes", s64_tensor({static_cast<int64_t>(others.size())}, others));
  const ValueId x = node.inputs[0];
  const ValueId centre = chain.add("ReduceMean", {x, axes}, "centre");
  const ValueId apart = chain.add("Sub", {x, centre}, "apart");
  const ValueId square = chain.add("Mul", {apart, apart}, "square");
  const ValueId var = chain.add("ReduceMean", {square, axes}, "var", {{"keepdims", int64_t{0}}});
  const ValueId mean = chain.add("ReduceMean", {x, axes}, "mean", {{"keepdims", int64_t{0}}});
  const ValueId now = chain.scalar(1 - momentum, "now"), before = chain.scalar(momentum, "before");
  for (size_t i = 1; i < 3 && i < node.outputs.size(); ++i) {
    if (node.outputs[i] == k_absent) continue;
    const ValueId old = chain.add("Mul", {node.inputs[2 + i], before}, "old");
    const ValueId share = chain.add("Mul", {i == 1 ? mean : var, now}, "share");
    chain.add("Add", {old, share}, "", {}, node.outputs[i]);
  }
  if (Result<Done> ok = chain.result(); !ok) return ok;
  node.inputs[3] = mean;
  node.inputs[4] = var;
  node.outputs.resize(1);
  return importer.emit(std::move(node));
}

}  // namespace

Result<Done> convert_batch_normalization(Importer& importer, ForeignNode node) {
  const Result<const int64_t*> training = attribute_of_kind<int64_t>(importer, node, "training_mode");
  if (!training) return training.error();
  const Result<const int64_t*> spatial = attribute_of_kind<int64_t>(importer, node, "spatial");
  if (!spatial) return spatial.error();
  if (*spatial && **spatial != 1) return importer.error(node, "spatial = 0 (statistics per pixel) is not supported");
  const Result<const float*> momentum = attribute_of_kind<float>(importer, node, "momentum");
  if (!momentum) return momentum.error();
  const bool trains = *training && **training != 0;
  const float kept = *momentum ? **momentum : 0.9f;
  for (const char* key : {"training_mode", "spatial", "momentum"}) node.attributes.erase(key);
  if (trains) return emit_training(importer, std::move(node), kept);
  return importer.emit(std::move(node));
}

}  // namespace octet
