#pragma once

#include <cstdint>

namespace octet {

/// n / by rounded up, for any n. by > 0.
constexpr int64_t ceil_div(int64_t n, int64_t by) { return n / by + (n % by > 0 ? 1 : 0); }

}  // namespace octet
