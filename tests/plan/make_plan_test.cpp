#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <random>

#include "ir/op.h"
#include "ir/text.h"
#include "plan/backend.h"

namespace octet {
namespace {

using testing::HasSubstr;

/// A back end of answers only: nothing can be run on it.
class FakeBackend : public Backend {
 public:
  std::function<std::vector<Tactic>(const Graph&, const Node&)> offer = [](const Graph&, const Node&) {
    return std::vector<Tactic>{{"only", "", 1}};
  };
  std::function<size_t(const Graph&, ValueId)> bytes_of = [](const Graph& graph, ValueId v) {
    return static_cast<size_t>(*element_count(*known_dims(*graph.value(v).shape))) * 4;
  };
  bool identity_shares = false, add_overwrites = false;

  std::string_view name() const override { return "fake"; }
  std::string description() const override { return "fake"; }
  std::vector<Tactic> tactics(const Graph& graph, NodeId node) const override { return offer(graph, graph.node(node)); }
  size_t storage_bytes(const Graph& graph, ValueId value) const override { return bytes_of(graph, value); }
  ValueId shares_storage(const Graph& graph, NodeId node) const override {
    return identity_shares && is_op(graph.node(node), "Identity") ? graph.node(node).inputs[0] : k_absent;
  }
  ValueId overwrites(const Graph& graph, NodeId node) const override {
    const Node& own = graph.node(node);
    const bool fits =
        add_overwrites && is_op(own, "Add") && bytes_of(graph, own.inputs[0]) == bytes_of(graph, own.outputs[0]);
    return fits ? own.inputs[0] : k_absent;
  }
  Result<std::unique_ptr<const Program>> prepare(std::shared_ptr<const Plan>) override {
    return Error{ErrorCode::internal, "fake"};
  }
  Result<std::unique_ptr<Workspace>> make_workspace(const Program&) override { return HostWorkspace::make(0); }
  Result<Done> run(const Program&, Workspace&, const Bindings&, const RunHooks&) override { return Done{}; }
};

Graph parsed(const std::string& text) {
  Result<Graph> graph = parse_graph(text);
  if (!graph) ADD_FAILURE() << graph.error().message;
  return graph ? *graph : Graph{};
}

std::shared_ptr<const Plan> planned(const Graph& graph, const FakeBackend& backend) {
  Result<std::shared_ptr<const Plan>> plan = make_plan(graph, backend);
  if (!plan) ADD_FAILURE() << plan.error().message;
  return plan ? *plan : nullptr;
}

const Slot& slot(const Plan& plan, std::string_view value) {
  return plan.slots[static_cast<size_t>(*plan.graph.find_value(value))];
}

constexpr char k_two_steps[] = "graph g (x: f32[4]) -> (y) {\n  a = Relu(x) @first\n  y = Relu(a)\n}\n";

TEST(MakePlan, takes_the_cheapest_supported_tactic_and_the_first_among_equals) {
  FakeBackend backend;
  backend.offer = [](const Graph&, const Node&) {
    return std::vector<Tactic>{{"slow", "", 3}, {"forbidden", "needs AMX", 1}, {"fast", "", 2}, {"as fast", "", 2}};
  };
  const auto plan = planned(parsed(k_two_steps), backend);
  ASSERT_EQ(plan->steps.size(), 2u);
  EXPECT_EQ(plan->steps[0].tactic, "fast");
  EXPECT_EQ(plan->steps[0].node, 0);
  EXPECT_EQ(plan->steps[1].node, 1);
}

TEST(MakePlan, lists_every_step_without_a_tactic_with_its_reasons) {
  FakeBackend backend;
  backend.offer = [](const Graph&, const Node& node) {
    if (!node.name.empty())
      return std::vector<Tactic>{{"conv", "the weight is not a constant", 1}, {"gemm", "rank 4", 1}};
    return std::vector<Tactic>{};
  };
  const auto plan = make_plan(parsed(k_two_steps), backend);
  ASSERT_FALSE(plan);
  EXPECT_EQ(plan.error().code, ErrorCode::unsupported);
  EXPECT_EQ(plan.error().message,
            "back end 'fake' cannot run 2 steps\n"
            "  node 'first' (Relu): conv: the weight is not a constant; gemm: rank 4\n"
            "  the node that makes 'y' (Relu): the op is unknown to this back end");
}

TEST(MakePlan, asks_for_bound_shapes_by_the_values_name) {
  const auto plan = make_plan(parsed("graph g (x: f32[N,4]) -> (y) { y = Relu(x)\n}\n"), FakeBackend{});
  ASSERT_FALSE(plan);
  EXPECT_THAT(plan.error().message, HasSubstr("value 'x' has shape [N,4], a plan needs all extents"));
}

TEST(MakePlan, recycles_the_lowest_address_first) {
  // A chain needs two buffers, whatever its length: b may lie where x lay, c where a lay.
  const auto plan =
      planned(parsed("graph g (x: f32[16]) -> (d) {\n  a = Relu(x)\n  b = Relu(a)\n  c = Relu(b)\n  d = Relu(c)\n}\n"),
              FakeBackend{});
  EXPECT_EQ(slot(*plan, "x").offset, 0u);
  EXPECT_EQ(slot(*plan, "a").offset, 64u);
  EXPECT_EQ(slot(*plan, "b").offset, 0u);
  EXPECT_EQ(slot(*plan, "c").offset, 64u);
  EXPECT_EQ(plan->arena_bytes, 128u);
}

TEST(MakePlan, keeps_a_residual_until_its_last_reader) {
  const auto plan = planned(
      parsed("graph g (x: f32[16]) -> (d) {\n  a = Relu(x)\n  b = Relu(a)\n  c = Relu(b)\n  d = Add(c, a)\n}\n"),
      FakeBackend{});
  EXPECT_EQ(slot(*plan, "a").offset, 64u);
  EXPECT_NE(slot(*plan, "b").offset, slot(*plan, "a").offset);
  EXPECT_NE(slot(*plan, "c").offset, slot(*plan, "a").offset);
  EXPECT_EQ(plan->arena_bytes, 192u);
}

TEST(MakePlan, gives_no_slot_to_constants_and_to_values_in_the_callers_buffers) {
  FakeBackend backend;
  const auto plain = backend.bytes_of;
  backend.bytes_of = [plain](const Graph& graph, ValueId v) {
    const std::string& name = graph.value(v).name;
    return name == "x" || name == "y" ? 0 : plain(graph, v);
  };
  const auto plan = planned(
      parsed("graph g (x: f32[2]) -> (y) {\n  const w: f32[2] = {1, 2}\n  a = Add(x, w)\n  y = Relu(a)\n}\n"), backend);
  EXPECT_EQ(slot(*plan, "x").bytes, 0u);
  EXPECT_EQ(slot(*plan, "y").bytes, 0u);
  EXPECT_EQ(slot(*plan, "w").bytes, 0u);
  EXPECT_EQ(slot(*plan, "a").bytes, 8u);
  EXPECT_EQ(plan->arena_bytes, 64u);
}

TEST(MakePlan, lets_an_alias_live_as_long_as_its_storage) {
  FakeBackend backend;
  backend.identity_shares = true;
  const auto plan =
      planned(parsed("graph g (x: f32[16]) -> (d) {\n  a = Relu(x)\n  i = Identity(a)\n  j = Identity(i)\n"
                     "  b = Relu(a)\n  c = Relu(b)\n  d = Add(c, j)\n}\n"),
              backend);
  EXPECT_EQ(slot(*plan, "i").offset, slot(*plan, "a").offset);
  EXPECT_EQ(slot(*plan, "j").offset, slot(*plan, "a").offset);
  EXPECT_NE(slot(*plan, "b").offset, slot(*plan, "a").offset);
  EXPECT_NE(slot(*plan, "c").offset, slot(*plan, "a").offset);
}

TEST(MakePlan, a_result_takes_the_place_of_an_input_that_nobody_reads_any_more) {
  FakeBackend backend;
  backend.identity_shares = backend.add_overwrites = true;
  const auto plan =
      planned(parsed("graph g (x: f32[16]) -> (y) {\n  a = Relu(x)\n  b = Relu(a)\n  c = Add(a, b)\n  d = Relu(c)\n"
                     "  e = Add(c, d)\n  y = Relu(e)\n}\n"),
              backend);
  EXPECT_EQ(slot(*plan, "c").offset, slot(*plan, "a").offset);
  EXPECT_EQ(slot(*plan, "e").offset, slot(*plan, "a").offset);
  // Read later, under this name or another; twice in this step; the caller's.
  for (const char* text : {"  b = Relu(a)\n  c = Add(a, b)\n  d = Add(c, b)\n  y = Add(d, a)\n",
                           "  i = Identity(a)\n  b = Relu(a)\n  c = Add(a, b)\n  y = Add(i, c)\n",
                           "  i = Identity(a)\n  c = Add(a, i)\n  y = Relu(c)\n", "  c = Add(a, a)\n  y = Relu(c)\n"}) {
    const auto kept =
        planned(parsed(std::string("graph g (x: f32[16]) -> (y) {\n  a = Relu(x)\n") + text + "}\n"), backend);
    EXPECT_NE(slot(*kept, "c").offset, slot(*kept, "a").offset) << text;
  }
}

TEST(MakePlan, copies_instead_of_sharing_with_a_value_that_has_no_storage) {
  FakeBackend backend;
  backend.identity_shares = true;
  const auto plain = backend.bytes_of;
  backend.bytes_of = [plain](const Graph& graph, ValueId v) {
    return graph.value(v).name == "x" ? 0 : plain(graph, v);
  };
  const auto plan = planned(parsed("graph g (x: f32[16]) -> (y) {\n  i = Identity(x)\n  y = Relu(i)\n}\n"), backend);
  EXPECT_EQ(slot(*plan, "i").bytes, 64u);
}

/// A random graph of Relu, Add and Identity over values of random length.
Graph random_graph(unsigned seed) {
  std::mt19937 random(seed);
  const auto below = [&](size_t n) { return std::uniform_int_distribution<size_t>(0, n - 1)(random); };
  Graph graph;
  graph.name = "random";
  graph.inputs.push_back(graph.add_value("x", DType::f32, to_shape(Dims{static_cast<int64_t>(1 + below(100))})));
  std::vector<ValueId> alive = graph.inputs;
  const size_t nodes = 1 + below(40);
  for (size_t i = 0; i < nodes; ++i) {
    static constexpr std::string_view k_ops[] = {"Relu", "Identity", "Add"};
    Node node;
    node.op = find_op(k_ops[below(3)]);
    node.inputs.push_back(alive[below(alive.size())]);
    Shape shape = *graph.value(node.inputs[0]).shape;
    if (is_op(node, "Add")) node.inputs.push_back(alive[below(alive.size())]);
    if (!is_op(node, "Identity")) shape = to_shape(Dims{static_cast<int64_t>(1 + below(100))});
    node.outputs.push_back(graph.add_value("v" + std::to_string(i), DType::f32, shape));
    alive.push_back(node.outputs[0]);
    graph.nodes.push_back(node);
  }
  graph.outputs.push_back(alive.back());
  return graph;
}

TEST(MakePlan, never_lets_two_live_values_overlap_on_random_graphs) {
  FakeBackend backend;
  backend.identity_shares = true;
  int overwritten = 0;
  for (unsigned seed = 0; seed < 600; ++seed) {
    backend.add_overwrites = seed % 2 == 1;
    const auto plan = planned(random_graph(seed), backend);
    const Graph& graph = plan->graph;
    // Independent of the planner: run the graph on byte owners. A step stamps its output's bytes with the output's root
    // value; every reader must still find its input's bytes stamped.
    std::vector<ValueId> owner(plan->arena_bytes, k_absent), root(graph.values.size());
    for (size_t v = 0; v < root.size(); ++v) root[v] = static_cast<ValueId>(v);
    const auto stamp = [&](ValueId v) {
      const Slot& s = plan->slots[static_cast<size_t>(v)];
      ASSERT_EQ(s.offset % 64, 0u);
      ASSERT_LE(s.offset + s.bytes, plan->arena_bytes);
      std::fill_n(owner.begin() + static_cast<ptrdiff_t>(s.offset), s.bytes, root[static_cast<size_t>(v)]);
    };
    const auto check = [&](ValueId v) {
      const Slot& s = plan->slots[static_cast<size_t>(v)];
      for (size_t i = 0; i < s.bytes; ++i)
        ASSERT_EQ(owner[s.offset + i], root[static_cast<size_t>(v)]) << "seed " << seed;
    };
    stamp(graph.inputs[0]);
    for (const Node& node : graph.nodes) {
      for (const ValueId v : node.inputs) check(v);
      const ValueId y = node.outputs[0];
      if (is_op(node, "Identity")) {
        root[static_cast<size_t>(y)] = root[static_cast<size_t>(node.inputs[0])];
        check(y);
      } else {
        stamp(y);
        const auto place = [&](ValueId v) { return plan->slots[static_cast<size_t>(v)].offset; };
        const bool over = backend.add_overwrites && is_op(node, "Add") && place(y) == place(node.inputs[0]);
        overwritten += over ? 1 : 0;
        for (size_t i = over ? 1 : 0; i < node.inputs.size(); ++i)
          check(node.inputs[i]);  // it may read while it writes
      }
    }
    check(graph.outputs[0]);
  }
  EXPECT_GT(overwritten, 3);
}

}  // namespace
}  // namespace octet
