// Readers of QuantDescriptors: whatever is read is a descriptor that check() accepts, and is read again from both of
// its written forms as the same.

#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "quant/descriptor.h"

namespace {

void require(bool holds, const char* what, const std::string& text) {
  if (holds) return;
  std::fprintf(stderr, "%s:\n%s\n", what, text.c_str());
  std::abort();
}

void judge(const octet::Result<octet::QuantDescriptor>& read) {
  if (!read) {
    require(!read.error().message.empty(), "an error without a message", "");
    return;
  }
  require(octet::check(*read).has_value(), "a descriptor was read that is none", octet::to_text(*read));
  const std::string yaml = octet::to_yaml(*read), json = octet::to_json(*read);
  const octet::Result<octet::QuantDescriptor> from_yaml = octet::descriptor_from_yaml(yaml);
  require(from_yaml && *from_yaml == *read, "the YAML form is read otherwise", yaml);
  const octet::Result<octet::QuantDescriptor> from_json = octet::descriptor_from_json(json);
  require(from_json && *from_json == *read, "the JSON form is read otherwise", json);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  judge(octet::descriptor_from_yaml(text));
  judge(octet::descriptor_from_json(text));
  return 0;
}
