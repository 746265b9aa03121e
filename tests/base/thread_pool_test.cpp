#include "base/thread_pool.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <stdlib.h>

#include <atomic>
#include <cfenv>
#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/cpus.h"

namespace octet {
namespace {

/// How often each chunk ran.
std::vector<int> runs_per_chunk(ThreadPool& pool, int64_t chunks) {
  std::vector<std::atomic<int>> counts(static_cast<size_t>(chunks));
  pool.parallel_for(chunks, [&](int64_t chunk, int worker) {
    EXPECT_GE(worker, 0);
    EXPECT_LT(worker, pool.threads());
    counts[static_cast<size_t>(chunk)].fetch_add(1);
  });
  return {counts.begin(), counts.end()};
}

TEST(ThreadPool, runs_every_chunk_exactly_once) {
  for (const int threads : {1, 2, 3, 8}) {
    ThreadPool pool(threads);
    for (const int64_t chunks : {0, 1, 2, 7, 64, 1000}) {
      EXPECT_EQ(runs_per_chunk(pool, chunks), std::vector<int>(static_cast<size_t>(chunks), 1))
          << threads << " threads, " << chunks << " chunks";
    }
  }
}

TEST(ThreadPool, hands_what_the_workers_wrote_to_the_caller) {
  ThreadPool pool(4);
  // Plain, unsynchronized memory: the thread sanitizer sees a race if parallel_for did not order it.
  std::vector<int64_t> squares(257, -1);
  for (int64_t round = 0; round < 200; ++round) {
    pool.parallel_for(257, [&](int64_t i, int) { squares[static_cast<size_t>(i)] = i * i + round; });
    for (int64_t i = 0; i < 257; ++i) ASSERT_EQ(squares[static_cast<size_t>(i)], i * i + round);
  }
}

TEST(ThreadPool, keeps_short_jobs_apart_however_late_a_worker_is) {
  ThreadPool pool(8);  // more threads than this machine may have CPUs: workers are late all the time
  for (int round = 0; round < 20000; ++round) {
    int64_t sums[3] = {};
    const int64_t chunks = 1 + round % 3;
    pool.parallel_for(chunks, [&](int64_t i, int) { sums[i] = round + i; });
    for (int64_t i = 0; i < 3; ++i) ASSERT_EQ(sums[i], i < chunks ? round + i : 0) << "round " << round;
  }
}

TEST(ThreadPool, lets_its_workers_run_side_by_side_also_after_they_slept) {
  ThreadPool pool(3);
  for (int round = 0; round < 300; ++round) {
    // Each of the three chunks waits for the other two: one thread alone would never return.
    std::atomic<int> arrived{0};
    std::atomic<int> workers{0};
    pool.parallel_for(3, [&](int64_t, int worker) {
      workers.fetch_or(1 << worker);
      arrived.fetch_add(1);
      while (arrived.load() < 3) std::this_thread::yield();
    });
    ASSERT_EQ(workers.load(), 0b111);
  }
}

TEST(ThreadPool, gives_each_worker_its_own_part_of_the_chunks) {
  ThreadPool pool(3);
  for (int round = 0; round < 200; ++round) {
    // All three wait for each other, so each worker runs exactly one: the only one of its part.
    std::atomic<int> arrived{0};
    int worker_of[3] = {-1, -1, -1};
    pool.parallel_for(3, [&](int64_t chunk, int worker) {
      worker_of[chunk] = worker;
      arrived.fetch_add(1);
      while (arrived.load() < 3) std::this_thread::yield();
    });
    for (int i = 0; i < 3; ++i) ASSERT_EQ(worker_of[i], i) << "round " << round;
  }
}

TEST(ThreadPool, lets_others_take_the_chunks_of_a_worker_that_is_held_up) {
  ThreadPool pool(2);
  for (int round = 0; round < 200; ++round) {
    std::atomic<int> others{0};
    pool.parallel_for(10, [&](int64_t chunk, int) {
      // The first of the second worker's part is done only when all others are, whoever runs it.
      if (chunk != 5) others.fetch_add(1);
      while (chunk == 5 && others.load() < 9) std::this_thread::yield();
    });
    ASSERT_EQ(others.load(), 9);
  }
}

TEST(ThreadPool, serves_several_callers_at_once) {
  ThreadPool pool(3);
  std::vector<std::thread> callers;
  std::atomic<int64_t> total{0};
  for (int caller = 0; caller < 4; ++caller) {
    callers.emplace_back([&pool, &total] {
      for (int round = 0; round < 500; ++round) {
        std::atomic<int64_t> mine{0};
        pool.parallel_for(17, [&](int64_t i, int) { mine.fetch_add(i); });
        ASSERT_EQ(mine.load(), 16 * 17 / 2);
        total.fetch_add(1);
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(total.load(), 2000);
}

TEST(ThreadPool, lives_beside_other_pools) {
  ThreadPool a(2), b(3);
  std::thread other([&b] {
    for (int round = 0; round < 300; ++round) {
      EXPECT_EQ(runs_per_chunk(b, 5), std::vector<int>(5, 1));
    }
  });
  for (int round = 0; round < 300; ++round) EXPECT_EQ(runs_per_chunk(a, 9), std::vector<int>(9, 1));
  other.join();
}

/// Two chunks that wait for each other: both threads run.
void meet(ThreadPool& pool, const std::function<void(int worker)>& act) {
  std::atomic<int> arrived{0};
  pool.parallel_for(2, [&](int64_t, int worker) {
    act(worker);
    arrived.fetch_add(1);
    while (arrived.load() < 2) std::this_thread::yield();
  });
}

TEST(ThreadPool, parts_a_worker_from_the_callers_cpu) {
  const std::vector<int> cpus = affinity_mask();
  if (cpus.size() < 2 || allowed_cpus() < 2) GTEST_SKIP() << "one CPU";
  cpu_set_t first, all;
  CPU_ZERO(&first);
  CPU_SET(static_cast<size_t>(cpus[0]), &first);
  ASSERT_EQ(sched_getaffinity(0, sizeof all, &all), 0);
  ThreadPool pool(2);
  // Both are chained to one CPU, as a scheduler that sees no reason to part them would keep them.
  ASSERT_EQ(sched_setaffinity(0, sizeof first, &first), 0);
  meet(pool, [&](int worker) {
    if (worker == 1) {
      EXPECT_EQ(sched_setaffinity(0, sizeof first, &first), 0);
    }
  });
  std::atomic<int> cpu_of_worker{cpus[0]};
  const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (cpu_of_worker == cpus[0] && std::chrono::steady_clock::now() < give_up)
    meet(pool, [&](int worker) {
      if (worker == 1) cpu_of_worker = sched_getcpu();
    });
  EXPECT_NE(cpu_of_worker, cpus[0]);
  EXPECT_EQ(sched_setaffinity(0, sizeof all, &all), 0);
}

TEST(ThreadPool, comes_and_goes_without_having_worked) {
  for (int round = 0; round < 50; ++round) ThreadPool pool(4);
}

TEST(ThreadPool, ends_however_late_its_workers_start) {
  for (int round = 0; round < 500; ++round) {
    ThreadPool pool(4);
    EXPECT_EQ(runs_per_chunk(pool, 2), std::vector<int>(2, 1));
  }
}

TEST(ThreadPool, works_with_rounding_to_nearest_whatever_the_creator_set) {
  std::fesetround(FE_UPWARD);
  std::optional<ThreadPool> pool(std::in_place, 4);
  std::fesetround(FE_TONEAREST);
  std::atomic<int> wrong{0};
  for (int round = 0; round < 100; ++round) {
    pool->parallel_for(64, [&](int64_t, int worker) {
      if (worker > 0 && std::fegetround() != FE_TONEAREST) wrong.fetch_add(1);
    });
  }
  EXPECT_EQ(wrong.load(), 0);
}

class UsableThreads : public testing::Test {
 protected:
  UsableThreads() {
    if (const char* old = getenv("OCTET_THREADS")) old_ = old;
  }
  ~UsableThreads() override { old_ ? setenv("OCTET_THREADS", old_->c_str(), 1) : unsetenv("OCTET_THREADS"); }

 private:
  std::optional<std::string> old_;
};

TEST_F(UsableThreads, follow_octet_threads) {
  setenv("OCTET_THREADS", "3", 1);
  EXPECT_EQ(usable_threads(), 3);
  EXPECT_EQ(ThreadPool().threads(), 3);
}

TEST_F(UsableThreads, fall_back_to_the_allowed_cpus_when_octet_threads_is_no_sensible_number) {
  for (const char* nonsense : {"", "0", "-2", "many", "4x", "100000"}) {
    setenv("OCTET_THREADS", nonsense, 1);
    EXPECT_EQ(usable_threads(), allowed_cpus()) << "'" << nonsense << "'";
  }
}

}  // namespace
}  // namespace octet
