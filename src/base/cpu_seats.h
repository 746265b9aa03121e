#pragma once
// Keeps the threads of a pool on CPUs of their own. A wake-up often lands a worker on its waker's CPU, and there the
// two take turns for as long as the scheduler sees no reason to part them, while another CPU idles.

#include <pthread.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <vector>

namespace octet {

class CpuSeats {
 public:
  /// workers: threads besides the caller. The CPUs to sit on are those this process may use now.
  explicit CpuSeats(int workers);

  /// Before the first spread().
  void add(pthread_t thread) { threads_.push_back(thread); }
  /// Called by the worker (0, 1, ...) whenever it is about to take work.
  void note(int worker) {
    std::atomic<int>& seat = seats_[worker].cpu;
    const int cpu = current_cpu();
    if (seat.load(std::memory_order_relaxed) != cpu) seat.store(cpu, std::memory_order_relaxed);
  }
  /// Called by the thread that hands out work, by one at a time: a worker last seen on the caller's CPU, or on that of
  /// another worker, may from now on run on the CPUs that nobody was seen on. Costs some nanoseconds where all sit
  /// well.
  void spread();

 private:
  struct alignas(64) Seat {
    std::atomic<int> cpu{-1};  // where the worker was last seen; -1 = not since it was moved
  };
  static int current_cpu();
  bool all_sit_well(int own) const;
  void move(size_t worker);

  std::unique_ptr<Seat[]> seats_;
  std::vector<pthread_t> threads_;
  std::vector<int> cpus_;  // that may be used
  // Of one spread(), kept so that it allocates nothing: CPUs that somebody sits on, workers to be moved, their new
  // mask.
  std::vector<int> taken_;
  std::vector<size_t> to_move_;
  std::vector<unsigned long> mask_;
  std::chrono::steady_clock::time_point last_move_{};
};

}  // namespace octet
