#pragma once
// From the values of an activation's input to codes: form 3 of src/ir/ops/README.md, behind the sums.

#include <memory>

#include "base/isa.h"
#include "kernels/activation/code_steps.h"

namespace octet {

class ActivationCodes {
 public:
  /// many_values: they come as many thousands, so that finding the steps of the rule pays, and none is NaN or larger
  /// than k_most_stepped.
  ActivationCodes(const CodeRule& rule, Isa isa, bool many_values);

  /// Whether it looks the codes up.
  bool has_steps() const { return steps_ != nullptr; }

  /// q[i] = the code of v[i] for n values, which may be overwritten. The more at a time, the fewer cycles each takes,
  /// up to some thousands.
  void run(float* v, size_t n, uint8_t* q) const;
  /// The same where v has `count` rows of `channels` values, one behind the other, whose codes lie at
  /// y + y_pixels[row] * y_step, or at y + row * y_step without y_pixels.
  void rows(float* v, size_t channels, size_t count, uint8_t* y, const int32_t* y_pixels, int64_t y_step) const;

 private:
  static constexpr size_t k_most_values = 4096;  // at a time
  void run_steps(const float* v, size_t n, uint8_t* q) const;

  CodeRule rule_;
  ActivationKernels kernels_;
  CodesOfStepsFn codes_of_steps_ = nullptr;
  std::shared_ptr<const CodeSteps> steps_;  // shared: a layer object may be copied, the tables stay
};

}  // namespace octet
