// Transposed codes that only products read lie as what they are transposed from; short rows are copied in runs.
#include <gtest/gtest.h>

#include "backends/cpu/cpu_backend.h"
#include "backends/cpu/joined.h"
#include "backends/cpu/strided.h"
#include "backends/ref/ref.h"
#include "backends/running.h"
#include "kernels/matmul_s16/matmul_s16.h"

namespace octet {
namespace {

/// Attention on codes, two heads of 8 columns.
std::string network(const std::string& rows) {
  return "graph n (x: u8[3," + rows +
         ",16], ta: u8[256], tb: u8[256], tc: u8[256]) -> (y) {\n  const to: s64[4] = {3, " + rows +
         ", 2, 8}\n  const back: s64[3] = {3, " + rows + R"(, 16}
  a = QuantLookup(x, ta)
  b = QuantLookup(x, tb)
  c = QuantLookup(x, tc)
  ah = Reshape(a, to)
  bh = Reshape(b, to)
  ch = Reshape(c, to)
  q = Transpose(ah, perm=[0,2,1,3])
  k = Transpose(bh, perm=[0,2,3,1])
  v = Transpose(ch, perm=[0,2,1,3])
  m = QuantMatMul(q, k, a_scale=0.02, a_zero_point=3, b_scale=0.02, b_zero_point=120, y_scale=0.05, y_zero_point=100, to="u8")
  o = QuantMatMul(m, v, a_scale=0.05, a_zero_point=100, b_scale=0.02, b_zero_point=7, y_scale=0.09, y_zero_point=90, to="u8")
  p = Transpose(o, perm=[0,2,1,3])
  y = Reshape(p, back)
}
)";
}

Graph graph_of(const std::string& rows) { return graph_with_constants(network(rows), {"ta", "tb", "tc"}, 5); }

TEST(Views, are_transposes_that_products_read_by_fours) {
  for (const Isa isa : available_isas()) {
    const bool has_quads = matmul_s16_kernels(isa).multiply_quads != nullptr;
    for (const std::string rows : {"12", "10"}) {
      const Graph graph = graph_of(rows);
      const cpu::Neighbours neighbours(graph, isa, size_t{1} << 20);
      const auto is_view = [&](std::string_view name) { return neighbours.is_view(*graph.find_value(name)); };
      EXPECT_EQ(is_view("q"), has_quads) << name(isa);
      EXPECT_EQ(is_view("k"), has_quads) << name(isa);
      EXPECT_EQ(is_view("v"), has_quads && rows == "12") << name(isa) << rows;  // k of the second product
      EXPECT_FALSE(is_view("p") || is_view("m") || is_view("ah"));
    }
  }
}

TEST(Views, give_the_reference_bytes) {
  for (const char* const rows : {"12", "10", "64", "1"}) {
    const Graph graph = graph_of(rows);
    const std::vector<Tensor> inputs = random_inputs(graph, 3);
    const Shown expected = shown_values(graph, make_ref_backend(), inputs);
    for (const Isa isa : available_isas())
      for (const int threads : {1, 3}) {
        const auto backend = cpu::make_backend({.threads = threads, .isa = isa});
        const std::string where = std::string(name(isa)) + ", rows " + rows;
        expect_close(run_graph(graph, backend, inputs)[0], expected.outputs[0], k_exact, where);
        const Shown shown = shown_values(graph, backend, inputs);
        expect_close(shown.outputs[0], expected.outputs[0], k_exact, where + ", with taps");
        EXPECT_TRUE(shown.values.contains("q") && shown.values.contains("k") && shown.values.contains("v")) << where;
        expect_shown(shown, expected, where);
      }
  }
}

/// Heads of images, whose batch is cut: products see it whole, what they read through views (a, b, c) and what is made
/// of their output not.
constexpr char k_images[] =
    R"(graph n (x: f32[4,96,8,64], scale: f32[], za: u8[], zb: u8[], zc: u8[], gamma_scale: f32[64]) -> (y) {
  x1 = LayerNormalization(x, gamma_scale)
  a = QuantizeLinear(x1, scale, za)
  b = QuantizeLinear(x1, scale, zb)
  c = QuantizeLinear(x1, scale, zc)
  q = Transpose(a, perm=[0,2,1,3])
  k = Transpose(b, perm=[0,2,3,1])
  v = Transpose(c, perm=[0,2,1,3])
  m = QuantMatMul(q, k, a_scale=0.02, a_zero_point=3, b_scale=0.02, b_zero_point=120, y_scale=0.5, y_zero_point=100, to="u8")
  o = QuantMatMul(m, v, a_scale=0.05, a_zero_point=100, b_scale=0.02, b_zero_point=7, y_scale=0.9, y_zero_point=90, to="u8")
  d = DequantizeLinear(o, scale, za)
  e = Add(d, d)
  y = QuantizeLinear(e, scale, zb)
}
)";

TEST(Views, give_the_reference_bytes_however_the_batch_is_cut) {
  const Graph graph = graph_with_constants(k_images, {"scale", "za", "zb", "zc", "gamma_scale"}, 5);
  const std::vector<Tensor> inputs = random_inputs(graph, 3);
  const std::vector<Tensor> expected = run_graph(graph, make_ref_backend(), inputs);
  constexpr size_t k_cutting = 480000;  // bytes of L2: a few images
  for (const Isa isa : available_isas()) {
    const cpu::Neighbours neighbours(graph, isa, size_t{1} << 20);
    for (const std::string_view view : {"q", "k", "v"})
      EXPECT_EQ(neighbours.is_view(*graph.find_value(view)), matmul_s16_kernels(isa).multiply_quads != nullptr) << view;
    expect_equal_however_cut(graph, isa, {"a", "b", "c", "d"}, k_cutting, inputs, expected[0]);
  }
  // The reference's own LayerNormalization is in double; those of all ISAs are alike.
  const Shown shown = shown_values(graph, cpu::make_backend({.isa = Isa::scalar}), inputs);
  for (const int threads : {1, 4}) {
    const auto backend = cpu::make_backend({.threads = threads, .isa = available_isas().back(), .l2_bytes = k_cutting});
    expect_shown(shown_values(graph, backend, inputs), shown, "threads " + std::to_string(threads));
  }
}

}  // namespace
}  // namespace octet
