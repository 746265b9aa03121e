// What a run may be asked for, what makes a resumed run the same run, and the rates that the trainer follows.

#include "octet/train/trainer.h"

#include <gmock/gmock.h>
#include <unistd.h>

#include <filesystem>
#include <functional>
#include <limits>

#include "ir/text.h"
#include "octet/train/parameters.h"
#include "train/run_options.h"
#include "train/torch_tests.h"

namespace octet::nn {
namespace {

using testing::HasSubstr;
using testing::Not;

/// Noise, shifted by its class; label_of_last is that of the last sample.
class Classes : public Dataset {
 public:
  int64_t size() const override { return 64; }
  std::vector<int64_t> labels(int64_t i) const override { return {i == size() - 1 ? label_of_last : i % 2}; }
  std::string sample_name(int64_t i) const override { return "picture " + std::to_string(i); }
  Result<Done> read(int64_t i, const Dims&, std::span<float> out) const override {
    for (size_t e = 0; e < out.size(); ++e)
      out[e] = static_cast<float>((i * 31 + static_cast<int64_t>(e) * 17) % 13) / divisor;
    out[0] += i % 2 ? 1.0f : -1.0f;
    return Done{};
  }
  std::string hash() const override { return ""; }
  int64_t label_of_last = 1;
  float divisor = 13.0f;
};

GraphModule small_net(float first_weight = 0.1f) {
  const Result<Graph> graph =
      parse_graph("graph g (x: f32[N,4]) -> (y) {\n    const fc.weight: f32[2,4] = {" + std::to_string(first_weight) +
                  ", -0.2, 0.3, 0.05, -0.1, 0.2, -0.3, 0.02}\n"
                  "    const fc.bias: f32[2] = {0, 0}\n"
                  "    y = Gemm(x, fc.weight, fc.bias, transB=1) @fc\n  }");
  EXPECT_TRUE(graph) << (graph ? "" : graph.error().message);
  return GraphModule(*GraphModuleImpl::make(*graph));
}

TrainOptions small_options() {
  TrainOptions o;
  o.epochs = 3;
  o.batch = 64;
  o.threads = 1;
  o.augmentation = {0, false, 0};
  o.held_out = 0;
  return o;
}

std::string message_of(const Result<TrainReport>& report) { return report ? "no error" : report.error().message; }

struct BadOption {
  const char *name, *range;
  std::function<void(TrainOptions&)> set;
};

TEST(TrainOptionsTest, each_outside_its_range_is_named_with_it) {
  const double nan = std::numeric_limits<double>::quiet_NaN(), inf = std::numeric_limits<double>::infinity();
  const BadOption all[] = {
      {"--batch 0", "a whole number from 1 to 1000000", [](TrainOptions& o) { o.batch = 0; }},
      {"--batch -5", "from 1", [](TrainOptions& o) { o.batch = -5; }},
      {"--epochs -1", "a whole number from 0", [](TrainOptions& o) { o.epochs = -1; }},
      {"--held-out 1.5", "a number from 0 to below 1", [](TrainOptions& o) { o.held_out = 1.5; }},
      {"--held-out 1:", "below 1", [](TrainOptions& o) { o.held_out = 1; }},
      {"--held-out -1", "from 0", [](TrainOptions& o) { o.held_out = -1; }},
      {"--temperature 0:", "a number from 0.01 to 1000", [](TrainOptions& o) { o.temperature = 0; }},
      {"--lr nan", "a number above 0, at most 100", [&](TrainOptions& o) { o.rate = nan; }},
      {"--lr -1", "above 0", [](TrainOptions& o) { o.rate = -1; }},
      {"--lr 0:", "above 0", [](TrainOptions& o) { o.rate = 0; }},
      {"--momentum 7", "from 0 to below 1", [](TrainOptions& o) { o.momentum = 7; }},
      {"--weight-decay inf", "from 0 to 1", [&](TrainOptions& o) { o.weight_decay = inf; }},
      {"--label-smoothing 1:", "below 1", [](TrainOptions& o) { o.label_smoothing = 1; }},
      {"--distill 2", "from 0 to 1", [](TrainOptions& o) { o.distill = 2; }},
      {"--keep-start -3", "from 0", [](TrainOptions& o) { o.keep_start = -3; }},
      {"--cutout -1", "from 0", [](TrainOptions& o) { o.augmentation.cutout = -1; }},
      {"--threads -1", "from 0", [](TrainOptions& o) { o.threads = -1; }},
  };
  GraphModule net = small_net();
  for (const BadOption& one : all) {
    TrainOptions options = small_options();
    one.set(options);
    const std::string message = message_of(train(*net, Classes(), {4}, options));
    EXPECT_THAT(message, HasSubstr(one.name));
    EXPECT_THAT(message, HasSubstr(one.range));
    EXPECT_FALSE(accuracy(*net, Classes(), {4}, options)) << one.name;
  }
  EXPECT_TRUE(check_options(small_options()));
  EXPECT_FALSE(check_option("--calib-limit", 0));
  EXPECT_TRUE(check_option("--original-lr", 0.1));
}

TEST(Resume, takes_a_run_of_the_same_options_data_and_networks_only) {
  const std::string path = testing::TempDir() + "octet_resume_" + std::to_string(::getpid()) + ".checkpoint";
  TrainOptions options = small_options();
  options.rate = 1e-7;
  options.distill = 0.5;
  options.origin = {{"--weight-bits", "8"}};
  options.checkpoint = path;
  const auto run = [&](const TrainOptions& o, GraphModule net, const Classes& data, GraphModule teacher) {
    return message_of(train(*net, data, {4}, o, &*teacher));
  };
  ASSERT_EQ(run(options, small_net(), Classes(), small_net()), "no error");
  options.resume = true;
  EXPECT_EQ(run(options, small_net(), Classes(), small_net()), "no error");

  const auto with = [&](const std::function<void(TrainOptions&)>& change) {
    TrainOptions other = options;
    change(other);
    return run(other, small_net(), Classes(), small_net());
  };
  EXPECT_THAT(with([](TrainOptions& o) { o.rate = 2e-7; }), HasSubstr("(--lr 1e-07 there, 2e-07 here)"));
  EXPECT_THAT(with([](TrainOptions& o) { o.rate = std::nextafter(1e-7, 1.0); }), HasSubstr("other options"));
  EXPECT_THAT(with([](TrainOptions& o) { o.seed = (uint64_t{1} << 60) + 1; }), HasSubstr("--seed 1 there"));
  EXPECT_THAT(with([](TrainOptions& o) { o.origin[0].second = "2"; }),
              HasSubstr("(--weight-bits 8 there, 2 here); resume with the same ones"));
  EXPECT_THAT(with([](TrainOptions& o) { o.deterministic = true; }), HasSubstr("--deterministic 0 there, 1 here"));
  EXPECT_EQ(with([](TrainOptions& o) { o.threads = 2; }), "no error");
  Classes other_data, other_labels;
  other_data.divisor = 12.0f;
  other_labels.label_of_last = 0;
  EXPECT_THAT(run(options, small_net(), other_data, small_net()), HasSubstr("(data "));
  EXPECT_THAT(run(options, small_net(), other_labels, small_net()), HasSubstr("(data "));
  EXPECT_THAT(run(options, small_net(0.2f), Classes(), small_net()), HasSubstr("(network "));
  EXPECT_THAT(run(options, small_net(), Classes(), small_net(0.2f)), HasSubstr("(teacher "));
  std::filesystem::remove(path);
  EXPECT_THAT(run(options, small_net(), Classes(), small_net()), HasSubstr("there is no checkpoint " + path));
}

TEST(Training, labels_outside_the_outputs_are_refused_by_sample) {
  GraphModule net = small_net();
  for (const int64_t label : {2, 11, -1}) {
    Classes data;
    data.label_of_last = label;
    EXPECT_THAT(message_of(train(*net, data, {4}, small_options())),
                HasSubstr("sample 'picture 63' has the label " + std::to_string(label) +
                          ", and the network has 2 outputs (labels 0 to 1)"));
  }
}

TEST(Training, that_goes_below_the_untrained_network_says_which_rate_to_try) {
  const Classes classes;
  for (const double decay : {0.0, 1.0}) {  // p - 100 p turns every sign
    TrainOptions o = small_options();
    o.epochs = 2;
    o.batch = 32;
    o.held_out = 0.5;
    o.rate = decay > 0 ? 100 : 1e-6;
    o.momentum = 0;
    o.weight_decay = decay;
    std::vector<std::string> notes;
    o.on_note = [&](const std::string& note) { notes.push_back(note); };
    const Result<TrainReport> report = train(*small_net(-10.0f), classes, {4}, o);
    ASSERT_TRUE(report) << message_of(report);
    ASSERT_EQ(notes.size(), decay > 0 ? 1u : 0u);  // not of each epoch again
    if (decay > 0) {
      EXPECT_THAT(notes[0], HasSubstr("the rate is too large for this network; try --lr 10"));
    }
  }
}

// From 1 % of the original 0.1 along half a cosine down to 1 % of that. One step an epoch: 9 steps.
TEST(Training, follows_the_published_rates) {
  GraphModule net = small_net();
  TrainOptions options = small_options();
  options.epochs = 9;
  const Result<TrainReport> report = train(*net, Classes(), {4}, options);
  ASSERT_TRUE(report) << report.error().message;
  ASSERT_EQ(report->epochs.size(), 10u);
  EXPECT_NEAR(report->epochs[1].rate, 1e-3, 1e-12);
  for (int64_t step = 0; step < 9; ++step)
    EXPECT_EQ(report->epochs[static_cast<size_t>(step) + 1].rate, cosine_rate(0.1, static_cast<double>(step), 9));
}

TEST(Training, what_libtorch_reports_comes_without_its_list_of_calls) {
  GraphModule net = small_net();
  const std::string message = message_of(train(*net, Classes(), {5}, small_options()));
  EXPECT_THAT(message, HasSubstr("training failed: "));
  EXPECT_THAT(message, HasSubstr("4"));
  EXPECT_THAT(message, Not(HasSubstr("\n")));
}

TEST(RunOptions, too_little_memory_of_a_gpu_names_what_takes_it) {
  const std::runtime_error full("CUDA out of memory. Tried to allocate 2.00 GiB"), other("no such device");
  TrainOptions options;
  EXPECT_EQ(memory_advice(full, options), "");  // the host's
  options.device = "cuda:1";
  EXPECT_THAT(memory_advice(full, options), HasSubstr("--no-step-graph"));
  EXPECT_EQ(memory_advice(other, options), "");
  options.step_graph = false;
  EXPECT_THAT(memory_advice(full, options), testing::AllOf(HasSubstr("--batch"), Not(HasSubstr("--no-step-graph"))));
}

}  // namespace
}  // namespace octet::nn
