// octet_plan_seeds FOLDER: writes small plans as the fuzzer's first corpus: every kind of attribute, float and integer
// layers, profiles, and for each plan a form with tuning and packed weights of this machine.

#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

#include "backends/open.h"
#include "base/file.h"
#include "ir/text.h"
#include "plan/plan_file.h"
#include "runtime/engine.h"

namespace {

using namespace octet;

/// "{1, -2, ...}" with n small numbers, as f32 or as integers.
std::string numbers(int n, bool real) {
  std::string text = "{";
  for (int i = 0; i < n; ++i) text += (i ? ", " : "") + std::to_string(i * 7 % 11 - 5) + (real ? ".5" : "");
  return text + "}";
}

std::string scales(int n) {
  std::string text = "{";
  for (int i = 0; i < n; ++i) text += (i ? ", 0.0" : "0.0") + std::to_string(1 + i % 9);
  return text + "}";
}

struct Seed {
  const char* name;
  std::string graph;
  ShapeProfile profile = {};
};

std::vector<Seed> seeds() {
  const std::string conv_weights = "  const w: s8[20,5,3,3] = " + numbers(900, false) +
                                   "\n  const s: f32[20] = " + scales(20) +
                                   "\n  const b: s32[20] = " + numbers(20, false) + "\n";
  return {
      {"attributes",
       "graph small (x: f32[2,3,4,4]) -> (y, t) {\n  const w: f32[2,3,1,1] = " + numbers(6, true) +
           "\n  const b: f32[2] = {0.5, -1}\n  const shape: s64[2] = {2, 32}\n"
           "  c = Conv(x, w, b, pads=[0,0,0,0], strides=[1,1]) @conv\n  r = LeakyRelu(c, alpha=0.125) @leaky\n"
           "  t = Cast(r, to=\"s32\")\n  y = Reshape(r, shape)\n}\n"},
      {"int8", "graph q (x: f32[1,5,6,6]) -> (y) {\n  const xs: f32[] = {0.02}\n  const xz: u8[] = {37}\n" +
                   conv_weights + "  const w2: s8[4,20] = " + numbers(80, false) +
                   "\n  const s2: f32[4] = " + scales(4) +
                   "\n  q = QuantizeLinear(x, xs, xz) @q\n"
                   "  c = QuantConv(q, w, s, b, pads=[1,1,1,1], x_scale=0.02, x_zero_point=37, y_scale=0.05, "
                   "y_zero_point=99, activation=\"Relu\", to=\"u8\") @conv\n"
                   "  p = QuantGlobalAveragePool(c, x_scale=0.05, x_zero_point=99, y_scale=0.05, y_zero_point=99, "
                   "to=\"u8\") @pool\n"
                   "  f = Flatten(p, axis=1) @flat\n"
                   "  y = QuantGemm(f, w2, s2, _, x_scale=0.05, x_zero_point=99, to=\"f32\") @fc\n}\n"},
      {"depthwise", "graph d (x: u8[1,16,6,6]) -> (y) {\n  const w: s8[16,1,3,3] = " + numbers(144, false) +
                        "\n  const s: f32[16] = " + scales(16) + "\n  const b: s32[16] = " + numbers(16, false) +
                        "\n  y = QuantConv(x, w, s, b, pads=[1,1,1,1], group=16, x_scale=0.02, x_zero_point=37, "
                        "y_scale=0.05, y_zero_point=99, activation=\"Silu\", to=\"u8\") @dw\n}\n"},
      {"batches",
       "graph p (x: f32[2,3,5,5]) -> (y) {\n  const w: f32[17,3,3,3] = " + numbers(459, true) +
           "\n  c = FusedConv(x, w, _, _, activation=\"Clip\", activation_params=[0.0,6.0]) @conv\n"
           "  m = MaxPool(c, kernel_shape=[2,2]) @max\n  y = Softmax(m, axis=1) @soft\n}\n",
       {{{1, 3, 5, 5}}, {{2, 3, 5, 5}}, {{4, 3, 5, 5}}}},
  };
}

bool write(const std::filesystem::path& path, const PlanFile& plan) {
  const Result<std::vector<std::byte>> bytes = plan_bytes(plan);
  const Result<Done> done = bytes ? write_file_atomically(path.string(), *bytes) : Result<Done>(bytes.error());
  if (!done) std::fprintf(stderr, "%s: %s\n", path.c_str(), done.error().message.c_str());
  return done.has_value();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return std::fputs("usage: octet_plan_seeds FOLDER\n", stderr), 2;
  const std::filesystem::path folder = argv[1];
  for (const Seed& seed : seeds()) {
    PlanFile plan;
    plan.writer = "octet seeds";
    Result<Graph> graph = parse_graph(seed.graph);
    if (!graph) return std::fprintf(stderr, "%s: %s\n", seed.name, graph.error().message.c_str()), 1;
    plan.graph = *std::move(graph);
    for (Node& node : plan.graph.nodes) node.origins = {node.name, "and " + node.name};
    plan.profile = seed.profile;
    plan.provenance = {{"model", seed.name}, {"precision", "int8"}, {"notes", "a note"}};
    if (!write(folder / seed.name, plan)) return 1;
    const Result<std::shared_ptr<Backend>> backend = open_backend("cpu", {.threads = 1});
    const Result<std::shared_ptr<const Engine>> engine =
        backend ? Engine::build(plan.graph, *backend) : Result<std::shared_ptr<const Engine>>(backend.error());
    if (!engine) return std::fprintf(stderr, "%s: %s\n", seed.name, engine.error().message.c_str()), 1;
    TacticChoice tactics;
    for (const Step& step : (*engine)->plan().steps) tactics.push_back(step.tactic);
    plan.tuning = {{(*backend)->device_key(), (*backend)->timing_key(), tactics},
                   {"cpu amx kernels 1", "another CPU, amx, 2 threads, kernels 1", tactics}};
    plan.packed = {*Engine::packed_of(*engine)};
    if (!write(folder / (std::string(seed.name) + "_packed"), plan)) return 1;
  }
}
