#pragma once
// How far each layer of a quantized engine is from the float network.

#include "base/result.h"
#include "octet/engine_file.h"
#include "octet/model.h"
#include "report/layer_errors.h"

namespace octet {

struct CompareSpec {
  DataOptions data;
  std::string device = "cpu";  // cpu | ref
  int threads = 1;
  Progress progress;
};

/// Per layer: own error (the step alone, fed with the float network's values, quantized) and accumulated error (the
/// engine as it runs). Fusion stays as it is, and that the outputs do not change by it is checked for every sample.
/// Layers match by the name of their value or of their step. Errors: a quantized first model, a device without taps.
Result<LayerErrorReport> compare_layers(const Model& model, const EngineFile& engine, const CompareSpec& spec);

}  // namespace octet
