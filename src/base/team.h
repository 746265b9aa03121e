#pragma once
// Loops that the workers of a pool go through in step, one after the other, without being sent for each: all workers
// walk through the same sequence of loops and share the chunks of each.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <type_traits>

#include "base/chunk_ranges.h"

namespace octet {

class CpuSeats;

/// What the walks of one team share: how far each worker is, and the chunks of the loop at hand.
class Team {
 public:
  explicit Team(int workers);
  int workers() const { return workers_; }

 private:
  friend class TeamWalk;
  friend class ThreadPool;
  struct alignas(k_apart) Progress {
    std::atomic<uint64_t> chunks{0};  // that this worker has finished, in all loops that ever were
  };

  /// Before and after the walks of a sequence, when nobody walks.
  void begin();
  bool is_over() const { return is_over_.load(std::memory_order_acquire); }
  bool is_done(uint64_t chunks) const;
  void sleep_until_done(uint64_t chunks);
  void add_finished(int worker, uint64_t chunks);

  int workers_;
  ChunkRanges ranges_;
  std::unique_ptr<Progress[]> progress_;
  // Loops and chunks of all sequences before the one at hand, and of that one too once the caller's walk has come to
  // its end.
  alignas(k_apart) std::atomic<uint64_t> loops_{0};
  std::atomic<uint64_t> chunks_{0}, loops_at_end_{0}, chunks_at_end_{0};
  std::atomic<bool> is_over_{true};
  alignas(k_apart) std::atomic<int> sleepers_{0};
  std::atomic<uint32_t> news_{0};  // what they wait on
};

/// One worker's way through the loops of a sequence; lives on that worker's stack.
class TeamWalk {
 public:
  /// Without others: loops run here, chunk by chunk.
  TeamWalk() = default;
  /// may_spin: there are CPUs for all. seats: where the workers sit.
  TeamWalk(Team& team, int worker, bool may_spin, CpuSeats& seats);
  ~TeamWalk();
  TeamWalk(const TeamWalk&) = delete;
  TeamWalk& operator=(const TeamWalk&) = delete;

  int worker() const { return worker_; }

  /// Every walk of the sequence must come here with the same number of chunks. Calls body(context, chunk, worker) for
  /// every chunk in [0, chunks), each once, on any of the workers, and returns when all are done. A walk that comes
  /// when the others have done them returns at once. A single chunk is the caller's: the other walks go on, and wait
  /// for it where they come to a loop of more.
  using Body = void (*)(void* context, int64_t chunk, int worker);
  void loop(int64_t chunks, Body body, void* context);

  /// The same for a callable void(int64_t chunk, int worker).
  template <class F>
  void loop(int64_t chunks, F&& body) {
    loop(
        chunks,
        [](void* f, int64_t chunk, int worker) { (*static_cast<std::remove_reference_t<F>*>(f))(chunk, worker); },
        const_cast<void*>(static_cast<const void*>(&body)));
  }

 private:
  void loop_part(int64_t first, int64_t chunks, Body body, void* context);
  void wait_for(uint64_t chunks);
  void report_own();
  uint64_t take_all(int owner, bool from_front, int64_t first, uint64_t chunks, Body body, void* context);

  Team* team_ = nullptr;
  CpuSeats* seats_ = nullptr;
  int worker_ = 0;
  bool may_spin_ = false;
  // Loops of a single chunk: others' walks have not waited for them, the caller's has not reported so many.
  bool is_ahead_ = false;
  uint64_t unreported_ = 0;
  uint64_t loops_ = 0, chunks_ = 0;  // up to and with the loop at hand
};

}  // namespace octet
