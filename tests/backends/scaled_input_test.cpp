// Scales and shifts per channel that the 1x1 convolution or the average pool behind them does on its own input: the
// reference's bytes.
#include "backends/cpu/joined.h"

#include <gtest/gtest.h>

#include "backends/cpu/cpu_backend.h"
#include "backends/ref/ref.h"
#include "backends/running.h"

namespace octet {
namespace {

/// a to d are scales in front of convolutions that take them in: with a residual of one pixel, without one, with a
/// shift that no float holds (c), with the source as the convolution's residual (d), and the source read last by the
/// convolution (b, whose single tap has a dilation). e stays a step: two read it; f: its convolution has a window; g:
/// it is an output.
constexpr char k_network[] =
    R"(graph n (x: f32[4,3,9,9], x_scale: f32[], w0: s8[80,3,3,3], w0_scale: f32[80], dw: s8[80,1,1,1], dw_scale: f32[80], shift: s32[80], large: s32[80], rest: u8[1,80,1,1], w: s8[80,80,1,1], w_scale: f32[80], v: s8[80,80,3,3], out: f32[]) -> (y, g) {
  q = QuantizeLinear(x, x_scale)
  s = QuantConv(q, w0, w0_scale, pads=[1,1,1,1], x_scale=0.02, x_zero_point=0, y_scale=0.5, y_zero_point=3, to="s8")
  a = QuantConv(s, dw, dw_scale, shift, rest, group=80, residual_scale=0.011, residual_zero_point=128, x_scale=0.5, x_zero_point=3, y_scale=0.02, y_zero_point=-9, activation="Relu", to="s8")
  a1 = QuantConv(a, w, w_scale, x_scale=0.02, x_zero_point=-9, y_scale=0.05, y_zero_point=4, to="u8")
  b = QuantConv(a1, dw, dw_scale, group=80, dilations=[3,2], kernel_shape=[1,1], x_scale=0.05, x_zero_point=4, y_scale=0.03, y_zero_point=7, to="u8")
  b1 = QuantConv(b, w, w_scale, strides=[1,1], x_scale=0.03, x_zero_point=7, y_scale=0.05, y_zero_point=4, activation="Relu", to="u8")
  c = QuantConv(b1, dw, dw_scale, large, group=80, x_scale=0.05, x_zero_point=4, y_scale=90000.0, y_zero_point=120, to="u8")
  c1 = QuantConv(c, w, w_scale, x_scale=0.03, x_zero_point=120, y_scale=0.05, y_zero_point=40, to="u8")
  d = QuantConv(c1, dw, dw_scale, shift, group=80, x_scale=0.05, x_zero_point=40, y_scale=0.03, y_zero_point=90, to="u8")
  d1 = QuantConv(d, w, w_scale, _, c1, x_scale=0.03, x_zero_point=90, residual_scale=0.05, residual_zero_point=40, y_scale=0.1, y_zero_point=100, to="u8")
  e = QuantConv(d1, dw, dw_scale, group=80, x_scale=0.1, x_zero_point=100, y_scale=0.06, y_zero_point=90, to="u8")
  e1 = QuantConv(e, w, w_scale, x_scale=0.06, x_zero_point=90, y_scale=0.1, y_zero_point=100, to="u8")
  e2 = QuantAdd(e1, e, a_scale=0.1, a_zero_point=100, b_scale=0.06, b_zero_point=90, y_scale=0.1, y_zero_point=100, to="u8")
  f = QuantConv(e2, dw, dw_scale, group=80, x_scale=0.1, x_zero_point=100, y_scale=0.06, y_zero_point=90, to="u8")
  f1 = QuantConv(f, v, w_scale, pads=[1,1,1,1], x_scale=0.06, x_zero_point=90, y_scale=0.5, y_zero_point=100, to="u8")
  g = QuantConv(f1, dw, dw_scale, group=80, x_scale=0.5, x_zero_point=100, y_scale=0.06, y_zero_point=90, to="u8")
  g1 = QuantConv(g, w, w_scale, x_scale=0.06, x_zero_point=90, y_scale=0.5, y_zero_point=100, to="u8")
  y = DequantizeLinear(g1, out)
}
)";

Graph network() {
  Graph graph = graph_with_constants(
      k_network, {"x_scale", "w0", "w0_scale", "dw", "dw_scale", "shift", "large", "rest", "w", "w_scale", "v", "out"},
      3);
  std::vector<int32_t> large(80, (1 << 29) + 12345);
  for (size_t i = 0; i < large.size(); i += 3) large[i] = -large[i] + static_cast<int32_t>(i);
  graph.value(*graph.find_value("large")).constant = Tensor::from<int32_t>(DType::s32, {80}, large);
  return graph;
}

TEST(ScaledInput, a_1x1_convolution_takes_in_what_only_it_reads) {
  const Graph graph = network();
  for (const Isa isa : {Isa::avx2, Isa::avx_vnni, Isa::avx512_vnni}) {
    const cpu::Neighbours neighbours(graph, isa, size_t{1} << 20);
    for (const std::string_view taken : {"a", "b", "c", "d"}) {
      EXPECT_TRUE(neighbours.is_done_by_next(maker(graph, taken))) << taken;
      EXPECT_EQ(neighbours.scaling_before(maker(graph, std::string(taken) + "1")), maker(graph, taken));
    }
    EXPECT_EQ(neighbours.read_beside(graph, maker(graph, "b1")), *graph.find_value("a1"));
    for (const std::string_view kept : {"s", "e", "f", "g", "d1", "y"})
      EXPECT_FALSE(neighbours.is_done_by_next(maker(graph, kept))) << kept;
  }
  for (const Isa isa : {Isa::scalar, Isa::amx})
    EXPECT_FALSE(cpu::Neighbours(graph, isa, size_t{1} << 20).is_done_by_next(maker(graph, "a")));
}

TEST(ScaledInput, gives_the_reference_bytes_on_every_isa_however_the_batch_is_cut) {
  const Graph graph = network();
  const std::vector<Tensor> inputs = random_inputs(graph, 3);
  const std::vector<Tensor> expected = run_graph(graph, make_ref_backend(), inputs);
  ASSERT_EQ(expected.size(), 2u);
  for (const Isa isa : available_isas())
    for (const int threads : {1, 3})
      for (const size_t l2 : {size_t{1}, size_t{16000}, size_t{1} << 30}) {
        const auto backend = cpu::make_backend({.threads = threads, .isa = isa, .l2_bytes = l2});
        const std::vector<Tensor> got = run_graph(graph, backend, inputs);
        const std::string where = std::string(name(isa)) + ", L2 of " + std::to_string(l2);
        ASSERT_EQ(got.size(), 2u) << where;
        for (size_t i = 0; i < 2; ++i) expect_close(got[i], expected[i], k_exact, where);
      }
}

/// a to c are scales in front of pools that take them in: of rows side by side, of rows with others between them, with
/// a float result. d to f stay steps: windows share rows, meet padding, or reach over the end; g: two read it.
constexpr char k_pools[] =
    R"(graph n (x: f32[4,3,12,12], x_scale: f32[], w0: s8[80,3,3,3], w0_scale: f32[80], dw: s8[80,1,1,1], dw_scale: f32[80], shift: s32[80]) -> (b1, c1, d1, e1, f1, g1, g2) {
  q = QuantizeLinear(x, x_scale)
  s = QuantConv(q, w0, w0_scale, pads=[1,1,1,1], x_scale=0.02, x_zero_point=0, y_scale=0.5, y_zero_point=3, to="s8")
  a = QuantConv(s, dw, dw_scale, shift, group=80, x_scale=0.5, x_zero_point=3, y_scale=0.02, y_zero_point=-9, activation="Relu", to="s8")
  a1 = QuantAveragePool(a, kernel_shape=[2,2], strides=[2,2], x_scale=0.02, x_zero_point=-9, y_scale=0.015, y_zero_point=4, to="u8")
  b = QuantConv(a1, dw, dw_scale, shift, group=80, x_scale=0.015, x_zero_point=4, y_scale=0.02, y_zero_point=9, to="u8")
  b1 = QuantAveragePool(b, kernel_shape=[2,3], strides=[3,1], x_scale=0.02, x_zero_point=9, y_scale=0.015, y_zero_point=40, to="u8")
  c = QuantConv(s, dw, dw_scale, shift, group=80, x_scale=0.5, x_zero_point=3, y_scale=0.02, y_zero_point=90, to="u8")
  c1 = QuantAveragePool(c, kernel_shape=[3,3], strides=[3,3], x_scale=0.02, x_zero_point=90, to="f32")
  d = QuantConv(s, dw, dw_scale, shift, group=80, x_scale=0.5, x_zero_point=3, y_scale=0.03, y_zero_point=90, to="u8")
  d1 = QuantAveragePool(d, kernel_shape=[3,3], strides=[2,2], x_scale=0.03, x_zero_point=90, y_scale=0.03, y_zero_point=90, to="u8")
  e = QuantConv(s, dw, dw_scale, shift, group=80, x_scale=0.5, x_zero_point=3, y_scale=0.04, y_zero_point=90, to="u8")
  e1 = QuantAveragePool(e, kernel_shape=[2,2], strides=[2,2], pads=[1,1,1,1], x_scale=0.04, x_zero_point=90, y_scale=0.03, y_zero_point=90, to="u8")
  f = QuantConv(s, dw, dw_scale, shift, group=80, x_scale=0.5, x_zero_point=3, y_scale=0.05, y_zero_point=90, to="u8")
  f1 = QuantAveragePool(f, kernel_shape=[5,5], strides=[5,5], ceil_mode=1, x_scale=0.05, x_zero_point=90, y_scale=0.03, y_zero_point=90, to="u8")
  g = QuantConv(s, dw, dw_scale, shift, group=80, x_scale=0.5, x_zero_point=3, y_scale=0.06, y_zero_point=90, to="u8")
  g1 = QuantAveragePool(g, kernel_shape=[2,2], strides=[2,2], x_scale=0.06, x_zero_point=90, y_scale=0.03, y_zero_point=90, to="u8")
  g2 = QuantAveragePool(g, kernel_shape=[3,3], strides=[3,3], x_scale=0.06, x_zero_point=90, y_scale=0.03, y_zero_point=90, to="u8")
}
)";

TEST(ScaledInput, an_average_pool_takes_in_what_only_it_reads_and_reads_once) {
  const Graph graph = graph_with_constants(k_pools, {"x_scale", "w0", "w0_scale", "dw", "dw_scale", "shift"}, 3);
  const cpu::Neighbours neighbours(graph, Isa::avx512_vnni, size_t{1} << 20);
  for (const std::string_view taken : {"a", "b", "c"}) {
    EXPECT_TRUE(neighbours.is_done_by_next(maker(graph, taken))) << taken;
    EXPECT_EQ(neighbours.scaling_before(maker(graph, std::string(taken) + "1")), maker(graph, taken));
  }
  for (const std::string_view kept : {"d", "e", "f", "g"})
    EXPECT_FALSE(neighbours.is_done_by_next(maker(graph, kept))) << kept;
  const std::vector<Tensor> inputs = random_inputs(graph, 3);
  const std::vector<Tensor> expected = run_graph(graph, make_ref_backend(), inputs);
  for (const Isa isa : available_isas())
    for (const int threads : {1, 3})
      for (const size_t l2 : {size_t{1}, size_t{16000}, size_t{1} << 30}) {
        const auto backend = cpu::make_backend({.threads = threads, .isa = isa, .l2_bytes = l2});
        const std::vector<Tensor> got = run_graph(graph, backend, inputs);
        const std::string where = std::string(name(isa)) + ", L2 of " + std::to_string(l2);
        ASSERT_EQ(got.size(), expected.size()) << where;
        for (size_t i = 0; i < got.size(); ++i) expect_close(got[i], expected[i], k_exact, where);
      }
}

/// Taps see the codes between, and the answers stay.
TEST(ScaledInput, taps_see_what_is_never_written_otherwise) {
  const Graph graph = network();
  const std::vector<Tensor> inputs = random_inputs(graph, 5);
  const auto shown = [&](const std::shared_ptr<Backend>& backend) {
    std::vector<int64_t> sums;
    RunHooks hooks;
    hooks.value_tap = [&](std::string_view value, const TensorView& view, int offset) {
      if (value != "a" && value != "c" && value != "d1") return;
      int64_t sum = 0, at = 0;
      for (int64_t i = 0; i < *element_count(view.dims); ++i) {
        int64_t rest = i, position = 0;
        for (size_t axis = view.dims.size(); axis-- > 0; rest /= view.dims[axis])
          position += rest % view.dims[axis] * view.strides[axis];
        sum += (++at % 251) * (reinterpret_cast<const uint8_t*>(view.data)[position] - offset);
      }
      sums.push_back(sum);
    };
    const std::vector<Tensor> outputs = run_graph(graph, backend, inputs, hooks);
    expect_close(outputs[0], run_graph(graph, make_ref_backend(), inputs)[0], k_exact, "with taps");
    return sums;
  };
  const auto expected = shown(cpu::make_backend({.isa = Isa::scalar}));
  EXPECT_EQ(expected.size(), 3u);
  const Isa isa = available_isas().back();
  EXPECT_EQ(shown(cpu::make_backend({.isa = isa})), expected);
  EXPECT_EQ(shown(cpu::make_backend({.isa = isa, .l2_bytes = 16000})), expected);
}

}  // namespace
}  // namespace octet
