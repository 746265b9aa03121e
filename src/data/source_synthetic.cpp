// synthetic:N, noise without labels: for measuring speed, never accuracy. Without a norm, values close to a standard
// normal (the sum of 12 uniform 16-bit numbers, centred); with one, uniform pixels of the input's size through it.
#include "data/random.h"
#include "data/source.h"

namespace octet {
namespace {

class SyntheticSource final : public Source {
 public:
  SyntheticSource(int64_t count, const Preprocess& preprocess) : count_(count), preprocess_(preprocess) {
    preprocess_.resize_shorter = preprocess_.stretch_w = preprocess_.stretch_h = 0;  // drawn at the input's size
    preprocess_.crop_w = preprocess_.crop_h = 0;
  }

  int64_t size() const override { return count_; }
  std::vector<int64_t> labels(int64_t) const override { return {}; }
  std::string sample_name(int64_t i) const override { return "synthetic " + std::to_string(i); }
  Result<Done> read(int64_t i, const Dims& dims, std::span<float> out) const override {
    Random random(content_hash(i));
    const size_t rank = dims.size();
    if (preprocess_.none || rank < 3 || dims[rank - 3] != 3) {
      for (float& x : out) {
        int64_t sum = 0;
        for (int k = 0; k < 12; ++k) sum += random.below(65536);
        x = static_cast<float>(sum - 6 * 65535) / 65536.0f;
      }
      return Done{};
    }
    Image image{dims[rank - 1], dims[rank - 2], std::vector<uint8_t>(out.size())};
    for (uint8_t& pixel : image.rgb) pixel = static_cast<uint8_t>(random.below(256));
    return write_picture(preprocess_, image, dims, out);
  }
  uint64_t content_hash(int64_t i) const override {
    return Random(0x6f63746574000000ull + static_cast<uint64_t>(i)).next();
  }

 private:
  int64_t count_;
  Preprocess preprocess_;
};

}  // namespace

bool claims_synthetic(const std::string& path) { return path.starts_with("synthetic:"); }

SourceResult open_synthetic(const std::string& path, const SourceOptions& options) {
  const Result<int64_t> count = *count_after(path, "synthetic");
  if (!count) return count.error();
  return SourceResult(std::make_unique<SyntheticSource>(*count, options.preprocess));
}

}  // namespace octet
