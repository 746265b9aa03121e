// In which precision float layers run where another one is asked for.

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <string>

#include "api/state.h"
#include "ir/text.h"
#include "octet/model.h"
#include "octet/session.h"
#include "onnx/onnx.h"

namespace octet {
namespace {

/// What a GPU asked for FP16 runs of a graph with the input x, and what it says of that.
PreparedModel halves_of(const std::string& body) {
  const Result<Graph> graph = parse_graph("graph g (x: f32[1,4]) -> (y) {\n" + body + "\n}\n");
  const std::string path = testing::TempDir() + "octet_halves_" + std::to_string(::getpid()) + ".onnx";
  EXPECT_TRUE(graph && write_onnx_file(path, *graph));
  const Result<Model> model = Model::load(path);
  std::filesystem::remove(path);
  EXPECT_TRUE(model) << model.error().message;
  SessionSpec spec;
  spec.device = "cuda";
  spec.precision = "fp16";
  Result<PreparedModel> prepared = prepare_model(*model, spec);
  EXPECT_TRUE(prepared) << prepared.error().message;
  return *std::move(prepared);
}

TEST(FloatPrecision, is_fp32_on_a_gpu_where_sums_of_integers_become_floats) {
  const PreparedModel plain = halves_of("  const w: f32[4,2] = {1, 2, 3, 4, 5, 6, 7, 8}\n  y = MatMul(x, w)");
  EXPECT_EQ(plain.precision, "fp16");
  EXPECT_TRUE(plain.notes.empty());
  const PreparedModel dynamic = halves_of(
      "  const w: s8[4,2] = {1, 2, 3, 4, 5, 6, 7, 8}\n  q, s, z = DynamicQuantizeLinear(x)\n"
      "  m = MatMulInteger(q, w, z)\n  f = Cast(m, to=\"f32\")\n  y = Mul(f, s)");
  EXPECT_EQ(dynamic.precision, "fp32");
  ASSERT_EQ(dynamic.notes.size(), 1u);
  EXPECT_TRUE(dynamic.notes[0].starts_with("FP16 runs as FP32")) << dynamic.notes[0];
}

}  // namespace
}  // namespace octet
