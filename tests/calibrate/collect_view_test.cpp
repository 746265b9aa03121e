#include "calibrate/collect_view.h"

#include <gtest/gtest.h>

#include <numeric>

namespace octet {
namespace {

/// Elements base[sum of index * stride] for dims, one by one.
Histogram plainly(const TensorView& view, int64_t begin, int64_t end) {
  Histogram h;
  Dims index(view.dims.size(), 0);
  if (!index.empty()) index[0] = begin;
  const auto* base = reinterpret_cast<const float*>(view.data);
  while (index.empty() || index[0] < end) {
    int64_t at = 0;
    for (size_t d = 0; d < index.size(); ++d) at += index[d] * view.strides[d];
    h.collect({base + at, 1});
    size_t d = index.size();
    while (d-- > 0 && ++index[d] == view.dims[d] && d > 0) index[d] = 0;
    if (index.empty()) break;
  }
  return h;
}

void expect_same(Dims dims, std::vector<int64_t> strides, int64_t begin, int64_t end) {
  std::vector<float> memory(20000);
  for (size_t i = 0; i < memory.size(); ++i) memory[i] = static_cast<float>(i) * (i % 3 ? 1.0f : -0.5f);
  const TensorView view{DType::f32, std::move(dims), std::move(strides), reinterpret_cast<std::byte*>(memory.data())};
  Histogram h;
  collect_view(h, view, begin, end);
  EXPECT_EQ(h, plainly(view, begin, end)) << to_string(view.dims) << " strides " << to_string(view.strides);
}

TEST(CollectView, reads_exactly_the_elements_of_the_view) {
  expect_same({2, 3, 4, 5}, {60, 20, 5, 1}, 0, 2);    // dense NCHW
  expect_same({2, 3, 4, 5}, {60, 1, 15, 3}, 0, 2);    // NHWC
  expect_same({2, 3, 4, 5}, {320, 1, 80, 16}, 0, 2);  // NHWC, channels padded to 16
  expect_same({3, 1, 4, 5}, {20, 1, 5, 1}, 1, 2);     // a channel of one, the middle sample
  expect_same({4, 300}, {900, 3}, 1, 4);              // no axis is dense
  expect_same({7}, {2}, 2, 5);
  expect_same({}, {}, 0, 1);
  expect_same({4, 3}, {3, 1}, 1, 3);
}

TEST(CollectView, takes_nothing_from_an_empty_view) {
  Histogram h;
  float x = 1;
  const TensorView view = TensorView::dense(DType::f32, {2, 0, 3}, reinterpret_cast<std::byte*>(&x));
  collect_view(h, view, 0, 2);
  EXPECT_EQ(h.count(), 0u);
}

}  // namespace
}  // namespace octet
