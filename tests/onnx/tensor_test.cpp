// TensorProto: where the elements may lie, and what happens when they do not fill the shape.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <fstream>

#include "onnx/reading.h"
#include "onnx/tensor_proto.h"

namespace octet::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

Result<Tensor> read_tensor(const WireWriter& proto, std::optional<std::string> folder = {}) {
  static std::vector<std::vector<std::byte>> kept;  // tensors may view their bytes
  kept.push_back(proto.finish());
  TensorReader reader(kept.back(), nullptr, std::move(folder));
  Result<std::pair<std::string, Tensor>> read = reader.read(kept.back());
  if (!read) return read.error();
  return read->second;
}

std::string error_of(const WireWriter& proto, std::optional<std::string> folder = {}) {
  const Result<Tensor> tensor = read_tensor(proto, std::move(folder));
  return tensor ? "no error" : tensor.error().message;
}

/// A tensor message without data.
WireWriter header(int64_t element_type, const std::vector<int64_t>& dims) {
  WireWriter out;
  out.packed_integers(onnx_field::tensor::dims, dims);
  out.integer(onnx_field::tensor::data_type, element_type);
  out.text(onnx_field::tensor::name, "w");
  return out;
}

WireWriter external(int64_t element_type, const std::vector<int64_t>& dims,
                    const std::map<std::string, std::string>& entries) {
  WireWriter out = header(element_type, dims);
  for (const auto& [key, value] : entries) {
    WireWriter entry;
    entry.text(onnx_field::entry::key, key);
    entry.text(onnx_field::entry::value, value);
    out.message(onnx_field::tensor::external_data, entry);
  }
  out.integer(onnx_field::tensor::data_location, 1);
  return out;
}

TEST(ReadTensor, reads_each_kind_of_typed_data) {
  WireWriter floats = header(1, {2});
  floats.packed_reals(onnx_field::tensor::float_data, std::vector<float>{1.5f, -2});
  EXPECT_THAT(to_doubles(*read_tensor(floats)), ElementsAre(1.5, -2));
  WireWriter shorts = header(5, {2});
  shorts.packed_integers(onnx_field::tensor::int32_data, std::vector<int64_t>{-32768, 32767});
  EXPECT_THAT(to_doubles(*read_tensor(shorts)), ElementsAre(-32768, 32767));
  WireWriter halves = header(10, {2});
  halves.packed_integers(onnx_field::tensor::int32_data, std::vector<int64_t>{0x3c00, 0xc000});
  EXPECT_THAT(to_doubles(*read_tensor(halves)), ElementsAre(1, -2));
  WireWriter longs = header(7, {1});
  longs.packed_integers(onnx_field::tensor::int64_data, std::vector<int64_t>{-5});
  EXPECT_THAT(to_doubles(*read_tensor(longs)), ElementsAre(-5));
  WireWriter unsigned_ints = header(12, {1});
  unsigned_ints.packed_integers(onnx_field::tensor::uint64_data, std::vector<int64_t>{4294967295});
  EXPECT_THAT(to_doubles(*read_tensor(unsigned_ints)), ElementsAre(4294967295.0));
  WireWriter bools = header(9, {2});
  bools.packed_integers(onnx_field::tensor::int32_data, std::vector<int64_t>{0, 1});
  EXPECT_THAT(to_doubles(*read_tensor(bools)), ElementsAre(0, 1));
}

TEST(ReadTensor, reads_negative_int32_without_the_sign_extension_that_some_writers_omit) {
  WireWriter codes = header(3, {1});
  codes.packed_integers(onnx_field::tensor::int32_data, std::vector<int64_t>{0xffffffff});
  EXPECT_THAT(to_doubles(*read_tensor(codes)), ElementsAre(-1));
}

TEST(ReadTensor, unpacks_four_bits_from_the_low_half_first) {
  WireWriter raw = header(22, {3});  // INT4
  raw.text(onnx_field::tensor::raw_data, std::string("\x8f\x07", 2));
  EXPECT_THAT(to_doubles(*read_tensor(raw)), ElementsAre(-1, -8, 7));
  WireWriter typed = header(21, {2});  // UINT4, one byte to a number
  typed.packed_integers(onnx_field::tensor::int32_data, std::vector<int64_t>{0x8f});
  EXPECT_THAT(to_doubles(*read_tensor(typed)), ElementsAre(15, 8));
  WireWriter floats = header(23, {4});  // FLOAT4E2M1
  floats.text(onnx_field::tensor::raw_data, std::string("\x71\xf2", 2));
  EXPECT_THAT(to_doubles(*read_tensor(floats)), ElementsAre(0.5, 6, 1, -6));
  WireWriter wrong = header(22, {3});
  wrong.text(onnx_field::tensor::raw_data, "abc");
  EXPECT_THAT(error_of(wrong), HasSubstr("holds 3 bytes, but s4 [3] needs 2"));
}

TEST(ReadTensor, takes_no_dims_as_a_scalar_and_a_zero_extent_as_empty) {
  EXPECT_EQ(read_tensor(tensor_proto("w", scalar_f32(3)))->rank(), 0u);
  EXPECT_EQ(read_tensor(header(1, {0, 5}))->size(), 0);
}

TEST(ReadTensor, views_aligned_raw_data_and_copies_the_rest) {
  for (size_t shift = 0; shift < 4; ++shift) {
    WireWriter proto;
    proto.text(onnx_field::tensor::name, std::string(shift + 1, 'w'));  // moves what follows
    proto.integer(onnx_field::tensor::dims, 2);
    proto.integer(onnx_field::tensor::data_type, 1);
    const std::vector<float> values = {1, 2};
    proto.borrowed_bytes(onnx_field::tensor::raw_data, std::as_bytes(std::span(values)));
    const std::vector<std::byte> bytes = proto.finish();
    TensorReader reader(bytes, nullptr, {});
    const Result<std::pair<std::string, Tensor>> tensor = reader.read(bytes);
    ASSERT_TRUE(tensor);
    EXPECT_THAT(to_doubles(tensor->second), ElementsAre(1, 2));
    const std::byte* raw = bytes.data() + bytes.size() - 8;
    const bool aligned = reinterpret_cast<uintptr_t>(raw) % 4 == 0;
    EXPECT_EQ(tensor->second.bytes().data() == raw, aligned) << shift;
  }
}

TEST(ReadTensor, refuses_data_that_does_not_fill_the_shape) {
  WireWriter raw = header(1, {2, 3});
  raw.text(onnx_field::tensor::raw_data, std::string(20, '\0'));
  EXPECT_EQ(error_of(raw), "tensor 'w': holds 20 bytes, but f32 [2,3] needs 24; the file is damaged");
  WireWriter typed = header(7, {3});
  typed.packed_integers(onnx_field::tensor::int64_data, std::vector<int64_t>{1, 2});
  EXPECT_THAT(error_of(typed), HasSubstr("holds 2 numbers, but s64 [3] needs 3"));
  EXPECT_THAT(error_of(header(1, {})), HasSubstr("holds 0 numbers, but f32 [] needs 1"));
}

TEST(ReadTensor, refuses_absurd_shapes_before_it_allocates) {
  EXPECT_THAT(error_of(header(1, {int64_t{1} << 40})), HasSubstr("more than 2^36 elements"));
  EXPECT_THAT(error_of(header(1, {int64_t{1} << 32, int64_t{1} << 32})), HasSubstr("more than 2^36 elements"));
  EXPECT_THAT(error_of(header(1, {-2})), HasSubstr("shape [-2] has a negative extent"));
}

TEST(ReadTensor, refuses_numbers_that_do_not_fit_their_dtype) {
  WireWriter codes = header(3, {1});
  codes.packed_integers(onnx_field::tensor::int32_data, std::vector<int64_t>{128});
  EXPECT_THAT(error_of(codes), HasSubstr("holds the number 128, which does not fit s8"));
}

TEST(ReadTensor, names_the_element_types_that_octet_has_not) {
  EXPECT_THAT(error_of(header(8, {1})), HasSubstr("tensor 'w' is of STRING, which octet has not"));
  EXPECT_THAT(error_of(header(14, {1})), HasSubstr("COMPLEX64"));
  EXPECT_THAT(error_of(header(24, {1})), HasSubstr("FLOAT8E8M0"));
  EXPECT_THAT(error_of(header(99, {1})), HasSubstr("element type 99"));
}

class ExternalData : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::path(testing::TempDir()) / "octet_external_data";
    std::filesystem::create_directories(folder_ / "sub");
    const float values[] = {1, 2, 3, 4};
    std::ofstream(folder_ / "sub" / "w.bin", std::ios::binary).write(reinterpret_cast<const char*>(values), 16);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::filesystem::path folder_;
};

TEST_F(ExternalData, is_read_from_a_file_beside_the_model) {
  const Result<Tensor> all = read_tensor(external(1, {4}, {{"location", "sub/w.bin"}}), folder_.string());
  ASSERT_TRUE(all) << all.error().message;
  EXPECT_THAT(to_doubles(*all), ElementsAre(1, 2, 3, 4));
  const auto part = external(1, {2}, {{"location", "sub/w.bin"}, {"offset", "8"}, {"length", "8"}});
  EXPECT_THAT(to_doubles(*read_tensor(part, folder_.string())), ElementsAre(3, 4));
}

TEST_F(ExternalData, may_lie_beyond_two_gibibytes) {
  // Sparse: takes a page of the disk.
  constexpr uintmax_t k_offset = (uintmax_t{1} << 31) + 4096;
  const float values[] = {5, 6};
  std::ofstream large(folder_ / "large.bin", std::ios::binary);
  large.seekp(static_cast<std::streamoff>(k_offset)).write(reinterpret_cast<const char*>(values), 8);
  large.close();
  ASSERT_EQ(std::filesystem::file_size(folder_ / "large.bin"), k_offset + 8);
  const auto tensor =
      external(1, {2}, {{"location", "large.bin"}, {"offset", std::to_string(k_offset)}, {"length", "8"}});
  const Result<Tensor> read = read_tensor(tensor, folder_.string());
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_THAT(to_doubles(*read), ElementsAre(5, 6));
}

TEST_F(ExternalData, may_not_lead_out_of_the_folder) {
  for (const char* location : {"/etc/passwd", "../w.bin", "sub/../../w.bin", ""})
    EXPECT_THAT(error_of(external(1, {1}, {{"location", location}}), folder_.string()),
                HasSubstr("expected a path inside the model's own folder"))
        << location;
  EXPECT_THAT(error_of(external(1, {1}, {})), HasSubstr("without a location"));
}

TEST_F(ExternalData, must_hold_what_the_shape_needs) {
  const std::string folder = folder_.string();
  EXPECT_THAT(error_of(external(1, {5}, {{"location", "sub/w.bin"}}), folder), HasSubstr("'sub/w.bin', which has 16;"));
  EXPECT_THAT(error_of(external(1, {1}, {{"location", "sub/w.bin"}, {"offset", "16"}}), folder),
              HasSubstr("the data file is truncated"));
  EXPECT_THAT(error_of(external(1, {1}, {{"location", "sub/w.bin"}, {"offset", "18446744073709551615"}}), folder),
              HasSubstr("the data file is truncated"));
  EXPECT_THAT(error_of(external(1, {1}, {{"location", "sub/w.bin"}, {"length", "8"}}), folder),
              HasSubstr("holds 8 bytes, but f32 [1] needs 4"));
  EXPECT_THAT(error_of(external(1, {1}, {{"location", "sub/w.bin"}, {"offset", "-1"}}), folder),
              HasSubstr("offset '-1', expected a number"));
  EXPECT_THAT(error_of(external(1, {1}, {{"location", "none.bin"}}), folder), HasSubstr("cannot open"));
}

TEST_F(ExternalData, cannot_belong_to_a_model_in_memory) {
  EXPECT_THAT(error_of(external(1, {1}, {{"location", "w.bin"}})), HasSubstr("a model in memory cannot refer to"));
}

}  // namespace
}  // namespace octet::test
