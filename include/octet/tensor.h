#pragma once
// The toolkit's functions on .npy files: what `octet tensor` does. Tensors in memory: octet/quant.h.

#include <optional>
#include <string>
#include <vector>

#include "octet/quant.h"

namespace octet {

/// f32 or f16, C order. Errors as of read_npy.
Result<Tensor> load_npy(const std::string& path);
Result<Done> save_npy(const std::string& path, const Tensor& tensor);

struct TensorSpec {
  std::string file;
  std::string output;                        // .npy of the values
  std::string scale_output;                  // quantize: .npy of the scale; empty = not written
  std::string amax;                          // a number, a .npy file, or empty: max|x| along the axes
  std::optional<std::vector<int64_t>> axis;  // that keep their own amax
  NumBits num_bits = 8;
  bool is_unsigned = false, full_range = false, ref_compat = false;
};

struct HistogramSpec {
  std::vector<std::string> files;            // one batch each, in this order
  std::string counts_output, edges_output;   // histogram: .npy; empty = not written
  std::string method;                        // calibrate: max, entropy, percentile, mse, or "all"
  std::string amax_output;                   // calibrate: .npy; empty = not written
  std::optional<std::vector<int64_t>> axis;  // calibrate: method max only
  NumBits num_bits = 8;
  bool is_unsigned = false, skip_zeros = false, skip_non_finite = false;
  int num_bins = 0;  // 0 = the calibrator's own
  double percentile = 99.99;
  int64_t stride = 1, start_bin = 0;
  bool ref_compat = false, numpy_hist = false;  // numpy_hist: NumPy's counting, with ref_compat only
};

/// What a task did, for people and for programs.
struct TensorReport {
  std::string text, json;
};

/// tensor_quant of a file: codes and scale.
Result<TensorReport> quantize_npy(const TensorSpec& spec);
/// fake_tensor_quant of a file, scaled E4M3 for (4, 3).
Result<TensorReport> fake_quantize_npy(const TensorSpec& spec);
/// Counts and edges over all files.
Result<TensorReport> histogram_npy(const HistogramSpec& spec);
/// amax over all files by one method or all four.
Result<TensorReport> calibrate_npy(const HistogramSpec& spec);

}  // namespace octet
