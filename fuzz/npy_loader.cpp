// libFuzzer target of the loaders of .npy and .npz files (and so of the zip reader): any bytes give tensors or an
// Error. The loaders map files, so the bytes go into one that lives in memory.

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <string>

#include "data/npy.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const int file = memfd_create("npy", 0);
  static const std::string path = "/proc/self/fd/" + std::to_string(file);
  if (file < 0 || ftruncate(file, 0) != 0 || pwrite(file, data, size, 0) != static_cast<ssize_t>(size)) std::abort();
  const octet::Result<octet::Tensor> array = octet::read_npy(path);
  if (!array && array.error().message.empty()) std::abort();
  if (array) {
    uint8_t sum = 0;  // every byte that the tensor claims is there
    for (const std::byte b : array->bytes()) sum = static_cast<uint8_t>(sum + static_cast<uint8_t>(b));
    static volatile uint8_t sink = 0;
    sink = sum;
    (void)sink;
    if (!octet::npy_bytes(*array)) std::abort();
  }
  const auto archive = octet::read_npz(path);
  if (!archive && archive.error().message.empty()) std::abort();
  return 0;
}
