#include "cli/trtexec/shapes.h"

#include <algorithm>
#include <cstdlib>
#include <optional>

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
  const bool is_empty = std::find(dims.begin(), dims.end(), 0) != dims.end();
  if (fits && is_empty)
    return bad(flag + " " + input.name + ":" + dims_text(dims) +
               " holds no elements, so there is nothing to run or to time: give extents from 1");
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

/// What each profile says of the input; nothing where it says nothing.
std::vector<std::optional<ShapeRange>> ranges_of(const DeclaredInput& input, const std::vector<ProfileFlags>& profiles,
                                                 const Log& log) {
  std::vector<std::optional<ShapeRange>> ranges;
  for (const ProfileFlags& profile : profiles) {
    const Dims* low = given(profile.smallest, input.name);
    const Dims* best = given(profile.best, input.name);
    const Dims* high = given(profile.largest, input.name);
    ranges.emplace_back();
    if (low || best || high) ranges.back() = complete(input, low, best, high, log);
  }
  return ranges;
}

/// From the smallest to the largest extent of all, with the first one's optimum.
std::optional<ShapeRange> covering(const std::vector<std::optional<ShapeRange>>& ranges) {
  std::optional<ShapeRange> all;
  for (const std::optional<ShapeRange>& range : ranges) {
    if (!range) continue;
    if (!all) all = range;
    for (size_t d = 0; d < all->best.size(); ++d) {
      all->smallest[d] = std::min(all->smallest[d], range->smallest[d]);
      all->largest[d] = std::max(all->largest[d], range->largest[d]);
    }
  }
  return all;
}

Result<Done> check_order(const DeclaredInput& input, const ShapeRange& range) {
  bool ordered = true;
  for (size_t d = 0; d < range.best.size(); ++d)
    ordered = ordered && range.smallest[d] <= range.best[d] && range.best[d] <= range.largest[d];
  if (ordered) return Done{};
  return bad("--minShapes " + dims_text(range.smallest) + ", --optShapes " + dims_text(range.best) + ", --maxShapes " +
             dims_text(range.largest) + " of input " + input.name +
             ": min <= opt <= max is expected, extent by extent");
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
  std::vector<std::pair<const char*, const Shapes*>> flags = {{"--shapes", &run}};
  for (const ProfileFlags& profile : build.profiles)
    flags.insert(
        flags.end(),
        {{"--minShapes", &profile.smallest}, {"--optShapes", &profile.best}, {"--maxShapes", &profile.largest}});
  for (const auto& [flag, shapes] : flags)
    if (const Result<Done> known = check_names(inputs, *shapes, flag); !known) return known.error();
  const bool has_profile = std::any_of(build.profiles.begin(), build.profiles.end(),
                                       [](const ProfileFlags& profile) { return !profile.empty(); });
  ResolvedShapes resolved;
  if (build.profiles.size() > 1) resolved.profiles.resize(build.profiles.size());
  for (const DeclaredInput& input : inputs) {
    if (!is_free(input)) continue;
    for (const auto& [flag, shapes] : flags)
      if (const Dims* dims = given(*shapes, input.name))
        if (const Result<Done> fits = check_fits(input, *dims, flag); !fits) return fits.error();
    const Dims* measured = given(run, input.name);
    const std::vector<std::optional<ShapeRange>> ranges = ranges_of(input, build.profiles, log);
    if (const std::optional<ShapeRange> range = covering(ranges)) {
      if (const Result<Done> sound = check_order(input, *range); !sound) return sound.error();
      resolved.best[input.name] = range->best;
      if (range->smallest != range->largest) resolved.profile[input.name] = *range;
      for (size_t p = 0; p < resolved.profiles.size(); ++p) {
        if (!ranges[p])
          log.warning("--profile=" + std::to_string(p) + " has no shapes for input " + input.name +
                      ": it takes the whole range of the others");
        const ShapeRange& own = ranges[p] ? *ranges[p] : *range;
        if (const Result<Done> sound = check_order(input, own); !sound) return sound.error();
        resolved.profiles[p][input.name] = own;
      }
      if (build.calibration_profile < ranges.size() && ranges[build.calibration_profile])
        resolved.calibration[input.name] = ranges[build.calibration_profile]->best;
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

Result<std::map<std::string, Dims>> calibration_shapes(const std::vector<TensorInfo>& infos, const BuildFlags& build,
                                                       const ResolvedShapes& resolved) {
  std::vector<DeclaredInput> inputs;
  for (const TensorInfo& info : infos) inputs.push_back(declared(info));
  if (const Result<Done> known = check_names(inputs, build.opt_shapes_calib, "--optShapesCalib"); !known)
    return known.error();
  std::map<std::string, Dims> shapes = resolved.best;
  for (const auto& [input, dims] : resolved.calibration) shapes[input] = dims;
  for (const DeclaredInput& input : inputs) {
    const Dims* dims = given(build.opt_shapes_calib, input.name);
    if (!dims || !is_free(input)) continue;
    if (const Result<Done> fits = check_fits(input, *dims, "--optShapesCalib"); !fits) return fits.error();
    shapes[input.name] = *dims;
  }
  return shapes;
}

std::pair<Dims, Dims> smallest_and_largest(const TensorInfo& input) {
  std::pair<Dims, Dims> ends;
  if (input.shape.size() <= 2) return ends;
  for (const std::string& part : split(input.shape.substr(1, input.shape.size() - 2), ',')) {
    const size_t dots = part.find("..");
    ends.first.push_back(std::atoll(part.c_str()));
    ends.second.push_back(std::atoll(part.c_str() + (dots == std::string::npos ? 0 : dots + 2)));
  }
  return ends;
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
