// auto finds, tensor by tensor, the ranges that make the outputs right, where no single method does.
#include "calibrate/choose_auto.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "backends/open.h"
#include "ir/text.h"
#include "passes/passes.h"

namespace octet {
namespace {

using testing::HasSubstr;

class Samples final : public Dataset {
 public:
  explicit Samples(int64_t count) {
    std::mt19937 random(4);
    std::uniform_real_distribution<float> uniform(-1.0f, 1.0f);
    rows_.resize(static_cast<size_t>(count), std::vector<float>(16));
    for (auto& row : rows_)
      for (float& x : row) x = uniform(random);
  }
  int64_t size() const override { return static_cast<int64_t>(rows_.size()); }
  std::vector<int64_t> labels(int64_t) const override { return {}; }
  std::string sample_name(int64_t i) const override { return std::to_string(i); }
  Result<Done> read(int64_t i, const Dims&, std::span<float> out) const override {
    std::copy(rows_[static_cast<size_t>(i)].begin(), rows_[static_cast<size_t>(i)].end(), out.begin());
    return Done{};
  }
  std::string hash() const override { return ""; }
  bool are_pictures() const override { return false; }

 private:
  std::vector<std::vector<float>> rows_;
};

constexpr const char* k_graph =
    "graph g (x: f32[N,1,4,4]) -> (y) {\n"
    "  const w: f32[1,1,1,1] = {1}\n"
    "  c = Conv(x, w) @first\n  r = Relu(c)\n  y = Conv(r, w) @second\n}\n";

std::shared_ptr<const Engine> engine_of(Graph graph) {
  const Result<Done> bound = bind_shapes(graph, {.batch = 4, .shapes = {}});
  EXPECT_TRUE(bound);
  EXPECT_TRUE(run_stage(graph, Stage::clean));
  EXPECT_TRUE(run_stage(graph, Stage::fuse));
  const Result<std::shared_ptr<Backend>> backend = open_backend("ref");
  Result<std::shared_ptr<const Engine>> engine = Engine::build(std::move(graph), *backend);
  EXPECT_TRUE(engine) << engine.error().message;
  return *engine;
}

struct Setting {
  Graph graph = *parse_graph(k_graph);
  Samples data{40};
  InputData inputs{{&data}};
  CalibrationTable table;
  std::vector<std::vector<Candidate>> candidates;
  AutoOptions options;

  Setting() {
    table.tensors.resize(2);
    table.tensors[0].name = "x";
    table.tensors[1].name = "r";
    for (int64_t i = 0; i < 40; ++i) options.held_out.push_back(i);
    options.build = [this](const CalibrationTable& t) -> Result<std::shared_ptr<const Engine>> {
      Graph quantized = graph;
      const auto report = quantize(
          quantized, t, {.method = CalibrationMethod::automatic, .target = Target::tensorrt, .keep_float = {}});
      if (!report) return report.error();
      return engine_of(std::move(quantized));
    };
  }
};

TEST(ChooseAuto, mixes_methods_where_no_single_one_is_right) {
  Setting s;
  // a clips r to a tenth, b gives x steps of 0.4.
  s.candidates = {{{"a", {1, -1, 1}}, {"b", {50, -50, 50}}}, {{"a", {0.1f, 0, 0.1f}}, {"b", {1, 0, 1}}}};
  const Result<AutoReport> report = choose_auto(engine_of(s.graph), s.inputs, s.table, s.candidates, s.options);
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(s.table.tensors[0].automatic_from, "a");
  EXPECT_EQ(s.table.tensors[1].automatic_from, "b");
  EXPECT_TRUE(report->kept);
  EXPECT_EQ(report->changed, 1);
  EXPECT_GT(report->final_db, report->start_db + 10);
  EXPECT_THAT(report->text(), HasSubstr("for 1 of 2 tensors"));
}

TEST(ChooseAuto, keeps_the_best_method_where_nothing_else_helps) {
  Setting s;
  s.candidates = {{{"a", {1, -1, 1}}, {"b", {3, -3, 3}}}, {{"a", {1, 0, 1}}, {"b", {3, 0, 3}}}};
  const Result<AutoReport> report = choose_auto(engine_of(s.graph), s.inputs, s.table, s.candidates, s.options);
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(s.table.tensors[0].automatic_from, "a");
  EXPECT_EQ(s.table.tensors[1].automatic_from, "a");
  EXPECT_FALSE(report->kept);
  EXPECT_THAT(report->text(), HasSubstr("no better than a for all"));
}

TEST(ChooseAuto, does_not_try_ranges_that_are_the_same) {
  Setting s;
  s.candidates = {{{"a", {1, -1, 1}}, {"b", {1.001f, -1, 1}}}, {{"a", {1, 0, 1}}, {"b", {1, 0, 1}}}};
  const Result<AutoReport> report = choose_auto(engine_of(s.graph), s.inputs, s.table, s.candidates, s.options);
  ASSERT_TRUE(report);
  EXPECT_EQ(report->trials, 4);  // both methods for all, and the two of the confirmation
}

TEST(ChooseAuto, needs_some_samples) {
  Setting s;
  s.candidates = {{{"a", {1, -1, 1}}}, {{"a", {1, 0, 1}}}};
  s.options.held_out = {0, 1, 2};
  const Result<AutoReport> report = choose_auto(engine_of(s.graph), s.inputs, s.table, s.candidates, s.options);
  ASSERT_FALSE(report);
  EXPECT_THAT(report.error().message, HasSubstr("at least 4 held-out samples, there are 3"));
}

}  // namespace
}  // namespace octet
