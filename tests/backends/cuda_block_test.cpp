// A convolution with a window, the 1x1 convolution that alone reads it and the 1x1 convolution behind that in one
// kernel, against the CPU; and what is chosen, and what it takes of memory, by times that are known.
#ifdef OCTET_TEST_CUDA
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <span>
#include <sstream>

#include "backends/cpu/cpu_backend.h"
#include "backends/cuda/cuda_backend.h"
#include "backends/running.h"
#include "base/isa.h"
#include "ir/text.h"
#include "plan/timing_cache.h"

namespace octet {
namespace {

/// A window of c0 to c channels, oc channels of those, and c2 of those.
struct BlockCase {
  int n, c0, c, oc, c2, h, w;
  int kernel = 3, stride = 1, pad = 1;
  bool residual = true, plain = true;  // plain: codes from 0 up, as behind a ReLU
  int dilation = 1;
  int readers = 1;  // of the window's outputs
};

int out_extent(const BlockCase& c, int in) { return (in + 2 * c.pad - (c.kernel - 1) * c.dilation - 1) / c.stride + 1; }

std::string text_of(const BlockCase& c) {
  const auto s = [](int v) { return std::to_string(v); };
  const auto pair = [&](const char* name, int v) { return std::string(", ") + name + "=[" + s(v) + "," + s(v) + "]"; };
  const auto conv = [&](const std::string& name, int to, int from, int k) {
    return ", " + name + ": s8[" + s(to) + "," + s(from) + "," + s(k) + "," + s(k) + "], " + name + "_scale: f32[" +
           s(to) + "], " + name + "b: s32[" + s(to) + "]";
  };
  std::string text = "graph g (x: u8[" + s(c.n) + "," + s(c.c0) + "," + s(c.h) + "," + s(c.w) + "]";
  if (c.residual)
    text += ", r: u8[" + s(c.n) + "," + s(c.oc) + "," + s(out_extent(c, c.h)) + "," + s(out_extent(c, c.w)) + "]";
  text += conv("u", c.c, c.c0, c.kernel) + conv("v", c.oc, c.c, 1) + conv("w", c.c2, c.oc, 1);
  text += c.readers > 1 ? ") -> (p, q, z) {\n" : ") -> (p, q) {\n";
  const std::string zero = c.plain ? "0" : "93", act = c.plain ? ", activation=\"Relu\"" : "";
  text += "  a = QuantConv(x, u, u_scale, ub" + pair("strides", c.stride) + pair("dilations", c.dilation) + ", pads=[" +
          s(c.pad) + "," + s(c.pad) + "," + s(c.pad) + "," + s(c.pad) +
          "], x_scale=0.02, x_zero_point=" + s(c.pad > 0 ? 0 : 7) + ", y_scale=4.5, y_zero_point=" + zero + act +
          ", to=\"u8\")\n";
  text += "  p = QuantConv(a, v, v_scale, vb" + std::string(c.residual ? ", r" : "") +
          ", x_scale=4.5, x_zero_point=" + zero + ", y_scale=200.0, y_zero_point=" + zero +
          (c.residual ? ", residual_scale=120.0, residual_zero_point=60" : "") + act + ", to=\"u8\")\n";
  text += "  q = QuantConv(p, w, w_scale, wb, x_scale=200.0, x_zero_point=" + zero +
          ", y_scale=6000.0, y_zero_point=" + zero + act + ", to=\"u8\")\n";
  if (c.readers > 1) text += "  z = DequantizeLinear(a, one)\n";
  text += "}\n";
  if (c.readers > 1) text.insert(text.find(") -> "), ", one: f32[]");
  return text;
}

const std::set<std::string> k_constants = {"u", "u_scale", "ub", "v", "v_scale", "vb", "w", "w_scale", "wb", "one"};

// Windows at all borders, pixels that end in the middle of a tile, all widths, several images in a tile.
constexpr BlockCase k_small[] = {
    {1, 64, 64, 64, 64, 9, 13},
    {2, 64, 64, 128, 48, 7, 7, 3, 2, 1, true, false},
    {1, 64, 64, 64, 60, 11, 10, 3, 1, 0, false, false},
    {1, 60, 60, 128, 40, 8, 8, 3, 1, 1, true, true, 2},
    {1, 128, 128, 64, 128, 9, 7},
    {3, 256, 128, 128, 120, 6, 6, 5, 2, 2, false, true},
};
constexpr BlockCase k_large[] = {
    {70, 64, 64, 256, 64, 28, 28},
    {64, 64, 64, 256, 64, 29, 27, 3, 1, 1, true, false},
    {64, 128, 128, 512, 128, 28, 28},
    {40, 64, 64, 320, 64, 31, 29, 1, 2, 0, false, true},
};

std::shared_ptr<Backend> fastest_cpu() { return cpu::make_backend({.threads = 0, .isa = available_isas().back()}); }

/// Every tile of blocks that takes a case gives the CPU's bytes, of what is stored on the way too.
void expect_the_cpus_bytes(std::span<const BlockCase> cases, unsigned seed) {
  if (!cuda_backend()) GTEST_SKIP() << "not applicable: no GPU";
  const std::shared_ptr<Backend> cpu = fastest_cpu();
  std::set<std::string> ran;
  for (const BlockCase& c : cases) {
    const Graph graph = graph_with_constants(text_of(c), k_constants, ++seed);
    const std::vector<Tensor> inputs = random_inputs(graph, seed), expected = run_graph(graph, cpu, inputs);
    ASSERT_EQ(expected.size(), 2u);
    for (const std::string& tile : cuda::block_tile_names()) {
      Result<std::shared_ptr<Backend>> backend = cuda::make_backend({.tune = false}, tile);
      ASSERT_TRUE(backend) << backend.error().message;
      Result<std::shared_ptr<const Engine>> engine = Engine::build(graph, *backend);
      ASSERT_TRUE(engine) << engine.error().message;
      if ((*engine)->program().step_note(2) != tile) continue;  // does not take the case
      ran.insert(tile);
      for (const size_t step : {0u, 1u})
        EXPECT_EQ((*engine)->program().step_note(step), "in the step after it") << tile;
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
  if (cuda_backend()->device_key() != "cuda sm_90") return;
  for (const std::string& tile : cuda::block_tile_names()) EXPECT_TRUE(ran.contains(tile)) << tile << " ran in no case";
}

TEST(CudaSmall, bottlenecks_in_one_kernel_give_the_cpus_bytes) { expect_the_cpus_bytes(k_small, 400); }
TEST(Cuda, bottlenecks_in_one_kernel_give_the_cpus_bytes) { expect_the_cpus_bytes(k_large, 420); }

/// Shapes drawn at random: windows at every border, tiles that end anywhere, with and without residuals.
TEST(Cuda, bottlenecks_of_random_shapes_give_the_cpus_bytes) {
  std::mt19937 random(11);
  const auto any = [&](std::initializer_list<int> of) { return of.begin()[random() % of.size()]; };
  std::vector<BlockCase> cases;
  while (cases.size() < 50) {
    const bool wide = random() % 2 == 0;
    BlockCase c{any({1, 2, 3}),
                wide ? any({128, 256}) : any({60, 64, 192}),
                wide ? 128 : any({60, 64}),
                any({64, 128, 192, 320}),
                wide ? any({66, 100, 128}) : any({30, 48, 64}),
                any({5, 6, 7, 9, 12, 15, 17}),
                any({5, 6, 8, 11, 13, 16})};
    c.kernel = any({2, 3, 5}), c.stride = any({1, 1, 2, 3}), c.pad = any({0, 1, 2}), c.dilation = any({1, 1, 2});
    c.residual = random() % 3 > 0, c.plain = random() % 2 == 0;
    const int reach = (c.kernel - 1) * c.dilation + 1 - 2 * c.pad;
    if (c.h >= reach && c.w >= reach && c.pad < c.kernel) cases.push_back(c);
  }
  expect_the_cpus_bytes(cases, 520);
}

TEST(Cuda, a_window_that_is_read_twice_stays_a_kernel_of_its_own) {
  if (!cuda_backend()) GTEST_SKIP() << "not applicable: no GPU";
  BlockCase read_twice = k_small[0];
  read_twice.readers = 2;
  const Graph graph = graph_with_constants(text_of(read_twice), k_constants, 440);
  const std::vector<Tensor> inputs = random_inputs(graph, 440), expected = run_graph(graph, fastest_cpu(), inputs);
  for (const std::string& tile : cuda::block_tile_names()) {
    Result<std::shared_ptr<Backend>> backend = cuda::make_backend({.tune = false}, tile);
    ASSERT_TRUE(backend) << backend.error().message;
    Result<std::shared_ptr<const Engine>> engine = Engine::build(graph, *backend);
    ASSERT_TRUE(engine) << engine.error().message;
    for (size_t i = 0; i < 3; ++i)
      EXPECT_THAT((*engine)->program().step_note(i), testing::Not(testing::HasSubstr("block")));
    Result<Context> context = Context::make(*engine);
    ASSERT_TRUE(context) << context.error().message;
    const std::vector<Tensor> got = run_context(*context, inputs);
    ASSERT_EQ(got.size(), 3u);
    for (size_t i = 0; i < 3; ++i) expect_close(got[i], expected[i], k_exact, tile);
  }
}

/// The cache's text with other times for the rows whose names begin so; without verdicts on whole networks.
std::string with_times(const std::string& text, const std::string& kind, const std::string& us) {
  std::istringstream lines(text);
  std::string made, line;
  while (std::getline(lines, line)) {
    if (line.find("cuda network ") != std::string::npos) continue;
    const size_t time = line.rfind('\t'), tactic = time == std::string::npos ? time : line.rfind('\t', time - 1);
    if (tactic != std::string::npos && line.compare(tactic + 1, kind.size(), kind) == 0)
      line = line.substr(0, time + 1) + us;
    made += line + "\n";
  }
  return made;
}

/// A row of layers runs as one kernel where that is the faster by the times that are known, gives the same bytes either
/// way, and where it loses its outputs take no room of their own.
TEST(Cuda, rows_are_chosen_by_their_times_and_take_no_room_where_they_lose) {
  if (!cuda_backend()) GTEST_SKIP() << "not applicable: no GPU";
  if (cuda_backend()->device_key() != "cuda sm_90") GTEST_SKIP() << "not applicable: no such kernels";
  const Graph graph = graph_with_constants(text_of(k_large[0]), k_constants, 460);
  const std::vector<Tensor> inputs = random_inputs(graph, 460), expected = run_graph(graph, fastest_cpu(), inputs);
  const auto times = std::make_shared<TimingCache>();
  const auto build = [&](const std::shared_ptr<TimingCache>& known, const TacticChoice& choice) {
    Result<std::shared_ptr<Backend>> backend = cuda::make_backend({});
    EXPECT_TRUE(backend);
    (*backend)->use_times(known);
    Result<std::shared_ptr<const Engine>> engine = Engine::build(graph, *backend, choice);
    EXPECT_TRUE(engine) << engine.error().message;
    return *engine;
  };
  build(times, {});
  const std::string measured = times->text();
  ASSERT_THAT(measured, testing::HasSubstr("\tblock 192x64\t"));
  ASSERT_THAT(measured, testing::HasSubstr("\tchain 192x64 b64\t"));
  std::map<std::string, size_t> bytes;
  for (const auto& [name, block_us, chain_us] :
       {std::tuple("block", "0.001", "1000000"), std::tuple("chain", "1000000", "0.001"),
        std::tuple("none", "1000000", "1000000")}) {
    const std::string text = with_times(with_times(measured, "block", block_us), "chain", chain_us);
    Result<TimingCache> known = TimingCache::parse(text);
    ASSERT_TRUE(known) << known.error().message;
    const std::shared_ptr<const Engine> engine = build(std::make_shared<TimingCache>(*known), {});
    const std::string note = engine->program().step_note(2);
    EXPECT_EQ(note.starts_with(name), std::string(name) != "none") << note;
    EXPECT_EQ(engine->program().step_note(0) == k_in_next_step, std::string(name) == "block");
    bytes[name] = engine->program().context_bytes();
    Result<Context> context = Context::make(engine);
    ASSERT_TRUE(context) << context.error().message;
    const std::vector<Tensor> got = run_context(*context, inputs);
    ASSERT_EQ(got.size(), 2u);
    for (size_t i = 0; i < 2; ++i) expect_close(got[i], expected[i], k_exact, name);
    // As a plan names it, nothing is measured and the same memory is taken.
    const std::shared_ptr<const Engine> named = build(nullptr, engine->program().choice());
    EXPECT_EQ(named->program().choice(), engine->program().choice());
    EXPECT_EQ(named->program().context_bytes(), engine->program().context_bytes()) << name;
  }
  EXPECT_GT(bytes["none"], 0u);
  EXPECT_LE(bytes["none"], bytes["chain"]);
  EXPECT_LE(bytes["none"], bytes["block"]);
}

}  // namespace
}  // namespace octet
#endif
