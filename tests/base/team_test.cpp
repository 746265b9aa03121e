// Workers that go through a sequence of loops in step.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

#include "base/thread_pool.h"

namespace octet {
namespace {

TEST(Team, runs_every_chunk_of_every_loop_once) {
  for (const int threads : {1, 2, 3, 8}) {
    ThreadPool pool(threads);
    for (int round = 0; round < 50; ++round) {
      std::vector<std::vector<std::atomic<int>>> runs(7);
      for (size_t loop = 0; loop < runs.size(); ++loop) runs[loop] = std::vector<std::atomic<int>>(loop * loop);
      pool.run_team([&](TeamWalk& team) {
        for (std::vector<std::atomic<int>>& counts : runs)
          team.loop(static_cast<int64_t>(counts.size()), [&](int64_t chunk, int worker) {
            EXPECT_GE(worker, 0);
            EXPECT_LT(worker, pool.threads());
            counts[static_cast<size_t>(chunk)].fetch_add(1);
          });
      });
      for (const std::vector<std::atomic<int>>& counts : runs)
        for (const std::atomic<int>& count : counts) ASSERT_EQ(count, 1) << threads << " threads, round " << round;
    }
  }
}

TEST(Team, a_loop_sees_all_that_the_loops_before_have_made) {
  ThreadPool pool(4);
  // Plain memory: the thread sanitizer sees a race if the loops did not order it.
  constexpr int64_t k_chunks = 37;
  std::vector<int64_t> a(k_chunks, 0), b(k_chunks, 0);
  for (int64_t round = 0; round < 200; ++round) {
    pool.run_team([&](TeamWalk& team) {
      team.loop(k_chunks, [&](int64_t i, int) { a[static_cast<size_t>(i)] = i + round; });
      for (int64_t turn = 0; turn < 5; ++turn) {
        team.loop(k_chunks, [&](int64_t i, int) {
          b[static_cast<size_t>(i)] = a[static_cast<size_t>((i + 1) % k_chunks)] + a[static_cast<size_t>(i)];
        });
        team.loop(k_chunks,
                  [&](int64_t i, int) { a[static_cast<size_t>(i)] = b[static_cast<size_t>(k_chunks - 1 - i)]; });
      }
    });
    std::vector<int64_t> want(k_chunks), other(k_chunks);
    for (int64_t i = 0; i < k_chunks; ++i) want[static_cast<size_t>(i)] = i + round;
    for (int64_t turn = 0; turn < 5; ++turn) {
      for (int64_t i = 0; i < k_chunks; ++i)
        other[static_cast<size_t>(i)] = want[static_cast<size_t>((i + 1) % k_chunks)] + want[static_cast<size_t>(i)];
      for (int64_t i = 0; i < k_chunks; ++i)
        want[static_cast<size_t>(i)] = other[static_cast<size_t>(k_chunks - 1 - i)];
    }
    ASSERT_EQ(a, want) << "round " << round;
  }
}

TEST(Team, all_workers_share_a_loop_also_after_they_slept) {
  ThreadPool pool(3);
  for (int round = 0; round < 20; ++round) {
    if (round % 5 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    std::atomic<int> arrived[2] = {};
    pool.run_team([&](TeamWalk& team) {
      for (std::atomic<int>& here : arrived)
        team.loop(3, [&](int64_t, int) {  // each waits for the other two
          here.fetch_add(1);
          while (here.load() < 3) std::this_thread::yield();
        });
    });
    ASSERT_EQ(arrived[1].load(), 3);
  }
}

TEST(Team, gives_each_worker_the_same_part_of_every_loop) {
  ThreadPool pool(3);
  for (int round = 0; round < 20; ++round) {
    int worker_of[4][3] = {};
    std::atomic<int> arrived[4] = {};
    pool.run_team([&](TeamWalk& team) {
      for (int loop = 0; loop < 4; ++loop)
        team.loop(3, [&](int64_t chunk, int worker) {
          worker_of[loop][chunk] = worker;
          arrived[loop].fetch_add(1);
          while (arrived[loop].load() < 3) std::this_thread::yield();
        });
    });
    for (const auto& loop : worker_of)
      for (int i = 0; i < 3; ++i) ASSERT_EQ(loop[i], i) << "round " << round;
  }
}

TEST(Team, a_loop_of_one_chunk_is_the_callers_and_done_before_a_later_loop_begins) {
  ThreadPool pool(3);
  for (int64_t round = 0; round < 2000; ++round) {
    int64_t made = -1, seen[3] = {}, sum = 0;  // plain memory, as above
    pool.run_team([&](TeamWalk& team) {
      team.loop(1, [&](int64_t, int worker) {
        EXPECT_EQ(worker, 0);
        made = round;
      });
      team.loop(1, [&](int64_t, int) { ++made; });
      team.loop(3, [&](int64_t i, int) { seen[i] = made; });
      team.loop(1, [&](int64_t, int) { sum = seen[0] + seen[1] + seen[2]; });
    });
    ASSERT_EQ(sum, 3 * (round + 1));
  }
}

TEST(Team, sleeps_while_the_caller_is_at_a_loop_of_one_chunk) {
  ThreadPool pool(3);
  for (int round = 0; round < 3; ++round) {
    std::atomic<int> behind{0};
    pool.run_team([&](TeamWalk& team) {
      team.loop(1, [](int64_t, int) { std::this_thread::sleep_for(std::chrono::milliseconds(5)); });
      team.loop(6, [&](int64_t, int) { behind.fetch_add(1); });
    });
    ASSERT_EQ(behind, 6);
  }
}

TEST(Team, others_take_the_chunks_of_a_worker_that_is_held_up) {
  ThreadPool pool(2);
  for (int round = 0; round < 100; ++round) {
    std::atomic<int> others{0};
    pool.run_team([&](TeamWalk& team) {
      team.loop(10, [&](int64_t chunk, int) {
        // The first of the second worker's part is done only when all others are, whoever runs it.
        if (chunk != 5) others.fetch_add(1);
        while (chunk == 5 && others.load() < 9) std::this_thread::yield();
      });
    });
    ASSERT_EQ(others.load(), 9);
  }
}

TEST(Team, goes_on_without_a_worker_that_is_held_up_before_its_first_loop) {
  ThreadPool pool(2);
  std::atomic<bool> all_done{false};
  std::atomic<int> chunks{0};
  pool.run_team([&](TeamWalk& team) {
    // A walk of the second worker that has come so far stays until the first has done everything.
    while (team.worker() == 1 && !all_done) std::this_thread::yield();
    for (int loop = 0; loop < 20; ++loop) team.loop(8, [&](int64_t, int) { chunks.fetch_add(1); });
    if (team.worker() == 0) {
      team.settle();
      all_done = true;
    }
  });
  EXPECT_EQ(chunks, 20 * 8);
}

TEST(Team, others_may_take_what_a_worker_has_claimed_that_sleeps) {
  ThreadPool pool(3);
  for (int round = 0; round < 5; ++round) {
    std::atomic<int> begun{0};
    pool.run_team([&](TeamWalk& team) {
      // The first two workers finish theirs, claim the first chunks of the next loop and fall asleep.
      team.loop(3, [&](int64_t chunk, int) {
        if (chunk == 2) std::this_thread::sleep_for(std::chrono::milliseconds(5));
      });
      team.loop(3, [&](int64_t, int) { begun.fetch_add(1); });
    });
    ASSERT_EQ(begun, 3);
  }
}

TEST(Team, settles_when_all_loops_so_far_are_done) {
  ThreadPool pool(3);
  for (int64_t round = 0; round < 500; ++round) {
    int64_t made[7] = {}, sum = 0;  // plain memory, as above
    pool.run_team([&](TeamWalk& team) {
      team.loop(7, [&](int64_t i, int) { made[i] = round; });
      team.settle();
      if (team.worker() == 0)
        for (const int64_t m : made) sum += m;
      team.settle();
    });
    ASSERT_EQ(sum, 7 * round);
  }
}

TEST(Team, keeps_sequences_apart_however_late_a_worker_is) {
  ThreadPool pool(8);  // more threads than this machine may have CPUs: workers are late all the time
  for (int round = 0; round < 5000; ++round) {
    int sums[3] = {};
    const int64_t loops = 1 + round % 3;
    pool.run_team([&](TeamWalk& team) {
      for (int64_t loop = 0; loop < loops; ++loop) team.loop(1 + round % 2, [&](int64_t i, int) { sums[i] += round; });
    });
    ASSERT_EQ(sums[0], round * loops);
    ASSERT_EQ(sums[1], round % 2 ? round * loops : 0);
  }
}

TEST(Team, sleeps_while_one_chunk_takes_long) {
  ThreadPool pool(3);
  for (int round = 0; round < 5; ++round) {
    std::atomic<int> behind{0};
    pool.run_team([&](TeamWalk& team) {
      team.loop(3, [&](int64_t chunk, int) {
        if (chunk == round % 3) std::this_thread::sleep_for(std::chrono::milliseconds(5));
      });
      team.loop(6, [&](int64_t, int) { behind.fetch_add(1); });
    });
    ASSERT_EQ(behind, 6);
  }
}

TEST(Team, several_callers_at_once_and_single_loops_between_them) {
  ThreadPool pool(3);
  std::vector<std::thread> callers;
  std::atomic<int64_t> total{0};
  for (int caller = 0; caller < 4; ++caller) {
    callers.emplace_back([&pool, &total] {
      for (int round = 0; round < 200; ++round) {
        std::atomic<int64_t> mine{0};
        pool.run_team([&](TeamWalk& team) {
          for (int loop = 0; loop < 3; ++loop) team.loop(17, [&](int64_t i, int) { mine.fetch_add(i); });
        });
        pool.parallel_for(17, [&](int64_t i, int) { mine.fetch_add(i); });
        ASSERT_EQ(mine.load(), 4 * 16 * 17 / 2);
        total.fetch_add(1);
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(total.load(), 800);
}

TEST(Team, a_loop_of_more_chunks_than_a_range_holds) {
  ThreadPool pool(2);
  const int64_t chunks = ChunkRange::k_most_chunks + 1000;
  std::atomic<int64_t> sum{0};
  pool.run_team([&](TeamWalk& team) { team.loop(chunks, [&](int64_t i, int) { sum.fetch_add(i); }); });
  EXPECT_EQ(sum.load(), chunks * (chunks - 1) / 2);
}

TEST(ChunkRange, a_claim_is_of_the_first_chunk_and_can_be_given_back) {
  const OwnChunks own(4, 0, 2);
  ChunkRange range;
  int64_t chunk = -1;
  range.claim_first(3);
  EXPECT_FALSE(range.is_taken(3, own));
  EXPECT_TRUE(range.take(3, own, false, chunk));
  EXPECT_EQ(chunk, 1);
  EXPECT_FALSE(range.take(3, own, false, chunk)) << "the other one is claimed";
  EXPECT_TRUE(range.is_taken(3, own));
  range.give_back();
  EXPECT_FALSE(range.is_taken(3, own));
  EXPECT_TRUE(range.take(3, own, false, chunk));
  EXPECT_EQ(chunk, 0);
  EXPECT_TRUE(range.is_taken(3, own));
  EXPECT_TRUE(range.is_taken(2, own)) << "an older job";
  EXPECT_FALSE(range.is_taken(4, own));
  EXPECT_TRUE(range.is_taken(4, OwnChunks(1, 1, 2))) << "a range without chunks";
}

TEST(ChunkRanges, an_old_job_takes_nothing_and_numbers_may_start_again) {
  ChunkRanges ranges(2);
  int64_t chunk = -1;
  EXPECT_TRUE(ranges.take(5, 4, 0, true, chunk));
  EXPECT_EQ(chunk, 0);
  EXPECT_TRUE(ranges.take(5, 4, 1, false, chunk));
  EXPECT_EQ(chunk, 3);
  EXPECT_TRUE(ranges.take(5, 4, 1, true, chunk));
  EXPECT_EQ(chunk, 2);
  EXPECT_FALSE(ranges.take(5, 4, 1, true, chunk));
  EXPECT_FALSE(ranges.take(4, 4, 0, true, chunk)) << "an older job";
  EXPECT_TRUE(ranges.take(5, 4, 0, false, chunk));
  EXPECT_EQ(chunk, 1);
  ranges.renew(ChunkRange::k_job_mask);
  EXPECT_FALSE(ranges.take(ChunkRange::k_job_mask, 4, 0, true, chunk)) << "a finished job";
  EXPECT_TRUE(ranges.take(0, 1, 0, true, chunk)) << "the number behind the largest";
  EXPECT_FALSE(ranges.take(0, 1, 1, true, chunk)) << "its only chunk is the first worker's";
}

}  // namespace
}  // namespace octet
