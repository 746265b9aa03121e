#pragma once
// The toolkit's recorded runs, $OCTET_DATA/golden (made by pytorch-quantization 2.2.1; see the README there).

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdlib>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/file.h"
#include "data/npy.h"
#include "tensor/tensor.h"

namespace octet {

/// A fixture that reads the index once and an .npz when a record first asks for it; skips without OCTET_DATA.
class Golden : public testing::Test {
 protected:
  using Json = nlohmann::json;

  void SetUp() override {
    const char* root = std::getenv("OCTET_DATA");
    if (!root) GTEST_SKIP() << "OCTET_DATA is not set";
    folder_ = std::string(root) + "/golden/";
    const Result<std::string> text = read_text_file(folder_ + "index.json");
    ASSERT_TRUE(text) << text.error().message;
    index_ = Json::parse(*text);
  }

  std::vector<Json> records(const std::string& kind) const {
    std::vector<Json> found;
    for (const Json& record : index_["records"]) {
      if (record["kind"] == kind) found.push_back(record);
    }
    return found;
  }

  const Tensor& array(const Json& record, const std::string& key) {
    const std::string file = record["file"];
    if (!arrays_.contains(file)) {
      const auto all = read_npz(folder_ + file);
      EXPECT_TRUE(all) << all.error().message;
      for (const auto& [name, tensor] : *all) arrays_[file].emplace(name, tensor);
    }
    return arrays_[file].at(key);
  }
  const Tensor& input(const Json& record, const char* name) { return array(record, record["inputs"][name]); }
  const Tensor& output(const Json& record, const char* name) { return array(record, record["outputs"][name]); }
  static float scalar(const Json& value) {
    return std::bit_cast<float>(static_cast<uint32_t>(std::stoul(value["f32_hex"].get<std::string>(), nullptr, 16)));
  }

 private:
  std::string folder_;
  Json index_;
  std::map<std::string, std::map<std::string, Tensor>> arrays_;
};

enum class ZeroSigns { count, do_not };

/// Same dims and the same numbers: bits, but NaN equals NaN. Dtypes may differ (an integer then has no -0), and a
/// number without dimensions is recorded as [1].
inline testing::AssertionResult same_numbers(const Tensor& got, const Tensor& wanted,
                                             ZeroSigns signs = ZeroSigns::count) {
  if (got.dims() != wanted.dims() && !(got.rank() == 0 && wanted.dims() == Dims{1})) {
    return testing::AssertionFailure() << "dims " << to_string(std::span<const int64_t>(got.dims())) << ", wanted "
                                       << to_string(std::span<const int64_t>(wanted.dims()));
  }
  const bool with_signs = signs == ZeroSigns::count && is_float(got.dtype()) && is_float(wanted.dtype());
  const std::vector<double> a = to_doubles(got), b = to_doubles(wanted);
  for (size_t i = 0; i < a.size(); ++i) {
    const bool same_sign = !with_signs || std::signbit(a[i]) == std::signbit(b[i]);
    if ((a[i] == b[i] && same_sign) || (std::isnan(a[i]) && std::isnan(b[i]))) continue;
    return testing::AssertionFailure() << "element " << i << " is " << a[i] << ", wanted " << b[i];
  }
  return testing::AssertionSuccess();
}

}  // namespace octet
