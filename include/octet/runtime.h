#pragma once
// liboctet_runtime: loads plan files (docs/plan_format.md) and runs them. Needs nothing but the C++ standard library:
// no ONNX, no pictures, no calibration. The same from C: octet_runtime.h.

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "octet/result.h"

namespace octet::runtime {

struct Options {
  std::string device = "cpu";                          // cpu | ref (slow, plain)
  int threads = 1;                                     // of all contexts together; 0 = all usable
  int64_t batch = 0;                                   // within the plan's profile; 0 = its best
  std::map<std::string, std::vector<int64_t>> shapes;  // by input, instead of batch
};

/// One input or output: dense, row-major.
struct Port {
  std::string name;
  std::string dtype;  // "f32", "s64", ...
  std::vector<int64_t> dims;
  size_t bytes = 0;
};

class Context;

/// Weights, ready to run. Immutable, safe to use from many threads; copies share.
class Engine {
 public:
  /// Errors: unreadable, cut off, corrupted, of another format; shapes outside the plan's profile.
  static Result<Engine> load(const std::string& path, const Options& options = {});
  /// From memory, which is copied.
  static Result<Engine> load(std::span<const std::byte> plan, const Options& options = {});

  const std::vector<Port>& inputs() const;
  const std::vector<Port>& outputs() const;
  std::string description() const;                // "cpu avx512_vnni, 1 thread"
  const std::vector<std::string>& notes() const;  // what a user should know, e.g. UNCALIBRATED
  /// The same network at another batch or other shapes of the plan's profile, with this engine's weights and threads.
  /// Errors: shapes outside the profile; a plan of one shape only.
  Result<Engine> at(int64_t batch, const std::map<std::string, std::vector<int64_t>>& shapes = {}) const;
  /// Memory for one run at a time. Many contexts of one engine run side by side.
  Result<Context> context() const;

 private:
  friend class Context;
  struct State;
  explicit Engine(std::shared_ptr<const State> state) : state_(std::move(state)) {}
  std::shared_ptr<const State> state_;
};

/// Belongs to one thread at a time; keeps its engine alive.
class Context {
 public:
  Context(Context&&) noexcept;
  Context& operator=(Context&&) noexcept;
  ~Context();
  /// One buffer per port, in port order, of the port's bytes and aligned for its elements; used in place, not copied.
  Result<Done> run(std::span<const void* const> inputs, std::span<void* const> outputs);

 private:
  friend class Engine;
  struct State;
  explicit Context(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

/// "0.1.0".
std::string version();

}  // namespace octet::runtime
