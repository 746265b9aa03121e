// Every op that has no fast kernel for its dtypes or shapes: its reference kernel on dense copies. Slow, on one thread,
// and the one step that allocates while it runs; 'inspect' names it. What a reference kernel refuses (an index out of
// range) or makes in another shape than the plan knows ends the run with an error.
#include <algorithm>
#include <cstring>

#include "backends/cpu/constants.h"
#include "backends/cpu/step.h"
#include "backends/cpu/strided.h"
#include "backends/cpu/strided_copy.h"
#include "ir/single_node.h"

namespace octet::cpu {
namespace {

std::string refuse(const StepQuery& query) {
  if (!query.node.op->reference) return "the op has no reference kernel";
  for (const std::vector<ValueId>* values : {&query.node.inputs, &query.node.outputs})
    for (const ValueId v : *values)
      if (v != k_absent && query.graph.value(v).dtype == DType::undefined) return "a dtype is unknown";
  return "";
}

/// So much that any other way wins.
double cost_us(const StepQuery& query) { return 1e6 + 100 * streaming_cost_us(query); }

void flip_codes(std::byte* codes, size_t count) {
  for (size_t i = 0; i < count; ++i) codes[i] ^= std::byte{0x80};
}

struct Source {
  std::optional<Tensor> constant;
  Operand operand;
  bool absent = false;

  /// Row-major elements as the graph has them; memory that lies so already is viewed.
  Result<Tensor> dense(const RunContext& run) const {
    if (absent) return Tensor();
    if (constant) return *constant;
    const Layout& layout = operand.layout;
    const auto* from = run.at<std::byte>(operand);
    const Layout wanted = dense_layout(layout.dtype, layout.dims);
    const bool same = layout.strides == wanted.strides;
    if (same && layout.dtype != DType::s8) return Tensor(layout.dtype, layout.dims, nullptr, from);
    Result<std::pair<Tensor, std::byte*>> made = Tensor::allocate(layout.dtype, layout.dims);
    if (!made) return made.error();
    if (same) {
      if (wanted.bytes() > 0) std::memcpy(made->second, from, wanted.bytes());
    } else {
      const StridedLoop loop(layout.dims, {wanted.strides, layout.strides});
      StridedCopy(loop, layout.element_bytes).run(made->second, from);
    }
    if (layout.dtype == DType::s8) flip_codes(made->second, wanted.bytes());
    return std::move(made->first);
  }
};

void store(const Tensor& tensor, const Operand& to, const RunContext& run) {
  auto* bytes = run.at<std::byte>(to);
  const Layout& layout = to.layout;
  const Layout dense = dense_layout(layout.dtype, layout.dims);
  if (layout.strides == dense.strides) {
    if (dense.bytes() > 0) std::memcpy(bytes, tensor.bytes().data(), dense.bytes());
  } else {
    const StridedLoop loop(layout.dims, {layout.strides, dense.strides});
    StridedCopy(loop, layout.element_bytes).run(bytes, tensor.bytes().data());
  }
  if (layout.dtype != DType::s8) return;
  const StridedLoop loop(layout.dims, {layout.strides});
  for (int64_t r = 0; r < loop.rows(); ++r) {
    std::byte* const row = bytes + loop.row_offsets(r)[0];
    for (int64_t i = 0; i < loop.row_length(); ++i) row[i * loop.row_stride(0)] ^= std::byte{0x80};
  }
}

struct Call {
  std::shared_ptr<const Graph> graph;
  std::vector<Source> inputs;
  std::vector<std::optional<Operand>> outputs;

  Result<Done> run(const RunContext& run) const {
    std::vector<Tensor> tensors;
    for (const Source& source : inputs) {
      Result<Tensor> tensor = source.dense(run);
      if (!tensor) return tensor.error();
      tensors.push_back(std::move(*tensor));
    }
    const NodeContext context{*graph, graph->nodes.front()};
    const Result<std::vector<Tensor>> results = context.node.op->reference(context, tensors);
    if (!results) return results.error();
    for (size_t i = 0; i < outputs.size(); ++i) {
      if (!outputs[i]) continue;
      const Tensor& have = (*results)[i];
      if (have.dims() != outputs[i]->layout.dims || have.dtype() != outputs[i]->layout.dtype)
        return context.error("output " + std::to_string(i) + " came out as " + to_string(have.dims()) +
                             ", but the plan was made for " + to_string(outputs[i]->layout.dims) +
                             ": its extents depend on data, which only device ref runs");
      store(have, *outputs[i], run);
    }
    return Done{};
  }
};

Result<PreparedStep> prepare(const StepQuery& query, StepBuilder& builder) {
  // A program lets its plan go when it is prepared.
  Call call{std::make_shared<const Graph>(graph_of_node(query.graph, query.node)), {}, {}};
  for (size_t i = 0; i < query.node.inputs.size(); ++i) {
    const ValueId v = query.id(i);
    Source source{constant_of(query.graph, v), {}, v == k_absent};
    if (!source.constant && !source.absent) source.operand = builder.value(v);
    call.inputs.push_back(std::move(source));
  }
  for (size_t i = 0; i < query.node.outputs.size(); ++i)
    call.outputs.push_back(query.node.outputs[i] == k_absent || is_constant(query.graph, query.node.outputs[i])
                               ? std::nullopt
                               : std::optional(builder.output(query, i)));
  PreparedStep step;
  step.run = [call = std::move(call)](const RunContext& run) {
    if (Result<Done> ran = call.run(run); !ran) run.fail(ran.error());
  };
  return step;
}

}  // namespace

const StepDef reference_step = {"reference", refuse, cost_us, prepare};

}  // namespace octet::cpu
