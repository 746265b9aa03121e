#include "data/npy.h"

#include <gmock/gmock.h>

#include <random>

#include "fixtures.h"

namespace octet {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

using Npy = InFolder;

TEST_F(Npy, reads_what_numpy_writes) {
  const Result<Tensor> x = read_npy(write("x.npy", array_bytes("npy_f4")));
  ASSERT_TRUE(x) << x.error().message;
  EXPECT_EQ(x->dtype(), DType::f32);
  EXPECT_EQ(x->dims(), (Dims{2, 3}));
  EXPECT_EQ(x->at<float>(5), 5.0f);
  const Result<Tensor> scalar = read_npy(write("s.npy", array_bytes("npy_u1_scalar")));
  ASSERT_TRUE(scalar) << scalar.error().message;
  EXPECT_EQ(scalar->rank(), 0u);
  EXPECT_EQ(scalar->at<uint8_t>(0), 9);
}

TEST_F(Npy, reads_stored_and_deflated_archives_alike) {
  for (const char* name : {"npz_stored", "npz_deflated"}) {
    const auto arrays = read_npz(write("a.npz", array_bytes(name)));
    ASSERT_TRUE(arrays) << name << ": " << arrays.error().message;
    ASSERT_EQ(arrays->size(), 2u);
    EXPECT_EQ((*arrays)[0].first, "x");
    EXPECT_EQ((*arrays)[0].second.at<float>(4), 4.0f);
    EXPECT_EQ((*arrays)[1].first, "labels");
    EXPECT_EQ((*arrays)[1].second.dtype(), DType::s64);
    EXPECT_EQ((*arrays)[1].second.at<int64_t>(1), -1);
  }
}

TEST_F(Npy, writes_the_bytes_that_numpy_writes) {
  const std::vector<float> values{0, 1, 2, 3, 4, 5};
  const Result<std::string> bytes = npy_bytes(f32_tensor({2, 3}, values));
  ASSERT_TRUE(bytes);
  const std::vector<std::byte> expected = array_bytes("npy_f4");
  EXPECT_EQ(*bytes, std::string(reinterpret_cast<const char*>(expected.data()), expected.size()));
  const Result<Tensor> row = read_npy(write("row.npy", *npy_bytes(f32_tensor({6}, values))));
  ASSERT_TRUE(row) << row.error().message;
  EXPECT_EQ(row->dims(), (Dims{6}));
  EXPECT_THAT(npy_bytes(Tensor::from<uint16_t>(DType::bf16, {1}, std::vector<uint16_t>{1})).error().message,
              HasSubstr("bf16"));
}

TEST_F(Npy, says_what_it_cannot_read) {
  const auto message = [&](std::span<const std::byte> bytes) {
    const Result<Tensor> x = read_npy(write("x.npy", bytes));
    return x ? "accepted" : x.error().message;
  };
  EXPECT_THAT(message(array_bytes("npy_fortran")), HasSubstr("Fortran order"));
  EXPECT_THAT(message(array_bytes("npy_big_endian")), HasSubstr("big-endian"));
  std::vector<std::byte> cut = array_bytes("npy_f4");
  cut.pop_back();
  EXPECT_THAT(message(cut), HasSubstr("shape [2,3] needs more elements than the file holds"));
  EXPECT_THAT(message({}), HasSubstr("magic bytes are missing"));
  EXPECT_THAT(read_npy(path("none.npy")).error().message, HasSubstr("none.npy: cannot open"));
}

TEST_F(Npy, refuses_a_shape_whose_product_overflows) {
  std::string header = "{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296), }";
  std::string file("\x93NUMPY\x01\x00", 8);
  file += static_cast<char>(header.size());
  file += '\0';
  EXPECT_THAT(read_npy(write("x.npy", file + header)).error().message, HasSubstr("is too large"));
}

TEST_F(Npy, survives_any_damage) {
  std::mt19937 random(1);
  for (const ArrayFixture& f : k_arrays) {
    const std::vector<std::byte> whole = bytes_of(f.hex);
    for (int round = 0; round < 100; ++round) {
      std::vector<std::byte> damaged = whole;
      for (int k = 0; k < 3; ++k) damaged[random() % damaged.size()] = std::byte(random());
      if (round % 4 == 0) damaged.resize(random() % damaged.size());
      const std::string file = write(f.name + std::to_string(round), damaged);  // rewriting one file waits for the disk
      (void)read_npy(file);
      (void)read_npz(file);
    }
  }
}

TEST_F(Npy, notices_changed_bytes_in_an_archive) {
  std::vector<std::byte> damaged = array_bytes("npz_stored");
  for (size_t i = 0; i + 4 < damaged.size(); ++i) {  // 5.0f is 00 00 a0 40
    if (damaged[i + 2] == std::byte{0xa0} && damaged[i + 3] == std::byte{0x40}) damaged[i + 2] = std::byte{0xa1};
  }
  EXPECT_THAT(read_npz(write("a.npz", damaged)).error().message, HasSubstr("member 'x.npy' has a wrong checksum"));
}

}  // namespace
}  // namespace octet
