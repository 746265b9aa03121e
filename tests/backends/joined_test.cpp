// Concatenations in place: what is joined lies where the concatenation does, and every byte is the reference's.
#include "backends/cpu/joined.h"

#include <gtest/gtest.h>

#include "backends/cpu/cpu_backend.h"
#include "backends/ref/ref.h"
#include "backends/running.h"

namespace octet {
namespace {

/// Two blocks of a DenseNet: a chain of concatenations that are read by depthwise layers, one part through a table, a
/// pool between, a block that ends in a dense tail. r is a residual as well, s is read by a step that wants it whole, t
/// is found twice, n has 24 channels: none of these may be joined. o is an output.
constexpr char k_network[] =
    R"(graph g (x: f32[4,3,16,16], x_scale: f32[], w0: s8[16,3,3,3], w0_scale: f32[16], dw16: s8[16,1,1,1], dw16_scale: f32[16], dw32: s8[32,1,1,1], dw32_scale: f32[32], dw48: s8[48,1,1,1], dw48_scale: f32[48], w16: s8[16,16,3,3], w16_scale: f32[16], w32: s8[16,32,3,3], w32_scale: f32[16], w48: s8[16,48,1,1], w48_scale: f32[16], w64: s8[24,64,1,1], w64_scale: f32[24], r48: u8[1,48,1,1], table: s8[256], end: f32[]) -> (y, o) {
  q = QuantizeLinear(x, x_scale)
  stem = QuantConv(q, w0, w0_scale, pads=[1,1,1,1], strides=[1,1], x_scale=0.02, x_zero_point=0, y_scale=0.5, y_zero_point=3, to="s8")
  a = MaxPool(stem, kernel_shape=[3,3], strides=[2,2], pads=[1,1,1,1])
  a_norm = QuantConv(a, dw16, dw16_scale, group=16, x_scale=0.5, x_zero_point=3, y_scale=0.4, y_zero_point=-5, activation="Relu", to="s8")
  b0 = QuantConv(a_norm, w16, w16_scale, pads=[1,1,1,1], x_scale=0.4, x_zero_point=-5, y_scale=0.9, y_zero_point=1, to="s8")
  b = QuantLookup(b0, table)
  ab = Concat(a, b, axis=1)
  ab_norm = QuantConv(ab, dw32, dw32_scale, group=32, x_scale=0.5, x_zero_point=3, y_scale=0.4, y_zero_point=-5, activation="Relu", to="s8")
  c = QuantConv(ab_norm, w32, w32_scale, pads=[1,1,1,1], x_scale=0.4, x_zero_point=-5, y_scale=0.9, y_zero_point=1, to="s8")
  abc = Concat(ab, c, axis=1)
  abc_norm = QuantConv(abc, dw48, dw48_scale, _, r48, group=48, residual_scale=0.01, residual_zero_point=128, x_scale=0.5, x_zero_point=3, y_scale=0.4, y_zero_point=-5, to="s8")
  r = QuantConv(abc_norm, w48, w48_scale, x_scale=0.4, x_zero_point=-5, y_scale=0.9, y_zero_point=1, to="s8")
  s = QuantConv(r, w16, w16_scale, _, r, pads=[1,1,1,1], residual_scale=0.9, residual_zero_point=1, x_scale=0.9, x_zero_point=1, y_scale=0.7, y_zero_point=0, to="s8")
  o = DequantizeLinear(s, x_scale)
  e = QuantAdd(a, c, a_scale=0.5, a_zero_point=3, b_scale=0.9, b_zero_point=1, y_scale=0.8, y_zero_point=2, to="s8")
  d = Concat(e, r, s, b0, axis=1)
  p = QuantAveragePool(d, kernel_shape=[2,2], strides=[2,2], x_scale=0.8, x_zero_point=2, y_scale=0.8, y_zero_point=2, to="s8")
  n = QuantConv(p, w64, w64_scale, x_scale=0.8, x_zero_point=2, y_scale=0.8, y_zero_point=2, to="s8")
  t = MaxPool(p, kernel_shape=[1,1])
  twice = Concat(n, t, p, t, axis=1)
  pool = QuantGlobalAveragePool(twice, x_scale=0.8, x_zero_point=2, y_scale=0.3, y_zero_point=0, to="s8")
  f = Flatten(pool)
  y = DequantizeLinear(f, end)
}
)";
const std::set<std::string> k_constants = {
    "x_scale",   "w0",  "w0_scale",  "dw16", "dw16_scale", "dw32",      "dw32_scale", "dw48", "w16",   "dw48_scale",
    "w16_scale", "w32", "w32_scale", "w48",  "w64",        "w48_scale", "w64_scale",  "r48",  "table", "end"};

Graph network() { return graph_with_constants(k_network, k_constants, 11); }

TEST(Joined, gives_the_reference_bytes_on_every_isa_however_the_batch_is_cut) {
  const Graph graph = network();
  const std::vector<Tensor> inputs = random_inputs(graph, 11);
  const std::vector<Tensor> expected = run_graph(graph, make_ref_backend(), inputs);
  ASSERT_EQ(expected.size(), 2u);
  for (const Isa isa : available_isas())
    for (const int threads : {1, 3})
      for (const size_t l2 : {size_t{1}, size_t{9000}, size_t{30000}, size_t{1} << 30}) {
        const auto backend = cpu::make_backend({.threads = threads, .isa = isa, .l2_bytes = l2});
        const std::vector<Tensor> got = run_graph(graph, backend, inputs);
        const std::string where = std::string(name(isa)) + ", L2 of " + std::to_string(l2);
        ASSERT_EQ(got.size(), 2u) << where;
        for (size_t i = 0; i < 2; ++i) expect_close(got[i], expected[i], k_exact, where);
      }
}

TEST(Joined, a_chain_of_concatenations_is_one_buffer) {
  const Graph graph = network();
  const cpu::Neighbours neighbours(graph, available_isas().back(), size_t{1} << 20);
  const auto place = [&](std::string_view value) { return neighbours.joined(*graph.find_value(value)); };
  const auto id = [&](std::string_view value) { return *graph.find_value(value); };
  struct Expected {
    std::string_view value, host;
    int64_t channel;
  };
  for (const Expected& e : {Expected{"a", "abc", 0},
                            {"b", "abc", 16},
                            {"ab", "abc", 0},
                            {"c", "abc", 32},
                            {"e", "d", 0},
                            {"b0", "d", 48}}) {
    ASSERT_TRUE(place(e.value)) << e.value;
    EXPECT_EQ(place(e.value)->host, id(e.host)) << e.value;
    EXPECT_EQ(place(e.value)->channel, e.channel) << e.value;
  }
  for (const std::string_view value : {"q", "stem", "abc", "r", "s", "d", "n", "t", "p", "twice"})
    EXPECT_FALSE(place(value)) << value;
  const cpu::Layout layout = neighbours.layout(graph, id("b"));
  EXPECT_EQ(layout.pitch(), 48);
  EXPECT_EQ(layout.elements, 4 * 8 * 8 * 48);

  const auto backend = cpu::make_backend({.isa = available_isas().back()});
  const Result<std::shared_ptr<const Plan>> plan = make_plan(graph, *backend);
  ASSERT_TRUE(plan);
  const auto slot = [&](std::string_view value) { return (*plan)->slots[static_cast<size_t>(id(value))]; };
  for (const std::string_view part : {"b", "ab", "c", "abc"}) EXPECT_EQ(slot(part).offset, slot("a").offset) << part;
  EXPECT_NE(slot("d").offset, slot("a").offset);
}

TEST(Joined, pixels_of_a_transposed_convolution_lie_where_a_u_net_joins_them) {
  constexpr char k_text[] =
      R"(graph g (x: f32[2,3,8,8], x_scale: f32[], w0: s8[16,3,3,3], w0_scale: f32[16], w: s8[16,48,1,1], w_scale: f32[16], deep: s8[128,16,1,1], deep_scale: f32[128], end: f32[]) -> (y) {
  q = QuantizeLinear(x, x_scale)
  skip = QuantConv(q, w0, w0_scale, pads=[1,1,1,1], x_scale=0.02, x_zero_point=0, y_scale=0.5, y_zero_point=3, to="s8")
  half = MaxPool(skip, kernel_shape=[2,2], strides=[2,2])
  phases = QuantConv(half, deep, deep_scale, x_scale=0.5, x_zero_point=3, y_scale=0.5, y_zero_point=3, to="s8")
  up = DepthToSpace(phases, blocksize=2)
  both = Concat(skip, up, axis=1)
  z = QuantConv(both, w, w_scale, x_scale=0.5, x_zero_point=3, y_scale=0.7, y_zero_point=0, to="s8")
  y = DequantizeLinear(z, end)
})";
  const Graph graph =
      graph_with_constants(k_text, {"x_scale", "w0", "w0_scale", "w", "w_scale", "deep", "deep_scale", "end"}, 17);
  const cpu::Neighbours neighbours(graph, available_isas().back(), size_t{1} << 20);
  ASSERT_TRUE(neighbours.joined(*graph.find_value("up")));
  EXPECT_EQ(neighbours.joined(*graph.find_value("up"))->channel, 16);
  const std::vector<Tensor> inputs = random_inputs(graph, 17);
  const std::vector<Tensor> expected = run_graph(graph, make_ref_backend(), inputs);
  for (const Isa isa : available_isas())
    for (const int threads : {1, 3}) {
      const auto backend = cpu::make_backend({.threads = threads, .isa = isa});
      expect_close(run_graph(graph, backend, inputs).at(0), expected.at(0), k_exact, std::string(name(isa)));
    }
}

/// The reference kernel of a step whose weights are no constants writes among the others' channels as well.
TEST(Joined, a_step_without_a_fast_kernel_keeps_to_its_channels) {
  constexpr char k_text[] =
      R"(graph g (x: f32[2,16,5,5], x_scale: f32[], w: s8[16,16,1,1], w_scale: f32[16], table: s8[256], zero: s8[]) -> (y) {
  q = QuantizeLinear(x, x_scale, zero)
  a = MaxPool(q, kernel_shape=[1,1])
  b = QuantConv(q, w, w_scale, x_scale=0.02, x_zero_point=0, y_scale=0.5, y_zero_point=3, to="s8")
  c = QuantLookup(a, table)
  j = Concat(a, b, c, axis=1)
  y = DequantizeLinear(j, x_scale)
}
)";
  const Graph graph = graph_with_constants(k_text, {"x_scale", "table", "zero"}, 5);
  EXPECT_TRUE(cpu::Neighbours(graph, Isa::scalar, size_t{1} << 20).joined(*graph.find_value("b")));
  expect_cpu_equals_ref(graph, k_exact);
}

/// A chain of a thousand concatenations: found without recursion, planned in time that does not hang.
TEST(Joined, a_long_chain_is_planned_like_a_short_one) {
  constexpr int k_links = 1000;
  std::string text = "graph g (x: f32[1,16,1,1], s: f32[]) -> (y) {\n  c0 = QuantizeLinear(x, s)\n";
  for (int i = 1; i <= k_links; ++i) {
    const std::string n = std::to_string(i), last = std::to_string(i - 1);
    text +=
        "  m" + n + " = MaxPool(c0, kernel_shape=[1,1])\n  c" + n + " = Concat(c" + last + ", m" + n + ", axis=1)\n";
  }
  text += "  y = DequantizeLinear(c" + std::to_string(k_links) + ", s)\n}\n";
  const Graph graph = graph_with_constants(text, {"s"}, 3);
  const cpu::Neighbours neighbours(graph, available_isas().back(), size_t{1} << 20);
  const ValueId host = *graph.find_value("c" + std::to_string(k_links));
  const std::optional<cpu::JoinedPlace> second = neighbours.joined(*graph.find_value("m2"));
  ASSERT_TRUE(second);
  EXPECT_EQ(second->host, host);
  EXPECT_EQ(second->channel, 32);
  EXPECT_FALSE(neighbours.joined(*graph.find_value("c0")));  // a QuantizeLinear makes it
  EXPECT_EQ(neighbours.shared(graph, 4), *graph.find_value("m1"));
  const auto backend = cpu::make_backend({.isa = available_isas().back()});
  const std::vector<Tensor> inputs = random_inputs(graph, 3);
  expect_close(run_graph(graph, backend, inputs)[0], run_graph(graph, make_ref_backend(), inputs)[0], k_exact, "chain");
}

TEST(Joined, taps_show_a_value_and_not_its_neighbours) {
  const Graph graph = network();
  const std::vector<Tensor> inputs = random_inputs(graph, 13);
  const auto sums = [&](const std::shared_ptr<Backend>& backend) {
    std::vector<std::pair<std::string, int64_t>> shown;
    RunHooks hooks;
    hooks.value_tap = [&](std::string_view value, const TensorView& view, int offset) {
      if (view.dtype != DType::u8 && view.dtype != DType::s8) return;
      int64_t sum = 0, at = 0;
      for (int64_t i = 0; i < *element_count(view.dims); ++i) {
        int64_t rest = i, position = 0;
        for (size_t axis = view.dims.size(); axis-- > 0; rest /= view.dims[axis])
          position += rest % view.dims[axis] * view.strides[axis];
        const auto* codes = reinterpret_cast<const uint8_t*>(view.data);
        sum += (++at % 251) * (codes[position] - offset);
      }
      shown.emplace_back(value, sum);
    };
    run_graph(graph, backend, inputs, hooks);
    return shown;
  };
  const Isa isa = available_isas().back();
  const auto whole = sums(cpu::make_backend({.isa = isa, .l2_bytes = size_t{1} << 30}));
  EXPECT_GT(whole.size(), 15u);
  EXPECT_EQ(sums(cpu::make_backend({.isa = isa, .l2_bytes = 9000})), whole);
  EXPECT_EQ(sums(cpu::make_backend({.isa = Isa::scalar, .l2_bytes = size_t{1} << 30})), whole);
}

}  // namespace
}  // namespace octet
