#pragma once
// The chunks of a job, dealt out: a range of neighbours for each worker, who takes its own from the front; when these
// are gone, others' from the back. Neighbouring chunks of one layer after the other tend to meet the same data.
//
// A range is one word, {job, first and end of what nobody has taken yet}, and taking is one compare-and-swap on it. A
// range that still has the number of an older job has not been touched: whoever takes from it first brings it up to
// date. So one who comes late with an old number takes nothing: every range of a finished job that had a chunk is empty
// or belongs to a later job.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

namespace octet {

/// Two lines of 64 bytes are often fetched as a pair.
inline constexpr size_t k_apart = 128;

class ChunkRanges {
 public:
  static constexpr int k_chunk_bits = 18, k_job_bits = 64 - 2 * k_chunk_bits;
  static constexpr uint64_t k_chunk_mask = (uint64_t{1} << k_chunk_bits) - 1;
  static constexpr uint64_t k_job_mask = (uint64_t{1} << k_job_bits) - 1;
  static constexpr int64_t k_most_chunks = k_chunk_mask;
  /// After so many jobs at most, renew(): no range falls behind by half of all numbers, and passes for one ahead.
  static constexpr uint64_t k_renewal = uint64_t{1} << (k_job_bits - 3);

  explicit ChunkRanges(int workers)
      : workers_(workers), ranges_(std::make_unique<Range[]>(static_cast<size_t>(workers))) {}

  /// Takes a chunk of `job` (at most k_job_mask; it has `chunks`) out of the range of `owner`; false when there is
  /// none.
  bool take(uint64_t job, uint64_t chunks, int owner, bool from_front, int64_t& chunk) {
    std::atomic<uint64_t>& word = ranges_[static_cast<size_t>(owner)].word;
    uint64_t w = word.load(std::memory_order_acquire);
    while (true) {
      uint64_t first = w >> k_chunk_bits & k_chunk_mask, end = w & k_chunk_mask;
      if (const uint64_t ahead = ((w >> (2 * k_chunk_bits)) - job) & k_job_mask; ahead != 0) {
        if (ahead <= k_job_mask / 2) return false;  // the job is an old one
        const auto all = static_cast<uint64_t>(workers_), own = static_cast<uint64_t>(owner);
        first = (chunks * own + all - 1) / all;
        end = (chunks * (own + 1) + all - 1) / all;
      }
      if (first >= end) return false;
      const uint64_t left = from_front ? word_of(job, first + 1, end) : word_of(job, first, end - 1);
      if (!word.compare_exchange_weak(w, left, std::memory_order_acq_rel, std::memory_order_acquire)) continue;
      chunk = static_cast<int64_t>(from_front ? first : end - 1);
      return true;
    }
  }

  /// While nobody takes: every range belongs to `job`, a finished one, and is empty.
  void renew(uint64_t job) {
    for (int w = 0; w < workers_; ++w)
      ranges_[static_cast<size_t>(w)].word.store(word_of(job, 0, 0), std::memory_order_relaxed);
  }

 private:
  struct alignas(k_apart) Range {
    std::atomic<uint64_t> word{0};
  };

  static constexpr uint64_t word_of(uint64_t job, uint64_t first, uint64_t end) {
    return job << (2 * k_chunk_bits) | first << k_chunk_bits | end;
  }

  int workers_;
  std::unique_ptr<Range[]> ranges_;
};

}  // namespace octet
