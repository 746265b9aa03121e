// Whether CPUs are cores of their own at the moment:  octet_loops_bench CPU [CPU]
// Products on registers for a third of a millisecond at a time, in 512-bit registers and in tiles as far as this
// machine has them: the rate on each CPU alone, and on both at the same time. Two threads of one core have half of it
// each. One line of JSON: 10^9 products per second by instruction, and how long a cache line takes from one CPU to the
// other and back.

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <vector>

#include "base/isa.h"
#include "kernels/peak/best_seconds.h"
#include "kernels/peak/peak_isa.h"

namespace octet {
namespace {

constexpr double k_seconds = 0.33e-3;
constexpr int k_tries = 5, k_tries_together = 3, k_passes = 1000;

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

struct Rates {
  double alone[2] = {}, together[2] = {};
};

/// Each CPU's rate while the other has the same loop to run. Who is done first goes on until the other is, too.
void measure_together(const PeakKernels& kernels, int64_t repeats, const std::vector<int>& cpus, double (&gmacs)[2]) {
  Gate gate;
  std::atomic<int> done{0};
  const auto run = [&](size_t i) {
    go_to(cpus[i]);
    kernels.dots(repeats / 8);
    gate.meet();
    const double seconds = best_seconds(1, [&] { kernels.dots(repeats); });
    gmacs[i] = static_cast<double>(repeats) * kernels.dot_macs / seconds / 1e9;
    for (done.fetch_add(1); done.load() < 2;) kernels.dots(repeats / 64 + 1);
  };
  std::thread first(run, 0), second(run, 1);
  first.join(), second.join();
}

Rates measure(const PeakKernels& kernels, const std::vector<int>& cpus) {
  Rates rates;
  go_to(cpus[0]);
  constexpr int64_t k_repeats = 1000;
  const double once = best_seconds(3, [&] { kernels.dots(k_repeats); });
  const auto repeats = std::max(k_repeats, static_cast<int64_t>(k_repeats * k_seconds / once));
  for (size_t i = 0; i < cpus.size(); ++i) {
    go_to(cpus[i]);
    const double seconds = best_seconds(k_tries, [&] { kernels.dots(repeats); });
    rates.alone[i] = static_cast<double>(repeats) * kernels.dot_macs / seconds / 1e9;
  }
  for (int t = 0; cpus.size() > 1 && t < k_tries_together; ++t) {
    double gmacs[2];
    measure_together(kernels, repeats, cpus, gmacs);
    if (std::min(gmacs[0], gmacs[1]) > std::min(rates.together[0], rates.together[1]))
      std::copy(gmacs, gmacs + 2, rates.together);
  }
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
std::vector<const PeakKernels*> loops() {
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

int run(const std::vector<int>& cpus) {
  std::printf("{\"loops\": {");
  const char* comma = "";
  for (const PeakKernels* kernels : loops()) {
    const Rates r = measure(*kernels, cpus);
    std::printf("%s\"%s\": {\"alone\": [%.1f, %.1f], \"together\": [%.1f, %.1f]}", comma, kernels->dot_instruction,
                r.alone[0], r.alone[1], r.together[0], r.together[1]);
    comma = ", ";
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
