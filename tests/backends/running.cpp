#include "backends/running.h"

#include <cmath>
#include <random>

#include "backends/cpu/cpu_backend.h"
#include "backends/open.h"
#include "backends/ref/ref.h"
#include "base/isa.h"
#include "ir/op.h"
#include "ir/text.h"
#ifdef OCTET_TEST_CUDA
#include "backends/cuda/cuda_backend.h"
#endif

namespace octet {
namespace {

template <class T, class F>
Tensor filled(DType dtype, const Dims& dims, F&& next) {
  std::vector<T> values(static_cast<size_t>(*element_count(dims)));
  for (T& v : values) v = static_cast<T>(next());
  return Tensor::from<T>(dtype, dims, values);
}

bool ends_in(const std::string& text, const std::string& end) {
  return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

}  // namespace

Tensor random_tensor(DType dtype, const Dims& dims, unsigned seed) {
  std::mt19937 random(seed);
  const auto between = [&](int low, int high) {
    return [&random, low, high] { return std::uniform_int_distribution<int>(low, high)(random); };
  };
  switch (dtype) {
    case DType::u8: return filled<uint8_t>(dtype, dims, between(0, 255));
    case DType::s8: return filled<int8_t>(dtype, dims, between(-128, 127));
    case DType::s32: return filled<int32_t>(dtype, dims, between(-2000, 2000));
    case DType::s64: return filled<int64_t>(dtype, dims, between(-9, 9));
    default: break;
  }
  return filled<float>(dtype, dims, [&] { return std::normal_distribution<float>(0.0f, 1.0f)(random); });
}

Graph graph_with_constants(const std::string& text, const std::set<std::string>& constants, unsigned seed) {
  Result<Graph> parsed = parse_graph(text);
  if (!parsed) {
    ADD_FAILURE() << parsed.error().message << "\n" << text;
    return {};
  }
  Graph graph = *std::move(parsed);
  std::vector<ValueId> inputs;
  for (const ValueId id : graph.inputs) {
    Value& value = graph.value(id);
    if (!constants.contains(value.name)) {
      inputs.push_back(id);
      continue;
    }
    Tensor tensor = random_tensor(value.dtype, *known_dims(*value.shape), ++seed);
    if (value.dtype == DType::f32 && (ends_in(value.name, "scale") || ends_in(value.name, "var"))) {
      std::vector<float> positive(tensor.as<float>().begin(), tensor.as<float>().end());
      for (float& v : positive) v = (0.5f + std::fabs(v)) * (ends_in(value.name, "var") ? 1.0f : 0.005f);
      tensor = f32_tensor(tensor.dims(), positive);
    }
    if (value.dtype == DType::s8) {  // weights: -128 is not a weight code
      std::vector<int8_t> codes(tensor.as<int8_t>().begin(), tensor.as<int8_t>().end());
      for (int8_t& c : codes) c = std::max<int8_t>(c, -127);
      tensor = Tensor::from<int8_t>(DType::s8, tensor.dims(), codes);
    }
    value.constant = tensor;
  }
  graph.inputs = inputs;
  return graph;
}

std::vector<Tensor> random_inputs(const Graph& graph, unsigned seed) {
  std::vector<Tensor> inputs;
  for (const ValueId id : graph.inputs)
    inputs.push_back(random_tensor(graph.value(id).dtype, *known_dims(*graph.value(id).shape),
                                   seed * 1000 + 7 * static_cast<unsigned>(id)));
  return inputs;
}

std::vector<Tensor> run_context(Context& context, const std::vector<Tensor>& inputs, const RunHooks& hooks) {
  const Graph& graph = context.engine().plan().graph;
  Bindings io;
  std::vector<Tensor> outputs;
  for (const Tensor& t : inputs)
    io.inputs.push_back(TensorView::dense(t.dtype(), t.dims(), const_cast<std::byte*>(t.bytes().data())));
  for (const ValueId id : graph.outputs) {
    const Value& value = graph.value(id);
    auto made = Tensor::allocate(value.dtype, *known_dims(*value.shape));
    std::fill_n(made->second, made->first.size_bytes(), std::byte{0xcd});
    io.outputs.push_back(TensorView::dense(value.dtype, made->first.dims(), made->second));
    outputs.push_back(made->first);
  }
  const Result<Done> done = context.run(io, hooks);
  if (!done) {
    ADD_FAILURE() << done.error().message;
    return {};
  }
  return outputs;
}

std::vector<Tensor> run_graph(const Graph& graph, const std::shared_ptr<Backend>& backend,
                              const std::vector<Tensor>& inputs, const RunHooks& hooks) {
  Result<std::shared_ptr<const Engine>> engine = Engine::build(graph, backend);
  if (!engine) {
    ADD_FAILURE() << engine.error().message;
    return {};
  }
  Result<Context> context = Context::make(*engine);
  if (!context) {
    ADD_FAILURE() << context.error().message;
    return {};
  }
  return run_context(*context, inputs, hooks);
}

void expect_close(const Tensor& got, const Tensor& expected, Tolerance tolerance, const std::string& where) {
  ASSERT_EQ(got.dtype(), expected.dtype()) << where;
  ASSERT_EQ(got.dims(), expected.dims()) << where;
  if (tolerance.relative == 0) {
    const std::vector<double> a = to_doubles(got), b = to_doubles(expected);
    for (size_t i = 0; i < a.size(); ++i) {
      if (a[i] != b[i] && !(std::isnan(a[i]) && std::isnan(b[i])))
        FAIL() << where << ": element " << i << " is " << a[i] << ", expected " << b[i];
    }
    return;
  }
  const std::vector<double> a = to_doubles(got), b = to_doubles(expected);
  double largest = 1e-30;
  for (const double v : b) largest = std::max(largest, std::fabs(v));
  for (size_t i = 0; i < a.size(); ++i)
    ASSERT_LE(std::fabs(a[i] - b[i]), tolerance.relative * largest)
        << where << ": element " << i << " is " << a[i] << ", expected " << b[i];
}

Shown shown_values(const Graph& graph, const std::shared_ptr<Backend>& backend, const std::vector<Tensor>& inputs) {
  Shown shown;
  RunHooks hooks;
  hooks.value_tap = [&](std::string_view value, const TensorView& view, int offset) {
    std::vector<double>& into = shown.values[std::string(value)];
    shown.order.emplace_back(value);
    const Dims& d = view.dims;
    const size_t rank = d.size();
    for (int64_t i = 0; i < *element_count(d); ++i) {
      int64_t rest = i, at = 0;
      for (size_t axis = rank; axis-- > 0; rest /= d[axis]) at += rest % d[axis] * view.strides[axis];
      const auto* f = reinterpret_cast<const float*>(view.data);
      const auto* u = reinterpret_cast<const uint8_t*>(view.data);
      into.push_back(view.dtype == DType::f32 ? static_cast<double>(f[at]) : static_cast<double>(u[at] - offset));
    }
  };
  shown.outputs = run_graph(graph, backend, inputs, hooks);
  return shown;
}

void expect_shown(const Shown& got, const Shown& expected, const std::string& where) {
  EXPECT_FALSE(got.values.empty()) << where;
  for (const auto& [value, elements] : got.values) {
    const auto found = expected.values.find(value);
    ASSERT_NE(found, expected.values.end()) << value << ", " << where;
    const std::vector<double>& all = found->second;
    ASSERT_EQ(elements.size(), all.size()) << value << ", " << where;
    int differ = 0;
    for (size_t i = 0; i < all.size(); ++i) differ += std::fmod(elements[i] - all[i], 256) != 0 ? 1 : 0;
    EXPECT_EQ(differ, 0) << value << ", " << where;
  }
}

cpu::SubBatch part_of(const Graph& graph, std::string_view value, Isa isa, int threads, size_t l2_bytes) {
  const auto backend = cpu::make_backend({.threads = threads, .isa = isa, .l2_bytes = l2_bytes});
  const Result<std::shared_ptr<const Plan>> made = make_plan(graph, *backend);
  if (made) {
    const Plan& plan = **made;
    const cpu::Arrangement arranged = cpu::arrange(*made, l2_bytes * static_cast<size_t>(threads), isa, threads);
    for (const cpu::SubBatch& part : arranged.parts)
      for (size_t s = part.first; s < part.last; ++s)
        if (plan.graph.node(plan.steps[s].node).outputs[0] == plan.graph.find_value(value)) return part;
  }
  ADD_FAILURE() << "no step makes " << value;
  return {};
}

NodeId maker(const Graph& graph, std::string_view value) {
  for (NodeId id = 0; id < static_cast<NodeId>(graph.nodes.size()); ++id)
    if (graph.node(id).outputs[0] == *graph.find_value(value)) return id;
  ADD_FAILURE() << "nothing makes " << value;
  return 0;
}

void expect_equal_however_cut(const Graph& graph, Isa isa, const std::vector<std::string_view>& cut, size_t some_images,
                              const std::vector<Tensor>& inputs, const Tensor& expected) {
  for (const int threads : {1, 2, 3, 4}) {
    for (const std::string_view value : cut) {
      const cpu::SubBatch part = part_of(graph, value, isa, threads, some_images);
      EXPECT_GT(part.images, 0) << value;
      EXPECT_EQ(part.by_worker, threads > 1) << value;
    }
    for (const size_t l2 : {size_t{1}, some_images, size_t{1} << 30}) {
      const auto backend = cpu::make_backend({.threads = threads, .isa = isa, .l2_bytes = l2});
      const std::string where =
          std::string(name(isa)) + ", " + std::to_string(threads) + " threads, L2 of " + std::to_string(l2);
      expect_close(run_graph(graph, backend, inputs)[0], expected, k_exact, where);
    }
  }
}

std::shared_ptr<Backend> cuda_backend() {
#ifdef OCTET_TEST_CUDA
  static const Result<std::shared_ptr<Backend>> backend = cuda::make_backend({.tune = false}, "");
#else
  static const Result<std::shared_ptr<Backend>> backend =
      open_backend("cuda", {.threads = 1, .device = {.tune = false}});
#endif
  return backend ? *backend : nullptr;
}

void expect_on_cuda(const Graph& graph, const std::vector<Tensor>& inputs, const std::vector<Tensor>& expected,
                    Tolerance tolerance) {
  const std::shared_ptr<Backend> backend = cuda_backend();
  if (!backend) return;
  Result<std::shared_ptr<const Engine>> engine = Engine::build(graph, backend);
  const std::string where = "cuda, " + print(graph, {.elide_constants = true});
  if (!engine) {  // every op runs there, but not every tensor fits a loop
    EXPECT_EQ(engine.error().code, ErrorCode::unsupported) << engine.error().message << "\n" << where;
    EXPECT_NE(engine.error().message.find("8 dimensions"), std::string::npos) << engine.error().message << "\n"
                                                                              << where;
    return;
  }
  Result<Context> context = Context::make(*engine);
  ASSERT_TRUE(context) << context.error().message;
  const std::vector<Tensor> got = run_context(*context, inputs);
  ASSERT_EQ(got.size(), expected.size()) << where;
  const Tolerance looser{tolerance.relative == 0 ? 0 : std::max(tolerance.relative, 2e-5)};  // the design's for float
  for (size_t i = 0; i < got.size(); ++i) expect_close(got[i], expected[i], looser, where);
}

void expect_cpu_equals_ref(const std::string& text, const std::set<std::string>& constants, Tolerance tolerance,
                           unsigned seed) {
  expect_cpu_equals_ref(graph_with_constants(text, constants, seed), tolerance, seed);
}

void expect_cpu_equals_ref(const Graph& graph, Tolerance tolerance, unsigned seed) {
  const std::vector<Tensor> inputs = random_inputs(graph, seed);
  const std::vector<Tensor> expected = run_graph(graph, make_ref_backend(), inputs);
  ASSERT_EQ(expected.size(), graph.outputs.size());
  for (const Isa isa : available_isas()) {
    for (const int threads : {1, 3}) {
      const std::string where = std::string(name(isa)) + ", " + std::to_string(threads) + " threads, " +
                                print(graph, {.elide_constants = true});
      const std::shared_ptr<Backend> backend = cpu::make_backend({.threads = threads, .isa = isa});
      const std::vector<Tensor> got = run_graph(graph, backend, inputs);
      ASSERT_EQ(got.size(), expected.size()) << where;
      for (size_t i = 0; i < got.size(); ++i) expect_close(got[i], expected[i], tolerance, where);
    }
  }
  expect_on_cuda(graph, inputs, expected, tolerance);
}

}  // namespace octet
