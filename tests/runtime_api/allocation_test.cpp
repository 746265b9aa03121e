// The runtime library allocates nothing while it runs. A file of its own, since its operator new is the whole
// program's.

#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <new>
#include <vector>

#include "octet/runtime.h"

namespace {

std::atomic<long> allocations = 0;

}  // namespace

// The whole process's, the library's too: it imports operator new.
void* operator new(size_t bytes) {
  ++allocations;
  if (void* at = std::malloc(bytes ? bytes : 1)) return at;
  throw std::bad_alloc();
}
void operator delete(void* at) noexcept { std::free(at); }
void operator delete(void* at, size_t) noexcept { std::free(at); }

namespace {

using octet::runtime::Context;
using octet::runtime::Engine;

TEST(Runtime, allocates_nothing_while_it_runs) {
  octet::runtime::Options options;
  options.threads = 2;
  for (const char* plan : {OCTET_COMPAT_PLAN, OCTET_PROFILE_PLAN}) {
    const octet::Result<Engine> engine = Engine::load(plan, options);
    ASSERT_TRUE(engine);
    octet::Result<Context> context = engine->context();
    ASSERT_TRUE(context);
    std::vector<float> x(engine->inputs()[0].bytes / 4), y(engine->outputs()[0].bytes / 4);
    const void* in[] = {x.data()};
    void* out[] = {y.data()};
    const long before = allocations;
    bool right = true;
    for (int i = 0; i < 20; ++i) right = context->run(in, out).has_value() && right;
    const long during = allocations - before;
    EXPECT_TRUE(right);
    EXPECT_EQ(during, 0) << "the first run too: nothing is made lazily";
    EXPECT_GT(before, 0) << "the count sees the library's allocations";
  }
}

}  // namespace
