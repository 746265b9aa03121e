// A file for one sample written for any number of them.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <vector>

#include "octet/free_batch.h"
#include "octet/session.h"

namespace octet {
namespace {

std::string model_path(const char* name) {
  return std::string(std::getenv("OCTET_DATA")) + "/models/" + name + ".onnx";
}

std::vector<float> logits(const Model& model, int64_t batch, const std::vector<float>& x) {
  SessionSpec spec;
  spec.batch = batch;
  Result<Session> session = Session::build(model, spec);
  if (!session) return ADD_FAILURE() << session.error().message, std::vector<float>();
  EXPECT_EQ(session->batch(), batch);
  EXPECT_EQ(session->inputs()[0].bytes, x.size() * sizeof(float));
  std::vector<float> y(session->outputs()[0].bytes / sizeof(float));
  const std::byte* const in = reinterpret_cast<const std::byte*>(x.data());
  std::byte* const out = reinterpret_cast<std::byte*>(y.data());
  const Result<Done> ran = session->run(std::span(&in, 1), std::span(&out, 1));
  EXPECT_TRUE(ran) << ran.error().message;
  return y;
}

class FreeBatchFile : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    if (!std::getenv("OCTET_DATA")) GTEST_SKIP() << "OCTET_DATA is not set";
  }
};

TEST_P(FreeBatchFile, gives_each_sample_the_bytes_of_its_own_run) {
  const Result<Model> one = Model::load(model_path(GetParam()));
  ASSERT_TRUE(one) << one.error().message;
  ASSERT_EQ(one->inputs()[0].shape, "[1,3,32,32]");
  const Result<Model> free = with_free_batch(*one);
  ASSERT_TRUE(free) << free.error().message;
  const std::string path = testing::TempDir() + "octet_free_batch.onnx";
  ASSERT_TRUE(free->save(path));
  const Result<Model> read = Model::load(path);
  std::remove(path.c_str());
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->inputs()[0].shape, "[N,3,32,32]");
  std::vector<float> x, expected;
  for (int i = 0; i < 3 * 3072; ++i) x.push_back(static_cast<float>(i * 7919 % 1009) / 300.0f - 1.5f);
  for (int64_t s = 0; s < 3; ++s) {
    const std::vector<float> y = logits(*one, 1, {x.begin() + s * 3072, x.begin() + (s + 1) * 3072});
    expected.insert(expected.end(), y.begin(), y.end());
  }
  EXPECT_EQ(logits(*read, 3, x), expected);
  EXPECT_EQ(free->repairs().back().repair, "free_batch");
  EXPECT_EQ(free->repairs().back().after, "[N,3,32,32]");
}

INSTANTIATE_TEST_SUITE_P(Models, FreeBatchFile,
                         testing::Values("resnet18_cifar10", "mobilenet_v2_cifar10_int8_qlinear"),
                         [](const auto& each) { return std::string(each.param); });

TEST(FreeBatchOfFile, names_the_node_that_mixes_samples_and_leaves_a_free_one_alone) {
  if (!std::getenv("OCTET_DATA")) GTEST_SKIP() << "OCTET_DATA is not set";
  LoadOptions as_it_is;
  as_it_is.repair = false;
  const Result<Model> dynamic = Model::load(model_path("mobilenet_v2_cifar10_224_ort_dynamic"), as_it_is);
  ASSERT_TRUE(dynamic) << dynamic.error().message;
  if (dynamic->inputs()[0].shape.starts_with("[1,")) {
    const Result<Model> freed = with_free_batch(*dynamic);
    ASSERT_FALSE(freed);
    EXPECT_THAT(freed.error().message, testing::HasSubstr("the batch cannot be made free: node '"));
  }
  const Result<Model> free = Model::load(model_path("resnet18_c10"));
  ASSERT_TRUE(free) << free.error().message;
  const Result<Model> same = with_free_batch(*free);
  ASSERT_TRUE(same) << same.error().message;
  EXPECT_EQ(same->hash(), free->hash());
  EXPECT_TRUE(same->repairs().empty());
}

}  // namespace
}  // namespace octet
