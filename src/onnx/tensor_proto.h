#pragma once
// TensorProto -> Tensor.

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "base/file.h"
#include "onnx/proto.h"
#include "tensor/tensor.h"

namespace octet {

/// Reads tensors of one model file. raw_data that lies aligned for its dtype stays a view of the file; other data is
/// copied.
class TensorReader {
 public:
  /// folder: where the model lies, for data in files beside it; nothing for a model in memory, which cannot have any.
  TensorReader(ByteSpan file, std::shared_ptr<const void> keep_alive, std::optional<std::string> folder)
      : file_(file), keep_alive_(std::move(keep_alive)), folder_(std::move(folder)) {}

  /// Where the model's bytes start, for offsets in errors.
  const std::byte* origin() const { return file_.data(); }
  /// Name ("" if there is none) and elements. Errors: a dtype octet has not, extents below zero or too large, data that
  /// does not fill the shape, an external file that is absolute, leads out of the folder or is too short.
  Result<std::pair<std::string, Tensor>> read(ByteSpan message);
  /// A SparseTensorProto as a dense tensor, under the name of its values. Errors: indices that do not fit.
  Result<std::pair<std::string, Tensor>> read_sparse(ByteSpan message);
  /// The names alone, of tensors that cannot be read too; "" when that fails.
  std::string name_of(ByteSpan message) const;
  std::string name_of_sparse(ByteSpan message) const;

 private:
  struct Fields;
  Result<Fields> parse(ByteSpan message) const;
  Result<Tensor> view_or_copy(DType dtype, Dims dims, ByteSpan raw, std::shared_ptr<const void> keep_alive) const;
  Result<Tensor> from_numbers(DType dtype, const Fields& fields) const;
  Result<Tensor> from_external(DType dtype, const Fields& fields);
  Result<std::shared_ptr<const MappedFile>> open_beside(const std::string& location);

  ByteSpan file_;
  std::shared_ptr<const void> keep_alive_;
  std::optional<std::string> folder_;
  std::map<std::string, std::shared_ptr<const MappedFile>> beside_;  // by location
};

}  // namespace octet
