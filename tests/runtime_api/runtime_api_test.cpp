// liboctet_runtime by its two public headers only, on the plan of the first released format.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sys/mman.h>
#include <unistd.h>

#include <cmath>
#include <cstring>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "octet/runtime.h"
#include "octet_runtime.h"

namespace {

using octet::runtime::Context;
using octet::runtime::Engine;
using testing::HasSubstr;

constexpr char k_plan[] = OCTET_COMPAT_PLAN, k_profile_plan[] = OCTET_PROFILE_PLAN;

std::vector<float> picture(float phase) {
  std::vector<float> x(3 * 32 * 32);
  for (size_t i = 0; i < x.size(); ++i) x[i] = 100.0f + 100.0f * std::sin(static_cast<float>(i) * 0.37f + phase);
  return x;
}

std::vector<float> run(Context& context, const std::vector<float>& x) {
  std::vector<float> y(10);
  const void* in[] = {x.data()};
  void* out[] = {y.data()};
  const octet::Result<octet::Done> ran = context.run(in, out);
  EXPECT_TRUE(ran) << ran.error().message;
  return y;
}

std::string bytes_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

TEST(Runtime, loads_a_plan_and_says_what_goes_in_and_out) {
  const octet::Result<Engine> engine = Engine::load(k_plan);
  ASSERT_TRUE(engine) << engine.error().message;
  ASSERT_EQ(engine->inputs().size(), 1u);
  EXPECT_EQ(engine->inputs()[0].name, "input");
  EXPECT_EQ(engine->inputs()[0].dtype, "f32");
  EXPECT_EQ(engine->inputs()[0].dims, (std::vector<int64_t>{1, 3, 32, 32}));
  EXPECT_EQ(engine->outputs()[0].bytes, 40u);
  EXPECT_THAT(engine->description(), HasSubstr("cpu"));
  EXPECT_TRUE(engine->notes().empty());
}

TEST(Runtime, answers_the_same_from_file_and_memory_on_cpu_and_ref) {
  const std::string bytes = bytes_of(k_plan);
  const auto memory = std::as_bytes(std::span(bytes));
  octet::runtime::Options ref;
  ref.device = "ref";
  std::vector<std::vector<float>> answers;
  for (const octet::Result<Engine>& engine : {Engine::load(k_plan), Engine::load(memory), Engine::load(k_plan, ref)}) {
    ASSERT_TRUE(engine) << engine.error().message;
    octet::Result<Context> context = engine->context();
    ASSERT_TRUE(context);
    answers.push_back(run(*context, picture(0)));
  }
  EXPECT_EQ(answers[0], answers[1]);
  EXPECT_EQ(answers[0], answers[2]);
}

TEST(Runtime, runs_four_contexts_at_once_on_one_engine) {
  octet::runtime::Options options;
  options.threads = 2;
  const octet::Result<Engine> engine = Engine::load(k_plan, options);
  ASSERT_TRUE(engine);
  std::vector<int> right(4, 0);
  std::vector<std::thread> threads;
  for (size_t t = 0; t < right.size(); ++t)
    threads.emplace_back([&, t] {
      octet::Result<Context> context = engine->context();
      const std::vector<float> x = picture(static_cast<float>(t)), expected = run(*context, x);
      for (int round = 0; round < 50; ++round) right[t] += run(*context, x) == expected;
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_THAT(right, testing::Each(50));
}

/// Memory of exactly these bytes that ends where no page is: a read or write behind it is a signal.
class Guarded {
 public:
  explicit Guarded(size_t bytes) : page_(static_cast<size_t>(::sysconf(_SC_PAGESIZE))) {
    pages_ = (bytes + page_ - 1) / page_ * page_;
    memory_ = static_cast<std::byte*>(
        ::mmap(nullptr, pages_ + page_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    EXPECT_NE(static_cast<void*>(memory_), MAP_FAILED);
    EXPECT_EQ(::mprotect(memory_ + pages_, page_, PROT_NONE), 0);
    data_ = memory_ + pages_ - bytes;
  }
  Guarded(const Guarded&) = delete;
  Guarded& operator=(const Guarded&) = delete;
  ~Guarded() { ::munmap(memory_, pages_ + page_); }
  void make_read_only() { EXPECT_EQ(::mprotect(memory_, pages_, PROT_READ), 0); }
  std::byte* data() { return data_; }

 private:
  size_t page_, pages_ = 0;
  std::byte *memory_ = nullptr, *data_ = nullptr;
};

// Buffers without a byte to spare on either side's behalf: the input cannot be written, neither can be left.
TEST(Runtime, stays_inside_the_callers_buffers) {
  for (const int64_t batch : {1, 2, 5}) {
    octet::runtime::Options options;
    options.batch = batch;
    const octet::Result<Engine> engine = Engine::load(k_profile_plan, options);
    ASSERT_TRUE(engine) << engine.error().message;
    octet::Result<Context> context = engine->context();
    ASSERT_TRUE(context);
    Guarded x(engine->inputs()[0].bytes), y(engine->outputs()[0].bytes);
    std::vector<float> expected(10 * static_cast<size_t>(batch)), all;
    for (int64_t n = 0; n < batch; ++n) {
      const std::vector<float> one = picture(static_cast<float>(n));
      all.insert(all.end(), one.begin(), one.end());
    }
    std::memcpy(x.data(), all.data(), engine->inputs()[0].bytes);
    x.make_read_only();
    const void *in[] = {x.data()}, *roomy_in[] = {all.data()};
    void *out[] = {y.data()}, *roomy_out[] = {expected.data()};
    ASSERT_TRUE(context->run(in, out));
    ASSERT_TRUE(context->run(roomy_in, roomy_out));
    EXPECT_EQ(std::memcmp(y.data(), expected.data(), engine->outputs()[0].bytes), 0);
  }
}

TEST(Runtime, a_context_outlives_its_engine) {
  octet::Result<Context> context = [] { return Engine::load(k_plan)->context(); }();
  ASSERT_TRUE(context);
  EXPECT_EQ(run(*context, picture(1)).size(), 10u);
}

// tests/compat/format_1_profile.plan: the demo network for batches 1 to 8, best 2, with packed weights and tuning of
// one machine (which others leave out).
TEST(Runtime, engines_of_other_batches_share_weights_and_answer_the_same) {
  octet::Result<Engine> two = Engine::load(k_profile_plan);
  ASSERT_TRUE(two) << two.error().message;
  EXPECT_EQ(two->inputs()[0].dims[0], 2);
  const octet::Result<Engine> five = two->at(5);
  ASSERT_TRUE(five) << five.error().message;
  ASSERT_EQ(five->inputs()[0].dims[0], 5);
  std::vector<float> x, y(50);
  for (int i = 0; i < 5; ++i) {
    const std::vector<float> one = picture(static_cast<float>(i));
    x.insert(x.end(), one.begin(), one.end());
  }
  two = octet::Error{octet::ErrorCode::internal, ""};  // the second engine keeps what it needs
  octet::Result<Context> context = five->context();
  ASSERT_TRUE(context);
  const void* in[] = {x.data()};
  void* out[] = {y.data()};
  ASSERT_TRUE(context->run(in, out));
  const octet::Result<Engine> one = five->at(1);
  ASSERT_TRUE(one);
  octet::Result<Context> alone = one->context();
  for (int i = 0; i < 5; ++i)
    EXPECT_EQ(run(*alone, picture(static_cast<float>(i))),
              std::vector<float>(y.begin() + 10 * i, y.begin() + 10 * i + 10));
  EXPECT_THAT(five->at(9).error().message,
              HasSubstr("[9,3,32,32] was asked for, the plan was built for [1,3,32,32] to"));
  const octet::Result<Engine> fixed = Engine::load(k_plan);
  ASSERT_TRUE(fixed);
  EXPECT_TRUE(fixed->at(1)) << "its own shape";
  EXPECT_THAT(fixed->at(2).error().message, HasSubstr("built for one shape only"));
  EXPECT_EQ(octet_engine_at(nullptr, 1), nullptr);
  octet_engine* const first = octet_engine_load(k_profile_plan, 1, 0);
  octet_engine* const third = octet_engine_at(first, 3);
  octet_engine_free(first);
  ASSERT_NE(third, nullptr) << octet_last_error();
  EXPECT_EQ(octet_input(third, 0).dims[0], 3);
  const int64_t dims[] = {2, 3, 32, 32}, large[] = {9, 3, 32, 32};
  octet_shape shapes[] = {{"input", dims, 4}, {"input", dims, 4}};
  octet_engine* const second = octet_engine_at_shapes(third, shapes, 1);
  octet_engine_free(third);
  ASSERT_NE(second, nullptr) << octet_last_error();
  EXPECT_EQ(octet_input(second, 0).dims[0], 2);
  EXPECT_EQ(octet_output(second, 0).bytes, 80u);
  EXPECT_EQ(octet_engine_at_shapes(second, shapes, 2), nullptr);
  EXPECT_THAT(octet_last_error(), HasSubstr("input 'input' is given two shapes"));
  shapes[0].dims = large;
  EXPECT_EQ(octet_engine_at_shapes(second, shapes, 1), nullptr);
  EXPECT_THAT(octet_last_error(), HasSubstr("[9,3,32,32] was asked for, the plan was built for [1,3,32,32] to"));
  shapes[0] = {"other", dims, 4};
  EXPECT_EQ(octet_engine_at_shapes(second, shapes, 1), nullptr);
  EXPECT_THAT(octet_last_error(), HasSubstr("other"));
  EXPECT_EQ(octet_engine_at_shapes(second, nullptr, 1), nullptr);
  EXPECT_STREQ(octet_last_error(), "shapes is NULL");
  octet_engine_free(second);
}

TEST(Runtime, says_what_is_wrong) {
  EXPECT_THAT(Engine::load("no/such.plan").error().message, HasSubstr("no/such.plan: cannot open"));
  octet::runtime::Options options;
  options.batch = 5;
  EXPECT_THAT(Engine::load(k_plan, options).error().message, HasSubstr("the plan was built for [1,3,32,32] only"));
  std::string bytes = bytes_of(k_plan);
  bytes[bytes.size() / 2] ^= 1;
  EXPECT_THAT(Engine::load(std::as_bytes(std::span(bytes))).error().message, HasSubstr("is corrupted"));
  octet::Result<Context> context = Engine::load(k_plan)->context();
  EXPECT_THAT(context->run({}, {}).error().message, HasSubstr("1 inputs and 1 outputs, given were 0 and 0"));
}

TEST(RuntimeInC, loads_and_runs_like_cpp) {
  octet_engine* engine = octet_engine_load(k_plan, 1, 0);
  ASSERT_NE(engine, nullptr) << octet_last_error();
  EXPECT_EQ(octet_input_count(engine), 1u);
  EXPECT_EQ(octet_output_count(engine), 1u);
  const octet_port in = octet_input(engine, 0);
  EXPECT_STREQ(in.name, "input");
  ASSERT_EQ(in.rank, 4u);
  EXPECT_EQ(in.dims[3], 32);
  EXPECT_EQ(octet_input(engine, 1).name, nullptr);
  octet_context* context = octet_context_new(engine);
  ASSERT_NE(context, nullptr) << octet_last_error();
  octet_engine_free(engine);
  const std::vector<float> x = picture(0);
  std::vector<float> y(10);
  const void* inputs[] = {x.data()};
  void* outputs[] = {y.data()};
  EXPECT_EQ(octet_run(context, inputs, outputs), 0) << octet_last_error();
  octet_context_free(context);
  octet::Result<Context> cpp = Engine::load(k_plan)->context();
  EXPECT_EQ(y, run(*cpp, x));
}

template <class T>
void put(std::string& bytes, size_t at, T value) {
  std::memcpy(bytes.data() + at, &value, sizeof value);
}

/// The plan of one shape with one more key at the end of its last section, provenance, and all checksums right
/// (docs/plan_format.md).
std::string stamped_plan(const std::string& key, const std::string& value) {
  constexpr size_t k_row = 128 + 2 * 128;
  std::string bytes = bytes_of(k_plan);
  uint32_t sections = 0, keys = 0;
  uint64_t at = 0;
  std::memcpy(&sections, bytes.data() + 32, 4);
  std::memcpy(&at, bytes.data() + k_row + 8, 8);
  std::memcpy(&keys, bytes.data() + at, 4);
  EXPECT_EQ(sections, 3u);
  put(bytes, at, keys + 1);
  for (const std::string& text : {key, value}) {
    bytes.resize(bytes.size() + 4);
    put(bytes, bytes.size() - 4, static_cast<uint32_t>(text.size()));
    bytes += text;
  }
  put(bytes, 16, uint64_t{bytes.size()});
  put(bytes, k_row + 16, uint64_t{bytes.size() - at});
  put(bytes, k_row + 24, uint64_t{XXH3_64bits(bytes.data() + at, bytes.size() - at)});
  const std::string checked = bytes.substr(0, 120) + bytes.substr(128, 3 * 128);
  put(bytes, 120, uint64_t{XXH3_64bits(checked.data(), checked.size())});
  return bytes;
}

TEST(RuntimeInC, tells_that_a_plan_is_not_calibrated) {
  octet_engine* const calibrated = octet_engine_load(k_plan, 1, 0);
  EXPECT_EQ(octet_note_count(calibrated), 0u);
  EXPECT_EQ(octet_note(calibrated, 0), nullptr);
  octet_engine_free(calibrated);
  const std::string bytes = stamped_plan("uncalibrated", "yes");
  octet_engine* const engine = octet_engine_load_memory(bytes.data(), bytes.size(), 1, 0);
  ASSERT_NE(engine, nullptr) << octet_last_error();
  ASSERT_EQ(octet_note_count(engine), 1u);
  EXPECT_THAT(octet_note(engine, 0), HasSubstr("UNCALIBRATED"));
  EXPECT_EQ(octet_note(engine, 1), nullptr);
  EXPECT_EQ(octet_note_count(nullptr), 0u);
  EXPECT_EQ(octet_note(nullptr, 0), nullptr);
  octet_engine_free(engine);
}

TEST(RuntimeInC, gives_null_and_a_text_on_errors) {
  EXPECT_EQ(octet_engine_load("no/such.plan", 1, 0), nullptr);
  EXPECT_THAT(octet_last_error(), HasSubstr("no/such.plan"));
  EXPECT_EQ(octet_engine_load(nullptr, 1, 0), nullptr);
  EXPECT_STREQ(octet_last_error(), "path is NULL");
  EXPECT_EQ(octet_engine_load_memory("not a plan", 10, 1, 0), nullptr);
  EXPECT_THAT(octet_last_error(), HasSubstr("is not a plan file"));
  EXPECT_EQ(octet_engine_load(k_plan, -1, 0), nullptr);
  EXPECT_EQ(octet_context_new(nullptr), nullptr);
  EXPECT_EQ(octet_run(nullptr, nullptr, nullptr), 1);
  octet_engine_free(nullptr);
  octet_context_free(nullptr);
}

}  // namespace
