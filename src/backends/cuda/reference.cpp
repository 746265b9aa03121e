// Every op that has no kernel here for its dtypes or shapes: its reference kernel on the host, as a node of the CUDA
// graph. Kernels bring the inputs into pinned memory as dense elements and take the outputs from there. Slow; 'inspect'
// and profiles name it. What a reference kernel refuses (an index out of range) ends the run with an error.
#include <cstring>

#include "backends/cuda/step.h"
#include "ir/single_node.h"

namespace octet::cuda {
namespace {

constexpr size_t k_room = 256;  // values in pinned memory begin where wide stores do

/// What one loop of a kernel takes, whatever the strides.
bool fits_a_loop(const Dims& dims) {
  return dims.size() <= k_max_dims && element_count(dims).value_or(int64_t{1} << 31) < int64_t{1} << 31;
}

std::string refuse(const StepQuery& query) {
  if (!query.node.op->reference) return "the op has no reference kernel";
  for (const std::vector<ValueId>* values : {&query.node.inputs, &query.node.outputs}) {
    for (const ValueId v : *values) {
      if (v == k_absent) continue;
      const Value& value = query.graph.value(v);
      if (value.dtype == DType::undefined) return "a dtype is unknown";
      if (size_of(value.dtype) == 0) return "values of " + std::string(name(value.dtype)) + " are no whole bytes";
      if (!is_constant(query.graph, v) && !fits_a_loop(*known_dims(*value.shape)))
        return "a tensor of more than 2^31 elements or 8 dimensions";
    }
  }
  return "";
}

/// An input or output of the op: constant, absent, or dense at an offset of the pinned memory.
struct Argument {
  bool absent = false;
  std::optional<Tensor> constant;
  DType dtype = DType::undefined;
  Dims dims;
  size_t at = 0;

  Operand dense() const { return {dense_layout(dtype, dims), {Place::Kind::host, at}}; }
};

struct Recipe {
  Graph graph;  // the node alone: a program lets its plan go when it is prepared
  std::vector<Argument> inputs, outputs;
};

struct Call : HostCall {
  std::shared_ptr<const Recipe> recipe;
  std::byte* memory = nullptr;

  void run() {
    error.reset();
    std::vector<Tensor> tensors;
    for (const Argument& x : recipe->inputs) {
      if (x.absent || x.constant) {
        tensors.push_back(x.absent ? Tensor() : *x.constant);
      } else {
        tensors.emplace_back(x.dtype, x.dims, nullptr, memory + x.at);
      }
    }
    const NodeContext context{recipe->graph, recipe->graph.nodes.front()};
    const Result<std::vector<Tensor>> results = context.node.op->reference(context, tensors);
    if (!results) {
      error = results.error();
      return;
    }
    for (size_t i = 0; i < recipe->outputs.size(); ++i) {
      const Argument& y = recipe->outputs[i];
      if (y.absent) continue;
      const Tensor& have = (*results)[i];
      if (have.dims() != y.dims || have.dtype() != y.dtype) {
        error = context.error("output " + std::to_string(i) + " came out as " + to_string(have.dims()) +
                              ", but the plan was made for " + to_string(y.dims) +
                              ": its extents depend on data, which only device ref runs");
        return;
      }
      if (have.size_bytes() > 0) std::memcpy(memory + y.at, have.bytes().data(), have.size_bytes());
    }
  }
};

void CUDART_CB run_call(void* call) { static_cast<Call*>(call)->run(); }

Argument argument_of(const Graph& graph, ValueId v, bool is_output, size_t& bytes) {
  Argument made;
  made.absent = v == k_absent || (is_output && is_constant(graph, v));
  if (made.absent) return made;
  const Value& value = graph.value(v);
  made.dtype = value.dtype;
  made.dims = *known_dims(*value.shape);
  made.constant = constant_of(graph, v);
  if (made.constant) return made;
  made.at = bytes;
  const size_t size = static_cast<size_t>(element_count(made.dims).value_or(0)) * size_of(made.dtype);
  bytes += (size + k_room - 1) / k_room * k_room;
  return made;
}

Result<PreparedStep> prepare(const StepQuery& query, StepBuilder& builder) {
  auto recipe = std::make_shared<Recipe>();
  recipe->graph = graph_of_node(query.graph, query.node);
  size_t bytes = 0;
  std::vector<Enqueue> before, after;
  for (size_t i = 0; i < query.node.inputs.size(); ++i) {
    const Argument& x = recipe->inputs.emplace_back(argument_of(query.graph, query.id(i), false, bytes));
    if (x.absent || x.constant) continue;
    Result<Enqueue> moved = convert(x.dense(), builder.value(query.id(i)));
    if (!moved) return moved.error();
    before.push_back(std::move(*moved));
  }
  for (size_t i = 0; i < query.node.outputs.size(); ++i) {
    const Argument& y = recipe->outputs.emplace_back(argument_of(query.graph, query.node.outputs[i], true, bytes));
    if (y.absent) continue;
    Result<Enqueue> moved = convert(builder.output(query, i), y.dense());
    if (!moved) return moved.error();
    after.push_back(std::move(*moved));
  }
  Enqueue call = [recipe = std::shared_ptr<const Recipe>(std::move(recipe))](const Launch& run) {
    std::unique_ptr<HostCall>& slot = (*run.host_calls)[recipe.get()];
    if (!slot) {
      auto made = std::make_unique<Call>();
      made->recipe = recipe;
      made->memory = run.host;
      slot = std::move(made);
    }
    return cudaLaunchHostFunc(run.stream, run_call, static_cast<Call*>(slot.get()));
  };
  std::vector<Enqueue> parts = std::move(before);
  parts.push_back(std::move(call));
  parts.insert(parts.end(), after.begin(), after.end());
  PreparedStep step = PreparedStep::of(sequence(std::move(parts)));
  step.host_bytes = bytes;
  return step;
}

}  // namespace

const StepDef reference_step = {"reference", refuse, 1e6, prepare};

}  // namespace octet::cuda
