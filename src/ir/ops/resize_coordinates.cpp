#include "ir/ops/resize_coordinates.h"

#include <cmath>

namespace octet {
namespace {

double in_double(int64_t i, const ResizeAxis& axis, const std::string& mode) {
  const auto x = static_cast<double>(i), length = static_cast<double>(axis.n), out = static_cast<double>(axis.m);
  if (mode == "asymmetric") return x / axis.scale;
  if (mode == "align_corners") return axis.m == 1 ? 0.0 : x * (length - 1) / (out - 1);
  if (mode == "tf_crop_and_resize") {
    if (axis.m == 1) return 0.5 * (axis.begin + axis.end) * (length - 1);
    return axis.begin * (length - 1) + x * (axis.end - axis.begin) * (length - 1) / (out - 1);
  }
  if (mode == "pytorch_half_pixel" && axis.m == 1) return 0.0;
  const double half_pixel = (x + 0.5) / axis.scale - 0.5;
  if (mode != "half_pixel_symmetric") return half_pixel;
  const double adjustment = out / (axis.scale * length);
  return length / 2 * (1 - adjustment) + half_pixel;
}

}  // namespace

double resize_coordinate(int64_t i, const ResizeAxis& axis, const std::string& mode, bool for_nearest) {
  const bool divides_by_scale = mode != "align_corners" && mode != "tf_crop_and_resize";
  if (!for_nearest || !divides_by_scale || (mode == "pytorch_half_pixel" && axis.m == 1))
    return in_double(i, axis, mode);
  const auto x = static_cast<float>(i), length = static_cast<float>(axis.n), out = static_cast<float>(axis.m);
  const auto scale = static_cast<float>(axis.scale);
  if (mode == "asymmetric") return x / scale;
  const float offset = mode == "half_pixel_symmetric" ? length / 2 * (1 - out / (scale * length)) : 0.0f;
  return offset + (x + 0.5f) / scale - 0.5f;
}

double resize_nearest(double coordinate, const std::string& nearest_mode) {
  if (nearest_mode == "floor") return std::floor(coordinate);
  if (nearest_mode == "ceil") return std::ceil(coordinate);
  return nearest_mode == "round_prefer_ceil" ? std::floor(coordinate + 0.5) : std::ceil(coordinate - 0.5);
}

}  // namespace octet
