// run() allocates nothing and takes no lock after the first call: operator new, aligned_alloc, mmap and
// pthread_mutex_lock of this whole test program count.

#include <dlfcn.h>
#include <gtest/gtest.h>
#include <pthread.h>
#include <sys/mman.h>

#include <atomic>
#include <cstdlib>
#include <mutex>
#include <new>
#include <string>
#include <utility>

#include "octet/measure.h"
#include "octet/session.h"

namespace {
std::atomic<long> allocations{0}, locks{0};

void* counted(size_t bytes, size_t alignment) {
  allocations.fetch_add(1, std::memory_order_relaxed);
  const size_t rounded = (bytes + alignment - 1) / alignment * alignment;
  void* memory = alignment > alignof(std::max_align_t) ? std::aligned_alloc(alignment, rounded) : std::malloc(bytes);
  if (!memory) throw std::bad_alloc();
  return memory;
}
}  // namespace

// Not inlined: gcc would see free() on what a call of operator new that it did not inline has returned
// (-Wmismatched-new-delete).
void* operator new(size_t bytes) { return counted(bytes ? bytes : 1, 1); }
void* operator new(size_t bytes, std::align_val_t alignment) { return counted(bytes, static_cast<size_t>(alignment)); }
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, size_t) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, size_t, std::align_val_t) noexcept { std::free(memory); }

// A sanitizer has functions of its own by these names.
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
namespace {
template <class F>
F* next_of(const char* name) {
  return reinterpret_cast<F*>(::dlsym(RTLD_NEXT, name));
}
}  // namespace

extern "C" {
void* aligned_alloc(size_t alignment, size_t bytes) noexcept {
  allocations.fetch_add(1, std::memory_order_relaxed);
  return next_of<void*(size_t, size_t)>("aligned_alloc")(alignment, bytes);
}
void* mmap(void* at, size_t bytes, int protection, int flags, int file, off_t offset) noexcept {
  allocations.fetch_add(1, std::memory_order_relaxed);
  return next_of<void*(void*, size_t, int, int, int, off_t)>("mmap")(at, bytes, protection, flags, file, offset);
}
int pthread_mutex_lock(pthread_mutex_t* mutex) noexcept {
  locks.fetch_add(1, std::memory_order_relaxed);
  return next_of<int(pthread_mutex_t*)>("pthread_mutex_lock")(mutex);
}
}
constexpr bool k_sees_locks = true;
#else
constexpr bool k_sees_locks = false;
#endif

namespace octet {
namespace {

struct Network {
  const char* file;
  const char* precision;  // of a Q/DQ file that of its float layers
};

class Allocations : public testing::TestWithParam<Network> {};

TEST_P(Allocations, there_are_none_in_run_after_the_first_call_and_no_locks) {
  const char* root = std::getenv("OCTET_DATA");
  if (!root) GTEST_SKIP() << "OCTET_DATA is not set";
  Result<Model> model = Model::load(std::string(root) + "/models/" + GetParam().file);
  ASSERT_TRUE(model) << model.error().message;
  for (const int threads : {1, 2}) {
    SessionSpec spec;
    spec.precision = GetParam().precision;
    if (spec.precision == "int8") spec.calibration.data.path = "synthetic:2";
    spec.threads = threads;
    spec.batch = 2;
    Result<Session> session = Session::build(*model, spec);
    ASSERT_TRUE(session) << session.error().message;
    Result<TensorBuffers> buffers = TensorBuffers::make(*session);
    ASSERT_TRUE(buffers);
    ASSERT_TRUE(session->run(buffers->run_inputs(), buffers->run_outputs()));
    const long before = allocations.load(), locks_before = locks.load();
    for (int i = 0; i < 5; ++i) {
      if (!session->run(buffers->run_inputs(), buffers->run_outputs())) ADD_FAILURE();
    }
    EXPECT_EQ(allocations.load() - before, 0) << threads << " threads";
    EXPECT_EQ(locks.load() - locks_before, 0) << threads << " threads";
    const std::string* proof = new std::string(100, 'x');  // that the counter counts
    EXPECT_GE(allocations.load() - before, 1);
    delete proof;
    std::mutex mutex;
    mutex.lock();
    mutex.unlock();
    EXPECT_EQ(locks.load() - locks_before, k_sees_locks ? 1 : 0);
  }
}

std::string name_of(const testing::TestParamInfo<Network>& info) {
  std::string name = info.param.file;
  name = name.substr(0, name.find('.')) + "_" + info.param.precision;
  for (char& c : name)
    if (c == '-') c = '_';
  return name;
}

INSTANTIATE_TEST_SUITE_P(
    Networks, Allocations,
    testing::Values(Network{"resnet20_cifar10.onnx", "fp32"}, Network{"resnet20_cifar10.onnx", "bf16"},
                    Network{"resnet20_cifar10_ort_qdq_s8.onnx", "fp32"},
                    Network{"resnet20_cifar10_ort_qdq_s8.onnx", "bf16"}, Network{"resnet18_c10.onnx", "int8"},
                    Network{"mobilenet_v3_small_c10.onnx", "fp32"}, Network{"mobilenet_v3_small_c10.onnx", "bf16"},
                    Network{"mobilenet_v3_small_c10.onnx", "int8"}, Network{"efficientnet_b0_c10.onnx", "int8"},
                    Network{"vit_tiny_c10.onnx", "int8"},
                    Network{"mobilenet_v2_imagenet.onnx", "fp32"},  // whose batch is cut
                    Network{"mobilenet_v2_imagenet.onnx", "bf16"},
                    Network{"mobilenet_v2_imagenet_ort_qdq.onnx", "int8"}),
    name_of);

}  // namespace
}  // namespace octet
