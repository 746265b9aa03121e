#pragma once
// Chooses tactics by measurement. Every candidate is timed where it will run: whole networks are prepared that differ
// in their tactics only, and run in turns, so that a layer finds its input where the layer before left it and its
// weights where the rest of the network has pushed them. A time is the median over the rounds; buffers rotate between
// two arenas.
//
// Works with any back end whose run() fills RunHooks::step_seconds.

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "plan/backend.h"
#include "plan/timing_cache.h"

namespace octet {

struct TuneOptions {
  int level = 3;                 // 3, 4, 5: more rounds
  int rounds = 0;                // instead of the level's own number; 0 = that. At least 3
  TimingCache* cache = nullptr;  // times found here are not measured again; new ones are added. null = none
};

struct TunedCandidate {
  std::string tactic;
  double us = 0;           // measured, or from the cache
  bool is_cached = false;  // not measured now
  std::string refused;     // why it is no candidate: the back end's reason, or an estimate far from the best
};

/// One kind of layer; equal layers share it.
struct TunedLayer {
  std::string first_node, signature;
  int64_t layers = 0;
  std::vector<TunedCandidate> candidates;
  std::string by_default, chosen;
};

struct TuningReport {
  TacticChoice choice;             // by node; empty strings where nothing was to be chosen
  std::vector<TunedLayer> layers;  // in graph order, those with more than one candidate only
  int64_t measured = 0, cached = 0;
  int rounds = 0;  // how often each candidate was timed; 0 where nothing was
  double seconds = 0;
  /// The whole network with the static choice and with the measured one; noise_ms is half the width of the interval in
  /// which their medians cannot be told apart. 0 when the choices are the same or the verdict came from the cache.
  double default_ms = 0, tuned_ms = 0, noise_ms = 0;
  bool keeps_default = false;  // the measured choice was not clearly faster as a whole and is not taken
  std::string log() const;     // every candidate with its time or its reason
  std::string summary() const;
};

/// Whether the measured choice is taken. sorted_ratios: its time over the static choice's, by pair of programs, the
/// least first. It has to be faster by their median and in all pairs but one: the best of many noisy times is too good
/// on average, and a choice that changes nothing is worth nothing.
bool is_clearly_faster(std::span<const double> sorted_ratios);

/// graph: fused, all shapes known. Errors: no tactic for a step, no memory, an error of the back end.
Result<TuningReport> tune(const Graph& graph, Backend& backend, const TuneOptions& options);

}  // namespace octet
