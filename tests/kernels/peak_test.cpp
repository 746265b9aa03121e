#include "kernels/peak/peak.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "base/aligned.h"
#include "kernels/peak/peak_isa.h"

namespace octet {
namespace {

constexpr size_t k_kib = size_t{1} << 10, k_mib = size_t{1} << 20;
constexpr int64_t k_much_memory = int64_t{64} << 30;

CacheSizes caches(size_t l2, size_t l3, int l3_cpus, int l2_cpus = 1) {
  CacheSizes sizes;
  sizes.l2_bytes = l2, sizes.l3_bytes = l3, sizes.l2_cpus = l2_cpus, sizes.l3_cpus = l3_cpus;
  return sizes;
}

TEST(ReadSizes, lie_inside_one_level_and_beyond_the_nearer_one) {
  const struct {
    const char* machine;
    CacheSizes caches;
    int threads;
  } machines[] = {{"Zen 4", caches(k_mib, 32 * k_mib, 16, 2), 1},
                  {"Zen 4, all cores of an L3", caches(k_mib, 32 * k_mib, 16, 2), 8},
                  {"Sapphire Rapids", caches(2 * k_mib, 105 * k_mib, 16), 16},
                  {"Zen 2", caches(512 * k_kib, 16 * k_mib, 4), 2},
                  {"Haswell", caches(256 * k_kib, 8 * k_mib, 8, 2), 4},
                  {"two L3s", caches(k_mib, 32 * k_mib, 2), 4}};
  for (const auto& m : machines) {
    const ReadSizes read = read_sizes(m.caches, m.threads, k_much_memory);
    const auto threads = static_cast<size_t>(m.threads);
    EXPECT_GE(read.l2, 64 * k_kib) << m.machine;  // twice the usual L1
    EXPECT_LE(read.l2, m.caches.l2_bytes / 2) << m.machine;
    EXPECT_GE(read.l3, 2 * m.caches.l2_bytes) << m.machine;
    const size_t on_one_l3 = std::min(threads, static_cast<size_t>(m.caches.l3_cpus));
    EXPECT_LE(read.l3 * on_one_l3, m.caches.l3_bytes) << m.machine;
    EXPECT_GE(read.dram * threads, 4 * m.caches.l3_bytes) << m.machine;
    for (const size_t bytes : {read.l2, read.l3, read.dram}) EXPECT_EQ(bytes % k_read_unit, 0u) << m.machine;
  }
}

TEST(ReadSizes, of_sixteen_threads_do_not_shrink_into_their_l2) {
  // 8 MB shared out among 16 threads were 512 KB each, and "L3" was L2's rate.
  EXPECT_GE(read_sizes(caches(2 * k_mib, 105 * k_mib, 16), 16, k_much_memory).l3, 4 * k_mib);
}

TEST(ReadSizes, are_nothing_where_no_size_reaches_the_level_alone) {
  EXPECT_EQ(read_sizes(caches(k_mib, 0, 1), 1, k_much_memory).l3, 0u);
  // Skylake-SP: 1.375 MiB of L3 for each core with 1 MiB of L2.
  const CacheSizes skylake = caches(k_mib, 22 * k_mib, 32, 2);
  EXPECT_EQ(read_sizes(skylake, 16, k_much_memory).l3, 0u);
  EXPECT_GT(read_sizes(skylake, 4, k_much_memory).l3, 0u);
  // 768 MiB of L3 on one thread: 1 GiB is not twice that.
  EXPECT_EQ(read_sizes(caches(k_mib, 768 * k_mib, 8), 1, k_much_memory).dram, 0u);
}

TEST(ReadSizes, take_a_quarter_of_the_free_memory_at_most) {
  const CacheSizes zen4 = caches(k_mib, 32 * k_mib, 2);
  EXPECT_EQ(read_sizes(zen4, 1, k_much_memory).dram, 256 * k_mib);
  EXPECT_EQ(read_sizes(zen4, 1, int64_t{400} << 20).dram, 100 * k_mib);
  EXPECT_EQ(read_sizes(zen4, 1, int64_t{200} << 20).dram, 0u);  // 50 MiB would half lie in L3
  EXPECT_EQ(read_sizes(zen4, 1, 0).dram, 0u);
  EXPECT_EQ(read_sizes(zen4, 1, -1).dram, 0u);
}

TEST(ReadSizes, of_cores_that_share_an_l2_fit_into_it_together) {
  const CacheSizes small_cores = caches(2 * k_mib, 30 * k_mib, 16, 4);
  EXPECT_EQ(read_sizes(small_cores, 1, k_much_memory).l2, 512 * k_kib);
  EXPECT_EQ(read_sizes(small_cores, 4, k_much_memory).l2, 128 * k_kib);
}

#if defined(__x86_64__)
/// A loop that skipped a part would show a rate that the machine does not have.
void expect_reads_all(uint64_t (*read)(const void*, size_t)) {
  constexpr size_t k_bytes = 3 * k_read_unit;
  const AlignedBytes data = allocate_aligned(k_bytes);
  std::memset(data.get(), 0, k_bytes);
  EXPECT_EQ(read(data.get(), k_bytes), 0u);
  EXPECT_EQ(read(data.get(), 0), 0u);
  for (size_t i = 0; i < k_bytes; ++i) {
    data[i] = std::byte{0x10};
    EXPECT_NE(read(data.get(), k_bytes), 0u) << "byte " << i;
    data[i] = std::byte{0};
  }
}

TEST(PeakRead, reads_every_byte) {
  const std::vector<Isa> isas = available_isas();
  const auto runs = [&](Isa isa) { return std::find(isas.begin(), isas.end(), isa) != isas.end(); };
  if (!runs(Isa::avx2)) GTEST_SKIP() << "needs AVX2";
  expect_reads_all(peak_read_ymm);
  if (runs(Isa::avx512_vnni)) expect_reads_all(peak_read_zmm);
}
#endif

}  // namespace
}  // namespace octet
