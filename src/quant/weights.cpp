#include "quant/weights.h"

#include <cstring>

#include "quant/reduce_amax.h"

namespace octet {
namespace {

Error bad(std::string message) { return {ErrorCode::bad_argument, std::move(message)}; }

constexpr int k_toolkit_bins = 2048;

/// Channel c along an axis, as a dense row.
Result<Tensor> channel(const Tensor& weight, int64_t axis, int64_t c) {
  TensorView view = view_of(weight);
  const auto d = static_cast<size_t>(axis);
  view.data += c * view.strides[d] * static_cast<int64_t>(sizeof(float));
  view.dims[d] = 1;
  return dense_copy(view);
}

Result<float> toolkit_amax(const Tensor& row, const WeightCalibration& o) {
  ToolkitHistogram histogram = toolkit_weight_histogram(row.as<float>(), o.num_bins ? o.num_bins : k_toolkit_bins);
  if (o.method == "percentile") return toolkit_percentile(histogram, o.percentile);
  const Result<ToolkitChoice> choice = toolkit_mse(histogram, {o.num_bits, o.is_unsigned});
  if (!choice) return choice.error();
  return choice->amax;
}

Result<float> octet_amax(const Tensor& row, const WeightCalibration& o) {
  Result<HistogramCalibrator> calibrator =
      HistogramCalibrator::make({.num_bits = o.num_bits, .is_unsigned = o.is_unsigned, .num_bins = o.num_bins});
  if (!calibrator) return calibrator.error();
  if (Result<Done> seen = calibrator->collect(view_of(row)); !seen) return seen.error();
  const Result<std::optional<Tensor>> amax = calibrator->compute_amax({.method = o.method, .percentile = o.percentile});
  if (!amax) return amax.error();
  if (!*amax) return bad("the weight is empty");
  return (*amax)->at<float>(0);
}

Result<float> row_amax(const Tensor& row, const WeightCalibration& o) {
  return o.ref_compat ? toolkit_amax(row, o) : octet_amax(row, o);
}

}  // namespace

Result<Tensor> weight_amax(const Tensor& weight, const WeightCalibration& given) {
  WeightCalibration o = given;
  if (weight.dtype() != DType::f32) return bad("the weight is " + std::string(name(weight.dtype())) + "; expected f32");
  const bool known = o.method == "max" || o.method == "percentile" || o.method == "mse";
  if (!known && (o.ref_compat || o.method != "entropy")) return bad("Unsupported calibration method " + o.method);
  if (o.ref_compat && o.method == "max" && !o.per_channel) {
    return bad("ref_compat: the toolkit's max takes no tensor as a whole: 'list' object has no axis None (D34)");
  }
  std::optional<std::vector<int64_t>> axes;
  if (o.per_channel) {
    axes = {o.axis};
    const Result<std::vector<int64_t>> found = normalized_axes(*axes, weight.rank());
    if (!found) return found.error();
    o.axis = found->front();
  } else if (o.ref_compat) {
    o.num_bins = k_toolkit_bins;  // D34
  }
  if (o.method == "max") return kept_amax(view_of(weight), axes);
  if (!o.per_channel) {
    const Result<float> amax = row_amax(weight, o);
    if (!amax) return amax.error();
    return scalar_f32(*amax);
  }
  const int64_t channels = weight.dims()[static_cast<size_t>(o.axis)];
  std::vector<float> all;
  for (int64_t c = 0; c < channels; ++c) {
    const Result<Tensor> row = channel(weight, o.axis, c);
    if (!row) return row.error();
    const Result<float> amax = row_amax(*row, o);
    if (!amax) return within("channel " + std::to_string(c), amax.error());
    all.push_back(*amax);
  }
  Dims dims(weight.rank(), 1);
  dims[static_cast<size_t>(o.axis)] = channels;
  return f32_tensor(dims, all);
}

Result<Done> calibrate_weights(std::span<const WeightSlot> slots, WeightCalibration options) {
  for (const WeightSlot& slot : slots) {
    const QuantDescriptor& d = slot.quantizer->descriptor();
    if (d.axis && d.axis->size() != 1) return bad(slot.name + ": a weight has one axis of channels");
    options.axis = d.axis ? d.axis->front() : 0;
    options.num_bits = d.num_bits;
    options.is_unsigned = d.is_unsigned;
    const Result<Tensor> weight = dense_copy(slot.weight);
    if (!weight) return within(slot.name, weight.error());
    const Result<Tensor> amax = weight_amax(*weight, options);
    if (!amax) return within(slot.name, amax.error());
    if (Result<Done> set = slot.quantizer->set_amax(*amax); !set) return within(slot.name, set.error());
  }
  return Done{};
}

Result<Done> quantize_weights_in_place(std::span<const WeightSlot> slots) {
  for (const WeightSlot& slot : slots) {
    if (!slot.quantizer->descriptor().fake_quant) {
      return bad(slot.name + ": its quantizer gives integers; a fake one is expected for weights in place");
    }
  }
  for (const WeightSlot& slot : slots) {
    const Result<Tensor> quantized = slot.quantizer->forward(slot.weight);
    if (!quantized) return within(slot.name, quantized.error());
    const TensorView& w = slot.weight;
    std::vector<int64_t> index(w.dims.size(), 0);
    const size_t width = size_of(w.dtype);
    const std::byte* from = quantized->bytes().data();
    for (int64_t i = 0; i < quantized->size(); ++i, from += width) {
      int64_t offset = 0;
      for (size_t d = 0; d < index.size(); ++d) offset += index[d] * w.strides[d];
      std::memcpy(w.data + offset * static_cast<int64_t>(width), from, width);
      for (size_t d = index.size(); d-- > 0;) {
        if (++index[d] < w.dims[d]) break;
        index[d] = 0;
      }
    }
  }
  return Done{};
}

}  // namespace octet
