#pragma once
// What the seeds of the ONNX reader are built of.

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "onnx/model_builder.h"

namespace octet::test {

struct Seed {
  std::string name;
  ModelBuilder model;
};

inline Tensor reals(Dims dims) {
  const std::optional<int64_t> count = element_count(dims);
  std::vector<float> values(static_cast<size_t>(count.value_or(0)));
  for (size_t i = 0; i < values.size(); ++i) values[i] = 0.25f * static_cast<float>(i % 7) - 0.5f;
  return f32_tensor(std::move(dims), values);
}
inline Tensor integers(std::vector<int64_t> values) {
  return s64_tensor({static_cast<int64_t>(values.size())}, values);
}

/// Codes, flags or other elements of one byte.
inline Tensor bytes(DType dtype, Dims dims, std::vector<uint8_t> values) {
  return Tensor::from<uint8_t>(dtype, std::move(dims), values);
}

/// x [N,4,6,6] -> one node with these constants -> y.
inline Seed unary(const std::string& name, int64_t opset, const std::string& op,
                  std::vector<WireWriter> attributes = {},
                  const std::vector<std::pair<std::string, Tensor>>& constants = {}) {
  ModelBuilder model(opset);
  model.input("x", {Dim(std::string("N")), 4, 6, 6});
  NodeSpec spec{op, {"x"}, {"y"}, std::move(attributes), "n"};
  for (const auto& [constant, tensor] : constants) {
    model.initializer(constant, tensor);
    spec.inputs.push_back(constant);
  }
  model.node(spec).output("y");
  return {name, std::move(model)};
}

/// x of this shape and dtype -> the node, whose input and output are "x" and "y".
inline Seed with_input(const std::string& name, int64_t opset, const Extents& shape, DType dtype, const NodeSpec& spec,
                       const std::vector<std::pair<std::string, Tensor>>& constants = {}) {
  ModelBuilder model(opset);
  if (!spec.domain.empty()) model.import_opset(spec.domain, 1);
  model.input("x", shape, dtype);
  for (const auto& [constant, tensor] : constants) model.initializer(constant, tensor);
  model.node(spec).output("y");
  return {name, std::move(model)};
}

/// Ops of codes: ONNX's and those of com.microsoft.
std::vector<Seed> seeds_of_codes();
/// What a file holds besides plain nodes.
std::vector<Seed> seeds_of_structure();

}  // namespace octet::test
