#include "base/team.h"

#include <algorithm>

#include "base/cpu_seats.h"
#include "base/spin.h"

namespace octet {
namespace {

constexpr uint64_t k_between_looks = 16;  // loops from one look at the seats to the next

}  // namespace

Team::Team(int workers)
    : workers_(workers), ranges_(workers), progress_(std::make_unique<Progress[]>(static_cast<size_t>(workers))) {}

void Team::begin() {
  const uint64_t before = loops_.load(std::memory_order_relaxed);
  const uint64_t loops = std::max(before, loops_at_end_.load(std::memory_order_relaxed));
  if (before / ChunkRanges::k_renewal != loops / ChunkRanges::k_renewal) ranges_.renew(loops & ChunkRanges::k_job_mask);
  loops_.store(loops, std::memory_order_relaxed);
  chunks_.store(chunks_at_end_.load(std::memory_order_relaxed), std::memory_order_relaxed);
  is_over_.store(false, std::memory_order_relaxed);
}

/// All chunks of all loops up to one that has `chunks` with those before it: nobody can have finished later ones.
bool Team::is_done(uint64_t chunks) const {
  uint64_t finished = 0;
  for (int w = 0; w < workers_; ++w)
    finished += progress_[static_cast<size_t>(w)].chunks.load(std::memory_order_seq_cst);
  return finished >= chunks;
}

void Team::add_finished(int worker, uint64_t chunks) {
  progress_[static_cast<size_t>(worker)].chunks.fetch_add(chunks, std::memory_order_seq_cst);
  // Pairs with sleep_until_done: either the sleeper is seen here, or it sees the chunks.
  if (sleepers_.load(std::memory_order_seq_cst) == 0) return;
  news_.fetch_add(1, std::memory_order_seq_cst);
  news_.notify_all();
}

void Team::sleep_until_done(uint64_t chunks) {
  sleepers_.fetch_add(1, std::memory_order_seq_cst);
  while (true) {
    const uint32_t seen = news_.load(std::memory_order_seq_cst);
    if (is_done(chunks)) break;
    news_.wait(seen, std::memory_order_seq_cst);
  }
  sleepers_.fetch_sub(1, std::memory_order_relaxed);
}

TeamWalk::TeamWalk(Team& team, int worker, bool may_spin, CpuSeats& seats)
    : team_(&team),
      seats_(&seats),
      worker_(worker),
      may_spin_(may_spin),
      loops_(team.loops_.load(std::memory_order_relaxed)),
      chunks_(team.chunks_.load(std::memory_order_relaxed)) {}

TeamWalk::~TeamWalk() {
  if (!team_ || worker_ > 0) return;
  report_own();
  team_->loops_at_end_.store(loops_, std::memory_order_relaxed);
  team_->chunks_at_end_.store(chunks_, std::memory_order_relaxed);
  team_->is_over_.store(true, std::memory_order_release);
}

void TeamWalk::loop(int64_t chunks, Body body, void* context) {
  if (!team_) {
    for (int64_t chunk = 0; chunk < chunks; ++chunk) body(context, chunk, worker_);
    return;
  }
  for (int64_t first = 0; first < chunks; first += ChunkRanges::k_most_chunks)
    loop_part(first, std::min(chunks - first, ChunkRanges::k_most_chunks), body, context);
}

uint64_t TeamWalk::take_all(int owner, bool from_front, int64_t first, uint64_t chunks, Body body, void* context) {
  uint64_t finished = 0;
  int64_t chunk = 0;
  while (team_->ranges_.take(loops_ & ChunkRanges::k_job_mask, chunks, owner, from_front, chunk)) {
    body(context, first + chunk, worker_);
    ++finished;
  }
  if (finished > 0) team_->add_finished(worker_, finished);
  return finished;
}

/// The loop before is done before a chunk of this one is taken: a walk that went past loops of one chunk waits for them
/// first. So whoever takes a chunk may rely on everything that was done there.
void TeamWalk::loop_part(int64_t first, int64_t chunks, Body body, void* context) {
  const auto count = static_cast<uint64_t>(chunks);
  ++loops_;
  chunks_ += count;
  if (worker_ > 0) {
    seats_->note(worker_ - 1);
  } else if (loops_ % k_between_looks == 0 && may_spin_) {
    seats_->spread();
  }
  if (count == 1) {  // the caller's, and the others learn of it when there is more to do
    if (worker_ > 0) {
      is_ahead_ = true;
    } else {
      body(context, first, worker_);
      ++unreported_;
    }
    return;
  }
  report_own();
  if (is_ahead_) wait_for(chunks_ - count);
  take_all(worker_, true, first, count, body, context);
  const auto done = [&] { return team_->is_done(chunks_); };
  if (may_spin_ && spin_pauses(k_patience_pauses, done)) return;
  for (int i = 1; i < team_->workers_ && !done(); ++i)
    take_all((worker_ + i) % team_->workers_, false, first, count, body, context);
  wait_for(chunks_);
}

void TeamWalk::report_own() {
  if (unreported_ > 0) team_->add_finished(worker_, unreported_);
  unreported_ = 0;
}

void TeamWalk::wait_for(uint64_t chunks) {
  is_ahead_ = false;
  if (!spin_for(may_spin_, [&] { return team_->is_done(chunks); })) team_->sleep_until_done(chunks);
}

}  // namespace octet
