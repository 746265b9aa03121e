#include "base/thread_pool.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <system_error>
#include <thread>
#include <vector>

#include "base/cpu_seats.h"
#include "base/cpus.h"
#include "base/float_env.h"

#if defined(__x86_64__) || defined(_M_X64)
#include <immintrin.h>
#endif

namespace octet {
namespace {

constexpr auto k_spin = std::chrono::microseconds(50);
constexpr int k_max_threads = 1024;
constexpr size_t k_cache_line = 64;

void pause_cpu() {
#if defined(__x86_64__) || defined(_M_X64)
  _mm_pause();
#endif
}

/// Threads of all pools of the process, callers included: more of them than CPUs, and spinning would steal the CPU from
/// the thread that is waited for.
std::atomic<int> pool_threads_alive{0};

/// Waits up to k_spin for ready(); true when it came.
template <class Ready>
bool spin_for(bool may_spin, Ready&& ready) {
  if (ready()) return true;
  if (!may_spin) return false;
  const auto give_up = std::chrono::steady_clock::now() + k_spin;
  while (true) {
    for (int i = 0; i < 32; ++i) {
      pause_cpu();
      if (ready()) return true;
    }
    if (std::chrono::steady_clock::now() >= give_up) return false;
  }
}

}  // namespace

int usable_threads() {
  if (const char* forced = std::getenv("OCTET_THREADS")) {
    char* end = nullptr;
    const long threads = std::strtol(forced, &end, 10);
    if (end != forced && *end == '\0' && threads >= 1 && threads <= k_max_threads) return static_cast<int>(threads);
  }
  return std::min(allowed_cpus(), k_max_threads);
}

// One job at a time. `ticket` holds the job's number (upper half) and how many of its chunks nobody has taken yet
// (lower half); taking a chunk is one compare-and-swap on it. So a worker that wakes late and still holds an old ticket
// fails its swap and takes nothing, and the caller waits for chunks, never for workers.
//
// Why the plain job fields may be read before the swap: they are written only while no chunk is left untaken or
// unfinished. A swap that succeeds proves that this job's chunk was still to be run, hence that the fields were this
// job's.
struct ThreadPool::State {
  static constexpr int k_count_bits = 32;
  static constexpr uint64_t k_count_mask = (uint64_t{1} << k_count_bits) - 1;

  alignas(k_cache_line) std::atomic<uint64_t> ticket{0};
  std::atomic<Body> body{nullptr};
  std::atomic<void*> context{nullptr};
  std::atomic<int64_t> end_chunk{0};
  alignas(k_cache_line) std::atomic<uint32_t> job{0};  // what sleeping workers wait on
  std::atomic<int> sleepers{0};
  std::atomic<bool> stop{false};
  alignas(k_cache_line) std::atomic<uint32_t> unfinished{0};  // chunks of the job still to be finished
  std::atomic<bool> caller_sleeps{false};
  alignas(k_cache_line) std::atomic<bool> busy{false};  // a caller is inside parallel_for
  int cpus = 1;
  CpuSeats seats;
  std::vector<std::thread> workers;

  explicit State(int threads) : cpus(allowed_cpus()), seats(threads - 1) {}

  bool may_spin() const { return pool_threads_alive.load(std::memory_order_relaxed) <= cpus; }
  void take_chunks(int worker);
  void work(int worker);
  void run_job(int64_t first, int64_t end, Body job_body, void* job_context);
};

void ThreadPool::State::take_chunks(int worker) {
  uint32_t finished = 0;
  uint64_t t = ticket.load(std::memory_order_acquire);
  while ((t & k_count_mask) != 0) {
    const Body run = body.load(std::memory_order_relaxed);
    void* const with = context.load(std::memory_order_relaxed);
    const int64_t chunk = end_chunk.load(std::memory_order_relaxed) - static_cast<int64_t>(t & k_count_mask);
    if (!ticket.compare_exchange_weak(t, t - 1, std::memory_order_acq_rel, std::memory_order_acquire)) continue;
    run(with, chunk, worker);
    ++finished;
    t = ticket.load(std::memory_order_acquire);
  }
  if (finished == 0) return;
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
    const auto news = [&] { return job.load(std::memory_order_acquire) != seen; };
    if (!spin_for(may_spin(), news)) {
      // Pairs with run_job: either it sees this sleeper and wakes it, or wait() sees the new job number.
      sleepers.fetch_add(1, std::memory_order_seq_cst);
      job.wait(seen, std::memory_order_seq_cst);
      sleepers.fetch_sub(1, std::memory_order_relaxed);
    }
    // The number first: a stop that came after this reading makes another number, so that it is not slept through.
    seen = job.load(std::memory_order_acquire);
    if (stop.load(std::memory_order_acquire)) return;
    seats.note(worker - 1);
    take_chunks(worker);
  }
}

void ThreadPool::State::run_job(int64_t first, int64_t end, Body job_body, void* job_context) {
  const auto count = static_cast<uint64_t>(end - first);
  body.store(job_body, std::memory_order_relaxed);
  context.store(job_context, std::memory_order_relaxed);
  end_chunk.store(end, std::memory_order_relaxed);
  unfinished.store(static_cast<uint32_t>(count), std::memory_order_relaxed);
  const uint64_t number = (ticket.load(std::memory_order_relaxed) >> k_count_bits) + 1;
  ticket.store((number << k_count_bits) | count, std::memory_order_release);
  job.fetch_add(1, std::memory_order_seq_cst);
  if (sleepers.load(std::memory_order_seq_cst) > 0) job.notify_all();
  if (may_spin()) seats.spread();  // otherwise there are more threads than CPUs to sit on
  take_chunks(0);
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
  state_->job.fetch_add(1, std::memory_order_seq_cst);
  state_->job.notify_all();
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
  constexpr int64_t k_most = int64_t{1} << 31;  // what the lower half of the ticket holds with ease
  for (int64_t first = 0; first < chunks; first += k_most) {
    state_->run_job(first, std::min(chunks, first + k_most), body, context);
  }
  state_->busy.store(false, std::memory_order_release);
}

}  // namespace octet
