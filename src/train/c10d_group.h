#pragma once
// c10d's process groups behind Replicas. Gloo and NCCL are each a file, or a stub where libtorch lacks them.

#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include "octet/train/replicas.h"

namespace octet::nn {

using StorePtr = c10::intrusive_ptr<c10d::Store>;
/// Null where this libtorch has no such group.
std::shared_ptr<Replicas> open_gloo(const Place& place, const StorePtr& store);
std::shared_ptr<Replicas> open_nccl(const Place& place, const StorePtr& store, const torch::Device& device);

template <class Group>
class GroupReplicas : public Replicas {
 public:
  GroupReplicas(const Place& place, c10::intrusive_ptr<Group> group) : Replicas(place), group_(std::move(group)) {}
  void sum(torch::Tensor tensor) override {
    std::vector<torch::Tensor> one = {tensor};
    group_->allreduce(one)->wait();
  }
  void broadcast(torch::Tensor tensor) override {
    std::vector<torch::Tensor> one = {tensor};
    group_->broadcast(one)->wait();
  }

 private:
  c10::intrusive_ptr<Group> group_;
};

}  // namespace octet::nn
