#include "base/isa.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>

#if defined(__linux__) && defined(__x86_64__)
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#endif

namespace octet {
namespace {

bool has(Isa isa) {
  const std::vector<Isa> isas = available_isas();
  return std::find(isas.begin(), isas.end(), isa) != isas.end();
}

TEST(Isa, names_and_words_belong_together) {
  for (const Isa isa : {Isa::scalar, Isa::avx2, Isa::avx_vnni, Isa::avx512_vnni, Isa::amx})
    EXPECT_EQ(isa_from_name(name(isa)), isa);
  EXPECT_EQ(isa_from_name("AVX2"), std::nullopt);
  EXPECT_EQ(isa_from_name(""), std::nullopt);
}

TEST(Isa, what_is_available_is_listed_worst_first_and_begins_with_scalar) {
  const std::vector<Isa> isas = available_isas();
  ASSERT_FALSE(isas.empty());
  EXPECT_EQ(isas.front(), Isa::scalar);
  EXPECT_TRUE(std::is_sorted(isas.begin(), isas.end()));
  EXPECT_TRUE(!has(Isa::amx) || has(Isa::avx512_vnni));
}

#if defined(__linux__) && defined(__x86_64__)
constexpr long k_request_permission = 0x1023, k_tile_data = 18;  // of arch_prctl; Documentation/arch/x86/xstate.rst

/// From here on the kernel answers this process's requests for AMX with EPERM. False where it takes no filter.
bool refuse_amx() {
  sock_filter code[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_arch_prctl, 0, 3),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, args)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, k_request_permission, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog program = {sizeof code / sizeof code[0], code};
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

/// CPUID alone, which asks the kernel for nothing: see has_amx().
bool cpu_has_amx() {
  unsigned a = 7, b = 0, c = 0, d = 0;
  __asm__("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
  return (d & 3u << 24) == 3u << 24;
}

constexpr int k_no_filter = 77;

/// 0 = without AMX all else is there, and best.
int without_permission() {
  if (!refuse_amx() || syscall(SYS_arch_prctl, k_request_permission, k_tile_data) == 0) return k_no_filter;
  unsetenv("OCTET_ISA");
  const Result<Isa> chosen = chosen_isa();
  if (has(Isa::amx) || !chosen || *chosen != available_isas().back()) return 1;
  setenv("OCTET_ISA", "amx", 1);
  return chosen_isa() ? 2 : 0;
}

TEST(Isa, amx_is_not_available_where_the_kernel_refuses_its_permission) {
  if (!cpu_has_amx()) GTEST_SKIP() << "not applicable: no AMX";
  testing::FLAGS_gtest_death_test_style = "threadsafe";  // a process of its own, which has not asked yet
  bool is_filtered = true;
  const auto is_good = [&](int status) {
    is_filtered = !testing::ExitedWithCode(k_no_filter)(status);
    return !is_filtered || testing::ExitedWithCode(0)(status);
  };
  EXPECT_EXIT(std::_Exit(without_permission()), is_good, "");
  if (!is_filtered) GTEST_SKIP() << "not applicable: no filter of system calls here";
}
#endif

}  // namespace
}  // namespace octet
