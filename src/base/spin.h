#pragma once
// Short waiting without giving the CPU away.

#include <chrono>

#if defined(__x86_64__) || defined(_M_X64)
#include <immintrin.h>
#endif

namespace octet {

inline constexpr auto k_spin = std::chrono::microseconds(50);

/// Who has finished its own chunks lets the others finish theirs for so long before it takes some of them: a look at
/// another's range costs that one a cache line, and so does a chunk whose data lie in the other's cache.
inline constexpr int k_patience_pauses = 32;

inline void pause_cpu() {
#if defined(__x86_64__) || defined(_M_X64)
  _mm_pause();
#endif
}

/// Waits for ready() through `pauses` pauses of the CPU (some tens of cycles each); true when it came.
template <class Ready>
bool spin_pauses(int pauses, Ready&& ready) {
  for (int i = 0; i < pauses; ++i) {
    if (ready()) return true;
    pause_cpu();
  }
  return ready();
}

/// Waits up to k_spin for ready(); true when it came.
template <class Ready>
bool spin_for(bool may_spin, Ready&& ready) {
  if (!may_spin) return ready();
  if (spin_pauses(32, ready)) return true;  // reading the clock takes as long as a meeting
  const auto give_up = std::chrono::steady_clock::now() + k_spin;
  while (true) {
    if (spin_pauses(32, ready)) return true;
    if (std::chrono::steady_clock::now() >= give_up) return false;
  }
}

}  // namespace octet
