#pragma once
// What a step family is made of: a question (can this node be run so, at what cost), and an answer (a prepared step).

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "backends/cpu/layout.h"
#include "backends/cpu/run_context.h"
#include "base/aligned.h"
#include "base/isa.h"
#include "ir/op.h"
#include "kernels/implicit_gemm/packed_weights.h"
#include "plan/plan.h"

namespace octet::cpu {

struct SubBatch;
class Neighbours;

/// A step ready to run: immutable, called from many contexts at once, with scratch and shared bytes of the context.
struct PreparedStep {
  std::function<void(const RunContext&)> run = {};  // empty = nothing to do
  size_t scratch_bytes = 0;                         // per worker
  size_t shared_bytes = 0;
  /// `run` reads and writes values only in its loops (for_chunks, parallel, once), so that several workers may walk
  /// through it in step.
  bool in_team = false;
  size_t packed_bytes = 0;
  bool for_taps = false;       // what it makes is wanted by taps only
  NodeId done_by = -1;         // for taps: the node that does it; -1 = one behind it
  bool can_run_apart = false;  // for taps: what does it has a run_alone
  /// In place of `run` where steps for taps have run, too; empty = `run`.
  std::function<void(const RunContext&)> run_alone = {};
  PackedWeights packed = {};                             // to be kept; the bytes live as long as `run`
  std::vector<std::span<const std::byte>> read_by = {};  // of packed, by worker; empty = equal parts
  bool borrows = false;                                  // packed is StepQuery::packed in place
  int64_t spare_bytes = 0;  // of later steps' weights, brought near as RunContext::ahead() says; 0 = none
};

/// What is asked about a node before anything is prepared.
struct StepQuery : NodeContext {
  Isa isa = Isa::scalar;
  int threads = 1;
  std::string_view variant = {};          // which of the family's ways; empty = its cheapest
  const PackedWeights* packed = nullptr;  // of this step, from a plan file or another program; null = none

  ValueId id(size_t i) const { return i < node.inputs.size() ? node.inputs[i] : k_absent; }
  const Value& output(size_t i = 0) const { return graph.value(node.outputs[i]); }
  Dims dims(size_t i) const { return *known_dims(*shape(i)); }
  Dims output_dims(size_t i = 0) const { return *known_dims(*output(i).shape); }
};

/// Hands prepare functions the values of their node. Borrows the plan and the program's memory.
class StepBuilder {
 public:
  /// part: the steps are of this one; null = all see whole batches.
  StepBuilder(const Plan& plan, const Neighbours& neighbours, std::vector<AlignedBytes>& constants,
              const SubBatch* part = nullptr)
      : plan_(plan), neighbours_(neighbours), constants_(constants), part_(part) {}
  const Neighbours& neighbours() const { return neighbours_; }
  /// Input i; a constant is brought into the back end's layout. Errors: no memory for it.
  Result<Operand> input(const StepQuery& query, size_t i);
  Operand output(const StepQuery& query, size_t i = 0) const;
  /// A value that is not a constant.
  Operand value(ValueId v) const;
  /// Of another node, which way of its family the plan has chosen; empty = the cheapest.
  std::string_view variant_of(NodeId node) const;
  /// How many workers share the loops of the node's step.
  int workers(const StepQuery& query) const;
  /// The constant in the back end's layout.
  Result<Operand> constant(const Tensor& tensor);

 private:
  const Plan& plan_;
  const Neighbours& neighbours_;
  std::vector<AlignedBytes>& constants_;
  const SubBatch* part_;
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

/// The way of steps that make nothing, for every op: nothing.cpp.
extern const StepDef nothing_step;
/// Whether all outputs, or an input that is not a constant, have no elements: fast kernels count on there being some.
bool is_without_elements(const StepQuery& query);
/// The way of last resort, for every op: reference.cpp.
extern const StepDef reference_step;

/// What a layer object may use in place of packing.
inline PackedConvWeights given_weights(const StepQuery& query) {
  return query.packed ? PackedConvWeights{query.packed->form, query.packed->bytes} : PackedConvWeights();
}
/// Notes what the layer object keeps; it lives as long as step.run.
inline void keep_packed(const StepQuery& query, const PackedConvWeights& kept, PreparedStep& step) {
  step.packed = {kept.form, kept.bytes};
  step.borrows = query.packed && !kept.bytes.empty() && kept.bytes.data() == query.packed->bytes.data();
}

/// Estimate of a step that is bound by memory: bytes of all inputs and outputs at 10 GB/s, and a microsecond to start.
double streaming_cost_us(const StepQuery& query);

}  // namespace octet::cpu
