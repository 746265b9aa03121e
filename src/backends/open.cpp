#include "backends/open.h"

#include <array>
#include <charconv>
#include <string>

#include "backends/cpu/cpu_backend.h"
#include "backends/no_cuda/no_cuda.h"
#include "backends/ref/ref.h"
#include "base/isa.h"

namespace octet {
namespace {

using Opened = Result<std::shared_ptr<Backend>>;

Opened open_cpu(const BackendOptions& options) {
  const Result<Isa> isa = chosen_isa();
  if (!isa) return isa.error();
  return cpu::make_backend({.threads = options.threads, .isa = *isa});
}
Opened open_ref(const BackendOptions&) { return make_ref_backend(); }
Opened open_cuda(const BackendOptions& options) { return cuda::make_backend(options.device); }

struct Entry {
  std::string_view name;
  Opened (*open)(const BackendOptions&);
  bool is_gpu;
  bool (*is_built_in)();
};
constexpr Entry k_backends[] = {
#define OCTET_BACKEND(name, open, is_gpu, is_built_in) {name, open, is_gpu, [] { return is_built_in; }},
#include "backends/backends.def"
#undef OCTET_BACKEND
};

const Entry* find_entry(std::string_view kind) {
  for (const Entry& entry : k_backends)
    if (entry.name == kind) return &entry;
  return nullptr;
}

Error unknown(std::string_view name) {
  std::string known;
  for (const Entry& entry : k_backends) known += (known.empty() ? "'" : ", '") + std::string(entry.name) + "'";
  return {ErrorCode::bad_argument, "there is no back end '" + std::string(name) + "', only " + known};
}

}  // namespace

Result<BackendName> parse_backend_name(std::string_view name) {
  const size_t colon = name.find(':');
  const Entry* const entry = find_entry(name.substr(0, colon));
  if (!entry || (colon != std::string_view::npos && !entry->is_gpu)) return unknown(name);
  BackendName parsed{entry->name, entry->is_gpu, entry->is_built_in(), 0};
  if (colon == std::string_view::npos) return parsed;
  const std::string_view number = name.substr(colon + 1);
  const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), parsed.ordinal);
  if (error != std::errc() || end != number.data() + number.size() || parsed.ordinal < 0)
    return Error{ErrorCode::bad_argument,
                 "back end '" + std::string(name) + "': " + std::string(entry->name) + ":N is expected, N from 0 on"};
  return parsed;
}

std::string gpu_backend_name(std::string_view number) {
  for (const Entry& entry : k_backends)
    if (entry.is_gpu) return std::string(entry.name) + (number == "0" ? "" : ":" + std::string(number));
  return "";
}

std::string built_in_backends() {
  std::string text;
  for (const Entry& entry : k_backends)
    if (entry.is_built_in()) text += (text.empty() ? "" : ", ") + std::string(entry.name);
  return text;
}

std::string backend_names() {
  std::vector<std::string> names;
  for (const Entry& entry : k_backends) {
    names.emplace_back(entry.name);
    if (entry.is_gpu) names.push_back(std::string(entry.name) + ":N");
  }
  std::string text = names[0];
  for (size_t i = 1; i < names.size(); ++i) text += (i + 1 < names.size() ? ", " : " or ") + names[i];
  return text;
}

Result<std::shared_ptr<Backend>> open_backend(std::string_view name, const BackendOptions& options) {
  if (options.threads < 0)
    return Error{ErrorCode::bad_argument,
                 "threads = " + std::to_string(options.threads) + ", expected 0 (all) or more"};
  const Result<BackendName> parsed = parse_backend_name(name);
  if (!parsed) return parsed.error();
  BackendOptions of_device = options;
  if (parsed->ordinal > 0) of_device.device.ordinal = parsed->ordinal;
  return find_entry(parsed->kind)->open(of_device);
}

}  // namespace octet
