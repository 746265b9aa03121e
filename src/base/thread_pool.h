#pragma once
// octet's only thread pool. The caller is worker 0; each worker takes its own part of the chunks, then others'; workers
// spin for a short while, then sleep, so that a busy neighbour costs a wake-up and not the machine.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <type_traits>

#include "base/team.h"

namespace octet {

/// Threads to use by default: OCTET_THREADS when it is a number from 1 to 1024, else allowed_cpus() of base/cpus.h.
int usable_threads();

class ThreadPool {
 public:
  /// threads >= 1, the caller included; 0 = usable_threads(). When the system refuses a thread, the pool has fewer.
  explicit ThreadPool(int threads = 0);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int threads() const { return threads_; }

  /// Calls body(context, chunk, worker) for every chunk in [0, chunks), each exactly once, on any worker
  /// (0 .. threads()-1), and returns when all are done. Several threads may call it at once: one of them gets the
  /// workers, the others run their own chunks alone as worker 0, so scratch memory per worker must belong to the call
  /// and not to the pool. The body may not call parallel_for of the same pool.
  using Body = void (*)(void* context, int64_t chunk, int worker);
  void parallel_for(int64_t chunks, Body body, void* context);

  /// The same for a callable void(int64_t chunk, int worker).
  template <class F>
  void parallel_for(int64_t chunks, F&& body) {
    parallel_for(
        chunks,
        [](void* f, int64_t chunk, int worker) { (*static_cast<std::remove_reference_t<F>*>(f))(chunk, worker); },
        const_cast<void*>(static_cast<const void*>(&body)));
  }

  /// Calls walk(context, team) on the caller and on every worker that comes while loops are left: each walks through
  /// the same loops (TeamWalk::loop), whose chunks they share. One start of the workers serves them all. Between loops
  /// a walk neither reads what loops make nor writes what others see. Returns when all loops are done and nobody walks.
  /// Where the workers are taken (as above), the caller walks alone.
  using Walk = void (*)(void* context, TeamWalk& team);
  void run_team(Walk walk, void* context);

  /// The same for a callable void(TeamWalk&).
  template <class F>
  void run_team(F&& walk) {
    run_team([](void* f, TeamWalk& team) { (*static_cast<std::remove_reference_t<F>*>(f))(team); },
             const_cast<void*>(static_cast<const void*>(&walk)));
  }

 private:
  struct State;
  int threads_;
  std::unique_ptr<State> state_;
};

}  // namespace octet
