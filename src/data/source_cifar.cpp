// CIFAR-10's binary form: records of one label byte (0..9) and 32x32 pixels as planes R, G, B.
// Source: A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009, and the data set's page.
#include "base/file.h"
#include "base/hash.h"
#include "data/source.h"

namespace octet {
namespace {

constexpr int64_t k_side = 32, k_pixels = k_side * k_side, k_record = 1 + 3 * k_pixels;
constexpr int64_t k_classes = 10;

class CifarSource final : public Source {
 public:
  CifarSource(std::shared_ptr<const MappedFile> file, const Preprocess& preprocess)
      : file_(std::move(file)), preprocess_(preprocess) {}

  int64_t size() const override { return static_cast<int64_t>(file_->bytes().size()) / k_record; }
  std::vector<int64_t> labels(int64_t i) const override { return {std::to_integer<int64_t>(record(i)[0])}; }
  std::string sample_name(int64_t i) const override { return std::to_string(i); }
  Result<Done> read(int64_t i, const Dims& dims, std::span<float> out) const override {
    const std::span<const std::byte> planes = record(i).subspan(1);
    Image image{k_side, k_side, std::vector<uint8_t>(static_cast<size_t>(3 * k_pixels))};
    for (size_t c = 0; c < 3; ++c) {
      for (size_t p = 0; p < k_pixels; ++p) image.rgb[3 * p + c] = std::to_integer<uint8_t>(planes[c * k_pixels + p]);
    }
    return write_picture(preprocess_, image, dims, out);
  }
  bool are_pictures() const override { return true; }
  uint64_t content_hash(int64_t i) const override { return hash_bytes(record(i)); }

 private:
  std::span<const std::byte> record(int64_t i) const {
    return file_->bytes().subspan(static_cast<size_t>(i * k_record), static_cast<size_t>(k_record));
  }
  std::shared_ptr<const MappedFile> file_;  // a mapping is shared by design of MappedFile
  Preprocess preprocess_;
};

}  // namespace

bool claims_cifar(const std::string& path) {
  if (!path.ends_with(".bin") || path.starts_with("raw:")) return false;
  const Result<std::shared_ptr<const MappedFile>> file = MappedFile::open(path);
  return file && !(*file)->bytes().empty() && static_cast<int64_t>((*file)->bytes().size()) % k_record == 0;
}

SourceResult open_cifar(const std::string& path, const SourceOptions& options) {
  Result<std::shared_ptr<const MappedFile>> file = MappedFile::open(path);
  if (!file) return file.error();
  auto source = std::make_unique<CifarSource>(*std::move(file), options.preprocess);
  for (int64_t i = 0; i < source->size(); ++i) {
    if (source->labels(i)[0] >= k_classes) {
      return Error{ErrorCode::bad_argument, path + ": record " + std::to_string(i) + " has label " +
                                                std::to_string(source->labels(i)[0]) +
                                                ", so this is not CIFAR-10; for raw floats write raw:" + path};
    }
  }
  return SourceResult(std::move(source));
}

}  // namespace octet
