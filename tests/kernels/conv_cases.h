#pragma once
// Convolution shapes and the sizes of a run's buffers, shared by the tests of both convolution families.

#include <cstddef>
#include <cstdint>
#include <ostream>
#include <random>
#include <string>
#include <vector>

#include "base/isa.h"
#include "kernels/conventions.h"
#include "kernels/implicit_gemm/split.h"

namespace octet {

struct ConvCase {
  int64_t batch = 1, ih = 1, iw = 1, ic = 1, oc = 1, kh = 1, kw = 1;
  int64_t stride_h = 1, stride_w = 1, dilation_h = 1, dilation_w = 1;
  int64_t top = 0, left = 0, bottom = 0, right = 0;  // pads
  int64_t groups = 1;

  WindowGeometry geometry() const {
    WindowGeometry g;
    g.ih = ih, g.iw = iw, g.ic = ic, g.oc = oc, g.kh = kh, g.kw = kw;
    g.oh = (ih + top + bottom - (kh - 1) * dilation_h - 1) / stride_h + 1;
    g.ow = (iw + left + right - (kw - 1) * dilation_w - 1) / stride_w + 1;
    g.stride_h = stride_h, g.stride_w = stride_w, g.dilation_h = dilation_h, g.dilation_w = dilation_w;
    g.pad_top = top, g.pad_left = left, g.groups = groups;
    g.x_pitch = channel_pitch(ic), g.y_pitch = channel_pitch(oc), g.residual_pitch = channel_pitch(oc);
    return g;
  }
  int64_t weight_count() const { return oc * (ic / groups) * kh * kw; }
};

inline std::ostream& operator<<(std::ostream& os, const ConvCase& c) {
  return os << "batch " << c.batch << ", input " << c.ih << "x" << c.iw << "x" << c.ic << ", " << c.oc
            << " channels, kernel " << c.kh << "x" << c.kw << ", stride " << c.stride_h << "x" << c.stride_w
            << ", dilation " << c.dilation_h << "x" << c.dilation_w << ", pads " << c.top << " " << c.left << " "
            << c.bottom << " " << c.right << ", groups " << c.groups;
}

/// Square kernels, strides, pads and dilations in one line.
inline ConvCase square(int64_t size, int64_t ic, int64_t oc, int64_t kernel, int64_t stride = 1, int64_t pad = 0,
                       int64_t dilation = 1, int64_t groups = 1, int64_t batch = 1) {
  return {batch, size, size, ic, oc, kernel, kernel, stride, stride, dilation, dilation, pad, pad, pad, pad, groups};
}

/// What a layer that is run with `batch` images may have been made for: them, more and fewer of them, on two threads.
inline std::vector<ExpectedRun> expected_runs(int64_t batch) {
  std::vector<ExpectedRun> runs = {{batch, 2}, {batch + 1, 2}};
  if (batch > 1) runs.push_back({1, 2});
  return runs;
}

/// The expected threads, and where that is the expected run, others.
inline std::vector<int> threads_of(const ExpectedRun& expected, int64_t batch) {
  if (expected.batch == batch) return {expected.threads, expected.threads + 1};
  return {expected.threads};
}

/// Every kernel form, stride, dilation, padding, group count, channel tail, tiny image and batch that the kernels tell
/// apart.
inline std::vector<ConvCase> conv_cases() {
  std::vector<ConvCase> cases;
  for (const int64_t ic : {1, 3, 4, 5, 16, 17, 64, 100})
    for (const int64_t oc : {1, 7, 16, 17, 48, 63, 64, 65, 130}) cases.push_back(square(3, ic, oc, 1));
  for (const int64_t ic : {1, 3, 4, 5, 16, 17, 100})
    for (const int64_t oc : {1, 17, 64, 130}) cases.push_back(square(5, ic, oc, 3, 1, 1));
  for (const int64_t kernel : {1, 3, 5, 7})
    for (const int64_t stride : {1, 2, 3})
      for (const int64_t ic : {3, 20}) {
        cases.push_back(square(11, ic, 24, kernel, stride, kernel / 2));
        cases.push_back(square(13, ic, 9, kernel, stride, 0));
      }
  for (int64_t size = 1; size <= 7; ++size)
    for (const int64_t batch : {1, 2, 5}) cases.push_back(square(size, 17, 33, 3, 1, 1, 1, 1, batch));
  for (const int64_t ic : {3, 8}) {
    cases.push_back(square(9, ic, 18, 3, 1, 2, 2));
    cases.push_back(square(9, ic, 18, 3, 2, 2, 2));
    cases.push_back({2, 6, 9, ic, 20, 3, 2, 2, 1, 1, 1, 0, 1, 2, 0, 1});  // uneven pads, strides and kernel
    cases.push_back({1, 9, 6, ic, 20, 1, 3, 1, 2, 1, 1, 0, 2, 0, 1, 1});
    cases.push_back({3, 5, 7, ic, 20, 3, 3, 1, 1, 2, 1, 3, 0, 0, 3, 1});
    cases.push_back({1, 2, 2, ic, 5, 3, 3, 1, 1, 1, 1, 3, 3, 3, 3, 1});  // windows that lie in the padding altogether
  }
  for (const int64_t ic : {16, 32, 112}) {  // channels that fill their pitch: a kernel row is one segment
    for (const int64_t size : {1, 2, 4, 9})
      for (const int64_t batch : {1, 4}) cases.push_back(square(size, ic, 18, 3, 1, 1, 1, 1, batch));
    cases.push_back(square(9, ic, 50, 3, 2, 1, 1, 1, 3));
    cases.push_back(square(8, ic, 20, 5, 1, 2, 1, 1, 2));
    cases.push_back(square(10, ic, 20, 2, 2, 0));
    cases.push_back({2, 6, 9, ic, 20, 3, 2, 2, 1, 2, 1, 2, 1, 2, 2, 1});
    cases.push_back({2, 7, 5, ic, 20, 3, 3, 1, 2, 1, 1, 0, 3, 0, 3, 1});
    cases.push_back({1, 2, 2, ic, 5, 3, 3, 1, 1, 1, 1, 3, 3, 3, 3, 1});
  }
  cases.push_back({1, 30, 1, 4, 12, 7, 1, 2, 1, 1, 1, 3, 0, 3, 0, 1});
  for (const int64_t groups : {2, 3, 4, 12})
    for (const int64_t kernel : {1, 3}) {
      cases.push_back(square(4, 12, 24, kernel, 1, kernel / 2, 1, groups, 2));
      cases.push_back(square(5, 36, 12, kernel, 2, kernel / 2, 1, groups));
    }
  cases.push_back(square(3, 160, 160, 3, 1, 1, 1, 2));
  cases.push_back(square(3, 32, 32, 3, 1, 1, 1, 32));  // depthwise, though another family is made for it
  cases.push_back(square(3, 30, 90, 3, 1, 1, 1, 15, 2));
  cases.push_back(square(1, 515, 70, 1, 1, 0, 1, 1, 5));   // fully connected
  cases.push_back(square(3, 700, 16, 3, 1, 1));            // a reduction of several blocks
  cases.push_back(square(2, 2100, 65, 1, 1, 0, 1, 1, 2));  // one that is cut inside a tap
  // Several blocks of pixels, which begin anywhere in a row.
  cases.push_back(square(40, 16, 16, 3, 1, 1));
  cases.push_back(square(37, 48, 20, 1));
  cases.push_back(square(37, 48, 20, 1, 2));
  cases.push_back(square(61, 3, 20, 3, 2, 1, 1, 1, 2));
  cases.push_back(square(90, 3, 20, 7, 2, 3));
  cases.push_back(square(37, 32, 20, 7, 1, 3));
  cases.push_back({2, 33, 21, 40, 20, 3, 3, 1, 2, 1, 1, 1, 1, 1, 1, 1});
  return cases;
}

/// Every ISA of this machine but scalar, the judge.
inline std::vector<Isa> fast_isas() {
  std::vector<Isa> isas = available_isas();
  isas.erase(isas.begin());
  return isas;
}

/// Elements of a batch of h x w pixels, with the bytes behind them that kernels may touch.
template <class T>
size_t buffer_elements(int64_t batch, int64_t h, int64_t w, int64_t pitch) {
  return static_cast<size_t>(batch * h * w * pitch) + k_tail_bytes / sizeof(T);
}

}  // namespace octet
