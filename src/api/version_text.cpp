// What --version prints. The only source that reads octet/commit.h, which the build writes (cmake/commit.cmake).

#include "backends/open.h"
#include "base/isa.h"
#include "octet/commit.h"
#include "octet/model.h"
#include "octet/version.h"

namespace octet {

std::string version_text() {
  std::string isas;
  for (const Isa isa : available_isas()) isas += (isas.empty() ? "" : ", ") + std::string(name(isa));
  return std::string("octet ") + k_version + " (" + k_commit + "), ISAs " + isas + "; back ends " + built_in_backends();
}

}  // namespace octet
