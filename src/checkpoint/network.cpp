#include "checkpoint/network.h"

#include "checkpoint/network_builder.h"

namespace octet {

#define OCTET_ARCH(name, size, build) void build(NetworkBuilder& builder);
#include "checkpoint/archs.def"
#undef OCTET_ARCH

namespace {

constexpr Architecture k_architectures[] = {
#define OCTET_ARCH(name, size, build) {#name, size, &(build)},
#include "checkpoint/archs.def"
#undef OCTET_ARCH
};

}  // namespace

std::vector<std::string> architecture_names() {
  std::vector<std::string> names;
  for (const Architecture& architecture : k_architectures) names.emplace_back(architecture.name);
  return names;
}

Result<Network> build_network(const Checkpoint& checkpoint, std::string_view architecture,
                              const NetworkOptions& options) {
  std::string known;
  for (const Architecture& candidate : k_architectures) {
    if (candidate.name == architecture) {
      NetworkBuilder builder(checkpoint, options, std::string(candidate.name), candidate.size);
      candidate.build(builder);
      return builder.finish();
    }
    known += (known.empty() ? "" : ", ") + std::string(candidate.name);
  }
  return Error{ErrorCode::bad_argument,
               "architecture '" + std::string(architecture) + "' is unknown; known are " + known};
}

}  // namespace octet
