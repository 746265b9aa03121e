// Times the convolution kernels on the layers of ResNet-50 or the pointwise ones of MobileNetV2, one thread:
//   octet_conv_bench [repeats] [isa] [batch] [resnet50|mobilenet_v2]
// Per layer the best of `repeats` runs over the whole list, so that a layer's weights come from where they do in a
// network. The peak is measured in the same run.

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
#include "kernels/conv_f32/conv_f32.h"
#include "kernels/conv_u8s8/conv_u8s8.h"
#include "kernels/peak/peak.h"

namespace octet {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

struct Shape {
  int64_t size, ic, oc, kernel, stride;
  bool residual;
  const char* name;
};

WindowGeometry geometry_of(const Shape& s) {
  WindowGeometry g;
  const int64_t pad = s.kernel / 2;
  g.ih = g.iw = s.size;
  g.ic = s.ic, g.oc = s.oc;
  g.kh = g.kw = s.kernel;
  g.stride_h = g.stride_w = s.stride;
  g.pad_top = g.pad_left = pad;
  g.oh = g.ow = (s.size + 2 * pad - s.kernel) / s.stride + 1;
  g.x_pitch = channel_pitch(s.ic);
  g.y_pitch = g.residual_pitch = channel_pitch(s.oc);
  return g;
}

/// ResNet-50 v1.5 (the stride sits in the 3x3 convolutions) at 224 x 224: 53 convolutions and the fully connected
/// layer.
std::vector<Shape> resnet50() {
  std::vector<Shape> layers = {{224, 3, 64, 7, 2, false, "stem"}};
  int64_t size = 56, ic = 64;
  const int64_t blocks[4] = {3, 4, 6, 3};
  const char* names[4] = {"res2", "res3", "res4", "res5"};
  for (int stage = 0; stage < 4; ++stage) {
    const int64_t width = 64 << stage;
    for (int64_t block = 0; block < blocks[stage]; ++block) {
      const int64_t stride = block == 0 && stage > 0 ? 2 : 1;
      layers.push_back({size, ic, width, 1, 1, false, names[stage]});
      layers.push_back({size, width, width, 3, stride, false, names[stage]});
      if (block == 0) layers.push_back({size, ic, 4 * width, 1, stride, false, names[stage]});
      size /= stride;
      layers.push_back({size, width, 4 * width, 1, 1, true, names[stage]});
      ic = 4 * width;
    }
  }
  layers.push_back({1, 2048, 1000, 1, 1, false, "fc"});
  return layers;
}

/// MobileNetV2 1.0 at 224 x 224 without its depthwise convolutions, which are another family.
std::vector<Shape> mobilenet_v2() {
  std::vector<Shape> layers = {{224, 3, 32, 3, 2, false, "stem"}, {112, 32, 16, 1, 1, false, "b1"}};
  struct Stage {
    int64_t channels, blocks, stride;
    const char* name;
  };
  const Stage stages[] = {{24, 2, 2, "b2"}, {32, 3, 2, "b3"},  {64, 4, 2, "b4"},
                          {96, 3, 1, "b5"}, {160, 3, 2, "b6"}, {320, 1, 1, "b7"}};
  int64_t size = 112, ic = 16;
  for (const Stage& stage : stages)
    for (int64_t block = 0; block < stage.blocks; ++block) {
      layers.push_back({size, ic, 6 * ic, 1, 1, false, stage.name});
      if (block == 0) size /= stage.stride;
      layers.push_back({size, 6 * ic, stage.channels, 1, 1, block > 0, stage.name});
      ic = stage.channels;
    }
  layers.push_back({7, 320, 1280, 1, 1, false, "head"});
  layers.push_back({1, 1280, 1000, 1, 1, false, "fc"});
  return layers;
}

/// A layer with its output, in either arithmetic. Inputs are shared: what matters is where they lie, not what they
/// hold.
struct Job {
  WindowGeometry geometry;
  std::unique_ptr<const ConvU8S8> u8;
  std::unique_ptr<const ConvF32> f32;
  double best_u8 = 1e9, best_f32 = 1e9;
};

template <class Layer, class Args>
double time_layer(const Layer& layer, const Args& args, std::byte* scratch) {
  const Clock::time_point start = Clock::now();
  for (int64_t chunk = 0, chunks = layer.chunks(args.batch, 1); chunk < chunks; ++chunk)
    layer.run_chunk(args, chunk, 1, scratch);
  return seconds_since(start);
}

std::vector<Job> make_jobs(const std::vector<Shape>& shapes, Isa isa) {
  std::mt19937 random(1);
  std::vector<Job> jobs;
  for (const Shape& s : shapes) {
    Job job;
    job.geometry = geometry_of(s);
    const size_t count = static_cast<size_t>(s.oc * s.ic * s.kernel * s.kernel);
    std::vector<int8_t> codes(count);
    std::vector<float> weights(count), multiplier(static_cast<size_t>(s.oc), 1e-4f);
    for (size_t i = 0; i < count; ++i) {
      codes[i] = static_cast<int8_t>(static_cast<int>(random() % 255) - 127);
      weights[i] = static_cast<float>(codes[i]) / 1000.0f;
    }
    ConvU8S8Desc u8;
    u8.geometry = job.geometry;
    u8.weights = codes;
    u8.multiplier = multiplier;
    u8.has_residual = s.residual;
    u8.residual_multiplier = 0.5f;
    u8.f32_output = s.oc == 1000;
    job.u8 = ConvU8S8::make(u8, isa);
    ConvF32Desc f32;
    f32.geometry = job.geometry;
    f32.weights = weights;
    f32.has_residual = s.residual;
    f32.activation.kind = ActivationKind::relu;
    job.f32 = ConvF32::make(f32, isa);
    jobs.push_back(std::move(job));
  }
  return jobs;
}

void print_peak(Isa isa) {
  const MachinePeak peak = measure_peak(isa);
  std::printf("peak on registers: u8s8 %.0f GMAC/s (%s), f32 %.0f GMAC/s; reading L2 %.0f, L3 %.0f, DRAM %.0f GB/s\n",
              peak.u8s8_gmacs, peak.u8s8_instruction.c_str(), peak.f32_gmacs, peak.l2_gbs, peak.l3_gbs, peak.dram_gbs);
}

int bench(int repeats, Isa isa, int64_t batch, const std::vector<Shape>& shapes) {
  std::vector<Job> jobs = make_jobs(shapes, isa);
  size_t scratch_bytes = 0, elements = 0;
  for (const Job& job : jobs) {
    const WindowGeometry& g = job.geometry;
    scratch_bytes = std::max({scratch_bytes, job.u8->scratch_bytes(), job.f32->scratch_bytes()});
    elements = std::max({elements, static_cast<size_t>(batch * g.ih * g.iw * g.x_pitch),
                         static_cast<size_t>(batch * g.oh * g.ow * g.y_pitch)});
  }
  const size_t bytes = 4 * elements + k_tail_bytes;
  const AlignedBytes scratch = allocate_aligned(scratch_bytes);
  AlignedBytes buffers[3] = {allocate_aligned(bytes), allocate_aligned(bytes), allocate_aligned(bytes)};
  for (const AlignedBytes& buffer : buffers) std::fill(buffer.get(), buffer.get() + bytes, std::byte{0x3c});

  print_peak(isa);
  double best_total_u8 = 1e9, best_total_f32 = 1e9;
  for (int repeat = 0; repeat < repeats; ++repeat) {
    double total_u8 = 0, total_f32 = 0;
    for (size_t i = 0; i < jobs.size(); ++i) {  // ping-pong: the input is the output of the layer before
      const ConvU8S8Args args = {batch, reinterpret_cast<const uint8_t*>(buffers[i % 2].get()),
                                 reinterpret_cast<const uint8_t*>(buffers[2].get()), buffers[1 - i % 2].get()};
      const double t = time_layer(*jobs[i].u8, args, scratch.get());
      jobs[i].best_u8 = std::min(jobs[i].best_u8, t);
      total_u8 += t;
    }
    for (const AlignedBytes& buffer : buffers) std::fill(buffer.get(), buffer.get() + bytes, std::byte{0x3c});
    for (size_t i = 0; i < jobs.size(); ++i) {
      const ConvF32Args args = {batch, reinterpret_cast<const float*>(buffers[i % 2].get()),
                                reinterpret_cast<const float*>(buffers[2].get()),
                                reinterpret_cast<float*>(buffers[1 - i % 2].get())};
      const double t = time_layer(*jobs[i].f32, args, scratch.get());
      jobs[i].best_f32 = std::min(jobs[i].best_f32, t);
      total_f32 += t;
    }
    best_total_u8 = std::min(best_total_u8, total_u8);
    best_total_f32 = std::min(best_total_f32, total_f32);
  }
  print_peak(isa);

  std::printf("%-5s %4s %5s %5s %2s %2s | %9s %7s | %9s %7s\n", "", "size", "ic", "oc", "k", "s", "u8s8 us", "GMAC/s",
              "f32 us", "GMAC/s");
  double sum_u8 = 0, sum_f32 = 0, sum_macs = 0;
  for (size_t i = 0; i < jobs.size(); ++i) {
    const Shape& s = shapes[i];
    const WindowGeometry& g = jobs[i].geometry;
    const double macs = static_cast<double>(batch * g.oh * g.ow * g.oc * g.ic * g.kh * g.kw);
    std::printf("%-5s %4ld %5ld %5ld %2ld %2ld | %9.1f %7.1f | %9.1f %7.1f\n", s.name, static_cast<long>(s.size),
                static_cast<long>(s.ic), static_cast<long>(s.oc), static_cast<long>(s.kernel),
                static_cast<long>(s.stride), jobs[i].best_u8 * 1e6, macs / jobs[i].best_u8 * 1e-9,
                jobs[i].best_f32 * 1e6, macs / jobs[i].best_f32 * 1e-9);
    sum_u8 += jobs[i].best_u8;
    sum_f32 += jobs[i].best_f32;
    sum_macs += macs;
  }
  std::printf("%s, %s, batch %ld, %.3f GMAC\n", jobs[0].u8->kernel_name(), jobs[0].f32->kernel_name(),
              static_cast<long>(batch), sum_macs * 1e-9);
  std::printf("sum of best: u8s8 %.2f ms (%.0f GMAC/s), f32 %.2f ms (%.0f GMAC/s), ratio %.2f\n", sum_u8 * 1e3,
              sum_macs / sum_u8 * 1e-9, sum_f32 * 1e3, sum_macs / sum_f32 * 1e-9, sum_f32 / sum_u8);
  std::printf("best pass:   u8s8 %.2f ms, f32 %.2f ms\n", best_total_u8 * 1e3, best_total_f32 * 1e3);
  return 0;
}

}  // namespace
}  // namespace octet

int main(int argc, char** argv) {
  const int repeats = argc > 1 ? std::atoi(argv[1]) : 20;
  const octet::Isa isa =
      argc > 2 ? octet::isa_from_name(argv[2]).value_or(octet::Isa::scalar) : octet::available_isas().back();
  const bool mobilenet = argc > 4 && std::string_view(argv[4]) == "mobilenet_v2";
  return octet::bench(repeats, isa, argc > 3 ? std::atoi(argv[3]) : 1,
                      mobilenet ? octet::mobilenet_v2() : octet::resnet50());
}
