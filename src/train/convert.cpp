#include "train/convert.h"

namespace octet::nn {

c10::ScalarType scalar_type(DType dtype) {
  switch (dtype) {
    case DType::f32: return torch::kFloat32;
    case DType::f64: return torch::kFloat64;
    case DType::f16: return torch::kFloat16;
    case DType::bf16: return torch::kBFloat16;
    case DType::s8: return torch::kInt8;
    case DType::u8: return torch::kUInt8;
    case DType::s16: return torch::kInt16;
    case DType::s32: return torch::kInt32;
    case DType::s64: return torch::kInt64;
    case DType::boolean: return torch::kBool;
    default: return c10::ScalarType::Undefined;
  }
}

DType dtype_of(c10::ScalarType type) {
  for (const DType dtype : {DType::f32, DType::f64, DType::f16, DType::bf16, DType::s8, DType::u8, DType::s16,
                            DType::s32, DType::s64, DType::boolean})
    if (scalar_type(dtype) == type) return dtype;
  return DType::undefined;
}

torch::Tensor to_torch(const octet::Tensor& tensor) {
  const c10::ScalarType type = scalar_type(tensor.dtype());
  if (type == c10::ScalarType::Undefined)
    throw std::invalid_argument("libtorch has no tensors of " + std::string(name(tensor.dtype())));
  torch::Tensor made = torch::empty(tensor.dims(), torch::TensorOptions().dtype(type));
  if (tensor.size()) std::memcpy(made.data_ptr(), tensor.bytes().data(), tensor.size_bytes());
  return made;
}

octet::Tensor to_octet(const torch::Tensor& tensor) {
  const torch::Tensor dense = tensor.detach().to(torch::kCPU).contiguous();
  auto made = value_or_throw(
      octet::Tensor::allocate(dtype_of(dense.scalar_type()), Dims(dense.sizes().begin(), dense.sizes().end())));
  if (dense.numel()) std::memcpy(made.second, dense.data_ptr(), made.first.size_bytes());
  return made.first;
}

TensorView view_of(const torch::Tensor& tensor) {
  return {dtype_of(tensor.scalar_type()), Dims(tensor.sizes().begin(), tensor.sizes().end()),
          std::vector<int64_t>(tensor.strides().begin(), tensor.strides().end()),
          static_cast<std::byte*>(tensor.data_ptr())};
}

}  // namespace octet::nn
