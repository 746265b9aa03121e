#include "octet/train/replicas.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include "train/c10d_group.h"
#include "train/run_options.h"

namespace octet::nn {
namespace {

/// The first of these variables that is set.
Result<std::optional<int>> number(const Variables& variable, std::initializer_list<const char*> names) {
  for (const char* name : names) {
    const char* text = variable(name);
    if (!text) continue;
    int value = 0;
    const char* end = text + std::char_traits<char>::length(text);
    const auto [at, failed] = std::from_chars(text, end, value);
    if (failed != std::errc() || at != end || value < 0)
      return Error{ErrorCode::bad_argument, std::string(name) + "='" + text + "': expected a number of a process"};
    return std::optional<int>(value);
  }
  return std::optional<int>();
}

}  // namespace

Result<Place> place_of_process(const Variables& variable) {
  const auto rank = number(variable, {"RANK", "OMPI_COMM_WORLD_RANK", "PMI_RANK"});
  const auto size = number(variable, {"WORLD_SIZE", "OMPI_COMM_WORLD_SIZE", "PMI_SIZE"});
  const auto local = number(variable, {"LOCAL_RANK", "OMPI_COMM_WORLD_LOCAL_RANK", "MPI_LOCALRANKID"});
  const auto local_size = number(variable, {"LOCAL_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_SIZE", "MPI_LOCALNRANKS"});
  const auto port = number(variable, {"MASTER_PORT"});
  for (const auto* one : {&rank, &size, &local, &local_size, &port})
    if (!*one) return one->error();
  Place place;
  place.rank = rank->value_or(0);
  place.size = size->value_or(1);
  place.local_rank = local->value_or(place.rank);
  place.local_size = std::max(1, local_size->value_or(place.size));
  place.port = port->value_or(place.port);
  if (const char* address = variable("MASTER_ADDR")) place.address = address;
  if (place.size < 1 || place.rank >= place.size)
    return Error{ErrorCode::bad_argument, "rank " + std::to_string(place.rank) + " of " + std::to_string(place.size) +
                                              " processes: RANK must be below WORLD_SIZE"};
  if (place.size > 1 && !rank->has_value())
    return Error{ErrorCode::bad_argument, "WORLD_SIZE is set without RANK; torchrun or mpirun sets both"};
  return place;
}

Result<std::shared_ptr<Replicas>> join_replicas(const Place& place, const std::string& device) {
  if (place.size == 1) return std::shared_ptr<Replicas>();
  try {
    c10d::TCPStoreOptions options;
    options.port = static_cast<uint16_t>(place.port);
    options.isServer = place.rank == 0;
    options.numWorkers = static_cast<size_t>(place.size);
    const StorePtr store = c10::make_intrusive<c10d::TCPStore>(place.address, options);
    const torch::Device on(device);
    std::shared_ptr<Replicas> joined = on.is_cuda() ? open_nccl(place, store, on) : open_gloo(place, store);
    if (!joined)
      return Error{ErrorCode::unsupported, std::string("this libtorch comes without ") +
                                               (on.is_cuda() ? "NCCL" : "Gloo") + ": several processes cannot train"};
    return joined;
  } catch (const std::exception& e) {
    return Error{ErrorCode::device, "process " + std::to_string(place.rank) + " of " + std::to_string(place.size) +
                                        " cannot meet the others at " + place.address + ":" +
                                        std::to_string(place.port) + ": " + reason(e)};
  }
}

}  // namespace octet::nn
