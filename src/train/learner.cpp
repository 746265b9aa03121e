#include "train/learner.h"

#include <stdexcept>

#include "train/fused.h"

namespace octet::nn {

using torch::Tensor;

Learner::Learner(GraphModuleImpl& net, GraphModuleImpl* teacher, const TrainOptions& options)
    : net_(net),
      teacher_(teacher),
      o_(options),
      device_(options.device),
      loss_sum_(torch::zeros({}, device_)),
      right_(torch::zeros({}, torch::TensorOptions(device_).dtype(torch::kInt64))),
      rate_(torch::zeros({}, device_)),
      // Several processes wait for each other within a step.
      graph_(options.step_graph && device_.is_cuda() && !options.replicas && can_record_steps()) {
  for (const auto& item : net.named_parameters())
    if (item.value().requires_grad()) parameters_.emplace_back(item.key(), item.value());
  for (const auto& [name, parameter] : parameters_) momenta_[name] = torch::zeros_like(parameter);
  graph_.on_failure = [this] {
    forget_gradients();
    if (o_.on_note)
      o_.on_note("the training step cannot be recorded for the GPU (" + graph_.failed() +
                 "), so its kernels are started one by one");
  };
}

void Learner::begin_epoch() {
  loss_sum_.zero_();
  right_.zero_();
}

void Learner::set_momenta(const std::map<std::string, Tensor>& momenta) {
  torch::NoGradGuard no_grad;
  for (auto& [name, tensor] : momenta_) tensor.copy_(momenta.at(name));
}

Tensor Learner::teacher_logits(const Tensor& x) {
  if (!teacher_ || o_.distill <= 0) return {};
  torch::NoGradGuard no_grad;
  return teacher_->forward(x);
}

Tensor Learner::loss_of(const Tensor& logits, const Tensor& teacher, const Tensor& y) const {
  namespace F = torch::nn::functional;
  const double truth_weight = teacher.defined() ? 1.0 - o_.distill : 1.0;
  Tensor loss;
  if (truth_weight > 0)
    loss = F::cross_entropy(logits, y, F::CrossEntropyFuncOptions().label_smoothing(o_.label_smoothing)) * truth_weight;
  if (!teacher.defined()) return loss;
  const Tensor wanted = torch::softmax(teacher / o_.temperature, 1);
  const Tensor own = torch::log_softmax(logits / o_.temperature, 1);
  const Tensor distance = torch::kl_div(own, wanted, at::Reduction::Sum) *
                          (o_.distill * o_.temperature * o_.temperature / static_cast<double>(y.size(0)));
  return loss.defined() ? loss + distance : distance;
}

/// Makes room for what a recorded step reads, once; whether the batch is of that size.
bool Learner::is_fixed(const Batch& b) {
  if (!fixed_.x.defined()) {
    const auto format = b.x.dim() == 4 ? torch::MemoryFormat::ChannelsLast : torch::MemoryFormat::Contiguous;
    fixed_ = {torch::empty(b.x.sizes(), torch::TensorOptions(device_).dtype(b.x.scalar_type()), format),
              torch::empty(b.y.sizes(), torch::TensorOptions(device_).dtype(b.y.scalar_type()))};
  }
  return fixed_.x.sizes() == b.x.sizes();
}

void Learner::step(const Batch& b, double rate) {
  if (!device_.is_cuda()) return learn(b.x, b.y, rate);
  rate_.fill_(rate);
  const Tensor x = b.x.to(device_, /*non_blocking=*/true), y = b.y.to(device_, /*non_blocking=*/true);
  if (!is_fixed(b)) return learn(x.dim() == 4 ? x.contiguous(torch::MemoryFormat::ChannelsLast) : x, y, rate);
  fixed_.x.copy_(x);
  fixed_.y.copy_(y);
  graph_.run([&] { learn(fixed_.x, fixed_.y, rate); });
}

void Learner::learn(const Tensor& x, const Tensor& y, double rate) {
  const Tensor logits = net_.forward(x);
  const Tensor loss = loss_of(logits, teacher_logits(x), y);
  (o_.replicas ? loss / static_cast<double>(o_.replicas->size()) : loss).backward();
  share_gradients();
  update(rate);
  torch::NoGradGuard no_grad;
  loss_sum_ += loss.detach();
  right_ += logits.detach().argmax(1).eq(y).sum();
}

/// Gradients of all processes together, through one flat tensor that keeps each parameter's strides.
void Learner::share_gradients() {
  if (!o_.replicas) return;
  torch::NoGradGuard no_grad;
  int64_t total = 0;
  for (const auto& [name, p] : parameters_) total += p.grad().defined() ? p.numel() : 0;
  if (!flat_.defined() || flat_.numel() != total) flat_ = torch::empty({total}, device_);
  std::vector<std::pair<Tensor, Tensor>> slots;
  int64_t at = 0;
  for (const auto& [name, p] : parameters_) {
    if (!p.grad().defined()) continue;
    slots.emplace_back(p, flat_.as_strided(p.sizes(), p.strides(), at));
    slots.back().second.copy_(p.grad());
    at += p.numel();
  }
  o_.replicas->sum(flat_);
  for (auto& [p, slot] : slots) p.mutable_grad() = slot;
}

/// m = momentum m + g;  p -= rate (nesterov: g + momentum m, else m), g with decay.
void Learner::update(double rate) {
  torch::NoGradGuard no_grad;
  Moving plain, decayed;
  for (const auto& [name, parameter] : parameters_) {
    if (!parameter.grad().defined()) continue;
    Moving& part = o_.weight_decay > 0 && parameter.dim() >= 2 ? decayed : plain;
    part.p.push_back(parameter);
    part.g.push_back(parameter.grad());
    part.m.push_back(momenta_.at(name));
  }
  for (const auto& [part, decay] : {std::pair<Moving&, double>(plain, 0.0), {decayed, o_.weight_decay}}) {
    if (part.p.empty() || fused_step(part, {o_.momentum, decay, o_.nesterov}, rate_)) continue;
    if (graph_.recording())
      throw std::runtime_error("the optimizer has no kernel for these weights that reads its rate");
    if (decay > 0) at::_foreach_add_(part.g, part.p, decay);
    at::_foreach_mul_(part.m, o_.momentum);
    at::_foreach_add_(part.m, part.g);
    if (o_.nesterov) at::_foreach_add_(part.g, part.m, o_.momentum);
    at::_foreach_add_(part.p, o_.nesterov ? part.g : part.m, -rate);
  }
  forget_gradients();
  net_.keep_scales_positive();
}

void Learner::forget_gradients() {
  for (auto& [name, parameter] : parameters_) parameter.mutable_grad() = Tensor();
}

}  // namespace octet::nn
