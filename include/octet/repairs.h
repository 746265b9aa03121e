#pragma once
// What reading a quantized file changed, and the form of it that other engines are to run.

#include <string>
#include <vector>

#include "octet/model.h"

namespace octet {

/// One note for each repair that changed answers; every command that reads the model prints them.
std::vector<std::string> lossy_repairs(const Model& model);
/// The network for engines that put a convolution's float bias on the grid x_scale * w_scale (ONNX Runtime's default
/// optimizations do): a bias off that grid stands as an Add behind its convolution, which nobody rounds. Each is one
/// more of repairs(). octet runs it as it ran the model. Errors: none but of octet's own making.
Result<Model> with_bias_additions(const Model& model);

}  // namespace octet
