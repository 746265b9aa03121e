#include "cli/trtexec/shapes.h"

#include <algorithm>
#include <cstdlib>

namespace octet::cli::trtexec {
namespace {

Error bad(std::string message) { return {ErrorCode::bad_argument, std::move(message)}; }

bool is_free(const DeclaredInput& input) {
  return std::any_of(input.dims.begin(), input.dims.end(), [](int64_t extent) { return extent < 0; });
}

/// The shape that a flag gives an input: an exact name beats a pattern.
const Dims* given(const Shapes& shapes, const std::string& input) {
  if (const auto exact = shapes.find(input); exact != shapes.end()) return &exact->second;
  for (const auto& [pattern, dims] : shapes)
    if (matches(pattern, input)) return &dims;
  return nullptr;
}

Result<Done> check_names(const std::vector<DeclaredInput>& inputs, const Shapes& shapes, const std::string& flag) {
  for (const auto& [pattern, dims] : shapes) {
    bool found = false;
    for (const DeclaredInput& input : inputs) {
      if (!matches(pattern, input.name)) continue;
      found = true;
      if (!is_free(input) && dims != input.dims)
        return bad(
            flag + " " + input.name +
            ": Static model does not take explicit shapes since the shape of inference tensors will be determined "
            "by the model itself (" +
            dims_text(input.dims) + ")");
    }
    if (!found)
      return bad(flag + ": Cannot find input tensor with name \"" + pattern +
                 "\" in the network inputs! Please make sure the input tensor names are correct.");
  }
  return Done{};
}

Result<Done> check_fits(const DeclaredInput& input, const Dims& dims, const std::string& flag) {
  bool fits = dims.size() == input.dims.size();
  for (size_t i = 0; fits && i < dims.size(); ++i) fits = input.dims[i] < 0 || input.dims[i] == dims[i];
  if (fits) return Done{};
  return bad(flag + " " + input.name + ":" + dims_text(dims) + " does not fit the network's shape " +
             dims_text(input.dims) + " (-1 is free)");
}

/// Fills the kinds that were not given, optShapes first.
ShapeRange complete(const DeclaredInput& input, const Dims* low, const Dims* best, const Dims* high, const Log& log) {
  const auto fill = [&](const char* kind, const Dims*& to) {
    if (to) return;
    const std::pair<const char*, const Dims*> sources[] = {
        {"optShapes", best}, {"maxShapes", high}, {"minShapes", low}};
    for (const auto& [name, dims] : sources) {
      if (!dims) continue;
      log.warning(std::string(name) + " is being broadcasted to " + kind + " for tensor " + input.name);
      to = dims;
      return;
    }
  };
  const Dims *l = low, *b = best, *h = high;
  fill("optShapes", b);
  fill("minShapes", l);
  fill("maxShapes", h);
  return {*l, *b, *h};
}

Dims overridden(const DeclaredInput& input) {
  Dims dims = input.dims;
  for (int64_t& extent : dims) extent = extent < 0 ? 1 : extent;
  return dims;
}

}  // namespace

DeclaredInput declared(const TensorInfo& info) {
  DeclaredInput input{info.name, info.dtype, {}};
  std::string text = info.shape;
  if (text.size() < 2 || text.front() != '[') return input;
  text = text.substr(1, text.size() - 2);
  if (text.empty()) return input;
  for (const std::string& part : split(text, ',')) {
    char* end = nullptr;
    const long long extent = std::strtoll(part.c_str(), &end, 10);
    input.dims.push_back(!part.empty() && *end == '\0' ? extent : -1);
  }
  return input;
}

Result<ResolvedShapes> resolve_shapes(const std::vector<TensorInfo>& infos, const BuildFlags& build, const Shapes& run,
                                      const Log& log) {
  std::vector<DeclaredInput> inputs;
  for (const TensorInfo& info : infos) inputs.push_back(declared(info));
  const std::pair<const char*, const Shapes*> flags[] = {{"--minShapes", &build.min_shapes},
                                                         {"--optShapes", &build.opt_shapes},
                                                         {"--maxShapes", &build.max_shapes},
                                                         {"--shapes", &run}};
  for (const auto& [flag, shapes] : flags)
    if (const Result<Done> known = check_names(inputs, *shapes, flag); !known) return known.error();
  const bool has_profile = !build.min_shapes.empty() || !build.opt_shapes.empty() || !build.max_shapes.empty();
  ResolvedShapes resolved;
  for (const DeclaredInput& input : inputs) {
    if (!is_free(input)) continue;
    for (const auto& [flag, shapes] : flags)
      if (const Dims* dims = given(*shapes, input.name))
        if (const Result<Done> fits = check_fits(input, *dims, flag); !fits) return fits.error();
    const Dims* low = given(build.min_shapes, input.name);
    const Dims* best = given(build.opt_shapes, input.name);
    const Dims* high = given(build.max_shapes, input.name);
    const Dims* measured = given(run, input.name);
    if (low || best || high) {
      const ShapeRange range = complete(input, low, best, high, log);
      resolved.best[input.name] = range.best;
      if (range.smallest != range.largest) resolved.profile[input.name] = range;
    } else if (measured && !has_profile) {
      resolved.best[input.name] = *measured;
    } else {
      const Dims dims = measured ? *measured : overridden(input);
      if (!measured)
        log.warning("Dynamic dimensions required for input: " + input.name +
                    ", but no shapes were provided. Automatically overriding shape to: " + dims_text(dims));
      resolved.best[input.name] = dims;
    }
    if (measured) resolved.run[input.name] = *measured;
  }
  return resolved;
}

Result<std::map<std::string, Dims>> resolve_run_shapes(const std::vector<TensorInfo>& infos, const Shapes& run) {
  std::vector<DeclaredInput> inputs;
  for (const TensorInfo& info : infos) inputs.push_back(declared(info));
  if (const Result<Done> known = check_names(inputs, run, "--shapes"); !known) return known.error();
  std::map<std::string, Dims> shapes;
  for (const DeclaredInput& input : inputs) {
    const Dims* dims = given(run, input.name);
    if (!dims || !is_free(input)) continue;
    if (const Result<Done> fits = check_fits(input, *dims, "--shapes"); !fits) return fits.error();
    shapes[input.name] = *dims;
  }
  return shapes;
}

}  // namespace octet::cli::trtexec
