#ifndef USE_C10D_NCCL  // libtorch's header is empty without it, and not every libtorch's build files say it
#define USE_C10D_NCCL
#endif
#include <c10/cuda/CUDAFunctions.h>
#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>

#include "train/c10d_group.h"

namespace octet::nn {

using Group = c10d::ProcessGroupNCCL;

/// Ends its communicators before the program's end, as NCCL wants it.
class NcclReplicas : public GroupReplicas<Group> {
 public:
  NcclReplicas(const Place& place, const c10::intrusive_ptr<Group>& group)
      : GroupReplicas<Group>(place, group), group_(group) {}
  ~NcclReplicas() override { group_->shutdown(); }

 private:
  c10::intrusive_ptr<Group> group_;
};

std::shared_ptr<Replicas> open_nccl(const Place& place, const StorePtr& store, const torch::Device& device) {
  c10::cuda::set_device(device.index());
  return std::make_shared<NcclReplicas>(
      place, c10::make_intrusive<Group>(store, place.rank, place.size, Group::Options::create()));
}

}  // namespace octet::nn
