#include "kernels/activation/code_steps.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <span>
#include <vector>

namespace octet {
namespace {

/// Between two neighbouring fine samples a function that bends by at most 1 / 2 leaves the range of both by less than
/// 1e-4 codes; its floats are off by less.
constexpr float k_near_tie = 1e-4f;
constexpr int k_coarse = 4096, k_fine = 16384;
constexpr int k_around = 32;  // floats on either side of a step, among which rounding may go to and fro

/// A number for each float in their order, and back.
int32_t rank_of(float v) {
  const auto bits = std::bit_cast<int32_t>(v);
  return bits < 0 ? static_cast<int32_t>(0x80000000u - static_cast<uint32_t>(bits)) : bits;
}
float float_of(int32_t rank) {
  return std::bit_cast<float>(rank < 0 ? 0x80000000u - static_cast<uint32_t>(rank) : static_cast<uint32_t>(rank));
}

/// Every value up to `before` has the code that it has, every one from `after` on the next step's. Both are neighbours,
/// or some floats apart.
struct Step {
  float before, after;
  int rise;
};

class Finder {
 public:
  Finder(const CodeRule& rule, const ActivationKernels& kernels) : rule_(rule), kernels_(kernels) {}

  /// Empty: there is none, or they cannot be told for certain.
  std::vector<Step> steps() {
    float low = 0, high = 0;
    if (!find_range(low, high) || !bracket(low, high)) return {};
    bisect();
    if (!look_around()) return {};
    return std::move(steps_);
  }

 private:
  std::vector<uint8_t> codes_of(std::vector<float> v) const {
    std::vector<uint8_t> codes(v.size());
    octet::codes_of(rule_, kernels_, v.data(), v.size(), codes.data());
    return codes;
  }

  /// How far the rule's value, in codes, is from the nearest tie.
  float distance_to_tie(float value) const {
    const auto least = static_cast<float>(rule_.lo - rule_.zero_point);
    const auto most = static_cast<float>(rule_.hi - rule_.zero_point);
    const float exact = std::min(std::max(value * rule_.inverse_scale, least), most);
    return 0.5f - std::fabs(exact - std::nearbyint(exact));
  }

  std::vector<float> activated(std::vector<float> v) const {
    kernels_.activate(v.data(), v.size(), rule_.activation);
    return v;
  }

  /// [low, high] holds all steps. Sampled evenly where activations bend, and by factors of two beyond. A sample that
  /// has the end's code still counts as a step where a dip between it and the next could reach a tie.
  bool find_range(float& low, float& high) {
    const float reach = 32.0f + 300.0f / rule_.inverse_scale;
    std::vector<float> at;
    for (float v = k_most_stepped; v > reach; v *= 0.5f) at.push_back(-v);
    for (int i = 0; i <= k_coarse; ++i)
      at.push_back(reach * (2.0f * static_cast<float>(i) / static_cast<float>(k_coarse) - 1.0f));
    for (float v = 2 * reach; v < k_most_stepped; v *= 2) at.push_back(v);
    at.push_back(k_most_stepped);
    const std::vector<uint8_t> codes = codes_of(at);
    const std::vector<float> values = activated(at);
    const float apart = 2 * reach / static_cast<float>(k_coarse);
    const float dip = k_near_tie + apart * apart / 16 * rule_.inverse_scale;
    size_t first = 0, last = codes.size() - 1;
    while (first < last && codes[first + 1] == codes.front() && distance_to_tie(values[first + 1]) > dip) ++first;
    while (last > first && codes[last - 1] == codes.back() && distance_to_tie(values[last - 1]) > dip) --last;
    if (first == last) return false;
    low = at[first], high = at[last];
    return low >= -reach && high <= reach;
  }

  /// left_[i] and right_[i] have codes that are one step apart.
  bool bracket(float low, float high) {
    std::vector<float> at(k_fine + 1);
    for (int i = 0; i <= k_fine; ++i)
      at[static_cast<size_t>(i)] = low + (high - low) * (static_cast<float>(i) / static_cast<float>(k_fine));
    const std::vector<uint8_t> codes = codes_of(at);
    const std::vector<float> values = activated(at);
    for (size_t i = 1; i < at.size(); ++i) {
      const int rise = codes[i] - codes[i - 1];
      if (rise > 1 || rise < -1) return false;
      if (rise != 0) {
        left_.push_back(rank_of(at[i - 1])), right_.push_back(rank_of(at[i]));
        left_code_.push_back(codes[i - 1]);
        steps_.push_back({0, 0, rise});
      } else if (i + 1 < at.size() && codes[i + 1] == codes[i]) {  // an extremum that may just reach a tie
        if (distance_to_tie(values[i]) < k_near_tie) return false;
      }
    }
    return true;
  }

  void bisect() {
    std::vector<float> middle(left_.size());
    for (bool goes_on = true; goes_on;) {
      goes_on = false;
      for (size_t i = 0; i < middle.size(); ++i)
        middle[i] = float_of(static_cast<int32_t>((static_cast<int64_t>(left_[i]) + right_[i]) >> 1));
      const std::vector<uint8_t> codes = codes_of(middle);
      for (size_t i = 0; i < middle.size(); ++i) {
        if (static_cast<int64_t>(right_[i]) - left_[i] <= 1) continue;
        (codes[i] == left_code_[i] ? left_ : right_)[i] = rank_of(middle[i]);
        goes_on = true;
      }
    }
  }

  /// How far the floats next to a step go to and fro.
  bool look_around() {
    constexpr int k_count = 2 * k_around;
    std::vector<float> at;
    for (const int32_t left : left_)
      for (int i = 1; i <= k_count; ++i) at.push_back(float_of(left - k_around + i));
    const std::vector<uint8_t> codes = codes_of(at);
    for (size_t s = 0; s < steps_.size(); ++s) {
      const std::span<const uint8_t> own = std::span(codes).subspan(s * k_count, k_count);
      const int before = left_code_[s], after = before + steps_[s].rise;
      int first = 0, last = k_count;
      while (first < k_count && own[static_cast<size_t>(first)] == before) ++first;
      while (last > 0 && own[static_cast<size_t>(last - 1)] == after) --last;
      if (first < k_around / 2 || last > k_count - k_around / 2) return false;
      steps_[s].before = float_of(left_[s] - k_around + first);
      steps_[s].after = float_of(left_[s] - k_around + 1 + last);
    }
    return true;
  }

  const CodeRule& rule_;
  const ActivationKernels& kernels_;
  std::vector<int32_t> left_, right_;
  std::vector<uint8_t> left_code_;
  std::vector<Step> steps_;
};

int32_t word_of(const CodeSteps& steps, float v) {
  const float w = std::nearbyint(std::fma(v, steps.scale, steps.offset));
  return static_cast<int32_t>(std::min(std::max(w, 0.0f), 65535.0f));
}

/// Fills the tables for scale and offset; false where a step has no place in them.
bool fill(std::span<const Step> found, uint8_t first_code, CodeSteps& steps) {
  std::fill_n(&steps.place[0][0], sizeof steps.place, uint8_t{255});
  steps.slots = 1;
  steps.first_rising = 0;
  int code = first_code, cell = 0, used = 0;
  steps.base[0] = first_code;
  bool rises = false;
  for (const Step& step : found) {
    const int32_t word = word_of(steps, step.before);
    if (word != word_of(steps, step.after) || word == 0 || word % 256 == 255) return false;
    while (cell < word / 256) steps.base[++cell] = static_cast<uint8_t>(code), used = 0;
    if (step.rise > 0 && !rises) {
      if (used > 0 || cell == 255) return false;  // the cell has falling steps
      steps.first_rising = cell;
    }
    if (step.rise < 0 && rises) return false;
    rises = step.rise > 0;
    if (used == k_most_cell_steps) return false;
    if (used > 0 && steps.place[used - 1][cell] == word % 256) return false;
    steps.place[used++][cell] = static_cast<uint8_t>(word % 256);
    steps.slots = std::max(steps.slots, used);
    code += step.rise;
  }
  if (!rises) return false;
  while (cell < 255) steps.base[++cell] = static_cast<uint8_t>(code);
  return true;
}

}  // namespace

void codes_of(const CodeRule& rule, const ActivationKernels& kernels, float* v, size_t n, uint8_t* q) {
  constexpr size_t k_part = 1024;  // stays in L1 between the two
  for (size_t i = 0; i < n; i += k_part) {
    const size_t count = std::min(k_part, n - i);
    kernels.activate(v + i, count, rule.activation);
    kernels.quantize(v + i, count, rule.inverse_scale, rule.zero_point, rule.lo, rule.hi, q + i);
  }
}

std::optional<CodeSteps> find_code_steps(const CodeRule& rule, const ActivationKernels& kernels) {
  if (!(rule.inverse_scale > 0x1p-20f && rule.inverse_scale < 0x1p20f)) return std::nullopt;
  const std::vector<Step> found = Finder(rule, kernels).steps();
  if (found.empty()) return std::nullopt;
  uint8_t first_code = 0;
  float lowest = found.front().before;
  codes_of(rule, kernels, &lowest, 1, &first_code);
  // Whether no step falls on a place that has none is a matter of luck: about one offset in ten will do.
  const double low = found.front().before, width = found.back().after - low;
  std::optional<CodeSteps> best;
  constexpr int k_offsets = 48;
  for (int i = 0; i < k_offsets; ++i) {
    CodeSteps steps;
    const double cell = width / 254.0, begin = low - cell * (i + 1) / (k_offsets + 1);
    steps.scale = static_cast<float>(256.0 / cell);
    steps.offset = static_cast<float>(-begin * 256.0 / cell);
    if (!fill(found, first_code, steps)) continue;
    if (!best || steps.slots < best->slots) best = steps;
    if (best->slots <= 2) break;
  }
  return best;
}

}  // namespace octet
