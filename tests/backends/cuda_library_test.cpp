// Libraries that are opened at run time where they are found: where they are looked for, what is said where there is
// none, and the convolutions of one on the GPU.
#ifdef OCTET_TEST_CUDA
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "backends/cpu/cpu_backend.h"
#include "backends/cuda/cublas.h"
#include "backends/cuda/cuda_backend.h"
#include "backends/cuda/cudnn.h"
#include "backends/cuda/libraries.h"
#include "backends/running.h"
#include "base/isa.h"

namespace octet {
namespace {

using testing::Contains;
using testing::HasSubstr;

/// An environment variable with another value for a while.
class Variable {
 public:
  Variable(const char* name, const std::string& value) : name_(name) {
    if (const char* before = std::getenv(name)) before_ = before, was_set_ = true;
    setenv(name, value.c_str(), 1);
  }
  ~Variable() { was_set_ ? setenv(name_, before_.c_str(), 1) : unsetenv(name_); }
  Variable(const Variable&) = delete;
  Variable& operator=(const Variable&) = delete;

 private:
  const char* name_;
  std::string before_;
  bool was_set_ = false;
};

TEST(CudaLibrary, is_looked_for_in_python_environments_and_in_the_toolkit) {
  const std::filesystem::path root =
      std::filesystem::path(testing::TempDir()) / ("octet_environment_" + std::to_string(getpid()));
  const std::filesystem::path lib = root / "lib/python3.12/site-packages/nvidia/cudnn/lib";
  std::filesystem::create_directories(lib);
  std::filesystem::create_directories(root / "bin");
  std::ofstream(lib / "libcudnn.so.9") << "not a library";
  std::ofstream(root / "bin/python3") << "";
  const std::string wanted = (lib / "libcudnn.so.9").string();
  {
    const Variable environment("VIRTUAL_ENV", root.string());
    EXPECT_THAT(cuda::library_places({"libcudnn.so.9"}), Contains(wanted));
  }
  {
    const Variable path("PATH", (root / "bin").string() + ":/usr/bin");
    const std::vector<std::string> places = cuda::library_places({"libcudnn.so.9"});
    EXPECT_EQ(places.at(0), "libcudnn.so.9");  // the loader's own paths come first
    EXPECT_THAT(places, Contains(wanted));
  }
  EXPECT_EQ(cuda::open_first({wanted}), nullptr);
  std::filesystem::remove_all(root);
}

TEST(CudaLibrary, that_is_missing_or_not_whole_is_said_so) {
  EXPECT_THAT(cuda::cudnn_missing_in({}), HasSubstr("cuDNN was not found (libcudnn.so.9"));
  EXPECT_THAT(cuda::cudnn_missing_in({"/no/such/libcudnn.so.9"}), HasSubstr("cuDNN was not found"));
  EXPECT_THAT(cuda::cudnn_missing_in({"libm.so.6"}), HasSubstr("cannot be used: a function is missing"));
}

struct ConvCase {
  std::string attributes, activation;
  int n, ic, h, w, oc, kernel, oh, ow;
  bool residual;
  bool taken = true;  // by the library
};

std::string text_of(const ConvCase& c) {
  const auto s = [](int v) { return std::to_string(v); };
  const std::string y = "f32[" + s(c.n) + "," + s(c.oc) + "," + s(c.oh) + "," + s(c.ow) + "]";
  return "graph g (x: f32[" + s(c.n) + "," + s(c.ic) + "," + s(c.h) + "," + s(c.w) + "], w: f32[" + s(c.oc) + "," +
         s(c.ic) + "," + s(c.kernel) + "," + s(c.kernel) + "], b: f32[" + s(c.oc) + "]" +
         (c.residual ? ", r: " + y : "") + ") -> (y) {\n  v = Abs(x)\n  c = FusedConv(v, w, b" +
         (c.residual ? ", r" : "") + c.attributes + c.activation + ")\n  y = Neg(c)\n}\n";
}

/// Convolutions by cuDNN, where the machine has it, against the CPU; where it has none the tactic says so.
TEST(Cuda, cudnn_runs_float_convolutions_where_it_is_found) {
  if (!cuda_backend()) GTEST_SKIP() << "not applicable: no GPU";
  const std::string relu = ", activation=\"Relu\"";
  const ConvCase cases[] = {
      {", pads=[1,1,1,1]", relu, 2, 64, 15, 11, 80, 3, 15, 11, true},
      {", pads=[3,3,3,3], strides=[2,2]", relu, 2, 3, 32, 28, 64, 7, 16, 14, false},
      {"", "", 3, 20, 9, 9, 36, 1, 9, 9, false},
      {", pads=[2,2,2,2], dilations=[2,2]", "", 1, 32, 12, 12, 24, 3, 12, 12, true},
      {", pads=[0,0,1,1], strides=[2,2]", relu, 1, 16, 8, 8, 16, 3, 4, 4, false, false},
  };
  for (const ConvCase& c : cases) {
    const Graph graph = graph_with_constants(text_of(c), {"w", "b"}, 3);
    const std::vector<Tensor> inputs = random_inputs(graph, 3);
    const std::vector<Tensor> expected =
        run_graph(graph, cpu::make_backend({.threads = 1, .isa = available_isas().back()}), inputs);
    for (const auto& [options, tolerance] :
         {std::pair(DeviceOptions{.floats = DType::f16, .tune = false}, 2e-3),
          std::pair(DeviceOptions{.tf32 = true, .tune = false}, 2e-3), std::pair(DeviceOptions{.tune = false}, 2e-5)}) {
      Result<std::shared_ptr<Backend>> backend = cuda::make_backend(options, "cudnn");
      ASSERT_TRUE(backend) << backend.error().message;
      const std::string missing = cuda::cudnn_missing();
      bool is_listed = false;
      for (const Tactic& tactic : (*backend)->tactics(graph, 1)) {
        if (tactic.name != "conv_float cudnn") continue;
        is_listed = true;
        EXPECT_EQ(tactic.refused, missing);
      }
      EXPECT_TRUE(is_listed);
      Result<std::shared_ptr<const Engine>> engine = Engine::build(graph, *backend);
      ASSERT_TRUE(engine) << engine.error().message;
      const bool ran = (*engine)->program().step_note(1) == "cudnn";
      if (missing.empty() && c.taken && options.floats == DType::f16) {
        EXPECT_TRUE(ran) << text_of(c);
      }
      if (!c.taken || !missing.empty()) {
        EXPECT_FALSE(ran) << text_of(c);
      }
      if (missing.empty())
        std::printf("[ cudnn    ] %s: %s\n", (*backend)->description().c_str(), ran ? "ran" : "not taken");
      Result<Context> context = Context::make(*engine);
      ASSERT_TRUE(context) << context.error().message;
      for (int run = 0; run < 2; ++run)
        expect_close(run_context(*context, inputs)[0], expected[0], {tolerance},
                     (*backend)->description() + text_of(c));
    }
  }
}

}  // namespace
}  // namespace octet
#endif
