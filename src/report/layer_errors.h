#pragma once
// How far the layers of a quantized engine are from the float network: own error and accumulated error.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace octet {

/// Sums from which the figures of one comparison follow; reference values are x, the engine's y.
struct ErrorSums {
  double xx = 0, yy = 0, xy = 0, dd = 0, largest = 0;
  int64_t count = 0;
  void add(double x, double y);
  /// 10 log10(sum x^2 / sum (x - y)^2); infinite for equal values.
  double sqnr_db() const;
  double cosine() const;
};

/// In words, so that nobody reads a tolerance into a figure. Own errors of INT8 layers lie in `good` as a rule.
///   exact: equal; good: 30 dB and more; fair: 20 to 30; poor: 10 to 20; broken: below 10 dB.
std::string band(double sqnr_db);

struct LayerError {
  std::string name, op, value;   // step, its op, the value it makes
  std::string reference;         // the float network's value that it is compared with; empty = there is none
  std::optional<ErrorSums> own;  // fed with the float network's values, quantized
  ErrorSums accumulated;         // as the engine ran
  bool is_codes = false;
  bool of_input = false;              // does nothing but quantize one of the network's inputs
  double clipped = 0;                 // share of the float values beyond the codes' range
  int64_t used_codes = 0, codes = 0;  // of 256, or of what the zero point and sign leave
};

struct LayerErrorReport {
  std::string model, engine, device;
  int64_t samples = 0;
  bool unchanged = false;  // the tapped engine's outputs equal the untapped one's, byte for byte
  std::vector<LayerError> layers;
  std::string note;  // what makes the figures doubtful, or empty
  int64_t compared() const;
  /// Of the compared ones, those that are no quantizer of an input: these any two networks of one input share.
  int64_t compared_beyond_inputs() const;
};

std::string to_text(const LayerErrorReport& report);
/// {"layers": [{"name", "sqnr_db_own", "sqnr_db_accumulated", "cosine", "max_error", "clipped", ...}], ...}; an
/// infinite ratio is null.
std::string to_json(const LayerErrorReport& report);

}  // namespace octet
