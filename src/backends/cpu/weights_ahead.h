#pragma once
// What the steps of a program bring near of the weights of steps behind them. Together a network's weights do not stay
// in L2, and layers with few pixels take as long as their weights come from L3; layers in front of them with many
// pixels and few weights have time to bring them, as far as L2 has room. Each worker brings what it is going to read
// itself: its channels, or all of a layer that is cut by pixels. Out of another core's cache they would come slowly.

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "kernels/implicit_gemm/weights_ahead.h"

namespace octet::cpu {

/// A step as this plan sees it, in running order; steps that do not run have nothing.
struct AheadStep {
  std::vector<std::span<const std::byte>> weights;  // by worker, what it reads
  int64_t spare = 0;     // bytes that all workers can bring beside its products; 0 = it brings none
  size_t touched = 0;    // bytes of its inputs and outputs
  bool repeats = false;  // it runs several times, each time with the steps around it
};

/// By step. cache_bytes: of L2, of all workers together.
std::vector<WeightsAhead> plan_weights_ahead(std::span<const AheadStep> steps, size_t cache_bytes, size_t workers);

}  // namespace octet::cpu
