#pragma once
// Pillow's results (pillow_fixtures.inc, written by make_fixtures.py), hashes, and a scratch folder for each test.

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <span>
#include <string>
#include <vector>

#include "data/preprocess.h"

namespace octet {

struct FileFixture {
  std::string name;
  int64_t width, height;
  uint64_t hash;
  std::string hex;
};
struct ResizeFixture {
  int64_t width, height, out_width, out_height;
  uint64_t hash;
};
struct ArrayFixture {
  std::string name, hex;
};
#include "pillow_fixtures.inc"

/// FNV-1a, 64 bits, as in make_fixtures.py.
inline uint64_t fnv(std::span<const uint8_t> bytes) {
  uint64_t hash = 0xcbf29ce484222325ull;
  for (const uint8_t b : bytes) hash = (hash ^ b) * 0x100000001b3ull;
  return hash;
}

inline std::vector<std::byte> bytes_of(const std::string& hex) {
  std::vector<std::byte> bytes;
  for (size_t i = 0; i < hex.size(); i += 2) bytes.push_back(std::byte(std::stoi(hex.substr(i, 2), nullptr, 16)));
  return bytes;
}
inline std::vector<std::byte> fixture_bytes(const std::string& name) {
  for (const FileFixture& f : k_files) {
    if (f.name == name) return bytes_of(f.hex);
  }
  ADD_FAILURE() << "no fixture " << name;
  return {};
}

inline std::vector<std::byte> array_bytes(const std::string& name) {
  for (const ArrayFixture& f : k_arrays) {
    if (f.name == name) return bytes_of(f.hex);
  }
  ADD_FAILURE() << "no fixture " << name;
  return {};
}

/// The picture of make_fixtures.py's pattern().
inline Image pattern(int64_t w, int64_t h) {
  Image image{w, h, {}};
  for (int64_t y = 0; y < h; ++y) {
    for (int64_t x = 0; x < w; ++x) {
      for (int64_t c = 0; c < 3; ++c) {
        image.rgb.push_back(static_cast<uint8_t>(x * 37 + y * 91 + c * 53 + x * y * 7 + ((x * x * y) >> 3)));
      }
    }
  }
  return image;
}

/// A folder of its own for each test, removed afterwards.
class InFolder : public testing::Test {
 protected:
  InFolder() {
    const testing::TestInfo* info = testing::UnitTest::GetInstance()->current_test_info();
    folder_ =
        std::filesystem::path(testing::TempDir()) / ("octet_data_" + std::to_string(::getpid()) + "_" + info->name());
    std::filesystem::create_directories(folder_);
  }
  ~InFolder() override { std::filesystem::remove_all(folder_); }

  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  std::string write(const std::string& name, std::span<const std::byte> bytes) const {
    std::filesystem::create_directories((folder_ / name).parent_path());
    std::ofstream(folder_ / name, std::ios::binary)
        .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    return path(name);
  }
  std::string write(const std::string& name, const std::string& text) const {
    return write(name, std::as_bytes(std::span(text)));
  }

  std::filesystem::path folder_;
};

}  // namespace octet
