#include "base/process_group.h"

#include <dlfcn.h>

#include <cstdlib>
#include <filesystem>

#include "base/process_transport.h"

namespace octet {
namespace {

constexpr const char* k_module = "liboctet_mpi.so";

/// The module lies beside the program, or where it is installed. Open MPI brings some twenty libraries and a second of
/// start-up: a program that is one process must need neither.
Result<const ProcessTransport*> load_transport() {
  std::error_code none;
  const std::filesystem::path folder = std::filesystem::read_symlink("/proc/self/exe", none).parent_path();
  std::string reasons;
  for (const std::filesystem::path& place : {folder / k_module, folder / OCTET_MODULES / k_module}) {
    void* module = std::filesystem::exists(place, none) ? ::dlopen(place.c_str(), RTLD_NOW | RTLD_GLOBAL) : nullptr;
    if (!module) {
      reasons += "; " + place.lexically_normal().string() + ": " +
                 (std::filesystem::exists(place, none) ? ::dlerror() : "not there");
      continue;
    }
    if (void* start = ::dlsym(module, "octet_start_mpi")) return reinterpret_cast<decltype(&octet_start_mpi)>(start)();
    reasons += "; " + place.string() + ": not a module of octet";
  }
  return Error{ErrorCode::unsupported, "mpirun started " + std::to_string(launched_processes()) +
                                           " processes, but octet's MPI module cannot be loaded, so that each would do "
                                           "all of the work: install the package octet-mpi, or configure again where "
                                           "libopenmpi-dev is" +
                                           reasons};
}

const Result<const ProcessTransport*>& transport() {
  static const Result<const ProcessTransport*> loaded = load_transport();
  return loaded;
}

}  // namespace

int launched_processes() {
  for (const char* variable : {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE"}) {
    const char* text = std::getenv(variable);
    if (!text) continue;
    const long size = std::strtol(text, nullptr, 10);
    if (size >= 1 && size <= 1 << 20) return static_cast<int>(size);
  }
  return 1;
}

Result<const ProcessGroup*> ProcessGroup::world() {
  static const ProcessGroup single = alone();
  if (launched_processes() <= 1) return &single;
  if (!transport()) return transport().error();
  static const ProcessGroup group((*transport())->rank, (*transport())->size);
  return &group;
}

std::vector<std::string> ProcessGroup::gather(const std::string& bytes) const {
  if (size_ == 1) return {bytes};
  return (*transport())->gather(bytes);
}

std::string ProcessGroup::broadcast(std::string bytes) const {
  if (size_ == 1) return bytes;
  return (*transport())->broadcast(std::move(bytes));
}

}  // namespace octet
