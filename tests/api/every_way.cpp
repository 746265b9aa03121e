// octet_every_way MODEL.onnx INPUTS.npz: runs a network in every way that the CPU back end knows on this machine (ISAs,
// candidates of each layer, threads, cuts of the batch) and holds the outputs against each other and against the
// reference's; a network with float layers that can multiply in BF16 once more with these. One line for each way that
// differs; exit status 1 then. tools/random_networks/check.py drives it.

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>
#include <set>

#include "api/state.h"
#include "backends/cpu/cpu_backend.h"
#include "backends/open.h"
#include "data/npy.h"
#include "ir/op.h"
#include "runtime/engine.h"

namespace octet {
namespace {

using Outputs = std::vector<Tensor>;

Result<Outputs> run(const Graph& graph, const std::shared_ptr<Backend>& backend, const std::vector<Tensor>& inputs,
                    const TacticChoice& choice = {}) {
  const Result<std::shared_ptr<const Engine>> engine = Engine::build(graph, backend, choice);
  if (!engine) return engine.error();
  Result<Context> context = Context::make(*engine);
  if (!context) return context.error();
  const Graph& planned = (*engine)->plan().graph;
  Bindings io;
  for (const Tensor& t : inputs)
    io.inputs.push_back(TensorView::dense(t.dtype(), t.dims(), const_cast<std::byte*>(t.bytes().data())));
  Outputs outputs;
  for (const ValueId id : planned.outputs) {
    const Value& value = planned.value(id);
    Result<std::pair<Tensor, std::byte*>> made = Tensor::allocate(value.dtype, *known_dims(*value.shape));
    if (!made) return made.error();
    std::fill_n(made->second, made->first.size_bytes(), std::byte{0xcd});
    io.outputs.push_back(TensorView::dense(value.dtype, made->first.dims(), made->second));
    outputs.push_back(made->first);
  }
  for (int i = 0; i < 2; ++i)  // what a first run leaves in the arena must not matter
    if (const Result<Done> done = context->run(io); !done) return done.error();
  return outputs;
}

/// Ops that round sums or transcendental functions of floats, which the reference does in double.
bool rounds_floats(const Graph& graph) {
  static const std::set<std::string_view> exact = {
      "Reshape", "Transpose", "Slice",     "Split",    "Concat",  "Gather",       "Pad",
      "Flatten", "Squeeze",   "Unsqueeze", "Identity", "Expand",  "Tile",         "Relu",
      "Clip",    "Add",       "Sub",       "Mul",      "MaxPool", "DepthToSpace", "SpaceToDepth",
      "Min",     "Max",       "FusedAdd",  "Abs",      "Neg",     "Cast",         "QuantizeLinear"};
  return std::any_of(graph.nodes.begin(), graph.nodes.end(), [&](const Node& node) {
    const auto is_float = [&](ValueId v) {
      return v != k_absent && graph.value(v).dtype == DType::f32 && !graph.value(v).constant;
    };
    return std::any_of(node.inputs.begin(), node.inputs.end(), is_float) && !exact.contains(node.op->name);
  });
}

/// How far outputs may lie from the reference's: floats by a part of the largest, codes by so many. Zeros: same bytes.
struct Band {
  double relative = 0, codes = 0;
};
constexpr Band k_exact{}, k_f32{1e-3, 0}, k_bf16{3e-2, 8};
constexpr Band k_codes_of_f32{0.1, 16};  // a code beside its neighbour, and what the layers behind it make of that

Band band_of(const Graph& graph) {
  if (!rounds_floats(graph)) return k_exact;
  return has_codes(graph) ? k_codes_of_f32 : k_f32;
}

/// What is wrong with `got`, or nothing.
std::string difference(const Graph& graph, const Outputs& got, const Outputs& expected, Band band) {
  for (size_t i = 0; i < expected.size(); ++i) {
    if (got[i] == expected[i]) continue;
    const std::vector<double> a = to_doubles(got[i]), b = to_doubles(expected[i]);
    double largest = 1e-30;
    for (const double v : b)
      if (std::isfinite(v)) largest = std::max(largest, std::fabs(v));
    const double allowed = expected[i].dtype() == DType::f32 ? band.relative * largest : band.codes;
    int64_t count = 0, first = -1;
    for (size_t k = 0; k < a.size(); ++k)
      if (!(std::fabs(a[k] - b[k]) <= allowed) && !(std::isnan(a[k]) && std::isnan(b[k])) && a[k] != b[k] &&
          count++ == 0)
        first = static_cast<int64_t>(k);
    if (count == 0) continue;
    char text[200];
    std::snprintf(text, sizeof text, ": %lld of %zu differ, element %lld is %g, expected %g",
                  static_cast<long long>(count), a.size(), static_cast<long long>(first), a[static_cast<size_t>(first)],
                  b[static_cast<size_t>(first)]);
    return "output '" + graph.value(graph.outputs[i]).name + "'" + text;
  }
  return "";
}

/// The t-th candidate of every layer, and the last again where a layer has fewer; empty when none has so many.
TacticChoice candidates(const Graph& graph, const Backend& backend, size_t t) {
  TacticChoice choice;
  bool is_new = false;
  for (NodeId id = 0; id < static_cast<NodeId>(graph.nodes.size()); ++id) {
    std::vector<Tactic> offered = backend.tactics(graph, id);
    std::erase_if(offered, [](const Tactic& tactic) { return !tactic.refused.empty(); });
    choice.push_back(offered.size() < 2 ? "" : offered[std::min(t, offered.size() - 1)].name);
    is_new = is_new || (offered.size() > 1 && t < offered.size());
  }
  return is_new ? choice : TacticChoice();
}

class Judge {
 public:
  Judge(const Graph& graph, std::vector<Tensor> inputs) : graph_(graph), inputs_(std::move(inputs)) {}

  bool run_all(Band band) {
    const Result<Outputs> expected = run(graph_, *open_backend("ref"), inputs_);
    if (!expected) return report("ref", expected.error().message);
    for (const Isa isa : available_isas()) run_isa(isa, *expected, band);
    std::printf("%d ways%s, %d differ\n", ways_, band.relative > 0 ? ", floats are rounded" : "", failures_);
    return failures_ == 0;
  }

 private:
  bool report(const std::string& way, const std::string& what) {
    ++failures_;
    std::printf("%s: %s\n", way.c_str(), what.c_str());
    return false;
  }

  void hold(const std::string& way, const Result<Outputs>& got, const Outputs& expected, Band band) {
    ++ways_;
    const std::string what = got ? difference(graph_, *got, expected, band) : got.error().message;
    if (!what.empty()) report(way, what);
  }

  void run_isa(Isa isa, const Outputs& reference, Band band) {
    const std::string isa_name(name(isa));
    const auto backend = cpu::make_backend({.threads = 1, .isa = isa});
    const Result<Outputs> usual = run(graph_, backend, inputs_);
    hold(isa_name, usual, reference, band);
    if (!usual) return;
    // Within an ISA all is the same to the byte: a float's sum has one order whatever the tile, batch and thread.
    for (size_t t = 0;; ++t) {
      const TacticChoice choice = candidates(graph_, *backend, t);
      if (choice.empty()) break;
      std::string way = isa_name + ", tactics";
      for (const std::string& tactic : choice)
        if (!tactic.empty()) way += " " + tactic + ";";
      hold(way, run(graph_, backend, inputs_, choice), *usual, k_exact);
    }
    for (const int threads : {1, 2, 3})
      for (const size_t l2 : {size_t{1}, size_t{6000}, size_t{40000}, size_t{1} << 30})
        hold(isa_name + ", " + std::to_string(threads) + " threads, L2 of " + std::to_string(l2),
             run(graph_, cpu::make_backend({.threads = threads, .isa = isa, .l2_bytes = l2}), inputs_), *usual,
             k_exact);
  }

  const Graph& graph_;
  std::vector<Tensor> inputs_;
  int ways_ = 0, failures_ = 0;
};

Result<bool> run_every_way(const char* model_path, const char* inputs_path) {
  const Result<Model> model = Model::load(model_path);
  if (!model) return model.error();
  Result<std::vector<std::pair<std::string, Tensor>>> arrays = read_npz(inputs_path);
  if (!arrays) return arrays.error();
  Binding binding{.batch = 1, .shapes = {}};
  for (const auto& [name, tensor] : *arrays) binding.shapes[name] = tensor.dims();
  const Result<Graph> graph = lower(model->state().graph, binding, {});
  if (!graph) return graph.error();
  std::vector<Tensor> inputs;
  for (const ValueId id : graph->inputs)
    for (const auto& [name, tensor] : *arrays)
      if (name == graph->value(id).name) inputs.push_back(tensor);
  const bool is_good = Judge(*graph, inputs).run_all(band_of(*graph));
  Graph shorter = *graph;
  const Result<Changed> changed = bf16_layers(shorter);
  if (!changed) return changed.error();
  return changed->count == 0 ? is_good : Judge(shorter, inputs).run_all(k_bf16) && is_good;
}

}  // namespace
}  // namespace octet

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: octet_every_way MODEL.onnx INPUTS.npz\n");
    return 2;
  }
  const octet::Result<bool> same = octet::run_every_way(argv[1], argv[2]);
  if (!same) std::printf("refused: %s\n", same.error().message.c_str());
  return same && *same ? 0 : 1;
}
