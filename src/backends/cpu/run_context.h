#pragma once
// What a step is given when it runs: where its values lie, its scratch memory, the threads.

#include <algorithm>
#include <optional>
#include <span>

#include "backends/cpu/operand.h"
#include "base/thread_pool.h"
#include "kernels/implicit_gemm/weights_ahead.h"
#include "plan/backend.h"

namespace octet::cpu {

/// Who runs a step: the pool, whose workers are started for each of its loops; a team of them, which goes from loop to
/// loop; or one worker, while others run the same steps for other images.
struct Crew {
  ThreadPool& pool;
  TeamWalk* team = nullptr;
  int alone = -1;  // the worker
};

/// Everything that differs from run to run.
class RunContext {
 public:
  /// scratch_bytes: of each worker. error: where a step that can fail leaves the first failure. first_image: of a step
  /// that sees a part of the batch.
  RunContext(std::byte* arena, const Bindings& io, std::byte* workspace, size_t scratch_bytes, const Crew& crew,
             std::optional<Error>& error, size_t first_image = 0, std::span<const std::byte> next_weights = {},
             const WeightsAhead* ahead = nullptr)
      : arena_(arena),
        io_(io),
        workspace_(workspace),
        scratch_bytes_(scratch_bytes),
        crew_(crew),
        error_(error),
        first_image_(first_image),
        next_weights_(next_weights),
        ahead_(ahead) {}

  template <class T>
  T* at(const Place& place) const {
    return reinterpret_cast<T*>(address(place));
  }
  template <class T>
  T* at(const Operand& operand) const {
    return at<T>(operand.place);
  }
  /// This worker's own bytes: as many as the step asked for, 64-byte aligned.
  template <class T>
  T* scratch(int worker) const {
    return reinterpret_cast<T*>(workspace_ + static_cast<size_t>(worker) * scratch_bytes_);
  }
  /// The step's shared bytes, behind the scratch of all workers. Not for steps that one worker runs alone.
  template <class T>
  T* shared() const {
    return scratch<T>(crew_.pool.threads());
  }
  /// Called by the step's own thread only.
  void fail(Error error) const {
    if (!error_) error_ = std::move(error);
  }
  int threads() const { return crew_.alone >= 0 ? 1 : crew_.pool.threads(); }
  /// Packed weights of the next step that has some, if it is near.
  std::span<const std::byte> next_weights() const { return next_weights_; }
  /// What a step with PreparedStep::spare_bytes brings near in place of these; null = nothing is known.
  const WeightsAhead* ahead() const { return ahead_; }

  /// body(chunk, worker) for every chunk in [0, chunks), on all that run the step. Returns when all are done; in a team
  /// when all are taken, and the next loop's begin when they are done.
  template <class F>
  void for_chunks(int64_t chunks, F&& body) const {
    if (crew_.alone >= 0) {
      for (int64_t chunk = 0; chunk < chunks; ++chunk) body(chunk, crew_.alone);
    } else if (crew_.team) {
      crew_.team->loop(chunks, body);
    } else {
      crew_.pool.parallel_for(chunks, body);
    }
  }

  /// What only one does, and the others wait for.
  template <class F>
  void once(F&& act) const {
    for_chunks(1, [&](int64_t, int) { act(); });
  }

  /// Cuts [0, units) into runs of neighbours, one per chunk, and calls body(first, last, worker) for each. A chunk
  /// holds at least about k_chunk_elements, since a wake-up costs as much as working through some thousands of them;
  /// where the workers are there already, each gets one that costs more than to begin it.
  template <class F>
  void parallel(int64_t units, int64_t elements_per_unit, F&& body) const {
    constexpr int64_t k_chunk_elements = 16384, k_team_chunk_elements = 2048;
    const int64_t elements = units * std::max<int64_t>(elements_per_unit, 1), workers = threads();
    const int64_t for_all = crew_.team ? std::min(elements / k_team_chunk_elements, workers) : 0;
    const int64_t wanted = std::max(std::min(elements / k_chunk_elements, 4 * workers), for_all);
    const int64_t chunks = std::clamp<int64_t>(wanted, 1, std::max<int64_t>(units, 1));
    for_chunks(threads() == 1 ? 1 : chunks, [&](int64_t chunk, int worker) {
      const int64_t n = threads() == 1 ? 1 : chunks;
      body(units * chunk / n, units * (chunk + 1) / n, worker);
    });
  }

 private:
  std::byte* address(const Place& place) const {
    const size_t skipped = first_image_ * place.image_bytes, worker = static_cast<size_t>(std::max(crew_.alone, 0));
    switch (place.kind) {
      case Place::Kind::arena: return arena_ + place.at + skipped + place.worker_bytes * worker;
      case Place::Kind::input: return io_.inputs[place.at].data + skipped;
      case Place::Kind::output: return io_.outputs[place.at].data + skipped;
      case Place::Kind::constant: return const_cast<std::byte*>(place.data);  // nobody writes to a constant place
      case Place::Kind::nowhere: break;
    }
    return nullptr;
  }

  std::byte* arena_;
  const Bindings& io_;
  std::byte* workspace_;
  size_t scratch_bytes_;
  Crew crew_;
  std::optional<Error>& error_;
  size_t first_image_;
  std::span<const std::byte> next_weights_;
  const WeightsAhead* ahead_;
};

/// The chunks of any layer object (ConvF32, ConvU8S8, ConvBf16).
template <class Layer, class Args>
void run_layer(const RunContext& run, const Layer& layer, const Args& args) {
  const int threads = run.threads();
  run.for_chunks(layer.chunks(args.batch, threads), [&](int64_t chunk, int worker) {
    layer.run_chunk(args, chunk, threads, run.scratch<std::byte>(worker));
  });
}

}  // namespace octet::cpu
