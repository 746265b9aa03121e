#pragma once
// The CUDA back end: octet's own kernels, one CUDA graph for each context.

#include <memory>
#include <string>

#include "plan/backend.h"

namespace octet::cuda {

/// For tests. tile: the name of the only convolution tile to use where it fits ("64x64 k4", "32x16 k8 split 2"). A
/// context's activations begin as bytes of 0xff (as floats: NaN), so that what reads before it is written shows.
Result<std::shared_ptr<Backend>> make_backend(const DeviceOptions& options, const std::string& tile);
/// Every name that `tile` may have for a convolution; for two convolutions in one kernel, whose outputs meet; for those
/// of which one reads the other; with a third before them.
std::vector<std::string> tile_names();
std::vector<std::string> joined_tile_names();
std::vector<std::string> chain_tile_names();
std::vector<std::string> block_tile_names();
/// Errors: no device, a driver that is too old, a device for which no kernel was compiled.
Result<std::shared_ptr<Backend>> make_backend(const DeviceOptions& options);
bool is_built_in();

}  // namespace octet::cuda
