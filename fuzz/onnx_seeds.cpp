// octet_onnx_seeds FOLDER: writes small ONNX files, one per kind of op and oddity, as the fuzzer's first corpus.

#include <cstdio>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/file.h"
#include "onnx/model_builder.h"

namespace {

using namespace octet;
using namespace octet::test;

struct Seed {
  std::string name;
  ModelBuilder model;
};

Tensor reals(Dims dims) {
  const std::optional<int64_t> count = element_count(dims);
  std::vector<float> values(static_cast<size_t>(count.value_or(0)));
  for (size_t i = 0; i < values.size(); ++i) values[i] = 0.25f * static_cast<float>(i % 7) - 0.5f;
  return f32_tensor(std::move(dims), values);
}
Tensor integers(std::vector<int64_t> values) { return s64_tensor({static_cast<int64_t>(values.size())}, values); }

/// x [N,4,6,6] -> one node with these constants -> y.
Seed unary(const std::string& name, int64_t opset, const std::string& op, std::vector<WireWriter> attributes = {},
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

std::vector<Seed> oddities() {
  const int8_t zero = 0;
  const Tensor zero_point = Tensor::from<int8_t>(DType::s8, {}, std::span(&zero, 1));
  const auto ints = ints_attribute_proto;
  const auto integer = int_attribute_proto;
  return {
      unary("clip7", 7, "Clip", {float_attribute_proto("min", 0), float_attribute_proto("max", 6)}),
      unary("clip13", 13, "Clip", {}, {{"lo", scalar_f32(0)}, {"hi", scalar_f32(6)}}),
      unary("slice9", 9, "Slice", {ints("starts", {1}), ints("ends", {3}), ints("axes", {2})}),
      unary("slice13", 13, "Slice", {},
            {{"s", integers({0})}, {"e", integers({5})}, {"a", integers({3})}, {"t", integers({2})}}),
      unary("pad9", 9, "Pad", {ints("pads", {0, 0, 1, 1, 0, 0, 1, 1}), float_attribute_proto("value", 1)}),
      unary("split11", 11, "Split", {integer("axis", 1), ints("split", {4})}),
      unary("unsqueeze11", 11, "Unsqueeze", {ints("axes", {0})}),
      unary("reduce13", 13, "ReduceMean", {ints("axes", {2, 3}), integer("keepdims", 1)}),
      unary("reduce18", 18, "ReduceMean", {}, {{"a", integers({2, 3})}}),
      unary("softmax11", 11, "Softmax", {integer("axis", 1)}),
      unary("softmax13", 13, "Softmax", {integer("axis", -1)}),
      unary("dropout", 12, "Dropout"),
      unary("cast", 13, "Cast", {integer("to", 10)}),
      unary("flatten", 13, "Flatten", {integer("axis", 1)}),
      unary("reshape", 14, "Reshape", {integer("allowzero", 0)}, {{"s", integers({0, -1})}}),
      unary("transpose", 13, "Transpose", {ints("perm", {0, 2, 3, 1})}),
      unary("shape", 15, "Shape", {integer("start", 1)}),
      unary("gather", 13, "Gather", {integer("axis", 1)}, {{"i", integers({0, 3})}}),
      unary("expand", 13, "Expand", {}, {{"s", integers({2, 4, 6, 6})}}),
      unary("tile", 13, "Tile", {}, {{"r", integers({1, 2, 1, 1})}}),
      unary("relu", 13, "Relu"),
      unary("hard_swish", 14, "HardSwish"),
      unary("hard_sigmoid", 13, "HardSigmoid",
            {float_attribute_proto("alpha", 0.2f), float_attribute_proto("beta", 0.5f)}),
      unary("layer_norm", 17, "LayerNormalization", {integer("axis", -1)}, {{"g", reals({6})}, {"b", reals({6})}}),
      unary(
          "max_pool", 13, "MaxPool",
          {ints("kernel_shape", {3, 3}), ints("strides", {2, 2}), ints("pads", {1, 1, 1, 1}), integer("ceil_mode", 1)}),
      unary("average_pool", 13, "AveragePool",
            {ints("kernel_shape", {2, 2}), integer("count_include_pad", 1),
             string_attribute_proto("auto_pad", "SAME_UPPER")}),
      unary("global_pool", 13, "GlobalAveragePool"),
      unary("conv", 13, "Conv", {ints("kernel_shape", {3, 3}), ints("pads", {1, 1, 1, 1}), integer("group", 2)},
            {{"w", reals({4, 2, 3, 3})}, {"b", reals({4})}}),
      unary("conv_same", 11, "Conv", {string_attribute_proto("auto_pad", "SAME_LOWER"), ints("strides", {2, 2})},
            {{"w", reals({2, 4, 3, 3})}}),
      unary("batch_norm", 13, "BatchNormalization", {float_attribute_proto("epsilon", 1e-5f)},
            {{"s", reals({4})}, {"b", reals({4})}, {"m", reals({4})}, {"v", reals({4})}}),
      unary("quantize", 13, "QuantizeLinear", {}, {{"s", scalar_f32(0.1f)}, {"z", zero_point}}),
      unary("quantize_channel", 13, "QuantizeLinear", {integer("axis", -3)},
            {{"s", f32_tensor({4}, std::vector<float>{1, 2, 3, 4})}}),
      unary("matmul", 13, "MatMul", {}, {{"w", reals({6, 3})}}),
      unary("concat", 13, "Concat", {integer("axis", 1)}, {{"c", reals({1, 1, 6, 6})}}),
      unary("equal", 13, "Equal", {}, {{"c", reals({1})}}),
      unary("resize", 13, "Resize", {string_attribute_proto("mode", "nearest")},
            {{"r", reals({0})}, {"s", f32_tensor({4}, std::vector<float>{1, 1, 2, 2})}}),
      unary("upsample", 9, "Upsample", {}, {{"s", f32_tensor({4}, std::vector<float>{1, 1, 2, 2})}}),
  };
}

/// The ops that scatter, sample, shift bits, find and count, each with its attributes; x of another shape or dtype
/// where they want that.
std::vector<Seed> more_ops() {
  const auto ints = ints_attribute_proto;
  const auto integer = int_attribute_proto;
  const auto real = float_attribute_proto;
  const auto word = string_attribute_proto;
  const auto with_input = [](const std::string& name, int64_t opset, const Extents& shape, DType dtype,
                             const NodeSpec& spec, const std::vector<std::pair<std::string, Tensor>>& constants = {}) {
    ModelBuilder model(opset);
    model.input("x", shape, dtype);
    for (const auto& [constant, tensor] : constants) model.initializer(constant, tensor);
    model.node(spec).output("y");
    return Seed{name, std::move(model)};
  };
  const Tensor index = s64_tensor({1, 1, 1, 2}, std::vector<int64_t>{-1, 3}), update = reals({1, 1, 1, 2});
  const uint8_t bits[] = {3, 9};
  const Tensor shifts = Tensor::from<uint8_t>(DType::u8, {2}, bits);
  std::vector<Seed> seeds = {
      unary("grid_sample16", 16, "GridSample",
            {word("mode", "bicubic"), word("padding_mode", "reflection"), integer("align_corners", 1)},
            {{"g", reals({1, 2, 3, 2})}}),
      unary("grid_sample22", 22, "GridSample", {word("mode", "linear"), word("padding_mode", "border")},
            {{"g", reals({1, 2, 3, 2})}}),
      unary("scatter9", 9, "Scatter", {integer("axis", 3)}, {{"i", index}, {"u", update}}),
      unary("scatter_elements", 18, "ScatterElements", {integer("axis", -1), word("reduction", "add")},
            {{"i", index}, {"u", update}}),
      unary("scatter_nd", 18, "ScatterND", {word("reduction", "max")},
            {{"i", s64_tensor({1, 2}, std::vector<int64_t>{0, 3})}, {"u", reals({1, 6, 6})}}),
      unary("gather_nd", 13, "GatherND", {integer("batch_dims", 1)},
            {{"i", s64_tensor({1, 2, 1}, std::vector<int64_t>{0, 3})}}),
      unary("gather_elements", 13, "GatherElements", {integer("axis", 3)}, {{"i", index}}),
      unary("hardmax", 13, "Hardmax", {integer("axis", 1)}),
      unary("lp_normalization", 22, "LpNormalization", {integer("axis", 1), integer("p", 1)}),
      unary("lp_pool", 22, "LpPool",
            {ints("kernel_shape", {3, 2}), integer("p", 3), ints("dilations", {2, 1}), integer("ceil_mode", 1)}),
      unary("global_lp_pool", 22, "GlobalLpPool", {integer("p", 1)}),
      unary("mean_variance", 13, "MeanVarianceNormalization", {ints("axes", {0, 2, 3})}),
      unary("group_norm", 21, "GroupNormalization", {integer("num_groups", 2), real("epsilon", 1e-3f)},
            {{"s", reals({4})}, {"b", reals({4})}}),
      unary("instance_norm", 13, "InstanceNormalization", {real("epsilon", 1e-3f)},
            {{"s", reals({4})}, {"b", reals({4})}}),
      unary("lrn", 13, "LRN", {integer("size", 3), real("alpha", 0.1f), real("beta", 0.5f), real("bias", 2)}),
      unary("shrink", 9, "Shrink", {real("bias", 0.25f), real("lambd", 0.75f)}),
      unary("is_inf", 20, "IsInf", {integer("detect_negative", 0), integer("detect_positive", 1)}),
      unary("reduce_log_sum_exp", 13, "ReduceLogSumExp", {ints("axes", {1, -1}), integer("keepdims", 0)}),
      unary("pad_wrap", 19, "Pad", {word("mode", "wrap")}, {{"p", integers({0, 0, 1, -2, 0, 0, 0, 3})}}),
      unary("conv_transpose", 11, "ConvTranspose",
            {ints("strides", {2, 2}), ints("pads", {1, 1, 1, 1}), ints("output_padding", {1, 1}), integer("group", 2)},
            {{"w", reals({4, 3, 3, 3})}, {"b", reals({6})}}),
      unary("conv_transpose_shape", 11, "ConvTranspose",
            {ints("strides", {3, 2}), ints("output_shape", {17, 12}), word("auto_pad", "SAME_LOWER")},
            {{"w", reals({4, 2, 3, 3})}}),
      unary("top_k", 11, "TopK", {integer("axis", 1), integer("largest", 0), integer("sorted", 1)},
            {{"k", integers({2})}}),
      unary("cum_sum", 14, "CumSum", {integer("exclusive", 1), integer("reverse", 1)}, {{"a", integers({3})}}),
      unary("depth_to_space", 13, "DepthToSpace", {integer("blocksize", 2), word("mode", "CRD")}),
      with_input("eye_like", 22, {5, Dim(std::string("N"))}, DType::f32,
                 {"EyeLike", {"x"}, {"y"}, {integer("dtype", 6), integer("k", -1)}, "n"}),
      with_input("bit_shift", 11, {3, 2}, DType::u8, {"BitShift", {"x", "s"}, {"y"}, {word("direction", "LEFT")}, "n"},
                 {{"s", shifts}}),
      with_input("one_hot", 11, {3}, DType::s64, {"OneHot", {"x", "d", "v"}, {"y"}, {integer("axis", 0)}, "n"},
                 {{"d", integers({4})}, {"v", reals({2})}}),
      with_input("einsum", 12, {2, 3}, DType::f32, {"Einsum", {"x", "w"}, {"y"}, {word("equation", "ij,kj->ik")}, "n"},
                 {{"w", reals({4, 3})}}),
  };
  for (const char* op : {"BitwiseAnd", "BitwiseOr", "BitwiseXor"})
    seeds.push_back(with_input(op, 18, {3, 2}, DType::u8, {op, {"x", "s"}, {"y"}, {}, "n"}, {{"s", shifts}}));
  return seeds;
}

/// x -> each op in turn -> y; with `constant`, as every op's second input. Their names are what mutation takes others
/// from.
Seed chain(const std::string& name, const std::vector<std::string>& ops, const std::optional<Tensor>& constant) {
  ModelBuilder model(20);
  model.input("x", {Dim(std::string("N")), 4, 6, 6});
  if (constant) model.initializer("c", *constant);
  std::string last = "x";
  for (const std::string& op : ops) {
    const std::string next = &op == &ops.back() ? "y" : last + "_";
    model.node({op, constant ? std::vector<std::string>{last, "c"} : std::vector{last}, {next}, {}, op});
    last = next;
  }
  model.output("y");
  return {name, std::move(model)};
}

/// A small classifier with Q/DQ, a residual and unsorted nodes.
Seed network() {
  const int8_t zero = 0;
  ModelBuilder m(13);
  m.input("x", {Dim(std::string("N")), 3, 6, 6}).initializer("w", reals({3, 3, 3, 3})).initializer("fc", reals({5, 3}));
  m.initializer("s", scalar_f32(0.05f)).initializer("z", Tensor::from<int8_t>(DType::s8, {}, std::span(&zero, 1)));
  m.node({"Add", {"c", "d"}, {"sum"}, {}, "add"});
  m.node({"QuantizeLinear", {"x", "s", "z"}, {"q"}, {}, "q"})
      .node({"DequantizeLinear", {"q", "s", "z"}, {"d"}, {}, "dq"});
  m.node({"Conv", {"d", "w"}, {"c"}, {ints_attribute_proto("pads", {1, 1, 1, 1})}, "conv"});
  m.node({"Relu", {"sum"}, {"r"}, {}, "relu"}).node({"GlobalAveragePool", {"r"}, {"p"}, {}, "pool"});
  m.node({"Flatten", {"p"}, {"f"}, {int_attribute_proto("axis", 1)}, "flat"});
  m.node({"Constant", {}, {"bias"}, {tensor_attribute_proto("value", reals({5}))}});
  m.node({"Gemm", {"f", "fc", "bias"}, {"y"}, {int_attribute_proto("transB", 1)}, "fc"});
  m.value_info("c", {Dim(std::string("N")), 3, 6, 6}).output("y");
  return {"network", std::move(m)};
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: octet_onnx_seeds FOLDER\n");
    return 2;
  }
  std::filesystem::create_directories(argv[1]);
  std::vector<Seed> seeds = oddities();
  for (Seed& seed : more_ops()) seeds.push_back(std::move(seed));
  seeds.push_back(chain("functions",
                        {"Abs",          "Acos",     "Acosh",    "Asin",      "Asinh", "Atan",       "Atanh",
                         "Ceil",         "Cos",      "Cosh",     "Elu",       "Erf",   "Exp",        "Floor",
                         "Gelu",         "Celu",     "Identity", "LeakyRelu", "Log",   "Mish",       "Neg",
                         "Reciprocal",   "Round",    "Selu",     "Sigmoid",   "Sign",  "Sin",        "Sinh",
                         "Sqrt",         "Softplus", "Softsign", "Tan",       "Tanh",  "LogSoftmax", "ThresholdedRelu",
                         "GlobalMaxPool"},
                        {}));
  seeds.push_back(
      chain("pairs", {"Sub", "Mul", "Div", "Pow", "PRelu", "Min", "Max", "Sum", "Mean", "Less"}, reals({4, 1, 1})));
  seeds.push_back(network());
  for (const Seed& seed : seeds) {
    const std::vector<std::byte> bytes = seed.model.bytes();
    const Result<Done> ok = write_file_atomically(std::string(argv[1]) + "/" + seed.name + ".onnx", std::span(bytes));
    if (!ok) {
      std::fprintf(stderr, "%s\n", ok.error().message.c_str());
      return 1;
    }
  }
  return 0;
}
