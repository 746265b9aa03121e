// Layers that run for a part of the batch at a time give the reference's bytes, and taps see whole batches.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <map>

#include "backends/cpu/cpu_backend.h"
#include "backends/cpu/sub_batch.h"
#include "backends/ref/ref.h"
#include "backends/running.h"
#include "ir/text.h"

namespace octet {
namespace {

/// Branches, a residual, a concatenation, an output from the middle (m), a value (a) that is read again late, a dense
/// tail: values that stay within a part and values that cross from part to part.
constexpr char k_network[] =
    R"(graph g (x: f32[6,3,40,40], x_scale: f32[], w1: s8[16,3,3,3], w1_scale: f32[16], b1: s32[16], w2: s8[16,16,3,3], w2_scale: f32[16], b2: s32[16], w3: s8[24,32,1,1], w3_scale: f32[24], b3: s32[24], w4: s8[10,24], w4_scale: f32[10], b4: s32[10]) -> (y, m) {
  q = QuantizeLinear(x, x_scale)
  a = QuantConv(q, w1, w1_scale, b1, pads=[1,1,1,1], x_scale=0.02, x_zero_point=0, y_scale=0.5, y_zero_point=100, to="u8")
  p = MaxPool(a, kernel_shape=[3,3], strides=[1,1], pads=[1,1,1,1])
  c = QuantConv(p, w2, w2_scale, b2, a, pads=[1,1,1,1], x_scale=0.5, x_zero_point=100, residual_scale=0.5, residual_zero_point=100, y_scale=1.5, y_zero_point=80, to="u8")
  m = DequantizeLinear(c, x_scale)
  d = Concat(c, a, axis=1)
  e = QuantConv(d, w3, w3_scale, b3, x_scale=0.7, x_zero_point=90, strides=[2,2], y_scale=2.5, y_zero_point=120, activation="Relu", to="u8")
  g = QuantGlobalAveragePool(e, x_scale=2.5, x_zero_point=120, y_scale=1.0, y_zero_point=10, to="u8")
  f = Flatten(g)
  y = QuantGemm(f, w4, w4_scale, b4, x_scale=1.0, x_zero_point=10, to="f32")
}
)";
const std::set<std::string> k_constants = {"x_scale", "w1",       "w1_scale", "b1", "w2",       "w2_scale", "b2",
                                           "w3",      "w3_scale", "b3",       "w4", "w4_scale", "b4"};

TEST(SubBatch, gives_the_reference_bytes_however_the_batch_is_cut) {
  const Graph graph = graph_with_constants(k_network, k_constants, 3);
  const std::vector<Tensor> inputs = random_inputs(graph, 3);
  const std::vector<Tensor> expected = run_graph(graph, make_ref_backend(), inputs);
  ASSERT_EQ(expected.size(), 2u);
  for (const Isa isa : {Isa::scalar, available_isas().back()})
    for (const int threads : {1, 2, 3, 4})
      for (const size_t l2 : {size_t{1}, size_t{60000}, size_t{110000}, size_t{1} << 30}) {
        const auto backend = cpu::make_backend({.threads = threads, .isa = isa, .l2_bytes = l2});
        const std::vector<Tensor> got = run_graph(graph, backend, inputs);
        const std::string where = std::string(name(isa)) + ", L2 of " + std::to_string(l2);
        ASSERT_EQ(got.size(), 2u) << where;
        for (size_t i = 0; i < 2; ++i) expect_close(got[i], expected[i], k_exact, where);
      }
}

/// Each worker's images of the constant are its own: the layer is not cut.
TEST(SubBatch, a_convolution_of_a_constant_batch_reads_every_image_of_it) {
  const Result<Graph> graph = parse_graph(
      "graph g (x: f32[2,1,2,1]) -> (y, z) {\n  const c: f32[2,1,2,1] = {1, 2, 3, 4}\n"
      "  const w: f32[1,1,1,1] = {10}\n  y = Conv(c, w)\n  z = Relu(x)\n}\n");
  ASSERT_TRUE(graph) << graph.error().message;
  const std::vector<Tensor> x = {Tensor::from<float>(DType::f32, {2, 1, 2, 1}, std::vector<float>{1, 1, 1, 1})};
  for (const int threads : {1, 2}) {
    const std::vector<Tensor> y = run_graph(*graph, cpu::make_backend({.threads = threads}), x);
    ASSERT_EQ(y.size(), 2u);
    EXPECT_EQ(std::vector<float>(y[0].as<float>().begin(), y[0].as<float>().end()),
              (std::vector<float>{10, 20, 30, 40}));
  }
}

TEST(SubBatch, shows_taps_whole_batches_in_the_order_of_the_steps) {
  const Graph graph = graph_with_constants(k_network, k_constants, 5);
  const std::vector<Tensor> inputs = random_inputs(graph, 5);
  const Isa isa = available_isas().back();
  const Shown whole = shown_values(graph, cpu::make_backend({.isa = isa, .l2_bytes = size_t{1} << 30}), inputs);
  const Shown cut = shown_values(graph, cpu::make_backend({.isa = isa, .l2_bytes = 110000}), inputs);
  EXPECT_EQ(whole.order, cut.order);
  ASSERT_GE(whole.values.size(), 7u);
  for (const auto& [value, elements] : whole.values) EXPECT_EQ(elements, cut.values.at(value)) << value;
}

/// Residual sums take the place of what they add to (e of a), unless that is read again (i of e), or is the input too
/// (j).
constexpr char k_chain[] =
    R"(graph g (x: f32[6,3,24,24], x_scale: f32[], w1: s8[16,3,3,3], w1_scale: f32[16], b1: s32[16], w2: s8[16,16,3,3], w2_scale: f32[16], b2: s32[16]) -> (y) {
  q = QuantizeLinear(x, x_scale)
  a = QuantConv(q, w1, w1_scale, b1, pads=[1,1,1,1], x_scale=0.02, x_zero_point=0, y_scale=0.5, y_zero_point=100, to="u8")
  c = QuantConv(a, w2, w2_scale, b2, pads=[1,1,1,1], x_scale=0.5, x_zero_point=100, y_scale=1.5, y_zero_point=80, to="u8")
  e = QuantConv(c, w2, w2_scale, b2, a, pads=[1,1,1,1], x_scale=1.5, x_zero_point=80, residual_scale=0.5, residual_zero_point=100, y_scale=2.5, y_zero_point=90, to="u8")
  g = QuantConv(e, w2, w2_scale, b2, pads=[1,1,1,1], x_scale=2.5, x_zero_point=90, y_scale=2.5, y_zero_point=90, to="s8")
  i = QuantConv(g, w2, w2_scale, b2, e, pads=[1,1,1,1], x_scale=2.5, x_zero_point=90, residual_scale=2.5, residual_zero_point=90, y_scale=3.5, y_zero_point=10, to="s8")
  j = QuantConv(i, w2, w2_scale, b2, i, pads=[1,1,1,1], x_scale=3.5, x_zero_point=10, residual_scale=3.5, residual_zero_point=10, y_scale=4.5, y_zero_point=0, to="s8")
  k = QuantConv(j, w2, w2_scale, b2, e, pads=[1,1,1,1], x_scale=4.5, x_zero_point=0, residual_scale=2.5, residual_zero_point=90, y_scale=4.5, y_zero_point=0, to="s8")
  y = DequantizeLinear(k, x_scale)
}
)";
const std::set<std::string> k_chain_constants = {"x_scale", "w1", "w1_scale", "b1", "w2", "w2_scale", "b2"};

TEST(SubBatch, residual_sums_take_the_place_of_what_nobody_reads_any_more) {
  const Graph graph = graph_with_constants(k_chain, k_chain_constants, 7);
  const std::vector<Tensor> inputs = random_inputs(graph, 7);
  const std::vector<Tensor> expected = run_graph(graph, make_ref_backend(), inputs);
  for (const Isa isa : {Isa::scalar, available_isas().back()})
    for (const int threads : {1, 2, 3, 4})
      for (const size_t l2 : {size_t{1}, size_t{40000}, size_t{1} << 30}) {
        const auto backend = cpu::make_backend({.threads = threads, .isa = isa, .l2_bytes = l2});
        expect_close(run_graph(graph, backend, inputs)[0], expected[0], k_exact, std::to_string(l2));
      }
  const auto backend = cpu::make_backend({.isa = available_isas().back()});
  const Result<std::shared_ptr<const Plan>> plan = make_plan(graph, *backend);
  ASSERT_TRUE(plan);
  const auto place = [&](std::string_view value) {
    return (*plan)->slots[static_cast<size_t>(*(*plan)->graph.find_value(value))].offset;
  };
  EXPECT_EQ(place("e"), place("a"));
  EXPECT_EQ(place("k"), place("e"));
  EXPECT_NE(place("i"), place("e"));
  EXPECT_NE(place("j"), place("i"));
}

TEST(SubBatch, shows_taps_what_is_written_over_later) {
  const Graph graph = graph_with_constants(k_chain, k_chain_constants, 7);
  const std::vector<Tensor> inputs = random_inputs(graph, 7);
  const Isa isa = available_isas().back();
  const Shown want = shown_values(graph, make_ref_backend(), inputs);
  for (const size_t l2 : {size_t{1}, size_t{40000}, size_t{1} << 30}) {
    const Shown got = shown_values(graph, cpu::make_backend({.isa = isa, .l2_bytes = l2}), inputs);
    expect_shown(got, want, "L2 of " + std::to_string(l2));
  }
}

TEST(SubBatch, gives_a_part_tap_each_image_once_in_order) {
  const Graph graph = graph_with_constants(k_network, k_constants, 5);
  const std::vector<Tensor> inputs = random_inputs(graph, 5);
  struct Seen {
    int64_t images = 0;
    double sum = 0;
  };
  const auto run_with = [&](size_t l2, int64_t& parts) {
    std::map<std::string, Seen> seen;
    const auto add = [](Seen& s, const TensorView& view, int64_t images) {
      s.images += images;
      for (int64_t i = 0; i < *element_count(view.dims); ++i) {
        int64_t rest = i, at = 0;
        for (size_t axis = view.dims.size(); axis-- > 0; rest /= view.dims[axis])
          at += rest % view.dims[axis] * view.strides[axis];
        s.sum += std::round(static_cast<double>(reinterpret_cast<const float*>(view.data)[at]) * 1024);
      }
    };
    RunHooks hooks;
    hooks.tap = [&](std::string_view value, const TensorView& view) { add(seen[std::string(value)], view, 6); };
    hooks.part_tap = [&](std::string_view value, const TensorView& view, int64_t first, int64_t images) {
      Seen& s = seen[std::string(value)];
      EXPECT_EQ(first, s.images) << value;
      EXPECT_EQ(view.dims[0], images) << value;
      add(s, view, images);
      ++parts;
    };
    run_graph(graph, cpu::make_backend({.isa = available_isas().back(), .l2_bytes = l2}), inputs, hooks);
    return seen;
  };
  int64_t no_parts = 0, parts = 0;
  const std::map<std::string, Seen> whole = run_with(size_t{1} << 30, no_parts), cut = run_with(110000, parts);
  EXPECT_EQ(no_parts, 0);
  ASSERT_EQ(cut.size(), whole.size());
  for (const auto& [value, seen] : whole) {
    EXPECT_EQ(cut.at(value).images, 6) << value;
    EXPECT_EQ(cut.at(value).sum, seen.sum) << value;
  }
  EXPECT_GT(parts, 0);
}

std::shared_ptr<const Plan> plan_of(const Graph& graph) {
  Result<std::shared_ptr<const Plan>> plan = make_plan(graph, *cpu::make_backend({.isa = available_isas().back()}));
  if (!plan) ADD_FAILURE() << plan.error().message;
  return plan ? *plan : nullptr;
}

TEST(SubBatch, cuts_where_activations_exceed_the_cache_and_nowhere_else) {
  const std::shared_ptr<const Plan> plan = plan_of(graph_with_constants(k_network, k_constants, 1));
  ASSERT_TRUE(plan);
  const cpu::Arrangement whole = cpu::arrange(plan, size_t{1} << 30, available_isas().back(), 1);
  ASSERT_EQ(whole.parts.size(), 1u);
  EXPECT_EQ(whole.parts[0].images, 0);
  const cpu::Arrangement cut = cpu::arrange(plan, 110000, available_isas().back(), 1);
  size_t at = 0;
  bool any_cut = false;
  for (const cpu::SubBatch& part : cut.parts) {
    EXPECT_EQ(part.first, at);
    at = part.last;
    any_cut |= part.images > 0;
    EXPECT_EQ(part.images > 0 ? part.images * part.turns : 6, 6);
  }
  EXPECT_EQ(at, plan->steps.size());
  EXPECT_TRUE(any_cut);
  EXPECT_EQ(cut.parts.back().images, 0) << "QuantGemm sees the whole batch";
  EXPECT_LT(cut.arena_bytes, plan->arena_bytes);
}

/// Parts whose turns the workers share, each of them alone.
size_t steps_by_worker(const cpu::Arrangement& made) {
  size_t steps = 0;
  for (const cpu::SubBatch& part : made.parts) {
    steps += part.by_worker ? part.last - part.first : 0;
    EXPECT_TRUE(!part.by_worker || part.images > 0);
    EXPECT_EQ(part.images > 0 ? part.images * part.turns : 6, 6);
  }
  return steps;
}

TEST(SubBatch, gives_workers_images_of_their_own_where_there_are_enough) {
  const std::shared_ptr<const Plan> plan = plan_of(graph_with_constants(k_network, k_constants, 1));
  ASSERT_TRUE(plan);
  const cpu::Arrangement made = cpu::arrange(plan, size_t{1} << 30, available_isas().back(), 2);
  EXPECT_GE(steps_by_worker(made), plan->steps.size() - 2) << "all but QuantGemm and its Flatten";
  EXPECT_EQ(steps_by_worker(cpu::arrange(plan, size_t{1} << 30, available_isas().back(), 1)), 0u);
  EXPECT_EQ(steps_by_worker(cpu::arrange(plan, size_t{1} << 30, available_isas().back(), 7)), 0u)
      << "more workers than images";
}

TEST(SubBatch, keeps_all_that_a_worker_makes_alone_apart_from_what_others_make) {
  const std::shared_ptr<const Plan> plan = plan_of(graph_with_constants(k_network, k_constants, 1));
  ASSERT_TRUE(plan);
  const cpu::Arrangement made = cpu::arrange(plan, size_t{1} << 30, available_isas().back(), 2);
  for (const cpu::SubBatch& part : made.parts) {
    size_t begin = made.arena_bytes, end = 0, block = 0, values = 0;
    for (size_t v = 0; v < part.worker_bytes.size(); ++v) {
      if (part.worker_bytes[v] == 0) continue;
      EXPECT_TRUE(block == 0 || part.worker_bytes[v] == block);
      block = part.worker_bytes[v];
      const size_t bytes = plan->slots[v].bytes / static_cast<size_t>(part.turns);
      begin = std::min(begin, made.whole->slots[v].offset);
      end = std::max(end, made.whole->slots[v].offset + bytes);
      ++values;
    }
    if (!part.by_worker) {
      EXPECT_EQ(values, 0u);
      continue;
    }
    EXPECT_GE(values, 3u);
    EXPECT_LE(end - begin, block);
    EXPECT_LE(begin + 2 * block, made.arena_bytes);
  }
}

TEST(SubBatch, counts_the_time_of_steps_that_workers_run_alone) {
  const Graph graph = graph_with_constants(k_network, k_constants, 3);
  const std::vector<Tensor> inputs = random_inputs(graph, 3);
  std::vector<double> seconds;
  RunHooks hooks;
  hooks.step_seconds = &seconds;
  run_graph(graph, cpu::make_backend({.threads = 3, .isa = available_isas().back()}), inputs, hooks);
  size_t timed = 0;
  for (const double s : seconds) {
    EXPECT_GE(s, 0);
    timed += s > 0 ? 1 : 0;
  }
  EXPECT_GE(timed, 7u) << "all but the QuantizeLinear in the convolution behind it and Flatten";
}

TEST(SubBatch, leaves_ops_that_mix_images_alone) {
  const std::shared_ptr<const Plan> plan = plan_of(graph_with_constants(R"(graph g (x: f32[4,8,6,6]) -> (y) {
  a = Relu(x)
  b = Concat(a, x, axis=0)
  y = Relu(b)
}
)",
                                                                        {}, 1));
  ASSERT_TRUE(plan);
  for (const cpu::SubBatch& part : cpu::arrange(plan, 1, available_isas().back(), 1).parts)
    for (size_t s = part.first; s < part.last; ++s)
      EXPECT_TRUE(s == 0 || part.images == 0) << "step " << s;  // behind the Concat there are eight images, not four
}

}  // namespace
}  // namespace octet
