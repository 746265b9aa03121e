// Fuzzes the readers of checkpoints: PyTorch's two forms and safetensors, then an architecture on what came out.
// Whatever the bytes say, they end in tensors or in one Error.

#include <cstdlib>
#include <string>

#include "checkpoint/network.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::span<const std::byte> bytes = std::as_bytes(std::span(data, size));
  const octet::Result<octet::Checkpoint> checkpoint = octet::read_checkpoint(bytes, "fuzz");
  if (!checkpoint) {
    if (checkpoint.error().message.empty()) std::abort();
    return 0;
  }
  for (const char* architecture : {"resnet20", "resnet18", "mobilenet_v2"})
    (void)octet::build_network(*checkpoint, architecture, {});
  return 0;
}
