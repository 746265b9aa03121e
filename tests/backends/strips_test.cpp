// FP32 layers around a depthwise one that run in strips: which do, and that nothing else changes.
#include "backends/cpu/strips.h"

#include <gtest/gtest.h>

#include <map>

#include "backends/cpu/cpu_backend.h"
#include "backends/cpu/joined.h"
#include "backends/ref/ref.h"
#include "backends/running.h"
#include "runtime/tune.h"

namespace octet {
namespace {

/// a, b, c and d, e, f are inverted residuals, the first behind the caller's image, the second with a residual that is
/// its own input. g, h are the last two of three, since f is taken already; in i, j two read what the first one makes.
/// k, l: a depthwise layer behind a window, whose reader has a window itself; m: its value is an output.
constexpr char k_network[] =
    R"(graph n (x: f32[4,3,22,19], wa: f32[40,3,3,3], ba: f32[40], wb: f32[40,1,3,3], bb: f32[40], wc: f32[24,40,1,1], wd: f32[72,24,1,1], bd: f32[72], we: f32[72,1,5,5], wf: f32[24,72,1,1], wg: f32[24,1,3,3], wh: f32[32,24,1,1], wi: f32[32,32,1,1], wj: f32[32,1,3,3], wk: f32[32,32,3,3], wl: f32[32,1,3,3], wm: f32[32,1,3,3], wn: f32[8,32,1,1]) -> (y, m) {
  a = FusedConv(x, wa, ba, strides=[2,2], pads=[1,1,1,1], activation="Clip", activation_params=[0.0,6.0])
  b = FusedConv(a, wb, bb, group=40, pads=[1,1,1,1], activation="Clip", activation_params=[0.0,6.0])
  c = Conv(b, wc)
  d = FusedConv(c, wd, bd, activation="Relu")
  e = FusedConv(d, we, group=72, pads=[2,2,2,2], activation="Silu")
  f = FusedConv(e, wf, _, c, activation="Relu")
  g = FusedConv(f, wg, group=24, strides=[2,2], pads=[1,1,1,1], activation="Relu")
  h = Conv(g, wh)
  i = FusedConv(h, wi, activation="Relu")
  j = Conv(i, wj, group=32, pads=[1,1,1,1])
  i2 = Add(i, j)
  k = FusedConv(i2, wk, pads=[1,1,1,1], activation="Relu")
  l = Conv(k, wl, group=32, pads=[1,1,1,1])
  l2 = Conv(l, wk, pads=[1,1,1,1])
  m = Conv(l2, wm, group=32, pads=[1,1,1,1])
  y = Conv(m, wn)
}
)";

Graph network() {
  return graph_with_constants(
      k_network, {"wa", "ba", "wb", "bb", "wc", "wd", "bd", "we", "wf", "wg", "wh", "wi", "wj", "wk", "wl", "wm", "wn"},
      3);
}

TEST(Strips, take_in_what_only_they_read) {
  const Graph graph = network();
  for (const Isa isa : {Isa::avx2, Isa::avx512_vnni, Isa::amx}) {
    const cpu::Neighbours neighbours(graph, isa, 1);
    const std::map<std::string_view, std::vector<std::string_view>> expected = {{"c", {"a", "b", "x"}},
                                                                                {"f", {"d", "e", "c"}},
                                                                                {"h", {"", "g", "f"}},
                                                                                {"l", {"k", "", "i2"}},
                                                                                {"m", {"l2", "", "l"}}};
    for (const auto& [last, parts] : expected) {
      const cpu::Strips* const strips = neighbours.strips_of(maker(graph, last));
      ASSERT_NE(strips, nullptr) << last;
      EXPECT_EQ(strips->expand, parts[0].empty() ? -1 : maker(graph, parts[0])) << last;
      EXPECT_EQ(strips->depthwise, maker(graph, parts[1].empty() ? last : parts[1])) << last;
      EXPECT_EQ(strips->project, parts[1].empty() ? -1 : maker(graph, last)) << last;
      EXPECT_EQ(neighbours.read_beside(graph, maker(graph, last)), *graph.find_value(parts[2])) << last;
      for (size_t i = 0; i < 2; ++i)
        EXPECT_TRUE(parts[i].empty() || neighbours.is_done_by_next(maker(graph, parts[i]))) << parts[i];
    }
    for (const std::string_view alone : {"i", "j", "i2", "y"}) {
      EXPECT_EQ(neighbours.strips_of(maker(graph, alone)), nullptr) << alone;
      EXPECT_FALSE(neighbours.is_done_by_next(maker(graph, alone))) << alone;
    }
  }
}

TEST(Strips, are_for_values_that_leave_l2) {
  const Graph graph = network();
  const auto count = [&](Isa isa, size_t l2_bytes) {
    return cpu::find_strips(graph, Uses(graph), isa, l2_bytes).size();
  };
  EXPECT_EQ(count(Isa::avx512_vnni, size_t{1} << 30), 0u);
  EXPECT_EQ(count(Isa::scalar, 1), 0u);
  // d and e together are 2 x 110 x 80 floats, a and b 2 x 110 x 48.
  EXPECT_EQ(count(Isa::avx512_vnni, 50000), 1u);
}

TEST(Strips, give_the_bytes_of_single_layers_however_the_batch_is_cut) {
  const Graph graph = network();
  const std::vector<Tensor> inputs = random_inputs(graph, 3);
  const std::vector<Tensor> judged = run_graph(graph, make_ref_backend(), inputs);
  for (const Isa isa : available_isas()) {
    const auto run = [&](int threads, size_t l2_bytes) {
      return run_graph(graph, cpu::make_backend({.threads = threads, .isa = isa, .l2_bytes = l2_bytes}), inputs);
    };
    const std::vector<Tensor> alone = run(1, size_t{1} << 30);
    ASSERT_EQ(alone.size(), 2u);
    for (size_t i = 0; i < 2; ++i) expect_close(alone[i], judged[i], {1e-5}, std::string(name(isa)));
    for (const int threads : {1, 2, 3})
      for (const size_t l2_bytes : {1, 20000, 50000}) {
        const std::vector<Tensor> got = run(threads, l2_bytes);
        const std::string where =
            std::string(name(isa)) + ", " + std::to_string(threads) + " threads, L2 of " + std::to_string(l2_bytes);
        ASSERT_EQ(got.size(), 2u) << where;
        for (size_t i = 0; i < 2; ++i) expect_close(got[i], alone[i], k_exact, where);
      }
  }
}

/// Taps see what strips do not write, and the answers stay.
TEST(Strips, show_taps_every_value) {
  const Graph graph = network();
  const std::vector<Tensor> inputs = random_inputs(graph, 5);
  const auto shown = [&](size_t l2_bytes) {
    std::map<std::string, double> sums;
    RunHooks hooks;
    hooks.tap = [&](std::string_view value, const TensorView& view) {
      double& sum = sums[std::string(value)];
      for (int64_t i = 0; i < *element_count(view.dims); ++i) {
        int64_t rest = i, position = 0;
        for (size_t axis = view.dims.size(); axis-- > 0; rest /= view.dims[axis])
          position += rest % view.dims[axis] * view.strides[axis];
        sum += static_cast<double>(i % 251) * static_cast<double>(reinterpret_cast<const float*>(view.data)[position]);
      }
    };
    const auto backend = cpu::make_backend({.isa = available_isas().back(), .l2_bytes = l2_bytes});
    const std::vector<Tensor> outputs = run_graph(graph, backend, inputs, hooks);
    expect_close(outputs[0], run_graph(graph, backend, inputs)[0], k_exact, "with taps");
    return sums;
  };
  const std::map<std::string, double> expected = shown(size_t{1} << 30);
  EXPECT_EQ(expected.size(), graph.nodes.size());
  EXPECT_EQ(shown(1), expected);
}

TEST(Strips, run_apart_each_layer_has_a_time_and_the_bytes_stay) {
  const Graph graph = network();
  const std::vector<Tensor> inputs = random_inputs(graph, 7);
  for (const Isa isa : available_isas())
    for (const int threads : {1, 2, 3})
      for (const size_t l2_bytes : {1, 20000, 50000}) {
        const auto backend = cpu::make_backend({.threads = threads, .isa = isa, .l2_bytes = l2_bytes});
        const std::string where =
            std::string(name(isa)) + ", " + std::to_string(threads) + " threads, L2 of " + std::to_string(l2_bytes);
        std::vector<double> seconds;
        RunHooks hooks;
        hooks.step_seconds = &seconds;
        hooks.steps_apart = true;
        const std::vector<Tensor> apart = run_graph(graph, backend, inputs, hooks);
        const std::vector<Tensor> together = run_graph(graph, backend, inputs);
        ASSERT_EQ(apart.size(), 2u) << where;
        for (size_t i = 0; i < 2; ++i) expect_close(apart[i], together[i], k_exact, where);
        ASSERT_EQ(seconds.size(), graph.nodes.size()) << where;
        for (size_t i = 0; i < seconds.size(); ++i) EXPECT_GT(seconds[i], 0) << where << ", step " << i;
      }
}

/// The last layer has a sixty-fourth of the first one's products: no group's time stands under its name.
TEST(Strips, are_tuned_by_times_of_single_layers) {
  const Graph graph = graph_with_constants(
      R"(graph n (x: f32[1,64,24,24], wa: f32[256,64,1,1], wb: f32[256,1,3,3], wc: f32[4,256,1,1]) -> (c) {
  a = FusedConv(x, wa, activation="Relu") @a
  b = FusedConv(a, wb, group=256, pads=[1,1,1,1], activation="Relu") @b
  c = Conv(b, wc) @c
}
)",
      {"wa", "wb", "wc"}, 3);
  const Isa isa = available_isas().back();
  if (isa == Isa::scalar) GTEST_SKIP() << "not applicable: no strips on the scalar judge";
  const auto backend = cpu::make_backend({.isa = isa, .l2_bytes = 1});
  ASSERT_NE(cpu::Neighbours(graph, isa, 1).strips_of(maker(graph, "c")), nullptr);
  TimingCache cache;
  const Result<TuningReport> report = tune(graph, *backend, {.cache = &cache});
  ASSERT_TRUE(report) << report.error().message;
  std::map<std::string, double> us;
  for (const TunedLayer& layer : report->layers)
    for (const TunedCandidate& c : layer.candidates)
      if (c.refused.empty() && (!us.contains(layer.first_node) || c.us < us[layer.first_node]))
        us[layer.first_node] = c.us;
  ASSERT_TRUE(us.contains("a") && us.contains("c")) << report->log();
  EXPECT_GT(us["c"], 0);
  EXPECT_LT(us["c"], 0.7 * us["a"]) << report->log();
}

}  // namespace
}  // namespace octet
