// Times the toolkit's functions on one large tensor beside memcpy and a plain read of it, one thread:
//   octet_toolkit_bench [mebi-elements] [repeats]
// Bytes are those that must be read and written once. memcpy's rate in the same run is the memory's; 'share' compares
// with it.

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "base/aligned.h"
#include "quant/functions.h"
#include "quant/reduce_amax.h"
#include "quant/rows/rows.h"
#include "tensor/half.h"

namespace octet {
namespace {

using Clock = std::chrono::steady_clock;

struct Buffer {
  AlignedBytes bytes;
  TensorView view(DType dtype, Dims dims) const { return TensorView::dense(dtype, std::move(dims), bytes.get()); }
};

Buffer buffer(size_t bytes) {
  Buffer b{allocate_aligned(bytes)};
  if (!b.bytes) std::exit(1);
  std::memset(b.bytes.get(), 0, bytes);  // every page is there before the clock starts
  return b;
}

std::vector<double> seconds_of(int repeats, const std::function<void()>& call) {
  std::vector<double> all;
  call();
  for (int i = 0; i < repeats; ++i) {
    const Clock::time_point start = Clock::now();
    call();
    all.push_back(std::chrono::duration<double>(Clock::now() - start).count());
  }
  std::sort(all.begin(), all.end());
  return all;
}

double copy_rate = 0;  // of memcpy, bytes per second

double report(const char* what, double bytes, int repeats, const std::function<void()>& call) {
  const std::vector<double> all = seconds_of(repeats, call);
  const double median = all[all.size() / 2], rate = bytes / median;
  std::printf("%-44s %8.2f ms (%.2f .. %.2f) %7.1f GB/s", what, median * 1e3, all.front() * 1e3, all.back() * 1e3,
              rate * 1e-9);
  if (copy_rate > 0) std::printf("   share %.2f", rate / copy_rate);
  std::printf("\n");
  return rate;
}

template <class T>
void must(const Result<T>& result) {
  if (result) return;
  std::fprintf(stderr, "%s\n", result.error().message.c_str());
  std::exit(1);
}

void run(int64_t n, int repeats) {
  const auto count = static_cast<size_t>(n);
  const Dims flat = {n}, matrix = {n / 1024, 1024};
  const Buffer x = buffer(count * 4), y = buffer(count * 4), dy = buffer(count * 4);
  auto* values = reinterpret_cast<float*>(x.bytes.get());
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  for (size_t i = 0; i < count; ++i) values[i] = i < 4096 ? normal(random) : values[i - 4096];
  const double f32_bytes = 8.0 * static_cast<double>(n), half_bytes = f32_bytes / 2;
  const TensorView xv = x.view(DType::f32, flat), yv = y.view(DType::f32, flat), dyv = dy.view(DType::f32, flat);
  const TensorView xm = x.view(DType::f32, matrix), ym = y.view(DType::f32, matrix);
  const Tensor amax = scalar_f32(3);
  const Tensor rows = *kept_amax(xm, {{0}}), columns = *kept_amax(xm, {{1}});

  copy_rate = report("memcpy", f32_bytes, repeats, [&] { std::memcpy(y.bytes.get(), x.bytes.get(), count * 4); });
  report("plain sum of the words (stream probe, reads)", f32_bytes / 2, repeats, [&] {
    uint64_t sum = 0;
    for (size_t i = 0; i < count; i += 2) {
      uint64_t word;
      std::memcpy(&word, values + i, sizeof word);
      sum += word;
    }
    volatile uint64_t kept = sum;
    (void)kept;
  });
  report("fake_tensor_quant f32, per tensor", f32_bytes, repeats,
         [&] { must(fake_tensor_quant_into(xv, amax, {}, yv)); });
  report("fake_tensor_quant f32, axis 0", f32_bytes, repeats, [&] { must(fake_tensor_quant_into(xm, rows, {}, ym)); });
  report("fake_tensor_quant f32, last axis", f32_bytes, repeats,
         [&] { must(fake_tensor_quant_into(xm, columns, {}, ym)); });
  report("fake_tensor_quant f32, in place", f32_bytes, repeats,
         [&] { must(fake_tensor_quant_into(yv, amax, {}, yv)); });
  TensorView turned = xm;
  std::swap(turned.dims[0], turned.dims[1]);
  std::swap(turned.strides[0], turned.strides[1]);
  TensorView turned_y = ym;
  std::swap(turned_y.dims[0], turned_y.dims[1]);
  std::swap(turned_y.strides[0], turned_y.strides[1]);
  report("fake_tensor_quant f32, x and y transposed", f32_bytes, repeats,
         [&] { must(fake_tensor_quant_into(turned, amax, {}, turned_y)); });
  const TensorView dense_y = y.view(DType::f32, turned.dims);
  report("fake_tensor_quant f32, x transposed", f32_bytes, repeats,
         [&] { must(fake_tensor_quant_into(turned, amax, {}, dense_y)); });
  report("kept_amax f32, per tensor (reads)", f32_bytes / 2, repeats, [&] { must(kept_amax(xv, {})); });
  // What follows gives a new tensor, whose pages the system clears first.
  report("tensor_quant f32 to s8, new tensor", f32_bytes * 5 / 8, repeats, [&] { must(tensor_quant(xv, amax)); });
  report("tensor_quant_backward f32, new tensor", f32_bytes * 1.5, repeats,
         [&] { must(tensor_quant_backward(xv, amax, dyv)); });
  report("fake_affine_tensor_quant f32, new tensor", f32_bytes, repeats,
         [&] { must(fake_affine_tensor_quant(xv, -3, 3)); });
  report("scaled_e4m3 f32, new tensor", f32_bytes, repeats, [&] { must(scaled_e4m3(xv, amax)); });
  report("pact_clip f32, new tensor", f32_bytes, repeats, [&] { must(pact_clip(xv, scalar_f32(-1), scalar_f32(1))); });
  for (const DType dtype : {DType::f16, DType::bf16}) {
    auto* shorter = reinterpret_cast<uint16_t*>(dy.bytes.get());
    for (size_t i = 0; i < count; ++i)
      shorter[i] = dtype == DType::f16 ? float_to_half(values[i]) : float_to_bfloat16(values[i]);
    const std::string what = "fake_tensor_quant " + std::string(name(dtype)) + ", per tensor";
    report(what.c_str(), half_bytes, repeats,
           [&] { must(fake_tensor_quant_into(dy.view(dtype, flat), amax, {}, y.view(dtype, flat))); });
  }
}

}  // namespace
}  // namespace octet

int main(int argc, char** argv) {
  const int64_t mebi = argc > 1 ? std::atoll(argv[1]) : 64;
  const int repeats = argc > 2 ? std::atoi(argv[2]) : 11;
  if (mebi < 1 || repeats < 1) return 2;
  const octet::Result<const octet::QuantRows*> rows = octet::chosen_quant_rows();
  if (!rows) return 1;
  std::printf("%lld Mi elements, %s, 1 thread, median of %d (least .. most)\n", static_cast<long long>(mebi),
              (*rows)->name, repeats);
  octet::run(mebi << 20, repeats);
}
