#pragma once
// c10d's process groups behind Replicas. Gloo and NCCL are each a file, or a stub where libtorch lacks them.

#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include <chrono>
#include <string>

#include "octet/train/replicas.h"
#include "train/run_options.h"

namespace octet::nn {

/// Says to the others that this process is here, and waits for them. Returns how many of `size` came within `most`.
int64_t wait_for_all(c10d::Store& store, int64_t size, std::chrono::milliseconds most);

/// Whether the store answers at all within `most`: one of another release of libtorch, or what is no store, does not.
bool answers(const c10::intrusive_ptr<c10d::Store>& store, std::chrono::milliseconds most);

/// The address of this host from which it reaches another, as a number; empty where it does not.
std::string own_address_towards(const std::string& host, int port);

using StorePtr = c10::intrusive_ptr<c10d::Store>;
/// Null where this libtorch has no such group.
std::shared_ptr<Replicas> open_gloo(const Place& place, const StorePtr& store);
std::shared_ptr<Replicas> open_nccl(const Place& place, const StorePtr& store, const torch::Device& device);

template <class Group>
class GroupReplicas : public Replicas {
 public:
  GroupReplicas(const Place& place, c10::intrusive_ptr<Group> group) : Replicas(place), group_(std::move(group)) {}
  void sum(torch::Tensor tensor) override {
    together([&](std::vector<torch::Tensor>& one) { return group_->allreduce(one); }, tensor);
  }
  void broadcast(torch::Tensor tensor) override {
    together([&](std::vector<torch::Tensor>& one) { return group_->broadcast(one); }, tensor);
  }

 private:
  template <class Start>
  void together(const Start& start, const torch::Tensor& tensor) {
    std::vector<torch::Tensor> one = {tensor};
    try {
      start(one)->wait();
    } catch (const std::exception& e) {
      throw Failure(
          {ErrorCode::device,
           "process " + std::to_string(rank()) + " of " + std::to_string(size()) +
               " has lost the others: one of them ended or cannot be reached any more; see what it said, then "
               "start all again, with --resume from the last checkpoint (" +
               reason(e) + ")"});
    }
  }
  c10::intrusive_ptr<Group> group_;
};

}  // namespace octet::nn
