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
};
constexpr Entry k_backends[] = {
#define OCTET_BACKEND(name, open) {name, open},
#include "backends/backends.def"
#undef OCTET_BACKEND
};

}  // namespace

Result<std::shared_ptr<Backend>> open_backend(std::string_view name, const BackendOptions& options) {
  if (options.threads < 0)
    return Error{ErrorCode::bad_argument,
                 "threads = " + std::to_string(options.threads) + ", expected 0 (all) or more"};
  BackendOptions of_device = options;
  std::string_view plain = name;
  if (constexpr std::string_view k_numbered = "cuda:"; name.starts_with(k_numbered)) {
    const std::string_view number = name.substr(k_numbered.size());
    const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), of_device.device.ordinal);
    if (error != std::errc() || end != number.data() + number.size() || of_device.device.ordinal < 0)
      return Error{ErrorCode::bad_argument, "back end '" + std::string(name) + "': cuda:N is expected, N from 0 on"};
    plain = "cuda";
  }
  std::string known;
  for (const Entry& entry : k_backends) {
    if (entry.name == plain) return entry.open(of_device);
    known += (known.empty() ? "'" : ", '") + std::string(entry.name) + "'";
  }
  return Error{ErrorCode::bad_argument, "there is no back end '" + std::string(name) + "', only " + known};
}

bool is_built_in(std::string_view name) { return !name.starts_with("cuda") || cuda::is_built_in(); }

}  // namespace octet
