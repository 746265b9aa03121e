#include "backends/cpu/strided_copy.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <random>
#include <vector>

namespace octet {
namespace {

using cpu::StridedCopy;
using cpu::StridedLoop;

/// Strides of dims that lie in this order, the first outermost, each extent padded by up to `gaps` elements.
Dims strides_of(const Dims& dims, const std::vector<size_t>& order, int64_t gaps, std::mt19937& random) {
  Dims strides(dims.size());
  int64_t stride = 1;
  for (size_t i = order.size(); i-- > 0;) {
    strides[order[i]] = stride;
    stride *= dims[order[i]];
    if (gaps > 0) stride += static_cast<int64_t>(random() % static_cast<uint32_t>(gaps + 1));
  }
  return strides;
}

int64_t offset_of(int64_t i, const Dims& dims, const Dims& strides) {
  int64_t at = 0;
  for (size_t d = dims.size(); d-- > 0; i /= dims[d]) at += i % dims[d] * strides[d];
  return at;
}

/// Every element of the copy, and of what lies around it none; in two calls that meet at some part.
void expect_copied(const Dims& dims, const Dims& to, const Dims& from, size_t bytes, std::mt19937& random) {
  const auto size_for = [&](const Dims& strides) {
    int64_t last = 0;
    for (size_t d = 0; d < dims.size(); ++d) last += (dims[d] - 1) * strides[d];
    return static_cast<size_t>(last + 1) * bytes;
  };
  std::vector<std::byte> src(size_for(from));
  for (std::byte& b : src) b = static_cast<std::byte>(random());
  std::vector<std::byte> want(size_for(to), std::byte{0x5a}), have = want;
  const int64_t count = *element_count(dims);
  for (int64_t i = 0; i < count; ++i)
    std::memcpy(&want[static_cast<size_t>(offset_of(i, dims, to)) * bytes],
                &src[static_cast<size_t>(offset_of(i, dims, from)) * bytes], bytes);
  const StridedCopy copy(StridedLoop(dims, {to, from}), bytes);
  const int64_t middle = static_cast<int64_t>(random() % static_cast<uint64_t>(copy.parts() + 1));
  copy.run(have.data(), src.data(), middle, copy.parts());
  copy.run(have.data(), src.data(), 0, middle);
  ASSERT_EQ(have, want) << to_string(dims) << " to " << to_string(to) << " from " << to_string(from) << ", " << bytes
                        << " bytes";
}

TEST(StridedCopy, moves_every_element_and_no_other) {
  std::mt19937 random(3);
  constexpr int64_t k_extents[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 14, 16, 17, 20, 31, 33, 48, 64, 65, 130, 200};
  for (int round = 0; round < 2500; ++round) {
    Dims dims(1 + random() % 4);
    int64_t count = 1;
    for (int64_t& extent : dims) {
      extent = k_extents[random() % std::size(k_extents)];
      if (count * extent > 20000) extent = 1;
      count *= extent;
    }
    std::vector<size_t> order(dims.size());
    for (size_t i = 0; i < order.size(); ++i) order[i] = i;
    std::shuffle(order.begin(), order.end(), random);
    const Dims to = strides_of(dims, order, random() % 2 ? 0 : 20, random);
    if (random() % 3) std::shuffle(order.begin(), order.end(), random);
    Dims from = strides_of(dims, order, random() % 2 ? 0 : 20, random);
    if (random() % 8 == 0) from[random() % from.size()] = 0;  // broadcast
    expect_copied(dims, to, from, size_t{1} << random() % 4, random);
  }
}

/// Panels of a long transpose, in either direction and in both.
TEST(StridedCopy, turns_long_matrices) {
  std::mt19937 random(4);
  for (const size_t bytes : {1, 2, 4, 8})
    for (const auto& [rows, columns] : std::vector<std::pair<int64_t, int64_t>>{
             {2, 5001}, {4, 1025}, {5001, 4}, {14, 3585}, {3584, 14}, {8, 777}, {129, 255}, {300, 300}})
      expect_copied({rows, columns}, {1, rows + 2}, {columns, 1}, bytes, random);
}

TEST(StridedCopy, of_nothing_does_nothing) {
  const Dims dims = {3, 0, 2}, strides = {0, 2, 1};
  const StridedCopy copy(StridedLoop(dims, {strides, strides}), 4);
  EXPECT_EQ(copy.parts(), 0);
  copy.run(nullptr, nullptr);
}

}  // namespace
}  // namespace octet
