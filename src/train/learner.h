#pragma once
// The steps of a training: forward, loss, backward and the update of what is learned, for one batch after the other.

#include <torch/torch.h>

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "octet/train/trainer.h"
#include "train/step_graph.h"

namespace octet::nn {

struct Batch {
  torch::Tensor x, y;
};

class Learner {
 public:
  /// net, teacher (null = none) and options must outlive it; the networks are on the options' device.
  Learner(GraphModuleImpl& net, GraphModuleImpl* teacher, const TrainOptions& options);
  /// loss_sum() and right() count from here on.
  void begin_epoch();
  /// The batch is in the host's memory, this process's part of it.
  void step(const Batch& batch, double rate);
  /// Of the steps since begin_epoch(); each waits for the GPU.
  double loss_sum() const { return loss_sum_.item<double>(); }
  double right() const { return right_.item<double>(); }

  bool step_recorded() const { return graph_.recorded(); }

  /// Undefined without a teacher.
  torch::Tensor teacher_logits(const torch::Tensor& x);
  torch::Tensor loss_of(const torch::Tensor& logits, const torch::Tensor& teacher, const torch::Tensor& y) const;

  /// By the parameter's name.
  const std::map<std::string, torch::Tensor>& momenta() const { return momenta_; }
  void set_momenta(const std::map<std::string, torch::Tensor>& momenta);

 private:
  void learn(const torch::Tensor& x, const torch::Tensor& y, double rate);
  void share_gradients();
  void update(double rate);
  void forget_gradients();
  bool is_fixed(const Batch& batch);
  GraphModuleImpl& net_;
  GraphModuleImpl* teacher_;
  const TrainOptions& o_;
  torch::Device device_;
  std::vector<std::pair<std::string, torch::Tensor>> parameters_;
  std::map<std::string, torch::Tensor> momenta_;
  torch::Tensor flat_;  // all gradients, where several processes share them
  torch::Tensor loss_sum_, right_, rate_;
  Batch fixed_;  // on a GPU: what a recorded step reads
  StepGraph graph_;
};

}  // namespace octet::nn
