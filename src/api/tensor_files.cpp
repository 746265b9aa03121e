#include <charconv>
#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "data/npy.h"
#include "octet/tensor.h"
#include "quant/python_text.h"

namespace octet {
namespace {

using Json = nlohmann::ordered_json;

std::string dims_text(const Tensor& t) { return to_string(std::span<const int64_t>(t.dims())); }

Json numbers(const Tensor& t) {
  Json out = Json::array();
  for (const double v : to_doubles(t)) out.push_back(v);
  return out;
}

std::string dumped(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

/// One number as it is, several by their ends.
std::string short_text(const Tensor& t) { return t.size() == 1 ? python_float(to_doubles(t)[0]) : python_amax(t); }

/// The number or file that --amax names, or the maxima of x.
Result<Tensor> amax_of(const TensorSpec& spec, const Tensor& x) {
  if (spec.amax.empty()) return kept_amax(view_of(x), spec.axis, spec.ref_compat);
  float number = 0;
  const char *begin = spec.amax.data(), *end = begin + spec.amax.size();
  const std::from_chars_result read = std::from_chars(begin, end, number);
  if (read.ec == std::errc() && read.ptr == end) return scalar_f32(number);
  Result<Tensor> amax = load_npy(spec.amax);
  if (!amax) return within("--amax " + spec.amax + " is no number and no .npy file", amax.error());
  if (amax->rank() != 1 || !spec.axis || spec.axis->size() != 1) return amax;
  const Result<std::vector<int64_t>> axis = normalized_axes(*spec.axis, x.rank());
  if (!axis) return axis.error();
  Dims dims(x.rank(), 1);
  dims[static_cast<size_t>(axis->front())] = amax->size();
  return amax->reshaped(dims);
}

Json described(const TensorSpec& spec, const Tensor& x, const Tensor& amax, const Tensor& values) {
  Json json;
  json["file"] = spec.file;
  json["shape"] = x.dims();
  json["output"] = spec.output;
  json["dtype"] = std::string(name(values.dtype()));
  json["amax"] = numbers(amax);
  return json;
}

std::string described_text(const TensorSpec& spec, const Tensor& x, const Tensor& amax, const Tensor& values) {
  return spec.file + " " + dims_text(x) + " " + std::string(name(x.dtype())) + " -> " +
         (spec.output.empty() ? "" : spec.output + " ") + std::string(name(values.dtype())) + ", amax " +
         short_text(amax);
}

QuantOptions options_of(const TensorSpec& spec) {
  return {.num_bits = spec.num_bits.integer,
          .is_unsigned = spec.is_unsigned,
          .narrow_range = !spec.full_range,
          .ref_compat = spec.ref_compat};
}

Result<Done> save_if_named(const std::string& path, const Tensor& tensor) {
  return path.empty() ? Result<Done>(Done{}) : save_npy(path, tensor);
}

Result<HistogramCalibrator> collected(const HistogramSpec& spec) {
  if (spec.numpy_hist && !spec.ref_compat) {
    return Error{ErrorCode::bad_argument, "NumPy's histogram belongs to the toolkit's behaviour; add --ref-compat"};
  }
  Result<HistogramCalibrator> calibrator =
      HistogramCalibrator::make({.num_bits = spec.num_bits,
                                 .is_unsigned = spec.is_unsigned,
                                 .axis = spec.axis,
                                 .num_bins = spec.num_bins,
                                 .skip_zeros = spec.skip_zeros,
                                 .torch_hist = !spec.numpy_hist,
                                 .non_finite = spec.skip_non_finite ? NonFinite::skip : NonFinite::error,
                                 .ref_compat = spec.ref_compat});
  if (!calibrator) return calibrator;
  for (const std::string& file : spec.files) {
    const Result<Tensor> x = load_npy(file);
    if (!x) return x.error();
    if (Result<Done> seen = calibrator->collect(view_of(*x)); !seen) return within(file, seen.error());
  }
  return calibrator;
}

Result<Tensor> maxima(const HistogramSpec& spec) {
  MaxCalibrator calibrator({.axis = spec.axis,
                            .non_finite = spec.skip_non_finite ? NonFinite::skip : NonFinite::error,
                            .ref_compat = spec.ref_compat});
  for (const std::string& file : spec.files) {
    const Result<Tensor> x = load_npy(file);
    if (!x) return x.error();
    if (Result<Done> seen = calibrator.collect(view_of(*x)); !seen) return within(file, seen.error());
  }
  const Result<std::optional<Tensor>> amax = calibrator.compute_amax();
  if (!amax) return amax.error();
  if (!*amax) return Error{ErrorCode::bad_argument, "the files hold no elements; nothing to calibrate with"};
  return **amax;
}

Result<Tensor> chosen(HistogramCalibrator& calibrator, const HistogramSpec& spec, const std::string& method) {
  const Result<std::optional<Tensor>> amax = calibrator.compute_amax(
      {.method = method, .percentile = spec.percentile, .stride = spec.stride, .start_bin = spec.start_bin});
  if (!amax) return amax.error();
  if (!*amax) return Error{ErrorCode::bad_argument, "the files hold no elements; nothing to calibrate with"};
  return **amax;
}

}  // namespace

Result<Tensor> load_npy(const std::string& path) {
  const Result<Tensor> x = read_npy(path);
  if (!x) return x;
  if (x->dtype() != DType::f32 && x->dtype() != DType::f16) {
    return Error{ErrorCode::bad_argument, path + ": elements are " + std::string(name(x->dtype())) +
                                              "; save them as float32 or float16 (numpy: x.astype('float32'))"};
  }
  return x;
}

Result<Done> save_npy(const std::string& path, const Tensor& tensor) {
  const Result<std::string> bytes = npy_bytes(tensor);
  if (!bytes) return within(path, bytes.error());
  return write_file_atomically(path, *bytes);
}

Result<TensorReport> quantize_npy(const TensorSpec& spec) {
  const Result<Tensor> x = load_npy(spec.file);
  if (!x) return x.error();
  if (spec.num_bits.is_e4m3) {
    return Error{ErrorCode::bad_argument, "e4m3 has no integers; fake-quantize simulates it"};
  }
  const Result<Tensor> amax = amax_of(spec, *x);
  if (!amax) return within(spec.file, amax.error());
  const Result<QuantizedTensor> q = tensor_quant(view_of(*x), *amax, options_of(spec));
  if (!q) return within(spec.file, q.error());
  for (const auto& [path, tensor] : {std::pair(&spec.output, &q->values), std::pair(&spec.scale_output, &q->scale)}) {
    if (Result<Done> saved = save_if_named(*path, *tensor); !saved) return saved.error();
  }
  Json json = described(spec, *x, *amax, q->values);
  json["scale"] = numbers(q->scale);
  return TensorReport{described_text(spec, *x, *amax, q->values) + ", scale " + short_text(q->scale) + "\n",
                      dumped(json)};
}

Result<TensorReport> fake_quantize_npy(const TensorSpec& spec) {
  const Result<Tensor> x = load_npy(spec.file);
  if (!x) return x.error();
  const Result<Tensor> amax = amax_of(spec, *x);
  if (!amax) return within(spec.file, amax.error());
  const Result<Tensor> y =
      spec.num_bits.is_e4m3 ? scaled_e4m3(view_of(*x), *amax) : fake_tensor_quant(view_of(*x), *amax, options_of(spec));
  if (!y) return within(spec.file, y.error());
  if (Result<Done> saved = save_if_named(spec.output, *y); !saved) return saved.error();
  double error = 0, signal = 0;
  const std::vector<double> a = to_doubles(*x), b = to_doubles(*y);
  for (size_t i = 0; i < a.size(); ++i) {
    if (!std::isfinite(a[i])) continue;
    error += (a[i] - b[i]) * (a[i] - b[i]);
    signal += a[i] * a[i];
  }
  const double sqnr = error > 0 && signal > 0 ? 10 * std::log10(signal / error) : 0;
  Json json = described(spec, *x, *amax, *y);
  json["mean_squared_error"] = a.empty() ? 0.0 : error / static_cast<double>(a.size());
  json["sqnr_db"] = error > 0 && signal > 0 ? Json(sqnr) : Json(nullptr);
  char text[64] = ", no error";
  if (error > 0) std::snprintf(text, sizeof text, ", SQNR %.2f dB", sqnr);
  return TensorReport{described_text(spec, *x, *amax, *y) + text + "\n", dumped(json)};
}

Result<TensorReport> histogram_npy(const HistogramSpec& spec) {
  const Result<HistogramCalibrator> calibrator = collected(spec);
  if (!calibrator) return calibrator.error();
  const std::vector<double> counts = calibrator->counts(), edges = calibrator->edges();
  std::vector<int64_t> whole;
  for (const double c : counts) whole.push_back(static_cast<int64_t>(c));
  const Tensor counts_tensor = s64_tensor({static_cast<int64_t>(whole.size())}, whole);
  const Tensor edges_tensor = Tensor::from<double>(DType::f64, {static_cast<int64_t>(edges.size())}, edges);
  for (const auto& [path, tensor] :
       {std::pair(&spec.counts_output, &counts_tensor), std::pair(&spec.edges_output, &edges_tensor)}) {
    if (Result<Done> saved = save_if_named(*path, *tensor); !saved) return saved.error();
  }
  int64_t elements = 0;
  for (const int64_t c : whole) elements += c;
  Json json;
  json["files"] = spec.files;
  json["elements"] = elements;
  json["counts"] = whole;
  json["edges"] = edges;
  std::string text = std::to_string(counts.size()) + " bins, " + std::to_string(elements) + " elements";
  if (counts.empty()) text += ": nothing but zeros was seen, which have no range";
  if (edges.size() > 1) {
    text += ", edges " + python_float(edges.front()) + " .. " + python_float(edges.back()) + ", width " +
            python_float(edges[1] - edges[0]);
  }
  return TensorReport{text + "\n", dumped(json)};
}

Result<TensorReport> calibrate_npy(const HistogramSpec& spec) {
  const bool all = spec.method == "all";
  std::vector<std::string> methods = {spec.method};
  if (all) methods = {"max", "entropy", "percentile", "mse"};
  if (all && !spec.amax_output.empty()) {
    return Error{ErrorCode::bad_argument, "-o " + spec.amax_output + " takes one amax; choose a --method"};
  }
  if (spec.axis && spec.method != "max") {
    return Error{ErrorCode::bad_argument, "histograms are per tensor; an axis needs --method max"};
  }
  std::optional<HistogramCalibrator> calibrator;
  if (spec.method != "max") {
    Result<HistogramCalibrator> made = collected(spec);
    if (!made) return made.error();
    calibrator = *std::move(made);
  }
  Json json;
  json["files"] = spec.files;
  std::string text;
  for (const std::string& method : methods) {
    const Result<Tensor> amax = method == "max" ? maxima(spec) : chosen(*calibrator, spec, method);
    if (!amax) return within("method " + method, amax.error());
    char line[64];
    std::snprintf(line, sizeof line, "%-12s", method.c_str());
    text += line + short_text(*amax) + "\n";
    json["amax"][method] = amax->size() == 1 ? Json(to_doubles(*amax)[0]) : numbers(*amax);
    if (spec.amax_output.empty()) continue;
    if (Result<Done> saved = save_npy(spec.amax_output, *amax); !saved) return saved.error();
  }
  return TensorReport{text, dumped(json)};
}

}  // namespace octet
