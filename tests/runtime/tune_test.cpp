#include "runtime/tune.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>

#include "backends/open.h"
#include "ir/op.h"
#include "ir/text.h"

namespace octet {
namespace {

using testing::HasSubstr;

/// Runs nothing: says for each step the time of its tactic, and takes as long as the test wants a whole run to take.
class ClockBackend : public Backend {
 public:
  struct FakeProgram : Program {
    std::shared_ptr<const Plan> plan;
    size_t packed_bytes() const override { return 0; }
  };
  std::vector<Tactic> offer;
  std::map<std::string, double> step_us;  // as reported, by tactic
  std::map<std::string, double> real_us;  // as spent, by tactic
  int runs = 0;

  std::string_view name() const override { return "clock"; }
  std::string description() const override { return "clock"; }
  std::string timing_key() const override { return "clock 1"; }
  std::vector<Tactic> tactics(const Graph&, NodeId) const override { return offer; }
  size_t storage_bytes(const Graph&, ValueId) const override { return 64; }
  ValueId shares_storage(const Graph&, NodeId) const override { return k_absent; }
  Result<std::unique_ptr<const Program>> prepare(std::shared_ptr<const Plan> plan) override {
    auto program = std::make_unique<FakeProgram>();
    program->plan = std::move(plan);
    return std::unique_ptr<const Program>(std::move(program));
  }
  Result<std::unique_ptr<Workspace>> make_workspace(const Program&) override { return HostWorkspace::make(64); }
  Result<Done> run(const Program& program, Workspace&, const Bindings&, const RunHooks& hooks) override {
    ++runs;
    const Plan& plan = *static_cast<const FakeProgram&>(program).plan;
    double us = 0;
    for (const Step& step : plan.steps) {
      us += real_us.at(step.tactic);
      if (hooks.step_seconds) hooks.step_seconds->push_back(step_us.at(step.tactic) * 1e-6);
    }
    const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double, std::micro>(us);
    while (std::chrono::steady_clock::now() < end) {
    }
    return Done{};
  }
};

Graph parsed(const std::string& text) {
  Result<Graph> graph = parse_graph(text);
  if (!graph) ADD_FAILURE() << graph.error().message;
  return graph ? *graph : Graph{};
}

constexpr char k_layers[] =
    "graph g (x: f32[4]) -> (y) {\n  a = Relu(x) @first\n  b = Relu(a) @second\n  y = Neg(b) @third\n}\n";

/// The static cost likes "usual", the clock "quick".
ClockBackend backend_with_a_quicker_tactic() {
  ClockBackend backend;
  backend.offer = {{"usual", "", 1}, {"quick", "", 2}, {"far", "", 4}, {"missing", "needs AMX", 0}};
  backend.step_us = {{"usual", 20}, {"quick", 10}, {"far", 1}};
  backend.real_us = {{"usual", 200}, {"quick", 20}, {"far", 1}};
  return backend;
}

TEST(Tune, takes_the_candidate_that_was_quicker_and_logs_all_of_them) {
  ClockBackend backend = backend_with_a_quicker_tactic();
  const Result<TuningReport> report = tune(parsed(k_layers), backend, {});
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(report->choice, (TacticChoice{"quick", "quick", "quick"}));
  EXPECT_FALSE(report->keeps_default);
  EXPECT_LT(report->tuned_ms, report->default_ms);
  ASSERT_EQ(report->layers.size(), 2u);  // the two Relu are one kind
  EXPECT_EQ(report->layers[0].layers, 2);
  EXPECT_EQ(report->measured, 4);
  EXPECT_THAT(report->log(), HasSubstr("first and 1 like it"));
  EXPECT_THAT(report->log(), HasSubstr("quick: 10.00 us <- chosen"));
  EXPECT_THAT(report->log(), HasSubstr("usual: 20.00 us (static choice)"));
  EXPECT_THAT(report->log(), HasSubstr("far: estimated at 4.0 times the cheapest"));
  EXPECT_THAT(report->log(), HasSubstr("missing: needs AMX"));
}

TEST(Tune, the_static_choice_stays_when_the_whole_is_slower) {
  ClockBackend backend = backend_with_a_quicker_tactic();
  backend.real_us = {{"usual", 20}, {"quick", 5000}};  // far beyond what a busy machine adds to a median
  TimingCache cache;
  const Result<TuningReport> report = tune(parsed(k_layers), backend, {.cache = &cache});
  ASSERT_TRUE(report);
  EXPECT_TRUE(report->keeps_default);
  EXPECT_EQ(report->choice, (TacticChoice{"usual", "usual", "usual"}));
  EXPECT_THAT(report->summary(), HasSubstr("the static choice is kept"));
  const Result<TuningReport> again = tune(parsed(k_layers), backend, {.cache = &cache});
  ASSERT_TRUE(again);
  EXPECT_EQ(again->choice, report->choice) << "the verdict is in the cache too";
}

TEST(Tune, clearly_faster_is_by_the_median_and_in_all_pairs_but_one) {
  const auto is_taken = [](const std::vector<double>& ratios) { return is_clearly_faster(ratios); };
  EXPECT_TRUE(is_taken({0.8, 0.8, 0.9, 0.9, 0.95, 0.99, 0.99}));
  EXPECT_TRUE(is_taken({0.8, 0.8, 0.9, 0.9, 0.95, 0.99, 1.5}));
  EXPECT_FALSE(is_taken({0.8, 0.8, 0.9, 0.9, 0.95, 1.0, 1.5})) << "two pairs say that it is not";
  EXPECT_TRUE(is_taken({0.99, 0.99, 0.99, 0.997, 0.998, 0.999, 1.0}));
  EXPECT_FALSE(is_taken({0.99, 0.99, 0.99, 0.998, 0.998, 0.999, 0.999})) << "faster in each pair, by next to nothing";
  EXPECT_FALSE(is_taken({1, 1, 1, 1, 1, 1, 1}));
  EXPECT_FALSE(is_taken({}));
}

TEST(Tune, the_static_choice_stays_when_the_whole_is_no_faster) {
  ClockBackend backend = backend_with_a_quicker_tactic();
  backend.real_us = {{"usual", 200}, {"quick", 200}};
  const Result<TuningReport> report = tune(parsed(k_layers), backend, {});
  ASSERT_TRUE(report);
  EXPECT_EQ(report->layers[0].chosen, "quick");
  EXPECT_TRUE(report->keeps_default);
  EXPECT_EQ(report->choice, (TacticChoice{"usual", "usual", "usual"}));
}

TEST(Tune, short_rounds_are_many_but_as_many_as_asked_for) {
  ClockBackend backend = backend_with_a_quicker_tactic();
  Result<TuningReport> report = tune(parsed(k_layers), backend, {});
  ASSERT_TRUE(report);
  EXPECT_GT(report->rounds, 12);
  EXPECT_LE(report->rounds, 120);
  report = tune(parsed(k_layers), backend, {.rounds = 4});
  ASSERT_TRUE(report);
  EXPECT_EQ(report->rounds, 4);
}

TEST(Tune, with_a_warm_cache_nothing_is_run_and_the_choice_is_the_same) {
  ClockBackend backend = backend_with_a_quicker_tactic();
  backend.step_us["quick"] = 10.00037;  // finer than the cache keeps
  TimingCache cache;
  const Result<TuningReport> cold = tune(parsed(k_layers), backend, {.cache = &cache});
  ASSERT_TRUE(cold);
  EXPECT_GT(backend.runs, 0);
  backend.runs = 0;
  Result<TimingCache> read = TimingCache::parse(cache.text());
  ASSERT_TRUE(read);
  const Result<TuningReport> warm = tune(parsed(k_layers), backend, {.cache = &*read});
  ASSERT_TRUE(warm);
  EXPECT_EQ(backend.runs, 0);
  EXPECT_EQ(warm->choice, cold->choice);
  EXPECT_EQ(warm->measured, 0);
  EXPECT_EQ(warm->cached, cold->measured);
  ASSERT_EQ(warm->layers.size(), cold->layers.size());
  for (size_t k = 0; k < cold->layers.size(); ++k)
    for (size_t c = 0; c < cold->layers[k].candidates.size(); ++c)
      EXPECT_EQ(cold->layers[k].candidates[c].us, warm->layers[k].candidates[c].us)
          << "chosen by what the cache keeps: " << cold->layers[k].candidates[c].tactic;
  EXPECT_EQ(read->text(), cache.text());
}

TEST(Tune, one_candidate_needs_no_run) {
  ClockBackend backend;
  backend.offer = {{"only", "", 1}, {"missing", "needs AMX", 0}};
  const Result<TuningReport> report = tune(parsed(k_layers), backend, {});
  ASSERT_TRUE(report);
  EXPECT_EQ(backend.runs, 0);
  EXPECT_EQ(report->choice, (TacticChoice{"only", "only", "only"}));
}

TEST(Tune, every_candidate_of_the_cpu_gives_the_same_answer) {
  std::string weights;
  for (int i = 0; i < 40 * 6; ++i) weights += (i ? ", " : "") + std::to_string(i % 7 - 3) + ".5";
  const Graph graph = parsed("graph g (x: f32[1,6,5,5]) -> (y) {\n  const w: f32[40,6,1,1] = {" + weights +
                             "}\n  y = FusedConv(x, w, _, _, activation=\"Relu\") @conv\n}\n");
  Result<std::shared_ptr<Backend>> backend = open_backend("cpu", {.threads = 2});
  ASSERT_TRUE(backend);
  const std::vector<Tactic> tactics = (*backend)->tactics(graph, 0);
  std::vector<std::vector<float>> answers;
  for (const Tactic& tactic : tactics) {
    if (!tactic.refused.empty()) continue;
    std::vector<float> x(150), y(1000);
    for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i % 13) - 6;
    const Result<std::shared_ptr<const Plan>> plan = make_plan(graph, **backend, {tactic.name});
    ASSERT_TRUE(plan) << plan.error().message;
    EXPECT_EQ((*plan)->steps[0].tactic, tactic.name);
    const Result<std::unique_ptr<const Program>> program = (*backend)->prepare(*plan);
    ASSERT_TRUE(program) << program.error().message;
    const Result<std::unique_ptr<Workspace>> workspace = (*backend)->make_workspace(**program);
    ASSERT_TRUE(workspace);
    const Bindings io{{TensorView::dense(DType::f32, {1, 6, 5, 5}, reinterpret_cast<std::byte*>(x.data()))},
                      {TensorView::dense(DType::f32, {1, 40, 5, 5}, reinterpret_cast<std::byte*>(y.data()))}};
    ASSERT_TRUE((*backend)->run(**program, **workspace, io, {}));
    answers.push_back(y);
  }
  ASSERT_FALSE(answers.empty());
  for (const auto& answer : answers) EXPECT_EQ(answer, answers[0]);
  const Result<std::shared_ptr<const Plan>> unknown = make_plan(graph, **backend, {"conv_f32 abacus"});
  ASSERT_FALSE(unknown);
  EXPECT_THAT(unknown.error().message, HasSubstr("'conv_f32 abacus' is not to be had"));
}

}  // namespace
}  // namespace octet
