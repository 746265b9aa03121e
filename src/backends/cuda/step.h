#pragma once
// What a step family is made of: a question (can this node be run so), and an answer (one or several ways to enqueue
// it, equal in their bytes for integer layers).

#include <algorithm>
#include <functional>
#include <string>
#include <vector>

#include "backends/cuda/constants.h"
#include "backends/cuda/device.h"
#include "backends/cuda/launch.h"
#include "backends/cuda/layout.h"
#include "ir/op.h"
#include "plan/backend.h"

namespace octet::cuda {

/// Where a value lies during a run.
struct Place {
  enum class Kind : uint8_t { nowhere, arena, input, output, constant };
  Kind kind = Kind::nowhere;
  size_t at = 0;               // arena: byte offset; input, output: index in the graph's list
  const void* data = nullptr;  // constant: device memory of the program
};

/// A value as a step sees it.
struct Operand {
  Layout layout;
  Place place;
};

/// Everything that differs from context to context.
struct Launch {
  cudaStream_t stream = nullptr;
  std::byte* arena = nullptr;
  const std::vector<DeviceBytes>* inputs = nullptr;  // as the caller has them
  const std::vector<DeviceBytes>* outputs = nullptr;
  int32_t* partial = nullptr;  // sums of tiles that several CTAs share, zero between launches
  int32_t* arrived = nullptr;

  void* at(const Place& place) const {
    switch (place.kind) {
      case Place::Kind::arena: return arena + place.at;
      case Place::Kind::input: return (*inputs)[place.at].get();
      case Place::Kind::output: return (*outputs)[place.at].get();
      case Place::Kind::constant: return const_cast<void*>(place.data);  // nobody writes to a constant place
      case Place::Kind::nowhere: break;
    }
    return nullptr;
  }
};
using Enqueue = std::function<cudaError_t(const Launch&)>;

/// One way to run a step.
struct Choice {
  std::string name;
  double cost_us = 0;  // estimate
  Enqueue run;
};

struct PreparedStep {
  std::vector<Choice> choices;  // none = nothing to do
  std::string key;              // steps of equal keys do the same work: one measurement serves all
  size_t packed_bytes = 0;
  size_t partial_sums = 0, tiles = 0;  // s32 of Launch.partial and Launch.arrived that some choice needs

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
  StepBuilder(const Plan& plan, const Device& device, DType floats, std::vector<DeviceBytes>& constants)
      : plan_(plan), device_(device), floats_(floats), constants_(constants) {}
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
  const Device& device() const { return device_; }

 private:
  const Plan& plan_;
  const Device& device_;
  DType floats_;
  std::vector<DeviceBytes>& constants_;
};

/// A row of steps.def.
struct StepDef {
  std::string_view family;  // the tactic's name
  /// Why this family cannot run the node; empty = it can.
  std::string (*refuse)(const StepQuery&);
  /// Rank among the families of an op; the smallest wins.
  double cost = 1;
  Result<PreparedStep> (*prepare)(const StepQuery&, StepBuilder&);
};

#define OCTET_STEP(op, step) extern const StepDef step;
#include "backends/cuda/steps.def"
#undef OCTET_STEP

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

/// Moves elements: dims, and where they go and come from (bases in elements).
Result<Enqueue> copy_elements(const Dims& dims, const Operand& to, const Dims& to_strides, int64_t to_base,
                              const Operand& from, const Dims& from_strides, int64_t from_base);
/// Zeros for the padding channels of a float image, which convolutions multiply by zero weights (a NaN would stay).
Enqueue clear_padding(const Operand& y);
/// One after the other.
Enqueue sequence(std::vector<Enqueue> parts);

}  // namespace octet::cuda
