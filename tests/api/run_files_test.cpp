// octet run: inputs that are not float32, outputs without a batch, a batch that the network cannot take.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "data/npy.h"
#include "ir/text.h"
#include "octet/engine_file.h"
#include "octet/session.h"
#include "octet/tasks.h"
#include "onnx/onnx.h"

namespace octet {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::HasSubstr;
namespace fs = std::filesystem;

class RunFiles : public testing::Test {
 protected:
  void SetUp() override {
    folder = testing::TempDir() + "octet_run_files_" + std::to_string(::getpid());
    fs::create_directories(folder);
  }
  void TearDown() override { fs::remove_all(folder); }

  std::string model(const std::string& text) {
    const Result<Graph> graph = parse_graph(text);
    EXPECT_TRUE(graph) << graph.error().message;
    EXPECT_TRUE(write_onnx_file(folder + "/m.onnx", *graph));
    return folder + "/m.onnx";
  }
  template <class T>
  std::string array(DType dtype, const Dims& dims, const std::vector<T>& values) {
    const Result<std::string> bytes = npy_bytes(Tensor::from<T>(dtype, dims, values));
    EXPECT_TRUE(bytes);
    std::ofstream(folder + "/x.npy", std::ios::binary) << *bytes;
    return folder + "/x.npy";
  }
  /// The written output, or nothing and the error in `message`.
  std::optional<Tensor> run(const std::string& path, const RunSpec& given, int64_t batch = 0) {
    SessionSpec spec;
    spec.batch = batch;
    Result<Session> session = Session::open(path, spec);
    if (!session) return message = session.error().message, std::nullopt;
    notes = session->notes();
    RunSpec run = given;
    run.output = folder + "/y" + std::to_string(++runs) + ".npy";  // one that is still mapped cannot be replaced
    const Result<RunReport> report = run_files(*session, run);
    if (!report) return message = report.error().message, std::nullopt;
    Result<Tensor> y = read_npy(run.output);
    return y ? std::optional(*y) : std::nullopt;
  }
  RunSpec data(const std::string& path) {
    RunSpec spec;
    spec.data.path = path;
    return spec;
  }

  std::string folder, message;
  int runs = 0;
  std::vector<std::string> notes;
};

constexpr const char* k_pixels =
    "graph (x: u8[N,3,1,2]) -> (y) {\n  const h: f32[] = {0.5}\n  f = Cast(x, to=\"f32\")\n  y = Mul(f, h)\n}\n";

TEST_F(RunFiles, a_data_set_feeds_an_input_of_pixels) {
  const std::string x =
      array<uint8_t>(DType::u8, {3, 3, 1, 2}, {0, 1, 2, 3, 4, 5, 250, 251, 252, 253, 254, 255, 7, 9, 11, 13, 15, 17});
  const std::optional<Tensor> y = run(model(k_pixels), data(x), 2);  // the last batch is not full
  ASSERT_TRUE(y) << message;
  EXPECT_EQ(y->dims(), (Dims{3, 3, 1, 2}));
  EXPECT_EQ(y->at<float>(5), 2.5f);
  EXPECT_EQ(y->at<float>(11), 127.5f);
  EXPECT_EQ(y->at<float>(17), 8.5f);
}

TEST_F(RunFiles, a_number_that_the_input_cannot_hold_is_named) {
  for (const float odd : {0.25f, 256.0f, -1.0f}) {
    const std::string x = array<float>(DType::f32, {1, 3, 1, 2}, {0, 1, 2, 3, odd, 5});
    EXPECT_FALSE(run(model(k_pixels), data(x)));
    EXPECT_THAT(message, HasSubstr("input 'x' takes uint8, but a value is no whole number within its range and 2^24"));
  }
}

TEST_F(RunFiles, whole_numbers_feed_an_input_of_tokens) {
  const std::string tokens =
      "graph (x: s64[N,2]) -> (y) {\n  const t: f32[3] = {10, 20, 30}\n  y = Gather(t, x, axis=0)\n}\n";
  const std::string x = array<float>(DType::f32, {2, 2}, {2, 0, 1, 2});
  const std::optional<Tensor> y = run(model(tokens), data(x), 2);
  ASSERT_TRUE(y) << message;
  EXPECT_EQ(std::vector<float>(y->as<float>().begin(), y->as<float>().end()), (std::vector<float>{30, 10, 20, 30}));
}

TEST_F(RunFiles, outputs_are_written_in_every_dtype_that_npy_has) {
  for (const DType dtype : {DType::u8, DType::s8, DType::u16, DType::s16, DType::u32, DType::s32, DType::u64,
                            DType::s64, DType::f16, DType::f64, DType::boolean}) {
    const std::string to(name(dtype));
    RunSpec spec;
    spec.inputs["x"] = array<float>(DType::f32, {4}, {0, 1, 2, 5});
    const std::optional<Tensor> y =
        run(model("graph (x: f32[4]) -> (y) {\n  y = Cast(x, to=\"" + to + "\")\n}\n"), spec);
    ASSERT_TRUE(y) << to << ": " << message;
    EXPECT_EQ(y->dtype(), dtype);
  }
  RunSpec spec;
  spec.inputs["x"] = array<float>(DType::f32, {4}, {0, 1, 2, 5});
  EXPECT_FALSE(run(model("graph (x: f32[4]) -> (y) {\n  y = Cast(x, to=\"bf16\")\n}\n"), spec));
  EXPECT_EQ(message, "output 'y' is bfloat16, which .npy has no form for; end the network in a Cast to float32");
}

TEST_F(RunFiles, an_output_without_the_batch_keeps_its_declared_shape) {
  const std::string path = model("graph (x: f32[3,5]) -> (y) {\n  y = Relu(x)\n}\n");
  std::vector<float> values(15, -1.0f);
  values[7] = 2.0f;
  RunSpec spec;
  spec.inputs["x"] = array<float>(DType::f32, {3, 5}, values);
  const std::optional<Tensor> y = run(path, spec);
  ASSERT_TRUE(y) << message;
  EXPECT_EQ(y->dims(), (Dims{3, 5}));
  EXPECT_EQ(y->at<float>(7), 2.0f);
  const std::string sum = model("graph (x: f32[1,5]) -> (y) {\n  y = ReduceSum(x, keepdims=0)\n}\n");
  const std::optional<Tensor> one = run(sum, data(array<float>(DType::f32, {1, 5}, {1, 2, 3, 4, 5})));
  ASSERT_TRUE(one) << message;
  EXPECT_EQ(one->dims(), Dims{});
  const std::optional<Tensor> two = run(sum, data(array<float>(DType::f32, {2, 5}, std::vector<float>(10, 2.0f))));
  ASSERT_TRUE(two) << message;
  EXPECT_EQ(two->dims(), Dims{2});  // one behind the other
}

TEST_F(RunFiles, a_named_file_of_more_samples_than_the_batch_says_what_would_fit) {
  // Softmax over the samples: the batch stays 1, whatever is asked for.
  const std::string path = model("graph (x: f32[1,5]) -> (y) {\n  y = Softmax(x, axis=0)\n}\n");
  RunSpec spec;
  spec.inputs["x"] = array<float>(DType::f32, {4, 5}, std::vector<float>(20, 1.0f));
  EXPECT_FALSE(run(path, spec, 4));
  EXPECT_THAT(message,
              HasSubstr("holds 4 samples, input 'x' has a batch of 1; give as many samples as that, or --batch "
                        "where the network's batch is free (the file is [4,5], the input [1,5])"));
  EXPECT_THAT(notes, Contains(HasSubstr("Softmax")));
}

TEST_F(RunFiles, a_named_file_of_the_inputs_own_type_is_read_as_it_is) {
  const std::string path = model("graph (x: s64[2]) -> (y) {\n  y = Neg(x)\n}\n");
  RunSpec spec;
  spec.inputs["x"] = array<int64_t>(DType::s64, {2}, {int64_t{1} << 40, -3});
  const std::optional<Tensor> y = run(path, spec);
  ASSERT_TRUE(y) << message;
  EXPECT_EQ(y->at<int64_t>(0), -(int64_t{1} << 40));
  spec.inputs["x"] = array<float>(DType::f32, {2}, {1, 2});
  EXPECT_FALSE(run(path, spec));
  EXPECT_THAT(message, HasSubstr("holds float32[2], input 'x' is int64[2]"));
}

TEST_F(RunFiles, a_named_file_gives_the_extents_that_the_network_leaves_free) {
  const std::string path = model("graph (x: f32[N,2,H]) -> (y) {\n  y = Relu(x)\n}\n");
  RunSpec spec;
  spec.inputs["x"] = array<float>(DType::f32, {3, 2, 2}, std::vector<float>(12, 1.0f));
  spec.output = folder + "/free.npy";
  Result<Session> session = open_for_files(path, {}, {}, spec);
  ASSERT_TRUE(session) << session.error().message;
  EXPECT_EQ(session->inputs()[0].dims, (Dims{3, 2, 2}));
  ASSERT_TRUE(run_files(*session, spec));
  EXPECT_EQ(read_npy(spec.output)->dims(), (Dims{3, 2, 2}));
  // What is asked for rules, and a file that does not fit decides nothing.
  SessionSpec asked;
  asked.shapes["x"] = {1, 2, 4};
  EXPECT_EQ(open_for_files(path, asked, {}, spec)->inputs()[0].dims, (Dims{1, 2, 4}));
  spec.inputs["x"] = array<float>(DType::f32, {3, 5, 2}, std::vector<float>(30, 1.0f));
  const Result<Session> other = open_for_files(path, {}, {}, spec);
  EXPECT_FALSE(other);
  EXPECT_THAT(other.error().message, HasSubstr("give --batch N"));
}

TEST_F(RunFiles, outputs_whose_names_differ_in_a_slash_only_get_files_of_their_own) {
  const std::string path = model(
      "graph (x: f32[2]) -> (\"a/b\", a_b, a_b_2) {\n  \"a/b\" = Neg(x)\n  a_b = Relu(x)\n  a_b_2 = Identity(x)\n}\n");
  RunSpec spec;
  spec.inputs["x"] = array<float>(DType::f32, {2}, {1, 2});
  spec.output = folder + "/all";
  Result<Session> session = Session::open(path, {});
  ASSERT_TRUE(session) << session.error().message;
  const Result<RunReport> report = run_files(*session, spec);
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(report->outputs[0].file, spec.output + "/a_b.npy");
  EXPECT_EQ(report->outputs[1].file, spec.output + "/a_b_2.npy");
  EXPECT_EQ(report->outputs[2].file, spec.output + "/a_b_2_2.npy");
  EXPECT_EQ(read_npy(report->outputs[0].file)->at<float>(1), -2);
  EXPECT_EQ(read_npy(report->outputs[1].file)->at<float>(1), 2);
}

TEST_F(RunFiles, an_output_of_a_very_long_name_gets_a_shorter_file) {
  const std::string long_name(300, 'v');
  const std::string path = model("graph (x: f32[2]) -> (" + long_name + ", " + long_name + "w) {\n  " + long_name +
                                 " = Neg(x)\n  " + long_name + "w = Relu(x)\n}\n");
  RunSpec spec;
  spec.inputs["x"] = array<float>(DType::f32, {2}, {1, 2});
  spec.output = folder + "/long";
  Result<Session> session = Session::open(path, {});
  ASSERT_TRUE(session) << session.error().message;
  const Result<RunReport> report = run_files(*session, spec);
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(read_npy(report->outputs[0].file)->at<float>(1), -2);
  EXPECT_EQ(read_npy(report->outputs[1].file)->at<float>(1), 2);
}

TEST_F(RunFiles, an_output_without_elements_keeps_its_shape) {
  const std::string path = model("graph (x: f32[2,3]) -> (y) {\n  const a: s64[1] = {1}\n  y = Slice(x, a, a)\n}\n");
  RunSpec spec;
  spec.inputs["x"] = array<float>(DType::f32, {2, 3}, std::vector<float>(6, 1.0f));
  const std::optional<Tensor> y = run(path, spec);
  ASSERT_TRUE(y) << message;
  EXPECT_EQ(y->dims(), (Dims{0, 3}));
}

// What import mends at a cost is told by all that runs the model, before other notes; what it mends for nothing is not.
TEST_F(RunFiles, a_repair_that_costs_something_is_a_note) {
  const std::string path = model(R"(graph (x: f32[1,1,2,2]) -> (y) { const s: f32[] = {0.5} const z: s8[] = {0}
      const w: s8[1,1,1,1] = {3} const lo: f32[] = {-60} const hi: f32[] = {60} t = Clip(x, lo, hi)
      q = QuantizeLinear(t, s, z) d = DequantizeLinear(q, s, z) e = DequantizeLinear(w, s, z) c = Conv(d, e)
      a = Add(c, t) @add p = QuantizeLinear(a, s, z) y = DequantizeLinear(p, s, z) })");
  const Result<Session> session = Session::open(path, {});
  ASSERT_TRUE(session) << session.error().message;
  ASSERT_FALSE(session->notes().empty());
  EXPECT_THAT(session->notes().front(),
              AllOf(HasSubstr("repair residual_identity: 1 mended, 'add': float identity branch 't'"),
                    HasSubstr("the branch is rounded, by up to half a step = 0.25")));
  const Result<Model> loaded = Model::load(path);
  ASSERT_TRUE(loaded);
  const Result<EngineFile> plan = build_engine(*loaded, {});
  ASSERT_TRUE(plan) << plan.error().message;
  ASSERT_FALSE(plan->notes().empty());
  EXPECT_THAT(plan->notes().front(), HasSubstr("repair residual_identity"));
  LoadOptions as_it_is;
  as_it_is.repair = false;
  const Result<Session> unmended = Session::open(path, {}, as_it_is);
  ASSERT_TRUE(unmended) << unmended.error().message;
  for (const std::string& note : unmended->notes()) EXPECT_THAT(note, ::testing::Not(HasSubstr("residual_identity")));
}

TEST_F(RunFiles, a_batch_that_the_network_cannot_take_is_told_with_the_node) {
  const std::string path = model("graph (x: f32[1,4]) -> (y) {\n  y = Softmax(x, axis=0) @mixes\n}\n");
  SessionSpec spec;
  spec.batch = 8;
  const Result<Session> session = Session::open(path, spec);
  ASSERT_TRUE(session) << session.error().message;
  EXPECT_EQ(session->batch(), 1);
  ASSERT_FALSE(session->notes().empty());
  EXPECT_THAT(session->notes().front(),
              AllOf(HasSubstr("--batch 8 is not possible, the batch stays 1: "), HasSubstr("node 'mixes' (Softmax)")));
  spec.batch_if_free = true;
  const Result<Session> silent = Session::open(path, spec);
  ASSERT_TRUE(silent);
  EXPECT_TRUE(silent->notes().empty());
  const Result<Model> loaded = Model::load(path);
  ASSERT_TRUE(loaded);
  BuildSpec build;
  build.session.batch = 8;
  const Result<EngineFile> plan = build_engine(*loaded, build);
  ASSERT_TRUE(plan) << plan.error().message;
  ASSERT_FALSE(plan->notes().empty());
  EXPECT_THAT(plan->notes().front(), AllOf(HasSubstr("the batch stays 1: "), HasSubstr("node 'mixes' (Softmax)")));
}

}  // namespace
}  // namespace octet
