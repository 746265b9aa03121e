#pragma once
// Keys of Graph::metadata, which are also the keys of metadata_props in the ONNX files that octet writes.

namespace octet {

/// The canonical preprocessing spec of the calibration samples; evaluation under another one warns.
inline constexpr const char* k_meta_preprocess = "octet.preprocess";
/// "UNCALIBRATED" where the ranges do not come from real data (noise): figures of accuracy mean nothing. Else
/// "calibrated".
inline constexpr const char* k_meta_calibration = "octet.calibration";
inline constexpr const char* k_uncalibrated = "UNCALIBRATED";
/// The method of the ranges, the samples' number and hash, and the float graph they were found on.
inline constexpr const char* k_meta_method = "octet.method";
inline constexpr const char* k_meta_samples = "octet.samples";
inline constexpr const char* k_meta_data_hash = "octet.data_hash";
inline constexpr const char* k_meta_model_hash = "octet.float_model_hash";
/// Why --force was needed, where it was given.
inline constexpr const char* k_meta_forced = "octet.forced";
/// Only keys that begin so are read and kept.
inline constexpr const char* k_meta_prefix = "octet.";

}  // namespace octet
