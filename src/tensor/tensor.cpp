#include "tensor/tensor.h"

#include <sys/mman.h>

#include <bit>

#include "base/aligned.h"
#include "tensor/half.h"
#include "tensor/short_float.h"

namespace octet {

Tensor::Tensor(DType dtype, Dims dims, std::shared_ptr<const void> keep_alive, const std::byte* data)
    : dtype_(dtype), dims_(std::move(dims)), keep_alive_(std::move(keep_alive)), data_(data) {
  const std::optional<int64_t> count = element_count(dims_);
  assert(count && "dims were checked by whoever made the tensor");
  size_ = *count;
}

namespace {

/// From a few huge pages on, on such pages where the system gives them: clearing 4 KiB at a time takes several times as
/// long as filling the tensor.
AlignedBytes allocate_elements(size_t bytes) {
  constexpr size_t k_huge = size_t{2} << 20;
  if (bytes < 2 * k_huge) return allocate_aligned(bytes);
  const size_t rounded = (bytes + k_huge - 1) / k_huge * k_huge;
  AlignedBytes made(static_cast<std::byte*>(std::aligned_alloc(k_huge, rounded)));
  if (made) ::madvise(made.get(), rounded, MADV_HUGEPAGE);  // advice: a refusal changes nothing
  return made;
}

}  // namespace

Result<std::pair<Tensor, std::byte*>> Tensor::allocate(DType dtype, Dims dims) {
  const std::optional<int64_t> count = element_count(dims);
  if (!count) return Error{ErrorCode::out_of_memory, "tensor of shape " + to_string(dims) + " is too large"};
  AlignedBytes bytes = allocate_elements(static_cast<size_t>(*count) * size_of(dtype));
  if (!bytes)
    return Error{ErrorCode::out_of_memory,
                 "no memory for a tensor of shape " + to_string(dims) + " " + std::string(name(dtype))};
  std::byte* data = bytes.get();
  std::shared_ptr<const void> keep(bytes.release(), [](const void* p) { std::free(const_cast<void*>(p)); });
  return std::pair<Tensor, std::byte*>(Tensor(dtype, std::move(dims), std::move(keep), data), data);
}

Tensor Tensor::reshaped(Dims dims) const {
  assert(element_count(dims) == size_);
  return Tensor(dtype_, std::move(dims), keep_alive_, data_);
}

bool Tensor::operator==(const Tensor& other) const {
  return dtype_ == other.dtype_ && dims_ == other.dims_ &&
         (size_bytes() == 0 || std::memcmp(data_, other.data_, size_bytes()) == 0);
}

Tensor f32_tensor(Dims dims, std::span<const float> values) {
  return Tensor::from<float>(DType::f32, std::move(dims), values);
}
Tensor s64_tensor(Dims dims, std::span<const int64_t> values) {
  return Tensor::from<int64_t>(DType::s64, std::move(dims), values);
}
Tensor scalar_f32(float value) { return f32_tensor({}, std::span(&value, 1)); }

namespace {

template <class Out, class T>
std::vector<Out> converted(const Tensor& t) {
  const std::span<const T> in = t.as<T>();
  return std::vector<Out>(in.begin(), in.end());
}

}  // namespace

std::vector<double> to_doubles(const Tensor& t) {
  switch (t.dtype()) {
    case DType::f32: return converted<double, float>(t);
    case DType::f64: return converted<double, double>(t);
    case DType::s8:
    case DType::s4: return converted<double, int8_t>(t);
    case DType::u8:
    case DType::u4:
    case DType::boolean: return converted<double, uint8_t>(t);
    case DType::s16: return converted<double, int16_t>(t);
    case DType::u16: return converted<double, uint16_t>(t);
    case DType::s32: return converted<double, int32_t>(t);
    case DType::u32: return converted<double, uint32_t>(t);
    case DType::s64: return converted<double, int64_t>(t);
    case DType::u64: return converted<double, uint64_t>(t);
    case DType::f16:
    case DType::bf16: {
      std::vector<double> out;
      out.reserve(static_cast<size_t>(t.size()));
      for (const uint16_t bits : t.as<uint16_t>())
        out.push_back(t.dtype() == DType::f16 ? half_to_float(bits) : bfloat16_to_float(bits));
      return out;
    }
    case DType::f8e4m3fn:
    case DType::f8e4m3fnuz:
    case DType::f8e5m2:
    case DType::f8e5m2fnuz:
    case DType::f4e2m1: {
      std::vector<double> out;
      out.reserve(static_cast<size_t>(t.size()));
      for (const uint8_t code : t.as<uint8_t>()) out.push_back(short_float_value(t.dtype(), code));
      return out;
    }
    case DType::undefined: break;
  }
  return {};
}

Result<std::vector<int64_t>> to_int64s(const Tensor& t) {
  switch (t.dtype()) {
    case DType::s8:
    case DType::s4: return converted<int64_t, int8_t>(t);
    case DType::u8:
    case DType::u4:
    case DType::boolean: return converted<int64_t, uint8_t>(t);
    case DType::s16: return converted<int64_t, int16_t>(t);
    case DType::u16: return converted<int64_t, uint16_t>(t);
    case DType::s32: return converted<int64_t, int32_t>(t);
    case DType::u32: return converted<int64_t, uint32_t>(t);
    case DType::s64: return converted<int64_t, int64_t>(t);
    default: return Error{ErrorCode::bad_model, "integers expected, the tensor is " + std::string(name(t.dtype()))};
  }
}

Result<Tensor> dense_copy(const TensorView& view) {
  Result<std::pair<Tensor, std::byte*>> made = Tensor::allocate(view.dtype, view.dims);
  if (!made) return made.error();
  const size_t width = size_of(view.dtype);
  const int64_t count = made->first.size();
  const size_t rank = view.dims.size();
  std::vector<int64_t> index(rank, 0);
  std::byte* out = made->second;
  for (int64_t i = 0; i < count; ++i, out += width) {
    int64_t offset = 0;
    for (size_t d = 0; d < rank; ++d) offset += index[d] * view.strides[d];
    std::memcpy(out, view.data + offset * static_cast<int64_t>(width), width);
    for (size_t d = rank; d-- > 0;) {
      if (++index[d] < view.dims[d]) break;
      index[d] = 0;
    }
  }
  return std::move(made->first);
}

}  // namespace octet
