// libFuzzer target of the graph's text form: any text gives a graph or an Error. What parses and verifies prints, and
// the printed text parses to the same text again.

#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "ir/op.h"
#include "ir/text.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const octet::Result<octet::Graph> graph = octet::parse_graph({reinterpret_cast<const char*>(data), size});
  if (!graph) {
    if (graph.error().message.empty()) std::abort();
    return 0;
  }
  if (!octet::verify(*graph)) return 0;
  const std::string once = octet::print(*graph);
  const octet::Result<octet::Graph> again = octet::parse_graph(once);
  if (again && octet::print(*again) == once) return 0;
  std::fprintf(stderr, "a printed graph does not parse to itself:\n%s\n%s\n", once.c_str(),
               again ? octet::print(*again).c_str() : again.error().message.c_str());
  std::abort();
}
