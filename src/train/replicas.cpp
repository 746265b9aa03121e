#include "octet/train/replicas.h"

#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <torch/version.h>
#include <algorithm>
#include <charconv>
#include <chrono>
#include <future>
#include <memory>
#include <optional>
#include <string_view>
#include <thread>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>

#include "train/c10d_group.h"
#include "train/run_options.h"

namespace octet::nn {
namespace {

constexpr std::chrono::seconds k_longest_wait{300};
constexpr std::chrono::seconds k_longest_answer{15};  // of a store that is there

/// What make() gives; nothing when that takes longer. Its thread then stays where it is, and the program ends.
template <class F>
auto in_time(std::chrono::milliseconds most, F make) -> std::optional<decltype(make())> {
  const auto made = std::make_shared<std::promise<decltype(make())>>();
  std::future<decltype(make())> future = made->get_future();
  std::thread([made, make = std::move(make)] {
    try {
      made->set_value(make());
    } catch (...) {
      made->set_exception(std::current_exception());
    }
  }).detach();
  if (future.wait_for(most) != std::future_status::ready) return std::nullopt;
  return future.get();
}

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

/// torchrun's agent listens at the meeting point itself, and starts all processes again when one ends.
bool agent_holds_the_store() {
  const char* text = std::getenv("TORCHELASTIC_USE_AGENT_STORE");
  return text && std::string_view(text) == "True";
}

/// Names of this start alone: an agent's store outlives it.
StorePtr own_part_of(const StorePtr& store) {
  const char* start = std::getenv("TORCHELASTIC_RESTART_COUNT");
  return c10::make_intrusive<c10d::PrefixStore>("octet/" + std::string(start ? start : "0"), store);
}

Error no_answer(const Place& place) {
  const std::string at = place.address + ":" + std::to_string(place.port), own = TORCH_VERSION;
  const std::string who = "process " + std::to_string(place.rank) + " of " + std::to_string(place.size) + ": ";
  if (agent_holds_the_store())
    return Error{
        ErrorCode::device,
        who + "torchrun's store at " + at +
            " does not answer: is that torchrun of another release than the "
            "libtorch " +
            own +
            " that this octet is built with? Start it with the torchrun of that release, or "
            "let octet's processes meet in a store of their own: torchrun ... --no-python env "
            "TORCHELASTIC_USE_AGENT_STORE=False MASTER_PORT=29642 octet train ... (another port than torchrun's)"};
  return Error{ErrorCode::device, who + "what listens at " + at + " does not answer as process 0 of libtorch " + own +
                                      " does; another program has that port, or rank 0 runs another release: give "
                                      "another MASTER_PORT, or start all with one octet"};
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
  if (place.port < 1 || place.port > 65535)
    return Error{ErrorCode::bad_argument,
                 "MASTER_PORT=" + std::to_string(place.port) + ": expected a port of 1 to 65535"};
  if (place.size > 1 && !rank->has_value())
    return Error{ErrorCode::bad_argument, "WORLD_SIZE is set without RANK; torchrun or mpirun sets both"};
  return place;
}

int64_t wait_for_all(c10d::Store& store, int64_t size, std::chrono::milliseconds most) {
  constexpr std::chrono::milliseconds k_pause{50};
  const auto end = std::chrono::steady_clock::now() + most;
  int64_t here = store.add("here", 1);
  while (here < size && std::chrono::steady_clock::now() < end) {
    std::this_thread::sleep_for(k_pause);
    here = store.add("here", 0);
  }
  return here;
}

bool answers(const c10::intrusive_ptr<c10d::Store>& store, std::chrono::milliseconds most) {
  return in_time(most, [store] { return store->add("hello", 1); }).has_value();
}

std::string own_address_towards(const std::string& host, int port) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_DGRAM;  // connecting one sends nothing, it only asks for the route
  addrinfo* found = nullptr;
  if (::getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found) != 0) return "";
  std::string own;
  for (const addrinfo* at = found; at && own.empty(); at = at->ai_next) {
    const int socket = ::socket(at->ai_family, at->ai_socktype, at->ai_protocol);
    if (socket < 0) continue;
    sockaddr_storage address{};
    socklen_t size = sizeof address;
    char text[NI_MAXHOST] = "";
    if (::connect(socket, at->ai_addr, at->ai_addrlen) == 0 &&
        ::getsockname(socket, reinterpret_cast<sockaddr*>(&address), &size) == 0 &&
        ::getnameinfo(reinterpret_cast<sockaddr*>(&address), size, text, sizeof text, nullptr, 0, NI_NUMERICHOST) == 0)
      own = text;
    ::close(socket);
  }
  ::freeaddrinfo(found);
  return own;
}

Result<std::shared_ptr<Replicas>> join_replicas(const Place& place, const std::string& device) {
  if (place.size == 1) return std::shared_ptr<Replicas>();
  try {
    c10d::TCPStoreOptions options;
    options.port = static_cast<uint16_t>(place.port);
    options.isServer = place.rank == 0 && !agent_holds_the_store();
    options.numWorkers = static_cast<size_t>(place.size);
    options.waitWorkers = false;  // that ends without a word when some do not come
    options.timeout = k_longest_wait;
    // It waits for process 0 as long as its timeout says. What listens there and is silent holds the store of today's
    // libtorch longer than that, and the first call to that of former ones without an end.
    const auto made = in_time(k_longest_wait + k_longest_answer, [address = place.address, options] {
      return c10::make_intrusive<c10d::TCPStore>(address, options);
    });
    if (!made) return no_answer(place);
    const StorePtr store = own_part_of(*made);
    if (!answers(store, k_longest_answer)) return no_answer(place);
    if (const int64_t here = wait_for_all(*store, place.size, k_longest_wait); here < place.size)
      return Error{ErrorCode::device, "process " + std::to_string(place.rank) + ": " + std::to_string(here) + " of " +
                                          std::to_string(place.size) + " processes came to " + place.address + ":" +
                                          std::to_string(place.port) + " within " +
                                          std::to_string(k_longest_wait.count()) +
                                          " s; start one for each RANK below WORLD_SIZE, with the same MASTER_ADDR and "
                                          "MASTER_PORT"};
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
