#pragma once
// The chunks of a job, dealt out: a range of neighbours for each worker, who takes its own from the front; when these
// are gone, others' from the back. Neighbouring chunks of one layer after the other tend to meet the same data.
//
// A range is one word, {job, how many are taken from its front, and from its back}, and taking is one compare-and-swap
// on it. A range that still has the number of an older job has not been touched: whoever takes from it first brings it
// up to date. So one who comes late with an old number takes nothing: every range of a finished job that had a chunk is
// used up or belongs to a later job.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

namespace octet {

/// Two lines of 64 bytes are often fetched as a pair.
inline constexpr size_t k_apart = 128;

/// Of a job's chunks, those of one worker.
struct OwnChunks {
  uint32_t first = 0, end = 0;

  OwnChunks() = default;
  /// chunks: of the job, at most ChunkRange::k_most_chunks.
  OwnChunks(uint64_t chunks, int owner, int workers) {
    const auto n = static_cast<uint32_t>(chunks), all = static_cast<uint32_t>(workers);
    const auto own = static_cast<uint32_t>(owner);
    first = (n * own + all - 1) / all;
    end = (n * (own + 1) + all - 1) / all;
  }
  uint32_t count() const { return end - first; }
};

class ChunkRange {
 public:
  static constexpr int k_chunk_bits = 18, k_job_bits = 64 - 2 * k_chunk_bits;
  static constexpr uint64_t k_chunk_mask = (uint64_t{1} << k_chunk_bits) - 1;
  static constexpr uint64_t k_job_mask = (uint64_t{1} << k_job_bits) - 1;
  static constexpr int64_t k_most_chunks = k_chunk_mask;
  /// After so many jobs at most, use_up() of a finished one: no range falls behind by half of all numbers, and passes
  /// for one ahead.
  static constexpr uint64_t k_renewal = uint64_t{1} << (k_job_bits - 3);

  /// Takes a chunk of `job` (at most k_job_mask); false when there is none.
  bool take(uint64_t job, OwnChunks own, bool from_front, int64_t& chunk) {
    uint64_t w = word_.load(std::memory_order_acquire);
    while (true) {
      const Taken taken = taken_of(w, job);
      if (taken.is_over || taken.front + taken.back >= own.count()) return false;
      const uint64_t next =
          from_front ? word_of(job, taken.front + 1, taken.back) : word_of(job, taken.front, taken.back + 1);
      if (!word_.compare_exchange_weak(w, next, std::memory_order_acq_rel, std::memory_order_acquire)) continue;
      chunk = static_cast<int64_t>(from_front ? own.first + taken.front : own.end - 1 - taken.back);
      return true;
    }
  }

  /// Nothing is left to take of `job`.
  bool is_taken(uint64_t job, OwnChunks own) const {
    const Taken taken = taken_of(word_.load(std::memory_order_relaxed), job);
    return taken.is_over || taken.front + taken.back >= own.count();
  }

  /// The owner's, of its first chunk of a job that nobody can be at before the owner says so, when the job before has
  /// nothing left here: then nobody else writes the word.
  void claim_first(uint64_t job) { word_.store(word_of(job, 1, 0), std::memory_order_relaxed); }
  /// What claim_first() has taken is anybody's.
  void give_back() { word_.fetch_sub(uint64_t{1} << k_chunk_bits, std::memory_order_seq_cst); }

  /// While nobody takes: nothing is left of `job`.
  void use_up(uint64_t job) { word_.store(word_of(job, k_chunk_mask, 0), std::memory_order_relaxed); }

 private:
  struct Taken {
    uint64_t front = 0, back = 0;
    bool is_over = false;  // a later job has begun here
  };
  static Taken taken_of(uint64_t word, uint64_t job) {
    const uint64_t ahead = ((word >> (2 * k_chunk_bits)) - job) & k_job_mask;
    if (ahead != 0) return {.is_over = ahead <= k_job_mask / 2};
    return {word >> k_chunk_bits & k_chunk_mask, word & k_chunk_mask, false};
  }
  static constexpr uint64_t word_of(uint64_t job, uint64_t front, uint64_t back) {
    return job << (2 * k_chunk_bits) | front << k_chunk_bits | back;
  }

  std::atomic<uint64_t> word_{0};
};

/// The ranges of all workers.
class ChunkRanges {
 public:
  explicit ChunkRanges(int workers)
      : workers_(workers), ranges_(std::make_unique<Apart[]>(static_cast<size_t>(workers))) {}

  /// Takes a chunk of `job`, which has `chunks`, out of the range of `owner`; false when there is none.
  bool take(uint64_t job, uint64_t chunks, int owner, bool from_front, int64_t& chunk) {
    return ranges_[static_cast<size_t>(owner)].range.take(job, {chunks, owner, workers_}, from_front, chunk);
  }

  /// Of an owner whose chunks nobody else takes: they are taken.
  void use_up(uint64_t job, int owner) { ranges_[static_cast<size_t>(owner)].range.use_up(job); }

  /// While nobody takes: `job` is a finished one.
  void renew(uint64_t job) {
    for (int w = 0; w < workers_; ++w) use_up(job, w);
  }

 private:
  struct alignas(k_apart) Apart {
    ChunkRange range;
  };

  int workers_;
  std::unique_ptr<Apart[]> ranges_;
};

}  // namespace octet
