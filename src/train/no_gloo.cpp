// A libtorch whose headers have no Gloo.
#include "train/c10d_group.h"

namespace octet::nn {

std::shared_ptr<Replicas> open_gloo(const Place&, const StorePtr&) { return nullptr; }

}  // namespace octet::nn
