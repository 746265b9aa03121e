// Plans through the public API: the same answers as the engine in memory, the same bytes on every build, caches,
// profiles, further contexts.

#include "octet/engine_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <thread>

#include "api/state.h"
#include "octet/tasks.h"

namespace octet {
namespace {

using testing::HasSubstr;

std::string scratch(const std::string& name) {
  return testing::TempDir() + "octet_engine_" + std::to_string(::getpid()) + "_" + name;
}

std::string bytes_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

Model demo() {
  Result<Model> model = Model::load(OCTET_DEMO_MODEL);
  EXPECT_TRUE(model) << model.error().message;
  return *std::move(model);
}

BuildSpec int8_spec() {
  BuildSpec spec;
  spec.session.precision = "int8";
  spec.session.calibration.data = {.path = "shapes-train:64", .preprocess = "none", .limit = 0, .shuffle_seed = -1};
  return spec;
}

/// Output 0 of one run on fixed numbers.
std::vector<float> answers(Session& session) {
  std::vector<float> x(session.inputs()[0].bytes / sizeof(float)), y(session.outputs()[0].bytes / sizeof(float));
  for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(std::sin(static_cast<double>(i) * 0.37) * 100 + 100);
  const std::byte* in[] = {reinterpret_cast<const std::byte*>(x.data())};
  std::byte* out[] = {reinterpret_cast<std::byte*>(y.data())};
  const Result<Done> ran = session.run(in, out);
  EXPECT_TRUE(ran) << ran.error().message;
  return y;
}

std::vector<float> answers(const Result<Session>& session) {
  EXPECT_TRUE(session) << session.error().message;
  return answers(const_cast<Session&>(*session));
}

TEST(EngineFile, answers_like_the_engine_in_memory_to_the_bit) {
  const Model model = demo();
  for (const char* precision : {"fp32", "int8"}) {
    BuildSpec spec = int8_spec();
    spec.session.precision = precision;
    const std::vector<float> expected = answers(Session::build(model, spec.session));
    const Result<EngineFile> built = build_engine(model, spec);
    ASSERT_TRUE(built) << built.error().message;
    const std::string path = scratch(std::string(precision) + ".plan");
    ASSERT_TRUE(built->save(path));
    ASSERT_TRUE(EngineFile::is_engine_file(path));
    EXPECT_EQ(answers(Session::load(*built, {})), expected) << precision;
    const Result<Session> loaded = Session::open(path, {});
    EXPECT_EQ(answers(loaded), expected) << precision;
    EXPECT_EQ(loaded->precision(), precision);
    if (std::string(precision) == "int8") {
      SessionSpec ref;
      ref.device = "ref";
      EXPECT_EQ(answers(Session::open(path, ref)), expected) << "the plan is portable";
    }
    std::filesystem::remove(path);
  }
}

TEST(EngineFile, has_the_same_bytes_on_every_build) {
  const std::string a = scratch("a.plan"), b = scratch("b.plan");
  for (const std::string& path : {a, b}) {
    const Result<EngineFile> built = build_engine(demo(), int8_spec());
    ASSERT_TRUE(built) << built.error().message;
    ASSERT_TRUE(built->save(path));
  }
  EXPECT_EQ(bytes_of(a), bytes_of(b));
  EXPECT_FALSE(bytes_of(a).empty());
  const Result<EngineFile> loaded = EngineFile::load(a);
  ASSERT_TRUE(loaded);
  ASSERT_TRUE(loaded->save(b));
  EXPECT_EQ(bytes_of(a), bytes_of(b)) << "a plan that was read is written as it was";
  std::filesystem::remove(a);
  std::filesystem::remove(b);
}

TEST(EngineFile, brings_packed_weights_along_unless_they_are_not_wanted) {
  BuildSpec spec = int8_spec();
  const Result<EngineFile> usual = build_engine(demo(), spec);
  spec.packed = false;
  const Result<EngineFile> plain = build_engine(demo(), spec);
  ASSERT_TRUE(usual && plain);
  const std::string path = scratch("usual.plan");
  for (const auto& [file, packed] : {std::pair(*usual, true), std::pair(*plain, false)}) {
    ASSERT_TRUE(file.save(path));
    const Result<EngineFile> loaded = EngineFile::load(path);
    ASSERT_TRUE(loaded) << loaded.error().message;
    EXPECT_EQ(loaded->state().plan.packed.size(), packed ? 1u : 0u);
    const auto& options = loaded->provenance();
    const auto at = std::find_if(options.begin(), options.end(), [](const auto& p) { return p.first == "options"; });
    ASSERT_NE(at, options.end());
    EXPECT_EQ(at->second.find("no-packed") == std::string::npos, packed) << at->second;
    EXPECT_EQ(answers(Session::open(path, {})), answers(Session::load(*plain, {})));
  }
  std::filesystem::remove(path);
  spec = int8_spec();
  spec.session.device = "ref";
  const Result<EngineFile> slow = build_engine(demo(), spec);
  ASSERT_TRUE(slow) << slow.error().message;
  ASSERT_TRUE(slow->save(path));
  EXPECT_TRUE(EngineFile::load(path)->state().plan.packed.empty()) << "a back end that packs nothing has no section";
  std::filesystem::remove(path);
}

TEST(EngineFile, with_packed_weights_answers_the_same_and_has_the_same_bytes_on_every_build) {
  const Model model = demo();
  for (const char* precision : {"fp32", "int8"}) {
    BuildSpec spec = int8_spec();
    spec.session.precision = precision;
    spec.packed = false;
    const Result<EngineFile> plain = build_engine(model, spec);
    ASSERT_TRUE(plain) << plain.error().message;
    spec.packed = BuildSpec().packed;
    const std::string a = scratch("packed_a.plan"), b = scratch("packed_b.plan");
    for (const std::string& path : {a, b}) {
      const Result<EngineFile> built = build_engine(model, spec);
      ASSERT_TRUE(built) << built.error().message;
      ASSERT_TRUE(built->save(path));
      EXPECT_GT(built->size_bytes(), plain->size_bytes() * 3 / 2);
    }
    EXPECT_EQ(bytes_of(a), bytes_of(b));
    const Result<Session> loaded = Session::open(a, {});
    EXPECT_EQ(answers(loaded), answers(Session::load(*plain, {}))) << precision;
    EXPECT_TRUE(loaded->notes().empty()) << loaded->notes()[0];
    SessionSpec ref;
    ref.device = "ref";
    const Result<Session> elsewhere = Session::open(a, ref);
    ASSERT_TRUE(elsewhere);
    ASSERT_EQ(elsewhere->notes().size(), 1u);
    EXPECT_THAT(elsewhere->notes()[0], HasSubstr("packed weights of the plan ignored: they are for 'cpu "));
    std::filesystem::remove(a);
    std::filesystem::remove(b);
  }
}

// A tuning table is edited so that every layer's last candidate is the quickest: the build takes those, and the loaded
// plan runs them.
TEST(EngineFile, keeps_the_tactics_of_its_tuning_table) {
  const Model model = demo();
  const std::string table = scratch("times.txt"), a = scratch("tuned_a.plan"), b = scratch("tuned_b.plan");
  BuildSpec spec = int8_spec();
  spec.session.optimization_level = 3;
  spec.session.timing_cache = table;
  ASSERT_TRUE(build_engine(model, spec)) << "measures and writes the table";
  std::string text = bytes_of(table), edited;
  std::istringstream lines(text);
  std::map<std::string, std::string> last;  // tactic by layer
  for (std::string line; std::getline(lines, line);) {
    const size_t layer = line.find('\t'), tactic = line.find('\t', layer + 1), us = line.rfind('\t');
    if (layer == std::string::npos || line.find("\tnetwork ") != std::string::npos) continue;
    last[line.substr(layer + 1, tactic - layer - 1)] = line.substr(tactic + 1, us - tactic - 1);
  }
  if (last.empty()) GTEST_SKIP() << "not applicable: this machine has one way to run each layer";
  lines = std::istringstream(text);
  for (std::string line; std::getline(lines, line);) {
    const size_t layer = line.find('\t'), tactic = line.find('\t', layer + 1), us = line.rfind('\t');
    if (line.find("\tnetwork ") != std::string::npos) continue;  // the verdict on the whole was about another choice
    if (layer != std::string::npos) {
      const bool wins = last[line.substr(layer + 1, tactic - layer - 1)] == line.substr(tactic + 1, us - tactic - 1);
      line = line.substr(0, us + 1) + (wins ? "1.000" : "1000.000");
    }
    edited += line + "\n";
  }
  std::ofstream(table) << edited;
  // With equal candidates the whole may be judged slower and the static choice kept; a verdict in the table decides.
  const Result<EngineFile> first = build_engine(model, spec);
  ASSERT_TRUE(first) << first.error().message;
  ASSERT_TRUE(first->save(a));
  const Result<EngineFile> second = build_engine(model, spec);
  ASSERT_TRUE(second && second->save(b));
  EXPECT_EQ(bytes_of(a), bytes_of(b)) << "the same table, the same bytes";
  const Result<Session> loaded = Session::open(a, {}), plain = Session::build(model, int8_spec().session);
  ASSERT_TRUE(loaded && plain);
  EXPECT_TRUE(loaded->notes().empty());
  const bool kept = first->notes().back().find("the static choice is kept") != std::string::npos;
  int other = 0;
  for (size_t i = 0; i < loaded->layers().size(); ++i) {
    const std::string tactic = loaded->layers()[i].tactic;
    other += tactic != plain->layers()[i].tactic;
    if (kept) {
      EXPECT_EQ(tactic, plain->layers()[i].tactic);
    }
  }
  if (!kept) {
    EXPECT_GT(other, 0) << "the recorded tactics run";
  }
  EXPECT_EQ(answers(loaded), answers(plain)) << "tactics change no answer";
  for (const std::string& path : {table, a, b}) std::filesystem::remove(path);
}

TEST(EngineFile, says_where_it_comes_from) {
  const Result<EngineFile> built = build_engine(demo(), int8_spec());
  ASSERT_TRUE(built);
  std::map<std::string, std::string> from(built->provenance().begin(), built->provenance().end());
  EXPECT_EQ(from["model"], "shapes_cnn.onnx");
  EXPECT_EQ(from["model_hash"], demo().hash());
  EXPECT_EQ(from["precision"], "int8");
  EXPECT_EQ(from["samples"], "64");
  EXPECT_EQ(from["method"], "entropy");
  EXPECT_EQ(from["options"], "precision=int8 target=octet");
  EXPECT_EQ(from.count("uncalibrated"), 0u);
}

TEST(EngineFile, of_float_layers_only_says_nothing_of_a_calibration) {
  BuildSpec spec = int8_spec();
  for (const LayerInfo& layer : Session::build(demo(), {})->layers())
    spec.session.quantization.keep_float.insert(layer.name);
  spec.session.calibration.data.preprocess = "none,norm=half";
  const Result<EngineFile> built = build_engine(demo(), spec);
  ASSERT_TRUE(built) << built.error().message;
  EXPECT_EQ(built->precision(), "fp32");
  EXPECT_EQ(built->int8_percent(), 0);
  std::map<std::string, std::string> from(built->provenance().begin(), built->provenance().end());
  for (const char* key :
       {"data", "data_hash", "samples", "method", "ranges_hash", "calibration", "notes", "uncalibrated"})
    EXPECT_EQ(from.count(key), 0u) << key << ": " << from[key];
  EXPECT_EQ(from["preprocess"], "rgb,norm=half") << "pictures are prepared so, whatever the precision";
}

TEST(EngineFile, is_stamped_when_its_ranges_mean_nothing) {
  BuildSpec spec = int8_spec();
  spec.session.calibration.data.path = "synthetic:4";
  const Result<EngineFile> noise = build_engine(demo(), spec);
  ASSERT_TRUE(noise) << noise.error().message;
  EXPECT_TRUE(noise->is_uncalibrated());
  const std::string path = scratch("noise.plan");
  ASSERT_TRUE(noise->save(path));
  const Result<Session> session = Session::open(path, {});
  ASSERT_TRUE(session);
  EXPECT_THAT(session->notes(), testing::Contains(HasSubstr("UNCALIBRATED")));
  std::filesystem::remove(path);
}

TEST(EngineFile, uses_a_cache_that_fits_and_refuses_a_stale_one) {
  BuildSpec spec = int8_spec();
  spec.cache = scratch("cache.json");
  std::filesystem::remove(spec.cache);
  const Result<EngineFile> first = build_engine(demo(), spec);
  ASSERT_TRUE(first) << first.error().message;
  EXPECT_THAT(first->notes(), testing::Contains(HasSubstr("calibrated 64 samples, wrote")));
  const Result<EngineFile> second = build_engine(demo(), spec);
  ASSERT_TRUE(second) << second.error().message;
  EXPECT_THAT(second->notes(), testing::Contains(HasSubstr("not calibrated again")));
  EXPECT_EQ(first->size_bytes(), second->size_bytes());
  spec.session.calibration.data.path = "shapes-train:32";
  EXPECT_THAT(build_engine(demo(), spec).error().message, HasSubstr("is stale: it was made with data"));
  spec.session.calibration.data = {.path = "shapes-train:64", .preprocess = "none,norm=half"};
  EXPECT_THAT(build_engine(demo(), spec).error().message, HasSubstr("is stale: it was made with --preprocess"));
  std::ofstream(spec.cache) << "{}";
  EXPECT_FALSE(build_engine(demo(), spec)) << "a broken cache is no cache";
  std::filesystem::remove(spec.cache);
}

TEST(EngineFile, runs_every_batch_of_its_profile) {
  BuildSpec spec = int8_spec();
  spec.profile["input"] = {{1, 3, 32, 32}, {4, 3, 32, 32}, {16, 3, 32, 32}};
  const Result<EngineFile> built = build_engine(demo(), spec);
  ASSERT_TRUE(built) << built.error().message;
  EXPECT_EQ(built->inputs()[0].shape, "[1..16,3,32,32]");
  EXPECT_EQ(Session::load(*built, {})->batch(), 4);
  for (const int64_t batch : {1, 3, 16}) {
    SessionSpec with_batch = int8_spec().session;
    with_batch.batch = batch;
    EXPECT_EQ(answers(Session::load(*built, with_batch)), answers(Session::build(demo(), with_batch))) << batch;
  }
  SessionSpec too_large;
  too_large.batch = 17;
  EXPECT_THAT(Session::load(*built, too_large).error().message,
              HasSubstr("[17,3,32,32] was asked for, the plan was built for [1,3,32,32] to [16,3,32,32]"));
}

TEST(EngineFile, refuses_a_profile_out_of_order_and_a_workspace_that_is_too_small) {
  BuildSpec spec = int8_spec();
  spec.profile["input"] = {{8, 3, 32, 32}, {4, 3, 32, 32}, {16, 3, 32, 32}};
  EXPECT_THAT(build_engine(demo(), spec).error().message, HasSubstr("expected smallest <= best <= largest"));
  spec = int8_spec();
  spec.workspace_bytes = 1000;
  EXPECT_THAT(build_engine(demo(), spec).error().message, HasSubstr("--memPoolSize=workspace:MIB) allows 1000"));
}

TEST(EngineFile, refuses_int8_of_a_plan_built_in_fp32) {
  const Result<EngineFile> built = build_engine(demo(), {});
  ASSERT_TRUE(built);
  EXPECT_EQ(built->precision(), "fp32");
  EXPECT_THAT(Session::load(*built, int8_spec().session).error().message, HasSubstr("was built in fp32"));
}

TEST(EngineFile, runs_in_many_contexts_that_share_weights) {
  const Result<EngineFile> built = build_engine(demo(), int8_spec());
  ASSERT_TRUE(built);
  Result<Session> first = Session::load(*built, {});
  const std::vector<float> expected = answers(first);
  std::vector<Session> sessions;
  for (int i = 0; i < 4; ++i) {
    Result<Session> further = first->another();
    ASSERT_TRUE(further) << further.error().message;
    sessions.push_back(*std::move(further));
  }
  std::vector<int> equal(sessions.size(), 0);
  std::vector<std::thread> threads;
  for (size_t i = 0; i < sessions.size(); ++i)
    threads.emplace_back([&, i] {
      for (int round = 0; round < 20; ++round) equal[i] += answers(sessions[i]) == expected;
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_THAT(equal, testing::Each(20));
}

// Written by octet 0.1.0 and never written again: 500 pictures of which it got 472 right.
TEST(EngineFile, reads_the_released_format_1) {
  Result<Session> session = Session::open(OCTET_COMPAT_PLAN, {});
  ASSERT_TRUE(session) << session.error().message;
  EvaluateSpec spec;
  spec.data = {.path = "shapes:500", .preprocess = "rgb,norm=half"};
  const Result<EvaluationReport> report = evaluate(*session, "format_1", nullptr, "", spec);
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(report->first.top1_right, 455);  // a network of before the pictures had more noise: 472 of those
}

TEST(EngineFile, names_the_file_that_is_none) {
  EXPECT_FALSE(EngineFile::is_engine_file(OCTET_DEMO_MODEL));
  EXPECT_THAT(EngineFile::load(OCTET_DEMO_MODEL).error().message, HasSubstr("shapes_cnn.onnx: is not a plan file"));
  EXPECT_FALSE(EngineFile::load("no/such.plan"));
}

}  // namespace
}  // namespace octet
