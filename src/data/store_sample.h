#pragma once
// The numbers of a sample, which data sets give as floats, as the network's input wants them.

#include <cstddef>
#include <span>

#include "base/dtype.h"

namespace octet {

/// Floats of 16 to 64 bits, whole numbers of 8 to 64 bits, bool.
bool takes_samples(DType dtype);
/// Writes the values as dtype. False: one is no whole number, or lies beyond the type or 2^24, up to which a float
/// holds every whole number.
bool store_sample(std::span<const float> values, DType dtype, std::byte* to);

}  // namespace octet
