#pragma once
// The parameters of src/ir/ops/README.md ("octet's own integer ops") in the u8 domain of the kernels.

#include <string>
#include <vector>

#include "backends/cpu/step.h"
#include "kernels/conventions.h"

namespace octet::cpu {

/// The node's fused activation (attributes activation, activation_params).
ActivationParams fused_activation(const Node& node);

/// scale and zero point of the codes of one operand, zero point in the u8 domain.
struct Codes {
  float scale = 1.0f;
  int32_t zero_point = 0;
};
/// Attributes <prefix>_scale and <prefix>_zero_point of codes of this dtype.
Codes codes_of(const Node& node, const std::string& prefix, DType dtype);

/// What happens between accumulator and output.
struct OutputForm {
  bool to_f32 = false;
  bool on_values = false;    // form 3: the multiplier leaves y_scale out
  double y_scale = 1.0;      // 1 where on_values
  int32_t y_zero_point = 0;  // u8 domain, as lo and hi
  int32_t lo = 0, hi = 255;
  ActivationParams activation;   // none where it is expressed in lo and hi
  float inverse_y_scale = 0.0f;  // form 3 to a code

  /// (float)(product / y_scale), one division in double and one rounding to float.
  float multiplier(double product) const { return static_cast<float>(product / y_scale); }
};
/// From the attributes to, y_scale, y_zero_point, activation and activation_params.
OutputForm output_form(const Node& node);

/// A bound of the value's codes from above, u8 domain: what the step that makes them clamps to, or the largest of its
/// table; 255 where that is not known.
int32_t largest_code(const Graph& graph, ValueId codes);

}  // namespace octet::cpu
