#pragma once
// The judge: runs OpDef::reference node by node on dense tensors. Slow and plain, supports every op, is never
// optimized.

#include <memory>

#include "plan/backend.h"

namespace octet {

std::shared_ptr<Backend> make_ref_backend();

}  // namespace octet
