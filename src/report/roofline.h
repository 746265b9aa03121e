#pragma once
// Where an engine's time goes, held against what the machine can do in the same run: the answer to "why is INT8 not
// faster".

#include <string>
#include <vector>

namespace octet {

struct RooflineLayer {
  std::string name, op, tactic;
  double us = 0;            // median over the runs
  double mmac = 0;          // multiply-adds in millions, as the op is defined
  double bytes = 0;         // of all inputs, weights among them, and outputs
  bool is_integer = false;  // its products are u8 x s8
  bool is_convert = false;  // between float and codes, or between layouts
  bool is_bf16 = false;     // its products are those of bfloat16
  // mmac as the layer's way needs them, < 0 = all: no taps in the padding; Winograd's 36 of 16 bits (fewer where a
  // small tile ends an axis), at half the rate, for 16 outputs count as 72. Shares of the peak are of these.
  double needed_mmac = -1;
};

struct RooflineReport {
  std::string device;
  int threads = 1;
  std::vector<RooflineLayer> layers;
  double whole_us = 0;  // median of runs without the clock in between
  // The limits of so many threads at the same time, measured between the runs.
  double u8s8_gmacs = 0, f32_gmacs = 0;
  double l2_gbs = 0, l3_gbs = 0, dram_gbs = 0;                       // 0 = could not be measured alone
  double l2_read_bytes = 0, l3_read_bytes = 0, dram_read_bytes = 0;  // of each thread, over and over
  std::string u8s8_instruction, f32_instruction;
  double bf16_gmacs = 0;  // 0 = there is none
  std::string bf16_instruction = {};
  double fork_us = 0;  // an empty loop on all of the engine's threads; 0 with one thread
};

/// What integer layers with products reach of the instruction's peak, by two counts: all products as the ops define
/// them, which may exceed 1 where a layer's way needs fewer, and those that the ways need, which may not.
struct PeakShare {
  double nominal = 0, needed = 0;                // of these layers' own time
  double nominal_of_run = 0, needed_of_run = 0;  // of the whole run's
  double needed_part = 0;                        // needed products over all
};
PeakShare integer_share(const RooflineReport& report);

/// A row per layer: us, share of the time, GMAC/s, needed products, share of the peak, bytes, GB/s; then the sums by
/// kind, and what the columns mean.
std::string to_text(const RooflineReport& report);
/// One JSON object: "peak", "integer_share", "split_us", "layers".
std::string to_json(const RooflineReport& report);

}  // namespace octet
