#pragma once
// trtexec's rules for shapes: which flag fills which, what a static or an unspecified dynamic input means.

#include <vector>

#include "cli/trtexec/log.h"
#include "cli/trtexec/options.h"
#include "octet/engine_file.h"

namespace octet::cli::trtexec {

/// An input as the file declares it: -1 for an extent that is free.
struct DeclaredInput {
  std::string name, dtype;
  Dims dims;
};
/// From "[N,3,224,224]" or "[1..8,3,224,224]".
DeclaredInput declared(const TensorInfo& info);

struct ResolvedShapes {
  std::map<std::string, ShapeRange> profile;                // of inputs whose smallest and largest differ
  std::vector<std::map<std::string, ShapeRange>> profiles;  // where there are several: each within that range
  std::map<std::string, Dims> best;                         // build shapes of free inputs
  std::map<std::string, Dims> run;                          // of --shapes; empty = best of the used profile
  std::map<std::string, Dims> calibration;                  // of --calibProfile; empty = best
};
/// Errors: a name that is no input, a shape for a static input, one that does not fit what the file fixes, a profile
/// out of order.
Result<ResolvedShapes> resolve_shapes(const std::vector<TensorInfo>& inputs, const BuildFlags& build, const Shapes& run,
                                      const Log& log);
/// Of each input when ranges are found: --optShapesCalib, else the build's. Errors: as above.
Result<std::map<std::string, Dims>> calibration_shapes(const std::vector<TensorInfo>& inputs, const BuildFlags& build,
                                                       const ResolvedShapes& resolved);
/// What an input of a plan may have, read from "[1..8,3,224,224]".
std::pair<Dims, Dims> smallest_and_largest(const TensorInfo& input);
/// The shapes of --shapes for the inputs of a plan. Errors: as above.
Result<std::map<std::string, Dims>> resolve_run_shapes(const std::vector<TensorInfo>& inputs, const Shapes& run);

}  // namespace octet::cli::trtexec
