#include "base/team.h"

#include <algorithm>

#include "base/cpu_seats.h"
#include "base/spin.h"

namespace octet {
namespace {

constexpr uint64_t k_between_looks = 16;  // loops from one look at the seats to the next

}  // namespace

// From the end of a chunk to the next loop's there is no locked instruction: each would wait for the stores before it,
// and those wait for lines that another core holds. A worker that reports its chunks of a loop also claims its first of
// the next one, in the same line. So all know that it is taken, and whose: a walk need not look again before it goes
// on. Who sleeps, or could be kept from its CPU by others of the pool, claims nothing.

Team::Team(int workers) : workers_(workers), places_(std::make_unique<Place[]>(static_cast<size_t>(workers))) {}

/// The number behind the last loop is left out: some worker may have claimed a chunk of it. The caller is sure to come.
void Team::begin(bool may_spin) {
  const uint64_t before = loops_.load(std::memory_order_relaxed);
  const uint64_t loops = std::max(before, loops_at_end_.load(std::memory_order_relaxed)) + 1;
  if (before / ChunkRange::k_renewal != loops / ChunkRange::k_renewal)
    for (int w = 0; w < workers_; ++w) place(w).range.use_up(loops & ChunkRange::k_job_mask);
  loops_.store(loops, std::memory_order_relaxed);
  chunks_.store(chunks_at_end_.load(std::memory_order_relaxed), std::memory_order_relaxed);
  if (may_spin) place(0).range.claim_first((loops + 1) & ChunkRange::k_job_mask);
  is_over_.store(false, std::memory_order_relaxed);
}

void Team::bring_near(int worker) const {
  std::atomic<uint64_t>& own = place(worker).finished;
  own.store(own.load(std::memory_order_relaxed), std::memory_order_relaxed);
  __builtin_prefetch(&loops_);
}

void Team::wake_missed() {
  if (sleepers_.load(std::memory_order_seq_cst) > 0) wake();
}

void Team::wake() {
  news_.fetch_add(1, std::memory_order_seq_cst);
  news_.notify_all();
}

TeamWalk::TeamWalk(Team& team, int worker, bool may_spin, CpuSeats& seats)
    : team_(&team),
      seats_(&seats),
      worker_(worker),
      may_spin_(may_spin),
      has_claim_(worker == 0 && may_spin),
      loops_(team.loops_.load(std::memory_order_relaxed)),
      chunks_(team.chunks_.load(std::memory_order_relaxed)),
      finished_(team.place(worker).finished.load(std::memory_order_relaxed)),
      reported_(finished_) {}

/// The caller's last loops of one chunk nobody has waited for: they count for nothing.
TeamWalk::~TeamWalk() {
  if (!team_ || worker_ > 0) return;
  wait();
  team_->loops_at_end_.store(loops_, std::memory_order_relaxed);
  team_->chunks_at_end_.store(chunks_ - (finished_ - reported_), std::memory_order_relaxed);
  team_->is_over_.store(true, std::memory_order_release);
}

void TeamWalk::loop(int64_t chunks, Body body, void* context) {
  if (!team_) {
    for (int64_t chunk = 0; chunk < chunks; ++chunk) body(context, chunk, worker_);
    return;
  }
  for (int64_t first = 0; first < chunks; first += ChunkRange::k_most_chunks)
    loop_part(first, std::min(chunks - first, ChunkRange::k_most_chunks), body, context);
}

void TeamWalk::loop_part(int64_t first, int64_t chunks, Body body, void* context) {
  const auto count = static_cast<uint64_t>(chunks);
  if (count == 1) {  // the others learn of it when there is more to do
    if (worker_ == 0) {
      wait();
      body(context, first, worker_);
      ++finished_;
    }
    ++chunks_;
    return;
  }
  ++loops_;
  if (worker_ > 0) {
    seats_->note(worker_ - 1);
  } else if (loops_ % k_between_looks == 0 && may_spin_) {
    seats_->spread();
  }
  const OwnChunks own(count, worker_, team_->workers_);
  settle();
  chunks_ += count;
  take_own(first, own, body, context);
  take_others(first, count, body, context);
}

/// Nobody can have finished chunks of later loops.
bool TeamWalk::all_done() const {
  uint64_t finished = finished_;
  for (int w = 0; w < team_->workers_; ++w)
    if (w != worker_) finished += team_->place(w).finished.load(std::memory_order_seq_cst);
  return finished >= chunks_;
}

bool TeamWalk::all_taken(uint64_t chunks) const {
  for (int w = 0; w < team_->workers_; ++w)
    if (w != worker_ && !team_->place(w).range.is_taken(loops_ & ChunkRange::k_job_mask, {chunks, w, team_->workers_}))
      return false;
  return true;
}

void TeamWalk::report(uint64_t finished) {
  finished_ += finished;
  reported_ = finished_;
  team_->place(worker_).finished.store(finished_, std::memory_order_release);
  // One who is just falling asleep may be missed, and is seen next time: it holds no chunk that anybody waits for.
  if (team_->sleepers_.load(std::memory_order_relaxed) > 0) team_->wake();
}

void TeamWalk::take_own(int64_t first, OwnChunks own, Body body, void* context) {
  const uint64_t job = loops_ & ChunkRange::k_job_mask;
  ChunkRange& range = team_->place(worker_).range;
  const bool had_claim = has_claim_;
  has_claim_ = false;
  int64_t chunk = own.first;
  uint64_t finished = 0;
  if (own.count() == 0 || !(had_claim || range.take(job, own, true, chunk))) return;
  do {
    body(context, first + chunk, worker_);
    ++finished;
  } while (finished < own.count() && range.take(job, own, true, chunk));
  if (may_spin_) {
    range.claim_first((loops_ + 1) & ChunkRange::k_job_mask);
    has_claim_ = true;
  }
  report(finished);
}

void TeamWalk::take_others(int64_t first, uint64_t chunks, Body body, void* context) {
  const auto taken = [&] { return all_taken(chunks); };
  if (may_spin_ ? spin_pauses(k_patience_pauses, taken) : taken()) return;
  for (int i = 1; i < team_->workers_; ++i) {
    const int owner = (worker_ + i) % team_->workers_;
    const OwnChunks own(chunks, owner, team_->workers_);
    uint64_t finished = 0;
    int64_t chunk = 0;
    while (team_->place(owner).range.take(loops_ & ChunkRange::k_job_mask, own, false, chunk)) {
      body(context, first + chunk, worker_);
      ++finished;
    }
    if (finished > 0) report(finished);
  }
}

void TeamWalk::settle() {
  if (!team_) return;
  if (finished_ > reported_) report(0);
  wait();
}

void TeamWalk::wait() {
  if (!spin_for(may_spin_, [&] { return all_done(); })) sleep();
}

/// Pairs with report() and wake_missed(): either the sleeper is seen there, or it sees the chunks.
void TeamWalk::sleep() {
  if (has_claim_) team_->place(worker_).range.give_back();
  has_claim_ = false;
  if (team_->sleepers_.fetch_add(1, std::memory_order_seq_cst) > 0) team_->wake();
  while (true) {
    const uint32_t seen = team_->news_.load(std::memory_order_seq_cst);
    if (all_done()) break;
    team_->news_.wait(seen, std::memory_order_seq_cst);
  }
  team_->sleepers_.fetch_sub(1, std::memory_order_relaxed);
}

}  // namespace octet
