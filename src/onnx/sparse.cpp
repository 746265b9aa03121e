// SparseTensorProto -> dense Tensor: zeros, and the values at their indices ([n] positions in row-major order, or
// [n, rank] coordinates). Source: ONNX onnx.proto3, SparseTensorProto.

#include <algorithm>
#include <cstring>

#include "onnx/schema.h"
#include "onnx/tensor_proto.h"
#include "onnx/wire.h"

namespace octet {
namespace {

constexpr uint32_t k_values = 1, k_indices = 2, k_dims = 3;

Error bad(std::string text) { return Error{ErrorCode::bad_model, std::move(text)}; }

/// The row-major position of entry i, or nothing when it lies outside.
std::optional<int64_t> position(const Tensor& indices, const Dims& dims, int64_t i) {
  if (indices.rank() == 1) return indices.at<int64_t>(i);
  int64_t at = 0;
  for (size_t d = 0; d < dims.size(); ++d) {
    const int64_t k = indices.at<int64_t>(i * static_cast<int64_t>(dims.size()) + static_cast<int64_t>(d));
    if (k < 0 || k >= dims[d]) return std::nullopt;
    at = at * dims[d] + k;
  }
  return at;
}

}  // namespace

Result<std::pair<std::string, Tensor>> TensorReader::read_sparse(ByteSpan message) {
  WireReader in(message, file_.data(), "sparse tensor");
  ByteSpan values_bytes, indices_bytes;
  Dims dims;
  while (in.next()) {
    if (in.number() == k_values) values_bytes = in.bytes();
    if (in.number() == k_indices) indices_bytes = in.bytes();
    if (in.number() == k_dims) in.append_varints(dims);
  }
  if (in.failed()) return in.error();
  Result<std::pair<std::string, Tensor>> values = read(values_bytes), indices = read(indices_bytes);
  if (!values) return values;
  const std::string place = "sparse tensor '" + values->first + "'";
  if (!indices) return within(place, indices.error());
  const Tensor &v = values->second, &at = indices->second;
  const bool listed =
      at.dtype() == DType::s64 && v.rank() == 1 &&
      ((at.rank() == 1 && at.dims()[0] == v.size()) ||
       (at.rank() == 2 && at.dims()[0] == v.size() && at.dims()[1] == static_cast<int64_t>(dims.size())));
  if (!listed || !element_count(dims))
    return within(place, bad("has " + std::to_string(v.size()) + " values and s64 indices " + to_string(at.dims()) +
                             ", expected [n] or [n, rank] of them"));
  Result<std::pair<Tensor, std::byte*>> made = Tensor::allocate(v.dtype(), dims);
  if (!made) return within(place, made.error());
  std::fill_n(made->second, made->first.size_bytes(), std::byte{0});
  const size_t width = size_of(v.dtype());
  for (int64_t i = 0; i < v.size(); ++i) {
    const std::optional<int64_t> to = position(at, dims, i);
    if (!to || *to < 0 || *to >= made->first.size())
      return within(place, bad("index " + std::to_string(i) + " lies outside " + to_string(dims)));
    std::memcpy(made->second + static_cast<size_t>(*to) * width, v.bytes().data() + static_cast<size_t>(i) * width,
                width);
  }
  return std::pair(std::move(values->first), std::move(made->first));
}

std::string TensorReader::name_of_sparse(ByteSpan message) const {
  WireReader in(message, file_.data(), "sparse tensor");
  ByteSpan values;
  while (in.next())
    if (in.number() == k_values) values = in.bytes();
  return in.failed() ? "" : name_of(values);
}

}  // namespace octet
