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
  /// What others read of a worker lies in one line, which they fetch once a loop.
  struct alignas(k_apart) Place {
    ChunkRange range;                   // of the loop at hand
    std::atomic<uint64_t> finished{0};  // chunks that this worker has finished, in all loops that ever were
  };

  Place& place(int worker) const { return places_[static_cast<size_t>(worker)]; }
  /// Before and after the walks of a sequence, when nobody walks. may_spin: as for these.
  void begin(bool may_spin);
  bool is_over() const { return is_over_.load(std::memory_order_acquire); }
  /// The lines that a worker's walk needs first come together, before it begins.
  void bring_near(int worker) const;
  void wake();
  /// Behind a walk and a locked instruction: a sleeper that the walk's reports have missed is seen now.
  void wake_missed();

  int workers_;
  std::unique_ptr<Place[]> places_;
  // Loops and chunks of all sequences before the one at hand.
  alignas(k_apart) std::atomic<uint64_t> loops_{0};
  std::atomic<uint64_t> chunks_{0};
  std::atomic<bool> is_over_{true};
  // The callers': with the last sequence.
  alignas(k_apart) std::atomic<uint64_t> loops_at_end_{0};
  std::atomic<uint64_t> chunks_at_end_{0};
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
  /// every chunk in [0, chunks), each once, on any of the workers. Chunks of a loop begin when all of the loops before
  /// are done; a walk goes on when all of its own loop are taken, so others may still be at theirs. A single chunk is
  /// the caller's.
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

  /// Returns when all chunks of all loops so far are done. Of all walks, or of the caller's alone.
  void settle();

 private:
  void loop_part(int64_t first, int64_t chunks, Body body, void* context);
  bool all_done() const;
  bool all_taken(uint64_t chunks) const;
  void report(uint64_t finished);
  void take_own(int64_t first, OwnChunks own, Body body, void* context);
  void take_others(int64_t first, uint64_t chunks, Body body, void* context);
  void wait();
  void sleep();

  Team* team_ = nullptr;
  CpuSeats* seats_ = nullptr;
  int worker_ = 0;
  bool may_spin_ = false;
  bool has_claim_ = false;  // on the first own chunk of the next loop of more than one
  uint64_t loops_ = 0;      // of more than one chunk, up to and with the one at hand
  uint64_t chunks_ = 0;     // of all loops so far
  uint64_t finished_ = 0;   // by this worker
  uint64_t reported_ = 0;   // of these, known to the others
};

}  // namespace octet
