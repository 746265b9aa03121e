#pragma once
// Loops on the threads that libtorch's own operations run on.

#include <cstdint>
#include <functional>

namespace octet::nn {

/// body(from, to) over pieces of [begin, end) of at least `grain` each, at once on libtorch's threads; on this one
/// alone where one piece is all.
void on_torch_threads(int64_t begin, int64_t end, int64_t grain, const std::function<void(int64_t, int64_t)>& body);

}  // namespace octet::nn
