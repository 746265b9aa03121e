#pragma once
// What a step family is made of: a question (can this node be run so, at what cost), and an answer (a prepared step).

#include <algorithm>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "backends/cpu/layout.h"
#include "base/aligned.h"
#include "base/isa.h"
#include "base/thread_pool.h"
#include "ir/op.h"
#include "plan/backend.h"
#include "plan/plan.h"

namespace octet::cpu {

/// Where a value lies during a run.
struct Place {
  enum class Kind : uint8_t { nowhere, arena, input, output, constant };
  Kind kind = Kind::nowhere;
  size_t at = 0;                    // arena: byte offset; input, output: index in the bindings
  const std::byte* data = nullptr;  // constant: owned by the program

  /// 64-byte aligned and with k_tail_bytes behind it, as the convolution kernels want it.
  bool is_padded() const { return kind == Kind::arena || kind == Kind::constant; }
};

/// A value as a step sees it.
struct Operand {
  Layout layout;
  Place place;
};

/// Everything that differs from run to run.
class RunContext {
 public:
  /// error: where a step that can fail leaves the first failure.
  RunContext(std::byte* arena, const Bindings& io, std::byte* workspace, size_t scratch_bytes, ThreadPool& pool,
             std::optional<Error>& error)
      : arena_(arena), io_(io), workspace_(workspace), scratch_bytes_(scratch_bytes), pool_(pool), error_(error) {}

  template <class T>
  T* at(const Place& place) const {
    return reinterpret_cast<T*>(address(place));
  }
  template <class T>
  T* at(const Operand& operand) const {
    return at<T>(operand.place);
  }
  /// This worker's own bytes: as many as the step asked for, 64-byte aligned.
  template <class T>
  T* scratch(int worker) const {
    return reinterpret_cast<T*>(workspace_ + static_cast<size_t>(worker) * scratch_bytes_);
  }
  /// The step's shared bytes, behind the scratch of all workers.
  template <class T>
  T* shared() const {
    return scratch<T>(pool_.threads());
  }
  /// Called by the step's own thread only.
  void fail(Error error) const {
    if (!error_) error_ = std::move(error);
  }
  int threads() const { return pool_.threads(); }
  ThreadPool& pool() const { return pool_; }

  /// Cuts [0, units) into runs of neighbours, one per chunk, and calls body(first, last, worker) for each. A chunk
  /// holds at least about k_chunk_elements, since a wake-up costs as much as working through some thousands of them.
  template <class F>
  void parallel(int64_t units, int64_t elements_per_unit, F&& body) const {
    constexpr int64_t k_chunk_elements = 16384;
    const int64_t wanted = units * std::max<int64_t>(elements_per_unit, 1) / k_chunk_elements;
    const int64_t chunks =
        std::clamp<int64_t>(std::min(wanted, int64_t{4} * threads()), 1, std::max<int64_t>(units, 1));
    pool_.parallel_for(threads() == 1 ? 1 : chunks, [&](int64_t chunk, int worker) {
      const int64_t n = threads() == 1 ? 1 : chunks;
      body(units * chunk / n, units * (chunk + 1) / n, worker);
    });
  }

 private:
  std::byte* address(const Place& place) const {
    switch (place.kind) {
      case Place::Kind::arena: return arena_ + place.at;
      case Place::Kind::input: return io_.inputs[place.at].data;
      case Place::Kind::output: return io_.outputs[place.at].data;
      case Place::Kind::constant: return const_cast<std::byte*>(place.data);  // nobody writes to a constant place
      case Place::Kind::nowhere: break;
    }
    return nullptr;
  }

  std::byte* arena_;
  const Bindings& io_;
  std::byte* workspace_;
  size_t scratch_bytes_;
  ThreadPool& pool_;
  std::optional<Error>& error_;
};

/// A step ready to run: immutable, called from many contexts at once, with scratch and shared bytes of the context.
struct PreparedStep {
  std::function<void(const RunContext&)> run = {};  // empty = nothing to do
  size_t scratch_bytes = 0;                         // per worker
  size_t shared_bytes = 0;
  size_t packed_bytes = 0;
};

/// What is asked about a node before anything is prepared.
struct StepQuery : NodeContext {
  Isa isa = Isa::scalar;
  int threads = 1;
  std::string_view variant = {};  // which of the family's ways; empty = its cheapest

  ValueId id(size_t i) const { return i < node.inputs.size() ? node.inputs[i] : k_absent; }
  const Value& output(size_t i = 0) const { return graph.value(node.outputs[i]); }
  Dims dims(size_t i) const { return *known_dims(*shape(i)); }
  Dims output_dims(size_t i = 0) const { return *known_dims(*output(i).shape); }
};

/// Hands prepare functions the values of their node. Borrows the plan and the program's memory.
class StepBuilder {
 public:
  StepBuilder(const Plan& plan, std::vector<AlignedBytes>& constants) : plan_(plan), constants_(constants) {}
  /// Input i; a constant is brought into the back end's layout. Errors: no memory for it.
  Result<Operand> input(const StepQuery& query, size_t i);
  Operand output(const StepQuery& query, size_t i = 0) const;
  /// A value that is not a constant.
  Operand value(ValueId v) const;
  /// The constant in the back end's layout.
  Result<Operand> constant(const Tensor& tensor);

 private:
  const Plan& plan_;
  std::vector<AlignedBytes>& constants_;
};

/// One of several ways of a family.
struct StepVariant {
  std::string name;     // rest of the tactic's name: "avx512_vnni 6x64"
  std::string refused;  // empty = supported
  double cost_us = 0;
};

/// A row of steps.def.
struct StepDef {
  std::string_view family;  // first word of the tactic's name
  /// Why this family cannot run the node; empty = it can.
  std::string (*refuse)(const StepQuery&);
  /// Estimated microseconds on one thread; null where `variants` says it.
  double (*cost_us)(const StepQuery&);
  Result<PreparedStep> (*prepare)(const StepQuery&, StepBuilder&);
  /// The family's ways for a node that refuse() lets pass; null = one, named after the ISA.
  std::vector<StepVariant> (*variants)(const StepQuery&) = nullptr;
};

#define OCTET_STEP(op, step) extern const StepDef step;
#include "backends/cpu/steps.def"
#undef OCTET_STEP

/// The way of last resort, for every op: reference.cpp.
extern const StepDef reference_step;

/// Estimate of a step that is bound by memory: bytes of all inputs and outputs at 10 GB/s, and a microsecond to start.
double streaming_cost_us(const StepQuery& query);

}  // namespace octet::cpu
