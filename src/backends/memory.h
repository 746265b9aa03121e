#pragma once
// Copies to and from memory that a device owns, for callers that bring pointers of their own.

#include <cstddef>

#include "base/result.h"

namespace octet {

/// Two functions, so that a test can put its own in their place.
struct DeviceCopies {
  Result<Done> (*to_host)(void* host, const void* device, size_t bytes);
  Result<Done> (*to_device)(void* device, const void* host, size_t bytes);
};
/// The GPU's; in a build without CUDA both say that it is missing.
DeviceCopies device_copies();

}  // namespace octet
