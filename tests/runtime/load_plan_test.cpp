// What a plan's device parts do when it is loaded: tactics that were recorded are used, packed weights are used in
// place, and what does not fit is left out with a note.
#include "runtime/load_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <unistd.h>

#include <cmath>
#include <cstring>
#include <fstream>

#include "backends/cpu/cpu_backend.h"
#include "backends/open.h"
#include "base/aligned.h"
#include "ir/text.h"
#include "runtime/widen_bf16.h"

namespace octet {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

std::shared_ptr<Backend> cpu() {
  Result<std::shared_ptr<Backend>> backend = open_backend("cpu", {.threads = 1});
  EXPECT_TRUE(backend);
  return *backend;
}

/// A pointwise convolution of 40 channels and a copy of it negated; batch 1 to 8.
PlanFile plan_of_one_convolution() {
  std::string weights;
  for (int i = 0; i < 40 * 6; ++i) weights += (i ? ", " : "") + std::to_string(i % 7 - 3) + ".5";
  Result<Graph> graph =
      parse_graph("graph g (x: f32[2,6,5,5]) -> (y) {\n  const w: f32[40,6,1,1] = {" + weights +
                  "}\n  c = FusedConv(x, w, _, _, activation=\"Relu\") @conv\n  y = Neg(c) @neg\n}\n");
  EXPECT_TRUE(graph) << graph.error().message;
  PlanFile plan;
  plan.writer = "octet test";
  plan.graph = *std::move(graph);
  plan.profile = {{{1, 6, 5, 5}}, {{2, 6, 5, 5}}, {{8, 6, 5, 5}}};
  return plan;
}

/// Through a file's bytes, at exactly aligned memory that `bytes` shares with the plan.
PlanFile through_file(const PlanFile& plan, std::span<const std::byte>* bytes = nullptr) {
  const Result<std::vector<std::byte>> made = plan_bytes(plan);
  EXPECT_TRUE(made) << made.error().message;
  auto kept = std::shared_ptr<std::byte[]>(allocate_aligned(made->size()).release(), AlignedFree{});
  std::copy(made->begin(), made->end(), kept.get());
  if (bytes) *bytes = {kept.get(), made->size()};
  Result<PlanFile> read = read_plan({kept.get(), made->size()}, kept, "octet test");
  EXPECT_TRUE(read) << read.error().message;
  return *std::move(read);
}

std::vector<float> answers(const std::shared_ptr<const Engine>& engine) {
  const Dims in = *known_dims(*engine->input(0).shape), out = *known_dims(*engine->output(0).shape);
  std::vector<float> x(static_cast<size_t>(*element_count(in))), y(static_cast<size_t>(*element_count(out)));
  for (size_t i = 0; i < x.size(); ++i) x[i] = std::sin(static_cast<float>(i));
  Result<Context> context = Context::make(engine);
  EXPECT_TRUE(context);
  const Bindings io = {{TensorView::dense(DType::f32, in, reinterpret_cast<std::byte*>(x.data()))},
                       {TensorView::dense(DType::f32, out, reinterpret_cast<std::byte*>(y.data()))}};
  const Result<Done> ran = context->run(io);
  EXPECT_TRUE(ran) << ran.error().message;
  return y;
}

std::shared_ptr<const Engine> load(const PlanFile& plan, std::vector<std::string>& notes, int64_t batch = 0,
                                   const std::shared_ptr<const Engine>& sibling = nullptr,
                                   std::shared_ptr<Backend> backend = nullptr) {
  if (!backend) backend = sibling ? sibling->share_backend() : cpu();
  Result<std::shared_ptr<const Engine>> engine =
      load_engine(plan, backend, {.batch = batch, .shapes = {}}, notes, sibling);
  EXPECT_TRUE(engine) << engine.error().message;
  return *engine;
}

TEST(LoadPlan, uses_packed_weights_where_they_lie) {
  std::vector<std::string> notes;
  PlanFile plan = plan_of_one_convolution();
  const std::shared_ptr<const Engine> packer = load(plan, notes);
  if (packer->program().packed()[0].bytes.empty()) GTEST_SKIP() << "not applicable: the scalar layer keeps nothing";
  plan.packed.push_back(*Engine::packed_of(packer));
  std::span<const std::byte> file;
  const PlanFile read = through_file(plan, &file);
  const std::shared_ptr<const Engine> engine = load(read, notes);
  EXPECT_THAT(notes, IsEmpty());
  EXPECT_EQ(engine->program().borrowed_steps(), 1u);
  const std::byte* used = engine->program().packed()[0].bytes.data();
  EXPECT_TRUE(used >= file.data() && used < file.data() + file.size()) << "not a copy";
  EXPECT_EQ(answers(engine), answers(packer));
  EXPECT_EQ(answers(load(read, notes, 0, nullptr, *open_backend("ref"))).size(), answers(engine).size());
  ASSERT_EQ(notes.size(), 1u);
  EXPECT_THAT(notes[0], HasSubstr("packed weights of the plan ignored: they are for 'cpu "));
  EXPECT_THAT(notes[0], HasSubstr("', this is 'ref'; packed anew"));
}

TEST(LoadPlan, says_which_packed_weights_it_could_not_use) {
  std::vector<std::string> notes;
  PlanFile plan = plan_of_one_convolution();
  const std::shared_ptr<const Engine> packer = load(plan, notes);
  if (packer->program().packed()[0].bytes.empty()) GTEST_SKIP() << "not applicable: the scalar layer keeps nothing";
  PackedPart part = *Engine::packed_of(packer);
  part.steps[0].form += "0";  // a later version of the packing
  plan.packed.push_back(part);
  const std::shared_ptr<const Engine> engine = load(through_file(plan), notes);
  EXPECT_EQ(engine->program().borrowed_steps(), 0u);
  EXPECT_THAT(notes, ElementsAre(HasSubstr("1 of the plan's 1 packed weights are in another form")));
  EXPECT_EQ(answers(engine), answers(packer));
}

TEST(LoadPlan, engines_of_other_shapes_share_the_weights) {
  std::vector<std::string> notes;
  const PlanFile plan = plan_of_one_convolution();
  std::shared_ptr<const Engine> two = load(plan, notes);
  if (two->program().packed()[0].bytes.empty()) GTEST_SKIP() << "not applicable: the scalar layer keeps nothing";
  const std::shared_ptr<const Engine> eight = load(plan, notes, 8, two);
  EXPECT_EQ(eight->program().packed()[0].bytes.data(), two->program().packed()[0].bytes.data());
  EXPECT_EQ(eight->program().borrowed_steps(), 1u);
  EXPECT_EQ(answers(eight), answers(load(plan, notes, 8))) << "as with weights of its own";
  const std::vector<float> of_two = answers(two), of_eight = answers(eight);
  EXPECT_TRUE(std::equal(of_two.begin(), of_two.end(), of_eight.begin()));
  two.reset();
  EXPECT_EQ(answers(eight), of_eight) << "the weights live as long as anybody uses them";
  EXPECT_THAT(notes, IsEmpty());
}

TEST(LoadPlan, runs_the_recorded_tactics) {
  std::vector<std::string> notes;
  PlanFile plan = plan_of_one_convolution();
  const std::shared_ptr<Backend> backend = cpu();
  const std::string usual = load(plan, notes)->plan().steps[0].tactic;
  std::string other;
  for (const Tactic& tactic : backend->tactics(plan.graph, 0))
    if (tactic.refused.empty() && tactic.name != usual) other = tactic.name;
  if (other.empty()) GTEST_SKIP() << "not applicable: this machine has one way to run it";
  plan.tuning = {{backend->device_key(), backend->timing_key(), {other, ""}}};
  const std::shared_ptr<const Engine> engine = load(through_file(plan), notes);
  EXPECT_EQ(engine->plan().steps[0].tactic, other);
  EXPECT_THAT(notes, IsEmpty());

  plan.tuning[0].tactics[0] = "conv_f32 of a later octet";
  EXPECT_EQ(load(through_file(plan), notes)->plan().steps[0].tactic, usual);
  EXPECT_THAT(notes,
              ElementsAre(HasSubstr("tuning of the plan ignored: it names tactics that this octet does not have")));

  notes.clear();
  plan.tuning = {{backend->device_key(), "another CPU, avx512_vnni, 1 threads, kernels 1", {other, ""}}};
  EXPECT_EQ(load(through_file(plan), notes)->plan().steps[0].tactic, usual);
  EXPECT_THAT(notes, ElementsAre(HasSubstr("tuning of the plan ignored: it was measured on 'another CPU")));
}

/// A fully connected layer with 4 MiB of INT8 weights: weights outweigh everything else.
PlanFile plan_of_heavy_weights() {
  Result<Graph> graph = parse_graph(
      "graph g (x: u8[1,2048], w: s8[2048,2048], s: f32[2048]) -> (y) {\n  y = QuantGemm(x, w, s, _, x_scale=0.02, "
      "x_zero_point=3, to=\"f32\") @fc\n}\n");
  EXPECT_TRUE(graph) << graph.error().message;
  const auto fix = [&](const char* name, Tensor tensor) {
    const ValueId v = *graph->find_value(name);
    std::erase(graph->inputs, v);
    graph->value(v).constant = std::move(tensor);
  };
  std::vector<int8_t> codes(2048 * 2048);
  for (size_t i = 0; i < codes.size(); ++i) codes[i] = static_cast<int8_t>(i * 31 % 255 - 127);
  fix("w", Tensor::from<int8_t>(DType::s8, {2048, 2048}, codes));
  fix("s", Tensor::from<float>(DType::f32, {2048}, std::vector<float>(2048, 0.01f)));
  PlanFile plan;
  plan.writer = "octet test";
  plan.graph = *std::move(graph);
  return plan;
}

size_t resident_bytes() {
  std::ifstream status("/proc/self/statm");
  size_t pages = 0;
  status >> pages >> pages;
  return pages * static_cast<size_t>(::sysconf(_SC_PAGESIZE));
}

TEST(LoadPlan, contexts_share_the_weights_of_their_engine) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "not applicable: a sanitizer's memory is not the program's";
#endif
  constexpr size_t k_weights = 2048 * 2048;
  std::vector<std::string> notes;
  const PlanFile plan = through_file(plan_of_heavy_weights());
  const size_t before_engine = resident_bytes();
  const std::shared_ptr<const Engine> engine = load(plan, notes);
  EXPECT_GT(resident_bytes(), before_engine + k_weights / 2) << "packed once, and the count sees it";
  const size_t before_contexts = resident_bytes();
  std::vector<std::vector<float>> all;
  std::vector<Context> contexts;
  for (int i = 0; i < 8; ++i) {
    contexts.push_back(*Context::make(engine));
    std::vector<uint8_t> x(2048, static_cast<uint8_t>(i));
    std::vector<float> y(2048);
    const Bindings io = {{TensorView::dense(DType::u8, {1, 2048}, reinterpret_cast<std::byte*>(x.data()))},
                         {TensorView::dense(DType::f32, {1, 2048}, reinterpret_cast<std::byte*>(y.data()))}};
    ASSERT_TRUE(contexts.back().run(io));
  }
  EXPECT_LT(resident_bytes(), before_contexts + k_weights / 2) << "eight contexts hold no weights";
}

TEST(LoadPlan, copies_large_packed_weights_to_huge_pages) {
  std::vector<std::string> notes;
  PlanFile plan = plan_of_heavy_weights();
  const std::shared_ptr<const Engine> packer = load(plan, notes);
  if (packer->program().packed()[0].bytes.empty()) GTEST_SKIP() << "not applicable: the scalar layer keeps nothing";
  plan.packed.push_back(*Engine::packed_of(packer));
  std::span<const std::byte> file;
  const std::shared_ptr<const Engine> engine = load(through_file(plan, &file), notes);
  EXPECT_THAT(notes, IsEmpty());
  EXPECT_EQ(engine->program().borrowed_steps(), 1u) << "not packed again";
  const std::vector<PackedWeights> packed = engine->program().packed(), first = packer->program().packed();
  EXPECT_FALSE(packed[0].bytes.data() >= file.data() && packed[0].bytes.data() < file.data() + file.size());
  EXPECT_TRUE(std::equal(packed[0].bytes.begin(), packed[0].bytes.end(), first[0].bytes.begin(), first[0].bytes.end()));
}

TEST(WidenBf16, a_maximum_between_layers_that_become_f32_becomes_one_of_f32) {
  std::string weights;
  for (int i = 0; i < 256; ++i) weights += (i ? ", " : "") + std::to_string(i % 5 - 2) + ".5";
  Result<Graph> graph = parse_graph("graph g (x: f32[1,16,4,4]) -> (y) {\n  const w: bf16[16,16,1,1] = {" + weights +
                                    "}\n  a = Bf16Conv(x, w, to=\"bf16\")\n  p = MaxPool(a, kernel_shape=[2,2])\n"
                                    "  y = Bf16Conv(p, w, to=\"f32\")\n}\n");
  ASSERT_TRUE(graph) << graph.error().message;
  EXPECT_EQ(graph->value(*graph->find_value("p")).dtype, DType::bf16);
  std::vector<std::string> notes;
  const std::shared_ptr<Backend> plain = cpu::make_backend({.threads = 1, .isa = Isa::scalar});
  const Result<Done> made = widen_bf16(*graph, *plain, notes);
  ASSERT_TRUE(made) << made.error().message;
  for (const char* const value : {"a", "p", "y"})
    EXPECT_EQ(graph->value(*graph->find_value(value)).dtype, DType::f32) << value;
}

TEST(WidenBf16, weights_that_are_no_constant_are_an_error_where_the_layer_has_no_way) {
  Result<Graph> graph = parse_graph(
      "graph g (x: f32[1,16,4,4], w: bf16[16,16,1,1]) -> (y) {\n  y = Bf16Conv(x, w, to=\"f32\") @conv\n}\n");
  ASSERT_TRUE(graph) << graph.error().message;
  std::vector<std::string> notes;
  const Result<Done> made = widen_bf16(*graph, *cpu(), notes);
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, ErrorCode::bad_model);
  EXPECT_THAT(made.error().message, HasSubstr("node 'conv' (Bf16Conv): its weights 'w' are no constant"));
  EXPECT_THAT(notes, IsEmpty());
}

}  // namespace
}  // namespace octet
