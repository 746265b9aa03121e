// Convolutions of 1x1 one behind the other in one kernel, against the CPU.
#ifdef OCTET_TEST_CUDA
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <span>

#include "backends/cpu/cpu_backend.h"
#include "backends/cuda/cuda_backend.h"
#include "backends/running.h"
#include "base/isa.h"
#include "ir/text.h"

namespace octet {
namespace {

/// oc channels of c1, and c2 channels of those. Joined: the first one's residual is a convolution of x0 channels.
struct ChainCase {
  int n, c1, oc, h, w, c2;
  enum { none, memory, joined } residual;
  bool plain;          // codes from 0 up, as behind a ReLU
  int x0 = 0, s0 = 1;  // joined: channels and stride of the convolution that makes the residual
  bool s8 = false;     // what the first reads, its residual and its codes
  bool clip = false;
};

std::string text_of(const ChainCase& c) {
  const auto s = [](int v) { return std::to_string(v); };
  const auto image = [&](int channels, int h, int w) {
    return std::string(c.s8 ? "s8[" : "u8[") + s(c.n) + "," + s(channels) + "," + s(h) + "," + s(w) + "]";
  };
  const auto conv = [&](const std::string& name, int to, int from) {
    return ", " + name + ": s8[" + s(to) + "," + s(from) + ",1,1], " + name + "_scale: f32[" + s(to) + "], " + name +
           "b: s32[" + s(to) + "]";
  };
  const bool joined = c.residual == ChainCase::joined;
  std::string text = "graph g (a: " + image(c.c1, c.h, c.w);
  if (c.residual == ChainCase::memory) text += ", r: " + image(c.oc, c.h, c.w);
  if (joined) text += ", x: " + image(c.x0, (c.h - 1) * c.s0 + 1, (c.w - 1) * c.s0 + 1) + conv("u", c.oc, c.x0);
  text += conv("v", c.oc, c.c1) + conv("w", c.c2, c.oc) + ") -> (p, q) {\n";
  const int shift = c.s8 ? -128 : 0;
  const std::string zero = s((c.plain ? 0 : 93) + shift), last_zero = c.plain ? "0" : "93";
  const std::string act = c.clip    ? ", activation=\"Clip\", activation_params=[-3.0, 40.0]"
                          : c.plain ? ", activation=\"Relu\""
                                    : "";
  if (joined)
    text += "  r = QuantConv(x, u, u_scale, ub, strides=[" + s(c.s0) + "," + s(c.s0) +
            "], x_scale=0.03, x_zero_point=4, y_scale=0.7, y_zero_point=-9, to=\"s8\")\n";
  text += "  p = QuantConv(a, v, v_scale, vb" + std::string(c.residual == ChainCase::none ? "" : ", r") +
          ", x_scale=0.02, x_zero_point=" + s(3 + shift) + ", y_scale=0.9, y_zero_point=" + zero +
          (c.residual == ChainCase::none ? ""
                                         : ", residual_scale=0.7, residual_zero_point=" + s(joined ? -9 : 60 + shift)) +
          act + ", to=\"" + (c.s8 ? "s8" : "u8") +
          "\")\n  q = QuantConv(p, w, w_scale, wb, x_scale=0.9, x_zero_point=" + zero +
          ", y_scale=31.0, y_zero_point=" + last_zero + act + ", to=\"u8\")\n}\n";
  return text;
}

const std::set<std::string> k_constants = {"u", "u_scale", "ub", "v", "v_scale", "vb", "w", "w_scale", "wb"};

constexpr ChainCase k_small[] = {
    {1, 64, 64, 5, 13, 48, ChainCase::memory, true},
    {1, 64, 128, 3, 7, 128, ChainCase::none, false},
    {2, 128, 64, 7, 7, 80, ChainCase::memory, false},
    {1, 128, 64, 4, 5, 128, ChainCase::memory, true},
    {1, 64, 64, 7, 7, 64, ChainCase::joined, true, 64, 1},
    {1, 128, 64, 4, 4, 128, ChainCase::joined, false, 256, 2},
    {1, 128, 64, 3, 3, 256, ChainCase::joined, true, 128, 1},
    // Padded channels, signed codes, a clip, sums beyond 22 bits.
    {1, 60, 64, 5, 7, 64, ChainCase::memory, true},
    {1, 64, 64, 6, 5, 64, ChainCase::memory, true, 0, 1, true},
    {1, 64, 64, 6, 5, 64, ChainCase::none, false, 0, 1, true},
    {1, 64, 64, 4, 9, 64, ChainCase::memory, false, 0, 1, false, true},
    {1, 512, 64, 5, 5, 64, ChainCase::none, true},
    {1, 512, 64, 5, 5, 128, ChainCase::memory, false},
};
// Which no chain takes: channels of the first that are no multiple of 64, or not the last one's (72 is stored as 80).
constexpr ChainCase k_refused[] = {
    {1, 64, 72, 5, 5, 64, ChainCase::none, true},   {1, 64, 80, 5, 5, 64, ChainCase::memory, true},
    {1, 64, 1000, 4, 4, 64, ChainCase::none, true}, {1, 64, 64, 5, 5, 1000, ChainCase::none, true},
    {1, 48, 64, 5, 5, 64, ChainCase::none, true},   {1, 128, 64, 4, 5, 256, ChainCase::memory, true},
};
// Several tiles a multiprocessor, tiles that end in the middle of an image, all depths of the ring.
constexpr ChainCase k_large[] = {
    {70, 64, 256, 28, 28, 64, ChainCase::memory, true},
    {64, 64, 256, 29, 27, 128, ChainCase::memory, false},
    {64, 128, 512, 28, 28, 128, ChainCase::memory, true},
    {130, 256, 1024, 14, 14, 256, ChainCase::memory, true},
    {40, 192, 320, 31, 29, 64, ChainCase::none, true},
    {37, 128, 192, 23, 25, 176, ChainCase::none, false},
    {66, 64, 256, 28, 28, 64, ChainCase::joined, true, 64, 1},
    {33, 128, 512, 28, 28, 128, ChainCase::joined, true, 256, 2},
    {50, 128, 256, 14, 14, 256, ChainCase::joined, false, 256, 1},
};

/// Every tile that takes a case (empty: the one that tuning chooses) gives the CPU's bytes, of what is stored on the
/// way too.
void expect_the_cpus_bytes(std::span<const ChainCase> cases, const std::vector<std::string>& tiles, unsigned seed,
                           std::set<std::string>& ran) {
  const std::shared_ptr<Backend> cpu = cpu::make_backend({.threads = 0, .isa = available_isas().back()});
  for (const ChainCase& c : cases) {
    const Graph graph = graph_with_constants(text_of(c), k_constants, ++seed);
    const std::vector<Tensor> inputs = random_inputs(graph, seed), expected = run_graph(graph, cpu, inputs);
    ASSERT_EQ(expected.size(), 2u);
    for (const std::string& tile : tiles) {
      Result<std::shared_ptr<Backend>> backend = cuda::make_backend({.tune = tile.empty()}, tile);
      ASSERT_TRUE(backend) << backend.error().message;
      Result<std::shared_ptr<const Engine>> engine = Engine::build(graph, *backend);
      ASSERT_TRUE(engine) << engine.error().message;
      const size_t last = c.residual == ChainCase::joined ? 2 : 1;
      const std::string note = (*engine)->program().step_note(last);
      if (!tile.empty() && note != tile) continue;  // does not take the case
      ran.insert(note);
      if (!tile.empty()) {
        EXPECT_EQ((*engine)->program().step_note(last - 1), "in the step after it") << tile;
      }
      Result<Context> context = Context::make(*engine);
      ASSERT_TRUE(context) << context.error().message;
      for (int run = 0; run < 2; ++run) {
        const std::vector<Tensor> got = run_context(*context, inputs);
        ASSERT_EQ(got.size(), 2u);
        for (size_t i = 0; i < 2; ++i)
          expect_close(got[i], expected[i], k_exact,
                       tile + ", output " + std::to_string(i) + ", " + print(graph, {.elide_constants = true}));
      }
    }
  }
}

void expect_all_ran(const std::set<std::string>& ran) {
  if (cuda_backend()->device_key() != "cuda sm_90") return;
  for (const std::string& tile : cuda::chain_tile_names()) EXPECT_TRUE(ran.contains(tile)) << tile << " ran in no case";
}

TEST(CudaSmall, chains_of_convolutions_give_the_cpus_bytes) {
  if (!cuda_backend()) GTEST_SKIP() << "not applicable: no GPU";
  std::set<std::string> ran;
  expect_the_cpus_bytes(k_small, cuda::chain_tile_names(), 300, ran);
  expect_all_ran(ran);
}

/// Shapes drawn at random: tiles that end anywhere, all residuals, activations, zero points and signs.
std::vector<ChainCase> random_cases(size_t count, unsigned seed) {
  std::mt19937 random(seed);
  const auto any = [&](std::initializer_list<int> of) { return of.begin()[random() % of.size()]; };
  const auto up_to = [&](unsigned most) { return static_cast<int>(1 + random() % most); };
  std::vector<ChainCase> cases;
  while (cases.size() < count) {
    ChainCase c{up_to(3),
                any({60, 64, 128, 192, 256, 384}),
                any({64, 128, 192, 256, 512}),
                up_to(17),
                up_to(17),
                any({33, 48, 64, 100, 120, 128}),
                static_cast<decltype(ChainCase::residual)>(random() % 3),
                random() % 2 == 0};
    if (c.residual == ChainCase::joined) c.x0 = any({64, 128, 256}), c.s0 = up_to(3);
    c.s8 = c.residual != ChainCase::joined && random() % 2 == 0, c.clip = random() % 4 == 0;
    cases.push_back(c);
  }
  return cases;
}

TEST(Cuda, chains_of_random_shapes_give_the_cpus_bytes) {
  if (!cuda_backend()) GTEST_SKIP() << "not applicable: no GPU";
  std::set<std::string> ran;
  expect_the_cpus_bytes(random_cases(90, 7), cuda::chain_tile_names(), 500, ran);
  EXPECT_GE(ran.size(), cuda_backend()->device_key() == "cuda sm_90" ? 4u : 0u);
}

TEST(Cuda, layers_that_fit_no_chain_run_one_by_one) {
  if (!cuda_backend()) GTEST_SKIP() << "not applicable: no GPU";
  std::set<std::string> ran;
  expect_the_cpus_bytes(k_refused, cuda::chain_tile_names(), 360, ran);
  EXPECT_TRUE(ran.empty()) << *ran.begin();
}

TEST(Cuda, chains_of_convolutions_give_the_cpus_bytes) {
  if (!cuda_backend()) GTEST_SKIP() << "not applicable: no GPU";
  std::set<std::string> ran;
  std::vector<std::string> tiles = cuda::chain_tile_names();
  tiles.emplace_back("");  // what is measured to be the fastest
  expect_the_cpus_bytes(k_large, tiles, 320, ran);
  expect_all_ran(ran);
}

TEST(Cuda, plans_that_name_a_chain_run_it_and_show_every_value) {
  if (!cuda_backend()) GTEST_SKIP() << "not applicable: no GPU";
  if (cuda_backend()->device_key() != "cuda sm_90") GTEST_SKIP() << "not applicable: no such kernels";
  const Graph graph = graph_with_constants(text_of(k_small[4]), k_constants, 340);
  const std::vector<Tensor> inputs = random_inputs(graph, 340);
  const std::string tile = "chain joined 192x64 b64";
  Result<std::shared_ptr<Backend>> by_tile = cuda::make_backend({.tune = false}, tile);
  ASSERT_TRUE(by_tile) << by_tile.error().message;
  Result<std::shared_ptr<const Engine>> first = Engine::build(graph, *by_tile);
  ASSERT_TRUE(first) << first.error().message;
  const TacticChoice choice = (*first)->program().choice();
  EXPECT_TRUE(
      std::any_of(choice.begin(), choice.end(), [&](const std::string& c) { return c == "conv_u8s8 " + tile; }));
  Result<std::shared_ptr<const Engine>> again = Engine::build(graph, cuda_backend(), choice);
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ((*again)->program().step_note(2), tile);
  EXPECT_EQ((*again)->program().choice(), choice);
  Result<Context> context = Context::make(*again);
  ASSERT_TRUE(context) << context.error().message;
  const std::vector<Tensor> plain = run_context(*context, inputs);
  std::set<std::string> seen;
  RunHooks hooks;
  hooks.value_tap = [&](std::string_view name, const TensorView&, int) { seen.emplace(name); };
  const std::vector<Tensor> tapped = run_context(*context, inputs, hooks);
  EXPECT_TRUE(seen.contains("r") && seen.contains("p") && seen.contains("q"));
  ASSERT_EQ(plain.size(), 2u);
  ASSERT_EQ(tapped.size(), 2u);
  for (size_t i = 0; i < 2; ++i) expect_close(tapped[i], plain[i], k_exact, "taps");
}

}  // namespace
}  // namespace octet
#endif
