// Times 3x3 layers by the direct kernels and by Winograd's, one thread:  octet_winograd_bench [repeats] [isa] [batch]
// Per layer the median of `repeats` runs over the whole list, the ways in turns, so that weights come from where they
// do in a large network.

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <random>
#include <string_view>
#include <vector>

#include "base/aligned.h"
#include "base/isa.h"
#include "kernels/winograd_u8s8/winograd_u8s8.h"

namespace octet {
namespace {

using Clock = std::chrono::steady_clock;

struct Shape {
  int64_t size, channels;
};
constexpr Shape k_shapes[] = {{32, 64}, {16, 128}, {8, 256}, {4, 512}, {56, 64}, {28, 128}, {14, 256},
                              {7, 512}, {32, 16},  {16, 32}, {8, 64},  {32, 32}, {56, 32}};

constexpr size_t k_most_ways = 4;

struct Job {
  WindowGeometry geometry;
  std::vector<std::unique_ptr<const ConvU8S8>> ways;  // the direct one, then Winograd's
  std::vector<double> us[k_most_ways];
  std::vector<double> model_us;
};

WindowGeometry geometry_of(const Shape& s) {
  WindowGeometry g;
  g.ih = g.iw = g.oh = g.ow = s.size;
  g.ic = g.oc = s.channels;
  g.kh = g.kw = 3;
  g.pad_top = g.pad_left = 1;
  g.x_pitch = g.y_pitch = g.residual_pitch = channel_pitch(s.channels);
  return g;
}

double time_us(const ConvU8S8& layer, const ConvU8S8Args& args, std::byte* scratch) {
  const Clock::time_point start = Clock::now();
  for (int64_t chunk = 0, chunks = layer.chunks(args.batch, 1); chunk < chunks; ++chunk)
    layer.run_chunk(args, chunk, 1, scratch);
  return std::chrono::duration<double, std::micro>(Clock::now() - start).count();
}

double median(std::vector<double> v) {
  std::sort(v.begin(), v.end());
  return v[v.size() / 2];
}

int bench(int repeats, Isa isa, int64_t batch) {
  std::mt19937 random(1);
  std::vector<Job> jobs;
  size_t scratch_bytes = 0, elements = 0;
  for (const Shape& s : k_shapes) {
    Job job;
    job.geometry = geometry_of(s);
    std::vector<int8_t> weights(static_cast<size_t>(s.channels * s.channels * 9));
    std::vector<float> multiplier(static_cast<size_t>(s.channels), 1e-4f);
    for (int8_t& w : weights) w = static_cast<int8_t>(static_cast<int>(random() % 255) - 127);
    ConvU8S8Desc desc;
    desc.geometry = job.geometry;
    desc.weights = weights;
    desc.multiplier = multiplier;
    job.ways.push_back(ConvU8S8::make(desc, isa));
    for (const ConvVariant& v : conv_u8s8_variants(desc, batch, isa, 1))
      if (v.name == job.ways[0]->kernel_name()) job.model_us.push_back(v.cost_us);
    for (const ConvVariant& v : winograd_u8s8_variants(desc.geometry, batch, isa, INT64_MAX, 1)) {
      job.ways.push_back(make_winograd_u8s8(desc, isa, v.name));
      job.model_us.push_back(v.cost_us);
    }
    for (const auto& way : job.ways) scratch_bytes = std::max(scratch_bytes, way->scratch_bytes());
    elements = std::max(elements, static_cast<size_t>(batch * s.size * s.size * s.channels));
    jobs.push_back(std::move(job));
  }
  const AlignedBytes x = allocate_aligned(elements + 64), y = allocate_aligned(elements + 64);
  const AlignedBytes scratch = allocate_aligned(scratch_bytes);
  for (size_t i = 0; i < elements + 64; ++i) x[i] = static_cast<std::byte>(random());
  ConvU8S8Args args;
  args.batch = batch;
  args.x = reinterpret_cast<const uint8_t*>(x.get());
  args.y = y.get();
  for (int r = 0; r < repeats; ++r)
    for (size_t way = 0; way < k_most_ways; ++way)
      for (Job& job : jobs)
        if (way < job.ways.size()) job.us[way].push_back(time_us(*job.ways[way], args, scratch.get()));
  std::printf("batch %lld, us (times as fast as the direct way; that by the static costs)\n",
              static_cast<long long>(batch));
  for (const Job& job : jobs) {
    const double direct = median(job.us[0]);
    std::printf("%4lld @ %-3lld %s %.1f", static_cast<long long>(job.geometry.ic),
                static_cast<long long>(job.geometry.ih), job.ways[0]->kernel_name(), direct);
    for (size_t way = 1; way < job.ways.size(); ++way) {
      const double us = median(job.us[way]);
      std::printf("   %s %.1f (%.2f; %.2f)", job.ways[way]->kernel_name(), us, direct / us,
                  job.model_us[0] / job.model_us[way]);
    }
    std::printf("\n");
  }
  return 0;
}

}  // namespace
}  // namespace octet

int main(int argc, char** argv) {
  octet::Isa isa = octet::available_isas().back();
  if (argc > 2 && std::string_view(argv[2]) == "avx2") isa = octet::Isa::avx2;
  if (argc > 2 && std::string_view(argv[2]) == "avx_vnni") isa = octet::Isa::avx_vnni;
  return octet::bench(argc > 1 ? std::atoi(argv[1]) : 30, isa, argc > 3 ? std::atoi(argv[3]) : 1);
}
