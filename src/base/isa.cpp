#include "base/isa.h"

#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include <algorithm>
#include <array>
#include <cstdlib>
#include <string>
#include <utility>

namespace octet {
namespace {

constexpr std::array<std::pair<Isa, std::string_view>, 5> k_names = {{{Isa::scalar, "scalar"},
                                                                      {Isa::avx2, "avx2"},
                                                                      {Isa::avx_vnni, "avx_vnni"},
                                                                      {Isa::avx512_vnni, "avx512_vnni"},
                                                                      {Isa::amx, "amx"}}};

#if defined(__x86_64__)
/// CPUID.1:ECX bit 29; clang 14's cpu_supports does not know the word.
bool has_f16c() {
  unsigned a = 1, b = 0, c = 0, d = 0;
  __asm__("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
  return (c & (1u << 29)) != 0;
}
#endif

#if defined(__x86_64__)
/// CPUID.(EAX=7,ECX=0):EDX bits 24 (AMX-TILE) and 25 (AMX-INT8), and the kernel's permission for the tiles' 8 KB of
/// state, which a process has to ask for once (Documentation/arch/x86/xstate.rst). A refusal means: not available.
bool has_amx() {
  static const bool has = [] {
    unsigned a = 7, b = 0, c = 0, d = 0;
    __asm__("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
    constexpr unsigned k_tile_and_int8 = 3u << 24;
    if ((d & k_tile_and_int8) != k_tile_and_int8) return false;
#if defined(__linux__)
    constexpr long k_arch_req_xcomp_perm = 0x1023, k_xtiledata = 18;
    return syscall(SYS_arch_prctl, k_arch_req_xcomp_perm, k_xtiledata) == 0;
#else
    return false;
#endif
  }();
  return has;
}
#endif

bool runs(Isa isa) {
#if defined(__x86_64__)
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && has_f16c();
  switch (isa) {
    case Isa::scalar: return true;
    case Isa::avx2: return avx2;
    case Isa::avx_vnni: {
      // CPUID.(EAX=7,ECX=1):EAX bit 4; gcc 12's cpu_supports does not know the word.
      unsigned a = 7, b = 0, c = 1, d = 0;
      __asm__("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
      return avx2 && (a & (1u << 4)) != 0;
    }
    case Isa::avx512_vnni:
      return avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
             __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
             __builtin_cpu_supports("avx512vnni");
    case Isa::amx: return runs(Isa::avx512_vnni) && has_amx();
  }
#endif
  return isa == Isa::scalar;
}

}  // namespace

std::string_view name(Isa isa) { return k_names[static_cast<size_t>(isa)].second; }

std::optional<Isa> isa_from_name(std::string_view word) {
  for (const auto& [isa, text] : k_names)
    if (text == word) return isa;
  return std::nullopt;
}

std::vector<Isa> available_isas() {
  // Once: under a hypervisor each CPUID instruction costs a microsecond or more, and planning asks for every layer.
  static const std::vector<Isa> found = [] {
    std::vector<Isa> isas;
    for (const auto& [isa, text] : k_names)
      if (runs(isa)) isas.push_back(isa);
    return isas;
  }();
  return found;
}

Result<Isa> chosen_isa() {
  const std::vector<Isa> isas = available_isas();
  const char* wish = std::getenv("OCTET_ISA");
  if (!wish || !*wish) return isas.back();
  const std::optional<Isa> isa = isa_from_name(wish);
  if (!isa)
    return Error{ErrorCode::bad_argument,
                 "OCTET_ISA=" + std::string(wish) + ": unknown; use scalar, avx2, avx_vnni, avx512_vnni or amx"};
  if (std::find(isas.begin(), isas.end(), *isa) == isas.end()) {
    std::string have;
    for (const Isa i : isas) have += (have.empty() ? "" : ", ") + std::string(name(i));
    return Error{ErrorCode::device,
                 "OCTET_ISA=" + std::string(wish) + ": not available here; this machine has " + have};
  }
  return *isa;
}

}  // namespace octet
