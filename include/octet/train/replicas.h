#pragma once
// Several processes that train one network together, each on its part of every batch. libtorch's c10d carries the
// tensors: NCCL between GPUs, Gloo between CPUs.
//
// Who is who comes from the environment, as torchrun sets it: RANK, WORLD_SIZE, LOCAL_RANK, LOCAL_WORLD_SIZE,
// MASTER_ADDR, MASTER_PORT. Under mpirun the variables of Open MPI or MPICH are read instead; the meeting point is
// MASTER_ADDR all the same.

#include <torch/torch.h>

#include <cstdlib>
#include <functional>
#include <memory>
#include <string>

#include "base/result.h"

namespace octet::nn {

struct Place {
  int rank = 0, size = 1;
  int local_rank = 0, local_size = 1;  // on its host: which GPU, and how many share its processors
  std::string address = "127.0.0.1";
  int port = 29500;
};
using Variables = std::function<const char*(const char*)>;
/// One process where nothing is set. Errors: a variable that is no number, a rank outside the size.
Result<Place> place_of_process(const Variables& variable = [](const char* name) { return std::getenv(name); });

class Replicas {
 public:
  explicit Replicas(const Place& place) : place_(place) {}
  virtual ~Replicas() = default;
  const Place& place() const { return place_; }
  int rank() const { return place_.rank; }
  int size() const { return place_.size; }
  /// In place, of a dense tensor on the device of the group: the sum over all processes, or what rank 0 has.
  virtual void sum(torch::Tensor tensor) = 0;
  virtual void broadcast(torch::Tensor tensor) = 0;

 private:
  Place place_;
};

/// Meets the others; null for a single process. device: cpu, or the cuda:N of this process.
/// Errors: the others do not come, or this libtorch has no Gloo or no NCCL.
Result<std::shared_ptr<Replicas>> join_replicas(const Place& place, const std::string& device);

}  // namespace octet::nn
