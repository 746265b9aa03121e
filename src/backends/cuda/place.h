#pragma once
// Where values lie during a run, and everything that differs from context to context.

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "backends/cuda/device.h"
#include "backends/cuda/layout.h"

namespace octet::cuda {

/// What a context has for kernels beside values, shared by all of them one after the other.
struct Room {
  size_t partial_sums = 0, tiles = 0;  // s32 of Launch.partial and Launch.arrived
  size_t scratch = 0;                  // bytes of Launch.scratch
  void include(const Room& other) {
    partial_sums = std::max(partial_sums, other.partial_sums), tiles = std::max(tiles, other.tiles);
    scratch = std::max(scratch, other.scratch);
  }
  size_t bytes() const { return 4 * (partial_sums + tiles) + scratch; }
};

/// Where a value lies during a run.
struct Place {
  enum class Kind : uint8_t { nowhere, arena, input, output, constant, host };
  Kind kind = Kind::nowhere;
  size_t at = 0;               // arena: ValueId; host: byte offset; input, output: index in the graph's list
  const void* data = nullptr;  // constant: device memory of the program
};

/// A value as a step sees it.
struct Operand {
  Layout layout;
  Place place;
};

/// What a step that runs on the host needs in one context; made when the step is first enqueued there.
struct HostCall {
  virtual ~HostCall() = default;
  std::optional<Error> error;  // of its last run
};
using HostCalls = std::map<const void*, std::unique_ptr<HostCall>>;  // by step

/// Everything that differs from context to context.
struct Launch {
  cudaStream_t stream = nullptr;
  std::byte* arena = nullptr;
  const std::vector<size_t>* offsets = nullptr;      // in the arena, by ValueId
  const std::vector<DeviceBytes>* inputs = nullptr;  // as the caller has them
  const std::vector<DeviceBytes>* outputs = nullptr;
  int32_t* partial = nullptr;  // sums of tiles that several CTAs share, zero between launches
  int32_t* arrived = nullptr;
  void* scratch = nullptr;    // of one kernel at a time, of any content
  std::byte* host = nullptr;  // pinned memory that kernels reach, for steps that run on the host
  HostCalls* host_calls = nullptr;

  void* at(const Place& place) const {
    switch (place.kind) {
      case Place::Kind::arena: return arena + (*offsets)[place.at];
      case Place::Kind::input: return (*inputs)[place.at].get();
      case Place::Kind::output: return (*outputs)[place.at].get();
      case Place::Kind::constant: return const_cast<void*>(place.data);  // nobody writes to a constant place
      case Place::Kind::host: return host + place.at;
      case Place::Kind::nowhere: break;
    }
    return nullptr;
  }
};
using Enqueue = std::function<cudaError_t(const Launch&)>;

}  // namespace octet::cuda
