#include "checkpoint/checkpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string>

namespace octet {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

Result<Checkpoint> read(const std::string& bytes) { return read_checkpoint(std::as_bytes(std::span(bytes)), "file"); }

std::string safetensors(const std::string& header, const std::string& data) {
  std::string size(8, '\0');
  const uint64_t n = header.size();
  std::memcpy(size.data(), &n, 8);
  return size + header + data;
}

std::string floats(std::initializer_list<float> values) {
  std::string bytes(4 * values.size(), '\0');
  std::memcpy(bytes.data(), values.begin(), bytes.size());
  return bytes;
}

TEST(Safetensors, a_tensor_lies_where_its_offsets_say) {
  const Result<Checkpoint> checkpoint =
      read(safetensors(R"({"__metadata__":{"format":"pt"},"b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]},)"
                       R"("a":{"dtype":"F32","shape":[],"data_offsets":[0,4]}})",
                       floats({1.5f, 2.0f, -3.0f})));
  ASSERT_TRUE(checkpoint) << checkpoint.error().message;
  EXPECT_EQ(checkpoint->format, "safetensors");
  EXPECT_EQ(checkpoint->tensors.at("a").at<float>(0), 1.5f);
  EXPECT_THAT(checkpoint->tensors.at("b").as<float>(), ElementsAre(2.0f, -3.0f));
}

struct Broken {
  const char* header;
  const char* says;
};

TEST(Safetensors, a_lying_header_is_an_error_that_names_the_tensor) {
  for (const Broken& broken : std::initializer_list<Broken>{
           {R"({"w":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}})", "bytes 0..8 of 8 do not hold shape [3]"},
           {R"({"w":{"dtype":"F32","shape":[3],"data_offsets":[0,12]}})", "bytes 0..12 of 8"},
           {R"({"w":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}})", "bytes 8..0"},
           {R"({"w":{"dtype":"F8_E4M3","shape":[8],"data_offsets":[0,8]}})", "dtype F8_E4M3"},
           {R"({"w":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,8]}})", "no usable shape"},
           {R"({"w":{"dtype":"F32","shape":[-1],"data_offsets":[0,8]}})", "no usable shape"},
           {R"({"w":{"shape":[2],"data_offsets":[0,8]}})", "no dtype"}}) {
    const Result<Checkpoint> checkpoint = read(safetensors(broken.header, floats({1, 2})));
    ASSERT_FALSE(checkpoint) << broken.header;
    EXPECT_THAT(checkpoint.error().message, HasSubstr("tensor 'w'")) << broken.header;
    EXPECT_THAT(checkpoint.error().message, HasSubstr(broken.says)) << broken.header;
  }
}

TEST(Checkpoint, another_file_is_refused_with_the_known_formats) {
  const Result<Checkpoint> checkpoint = read("not a checkpoint at all");
  ASSERT_FALSE(checkpoint);
  EXPECT_EQ(checkpoint.error().message,
            "file: not a checkpoint that octet knows (PyTorch zip, PyTorch (before 1.6), safetensors)");
}

TEST(Checkpoint, an_empty_safetensors_file_holds_no_tensors) {
  const Result<Checkpoint> checkpoint = read(safetensors("{}", ""));
  ASSERT_FALSE(checkpoint);
  EXPECT_EQ(checkpoint.error().message, "file: holds no tensors");
}

std::string data_file(const char* name) {
  const char* root = std::getenv("OCTET_DATA");
  return root ? std::string(root) + "/checkpoints/" + name : "";
}

TEST(Checkpoint, both_forms_of_one_network_hold_the_same_weights) {
  const std::string old_form = data_file("resnet20-12fca82f.th"), zip_form = data_file("resnet20_state_dict.pth");
  if (old_form.empty()) GTEST_SKIP() << "OCTET_DATA is not set";
  const Result<Checkpoint> a = read_checkpoint(old_form), b = read_checkpoint(zip_form);
  ASSERT_TRUE(a) << a.error().message;
  ASSERT_TRUE(b) << b.error().message;
  EXPECT_THAT(a->notes, ElementsAre(HasSubstr("'state_dict'"), HasSubstr("module.")));
  EXPECT_EQ(b->tensors.size(), 97u);
  for (const auto& [name, tensor] : b->tensors) {
    ASSERT_TRUE(a->tensors.contains(name)) << name;
    EXPECT_TRUE(a->tensors.at(name) == tensor) << name;
  }
}

// A zip archive checks its members' checksums, so what is cut or flipped there is found before the pickle is read; the
// old form has no checksums, and every cut must still be an error.
TEST(Checkpoint, a_file_cut_anywhere_is_an_error) {
  for (const char* name : {"resnet20-12fca82f.th", "resnet20_state_dict.pth"}) {
    const std::string path = data_file(name);
    if (path.empty()) GTEST_SKIP() << "OCTET_DATA is not set";
    std::ifstream file(path, std::ios::binary);
    const std::string whole{std::istreambuf_iterator<char>(file), {}};
    for (size_t n = 16; n < whole.size(); n += n < 16000 ? 97 : 40009)
      EXPECT_FALSE(read(whole.substr(0, n))) << name << " cut to " << n;
  }
}

}  // namespace
}  // namespace octet
