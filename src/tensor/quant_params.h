#pragma once

#include <cstdint>

#include "base/dtype.h"

namespace octet {

/// real = scale * (code - zero_point), scale > 0 and normal. dtype s8 or u8.
struct QuantParams {
  float scale = 1.0f;
  int32_t zero_point = 0;
  DType dtype = DType::u8;
  bool operator==(const QuantParams&) const = default;
};

}  // namespace octet
