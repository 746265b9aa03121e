#pragma once
// What the optional module liboctet_mpi.so gives to process_group.cpp. Both come from one build.

#include <string>
#include <vector>

namespace octet {

struct ProcessTransport {
  int rank = 0, size = 1;
  std::vector<std::string> (*gather)(const std::string& bytes);
  std::string (*broadcast)(std::string bytes);
};

}  // namespace octet

/// Starts MPI and ends it at exit. The name that dlsym asks for.
extern "C" const octet::ProcessTransport* octet_start_mpi();
