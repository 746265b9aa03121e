#pragma once
// Inside of octet/calibrator.h.

#include "backends/memory.h"
#include "octet/calibrator.h"

namespace octet {

/// calibrate() with the copies to use for device pointers.
Result<Ranges> calibrate_with(const Model& model, IInt8Calibrator& calibrator, const CalibratorOptions& options,
                              const DeviceCopies& copies);

}  // namespace octet
