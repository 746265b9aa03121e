#ifndef USE_C10D_GLOO  // libtorch's header is empty without it, and not every libtorch's build files say it
#define USE_C10D_GLOO
#endif
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>

#include "train/c10d_group.h"

namespace octet::nn {

std::shared_ptr<Replicas> open_gloo(const Place& place, const StorePtr& store) {
  using Group = c10d::ProcessGroupGloo;
  auto options = Group::Options::create();
  options->devices.push_back(Group::createDefaultDevice());
  return std::make_shared<GroupReplicas<Group>>(place,
                                                c10::make_intrusive<Group>(store, place.rank, place.size, options));
}

}  // namespace octet::nn
