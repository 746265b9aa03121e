// Whether CPUs are cores of their own at the moment:  octet_loops_bench CPU [CPU]
// A layer whose data stay in L1 and L2, and products on registers, in 512-bit registers and in tiles as far as this
// machine has them: the rate on each CPU alone, and on both at the same time, for long enough that the host of a
// virtual machine sees them busy. Two threads of one core have half of it each; there are spells
// in which layers take twice as long and loops on registers do not. Rates are medians of slices of a third of a
// millisecond. One line of JSON: 10^9 products per second by loop, and how long a cache line takes from one CPU to the
// other and back.

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <random>
#include <thread>
#include <vector>

#include "base/aligned.h"
#include "base/isa.h"
#include "kernels/conv_u8s8/conv_u8s8.h"
#include "kernels/peak/best_seconds.h"
#include "kernels/peak/peak_isa.h"

namespace octet {
namespace {

constexpr double k_slice_seconds = 0.33e-3;
constexpr int k_slices = 12, k_slices_together = 60, k_passes = 1000;

using Clock = std::chrono::steady_clock;

void go_to(int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  if (sched_setaffinity(0, sizeof(set), &set) != 0) {
    std::fprintf(stderr, "octet_loops_bench: CPU %d is not to be had\n", cpu);
    std::exit(1);
  }
}

/// Both wait here for each other.
struct Gate {
  std::atomic<int> arrived{0};
  void meet() {
    arrived.fetch_add(1);
    while (arrived.load() < 2) {
    }
  }
};

/// run(repeats): `macs` products a repeat.
struct Loop {
  const char* name;
  double macs;
  std::function<void(int64_t repeats)> run;
};

/// 3x3, 64 channels, 32x32.
class Layer {
 public:
  explicit Layer(Isa isa) {
    constexpr int64_t k_size = 32, k_channels = 64;
    ConvU8S8Desc desc;
    WindowGeometry& g = desc.geometry;
    g.ih = g.iw = g.oh = g.ow = k_size;
    g.ic = g.oc = k_channels;
    g.kh = g.kw = 3;
    g.pad_top = g.pad_left = 1;
    g.x_pitch = g.y_pitch = g.residual_pitch = channel_pitch(k_channels);
    const size_t bytes = static_cast<size_t>(k_size * k_size * g.x_pitch) + 64;
    std::mt19937 random(1);
    std::vector<int8_t> weights(static_cast<size_t>(k_channels * k_channels * 9));
    for (int8_t& w : weights) w = static_cast<int8_t>(static_cast<int>(random() % 255) - 127);
    const std::vector<float> multiplier(k_channels, 1e-4f);
    desc.weights = weights, desc.multiplier = multiplier;
    layer_ = ConvU8S8::make(desc, isa);
    macs_ = static_cast<double>(k_size * k_size * k_channels * k_channels * 9);
    x_ = allocate_aligned(bytes), y_ = allocate_aligned(bytes), scratch_ = allocate_aligned(layer_->scratch_bytes());
    for (size_t i = 0; i < bytes; ++i) x_[i] = static_cast<std::byte>(random());
  }
  double macs() const { return macs_; }
  void run(int64_t repeats) const {
    ConvU8S8Args args;
    args.x = reinterpret_cast<const uint8_t*>(x_.get());
    args.y = y_.get();
    for (int64_t r = 0; r < repeats; ++r)
      for (int64_t chunk = 0, chunks = layer_->chunks(1, 1); chunk < chunks; ++chunk)
        layer_->run_chunk(args, chunk, 1, scratch_.get());
  }

 private:
  std::unique_ptr<const ConvU8S8> layer_;
  AlignedBytes x_, y_, scratch_;
  double macs_;
};

struct Rates {
  double alone[2] = {}, together[2] = {};
};

/// The median of so many slices.
double rate(const Loop& loop, int64_t repeats, int slices) {
  std::vector<double> seconds;
  for (int i = 0; i < slices; ++i) seconds.push_back(best_seconds(1, [&] { loop.run(repeats); }));
  std::sort(seconds.begin(), seconds.end());
  return static_cast<double>(repeats) * loop.macs / seconds[seconds.size() / 2] / 1e9;
}

/// Each CPU's rate while the other has the same loop to run. Who is done first goes on until the other is, too.
void measure_together(const Loop (&loops)[2], int64_t repeats, const std::vector<int>& cpus, double (&gmacs)[2]) {
  Gate gate;
  std::atomic<int> done{0};
  const auto run = [&](size_t i) {
    go_to(cpus[i]);
    loops[i].run(repeats / 8 + 1);
    gate.meet();
    gmacs[i] = rate(loops[i], repeats, k_slices_together);
    for (done.fetch_add(1); done.load() < 2;) loops[i].run(repeats / 64 + 1);
  };
  std::thread first(run, 0), second(run, 1);
  first.join(), second.join();
}

/// loops: the same for each CPU, with data of its own.
Rates measure(const Loop (&loops)[2], const std::vector<int>& cpus) {
  Rates rates;
  go_to(cpus[0]);
  int64_t repeats = 1;
  while (best_seconds(2, [&] { loops[0].run(repeats); }) < k_slice_seconds / 2) repeats *= 2;
  for (size_t i = 0; i < cpus.size(); ++i) {
    go_to(cpus[i]);
    rates.alone[i] = rate(loops[i], repeats, k_slices);
  }
  if (cpus.size() > 1) measure_together(loops, repeats, cpus, rates.together);
  return rates;
}

/// There and back.
double line_ns(const std::vector<int>& cpus) {
  struct alignas(128) Line {
    std::atomic<int> count{0};
  } line;
  Gate gate;
  double seconds = 0;
  const auto play = [&](size_t i) {
    go_to(cpus[i]);
    const int own = static_cast<int>(i);
    gate.meet();
    const Clock::time_point start = Clock::now();
    for (int pass = own; pass < 2 * k_passes; pass += 2) {
      while (line.count.load(std::memory_order_acquire) != pass) {
      }
      line.count.store(pass + 1, std::memory_order_release);
    }
    if (i == 0) seconds = std::chrono::duration<double>(Clock::now() - start).count();
  };
  std::thread first(play, 0), second(play, 1);
  first.join(), second.join();
  return seconds / k_passes * 1e9;
}

/// Of the widest registers, and of tiles.
std::vector<const PeakKernels*> register_loops() {
  std::vector<const PeakKernels*> found;
#if defined(__x86_64__)
  for (const Isa isa : available_isas()) {
    if (isa == Isa::avx2) found = {&peak_avx2};
    if (isa == Isa::avx_vnni) found = {&peak_avx_vnni};
    if (isa == Isa::avx512_vnni) found = {&peak_avx512_vnni};
    if (isa == Isa::amx) found.push_back(&peak_amx);
  }
#endif
  return found;
}

void print(const char* comma, const char* name, const Rates& r) {
  std::printf("%s\"%s\": {\"alone\": [%.1f, %.1f], \"together\": [%.1f, %.1f]}", comma, name, r.alone[0], r.alone[1],
              r.together[0], r.together[1]);
}

int run(const std::vector<int>& cpus) {
  const Isa isa = available_isas().back();
  const Layer layers[2] = {Layer(isa), Layer(isa)};
  const auto of_layer = [&](size_t i) {
    return Loop{"layer", layers[i].macs(), [&layer = layers[i]](int64_t repeats) { layer.run(repeats); }};
  };
  std::printf("{\"loops\": {");
  print("", "layer", measure({of_layer(0), of_layer(1)}, cpus));
  for (const PeakKernels* kernels : register_loops()) {
    const Loop loop = {kernels->dot_instruction, kernels->dot_macs, kernels->dots};
    print(", ", loop.name, measure({loop, loop}, cpus));
  }
  std::printf("}, \"line_ns\": %.0f}\n", cpus.size() > 1 ? line_ns(cpus) : 0);
  return 0;
}

}  // namespace
}  // namespace octet

int main(int argc, char** argv) {
  std::vector<int> cpus;
  for (int i = 1; i < argc; ++i) cpus.push_back(std::atoi(argv[i]));
  if (cpus.empty() || cpus.size() > 2) {
    std::fprintf(stderr, "usage: octet_loops_bench CPU [CPU]\n");
    return 1;
  }
  return octet::run(cpus);
}
