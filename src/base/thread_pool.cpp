#include "base/thread_pool.h"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <system_error>
#include <thread>
#include <vector>

#include "base/cpu_seats.h"
#include "base/cpus.h"
#include "base/float_env.h"
#include "base/spin.h"

namespace octet {
namespace {

constexpr int k_max_threads = 1024;

/// Threads of all pools of the process, callers included: more of them than CPUs, and spinning would steal the CPU from
/// the thread that is waited for.
std::atomic<int> pool_threads_alive{0};

}  // namespace

int usable_threads() {
  if (const char* forced = std::getenv("OCTET_THREADS")) {
    char* end = nullptr;
    const long threads = std::strtol(forced, &end, 10);
    if (end != forced && *end == '\0' && threads >= 1 && threads <= k_max_threads) return static_cast<int>(threads);
  }
  return std::min(allowed_cpus(), k_max_threads);
}

// One job at a time. `ticket` holds the job's number and how many chunks it has; ChunkRanges deals them out, so that a
// worker that wakes late and holds an old ticket takes nothing. The caller waits for chunks, never for workers.
//
// Why the plain job fields may be read before a chunk is taken: they are written only while no chunk is left untaken or
// unfinished. Taking one proves that this job's chunk was still to be run, hence that the fields were this job's.
struct ThreadPool::State {
  alignas(k_apart) std::atomic<uint64_t> ticket{0};
  std::atomic<Body> body{nullptr};
  std::atomic<void*> context{nullptr};
  std::atomic<int64_t> first_chunk{0};
  std::atomic<bool> of_team{false};  // chunks are walks, each of its own worker
  std::atomic<uint32_t> news{0};     // what sleeping workers wait on
  alignas(k_apart) std::atomic<int> sleepers{0};
  std::atomic<bool> stop{false};
  alignas(k_apart) std::atomic<uint32_t> unfinished{0};  // chunks of the job still to be finished
  std::atomic<bool> caller_sleeps{false};
  alignas(k_apart) std::atomic<bool> busy{false};  // a caller is inside parallel_for or run_team
  uint64_t job = 0;                                // of the last ticket; the caller's
  int count = 1, cpus = 1;
  ChunkRanges ranges;
  Team team;
  CpuSeats seats;
  std::vector<std::thread> workers;

  explicit State(int threads)
      : count(threads), cpus(allowed_cpus()), ranges(threads), team(threads), seats(threads - 1) {}

  bool may_spin() const { return pool_threads_alive.load(std::memory_order_relaxed) <= cpus; }
  void take_chunks(uint64_t of_ticket, int worker);
  void prepare_walk(const void* with, int worker) const;
  void count_finished(uint32_t chunks);
  void work(int worker);
  void run_job(int64_t first, int64_t end, Body job_body, void* job_context, bool is_of_team);
};

/// Own chunks first, and the caller learns of these before others' ranges are looked at: a look costs the owner a cache
/// line, and another one here. A walk of the team that its worker has not begun is for the caller alone.
void ThreadPool::State::take_chunks(uint64_t of_ticket, int worker) {
  const Body run = body.load(std::memory_order_relaxed);
  void* const with = context.load(std::memory_order_relaxed);
  const int64_t first = first_chunk.load(std::memory_order_relaxed);
  const bool is_walk = of_team.load(std::memory_order_relaxed);
  const uint64_t number = of_ticket >> ChunkRange::k_chunk_bits, chunks = of_ticket & ChunkRange::k_chunk_mask;
  const auto take_all = [&](int owner) {
    uint32_t finished = 0;
    int64_t chunk = 0;
    while (ranges.take(number, chunks, owner, owner == worker, chunk)) {
      run(with, first + chunk, worker);
      ++finished;
    }
    if (finished > 0) count_finished(finished);
  };
  if (is_walk) prepare_walk(with, worker);
  if (is_walk && worker == 0) {
    ranges.use_up(number, worker);
    run(with, first, worker);
    count_finished(1);
  } else {
    take_all(worker);
  }
  if (is_walk) team.wake_missed();
  if (is_walk && worker > 0) return;
  const auto is_over = [&] {
    return unfinished.load(std::memory_order_acquire) == 0 || ticket.load(std::memory_order_relaxed) != of_ticket;
  };
  if (may_spin() ? spin_pauses(k_patience_pauses, is_over) : is_over()) return;
  for (int i = 1; i < count && !is_over(); ++i) take_all(worker + i < count ? worker + i : worker + i - count);
}

/// What a walk reads first, one after the other, comes at once: the caller's frames, outer ones behind inner ones.
void ThreadPool::State::prepare_walk(const void* with, int worker) const {
  team.bring_near(worker);
  constexpr int k_lines = 8, k_line = 64;
  for (int i = 0; worker > 0 && i < k_lines; ++i) __builtin_prefetch(static_cast<const char*>(with) + i * k_line);
}

void ThreadPool::State::count_finished(uint32_t finished) {
  // The caller cannot start another job before this subtraction, so the count is certainly this job's.
  if (unfinished.fetch_sub(finished, std::memory_order_seq_cst) == finished &&
      caller_sleeps.load(std::memory_order_seq_cst)) {
    unfinished.notify_all();
  }
}

void ThreadPool::State::work(int worker) {
  const DefaultFloatEnv env;
  uint32_t seen = 0;
  while (true) {
    const auto is_news = [&] { return news.load(std::memory_order_acquire) != seen; };
    if (!spin_for(may_spin(), is_news)) {
      // Pairs with run_job: either it sees this sleeper and wakes it, or wait() sees the new job number.
      sleepers.fetch_add(1, std::memory_order_seq_cst);
      news.wait(seen, std::memory_order_seq_cst);
      sleepers.fetch_sub(1, std::memory_order_relaxed);
    }
    // The number first: a stop that came after this reading makes another number, so that it is not slept through.
    seen = news.load(std::memory_order_acquire);
    if (stop.load(std::memory_order_acquire)) return;
    seats.note(worker - 1);
    take_chunks(ticket.load(std::memory_order_acquire), worker);
  }
}

void ThreadPool::State::run_job(int64_t first, int64_t end, Body job_body, void* job_context, bool is_of_team) {
  const auto chunks = static_cast<uint64_t>(end - first);
  job = (job + 1) & ChunkRange::k_job_mask;
  if (job % ChunkRange::k_renewal == 0) ranges.renew((job - 1) & ChunkRange::k_job_mask);
  const uint64_t own_ticket = job << ChunkRange::k_chunk_bits | chunks;
  body.store(job_body, std::memory_order_relaxed);
  context.store(job_context, std::memory_order_relaxed);
  first_chunk.store(first, std::memory_order_relaxed);
  of_team.store(is_of_team, std::memory_order_relaxed);
  unfinished.store(static_cast<uint32_t>(chunks), std::memory_order_relaxed);
  ticket.store(own_ticket, std::memory_order_release);
  news.fetch_add(1, std::memory_order_seq_cst);
  if (sleepers.load(std::memory_order_seq_cst) > 0) news.notify_all();
  constexpr uint64_t k_between_looks = 16;
  if (job % k_between_looks == 0 && may_spin()) seats.spread();  // otherwise there are more threads than CPUs
  take_chunks(own_ticket, 0);
  const auto done = [&] { return unfinished.load(std::memory_order_acquire) == 0; };
  if (spin_for(may_spin(), done)) return;
  caller_sleeps.store(true, std::memory_order_seq_cst);
  for (uint32_t left = unfinished.load(std::memory_order_seq_cst); left != 0;
       left = unfinished.load(std::memory_order_seq_cst)) {
    unfinished.wait(left, std::memory_order_seq_cst);
  }
  caller_sleeps.store(false, std::memory_order_relaxed);
}

ThreadPool::ThreadPool(int threads)
    : threads_(std::clamp(threads == 0 ? usable_threads() : threads, 1, k_max_threads)),
      state_(std::make_unique<State>(threads_)) {
  for (int worker = 1; worker < threads_; ++worker) {
    try {
      state_->workers.emplace_back([state = state_.get(), worker] { state->work(worker); });
    } catch (const std::system_error&) {  // no more threads to be had: the answers do not depend on their number
      threads_ = worker;
    }
  }
  for (std::thread& worker : state_->workers) state_->seats.add(worker.native_handle());
  pool_threads_alive.fetch_add(threads_, std::memory_order_relaxed);
}

ThreadPool::~ThreadPool() {
  state_->stop.store(true, std::memory_order_release);
  state_->news.fetch_add(1, std::memory_order_seq_cst);
  state_->news.notify_all();
  for (std::thread& worker : state_->workers) worker.join();
  pool_threads_alive.fetch_sub(threads_, std::memory_order_relaxed);
}

void ThreadPool::parallel_for(int64_t chunks, Body body, void* context) {
  // A single chunk is not worth a wake-up. A pool that is in use (another thread's call, or a call from inside a body)
  // has no idle workers to offer: the caller then does its own work alone, which needs no lock and cannot deadlock.
  if (chunks <= 1 || threads_ == 1 || state_->busy.exchange(true, std::memory_order_acquire)) {
    for (int64_t chunk = 0; chunk < chunks; ++chunk) body(context, chunk, 0);
    return;
  }
  for (int64_t first = 0; first < chunks; first += ChunkRange::k_most_chunks)
    state_->run_job(first, std::min(chunks, first + ChunkRange::k_most_chunks), body, context, false);
  state_->busy.store(false, std::memory_order_release);
}

void ThreadPool::run_team(Walk walk, void* context) {
  if (threads_ == 1 || state_->busy.exchange(true, std::memory_order_acquire)) {
    TeamWalk alone;
    walk(context, alone);
    return;
  }
  // A chunk is a walk, each worker's own; those of workers that could not be started fall to the caller. One that is
  // taken when the caller's has come to its end, because a worker sleeps, is nothing.
  const bool may_spin = state_->may_spin();
  const auto go = [&](int64_t, int worker) {
    if (state_->team.is_over()) return;
    TeamWalk own(state_->team, worker, may_spin, state_->seats);
    walk(context, own);
  };
  state_->team.begin(may_spin);
  state_->run_job(
      0, state_->count, [](void* f, int64_t chunk, int worker) { (*static_cast<decltype(go)*>(f))(chunk, worker); },
      const_cast<void*>(static_cast<const void*>(&go)), true);
  state_->busy.store(false, std::memory_order_release);
}

}  // namespace octet
