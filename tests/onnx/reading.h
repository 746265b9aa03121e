#pragma once
// Reading bytes, with the outcome as text for assertions.

#include <memory>
#include <string>
#include <vector>

#include "ir/text.h"
#include "onnx/model_builder.h"
#include "onnx/onnx.h"

namespace octet::test {

/// The bytes stay alive with the model, which may view them.
inline Result<OnnxModel> read(std::vector<std::byte> bytes) {
  const auto kept = std::make_shared<const std::vector<std::byte>>(std::move(bytes));
  return read_onnx(std::span(*kept), kept);
}
inline Result<OnnxModel> read(const ModelBuilder& model) { return read(model.bytes()); }

/// The graph's text, or "error: message".
inline std::string outcome(const Result<OnnxModel>& model) {
  return model ? print(model->graph) : "error: " + model.error().message;
}
inline std::string outcome(const ModelBuilder& model) { return outcome(read(model)); }
inline std::string message_of(const ModelBuilder& model) {
  const Result<OnnxModel> read_back = read(model);
  return read_back ? "no error" : read_back.error().message;
}

inline Tensor f32s(Dims dims, std::vector<float> values) { return f32_tensor(std::move(dims), values); }
inline Tensor s64s(std::vector<int64_t> values) { return s64_tensor({static_cast<int64_t>(values.size())}, values); }

}  // namespace octet::test
