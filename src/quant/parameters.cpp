#include "quant/parameters.h"

#include <string>

#include "quant/functions.h"
#include "quant/walk.h"
#include "tensor/half.h"

namespace octet {

TensorView view_of(const Tensor& tensor) {
  return TensorView::dense(tensor.dtype(), tensor.dims(), const_cast<std::byte*>(tensor.bytes().data()));
}

Result<std::vector<float>> floats_of(const Tensor& tensor, const char* what) {
  std::vector<float> values;
  values.reserve(static_cast<size_t>(tensor.size()));
  if (tensor.dtype() == DType::f32) {
    const std::span<const float> all = tensor.as<float>();
    values.assign(all.begin(), all.end());
  } else if (tensor.dtype() == DType::f16 || tensor.dtype() == DType::bf16) {
    for (const uint16_t bits : tensor.as<uint16_t>()) {
      values.push_back(tensor.dtype() == DType::f16 ? half_to_float(bits) : bfloat16_to_float(bits));
    }
  } else {
    return Error{ErrorCode::bad_argument,
                 std::string(what) + " is " + std::string(name(tensor.dtype())) + "; expected f32, f16 or bf16"};
  }
  return values;
}

Result<Tensor> tensor_of(DType dtype, const Dims& dims, std::span<const float> values) {
  Result<std::pair<Tensor, std::byte*>> made = Tensor::allocate(dtype, dims);
  if (!made) return made.error();
  for (size_t i = 0; i < values.size(); ++i) {
    if (dtype == DType::f32) {
      reinterpret_cast<float*>(made->second)[i] = values[i];
    } else {
      reinterpret_cast<uint16_t*>(made->second)[i] =
          dtype == DType::f16 ? float_to_half(values[i]) : float_to_bfloat16(values[i]);
    }
  }
  return std::move(made->first);
}

std::vector<float> negated(std::vector<float> values) {
  for (float& v : values) v = -v;
  return values;
}

Result<Tensor> pass_within(const TensorView& x, const TensorView& dy, std::span<const float> lo,
                           std::span<const float> hi, const Dims& dims, const char* what) {
  const Result<const QuantRows*> rows = chosen_quant_rows();
  if (!rows) return rows.error();
  Result<std::pair<Tensor, std::byte*>> made = Tensor::allocate(x.dtype, x.dims);
  if (!made) return made.error();
  const TensorView dx = TensorView::dense(x.dtype, x.dims, made->second);
  const Result<Done> done = walk(
      {.x = x, .dy = dy, .y = dx, .parameter_dims = dims, .what = what}, **rows,
      [&](const Row& r) { (*rows)->pass_within(r.x, r.dy, r.n, lo.data() + r.at, hi.data() + r.at, r.each, r.y); });
  if (!done) return done.error();
  return std::move(made->first);
}

}  // namespace octet
