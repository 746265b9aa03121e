// One picture.
#include <filesystem>

#include "base/file.h"
#include "base/hash.h"
#include "data/image_io.h"
#include "data/picture_source.h"

namespace octet {
namespace {

class PictureSource final : public Source {
 public:
  PictureSource(std::vector<PictureFile> files, const Preprocess& preprocess)
      : files_(std::move(files)), preprocess_(preprocess) {}

  int64_t size() const override { return static_cast<int64_t>(files_.size()); }
  std::vector<int64_t> labels(int64_t i) const override { return file(i).labels; }
  std::string sample_name(int64_t i) const override { return file(i).name; }
  Result<Done> read(int64_t i, const Dims& dims, std::span<float> out) const override {
    const Result<Image> image = read_image(file(i).path);
    if (!image) return image.error();
    return write_picture(preprocess_, *image, dims, out);
  }
  bool are_pictures() const override { return true; }
  uint64_t content_hash(int64_t i) const override {
    const Result<std::shared_ptr<const MappedFile>> mapped = MappedFile::open(file(i).path);
    return mapped ? hash_bytes((*mapped)->bytes()) : 0;  // a file that vanished fails in read(), with its message
  }

 private:
  const PictureFile& file(int64_t i) const { return files_[static_cast<size_t>(i)]; }
  std::vector<PictureFile> files_;
  Preprocess preprocess_;
};

}  // namespace

std::unique_ptr<Source> make_picture_source(std::vector<PictureFile> files, const Preprocess& preprocess) {
  return std::make_unique<PictureSource>(std::move(files), preprocess);
}

bool claims_picture(const std::string& path) { return is_image_name(path) || is_foreign_image_name(path); }

SourceResult open_picture(const std::string& path, const SourceOptions& options) {
  const Result<std::shared_ptr<const MappedFile>> file = MappedFile::open(path);
  if (!file) return file.error();
  const std::string name = std::filesystem::path(path).filename().string();
  PictureFile picture{name, path, {}};
  if (!options.labels.empty()) {
    const Result<LabelTable> labels = read_labels(options.labels, LabelKey::file);
    if (!labels) return labels.error();
    const std::vector<int64_t>* classes = find_labels(*labels, name);
    if (!classes) return Error{ErrorCode::bad_argument, options.labels + ": has no line for '" + name + "'"};
    picture.labels = *classes;
  }
  return make_picture_source({picture}, options.preprocess);
}

}  // namespace octet
