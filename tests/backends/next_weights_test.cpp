// Which weights each step of a program is told to bring near while it runs. Nothing but speed shows whether that
// happens, so steps that note what they are told take the place of kernels.
#include <gtest/gtest.h>

#include <mutex>

#include "backends/cpu/conv.h"
#include "backends/cpu/cpu_backend.h"
#include "backends/cpu/joined.h"
#include "backends/cpu/program.h"
#include "backends/running.h"
#include "base/aligned.h"

namespace octet {
namespace {

using cpu::CpuProgram;
using cpu::ProgramStep;
using cpu::RunContext;

/// Where the bytes of step n's packed weights begin, and how many they are; 0 = it has none.
struct Weights {
  std::vector<std::byte> bytes;
  explicit Weights(size_t n) : bytes(n) {}
};

/// What a step was told, run by run.
struct Told {
  std::mutex mutex;
  std::vector<std::pair<size_t, std::span<const std::byte>>> all;  // step, bytes
};

ProgramStep looking_on(size_t index, std::span<const std::byte> packed, Told& told, bool in_team = true) {
  ProgramStep step;
  step.prepared.in_team = in_team;
  step.prepared.packed.bytes = packed;
  step.prepared.run = [index, &told](const RunContext& run) {
    run.once([&] {
      const std::lock_guard<std::mutex> lock(told.mutex);
      told.all.push_back({index, run.next_weights()});
    });
  };
  return step;
}

void run(const CpuProgram& program, int threads, const RunHooks& hooks = {}) {
  ThreadPool pool(threads);
  const AlignedBytes arena = allocate_aligned(program.context_bytes() + 64);
  ASSERT_TRUE(program.run(arena.get(), {}, hooks, pool));
}

/// The step whose weights these are; -1 = nobody's, which is empty.
int owner(std::span<const std::byte> bytes, const std::vector<Weights>& weights) {
  for (size_t i = 0; i < weights.size(); ++i)
    if (!bytes.empty() && bytes.data() == weights[i].bytes.data() && bytes.size() == weights[i].bytes.size())
      return static_cast<int>(i);
  EXPECT_TRUE(bytes.empty()) << "part of some weights, or none of them";
  return -1;
}

TEST(NextWeights, of_a_step_are_those_of_the_next_one_that_runs_and_has_some_if_it_is_soon) {
  // Sizes of weights by step, and whose weights each is told to bring near.
  const std::vector<size_t> sizes = {100, 0, 7, 64, 0, 0, 0, 0, 300, 0, 5, 5, 0};
  const std::vector<int> wanted = {2, 2, 3, -1, 8, 8, 8, 8, 11, 11, 11, -1, -1};
  std::vector<Weights> weights;
  for (const size_t size : sizes) weights.emplace_back(size);
  for (const int threads : {1, 2, 3})
    for (const bool in_team : {true, false}) {
      Told told;
      std::vector<ProgramStep> steps;
      for (size_t i = 0; i < sizes.size(); ++i) steps.push_back(looking_on(i, weights[i].bytes, told, in_team));
      steps[10].prepared.for_taps = true;  // done by another: its own weights are not read
      const CpuProgram program(std::move(steps), {{.first = 0, .last = sizes.size()}}, threads);
      run(program, threads);
      ASSERT_EQ(told.all.size(), sizes.size() - 1);
      for (const auto& [step, bytes] : told.all)
        EXPECT_EQ(owner(bytes, weights), wanted[step]) << "step " << step << ", " << threads << " threads";
    }
}

TEST(NextWeights, are_told_where_each_worker_takes_images_of_its_own_too) {
  const std::vector<Weights> weights = {Weights(10), Weights(20), Weights(30)};
  Told told;
  std::vector<ProgramStep> steps;
  for (size_t i = 0; i < weights.size(); ++i) steps.push_back(looking_on(i, weights[i].bytes, told));
  const CpuProgram program(
      std::move(steps), {{.first = 0, .last = 2, .images = 1, .turns = 4, .by_worker = true}, {.first = 2, .last = 3}},
      2);
  run(program, 2);
  ASSERT_EQ(told.all.size(), 2u * 4 + 1);
  for (const auto& [step, bytes] : told.all)
    EXPECT_EQ(owner(bytes, weights), step < 2 ? static_cast<int>(step) + 1 : -1);
}

constexpr char k_network[] =
    R"(graph n (x: f32[2,3,12,12], x_scale: f32[], w0: s8[32,3,3,3], w0_scale: f32[32], w: s8[32,32,3,3], v: s8[48,32,1,1], v_scale: f32[48]) -> (y) {
  q = QuantizeLinear(x, x_scale)
  a = QuantConv(q, w0, w0_scale, pads=[1,1,1,1], x_scale=0.02, x_zero_point=0, y_scale=0.5, y_zero_point=3, to="u8")
  m = MaxPool(a, kernel_shape=[2,2], strides=[2,2])
  b = QuantConv(m, w, w0_scale, pads=[1,1,1,1], x_scale=0.5, x_zero_point=3, y_scale=0.5, y_zero_point=7, to="u8")
  c = QuantAdd(b, m, a_scale=0.5, a_zero_point=7, b_scale=0.5, b_zero_point=3, y_scale=0.5, y_zero_point=7, to="u8")
  y = QuantConv(c, v, v_scale, x_scale=0.5, x_zero_point=7, y_scale=0.5, y_zero_point=9, to="u8")
}
)";

Graph network() { return graph_with_constants(k_network, {"x_scale", "w0", "w0_scale", "w", "v", "v_scale"}, 1); }

TEST(NextWeights, of_a_network_are_its_own_packed_weights) {
  const Graph graph = network();
  for (const Isa isa : available_isas()) {
    if (isa == Isa::scalar) continue;  // packs nothing
    for (const int threads : {1, 2}) {
      Result<std::shared_ptr<const Engine>> engine =
          Engine::build(graph, cpu::make_backend({.threads = threads, .isa = isa}));
      ASSERT_TRUE(engine) << engine.error().message;
      const std::span<const ProgramStep> steps = static_cast<const CpuProgram&>((*engine)->program()).steps();
      ASSERT_EQ(steps.size(), 6u);
      const int wanted[] = {1, 3, 3, 5, 5, -1};  // q, a, m, b, c, y
      for (size_t i = 0; i < steps.size(); ++i) {
        const std::span<const std::byte> told = steps[i].next_weights;
        if (wanted[i] < 0) {
          EXPECT_TRUE(told.empty());
          continue;
        }
        const std::span<const std::byte> bytes = steps[static_cast<size_t>(wanted[i])].prepared.packed.bytes;
        EXPECT_FALSE(bytes.empty());
        EXPECT_EQ(told.data(), bytes.data()) << name(isa) << ", step " << i;
        EXPECT_EQ(told.size(), bytes.size()) << name(isa) << ", step " << i;
      }
    }
  }
}

/// What the layer of the test below was told, chunk by chunk.
std::vector<std::span<const std::byte>> layer_was_told;

class LookingOn final : public ConvU8S8 {
 public:
  const char* kernel_name() const override { return "looks on"; }
  size_t packed_bytes() const override { return 0; }
  int64_t chunks(int64_t, int) const override { return 3; }
  size_t scratch_bytes() const override { return 64; }
  void run_chunk(const ConvU8S8Args& args, int64_t, int, std::byte*) const override {
    layer_was_told.push_back(args.next_weights);
  }
};

TEST(NextWeights, reach_a_convolutions_layer_in_every_chunk) {
  const Graph graph = network();
  for (const Isa isa : available_isas()) {
    const Result<std::shared_ptr<const Plan>> made = make_plan(graph, *cpu::make_backend({.isa = isa}));
    ASSERT_TRUE(made);
    const Plan& plan = **made;
    const cpu::Neighbours neighbours(plan.graph, isa, size_t{1} << 20);
    for (const NodeId node : {1, 3, 5}) {
      std::vector<AlignedBytes> constants;
      cpu::StepBuilder builder(plan, neighbours, constants);
      const cpu::StepQuery query{{plan.graph, plan.graph.node(node)}, isa, 1};
      const Result<cpu::PreparedStep> step =
          cpu::prepare_conv_u8s8(query, builder, [](const ConvU8S8Desc&, const cpu::StepQuery&) {
            return std::unique_ptr<const ConvU8S8>(std::make_unique<LookingOn>());
          });
      ASSERT_TRUE(step) << step.error().message;
      const std::vector<std::byte> next(1000);
      const std::vector<Tensor> inputs = random_inputs(plan.graph, 1);
      Bindings io;
      std::vector<std::byte> output(1 << 16);
      io.inputs.push_back(
          TensorView::dense(inputs[0].dtype(), inputs[0].dims(), const_cast<std::byte*>(inputs[0].bytes().data())));
      io.outputs.push_back(TensorView::dense(DType::u8, {2, 48, 6, 6}, output.data()));
      const AlignedBytes arena = allocate_aligned(plan.arena_bytes + 64), scratch = allocate_aligned(64);
      ThreadPool pool(1);
      std::optional<Error> error;
      layer_was_told.clear();
      step->run(RunContext(arena.get(), io, scratch.get(), 64, cpu::Crew{pool}, error, 0, next));
      ASSERT_EQ(layer_was_told.size(), 3u);
      for (const std::span<const std::byte> bytes : layer_was_told) {
        EXPECT_EQ(bytes.data(), next.data());
        EXPECT_EQ(bytes.size(), next.size());
      }
    }
  }
}

}  // namespace
}  // namespace octet
