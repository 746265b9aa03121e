#include "onnx/wire.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

namespace octet {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::vector<std::byte> bytes_of(const std::vector<int>& values) {
  std::vector<std::byte> out;
  for (const int v : values) out.push_back(static_cast<std::byte>(v));
  return out;
}

/// Reads all fields; the error's message, or "".
std::string read_all(const std::vector<std::byte>& message) {
  WireReader in(message, message.data(), "model");
  while (in.next()) {
  }
  return in.failed() ? in.error().message : "";
}

TEST(WireReader, reads_the_example_of_the_encoding_guide) {
  const std::vector<std::byte> message = bytes_of({0x08, 0x96, 0x01});  // field 1 = 150
  WireReader in(message, message.data(), "model");
  ASSERT_TRUE(in.next());
  EXPECT_EQ(in.number(), 1u);
  EXPECT_EQ(in.integer(), 150);
  EXPECT_FALSE(in.next());
  EXPECT_FALSE(in.failed());
}

TEST(WireReader, of_an_empty_message_has_no_field_and_no_error) { EXPECT_EQ(read_all({}), ""); }

TEST(WireReader, reads_minus_one_as_ten_bytes) {
  const std::vector<std::byte> message = bytes_of({0x08, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1});
  WireReader in(message, message.data(), "model");
  ASSERT_TRUE(in.next());
  EXPECT_EQ(in.integer(), -1);
}

TEST(WireReader, refuses_a_number_of_more_than_64_bits) {
  EXPECT_THAT(read_all(bytes_of({0x08, 255, 255, 255, 255, 255, 255, 255, 255, 255, 2})),
              HasSubstr("more than 64 bits"));
  EXPECT_THAT(read_all(bytes_of({0x08, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1})),
              HasSubstr("more than 64 bits"));
}

TEST(WireReader, refuses_a_number_that_is_cut_off) {
  EXPECT_THAT(read_all(bytes_of({0x08, 0x96})), HasSubstr("byte 1, in the model: a number runs past the end"));
  EXPECT_THAT(read_all(bytes_of({0x0d, 0, 0, 0})), HasSubstr("a number of 4 bytes runs past the end"));
  EXPECT_THAT(read_all(bytes_of({0x09, 0, 0, 0, 0, 0, 0, 0})), HasSubstr("a number of 8 bytes runs past the end"));
}

TEST(WireReader, refuses_a_length_beyond_the_end_and_says_both_lengths) {
  EXPECT_THAT(read_all(bytes_of({0x3a, 5, 1, 2})), HasSubstr("field 7 claims 5 bytes, but 2 are left"));
  // A length of 2^64 - 1 must not wrap around.
  EXPECT_THAT(read_all(bytes_of({0x3a, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1, 7})),
              HasSubstr("but 1 are left"));
}

TEST(WireReader, refuses_groups_and_field_zero) {
  EXPECT_THAT(read_all(bytes_of({0x0b})), HasSubstr("wire type 3"));
  EXPECT_THAT(read_all(bytes_of({0x0c})), HasSubstr("wire type 4"));
  EXPECT_THAT(read_all(bytes_of({0x0f})), HasSubstr("wire type 7"));
  EXPECT_THAT(read_all(bytes_of({0x00, 0x00})), HasSubstr("field number 0"));
}

TEST(WireReader, refuses_a_value_of_another_wire_type_than_asked_for) {
  const std::vector<std::byte> message = bytes_of({0x08, 1, 0x10, 2});
  WireReader in(message, message.data(), "node");
  ASSERT_TRUE(in.next());
  EXPECT_EQ(in.text(), "");
  EXPECT_FALSE(in.next());
  ASSERT_TRUE(in.failed());
  EXPECT_THAT(in.error().message, HasSubstr("byte 0, in the node: field 1 has wire type 0, expected 2"));
}

TEST(WireReader, reads_repeated_numbers_packed_and_single) {
  WireWriter out;
  out.packed_integers(1, std::vector<int64_t>{3, -1, 1 << 20});
  out.integer(1, 7);
  const std::vector<std::byte> message = out.finish();
  WireReader in(message, message.data(), "tensor");
  std::vector<int64_t> values;
  while (in.next()) in.append_varints(values);
  EXPECT_FALSE(in.failed());
  EXPECT_THAT(values, ElementsAre(3, -1, 1 << 20, 7));
}

TEST(WireReader, refuses_packed_floats_that_fill_no_whole_number) {
  const std::vector<std::byte> message = bytes_of({0x0a, 3, 0, 0, 0});
  WireReader in(message, message.data(), "tensor");
  std::vector<uint32_t> values;
  ASSERT_TRUE(in.next());
  in.append_fixed32(values);
  ASSERT_TRUE(in.failed());
  EXPECT_THAT(in.error().message, HasSubstr("packed numbers of 4 bytes fill 3 bytes"));
}

TEST(WireReader, refuses_packed_integers_that_are_cut_off) {
  const std::vector<std::byte> message = bytes_of({0x0a, 2, 1, 0x80});
  WireReader in(message, message.data(), "tensor");
  std::vector<int64_t> values;
  ASSERT_TRUE(in.next());
  in.append_varints(values);
  EXPECT_TRUE(in.failed());
}

TEST(WireReader, hands_out_bytes_as_views_of_the_message) {
  const std::vector<std::byte> message = bytes_of({0x4a, 2, 42, 43});
  WireReader in(message, message.data(), "tensor");
  ASSERT_TRUE(in.next());
  EXPECT_EQ(in.bytes().data(), message.data() + 2);
}

TEST(WireWriter, writes_what_the_reader_reads) {
  WireWriter inner;
  inner.text(1, "weights");
  inner.real(2, -0.5f);
  const std::vector<std::byte> weights(1000, std::byte{7});
  inner.borrowed_bytes(9, weights);
  inner.integer(3, std::numeric_limits<int64_t>::min());
  WireWriter out;
  out.integer(1, 8);
  out.message(5, inner);
  out.integer(16, 300);  // the tag takes two bytes
  EXPECT_EQ(out.size(), out.finish().size());
  const std::vector<std::byte> message = out.finish();
  WireReader in(message, message.data(), "model");
  ASSERT_TRUE(in.next());
  EXPECT_EQ(in.integer(), 8);
  ASSERT_TRUE(in.next());
  WireReader nested(in.bytes(), message.data(), "graph");
  ASSERT_TRUE(nested.next());
  EXPECT_EQ(nested.text(), "weights");
  ASSERT_TRUE(nested.next());
  EXPECT_EQ(nested.real(), -0.5f);
  ASSERT_TRUE(nested.next());
  EXPECT_TRUE(std::ranges::equal(nested.bytes(), weights));
  ASSERT_TRUE(nested.next());
  EXPECT_EQ(nested.integer(), std::numeric_limits<int64_t>::min());
  EXPECT_FALSE(nested.next());
  ASSERT_TRUE(in.next());
  EXPECT_EQ(in.number(), 16u);
  EXPECT_EQ(in.integer(), 300);
}

TEST(WireWriter, keeps_borrowed_bytes_in_place_when_messages_nest) {
  const std::vector<std::byte> a(200, std::byte{1}), b(3, std::byte{2});
  WireWriter first, second, out;
  first.borrowed_bytes(1, a);
  second.integer(1, 5);
  second.borrowed_bytes(2, b);
  out.message(1, first);
  out.message(2, second);
  const std::vector<std::byte> message = out.finish();
  WireReader in(message, message.data(), "model");
  ASSERT_TRUE(in.next());
  ASSERT_TRUE(in.next());
  WireReader nested(in.bytes(), message.data(), "graph");
  ASSERT_TRUE(nested.next());
  EXPECT_EQ(nested.integer(), 5);
  ASSERT_TRUE(nested.next());
  EXPECT_TRUE(std::ranges::equal(nested.bytes(), b));
}

}  // namespace
}  // namespace octet
