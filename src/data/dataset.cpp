// open_dataset: finds the kind of data, chooses the samples, hashes them.
#include "data/dataset.h"

#include <algorithm>
#include <charconv>
#include <new>
#include <numeric>

#include "base/hash.h"
#include "data/image_io.h"
#include "data/random.h"
#include "data/source.h"

namespace octet {
namespace {

class Selection final : public Dataset {
 public:
  Selection(std::unique_ptr<const Source> source, std::vector<int64_t> chosen)
      : source_(std::move(source)), chosen_(std::move(chosen)) {}

  int64_t size() const override { return static_cast<int64_t>(chosen_.size()); }
  std::vector<int64_t> labels(int64_t i) const override { return source_->labels(at(i)); }
  std::string sample_name(int64_t i) const override { return source_->sample_name(at(i)); }
  Result<Done> read(int64_t i, const Dims& dims, std::span<float> out) const override {
    try {
      Result<Done> done = source_->read(at(i), dims, out);
      if (!done) return within("sample '" + sample_name(i) + "'", done.error());
      return done;
    } catch (const std::bad_alloc&) {
      return Error{ErrorCode::out_of_memory, "sample '" + sample_name(i) + "': no memory to read it"};
    }
  }
  bool are_pictures() const override { return source_->are_pictures(); }
  std::string hash() const override {
    uint64_t hash = 0;
    for (const int64_t i : chosen_) {
      const std::string name = source_->sample_name(i);
      hash = hash_bytes(std::as_bytes(std::span(name)), hash);
      const uint64_t content = source_->content_hash(i);
      hash = hash_bytes(std::as_bytes(std::span(&content, 1)), hash);
    }
    return to_hex(hash);
  }

 private:
  int64_t at(int64_t i) const { return chosen_[static_cast<size_t>(i)]; }
  std::unique_ptr<const Source> source_;
  std::vector<int64_t> chosen_;
};

std::vector<int64_t> choose_samples(int64_t size, const DatasetOptions& options) {
  std::vector<int64_t> chosen(static_cast<size_t>(size));
  std::iota(chosen.begin(), chosen.end(), int64_t{0});
  if (options.limit <= 0 || options.limit >= size) return chosen;
  if (options.shuffle) {  // the first `limit` steps of a Fisher-Yates shuffle
    Random random(*options.shuffle);
    for (int64_t i = 0; i < options.limit; ++i) {
      std::swap(chosen[static_cast<size_t>(i)], chosen[static_cast<size_t>(random.between(i, size - 1))]);
    }
  }
  chosen.resize(static_cast<size_t>(options.limit));
  std::sort(chosen.begin(), chosen.end());
  return chosen;
}

SourceResult open_source(const std::string& path, const SourceOptions& options) {
  if (path.starts_with("raw:")) return open_raw(path, options);  // whatever its name ends in
#define OCTET_SOURCE(word) \
  if (claims_##word(path)) return open_##word(path, options);
#include "data/sources.def"
#undef OCTET_SOURCE
  return Error{ErrorCode::bad_argument, path + ": not data that octet reads"};
}

}  // namespace

Result<Done> write_picture(const Preprocess& p, const Image& image, const Dims& dims, std::span<float> out) {
  Preprocess uncropped = p;
  uncropped.crop_w = uncropped.crop_h = 0;
  const auto [whole_w, whole_h] = output_size(uncropped, image.width, image.height);
  if (whole_w > k_max_pixels / whole_h) {
    return Error{ErrorCode::bad_argument, "a picture of " + std::to_string(image.width) + "x" +
                                              std::to_string(image.height) + " would be resized to " +
                                              std::to_string(whole_w) + "x" + std::to_string(whole_h) +
                                              " pixels, which is too large"};
  }
  const auto [width, height] = output_size(p, image.width, image.height);
  const size_t leading = dims.size() > 3 ? dims.size() - 3 : 0;
  const bool ones =
      std::all_of(dims.begin(), dims.begin() + static_cast<std::ptrdiff_t>(leading), [](int64_t d) { return d == 1; });
  const bool fits = dims.size() >= 3 && ones && dims[leading] == 3 && dims[leading + 1] == height &&
                    dims[leading + 2] == width && out.size() == static_cast<size_t>(3 * width * height);
  if (!fits) {
    return Error{ErrorCode::bad_argument, "the picture gives [3," + std::to_string(height) + "," +
                                              std::to_string(width) + "] after preprocess '" + to_string(p) +
                                              "', the network's input is " + to_string(dims) +
                                              "; use resize=, stretch= or crop= to make it fit"};
  }
  apply(p, image, out);
  return Done{};
}

std::optional<Result<int64_t>> count_after(const std::string& path, std::string_view word) {
  if (!path.starts_with(std::string(word) + ":")) return std::nullopt;
  int64_t count = 0;
  const char* begin = path.data() + word.size() + 1;
  const char* end = path.data() + path.size();
  const std::from_chars_result number = std::from_chars(begin, end, count);
  if (number.ec != std::errc() || number.ptr != end || count < 1 || count > 1'000'000'000) {
    return Error{ErrorCode::bad_argument,
                 "'" + path + "': expected " + std::string(word) + ":N with N from 1 to 1000000000"};
  }
  return count;
}

Result<std::unique_ptr<Dataset>> open_dataset(const std::string& path, const DatasetOptions& options) {
  const Result<Preprocess> preprocess = parse_preprocess(options.preprocess);
  if (!preprocess) return preprocess.error();
  if (options.limit < 0)
    return Error{ErrorCode::bad_argument, "a limit of " + std::to_string(options.limit) + " samples makes no sense"};
  try {
    SourceResult source = open_source(path, {*preprocess, options.labels, options.input, options.sample_dims});
    if (!source) return source.error();
    if ((*source)->size() == 0) return Error{ErrorCode::bad_argument, path + ": holds no samples"};
    std::vector<int64_t> chosen = choose_samples((*source)->size(), options);
    return std::unique_ptr<Dataset>(std::make_unique<Selection>(*std::move(source), std::move(chosen)));
  } catch (const std::bad_alloc&) {
    return Error{ErrorCode::out_of_memory, path + ": no memory to open it"};
  }
}

}  // namespace octet
