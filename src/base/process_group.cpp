#include "base/process_group.h"

#include <cstdlib>

namespace octet {

int launched_processes() {
  for (const char* variable : {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE"}) {
    const char* text = std::getenv(variable);
    if (!text) continue;
    const long size = std::strtol(text, nullptr, 10);
    if (size >= 1 && size <= 1 << 20) return static_cast<int>(size);
  }
  return 1;
}

}  // namespace octet
