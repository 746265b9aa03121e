#pragma once
// A network made ready to run: engine in memory plus one context.

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "octet/model.h"
#include "report/inspection.h"

namespace octet {

/// How a GPU is used; of no effect on a CPU.
struct GpuSpec {
  /// Of layers that are not INT8: fp32 | tf32 | fp16, on a CPU bf16; empty = by the precision, else fp32.
  std::string floats;
  bool graph = true;            // a run is one CUDA graph; false: its kernels are launched one by one
  std::string wait = "driver";  // how the host waits: driver (as it likes) | spin (asking) | block (asleep)
  bool managed = false;         // inputs and outputs in managed memory
  /// Memory of a context: runtime (for its own shapes) | profile (for the largest of its profile) | static (for the
  /// largest of the plan).
  std::string allocation = "runtime";
};

struct SessionSpec {
  /// fp32 | int8 | best | fp16, tf32 (of a GPU) | bf16 (of a CPU that has it; else FP32 runs and a note says so);
  /// layers that a Q/DQ file quantizes always run in INT8
  std::string precision = "fp32";
  std::string device = "cpu";  // cpu | ref | cuda | cuda:N
  GpuSpec gpu;
  int threads = 1;             // 0 = all usable
  int64_t batch = 0;           // for a free leading dimension; 0 = 1
  bool batch_if_free = false;  // true: that the network keeps another batch is not told
  std::map<std::string, Dims> shapes;
  int64_t profile = -1;  // of a plan that has several: shapes lie in it, its best ones by default; -1 = any
  // int8 of a float model: one of these two
  std::string ranges;         // file
  CalibrateSpec calibration;  // calibration.data.path
  QuantizeSpec quantization;
  std::set<std::string> skip_passes;
  /// 0 to 2: the static cost model chooses the tactics; 3, 4, 5: they are timed, longer each time.
  int optimization_level = 2;
  int timing_rounds = 0;     // times that each candidate is run when timing; 0 = the level's own number
  std::string timing_cache;  // file, read and updated when timing; empty = none
};

struct SessionTimes {
  double calibrate_s = 0, tune_s = 0, build_s = 0, load_s = 0;
};

/// One input or output as bound.
struct Port {
  std::string name;
  Dims dims;
  std::string dtype;  // "float32"
  size_t bytes = 0;
};

class EngineFile;

class Session {
 public:
  struct State;
  static Result<Session> build(const Model& model, const SessionSpec& spec);
  /// A built network: of the spec only device, threads, batch and shapes count (and precision, which must not
  /// contradict the file). Errors: shapes outside the file's profile.
  static Result<Session> load(const EngineFile& file, const SessionSpec& spec);
  /// From an ONNX file or an engine file, whichever it is.
  static Result<Session> open(const std::string& path, const SessionSpec& spec, const LoadOptions& options = {});
  /// A further context of the same engine: shares weights and worker threads, has its own activations, may run on
  /// another thread at the same time.
  Result<Session> another() const;
  Session(Session&&) noexcept;
  Session& operator=(Session&&) noexcept;
  ~Session();

  const std::string& path() const;  // of the model or engine file
  const std::vector<Port>& inputs() const;
  const std::vector<Port>& outputs() const;
  int64_t batch() const;            // leading extent of the first input
  std::string description() const;  // "cpu avx512_vnni, 1 thread"
  std::string isa() const;          // "avx512_vnni"; "none" for ref
  int threads() const;
  std::string precision() const;  // "fp32" | "int8" | "int8 and fp16" | ...
  size_t packed_bytes() const;    // weights as packed for the device
  size_t context_bytes() const;   // activations and scratch of one context
  size_t arena_bytes() const;
  std::vector<LayerInfo> layers() const;
  const SessionTimes& times() const;
  /// Every candidate tactic with its time or the reason why it was not timed; empty when nothing was timed.
  const std::string& tuning_log() const;
  const std::vector<std::string>& notes() const;
  /// Of the samples behind the ranges, as the Q/DQ file says it; empty when nothing is known.
  const std::string& calibration_preprocess() const;
  bool is_uncalibrated() const;  // ranges found on noise
  bool ends_in_softmax() const;  // output 0 is a Softmax already

  /// Dense buffers in port order, used in place; an Error names the one that does not fit. One thread at a time.
  Result<Done> run(std::span<const std::byte* const> inputs, std::span<std::byte* const> outputs);
  /// The same, adding seconds per layer.
  Result<Done> run_profiled(std::span<const std::byte* const> inputs, std::span<std::byte* const> outputs,
                            std::vector<double>& layer_seconds);

  State& state() { return *state_; }
  const State& state() const { return *state_; }

 private:
  explicit Session(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace octet
