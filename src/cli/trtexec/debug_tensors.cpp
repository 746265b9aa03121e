#include "cli/trtexec/debug_tensors.h"

#include <algorithm>
#include <numeric>

#include "octet/files.h"
#include "octet/tensor.h"

namespace octet::cli::trtexec {
namespace {

std::span<const std::byte> bytes_of(const InnerValue& value) { return std::as_bytes(std::span(value.values)); }

std::string summary_of(const InnerValue& v) {
  if (v.values.empty()) return "no elements";
  const auto [low, high] = std::minmax_element(v.values.begin(), v.values.end());
  const double sum = std::accumulate(v.values.begin(), v.values.end(), 0.0);
  char text[96];
  std::snprintf(text, sizeof text, "min %g, max %g, mean %g", static_cast<double>(*low), static_cast<double>(*high),
                sum / static_cast<double>(v.values.size()));
  return text;
}

/// Values with the name or pattern; an Error lists what there is.
Result<std::vector<const InnerValue*>> named(const std::vector<InnerValue>& values, const std::string& pattern,
                                             const char* flag) {
  std::vector<const InnerValue*> found;
  for (const InnerValue& v : values)
    if (matches(pattern, v.name) || matches(pattern, v.engine_name)) found.push_back(&v);
  if (!found.empty()) return found;
  constexpr size_t k_most_names = 12;
  std::string known;
  for (size_t i = 0; i < std::min(values.size(), k_most_names); ++i)
    known += (known.empty() ? "'" : ", '") + values[i].name + "'";
  if (values.size() > k_most_names) known += " and " + std::to_string(values.size() - k_most_names) + " more";
  return Error{ErrorCode::bad_argument, std::string(flag) + ": no layer of the plan makes a tensor '" + pattern +
                                            "' (fusion may have left it out); there are " + known};
}

/// The one value of a --saveDebugTensors.
Result<const InnerValue*> one_named(const std::vector<InnerValue>& values, const std::string& pattern,
                                    const std::string& file) {
  const Result<std::vector<const InnerValue*>> found = named(values, pattern, "--saveDebugTensors");
  if (!found) return found.error();
  if (found->size() == 1) return found->front();
  return Error{ErrorCode::bad_argument, "--saveDebugTensors " + pattern + ":" + file + ": " +
                                            std::to_string(found->size()) + " tensors fit, one file is given"};
}

Result<Done> save_named(const Options& o, const std::vector<InnerValue>& values, const Log& log) {
  for (const auto& [pattern, file] : o.inference.save_debug) {
    const Result<const InnerValue*> found = one_named(values, pattern, file);
    if (!found) return found.error();
    const InnerValue& v = **found;
    if (const Result<Done> written = write_binary_file(file, bytes_of(v)); !written) return written;
    log.info("Debug tensor " + v.name + " (" + dims_text(v.dims) + ", fp32) saved to " + file);
  }
  return Done{};
}

Result<Done> save_as(const InnerValue& v, const std::string& format, const Log& log) {
  const std::string base = file_name(v.name);
  if (format == "summary") {
    log.info("Debug tensor " + v.name + " (" + dims_text(v.dims) + ") of " + v.step + ": " + summary_of(v));
    return Done{};
  }
  if (format == "raw") return write_binary_file(base + ".raw", bytes_of(v));
  if (format == "string")
    return write_text_file(base + ".txt", values_text({v.name, v.dims, "float32", bytes_of(v)}, "\n") + "\n");
  const Result<Tensor> tensor = Tensor::from<float>(DType::f32, v.dims, v.values);
  if (!tensor) return tensor.error();
  return save_npy(base + ".npy", *tensor);
}

Result<Done> save_marked(const Options& o, const std::vector<InnerValue>& values, const Log& log) {
  std::vector<const InnerValue*> marked;
  for (const std::string& pattern : o.build.debug_tensors) {
    const Result<std::vector<const InnerValue*>> found = named(values, pattern, "--markDebug");
    if (!found) return found.error();
    marked.insert(marked.end(), found->begin(), found->end());
  }
  if (o.inference.save_all_debug.empty()) return Done{};
  if (o.build.debug_tensors.empty())
    for (const InnerValue& v : values) marked.push_back(&v);
  for (const InnerValue* v : marked)
    for (const std::string& format : o.inference.save_all_debug)
      if (const Result<Done> saved = save_as(*v, format, log); !saved) return saved;
  log.info("Saved " + std::to_string(marked.size()) + " debug tensors");
  return Done{};
}

}  // namespace

std::string file_name(std::string name) {
  for (char& c : name)
    if (!std::isalnum(static_cast<unsigned char>(c)) && c != '.' && c != '-' && c != '_') c = '_';
  return name;
}

Result<Done> check_debug_tensors(const Options& o, const Stream& stream) {
  if (o.inference.save_debug.empty() && o.build.debug_tensors.empty()) return Done{};
  const Result<std::vector<InnerValue>> values = inner_values(*stream.session, *stream.buffers);
  if (!values) return Error{values.error().code, "--saveDebugTensors: " + values.error().message};
  for (const auto& [pattern, file] : o.inference.save_debug)
    if (const Result<const InnerValue*> found = one_named(*values, pattern, file); !found) return found.error();
  for (const std::string& pattern : o.build.debug_tensors)
    if (const auto found = named(*values, pattern, "--markDebug"); !found) return found.error();
  return Done{};
}

Result<Done> save_debug_tensors(const Options& o, const Stream& stream, const Log& log) {
  if (o.inference.save_debug.empty() && o.inference.save_all_debug.empty() && o.build.debug_tensors.empty())
    return Done{};
  const Result<std::vector<InnerValue>> values = inner_values(*stream.session, *stream.buffers);
  if (!values) return Error{values.error().code, "--saveDebugTensors: " + values.error().message};
  if (const Result<Done> saved = save_named(o, *values, log); !saved) return saved;
  return save_marked(o, *values, log);
}

}  // namespace octet::cli::trtexec
