// Built where CMake found MPI. Only the C interface is used. Messages are cut into pieces, because MPI counts in int.
#include <mpi.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>

#include "base/process_group.h"

namespace octet {
namespace {

constexpr uint64_t k_piece = uint64_t{1} << 28;
constexpr int k_tag = 7;

/// Calls transfer(at, count) for each piece of size bytes.
template <class F>
void in_pieces(uint64_t size, F transfer) {
  for (uint64_t at = 0; at < size; at += k_piece) transfer(at, static_cast<int>(std::min(k_piece, size - at)));
}

void end_mpi() {
  int ended = 0;
  MPI_Finalized(&ended);
  if (!ended) MPI_Finalize();
}

}  // namespace

Result<const ProcessGroup*> ProcessGroup::world() {
  static const ProcessGroup group = [] {
    if (launched_processes() <= 1) return alone();  // starting MPI costs a second that one process need not pay
    MPI_Init(nullptr, nullptr);
    std::atexit(end_mpi);
    int rank = 0, size = 1;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    return ProcessGroup(rank, size);
  }();
  return &group;
}

std::vector<std::string> ProcessGroup::gather(const std::string& bytes) const {
  if (size_ == 1) return {bytes};
  uint64_t length = bytes.size();
  if (rank_ != 0) {
    MPI_Send(&length, 1, MPI_UINT64_T, 0, k_tag, MPI_COMM_WORLD);
    in_pieces(length,
              [&](uint64_t at, int count) { MPI_Send(bytes.data() + at, count, MPI_BYTE, 0, k_tag, MPI_COMM_WORLD); });
    return {};
  }
  std::vector<std::string> all = {bytes};
  for (int rank = 1; rank < size_; ++rank) {
    MPI_Recv(&length, 1, MPI_UINT64_T, rank, k_tag, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    std::string& one = all.emplace_back(length, '\0');
    in_pieces(length, [&](uint64_t at, int count) {
      MPI_Recv(one.data() + at, count, MPI_BYTE, rank, k_tag, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    });
  }
  return all;
}

std::string ProcessGroup::broadcast(std::string bytes) const {
  if (size_ == 1) return bytes;
  uint64_t length = bytes.size();
  MPI_Bcast(&length, 1, MPI_UINT64_T, 0, MPI_COMM_WORLD);
  bytes.resize(length);
  in_pieces(length, [&](uint64_t at, int count) { MPI_Bcast(bytes.data() + at, count, MPI_BYTE, 0, MPI_COMM_WORLD); });
  return bytes;
}

}  // namespace octet
