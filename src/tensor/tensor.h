#pragma once
// Tensor: immutable dense elements with shared ownership. TensorView: borrowed, strided, perhaps mutable.

#include <cassert>
#include <cstddef>
#include <cstring>
#include <memory>
#include <span>
#include <vector>

#include "base/dtype.h"
#include "base/result.h"
#include "base/shape.h"

namespace octet {

/// Dense row-major elements that never change once the Tensor exists, so that copies may share them. The shared
/// pointer is what keeps a mapped file (or an owned buffer) alive while a graph, a plan or a caller still views it.
class Tensor {
 public:
  Tensor() = default;
  /// Views count*size_of(dtype) bytes owned by keep_alive.
  Tensor(DType dtype, Dims dims, std::shared_ptr<const void> keep_alive, const std::byte* data);
  /// Copies values; T must be the C++ type of dtype (f32 float, s64 int64_t, boolean uint8_t, f16/bf16 uint16_t).
  template <class T>
  static Tensor from(DType dtype, Dims dims, std::span<const T> values);
  /// Owned, uninitialized bytes, written through the returned pointer before anyone else sees the Tensor.
  static Result<std::pair<Tensor, std::byte*>> allocate(DType dtype, Dims dims);

  DType dtype() const { return dtype_; }
  const Dims& dims() const { return dims_; }
  size_t rank() const { return dims_.size(); }
  int64_t size() const { return size_; }
  size_t size_bytes() const { return static_cast<size_t>(size_) * size_of(dtype_); }
  std::span<const std::byte> bytes() const { return {data_, size_bytes()}; }
  /// Elements as T. The bytes may lie unaligned in a mapped file: read them through this only when aligned_for<T>(),
  /// which the ONNX reader guarantees (it copies the unaligned ones).
  template <class T>
  std::span<const T> as() const {
    assert(sizeof(T) == size_of(dtype_) && reinterpret_cast<uintptr_t>(data_) % alignof(T) == 0);
    return {reinterpret_cast<const T*>(data_), static_cast<size_t>(size_)};
  }
  template <class T>
  T at(int64_t i) const {
    return as<T>()[static_cast<size_t>(i)];
  }
  /// The same elements under other dims of equal element count.
  Tensor reshaped(Dims dims) const;

  /// Same dtype, dims and bytes (floats compare by bits).
  bool operator==(const Tensor& other) const;

 private:
  DType dtype_ = DType::undefined;
  Dims dims_;
  int64_t size_ = 0;
  std::shared_ptr<const void> keep_alive_;
  const std::byte* data_ = nullptr;
};

template <class T>
Tensor Tensor::from(DType dtype, Dims dims, std::span<const T> values) {
  assert(sizeof(T) == size_of(dtype));
  Result<std::pair<Tensor, std::byte*>> made = allocate(dtype, std::move(dims));
  assert(made && made->first.size() == static_cast<int64_t>(values.size()));
  if (!values.empty()) std::memcpy(made->second, values.data(), values.size_bytes());
  return std::move(made->first);
}

Tensor f32_tensor(Dims dims, std::span<const float> values);
Tensor s64_tensor(Dims dims, std::span<const int64_t> values);
Tensor scalar_f32(float value);

/// All elements of a numeric tensor as double (exact for every dtype but the largest 64-bit integers).
std::vector<double> to_doubles(const Tensor& tensor);
/// All elements of an integer or boolean tensor as int64.
Result<std::vector<int64_t>> to_int64s(const Tensor& tensor);

/// Borrowed elements: dims and strides (in elements) in the logical order of the graph (NCHW for images), whatever the
/// memory order is. The owner outlives the view.
struct TensorView {
  DType dtype = DType::undefined;
  Dims dims;
  std::vector<int64_t> strides;
  std::byte* data = nullptr;

  static TensorView dense(DType dtype, Dims dims, std::byte* data) {
    TensorView v{dtype, std::move(dims), {}, data};
    v.strides = row_major_strides(v.dims);
    return v;
  }
};

/// A dense row-major copy of a view.
Result<Tensor> dense_copy(const TensorView& view);

}  // namespace octet
