#pragma once
// The processes that work on one task: this one alone, or those that mpirun started. MPI is seen by the module
// liboctet_mpi.so (process_group_mpi.cpp) only, which is loaded where mpirun started the program.

#include <string>
#include <vector>

#include "base/result.h"

namespace octet {

class ProcessGroup {
 public:
  /// The group this process belongs to. Starts MPI when mpirun started the process, and ends it at exit. An Error when
  /// mpirun started several and the module is not to be had: each would do all of the work.
  static Result<const ProcessGroup*> world();

  int rank() const { return rank_; }  // 0 .. size()-1
  int size() const { return size_; }
  /// Collective: every process gives its bytes; process 0 gets all of them in order of rank, the others nothing.
  std::vector<std::string> gather(const std::string& bytes) const;
  /// Collective: process 0's bytes for every process.
  std::string broadcast(std::string bytes) const;

  static ProcessGroup alone() { return ProcessGroup(0, 1); }

 private:
  ProcessGroup(int rank, int size) : rank_(rank), size_(size) {}
  int rank_, size_;
};

/// How many processes mpirun (of Open MPI, MPICH or Slurm) says it started; 1 without.
int launched_processes();

}  // namespace octet
