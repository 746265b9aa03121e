#pragma once
// Timing a session the way trtexec does, its layers, and the buffers to run it on.

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "base/aligned.h"
#include "base/result.h"
#include "octet/session.h"
#include "report/engine_layers.h"
#include "report/query_trace.h"

namespace octet {

/// Memory for every input and output of a session, 64-byte aligned, in port order.
class TensorBuffers {
 public:
  /// Inputs start as trtexec's random values: floats uniform in [-1, 1], integers -128..127, uint8 0..255, bool 0 or 1;
  /// each tensor from a generator of its own with the default seed, so always the same.
  static Result<TensorBuffers> make(const Session& session);
  /// Raw little-endian bytes of exactly the input's size (twice the size for 64-bit leftovers is not taken), or .npy of
  /// its dtype and shape. Errors name the file and both sizes.
  Result<Done> load(const std::string& input, const std::string& path);
  /// Another output's expected values, read the same way.
  Result<std::vector<std::byte>> read_output(const std::string& output, const std::string& path) const;
  /// Index of the input, or an Error that lists the names.
  Result<size_t> find_input(const std::string& name) const;
  Result<size_t> find_output(const std::string& name) const;

  std::span<std::byte> input(size_t i) { return {in_[i], inputs_[i].bytes}; }
  std::span<std::byte> output(size_t i) { return {out_[i], outputs_[i].bytes}; }
  std::span<const std::byte> output(size_t i) const { return {out_[i], outputs_[i].bytes}; }
  const std::vector<Port>& inputs() const { return inputs_; }
  const std::vector<Port>& outputs() const { return outputs_; }
  /// For Session::run.
  std::span<const std::byte* const> run_inputs() const { return const_in_; }
  std::span<std::byte* const> run_outputs() const { return out_; }

 private:
  std::vector<AlignedBytes> owned_;
  std::vector<Port> inputs_, outputs_;
  std::vector<std::byte*> in_, out_;
  std::vector<const std::byte*> const_in_;
};

struct MeasureSpec {
  int64_t iterations = 10;  // at least, counted from the end of the warm-up
  double duration_s = 3;    // at least, after the warm-up; -1 = until the process is stopped
  double warmup_ms = 200;
  double sleep_ms = 0;  // before the first query
  double idle_ms = 0;   // after each query, once warm
  bool transfers =
      true;             // false: inputs are copied once before, outputs once after; a CPU works on the caller's buffers
  bool overlap = true;  // a device brings the next query's inputs in while it computes; false: one query at a time
  bool threads = true;  // a host thread for each stream; false: one hands the queries of all streams over
};

/// A session with its buffers; several run at the same time, each on a thread of its own.
struct Stream {
  Session* session = nullptr;
  TensorBuffers* buffers = nullptr;
};

/// trtexec's loop (docs/trtexec.md "The loop"). All queries, warm-up included, in order of their start; outputs of the
/// last ones are in the buffers. With `profile`, the first stream's layers are timed as well, each run of it.
/// On a CPU: H2D copies the caller's inputs into the session's, D2H its outputs back, Enqueue is the hand-over alone.
/// A device with a clock of its own reports those phases itself, and has two queries of a stream in flight (overlap).
Result<std::vector<QueryTrace>> measure(std::span<const Stream> streams, const MeasureSpec& spec,
                                        RunProfile* profile = nullptr);

/// The steps of the engine, in running order, as --exportLayerInfo writes them.
std::vector<LayerDetail> layer_details(const Session& session);

/// A value that a step of the engine makes: the numbers themselves, or those that its codes stand for.
struct InnerValue {
  std::string name;  // the tensor of the ONNX file that it is, as numbers or codes
  std::string engine_name;
  std::string step;  // the step's own name
  Dims dims;
  std::vector<float> values;  // row-major; integers that are no codes as floats
};
/// One run on the buffers, of which every step's value is kept; fusion stays as it is. Errors: a device without taps.
Result<std::vector<InnerValue>> inner_values(Session& session, TensorBuffers& buffers);

/// Whether this build and machine have the device: "cpu", "ref", "cuda", "cuda:N".
bool has_device(const std::string& device);
/// Errors: why the device cannot be used: no such name, not built in, no driver, an old one, no such GPU.
Result<Done> check_device(const std::string& device);
/// Whether there is such a name, whatever build and machine have; all names, for messages: "cpu, ref, cuda or cuda:N".
bool is_device_name(const std::string& device);
std::string device_names();
/// Whether a name is one of a GPU; the name of the GPU of a number; the number of a name.
bool is_gpu(const std::string& device);
std::string gpu_device(const std::string& number = "0");
int gpu_ordinal(const std::string& device);
/// Whether this build has the device's back end, whatever the machine has.
bool is_device_built_in(const std::string& device);

/// trtexec's loss of actual against reference values: "l0" share of elements with |a - r| > atol + rtol |r|, "l1" mean
/// absolute, "l2" mean squared, "lInf" largest absolute difference, "cos" 1 - cosine similarity (0 for two zero
/// vectors). Errors: another algorithm, a dtype that has no numbers, different sizes.
Result<double> output_loss(const std::string& algorithm, const std::string& dtype, std::span<const std::byte> actual,
                           std::span<const std::byte> reference, double atol, double rtol);

}  // namespace octet
