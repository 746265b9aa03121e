#include "cli/trtexec/refit.h"

#include <chrono>
#include <cstdio>

#include "cli/trtexec/shapes.h"
#include "octet/measure.h"

namespace octet::cli::trtexec {
namespace {

/// What a refit may not change of a layer: everything but the values of its constants and the tactic.
std::string structure_of(const LayerDetail& layer) {
  const auto tensors = [](const std::vector<LayerTensor>& list) {
    std::string text;
    for (const LayerTensor& t : list) text += " " + t.name + " " + t.dtype + " " + dims_text(t.dims);
    return text;
  };
  std::string text =
      layer.type + " '" + layer.name + "':" + tensors(layer.inputs) + " ->" + tensors(layer.outputs) + ";";
  for (const LayerTensor& c : layer.constants) text += " " + c.dtype + dims_text(c.dims);
  for (const auto& [key, value] : layer.settings) {
    text += " " + key + "=";
    if (const auto* number = std::get_if<int64_t>(&value)) text += std::to_string(*number);
    if (const auto* word = std::get_if<std::string>(&value)) text += *word;
    if (const auto* list = std::get_if<std::vector<int64_t>>(&value)) text += dims_text(*list);
  }
  return text;
}

Result<std::vector<LayerDetail>> layers_of(const EngineFile& plan, const SessionSpec& spec) {
  const Result<Session> session = Session::load(plan, spec);
  if (!session) return session.error();
  return layer_details(*session);
}

Result<Done> check_same_structure(const EngineFile& plan, const EngineFile& made, const std::string& onnx,
                                  const SessionSpec& spec) {
  const Result<std::vector<LayerDetail>> was = layers_of(plan, spec), is = layers_of(made, spec);
  if (!was) return was.error();
  if (!is) return is.error();
  for (size_t i = 0; i < std::max(was->size(), is->size()); ++i) {
    const std::string a = i < was->size() ? structure_of((*was)[i]) : "nothing";
    const std::string b = i < is->size() ? structure_of((*is)[i]) : "nothing";
    if (a != b)
      return Error{ErrorCode::bad_argument, onnx + " is another network than the plan's: layer " + std::to_string(i) +
                                                " of the plan is " + a + ", of the file " + b +
                                                "; a refit changes weights only, build a plan of it"};
  }
  return Done{};
}

/// The plan's own, where it has several, in the order of its network.
std::vector<std::map<std::string, ShapeRange>> profiles_of(const EngineFile& plan,
                                                           const std::map<std::string, IoFormat>& formats) {
  std::vector<std::map<std::string, ShapeRange>> profiles = plan.profiles();
  if (profiles.size() == 1) return {};
  for (std::map<std::string, ShapeRange>& profile : profiles)
    for (auto& [input, range] : profile) {
      const auto format = formats.find(input);
      if (format == formats.end()) continue;
      for (Dims* dims : {&range.smallest, &range.best, &range.largest}) *dims = dims_in_network(*dims, format->second);
    }
  return profiles;
}

}  // namespace

Result<EngineFile> refitted(const EngineFile& plan, const std::string& onnx, const SessionSpec& wanted) {
  const Result<Model> model = Model::load(onnx);
  if (!model) return Error{model.error().code, "Failed to parse onnx file: " + model.error().message};
  if (plan.precision().starts_with("int8") && !model->is_quantized())
    return Error{ErrorCode::bad_argument, onnx +
                                              " has no Q/DQ nodes, and a plan in INT8 takes its scales from them: "
                                              "write them with octet quantize, or build a plan with --calib"};
  if (!plan.is_refittable())
    return Error{ErrorCode::bad_argument, plan.path() +
                                              " was built without --refit: its weights are there for good; build it "
                                              "with --refit to replace them later"};
  SessionSpec own = wanted;
  own.shapes.clear();
  own.profile = -1;
  const Result<Session> session = Session::load(plan, own);
  if (!session) return session.error();
  BuildSpec spec;
  spec.session = own;
  const std::string precision = plan.precision();
  spec.session.precision = precision.starts_with("int8") ? "int8" : precision;
  const size_t space = precision.rfind(' ');
  spec.session.gpu.floats = precision == "int8" ? "fp32" : precision.substr(space == std::string::npos ? 0 : space + 1);
  spec.refittable = true;
  spec.formats = plan.formats();
  const std::vector<TensorInfo> inputs = plan.inputs();
  for (size_t i = 0; i < inputs.size(); ++i) {
    const auto format = spec.formats.find(inputs[i].name);
    const IoFormat given = format == spec.formats.end() ? IoFormat() : format->second;
    const auto [low, high] = smallest_and_largest(inputs[i]);
    const Dims best = dims_in_network(session->inputs()[i].dims, given);
    spec.session.shapes[inputs[i].name] = best;
    if (low != high) spec.profile[inputs[i].name] = {dims_in_network(low, given), best, dims_in_network(high, given)};
  }
  spec.profiles = profiles_of(plan, spec.formats);
  Result<EngineFile> made = build_engine(*model, spec);
  if (!made) return made;
  if (const Result<Done> same = check_same_structure(plan, *made, onnx, own); !same) return same.error();
  return made;
}

Result<Done> time_refit(const Options& o, const EngineFile& plan, const SessionSpec& spec, const Log& log) {
  constexpr int k_repeats = 5;
  SessionSpec quick = spec;
  quick.optimization_level = 0;  // the weights, not the tactics
  if (const Result<EngineFile> first = refitted(plan, o.build.onnx, quick); !first)
    return Error{first.error().code, "--timeRefit: " + first.error().message};
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < k_repeats; ++i)
    if (const Result<EngineFile> again = refitted(plan, o.build.onnx, quick); !again) return again.error();
  const double ms = std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
  char text[64];
  std::snprintf(text, sizeof text, "Engine refitted in %g ms.", ms / k_repeats);
  log.info(text);
  return Done{};
}

}  // namespace octet::cli::trtexec
