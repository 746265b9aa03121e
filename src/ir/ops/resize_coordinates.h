#pragma once
// Which place of the input an element of Resize's output lies at. Source: ONNX operator Resize, opset 19; the modes are
// described in resize.cpp.

#include <cstdint>
#include <string>

namespace octet {

/// An axis of n elements that becomes one of m.
struct ResizeAxis {
  int64_t n = 0, m = 0;
  double scale = 1;
  double begin = 0, end = 1;  // of tf_crop_and_resize, in shares of the axis
};

/// Output element i as a coordinate of the input. mode: coordinate_transformation_mode. for_nearest: in f32, as ONNX
/// Runtime has it: 3 / 0.6 is 5 there, in double 4.9999998, for the float 0.6 is above 0.6.
double resize_coordinate(int64_t i, const ResizeAxis& axis, const std::string& mode, bool for_nearest);

/// The element nearest to a coordinate, by nearest_mode; it may lie outside of the axis.
double resize_nearest(double coordinate, const std::string& nearest_mode);

}  // namespace octet
