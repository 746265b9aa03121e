// NonMaxSuppression(boxes [N,B,4], scores [N,C,B], max_output_boxes_per_class?, iou_threshold?, score_threshold?):
// s64 [count, 3] of (batch, class, box). For each batch and class, boxes of a score above score_threshold are taken
// best first (of equal scores the lower index), unless one taken before overlaps by more than iou_threshold. Boxes are
// (y1, x1, y2, x2) with the corners in any order, or (x, y, width, height) with center_point_box=1. The count depends
// on data. Source: ONNX operator NonMaxSuppression, opset 11.
#include <algorithm>
#include <numeric>

#include "ir/ops/common.h"

namespace octet {
namespace {

constexpr std::string_view k_attributes[] = {"center_point_box"};

Result<ValueTypes> infer(const NodeContext& context) {
  for (const size_t i : {size_t{0}, size_t{1}}) {
    if (context.dtype(i) != DType::f32)
      return context.error("input " + std::to_string(i) + " is " + std::string(name(context.dtype(i))) +
                           ", expected f32");
    if (Result<Done> ok = require_rank(context, i, 3); !ok) return ok.error();
  }
  return ValueTypes{{DType::s64, Shape{Dim(), Dim(3)}}};
}

struct Box {
  float top = 0, left = 0, bottom = 0, right = 0;
  float area() const { return (bottom - top) * (right - left); }
};

Box box_of(const float* p, bool centred) {
  if (centred) return {p[1] - p[3] / 2, p[0] - p[2] / 2, p[1] + p[3] / 2, p[0] + p[2] / 2};
  return {std::min(p[0], p[2]), std::min(p[1], p[3]), std::max(p[0], p[2]), std::max(p[1], p[3])};
}

/// Intersection over union; 0 for boxes without area.
float overlap(const Box& a, const Box& b) {
  const float height = std::min(a.bottom, b.bottom) - std::max(a.top, b.top);
  const float width = std::min(a.right, b.right) - std::max(a.left, b.left);
  if (height <= 0 || width <= 0 || a.area() <= 0 || b.area() <= 0) return 0;
  return height * width / (a.area() + b.area() - height * width);
}

struct Limits {
  int64_t most = 0;
  float overlap = 0;
  std::optional<float> score;
};

Result<Limits> limits_of(const NodeContext& context, std::span<const Tensor> inputs) {
  Limits made;
  for (size_t i = 2; i < 5; ++i) {
    if (!is_present(inputs, i)) continue;
    const std::vector<double> value = to_doubles(inputs[i]);
    if (value.size() != 1) return context.error("input " + std::to_string(i) + " must be one number");
    if (i == 2) made.most = static_cast<int64_t>(std::clamp(value[0], 0.0, static_cast<double>(k_max_elements)));
    if (i == 3) made.overlap = static_cast<float>(value[0]);
    if (i == 4) made.score = static_cast<float>(value[0]);
  }
  return made;
}

/// Indices of the boxes kept for one class, best first.
std::vector<int64_t> kept(const std::vector<Box>& boxes, std::span<const float> scores, const Limits& limits) {
  std::vector<int64_t> order(boxes.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
    return scores[static_cast<size_t>(a)] > scores[static_cast<size_t>(b)];
  });
  std::vector<int64_t> taken;
  for (const int64_t i : order) {
    if (static_cast<int64_t>(taken.size()) >= limits.most) break;
    if (limits.score && !(scores[static_cast<size_t>(i)] > *limits.score)) continue;
    const bool covered = std::any_of(taken.begin(), taken.end(), [&](int64_t t) {
      return overlap(boxes[static_cast<size_t>(t)], boxes[static_cast<size_t>(i)]) > limits.overlap;
    });
    if (!covered) taken.push_back(i);
  }
  return taken;
}

Result<Tensors> reference(const NodeContext& context, std::span<const Tensor> inputs) {
  Result<Limits> limits = limits_of(context, inputs);
  if (!limits) return limits.error();
  const Dims &b = inputs[0].dims(), &s = inputs[1].dims();
  if (b.size() != 3 || s.size() != 3 || b[2] != 4 || b[0] != s[0] || b[1] != s[2])
    return context.error("boxes " + to_string(b) + " and scores " + to_string(s) +
                         " do not fit: expected [N,B,4] and [N,C,B]");
  const bool centred = int_attribute(context.node, "center_point_box", 0) != 0;
  std::vector<int64_t> y;
  for (int64_t n = 0; n < s[0]; ++n) {
    std::vector<Box> boxes;
    for (int64_t i = 0; i < b[1]; ++i)
      boxes.push_back(box_of(inputs[0].as<float>().data() + (n * b[1] + i) * 4, centred));
    for (int64_t c = 0; c < s[1]; ++c) {
      const auto first = static_cast<size_t>((n * s[1] + c) * s[2]);
      for (const int64_t i : kept(boxes, inputs[1].as<float>().subspan(first, boxes.size()), *limits))
        y.insert(y.end(), {n, c, i});
    }
  }
  return Tensors{s64_tensor({static_cast<int64_t>(y.size() / 3), 3}, y)};
}

}  // namespace

const OpDef non_max_suppression_op = {.name = "NonMaxSuppression",
                                      .min_inputs = 2,
                                      .max_inputs = 5,
                                      .attributes = k_attributes,
                                      .infer = infer,
                                      .reference = reference};

}  // namespace octet
