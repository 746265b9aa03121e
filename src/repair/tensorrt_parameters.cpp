// TensorRT's rules on the parameters of QuantizeLinear and DequantizeLinear.

#include <algorithm>
#include <cmath>

#include "repair/tensorrt_check.h"

namespace octet {
namespace {

const char* const k_repair = "octet repair does it.";
const char* const k_shifted =
    "uint8 128 is int8 0: octet repair does it unless they are an input or output of the network, are computed with or "
    "have other zero points too.";
const char* const k_symmetric =
    "quantize symmetrically in int8 (octet repair --recalibrate --target tensorrt --calib-data DIR).";

void check_zero_point(TensorRtCheck& check, const Node& node) {
  const ValueId v = input(node, 2);
  const DType codes = check.graph.value(is_quantize(node) ? node.outputs[0] : node.inputs[0]).dtype;
  const bool is_int4_weight = codes == DType::s4 && check.derives_from_constant(node.inputs[0]);
  if (codes != DType::s8 && codes != DType::s32 && !is_int4_weight && v != k_absent)
    check.error(2, node,
                "codes of " + std::string(name(codes)) +
                    "; TensorRT takes int8 only, and int8 with the same scale ends at 127 steps.",
                k_symmetric);
  if (v == k_absent) {
    if (is_code(codes))
      check.warning(4, node, "no zero point: uint8 to ONNX, int8 to TensorRT.",
                    "write the zero point. octet repair does it.");
    return;
  }
  const Tensor* zero = check.constant(v);
  if (!zero) {
    check.error(5, node, "the zero point is computed by nodes; TensorRT wants a constant, perhaps behind one Cast.",
                "octet repair folds it where it derives from constants.");
    return;
  }
  const std::optional<std::vector<int64_t>> values = constant_ints(check.graph, v);
  if (values) {
    const auto bad = std::find_if(values->begin(), values->end(), [](int64_t z) { return z != 0; });
    if (bad != values->end()) {
      check.error(1, node, "zero point " + std::to_string(*bad) + "; TensorRT supports symmetric quantization only.",
                  codes == DType::u8 && *bad == 128 ? k_shifted : k_symmetric);
      const Node* softmax = is_quantize(node) ? check.producer(node.inputs[0], "Softmax") : nullptr;
      if (softmax && *bad == -128)
        check.error(37, node, "zero point -128 behind Softmax, as ONNX Runtime's own rule writes it.",
                    "leave Softmax float, or quantize it symmetrically.");
    }
  }
  const Tensor* scale = check.constant(node.inputs[1]);
  if (scale && zero->size() != scale->size())
    check.error(3, node,
                std::to_string(zero->size()) + " zero points for " + std::to_string(scale->size()) +
                    " scales; TensorRT wants the same volume.",
                "repeat the zero point. octet repair does it.");
}

/// Rank, count and axis of several scales against the data.
void check_scale_shape(TensorRtCheck& check, const Node& node, const Tensor& scale) {
  const std::optional<Shape>& data = check.graph.value(node.inputs[0]).shape;
  if (scale.size() == 0) {
    check.error(7, node, "the scale is empty.", "give it one scale.");
    return;
  }
  if (scale.size() == 1) return;
  if (has_attribute(node, "block_size") || (scale.rank() > 1 && data && data->size() == scale.rank())) {
    const DType codes = check.graph.value(is_quantize(node) ? node.outputs[0] : node.inputs[0]).dtype;
    if (codes != DType::s4)
      check.error(17, node, "scales of shape " + to_string(scale.dims()) + " are blocks; TensorRT has none for int8.",
                  "one scale for each output channel.");
    return;
  }
  if (scale.rank() > 1) {
    check.error(9, node,
                "the scale has rank " + std::to_string(scale.rank()) + "; TensorRT wants a number or a vector.",
                "a vector and an axis.");
    return;
  }
  if (check.file.opset < 13)
    check.error(24, node,
                "scales per channel in a file of opset " + std::to_string(check.file.opset) +
                    ", which knows no axis; ONNX's checker refuses it.",
                "write the file with opset 13 (octet repair does it).");
  if (!has_attribute(node, "axis"))
    check.warning(12, node, "several scales and no axis: 1 to ONNX, 0 to TensorRT.", "write the axis.");
  if (!check.derives_from_constant(node.inputs[0])) {
    check.error(11, node, std::to_string(scale.size()) + " scales on an activation; TensorRT has no kernel for it.",
                "one scale for the tensor.");
    return;
  }
  if (!data) return;
  const int64_t axis = int_attribute(node, "axis", 1), rank = static_cast<int64_t>(data->size());
  const int64_t at = axis < 0 ? axis + rank : axis;
  const int64_t channels = at >= 0 && at < rank ? (*data)[static_cast<size_t>(at)].value : 0;
  if (channels != scale.size() && channels >= 0)
    check.error(13, node,
                std::to_string(scale.size()) + " scales, but axis " + std::to_string(axis) + " of " + to_string(*data) +
                    " has " + std::to_string(channels) + " channels.",
                "put them along the output channels. octet repair does it where only one axis fits.");
}

void check_scale(TensorRtCheck& check, const Node& node) {
  const DType dtype = check.graph.value(node.inputs[1]).dtype;
  if (dtype != DType::f32)
    check.warning(10, node, "the scale is " + std::string(name(dtype)) + "; TensorRT 8 reads its bytes as float32.",
                  "store it as float32. octet repair does it for doubles.");
  const Tensor* scale = check.constant(node.inputs[1]);
  if (!scale) {
    check.error(8, node, "the scale is computed while the network runs; TensorRT has no int8 kernel for it.",
                "calibrate once and store the scale (octet repair --recalibrate --target tensorrt --calib-data DIR).");
    return;
  }
  const std::vector<double> values = to_doubles(*scale);
  const auto bad = std::find_if(values.begin(), values.end(), [](double s) { return !(s > 0) || !std::isfinite(s); });
  if (bad != values.end())
    check.error(
        6, node, "scale " + short_text(*bad) + "; TensorRT: scale coefficients must all be positive.",
        std::isfinite(*bad) && check.derives_from_constant(node.inputs[0]) ? k_repair : "calibrate this tensor again.");
  check_scale_shape(check, node, *scale);
}

}  // namespace

void check_parameters(TensorRtCheck& check, const Node& node) {
  check_zero_point(check, node);
  check_scale(check, node);
  const std::optional<Shape>& data = check.graph.value(node.inputs[0]).shape;
  if (data && data->empty())
    check.error(25, node, "the data is a scalar; TensorRT up to 9 refuses rank 0.", "reshape it to [1].");
}

}  // namespace octet
