// .npy and .npz: the first extent counts samples. u8 arrays [N,3,h,w] are pixels (planes R, G, B) and take any
// preprocess spec; float arrays are taken as they are, or, with a norm alone, as pixels 0..255. Labels: the option,
// "labels" inside the .npz, PATH.labels.npy or STEM.labels.npy, or a CSV beside: STEM_labels.csv, where STEM may lack
// its last _parts.
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <limits>

#include "base/hash.h"
#include "data/npy.h"
#include "data/source.h"

namespace octet {
namespace {

namespace fs = std::filesystem;

Error wrong(const std::string& path, const std::string& what) { return {ErrorCode::bad_argument, path + ": " + what}; }

/// One row of classes for each sample; negative numbers mean "no class".
using LabelRows = std::vector<std::vector<int64_t>>;

class ArraySource final : public Source {
 public:
  ArraySource(Tensor samples, LabelRows labels, const Preprocess& preprocess)
      : samples_(std::move(samples)), labels_(std::move(labels)), preprocess_(preprocess) {
    sample_dims_.assign(samples_.dims().begin() + 1, samples_.dims().end());
    each_ = samples_.size() / samples_.dims()[0];
  }

  int64_t size() const override { return samples_.dims()[0]; }
  std::vector<int64_t> labels(int64_t i) const override {
    return labels_.empty() ? std::vector<int64_t>() : labels_[static_cast<size_t>(i)];
  }
  std::string sample_name(int64_t i) const override { return std::to_string(i); }
  Result<Done> read(int64_t i, const Dims& dims, std::span<float> out) const override {
    if (preprocess_.none) {
      const Result<Done> fits = check_dims(dims);
      if (!fits) return fits.error();
      copy_floats(i, out);
      return Done{};
    }
    if (samples_.dtype() == DType::u8) return read_pixels(i, dims, out);
    return read_float_pixels(i, dims, out);
  }
  bool are_pictures() const override { return samples_.dtype() == DType::u8; }
  uint64_t content_hash(int64_t i) const override { return hash_bytes(sample_bytes(i)); }

 private:
  std::span<const std::byte> sample_bytes(int64_t i) const {
    const size_t bytes = static_cast<size_t>(each_) * size_of(samples_.dtype());
    return samples_.bytes().subspan(static_cast<size_t>(i) * bytes, bytes);
  }

  Result<Done> check_dims(const Dims& dims) const {
    const auto squeezed = [](Dims d) {
      d.erase(std::remove(d.begin(), d.end(), 1), d.end());
      return d;
    };
    if (squeezed(dims) == squeezed(sample_dims_)) return Done{};
    return Error{ErrorCode::bad_argument,
                 "the array's samples are " + to_string(sample_dims_) + ", the network's input is " + to_string(dims)};
  }

  void copy_floats(int64_t i, std::span<float> out) const {
    const Tensor sample(samples_.dtype(), sample_dims_, nullptr, sample_bytes(i).data());
    if (sample.dtype() == DType::f32) {
      std::copy_n(sample.as<float>().begin(), out.size(), out.begin());
      return;
    }
    const std::vector<double> values = to_doubles(sample);
    std::transform(values.begin(), values.end(), out.begin(), [](double v) { return static_cast<float>(v); });
  }

  Result<Done> read_pixels(int64_t i, const Dims& dims, std::span<float> out) const {
    if (sample_dims_.size() != 3 || sample_dims_[0] != 3) {
      return Error{ErrorCode::bad_argument,
                   "a preprocess spec wants pixels [N,3,h,w], the array's samples are " + to_string(sample_dims_)};
    }
    Image image{sample_dims_[2], sample_dims_[1], std::vector<uint8_t>(static_cast<size_t>(each_))};
    const auto pixels = static_cast<size_t>(image.width * image.height);
    const std::span<const std::byte> planes = sample_bytes(i);
    for (size_t c = 0; c < 3; ++c) {
      for (size_t p = 0; p < pixels; ++p) image.rgb[3 * p + c] = std::to_integer<uint8_t>(planes[c * pixels + p]);
    }
    return write_picture(preprocess_, image, dims, out);
  }

  /// The norm alone, on floats that must look like pixels 0..255: already scaled data would silently be scaled twice.
  Result<Done> read_float_pixels(int64_t i, const Dims& dims, std::span<float> out) const {
    const Result<Done> fits = check_dims(dims);
    if (!fits) return fits.error();
    if (preprocess_.has_geometry() || sample_dims_.size() != 3 || sample_dims_[0] != 3) {
      return Error{ErrorCode::bad_argument,
                   "float arrays take only a norm, on samples [3,h,w]; save pixels as uint8, or use preprocess 'none'"};
    }
    std::vector<float> values(out.size());
    copy_floats(i, values);
    const auto [low, high] = std::minmax_element(values.begin(), values.end());
    if (!values.empty() && (!(*low >= 0) || *high > 255 || (*high > 0 && *high <= 1))) {
      return Error{ErrorCode::bad_argument, "values from " + std::to_string(*low) + " to " + std::to_string(*high) +
                                                " are not pixels 0..255, so preprocess '" + to_string(preprocess_) +
                                                "' would scale them twice; use 'none'"};
    }
    const size_t pixels = values.size() / 3;
    for (size_t plane = 0; plane < 3; ++plane) {
      const size_t channel = preprocess_.bgr ? 2 - plane : plane;
      for (size_t p = 0; p < pixels; ++p) {
        const float v = values[channel * pixels + p];
        out[plane * pixels + p] =
            ((preprocess_.scale_to_unit ? v / 255.0f : v) - preprocess_.mean[plane]) / preprocess_.std[plane];
      }
    }
    return Done{};
  }

  Tensor samples_;
  Dims sample_dims_;
  int64_t each_ = 0;
  LabelRows labels_;
  Preprocess preprocess_;
};

Result<LabelRows> rows_from_tensor(const std::string& place, const Tensor& tensor, int64_t samples) {
  const Result<std::vector<int64_t>> values = to_int64s(tensor);
  if (!values) return within(place, values.error());
  const bool fits = (tensor.rank() == 1 || tensor.rank() == 2) && tensor.dims()[0] == samples;
  if (!fits)
    return wrong(place, "labels " + to_string(tensor.dims()) + " do not fit " + std::to_string(samples) + " samples");
  const size_t each = tensor.rank() == 2 ? static_cast<size_t>(tensor.dims()[1]) : 1;
  LabelRows rows(static_cast<size_t>(samples));
  for (size_t i = 0; i < rows.size(); ++i) {
    for (size_t j = 0; j < each; ++j) {
      if (const int64_t value = (*values)[i * each + j]; value >= 0) rows[i].push_back(value);
    }
  }
  return rows;
}

Result<LabelRows> rows_from_file(const std::string& path, int64_t samples) {
  if (path.ends_with(".npy")) {
    const Result<Tensor> tensor = read_npy(path);
    if (!tensor) return tensor.error();
    return rows_from_tensor(path, *tensor, samples);
  }
  const Result<LabelTable> table = read_labels(path, LabelKey::index);
  if (!table) return table.error();
  LabelRows rows;
  for (int64_t i = 0; i < samples; ++i) {
    const std::vector<int64_t>* classes = find_labels(*table, std::to_string(i));
    if (!classes) return wrong(path, "has no line for sample " + std::to_string(i));
    rows.push_back(*classes);
  }
  return rows;
}

/// The label file that lies beside the array, or empty.
std::string find_label_file(const std::string& path) {
  const std::string stem = path.substr(0, path.size() - 4);  // .npy or .npz
  std::vector<std::string> candidates = {path + ".labels.npy", stem + ".labels.npy", stem + "_labels.csv"};
  for (std::string shorter = stem;;) {
    const size_t underscore = shorter.rfind('_');
    const size_t slash = shorter.rfind('/');
    if (underscore == std::string::npos || (slash != std::string::npos && underscore < slash)) break;
    shorter.resize(underscore);
    candidates.push_back(shorter + "_labels.csv");
  }
  for (const std::string& candidate : candidates) {
    std::error_code failed;
    if (candidate != path && fs::is_regular_file(candidate, failed)) return candidate;
  }
  return {};
}

struct Arrays {
  Tensor samples;
  std::optional<Tensor> labels;
};

Result<Arrays> choose_arrays(const std::string& path, const std::string& input) {
  if (path.ends_with(".npy")) {
    Result<Tensor> tensor = read_npy(path);
    if (!tensor) return tensor.error();
    return Arrays{*std::move(tensor), std::nullopt};
  }
  Result<std::vector<std::pair<std::string, Tensor>>> all = read_npz(path);
  if (!all) return all.error();
  Arrays arrays;
  std::string names;
  size_t found = 0;
  for (auto& [name, tensor] : *all) {
    if (name == "labels" && input != "labels") {
      arrays.labels = tensor;
      continue;
    }
    names += (names.empty() ? "" : ", ") + name;
    if (!input.empty() && name != input) continue;
    arrays.samples = tensor;
    ++found;
  }
  if (found == 1) return arrays;
  if (!input.empty()) return wrong(path, "has no array '" + input + "'; has: " + names);
  return wrong(path, "several arrays (" + names + "): the input's name must say which");
}

}  // namespace

bool claims_array(const std::string& path) {
  return !path.starts_with("raw:") && (path.ends_with(".npy") || path.ends_with(".npz"));
}

SourceResult open_array(const std::string& path, const SourceOptions& options) {
  Result<Arrays> arrays = choose_arrays(path, options.input);
  if (!arrays) return arrays.error();
  const Tensor& samples = arrays->samples;
  if (samples.rank() == 0) return wrong(path, "is a single number; expected an array [N, ...] of N samples");
  if (samples.dims()[0] == 0) return wrong(path, "holds no samples");
  LabelRows rows;
  const std::string label_file = options.labels.empty() ? find_label_file(path) : options.labels;
  if (!label_file.empty() || arrays->labels) {
    Result<LabelRows> read = arrays->labels && options.labels.empty()
                                 ? rows_from_tensor(path, *arrays->labels, samples.dims()[0])
                                 : rows_from_file(label_file, samples.dims()[0]);
    if (!read) return read.error();
    rows = *std::move(read);
  }
  return SourceResult(std::make_unique<ArraySource>(samples, std::move(rows), options.preprocess));
}

}  // namespace octet
