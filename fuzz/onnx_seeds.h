#pragma once
// The first corpus of the ONNX reader's fuzzer: every op that octet reads is in at least one of these files
// (tests/fuzz/seeds_test.cpp), since mutation takes names from the file at hand.

#include <cstddef>
#include <string>
#include <vector>

namespace octet {

struct OnnxSeed {
  std::string name;
  std::vector<std::byte> bytes;
};

std::vector<OnnxSeed> onnx_seeds();

}  // namespace octet
