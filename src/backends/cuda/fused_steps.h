#pragma once
// Rows of neighbouring steps that one kernel runs, found from ops, shapes and readers.

#include "backends/cuda/step.h"

namespace octet::cuda {

/// A row of neighbouring steps that one kernel runs; steps = 0: none begins here.
struct FusedSteps {
  size_t steps = 0;
  PreparedStep prepared;
  std::set<ValueId> moved = {};    // what it needs elsewhere than planned
  ValueId takes_input = k_absent;  // a graph's input that it reads as the caller has it, and nobody else reads
};
/// QuantizeLinear, QuantConv, MaxPool or two neighbours of them from plan.steps[first] on, where shapes and readers
/// allow. Errors: no memory.
Result<FusedSteps> fuse_stem(const Plan& plan, size_t first, DType floats, StepBuilder& builder);
/// A convolution in half precision that reads a graph's input of up to four channels, and the MaxPool that alone reads
/// it. Errors: no memory.
Result<FusedSteps> fuse_half_stem(const Plan& plan, size_t first, DType floats, StepBuilder& builder);
/// A QuantConv whose output is the residual of the QuantConv behind it, and nothing else. Errors: no memory.
Result<FusedSteps> fuse_residual(const Plan& plan, size_t first, DType floats, StepBuilder& builder);
/// A QuantGlobalAveragePool and the QuantGemm of few rows that alone reads it. Errors: no memory.
Result<FusedSteps> fuse_end(const Plan& plan, size_t first, DType floats, StepBuilder& builder);

/// A 1x1 QuantConv and the 1x1 QuantConv that reads its output, with the QuantConv before them that makes the first's
/// residual. Where it pays: where all multiprocessors have pixels. Errors: no memory.
Result<FusedSteps> fuse_chain(const Plan& plan, size_t first, DType floats, StepBuilder& builder);

/// A QuantConv with a window, the 1x1 QuantConv that alone reads it, and the 1x1 QuantConv that reads that one's
/// output. Errors: no memory.
Result<FusedSteps> fuse_block(const Plan& plan, size_t first, DType floats, StepBuilder& builder);

/// Names of the choices.
std::vector<std::string> stem_names();
std::vector<std::string> half_stem_names();
std::vector<std::string> chain_names(std::string_view kind = "");  // "chain", "block"; empty: both
std::vector<std::string> joined_names();

/// The one node that reads v, where v is no output of the graph; else null.
const Node* only_reader(const Graph& graph, ValueId v);
/// Whether a's output is b's residual and nothing else, and a has no residual.
bool makes_residual_of(const Graph& graph, const Node& a, const Node& b);

}  // namespace octet::cuda
