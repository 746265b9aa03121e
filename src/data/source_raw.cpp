// Dense little-endian f32 without a header (numpy.ndarray.tofile, trtexec --loadInputs). With sample_dims the file is a
// row of samples; without, it is one sample, and read() checks that it fits the input.
#include <cstring>

#include "base/file.h"
#include "base/hash.h"
#include "data/source.h"

namespace octet {
namespace {

class RawSource final : public Source {
 public:
  RawSource(std::shared_ptr<const MappedFile> file, size_t sample_bytes)
      : file_(std::move(file)), sample_bytes_(sample_bytes) {}

  int64_t size() const override { return static_cast<int64_t>(file_->bytes().size() / sample_bytes_); }
  std::vector<int64_t> labels(int64_t) const override { return {}; }
  std::string sample_name(int64_t i) const override { return std::to_string(i); }
  Result<Done> read(int64_t i, const Dims& dims, std::span<float> out) const override {
    if (out.size_bytes() != sample_bytes_) {
      return Error{ErrorCode::bad_argument, "the file holds " + std::to_string(sample_bytes_) +
                                                " bytes a sample, the input " + to_string(dims) + " of f32 takes " +
                                                std::to_string(out.size_bytes())};
    }
    std::memcpy(out.data(), sample(i).data(), sample_bytes_);
    return Done{};
  }
  uint64_t content_hash(int64_t i) const override { return hash_bytes(sample(i)); }

 private:
  std::span<const std::byte> sample(int64_t i) const {
    return file_->bytes().subspan(static_cast<size_t>(i) * sample_bytes_, sample_bytes_);
  }
  std::shared_ptr<const MappedFile> file_;
  size_t sample_bytes_;
};

}  // namespace

bool claims_raw(const std::string&) { return true; }

SourceResult open_raw(const std::string& path, const SourceOptions& options) {
  Result<std::shared_ptr<const MappedFile>> file = MappedFile::open(path.starts_with("raw:") ? path.substr(4) : path);
  if (!file) return file.error();
  const size_t bytes = (*file)->bytes().size();
  const auto wrong = [&](const std::string& what) { return Error{ErrorCode::bad_argument, path + ": " + what}; };
  if (!options.preprocess.none) return wrong("raw floats are taken as they are; use preprocess 'none'");
  size_t sample_bytes = bytes;
  if (!options.sample_dims.empty()) {
    const std::optional<int64_t> count = element_count(options.sample_dims);
    sample_bytes = count ? static_cast<size_t>(*count) * sizeof(float) : 0;
  }
  if (bytes == 0 || sample_bytes == 0 || bytes % sample_bytes != 0 || sample_bytes % sizeof(float) != 0) {
    return wrong("holds " + std::to_string(bytes) + " bytes, expected f32 samples of " +
                 (options.sample_dims.empty() ? "4 bytes an element" : to_string(options.sample_dims)));
  }
  return SourceResult(std::make_unique<RawSource>(*std::move(file), sample_bytes));
}

}  // namespace octet
