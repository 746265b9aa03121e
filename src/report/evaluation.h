#pragma once
// Accuracy of one model, or of two on the same images.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace octet {

/// An input or output as it was bound.
struct EvaluatedTensor {
  std::string name, dtype;  // "float32"
  std::vector<int64_t> dims;
};

struct Evaluation {
  std::string model, precision, device;
  std::vector<EvaluatedTensor> inputs, outputs;
  int64_t images = 0;
  bool labelled = false;
  int64_t top1_right = 0, top5_right = 0;
  double seconds = 0;  // network only, without reading and preprocessing
  std::string note;    // e.g. another preprocessing than at calibration
  double top1() const { return images ? static_cast<double>(top1_right) / static_cast<double>(images) : 0; }
  double top5() const { return images ? static_cast<double>(top5_right) / static_cast<double>(images) : 0; }
  double images_per_s() const { return seconds > 0 ? static_cast<double>(images) / seconds : 0; }
};

/// Second against first, image by image.
struct Comparison {
  double agreement = 0;                        // share of images with the same top-1
  double difference = 0, difference_ci95 = 0;  // top-1 of second minus first, half width of its paired 95 % interval
  double sqnr_db = 0, cosine = 0;              // of the outputs, first = the signal
};

struct EvaluationReport {
  Evaluation first;
  std::optional<Evaluation> second;
  std::optional<Comparison> comparison;
};

/// Paired difference of two proportions: gained = images only the second has right, lost = only the first.
/// Half width = 1.96 * sqrt(gained + lost - (gained - lost)^2 / n) / n. Source: Agresti, Categorical Data
/// Analysis, 10.1.
double paired_ci95(int64_t gained, int64_t lost, int64_t n);

/// "Input Tensor:" and "Output Tensor:" with a line for each, as scripts that validate a TensorRT engine print them:
/// the shape as Python's tuple, the format as TensorRT's.
std::string tensors_text(const Evaluation& evaluation);
std::string to_text(const EvaluationReport& report);
std::string to_json(const EvaluationReport& report);

}  // namespace octet
