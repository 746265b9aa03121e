#include "quant/quantizer_export.h"

#include <algorithm>
#include <cmath>

#include "quant/reduce_amax.h"

namespace octet {
namespace {

Error refused(const TensorQuantizer& q, const std::string& why) {
  return {ErrorCode::bad_argument, q.descriptor().name.value_or("a quantizer") + ": " + why};
}

Result<Done> check_form(const TensorQuantizer& q) {
  const QuantDescriptor& d = q.descriptor();
  if (d.num_bits.is_e4m3)
    return refused(q, "E4M3 has no QuantizeLinear that TensorRT's INT8 takes; 8 bits are expected");
  if (d.num_bits.integer != 8)
    return refused(q, std::to_string(d.num_bits.integer) + " bits; only 8 bits can be written as Q/DQ");
  if (!d.fake_quant) return refused(q, "fake_quant is false; Q/DQ is fake quantization");
  if (!d.is_unsigned && d.narrow_range)
    return refused(q, "narrow_range: ONNX has the codes -128..127, set_narrow_range(false) first");
  return Done{};
}

/// The stored amax, or the learned bounds', times scale_amax.
std::optional<Tensor> exported_amax(const TensorQuantizer& q) {
  std::optional<Tensor> amax = q.amax();
  if (q.descriptor().learn_amax) amax = scalar_f32(std::max(-*q.clip_min(), *q.clip_max()));
  if (!amax || !q.descriptor().scale_amax) return amax;
  const auto factor = static_cast<float>(*q.descriptor().scale_amax);
  std::vector<float> scaled;
  for (const float a : amax->as<float>()) scaled.push_back(a * factor);
  return f32_tensor(amax->dims(), scaled);
}

/// Which axis of a tensor of that rank the elements of amax lie along.
Result<int64_t> axis_of(const TensorQuantizer& q, const Tensor& amax, size_t rank) {
  const std::optional<std::vector<int64_t>>& named = q.descriptor().axis;
  if (amax.rank() == 1 && rank != 1 && named && named->size() == 1) {
    const Result<std::vector<int64_t>> axis = normalized_axes(*named, rank);
    if (!axis) return axis.error();
    return axis->front();
  }
  const auto is_long = [](int64_t d) { return d > 1; };
  if (amax.rank() != rank || std::count_if(amax.dims().begin(), amax.dims().end(), is_long) != 1)
    return refused(q, "amax is " + to_string(std::span<const int64_t>(amax.dims())) +
                          ", expected one number, or one for each index of one axis of " + std::to_string(rank));
  return std::find_if(amax.dims().begin(), amax.dims().end(), is_long) - amax.dims().begin();
}

}  // namespace

Result<QdqForm> qdq_form(const TensorQuantizer& quantizer, size_t rank) {
  if (Result<Done> fine = check_form(quantizer); !fine) return fine.error();
  const std::optional<Tensor> amax = exported_amax(quantizer);
  if (!amax)
    return refused(quantizer,
                   "Quantizer has not been calibrated. An export needs its amax: load_calib_amax() or set_amax()");
  QdqForm form;
  form.dtype = quantizer.descriptor().is_unsigned ? DType::u8 : DType::s8;
  std::vector<float> scales;
  for (const float a : amax->as<float>()) {
    const float scale = a / (quantizer.descriptor().is_unsigned ? 255.0f : 127.0f);
    scales.push_back(std::isnormal(scale) ? scale : 1.0f);
  }
  if (scales.size() == 1) {
    form.scale = scalar_f32(scales.front());
  } else {
    const Result<int64_t> axis = axis_of(quantizer, *amax, rank);
    if (!axis) return axis.error();
    form.axis = *axis;
    form.scale = f32_tensor({static_cast<int64_t>(scales.size())}, scales);
  }
  form.pre_scale = quantizer.pre_quant_scale();
  return form;
}

}  // namespace octet
