// Pickles written by hand from the opcode table, so that every byte is known.

#include "checkpoint/pickle.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace octet {
namespace {

using testing::HasSubstr;
using Kind = PickleValue::Kind;

std::span<const std::byte> bytes_of(const std::string& text) { return std::as_bytes(std::span(text)); }

Result<Pickle> read(const std::string& text) { return read_pickle(bytes_of(text)); }

/// BINUNICODE of a short text.
std::string text(const std::string& word) {
  return std::string("X") + static_cast<char>(word.size()) + std::string(3, '\0') + word;
}

TEST(Pickle, integers_of_every_width_keep_their_sign) {
  const std::string list =
      std::string("\x80\x02](K\xffM\x39\x30J\xfe\xff\xff\xff\x8a\x01\x80\x8a\x02\x80\x00", 21) + "e.";
  const Result<Pickle> pickle = read(list);
  ASSERT_TRUE(pickle) << pickle.error().message;
  std::vector<int64_t> values;
  for (const PickleId id : (*pickle)[pickle->root].items) values.push_back((*pickle)[id].integer);
  EXPECT_EQ(values, (std::vector<int64_t>{255, 12345, -2, -128, 128}));
}

TEST(Pickle, a_dict_keeps_its_order_and_the_memo_repeats_a_value) {
  const Result<Pickle> pickle = read("}(" + text("b") + "q\x01" + "K\x02" + text("a") + std::string("h\x01", 2) + "u.");
  ASSERT_TRUE(pickle) << pickle.error().message;
  const PickleValue& dict = (*pickle)[pickle->root];
  ASSERT_EQ(dict.entries.size(), 2u);
  EXPECT_EQ((*pickle)[dict.entries[0].first].text, "b");
  EXPECT_EQ((*pickle)[dict.entries[1].second].text, "b");
}

TEST(Pickle, a_call_of_anything_else_is_refused_by_name_and_not_made) {
  const Result<Pickle> pickle = read("cos\nsystem\n(" + text("true") + "tR.");
  ASSERT_FALSE(pickle);
  EXPECT_THAT(pickle.error().message, HasSubstr("wants to call os.system"));
  EXPECT_THAT(pickle.error().message, HasSubstr("state_dict()"));
}

TEST(Pickle, an_object_of_a_class_is_refused_by_name) {
  const Result<Pickle> pickle = read(std::string("cmodels.resnet\nResNet\n)\x81."));
  ASSERT_FALSE(pickle);
  EXPECT_THAT(pickle.error().message, HasSubstr("models.resnet.ResNet"));
}

TEST(Pickle, every_prefix_of_a_stream_gives_an_error) {
  const std::string whole = "}(" + text("w") + "(" + text("storage") + "ctorch\nFloatStorage\n" + text("0") +
                            text("cpu") + std::string("K\x04tQu.", 6);
  ASSERT_TRUE(read(whole)) << read(whole).error().message;
  for (size_t n = 0; n < whole.size(); ++n) EXPECT_FALSE(read(whole.substr(0, n))) << n;
}

TEST(Pickle, an_unknown_opcode_is_named_with_its_place) {
  const Result<Pickle> pickle = read("N\xfe.");
  ASSERT_FALSE(pickle);
  EXPECT_THAT(pickle.error().message, HasSubstr("opcode 254 at byte 1"));
}

TEST(Pickle, a_storage_that_views_another_is_refused) {
  const std::string stream = "(" + text("storage") + "ctorch\nFloatStorage\n" + text("7") + text("cpu") + "K\x04(" +
                             text("key") + std::string("K\0K\x04ttQ.", 9);
  const Result<Pickle> pickle = read(stream);
  ASSERT_FALSE(pickle);
  EXPECT_THAT(pickle.error().message, HasSubstr("storage '7' is a view"));
}

}  // namespace
}  // namespace octet
