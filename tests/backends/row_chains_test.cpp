// Softmax and LayerNormalization together with the codes around them: the bytes of steps that run one by one.
#include "backends/cpu/row_chains.h"

#include <gtest/gtest.h>

#include "backends/cpu/cpu_backend.h"
#include "backends/cpu/joined.h"
#include "backends/ref/ref.h"
#include "backends/running.h"

namespace octet {
namespace {

/// Taken in: codes to softmax to codes (c1), a product with a constant (m1), layers with codes on either side (l1, l3)
/// and one whose floats two read (l2). Not: a product with a vector, a softmax along another axis, floats between that
/// are read twice.
constexpr char k_network[] =
    R"(graph n (x: u8[3,70,36], s: f32[], z: u8[], half: f32[], row: f32[36], gamma: f32[36], beta: f32[36]) -> (c2, m3, l4, l5, v2, t2, k1) {
  f = DequantizeLinear(x, s, z)
  c0 = Softmax(f)
  c1 = QuantizeLinear(c0, s, z)
  c2 = Identity(c1)
  g = Add(c0, c0)
  m0 = Mul(g, half)
  m1 = Softmax(m0, axis=2)
  m2 = QuantizeLinear(m1, s)
  m3 = Identity(m2)
  d = DequantizeLinear(m2, s)
  l1 = LayerNormalization(d, gamma, beta, epsilon=0.001)
  l2 = QuantizeLinear(l1, s, z)
  l3 = DequantizeLinear(l2, s, z)
  l4 = LayerNormalization(l3, gamma)
  n = LayerNormalization(l4, gamma, beta)
  l5 = QuantizeLinear(n, s, z)
  v0 = Mul(l4, row)
  v1 = Softmax(v0)
  v2 = QuantizeLinear(v1, s)
  t0 = DequantizeLinear(l5, s, z)
  t1 = Softmax(t0, axis=1)
  t2 = QuantizeLinear(t1, s)
  k0 = LayerNormalization(g, gamma, beta)
  k1 = QuantizeLinear(k0, s, z)
}
)";

Graph network() {
  Graph graph = graph_with_constants(k_network, {"s", "z", "half", "row", "gamma", "beta"}, 3);
  graph.value(*graph.find_value("s")).constant = Tensor::from<float>(DType::f32, {}, std::vector<float>{0.011f});
  graph.value(*graph.find_value("z")).constant = Tensor::from<uint8_t>(DType::u8, {}, std::vector<uint8_t>{117});
  return graph;
}

TEST(RowChains, the_last_step_takes_in_what_only_it_reads) {
  const Graph graph = network();
  const cpu::Neighbours neighbours(graph, Isa::avx2, size_t{1} << 20);
  for (const std::string_view taken : {"m0", "m1", "d", "l1", "l3", "n", "k0"})
    EXPECT_TRUE(neighbours.is_in_row_chain(maker(graph, taken))) << taken;
  for (const std::string_view kept : {"f", "c1", "g", "m2", "l2", "l4", "l5", "v0", "v2", "t0", "t1", "t2", "k1"})
    EXPECT_FALSE(neighbours.is_done_by_next(maker(graph, kept))) << kept;
  EXPECT_EQ(neighbours.read_beside(graph, maker(graph, "m2")), *graph.find_value("g"));
  EXPECT_EQ(neighbours.read_beside(graph, maker(graph, "l2")), *graph.find_value("m2"));
  EXPECT_FALSE(cpu::Neighbours(graph, Isa::scalar, size_t{1} << 20).is_done_by_next(maker(graph, "m0")));
}

TEST(RowChains, give_the_bytes_of_single_steps_on_every_isa) {
  const Graph graph = network();
  const std::vector<Tensor> inputs = random_inputs(graph, 3);
  const Shown expected = shown_values(graph, cpu::make_backend({.isa = Isa::scalar}), inputs);
  ASSERT_EQ(expected.outputs.size(), 7u);
  for (const Isa isa : available_isas())
    for (const int threads : {1, 3}) {
      const auto backend = cpu::make_backend({.threads = threads, .isa = isa});
      const std::string where = std::string(name(isa)) + ", threads " + std::to_string(threads);
      const std::vector<Tensor> got = run_graph(graph, backend, inputs);
      const Shown shown = shown_values(graph, backend, inputs);
      ASSERT_EQ(got.size(), expected.outputs.size()) << where;
      ASSERT_EQ(shown.outputs.size(), expected.outputs.size()) << where;
      for (size_t i = 0; i < got.size(); ++i) {
        expect_close(got[i], expected.outputs[i], k_exact, where);
        expect_close(shown.outputs[i], expected.outputs[i], k_exact, where + ", with taps");
      }
      EXPECT_EQ(shown.values.size(), expected.values.size()) << where;
      expect_shown(shown, expected, where);
    }
}

/// Signed codes, with a zero point of its own at each end of a chain.
constexpr char k_signed[] =
    R"(graph n (x: f32[3,10,36], s: f32[], z: s8[], least: s8[], gamma: f32[36]) -> (m, e, i) {
  a = QuantizeLinear(x, s, z)
  b = DequantizeLinear(a, s, z)
  c = Softmax(b)
  d = QuantizeLinear(c, s, least)
  e = Identity(d)
  f = DequantizeLinear(d, s, least)
  g = LayerNormalization(f, gamma)
  h = QuantizeLinear(g, s, z)
  i = Identity(h)
  m = Identity(a)
}
)";

TEST(RowChains, take_signed_codes_at_both_ends) {
  Graph graph = graph_with_constants(k_signed, {"s", "z", "least", "gamma"}, 3);
  const auto set = [&](std::string_view value, Tensor to) { graph.value(*graph.find_value(value)).constant = to; };
  set("s", Tensor::from<float>(DType::f32, {}, std::vector<float>{0.02f}));
  set("z", Tensor::from<int8_t>(DType::s8, {}, std::vector<int8_t>{-7}));
  set("least", Tensor::from<int8_t>(DType::s8, {}, std::vector<int8_t>{-128}));
  const std::vector<Tensor> inputs = random_inputs(graph, 3);
  const std::vector<Tensor> expected = run_graph(graph, make_ref_backend(), inputs);
  ASSERT_EQ(expected.size(), 3u);
  for (const Isa isa : available_isas()) {
    const cpu::Neighbours neighbours(graph, isa, size_t{1} << 20);
    for (const std::string_view taken : {"b", "c", "f", "g"})
      EXPECT_EQ(neighbours.is_in_row_chain(maker(graph, taken)), isa != Isa::scalar) << taken;
    const std::vector<Tensor> got = run_graph(graph, cpu::make_backend({.isa = isa}), inputs);
    ASSERT_EQ(got.size(), 3u);
    for (size_t i = 0; i < got.size(); ++i) expect_close(got[i], expected[i], k_exact, std::string(name(isa)));
  }
}

TEST(RowChains, give_the_bytes_of_single_steps_for_few_rows_and_long_ones) {
  for (const char* const dims : {"1,3", "7,1000", "9,1500", "6,5000", "3,20000"}) {
    Graph graph = graph_with_constants(std::string("graph n (x: f32[") + dims + R"(], scale: f32[], z: u8[]) -> (e) {
  a = QuantizeLinear(x, scale, z)
  b = DequantizeLinear(a, scale, z)
  c = Softmax(b)
  d = QuantizeLinear(c, scale, z)
  e = Identity(d)
}
)",
                                       {"scale", "z"}, 3);
    graph.value(*graph.find_value("scale")).constant = Tensor::from<float>(DType::f32, {}, std::vector<float>{1e-6f});
    const std::vector<Tensor> inputs = random_inputs(graph, 3);
    const std::vector<Tensor> expected = run_graph(graph, cpu::make_backend({.isa = Isa::scalar}), inputs);
    for (const Isa isa : available_isas())
      for (const int threads : {1, 3}) {
        const auto backend = cpu::make_backend({.threads = threads, .isa = isa});
        expect_close(run_graph(graph, backend, inputs)[0], expected[0], k_exact, std::string(name(isa)) + ", " + dims);
      }
  }
}

/// Images, whose batch is cut. Softmax and LayerNormalization see it whole: a chain's last step (e, i) runs for some
/// images what the plan counts to another part.
constexpr char k_images[] =
    R"(graph n (x: f32[4,4,192,96], s: f32[], z: u8[], half: f32[], gamma: f32[96], beta: f32[96], table: u8[256]) -> (y) {
  q = QuantizeLinear(x, s, z)
  a = QuantLookup(q, table)
  d = DequantizeLinear(a, s, z)
  c = Softmax(d)
  e = QuantizeLinear(c, s, z)
  b = QuantLookup(e, table)
  f = DequantizeLinear(b, s, z)
  f2 = Add(f, f)
  g = Mul(f2, half)
  h = LayerNormalization(g, gamma, beta)
  i = QuantizeLinear(h, s, z)
  j = DequantizeLinear(i, s, z)
  k = Mul(j, half)
  l = Add(k, j)
  y = QuantizeLinear(l, s, z)
}
)";

TEST(RowChains, give_the_reference_bytes_however_the_batch_is_cut) {
  Graph graph = graph_with_constants(k_images, {"s", "z", "half", "gamma", "beta", "table"}, 3);
  graph.value(*graph.find_value("s")).constant = Tensor::from<float>(DType::f32, {}, std::vector<float>{0.011f});
  graph.value(*graph.find_value("z")).constant = Tensor::from<uint8_t>(DType::u8, {}, std::vector<uint8_t>{117});
  const std::vector<Tensor> inputs = random_inputs(graph, 3);
  const std::vector<Tensor> expected = run_graph(graph, make_ref_backend(), inputs);
  constexpr size_t k_cutting = 480000;  // bytes of L2: a few images
  for (const Isa isa : available_isas())
    expect_equal_however_cut(graph, isa, {"e", "i"}, k_cutting, inputs, expected[0]);
  const Isa isa = available_isas().back();
  // The reference's own rows are in double; those of all ISAs are alike.
  const Shown shown = shown_values(graph, cpu::make_backend({.isa = Isa::scalar}), inputs);
  for (const int threads : {1, 3})
    expect_shown(
        shown_values(graph, cpu::make_backend({.threads = threads, .isa = isa, .l2_bytes = k_cutting}), inputs), shown,
        "threads " + std::to_string(threads));
}

}  // namespace
}  // namespace octet
