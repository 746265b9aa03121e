#pragma once
// What reading a quantized file changed, and the form of it that other engines are to run.

#include <set>
#include <string>
#include <vector>

#include "octet/model.h"

namespace octet {

/// One note for each repair that changed answers; every command that reads the model prints them.
std::vector<std::string> lossy_repairs(const Model& model);
/// The network as other engines are to run it: ONNX Runtime's default optimizations put a layer's float bias on the
/// grid x_scale * w_scale, so a bias off that grid stands as an Add behind its layer, which nobody rounds. Each is one
/// more of repairs(). octet runs it as it ran the model. skip_repairs: names. Errors: none but of octet's own making.
Result<Model> mended_for_writing(const Model& model, const std::set<std::string>& skip_repairs = {});

}  // namespace octet
