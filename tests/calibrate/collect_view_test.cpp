#include "calibrate/collect_view.h"

#include <gtest/gtest.h>

#include <algorithm>
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

/// Ends and liveness of every channel, element by element.
void expect_channels(Dims dims, std::vector<int64_t> strides, int64_t begin, int64_t end) {
  std::vector<float> memory(20000);
  for (size_t i = 0; i < memory.size(); ++i) memory[i] = static_cast<float>((i * 7919) % 1000) - 400.0f;
  const TensorView view{DType::f32, dims, strides, reinterpret_cast<std::byte*>(memory.data())};
  const auto channels = static_cast<size_t>(dims[1]);
  const int64_t inner = dims.size() > 2 ? dims[2] : 1, last = dims.size() > 3 ? dims[3] : 1;
  const int64_t s2 = dims.size() > 2 ? strides[2] : 0, s3 = dims.size() > 3 ? strides[3] : 0;
  for (int64_t n = begin; n < end; ++n)  // one channel of zeros
    for (int64_t i = 0; i < inner; ++i)
      for (int64_t j = 0; j < last; ++j)
        memory[static_cast<size_t>(n * strides[0] + strides[1] + i * s2 + j * s3)] = 0.0f;
  std::vector<float> low(channels, 1e9f), high(channels, -1e9f), expected_low = low, expected_high = high;
  for (int64_t n = begin; n < end; ++n)
    for (int64_t c = 0; c < dims[1]; ++c)
      for (int64_t i = 0; i < inner; ++i)
        for (int64_t j = 0; j < last; ++j) {
          const float v = memory[static_cast<size_t>(n * strides[0] + c * strides[1] + i * s2 + j * s3)];
          expected_low[static_cast<size_t>(c)] = std::min(expected_low[static_cast<size_t>(c)], v);
          expected_high[static_cast<size_t>(c)] = std::max(expected_high[static_cast<size_t>(c)], v);
        }
  join_channel_ends(view, begin, end, low.data(), high.data());
  EXPECT_EQ(low, expected_low) << to_string(strides);
  EXPECT_EQ(high, expected_high) << to_string(strides);
  for (int64_t c = 0; c < dims[1]; ++c) EXPECT_EQ(channel_lives(view, begin, end, c), c != 1) << c;
}

TEST(CollectView, finds_the_ends_of_channels_and_the_dead_ones) {
  expect_channels({2, 3, 4, 5}, {60, 20, 5, 1}, 0, 2);
  expect_channels({2, 3, 4, 5}, {320, 1, 80, 16}, 0, 2);
  expect_channels({3, 5, 2, 2}, {64, 1, 32, 16}, 1, 3);
  expect_channels({4, 300}, {300, 1}, 1, 4);
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
