// Times one network on a GPU, transfers and compute apart, as one JSON object.
// usage: octet_gpu_bench MODEL.onnx fp32|tf32|fp16|int8 BATCH [--layers] [--times FILE]
//
// --times writes what was measured of every way to run a layer or a row of layers; what the file knows already is not
// measured again.
// int8: MODEL holds Q/DQ nodes. compute_ms: median over 30 samples of the time of one run inside a row of runs (a CUDA
// graph launched back to back, inputs already in device memory); single_ms: one run between two events. wall_ms: host
// buffers in and out, one at a time, by the host's clock. --layers adds what each layer adds to the time of a run. A
// row of steps that one kernel runs is told at its last step: TOPS count the products of all of them, GB/s the values
// that come from memory and go there (a float of an FP16 run is two bytes), each once. What a start costs: open_ms
// opens the device, load_ms prepares the network with the tiles named as a plan names them, context_ms makes a context.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <set>
#include <string>

#include "backends/open.h"
#include "ir/op.h"
#include "onnx/onnx.h"
#include "passes/passes.h"
#include "plan/timing_cache.h"
#include "runtime/engine.h"

namespace octet {
namespace {

using Clock = std::chrono::steady_clock;

double median(std::vector<double> v) {
  std::nth_element(v.begin(), v.begin() + static_cast<ptrdiff_t>(v.size() / 2), v.end());
  return v[v.size() / 2];
}

Result<Graph> fused_graph(const std::string& path, int64_t batch) {
  Result<OnnxModel> model = read_onnx(path);
  if (!model) return model.error();
  Graph graph = std::move(model->graph);
  if (auto cleaned = run_stage(graph, Stage::clean); !cleaned) return cleaned.error();
  if (auto bound = bind_shapes(graph, {.batch = batch, .shapes = {}}); !bound) return bound.error();
  if (auto cleaned = run_stage(graph, Stage::clean); !cleaned) return cleaned.error();
  if (auto fused = run_stage(graph, Stage::fuse); !fused) return fused.error();
  return graph;
}

/// Multiply-accumulates of a convolution or matrix product with constant weights.
double macs_of(const Graph& graph, const Node& node) {
  const std::string_view op = node.op->name;
  if (op != "FusedConv" && op != "Conv" && op != "QuantConv" && op != "FusedGemm" && op != "QuantGemm") return 0;
  const Dims w = *known_dims(*graph.value(node.inputs[1]).shape), y = *known_dims(*graph.value(node.outputs[0]).shape);
  return static_cast<double>(*element_count(y)) * static_cast<double>(*element_count(w)) / static_cast<double>(w[0]);
}

/// What a row of nodes that one kernel runs reads and writes: values made inside the row stay there.
double bytes_of(const Graph& graph, const std::vector<const Node*>& row, size_t float_bytes) {
  std::set<ValueId> made, counted;
  for (const Node* node : row) made.insert(node->outputs.begin(), node->outputs.end());
  double bytes = 0;
  const auto count = [&](ValueId v) {
    if (v == k_absent || !counted.insert(v).second) return;
    const Value& value = graph.value(v);
    const size_t size = value.dtype == DType::f32 ? float_bytes : size_of(value.dtype);
    bytes += static_cast<double>(element_count(*known_dims(*value.shape)).value_or(0)) * static_cast<double>(size);
  };
  for (const Node* node : row)
    for (const ValueId v : node->inputs)
      if (!made.contains(v)) count(v);
  for (const ValueId v : row.back()->outputs) count(v);
  return bytes;
}

struct Buffers {
  std::vector<std::vector<std::byte>> owned;
  Bindings io;
};

Buffers buffers_for(const Engine& engine) {
  Buffers made;
  std::mt19937 random(1);
  std::uniform_real_distribution<float> uniform(-1.0f, 1.0f);
  const Graph& graph = engine.plan().graph;
  for (const bool is_input : {true, false}) {
    for (const ValueId v : is_input ? graph.inputs : graph.outputs) {
      const Value& value = graph.value(v);
      const Dims dims = *known_dims(*value.shape);
      std::vector<std::byte> bytes(static_cast<size_t>(*element_count(dims)) * size_of(value.dtype));
      for (size_t i = 0; is_input && i + 4 <= bytes.size(); i += 4) {
        const float x = uniform(random);
        std::memcpy(bytes.data() + i, &x, 4);
      }
      made.owned.push_back(std::move(bytes));
      auto& views = is_input ? made.io.inputs : made.io.outputs;
      views.push_back(TensorView::dense(value.dtype, dims, made.owned.back().data()));
    }
  }
  return made;
}

int fail(const std::string& message) {
  std::fprintf(stderr, "octet_gpu_bench: %s\n", message.c_str());
  return 1;
}

Result<Done> print_layers(Context& context, const Buffers& buffers, size_t float_bytes) {
  std::vector<double> seconds;
  if (Result<Done> ok = context.run(buffers.io, {.tap = {}, .step_seconds = &seconds}); !ok) return ok;
  const Plan& plan = context.engine().plan();
  std::printf(", \"layer_times\": \"added to the run\", \"layers\": [");
  std::vector<const Node*> row;
  for (size_t i = 0; i < plan.steps.size(); ++i) {
    const Node& node = plan.graph.node(plan.steps[i].node);
    const std::string note = context.engine().program().step_note(i);
    row.push_back(&node);
    const bool ends = note != "in the step after it";
    double macs = 0;
    for (const Node* of : row) macs += ends ? macs_of(plan.graph, *of) : 0;
    const double bytes = ends ? bytes_of(plan.graph, row, float_bytes) : 0;
    if (ends) row.clear();
    const double us = seconds[i] * 1e6;
    std::printf(
        "%s\n {\"op\": \"%s\", \"y\": \"%s\", \"tactic\": \"%s %s\", \"us\": %.2f, \"tops\": %.1f, \"gb_s\": %.0f}",
        i ? "," : "", std::string(node.op->name).c_str(), to_string(*plan.graph.value(node.outputs[0]).shape).c_str(),
        plan.steps[i].tactic.c_str(), note.c_str(), us, us > 0 ? macs * 2 / us / 1e6 : 0,
        us > 0 ? bytes / us / 1e3 : 0);
  }
  std::printf("]");
  return Done{};
}

double ms_since(Clock::time_point start) {
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

/// What loading costs where the tiles are known, as from a plan.
Result<Done> print_load(Graph graph, const std::shared_ptr<Backend>& backend, const TacticChoice& choice) {
  auto start = Clock::now();
  const Result<std::shared_ptr<const Engine>> engine = Engine::build(std::move(graph), backend, choice);
  if (!engine) return engine.error();
  std::printf(", \"load_ms\": %.1f", ms_since(start));
  start = Clock::now();
  const Result<Context> context = Context::make(*engine);
  if (!context) return context.error();
  std::printf(", \"context_ms\": %.1f", ms_since(start));
  return Done{};
}

int measure(const std::string& path, const std::string& precision, int64_t batch, bool layers, const char* times_file) {
  Result<Graph> graph = fused_graph(path, batch);
  if (!graph) return fail(graph.error().message);
  BackendOptions options;
  options.device.floats = precision == "fp16" ? DType::f16 : DType::f32;
  options.device.tf32 = precision == "tf32";
  auto start = Clock::now();
  const Result<std::shared_ptr<Backend>> backend = open_backend("cuda", options);
  if (!backend) return fail(backend.error().message);
  const double open_ms = ms_since(start);
  const auto measured = std::make_shared<TimingCache>();
  if (times_file) {
    Result<TimingCache> known = TimingCache::load(times_file);
    if (!known) return fail(known.error().message);
    *measured = *std::move(known);
    (*backend)->use_times(measured);
  }
  start = Clock::now();
  Graph again = *graph;  // a plan gives up the weights that are packed
  Result<std::shared_ptr<const Engine>> engine = Engine::build(std::move(*graph), *backend);
  if (!engine) return fail(engine.error().message);
  for (const std::string& refusal : (*engine)->program().refusals())
    std::fprintf(stderr, "does not run, left out: %s\n", refusal.c_str());
  if (times_file)
    if (Result<Done> ok = measured->save(times_file); !ok) return fail(ok.error().message);
  (*backend)->use_times(nullptr);
  Result<Context> context = Context::make(*engine);
  if (!context) return fail(context.error().message);
  const double build_s = ms_since(start) / 1000;
  const Buffers buffers = buffers_for(**engine);
  std::vector<double> compute, single, h2d, d2h, wall;
  DeviceTimes times;
  const auto run = [&](int repeats) {
    times.repeats = repeats;
    return context->run(buffers.io, {.tap = {}, .device_times = &times});
  };
  for (int i = 0; i < 3; ++i)
    if (Result<Done> ok = run(10); !ok) return fail(ok.error().message);
  const int repeats = std::clamp(static_cast<int>(0.02 / times.compute), 1, 200);
  for (int i = 0; i < 30; ++i) {
    if (Result<Done> ok = run(repeats); !ok) return fail(ok.error().message);
    compute.push_back(times.compute * 1e3);
  }
  for (int i = 0; i < 30; ++i) {
    if (Result<Done> ok = run(1); !ok) return fail(ok.error().message);
    single.push_back(times.compute * 1e3), h2d.push_back(times.h2d * 1e3), d2h.push_back(times.d2h * 1e3);
    const auto begin = Clock::now();
    if (Result<Done> ok = context->run(buffers.io); !ok) return fail(ok.error().message);
    wall.push_back(ms_since(begin));
  }
  std::printf(
      "{\"model\": \"%s\", \"precision\": \"%s\", \"batch\": %ld, \"device\": \"%s\", \"compute_ms\": %.4f, "
      "\"img_per_s\": %.0f, \"single_ms\": %.4f, \"h2d_ms\": %.4f, \"d2h_ms\": %.4f, \"wall_ms\": %.4f, "
      "\"build_s\": %.1f, \"open_ms\": %.1f",
      path.c_str(), precision.c_str(), static_cast<long>(batch), (*backend)->description().c_str(), median(compute),
      static_cast<double>(batch) / median(compute) * 1000, median(single), median(h2d), median(d2h), median(wall),
      build_s, open_ms);
  if (Result<Done> ok = print_load(std::move(again), *backend, (*engine)->program().choice()); !ok)
    return fail(ok.error().message);
  if (layers)
    if (Result<Done> ok = print_layers(*context, buffers, precision == "fp16" ? 2 : 4); !ok)
      return fail(ok.error().message);
  std::printf("}\n");
  return 0;
}

}  // namespace
}  // namespace octet

int main(int argc, char** argv) {
  if (argc < 4) {
    std::fprintf(stderr, "usage: octet_gpu_bench MODEL.onnx fp32|tf32|fp16|int8 BATCH [--layers]\n");
    return 2;
  }
  bool layers = false;
  const char* times = nullptr;
  for (int i = 4; i < argc; ++i) {
    layers = layers || std::strcmp(argv[i], "--layers") == 0;
    if (std::strcmp(argv[i], "--times") == 0 && i + 1 < argc) times = argv[++i];
  }
  return octet::measure(argv[1], argv[2], std::atoll(argv[3]), layers, times);
}
