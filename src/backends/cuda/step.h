#pragma once
// What a step family is made of: a question (can this node be run so), and an answer (one or several ways to enqueue
// it, equal in their bytes for integer layers).

#include <algorithm>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "backends/cuda/arena_offsets.h"
#include "backends/cuda/constants.h"
#include "backends/cuda/launch.h"
#include "backends/cuda/place.h"
#include "ir/op.h"
#include "plan/backend.h"

namespace octet::cuda {

/// One way to run a step.
struct Choice {
  std::string name;
  double cost_us = 0;  // estimate
  Enqueue run;
  std::vector<const void*> reads = {};  // of what was uploaded, that which not all choices of the step read
  Room room = {};
};

struct PreparedStep {
  std::vector<Choice> choices;  // none = nothing to do
  std::string key;              // steps of equal keys do the same work: one measurement serves all
  size_t packed_bytes = 0;
  size_t host_bytes = 0;              // of Launch.host
  std::string wanted;                 // the choice that the plan names; empty: any
  bool is_row = false;                // of steps that one kernel runs, in place of single ones
  std::vector<std::string> refusals;  // ways that are not there against expectation: "name: why"

  /// The choice of the smallest estimate; 0 where there is none.
  size_t cheapest() const;
  static PreparedStep of(Enqueue run) {
    PreparedStep made;
    made.choices.push_back({"", 0, std::move(run)});
    return made;
  }
};

/// What is asked about a node before anything is prepared.
struct StepQuery : NodeContext {
  DType floats = DType::f32;
  bool tf32 = false;

  ValueId id(size_t i) const { return i < node.inputs.size() ? node.inputs[i] : k_absent; }
  const Value& output(size_t i = 0) const { return graph.value(node.outputs[i]); }
  Dims dims(size_t i) const { return *known_dims(*shape(i)); }
  Dims output_dims(size_t i = 0) const { return *known_dims(*output(i).shape); }
  Store float_store() const { return floats == DType::f16 ? Store::f16 : Store::f32; }
};

/// Hands prepare functions the values of their node. Borrows the plan and the program's memory.
class StepBuilder {
 public:
  StepBuilder(const Plan& plan, const Device& device, DType floats, std::vector<DeviceBytes>& constants,
              ArenaOffsets& offsets)
      : plan_(plan), device_(device), floats_(floats), constants_(constants), offsets_(offsets) {}
  /// Input i; a constant is brought into the back end's layout. Errors: no memory for it.
  Result<Operand> input(const StepQuery& query, size_t i);
  Operand output(const StepQuery& query, size_t i = 0) const { return value(query.node.outputs[i]); }
  /// A value that is not a constant.
  Operand value(ValueId v) const;
  Result<Operand> constant(const Tensor& tensor);
  /// Bytes in device memory for as long as the program lives.
  Result<const void*> upload(const void* from, size_t bytes);
  template <class T>
  Result<const void*> upload(const std::vector<T>& values) {
    return upload(values.data(), values.size() * sizeof(T));
  }
  /// A QuantLookup's table for codes of dtype x, from stored code to stored code.
  Result<const void*> upload_table(const Tensor& table, DType x);
  /// Gives output 0 of a node room of its own behind the arena where it lies over x, which a joined step reads at the
  /// same time. Which values that has moved: for ArenaOffsets::kept, once the step is to run.
  void keep_apart(ValueId output, ValueId x);
  std::set<ValueId> take_moved() { return std::exchange(moved_here_, {}); }
  ArenaOffsets& offsets() { return offsets_; }
  const Device& device() const { return device_; }
  /// What the plan names is all that has to be prepared. choice: empty = nothing is named.
  void want(std::string choice) { wanted_ = std::move(choice); }
  bool is_one_wanted() const { return !wanted_.empty(); }
  bool wants(const std::string& choice) const { return wanted_.empty() || wanted_ == choice; }
  /// With any of the triggers.
  bool wants_tile(const std::string& tile) const;

 private:
  const Plan& plan_;
  const Device& device_;
  DType floats_;
  std::vector<DeviceBytes>& constants_;
  ArenaOffsets& offsets_;
  std::string wanted_;
  std::set<ValueId> moved_here_;
};

/// A row of steps.def.
struct StepDef {
  std::string_view family;  // the tactic's name
  /// Why this family cannot run the node; empty = it can.
  std::string (*refuse)(const StepQuery&);
  /// Rank among the families of an op; the smallest wins.
  double cost = 1;
  Result<PreparedStep> (*prepare)(const StepQuery&, StepBuilder&);
  /// Names that choices may have, so that a plan can name one; absent: there is one way only.
  std::vector<std::string> (*choices)() = nullptr;
};
/// The first word of a tactic's name, and the choice that follows it.
inline std::string family_of(const std::string& tactic) { return tactic.substr(0, tactic.find(' ')); }
inline std::string choice_of(const std::string& tactic) {
  const size_t space = tactic.find(' ');
  return space == std::string::npos ? "" : tactic.substr(space + 1);
}

#define OCTET_STEP(op, step) extern const StepDef step;
#include "backends/cuda/steps.def"
#undef OCTET_STEP
/// For every op: its reference kernel on the host.
extern const StepDef reference_step;
/// The epilogue of an octet op with the attributes to, y_*, activation. Errors: attributes that do not fit.
Result<Epilogue> epilogue_of(const NodeContext& context, DType floats);
/// The node's fused activation.
struct FusedAct {
  Act act = Act::none;
  float p0 = 0, p1 = 0;
};
FusedAct act_of(const Node& node);
/// scale and zero point (u8 domain) of codes of this dtype: attributes <prefix>_scale, <prefix>_zero_point.
struct Codes {
  float scale = 1.0f;
  int32_t zero_point = 0;
};
Codes codes_of(const Node& node, const std::string& prefix, DType dtype);

/// Between dense elements of the host or the caller and the back end's layout.
Result<Enqueue> convert(const Operand& to, const Operand& from);
/// Moves elements: dims, and where they go and come from (bases in elements).
Result<Enqueue> copy_elements(const Dims& dims, const Operand& to, const Dims& to_strides, int64_t to_base,
                              const Operand& from, const Dims& from_strides, int64_t from_base);
/// Zeros for the padding channels of a float image, which convolutions multiply by zero weights (a NaN would stay).
Enqueue clear_padding(const Operand& y);
/// One after the other.
Enqueue sequence(std::vector<Enqueue> parts);

}  // namespace octet::cuda
