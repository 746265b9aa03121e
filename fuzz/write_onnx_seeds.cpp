// octet_onnx_seeds FOLDER: writes the seeds of onnx_seeds.h.

#include <cstdio>
#include <filesystem>
#include <span>

#include "base/file.h"
#include "onnx_seeds.h"

int main(int argc, char** argv) {
  if (argc != 2) return std::fputs("usage: octet_onnx_seeds FOLDER\n", stderr), 2;
  const std::filesystem::path folder = argv[1];
  std::filesystem::create_directories(folder);
  for (const octet::OnnxSeed& seed : octet::onnx_seeds()) {
    const octet::Result<octet::Done> ok =
        octet::write_file_atomically((folder / (seed.name + ".onnx")).string(), std::span(seed.bytes));
    if (!ok) return std::fprintf(stderr, "%s\n", ok.error().message.c_str()), 1;
  }
}
