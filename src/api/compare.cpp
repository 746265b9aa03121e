// Layer by layer: a running quantized engine against the float network on the same samples.
//
// Accumulated error comes from taps of the engine as it runs. Own error runs each step's reference kernel (integer
// layers give the engine's bytes, docs/numerics.md) on the float network's values, quantized as the engine has them.

#include <algorithm>
#include <cmath>
#include <cstring>
#include <set>

#include "api/code_params.h"
#include "api/samples.h"
#include "api/state.h"
#include "ir/op.h"
#include "octet/compare.h"

namespace octet {
namespace {

using Floats = std::map<std::string, Tensor>;  // the float network's values of one sample

Result<Tensor> quantized(const Tensor& values, const QuantParams& p) {
  const int low = p.dtype == DType::s8 ? -128 : 0, high = p.dtype == DType::s8 ? 127 : 255;
  Result<std::pair<Tensor, std::byte*>> made = Tensor::allocate(p.dtype, values.dims());
  if (!made) return made.error();
  const std::span<const float> x = values.as<float>();
  for (size_t i = 0; i < x.size(); ++i) {
    const float code = std::nearbyint(x[i] / p.scale) + static_cast<float>(p.zero_point);
    made->second[i] =
        static_cast<std::byte>(static_cast<int>(std::clamp(std::isnan(code) ? static_cast<float>(p.zero_point) : code,
                                                           static_cast<float>(low), static_cast<float>(high))));
  }
  return made->first;
}

bool has_input(const Node& node, size_t i) { return i < node.inputs.size() && node.inputs[i] != k_absent; }

/// Steps of one name make the same value only where the same neighbours were fused into them.
bool same_fusion(const Node& fused_float, const Node& fused_codes) {
  const auto family = [](const Node& node) {
    const std::string op(node.op->name);
    for (const char* prefix : {"Fused", "Quant"})
      if (op.starts_with(prefix)) return op.substr(5);
    return op;
  };
  return family(fused_float) == family(fused_codes) &&
         string_attribute(fused_float, "activation", "") == string_attribute(fused_codes, "activation", "") &&
         has_input(fused_float, 3) == has_input(fused_codes, 4);
}

/// One step with the figures that it gathers.
struct Layer {
  NodeId node = -1;
  ValueId value = k_absent;
  LayerError error = {};
  int64_t beyond = 0, elements = 0;
  std::set<int64_t> seen = {};
};

class Comparison {
 public:
  Comparison(Session& reference, Session& engine, const Graph& graph)
      : reference_(reference), engine_(engine), graph_(graph), params_(code_params(graph)) {
    for (NodeId n = 0; n < static_cast<NodeId>(graph.nodes.size()); ++n) {
      const Node& node = graph.node(n);
      const ValueId v = node.outputs[0];
      const DType dtype = graph.value(v).dtype;
      Layer layer{n, v};
      layer.error.name = node.name.empty() ? graph.value(v).name : node.name;
      layer.error.op = std::string(node.op->name);
      layer.error.value = graph.value(v).name;
      layer.error.of_input = is_op(node, "QuantizeLinear") &&
                             std::find(graph.inputs.begin(), graph.inputs.end(), node.inputs[0]) != graph.inputs.end();
      layer.error.is_codes = dtype == DType::u8 || dtype == DType::s8;
      if (dtype == DType::f32 || (layer.error.is_codes && params_[static_cast<size_t>(v)]))
        layers_.push_back(std::move(layer));
    }
    name_steps_of_reference();
  }

  /// Both sessions hold the sample in their buffers' inputs.
  Result<Done> add(SampleBuffers& reference_buffers, SampleBuffers& engine_buffers) {
    Floats floats;
    std::optional<Error> error;
    RunHooks hooks;
    hooks.tap = [&](std::string_view value, const TensorView& view) { keep(floats, std::string(value), view, error); };
    if (const Result<Done> ran = reference_buffers.run(reference_, hooks); !ran) return ran.error();
    for (size_t i = 0; i < reference_.inputs().size(); ++i)
      floats[reference_.inputs()[i].name] = f32_tensor(reference_.inputs()[i].dims, reference_buffers.input(i));
    RunHooks engine_hooks;
    std::map<std::string, Tensor> made;
    engine_hooks.value_tap = [&](std::string_view value, const TensorView& view, int offset) {
      Result<Tensor> copy = tapped_tensor(view, offset);
      if (!copy)
        error = copy.error();
      else
        made[std::string(value)] = *std::move(copy);
    };
    if (const Result<Done> done = check_unchanged(engine_buffers, engine_hooks); !done) return done;
    if (error) return *error;
    for (Layer& layer : layers_)
      if (const Result<Done> done = add_layer(layer, floats, made); !done) return done;
    return Done{};
  }

  bool unchanged() const { return unchanged_; }

  std::vector<LayerError> finish() {
    std::vector<LayerError> errors;
    for (Layer& layer : layers_) {
      if (layer.elements > 0)
        layer.error.clipped = static_cast<double>(layer.beyond) / static_cast<double>(layer.elements);
      layer.error.used_codes = static_cast<int64_t>(layer.seen.size());
      errors.push_back(std::move(layer.error));
    }
    return errors;
  }

 private:
  static void keep(Floats& floats, const std::string& name, const TensorView& view, std::optional<Error>& error) {
    Result<Tensor> copy = dense_copy(view);
    if (!copy)
      error = copy.error();
    else
      floats[name] = *std::move(copy);
  }

  /// A step of the float engine and a quantized one of the same name and fusion make the same value, whatever it is
  /// called.
  void name_steps_of_reference() {
    const Graph& reference = reference_.state().engine->plan().graph;
    std::map<std::string, const Node*> by_name;
    for (const Node& node : reference.nodes)
      if (!node.name.empty()) by_name[node.name] = &node;
    for (const Node& node : graph_.nodes) {
      const auto found = by_name.find(node.name);
      if (found != by_name.end() && same_fusion(*found->second, node))
        by_step_[node.outputs[0]] = reference.value(found->second->outputs[0]).name;
    }
  }

  /// Runs the engine without taps and with them: the outputs must be the same bytes.
  Result<Done> check_unchanged(SampleBuffers& buffers, const RunHooks& hooks) {
    if (const Result<Done> ran = buffers.run(engine_, {}); !ran) return ran.error();
    const std::vector<std::vector<std::byte>> before = buffers.copy_outputs();
    if (const Result<Done> ran = buffers.run(engine_, hooks); !ran) return ran.error();
    unchanged_ = unchanged_ && before == buffers.copy_outputs();
    return Done{};
  }

  /// The float network's value for one of the engine's; null when it has none of these dims.
  const Tensor* reference_of(ValueId v, const Floats& floats, std::string* used = nullptr) const {
    const auto fits = [&](const std::string& name) -> const Tensor* {
      const auto found = floats.find(name);
      if (found == floats.end() || !graph_.value(v).shape) return nullptr;
      if (known_dims(*graph_.value(v).shape) != found->second.dims()) return nullptr;
      if (used) *used = name;
      return &found->second;
    };
    if (const Tensor* by_name = fits(float_name(graph_.value(v).name))) return by_name;
    const auto step = by_step_.find(v);
    return step == by_step_.end() ? nullptr : fits(step->second);
  }

  Result<Done> add_layer(Layer& layer, const Floats& floats, const std::map<std::string, Tensor>& made) {
    const auto engine_value = made.find(layer.error.value);
    const Tensor* reference = reference_of(layer.value, floats, &layer.error.reference);
    if (!reference || engine_value == made.end()) return Done{};
    const std::optional<QuantParams>& params = params_[static_cast<size_t>(layer.value)];
    const std::span<const float> x = reference->as<float>();
    const std::vector<double> y = real_values(engine_value->second, params);
    for (size_t i = 0; i < x.size(); ++i) layer.error.accumulated.add(x[i], y[i]);
    if (params) count_codes(layer, x, engine_value->second, *params);
    return add_own(layer, *reference, floats);
  }

  void count_codes(Layer& layer, std::span<const float> x, const Tensor& codes, const QuantParams& p) {
    const int low = p.dtype == DType::s8 ? -128 : 0, high = p.dtype == DType::s8 ? 127 : 255;
    // Half a step beyond the last code is where clipping begins to cost more than rounding.
    const double lo = (low - p.zero_point - 0.5) * static_cast<double>(p.scale);
    const double hi = (high - p.zero_point + 0.5) * static_cast<double>(p.scale);
    for (const float v : x) layer.beyond += v < lo || v > hi;
    layer.elements += static_cast<int64_t>(x.size());
    layer.error.codes = 256;
    for (const double code : to_doubles(codes)) layer.seen.insert(static_cast<int64_t>(code));
  }

  /// The step alone, fed with the float network's values.
  Result<Done> add_own(Layer& layer, const Tensor& reference, const Floats& floats) {
    const Node& node = graph_.node(layer.node);
    std::vector<Tensor> inputs;
    for (const ValueId v : node.inputs) {
      if (v == k_absent || graph_.constant(v)) {
        inputs.push_back(v == k_absent ? Tensor() : *graph_.constant(v));
        continue;
      }
      const Tensor* value = reference_of(v, floats);
      const bool is_codes = graph_.value(v).dtype != DType::f32;
      if (!value || (is_codes && !params_[static_cast<size_t>(v)])) return Done{};
      Result<Tensor> input = is_codes ? quantized(*value, *params_[static_cast<size_t>(v)]) : Result<Tensor>(*value);
      if (!input) return input.error();
      inputs.push_back(*std::move(input));
    }
    const Result<std::vector<Tensor>> outputs = node.op->reference({graph_, node}, inputs);
    if (!outputs) return outputs.error();
    const std::vector<double> y = real_values((*outputs)[0], params_[static_cast<size_t>(layer.value)]);
    const std::span<const float> x = reference.as<float>();
    if (y.size() != x.size()) return Done{};
    if (!layer.error.own) layer.error.own = ErrorSums();
    for (size_t i = 0; i < x.size(); ++i) layer.error.own->add(x[i], y[i]);
    return Done{};
  }

  Session& reference_;
  Session& engine_;
  const Graph& graph_;
  std::vector<std::optional<QuantParams>> params_;
  std::vector<Layer> layers_;
  std::map<ValueId, std::string> by_step_;  // value of the engine -> value of the float network
  bool unchanged_ = true;
};

/// What the plan says it was built from, where that is not this model; empty where it is, or where nothing is said.
std::string other_origin(const Model& model, const EngineFile& engine) {
  const Provenance& said = engine.state().plan.provenance;
  const std::string hash = provenance_value(said, "model_hash");
  if (hash.empty() || hash == model.hash() || engine.state().float_model_hash == model.hash()) return "";
  return engine.path() + " was built from '" + provenance_value(said, "model") + "' (hash " + hash + "), " +
         model.path() + " has hash " + model.hash();
}

/// The comparison's layers, when there are any worth the name.
Result<Done> check_compared(const LayerErrorReport& report, const std::string& origin) {
  if (report.compared_beyond_inputs() > 0) return Done{};
  return Error{ErrorCode::bad_argument,
               "none of the " + std::to_string(report.layers.size()) + " layers of " + report.engine +
                   " makes a value that " + report.model + " has, so there is nothing to compare" +
                   (origin.empty() ? "" : ": " + origin) + "; give the float network that the plan came from"};
}

}  // namespace

Result<LayerErrorReport> compare_layers(const Model& model, const EngineFile& engine, const CompareSpec& spec) {
  if (model.is_quantized())
    return Error{ErrorCode::bad_argument,
                 model.path() + " holds Q/DQ nodes: the first model is the float network that the other came from"};
  SessionSpec session_spec;
  session_spec.device = spec.device;
  session_spec.threads = spec.threads;
  Result<Session> quantized_session = Session::load(engine, session_spec);
  if (!quantized_session) return quantized_session.error();
  if (const Result<Done> ok = check_own_formats(*quantized_session); !ok) return ok.error();
  std::vector<Dims> shapes;
  for (const Port& port : quantized_session->inputs()) {
    shapes.push_back(port.dims);
    session_spec.shapes[port.name] = port.dims;
  }
  Result<Session> reference = Session::build(model, session_spec);
  if (!reference) return within("the float network at the plan's shapes", reference.error());
  // The session's own graph has let its weights go; the file still has them.
  const Result<Graph> graph = at_shapes(engine.state().plan, shapes);
  if (!graph) return graph.error();
  const Result<SampleSet> data = open_data(spec.data, *reference, &*quantized_session);
  if (!data) return data.error();
  Result<SampleBuffers> a = SampleBuffers::make(*reference), b = SampleBuffers::make(*quantized_session);
  if (!a) return a.error();
  if (!b) return b.error();
  Comparison comparison(*reference, *quantized_session, *graph);
  LayerErrorReport report;
  report.model = model.path();
  report.engine = engine.path();
  report.device = quantized_session->description();
  const int64_t batch = reference->batch();
  for (int64_t begin = 0; begin < data->size(); begin += batch) {
    const int64_t count = std::min(batch, data->size() - begin);
    for (SampleBuffers* buffers : {&*a, &*b})
      if (const Result<Done> filled = buffers->fill(*data, begin, count); !filled) return filled.error();
    if (const Result<Done> added = comparison.add(*a, *b); !added) return added.error();
    report.samples += count;
    if (spec.progress) spec.progress(report.samples, data->size());
  }
  report.unchanged = comparison.unchanged();
  report.layers = comparison.finish();
  report.note = preprocess_note(*data, *quantized_session);
  const std::string origin = other_origin(model, engine);
  if (const Result<Done> any = check_compared(report, origin); !any) return any.error();
  if (!origin.empty())
    report.note += (report.note.empty() ? "" : "; ") + origin +
                   ": the figures hold only where the former is a quantized form of the latter";
  if (!report.unchanged) return Error{ErrorCode::internal, "the engine's outputs changed when its layers were tapped"};
  return report;
}

}  // namespace octet
