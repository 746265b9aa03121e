#pragma once
// A built network as a value and as a file (docs/plan_format.md): what `octet build` writes and every command reads.

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "octet/model.h"
#include "octet/session.h"

namespace octet {

/// Shapes that one input may have: extents between smallest and largest, tuned for best.
struct ShapeRange {
  Dims smallest, best, largest;
};

/// How a tensor goes in or out where that is not the network's own way.
struct IoFormat {
  /// "int8", "uint8": the codes that the network makes of it; "float16": half precision of a float32; empty = its own.
  std::string dtype;
  /// Of four dimensions, in memory and in the plan's dims: 0 = as the network has it, [N,C,H,W]; 1 = channels last,
  /// [N,H,W,C]; 4, 32, ... = so many channels together, [N,C/4,H,W,4], the last group filled up with zeros.
  int channels_together = 0;
  int64_t channels = 0;  // of the network's tensor, in formats(): what is behind them in the last group is filling
  bool operator==(const IoFormat&) const = default;
};
/// "chw", "hwc", "chw4", "chw32": trtexec's words for it.
std::string order_name(const IoFormat& format);
/// A tensor's dims as the plan has them, and as the network has them; other than four dimensions as they are.
Dims dims_in_format(const Dims& of_network, const IoFormat& format);
Dims dims_in_network(const Dims& of_plan, const IoFormat& format);

struct BuildSpec {
  SessionSpec
      session;  // precision, calibration or ranges, quantization, passes, threads; batch and shapes = best shape
  std::map<std::string, ShapeRange> profile;  // by input; empty = the session's shapes only
  /// Optimization profiles within that range, kept in the plan; empty = the range is the only one.
  std::vector<std::map<std::string, ShapeRange>> profiles;
  /// Ranges file as a calibration cache: used when it fits model, data and preprocessing, refused with the reason when
  /// it does not, written after the calibration when it is not there. Empty = none.
  std::string cache;
  std::map<std::string, IoFormat> formats;  // by input or output; the spec's shapes stay in the network's own order
  double require_int8 = 0;     // percent of the multiply-accumulates that have to be in INT8, or the build fails
  size_t workspace_bytes = 0;  // at most so much memory for activations and scratch; 0 = no limit
  bool packed = true;          // add the weights as this machine packs them: a larger file, loaded without packing
  bool refittable = false;     // said in the plan: others refuse to have their weights replaced
  bool uncalibrated = false;   // ranges are placeholders: stamped into the file and said by every command
};

/// What the first bytes of a plan say, whatever follows.
struct PlanVersion {
  uint32_t format = 0, arithmetic = 0;
  std::string writer;  // "octet 0.1.0"
};

/// Immutable; copies share.
class EngineFile {
 public:
  /// True when the file begins as a plan file does.
  static bool is_engine_file(const std::string& path);
  /// From the header alone: also of a plan that this octet cannot read. Errors: no plan, or no whole header.
  static Result<PlanVersion> version(const std::string& path);
  /// Errors: unreadable, cut off, corrupted, of another format or arithmetic version (both named).
  static Result<EngineFile> load(const std::string& path);
  /// To a temporary name, synced, renamed.
  Result<Done> save(const std::string& path) const;

  const std::string& path() const;  // as loaded; the model's after build
  size_t size_bytes() const;        // of the file
  std::string writer() const;       // "octet 0.1.0"
  /// "fp32" | "int8" | "fp16" | "tf32" | "int8 and fp32" | "int8 and fp16" | "int8 and tf32"
  std::string precision() const;
  bool is_uncalibrated() const;
  bool is_refittable() const;
  /// At least one: by input, in the order of the build; inputs of one shape too.
  std::vector<std::map<std::string, ShapeRange>> profiles() const;
  std::string hash() const;          // of the file's bytes, 16 hex digits: equal builds have equal hashes
  double int8_percent() const;       // of the multiply-accumulates; 0 where there are none
  std::string layer_counts() const;  // "58 INT8, 3 FP32 layers, 2 conversions; 99.2 % of MACs in INT8"
  const std::vector<std::pair<std::string, std::string>>& provenance() const;
  std::vector<TensorInfo> inputs() const;  // shape: "[1..32,3,224,224]" where the profile leaves a choice
  std::vector<TensorInfo> outputs() const;
  /// "tactics for ...", "packed weights for ...": what it holds for single machines beside the portable part.
  std::vector<std::string> device_parts() const;
  /// Of the inputs and outputs that were built in another format than the network's.
  std::map<std::string, IoFormat> formats() const;
  std::string text(bool elided) const;            // the fused graph at its best shapes
  const std::vector<std::string>& notes() const;  // of build or load
  const std::string& tuning_log() const;          // of build: every candidate tactic with its time or reason
  const SessionTimes& times() const;              // what build took

  struct State;
  explicit EngineFile(std::shared_ptr<const State> state) : state_(std::move(state)) {}
  const State& state() const { return *state_; }

 private:
  std::shared_ptr<const State> state_;
};

/// What `octet build --json` prints. output_file: where the plan was saved.
std::string to_json(const EngineFile& engine, const std::string& output_file);

/// Errors: what Session::build says; a profile that the network cannot take; a stale cache; too little workspace.
Result<EngineFile> build_engine(const Model& model, const BuildSpec& spec);

}  // namespace octet
