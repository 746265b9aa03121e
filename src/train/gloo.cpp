#ifndef USE_C10D_GLOO  // libtorch's header is empty without it, and not every libtorch's build files say it
#define USE_C10D_GLOO
#endif
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>

#include "train/c10d_group.h"

namespace octet::nn {

using Group = c10d::ProcessGroupGloo;

namespace {

/// The interface on which the others reach this host: that of GLOO_SOCKET_IFNAME, as PyTorch has it, else the one that
/// leads to the meeting point. (libtorch's own default is the host's name, which on Debian is a loopback address.)
auto device_towards(const Place& place) {
  if (const char* name = std::getenv("GLOO_SOCKET_IFNAME")) return Group::createDeviceForInterface(name);
  const std::string own = own_address_towards(place.address, place.port);
  return own.empty() ? Group::createDefaultDevice() : Group::createDeviceForHostname(own);
}

}  // namespace

std::shared_ptr<Replicas> open_gloo(const Place& place, const StorePtr& store) {
  auto options = Group::Options::create();
  options->devices.push_back(device_towards(place));
  return std::make_shared<GroupReplicas<Group>>(place,
                                                c10::make_intrusive<Group>(store, place.rank, place.size, options));
}

}  // namespace octet::nn
