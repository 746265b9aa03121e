// Scales, zero points, weights and biases in double beside float data, as PyTorch's exporters write them: ONNX wants
// one type, so a double constant is rounded to float, and the edit is told.

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "onnx/importer.h"

namespace octet {
namespace {

bool takes_parameters(const ForeignNode& node) {
  for (const char* op : {"QuantizeLinear", "DequantizeLinear", "Conv", "ConvTranspose", "Gemm", "MatMul"})
    if (node.op == op) return true;
  return false;
}

}  // namespace

void Importer::narrow_doubles(ForeignNode& node) {
  if (!takes_parameters(node) || !has_input(node, 0) || value(node.inputs[0]).dtype == DType::f64) return;
  for (size_t i = 1; i < node.inputs.size(); ++i) {
    const Tensor* wide = constant(node, i);
    if (!wide || wide->dtype() != DType::f64) continue;
    std::vector<float> values;
    double largest = 0;
    for (const double x : to_doubles(*wide)) {
      values.push_back(static_cast<float>(x));
      if (x != 0) largest = std::max(largest, std::abs(static_cast<double>(values.back()) / x - 1));
    }
    char text[96];
    std::snprintf(text, sizeof text, "rounded from double to float, by up to %.3g of a value", largest);
    info_.edits.push_back({"doubles", error(node, "").message, "input " + std::to_string(i) + " is double", "float",
                           largest > 0 ? text : ""});
    node.inputs[i] = add_constant(node, "float" + std::to_string(i), f32_tensor(wide->dims(), values));
  }
}

}  // namespace octet
