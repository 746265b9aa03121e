#include "base/cpu_seats.h"

#include <sched.h>

#include <algorithm>

#include "base/cpus.h"

namespace octet {
namespace {

/// Moving is a system call, and threads that outnumber the idle CPUs would be moved for ever.
constexpr auto k_between_moves = std::chrono::milliseconds(2);

}  // namespace

CpuSeats::CpuSeats(int workers)
    : seats_(std::make_unique<Seat[]>(static_cast<size_t>(std::max(workers, 1)))), cpus_(affinity_mask()) {
  const auto count = static_cast<size_t>(std::max(workers, 0));
  threads_.reserve(count);
  taken_.reserve(count + 1);
  to_move_.reserve(count);
  const size_t capacity = cpus_.empty() ? 1 : static_cast<size_t>(cpus_.back()) + 1;
  mask_.resize(CPU_ALLOC_SIZE(capacity) / sizeof(unsigned long));
}

int CpuSeats::current_cpu() { return sched_getcpu(); }

bool CpuSeats::all_sit_well(int own) const {
  for (size_t w = 0; w < threads_.size(); ++w) {
    const int cpu = seats_[w].cpu.load(std::memory_order_relaxed);
    if (cpu < 0) continue;
    if (cpu == own) return false;
    for (size_t other = 0; other < w; ++other)
      if (seats_[other].cpu.load(std::memory_order_relaxed) == cpu) return false;
  }
  return true;
}

void CpuSeats::spread() {
  const int own = current_cpu();
  if (own < 0 || all_sit_well(own)) return;
  const auto now = std::chrono::steady_clock::now();
  if (now - last_move_ < k_between_moves) return;
  last_move_ = now;
  taken_.assign(1, own);
  to_move_.clear();
  for (size_t w = 0; w < threads_.size(); ++w) {
    const int cpu = seats_[w].cpu.load(std::memory_order_relaxed);
    if (std::find(taken_.begin(), taken_.end(), cpu) != taken_.end())
      to_move_.push_back(w);
    else if (cpu >= 0)
      taken_.push_back(cpu);
  }
  for (const size_t w : to_move_) move(w);
}

void CpuSeats::move(size_t worker) {
  auto* const set = reinterpret_cast<cpu_set_t*>(mask_.data());
  const size_t bytes = mask_.size() * sizeof(unsigned long);
  CPU_ZERO_S(bytes, set);
  for (const int cpu : cpus_)
    if (std::find(taken_.begin(), taken_.end(), cpu) == taken_.end()) CPU_SET_S(static_cast<size_t>(cpu), bytes, set);
  if (CPU_COUNT_S(bytes, set) > 0 && pthread_setaffinity_np(threads_[worker], bytes, set) == 0)
    seats_[worker].cpu.store(-1, std::memory_order_relaxed);
}

}  // namespace octet
