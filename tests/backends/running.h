#pragma once
// Small graphs in text form on random data, on any back end.

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "backends/cpu/sub_batch.h"
#include "base/isa.h"
#include "plan/backend.h"
#include "runtime/engine.h"
#include "tensor/tensor.h"

namespace octet {

/// Random elements: f32 in about [-3, 3], codes over their whole range, s32 and s64 small. Same seed, same elements.
Tensor random_tensor(DType dtype, const Dims& dims, unsigned seed);

/// The parsed graph with every input named in `constants` turned into an initializer of random elements. A name that
/// ends in "scale" gets positive values around 0.01; one that ends in "var" positive values.
Graph graph_with_constants(const std::string& text, const std::set<std::string>& constants, unsigned seed);

/// Random tensors for all graph inputs.
std::vector<Tensor> random_inputs(const Graph& graph, unsigned seed);

/// Outputs of one run of a context; a failure is reported and gives no outputs.
std::vector<Tensor> run_context(Context& context, const std::vector<Tensor>& inputs, const RunHooks& hooks = {});
/// Builds an engine and runs it once.
std::vector<Tensor> run_graph(const Graph& graph, const std::shared_ptr<Backend>& backend,
                              const std::vector<Tensor>& inputs, const RunHooks& hooks = {});

/// What a run shows its tap.
struct Shown {
  std::vector<std::string> order;
  std::map<std::string, std::vector<double>> values;  // elements in the graph's order; codes less their offset
  std::vector<Tensor> outputs;                        // of that run
};
Shown shown_values(const Graph& graph, const std::shared_ptr<Backend>& backend, const std::vector<Tensor>& inputs);
/// All that `got` shows is in `expected` and the same; codes may differ by 256, since the reference shows s8 as bytes.
void expect_shown(const Shown& got, const Shown& expected, const std::string& where);

/// Largest difference allowed between the CPU and the reference, as a part of the largest reference value; 0 = same
/// bytes.
struct Tolerance {
  double relative = 0;
};
inline constexpr Tolerance k_exact{0};
inline constexpr Tolerance k_float{2e-6};  // sums in another order than the reference's, which is in double

void expect_close(const Tensor& got, const Tensor& expected, Tolerance tolerance, const std::string& where);

/// The node whose first output is the value.
NodeId maker(const Graph& graph, std::string_view value);

/// The part of the batch's cut that holds the step that makes the value, on a CPU back end with such caches.
cpu::SubBatch part_of(const Graph& graph, std::string_view value, Isa isa, int threads, size_t l2_bytes);

/// On 1 to 4 threads of the ISA, with caches that hold nothing, some images and everything: the first output equals
/// `expected` to the byte. With `some_images` bytes of L2 the steps of `cut` really are cut, by worker where there are
/// several.
void expect_equal_however_cut(const Graph& graph, Isa isa, const std::vector<std::string_view>& cut, size_t some_images,
                              const std::vector<Tensor>& inputs, const Tensor& expected);

/// The CUDA back end on device 0, tactics by estimate; null where there is none.
std::shared_ptr<Backend> cuda_backend();
/// Runs the graph on the GPU, where there is one, and compares.
void expect_on_cuda(const Graph& graph, const std::vector<Tensor>& inputs, const std::vector<Tensor>& expected,
                    Tolerance tolerance);

/// Runs the graph on the reference, on the CPU with every available ISA and with 1 and 3 threads, and on the GPU where
/// there is one, and compares.
void expect_cpu_equals_ref(const std::string& text, const std::set<std::string>& constants, Tolerance tolerance,
                           unsigned seed = 1);
void expect_cpu_equals_ref(const Graph& graph, Tolerance tolerance, unsigned seed = 1);

}  // namespace octet
