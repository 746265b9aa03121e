// The module liboctet_mpi.so, built where CMake found MPI. Only the C interface is used. Messages are cut into pieces,
// because MPI counts in int.
#include <mpi.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>

#include "base/process_transport.h"

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

int own_rank() {
  int rank = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  return rank;
}

int group_size() {
  int size = 1;
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  return size;
}

std::vector<std::string> gather(const std::string& bytes) {
  uint64_t length = bytes.size();
  if (own_rank() != 0) {
    MPI_Send(&length, 1, MPI_UINT64_T, 0, k_tag, MPI_COMM_WORLD);
    in_pieces(length,
              [&](uint64_t at, int count) { MPI_Send(bytes.data() + at, count, MPI_BYTE, 0, k_tag, MPI_COMM_WORLD); });
    return {};
  }
  std::vector<std::string> all = {bytes};
  for (int rank = 1; rank < group_size(); ++rank) {
    MPI_Recv(&length, 1, MPI_UINT64_T, rank, k_tag, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    std::string& one = all.emplace_back(length, '\0');
    in_pieces(length, [&](uint64_t at, int count) {
      MPI_Recv(one.data() + at, count, MPI_BYTE, rank, k_tag, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    });
  }
  return all;
}

std::string broadcast(std::string bytes) {
  uint64_t length = bytes.size();
  MPI_Bcast(&length, 1, MPI_UINT64_T, 0, MPI_COMM_WORLD);
  bytes.resize(length);
  in_pieces(length, [&](uint64_t at, int count) { MPI_Bcast(bytes.data() + at, count, MPI_BYTE, 0, MPI_COMM_WORLD); });
  return bytes;
}

}  // namespace
}  // namespace octet

const octet::ProcessTransport* octet_start_mpi() {
  static const octet::ProcessTransport transport = [] {
    MPI_Init(nullptr, nullptr);
    std::atexit(octet::end_mpi);
    return octet::ProcessTransport{octet::own_rank(), octet::group_size(), octet::gather, octet::broadcast};
  }();
  return &transport;
}
