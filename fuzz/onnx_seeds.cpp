// Small ONNX files, one per kind of op and oddity.

#include "onnx_seeds.h"

#include <optional>
#include <string>
#include <vector>

#include "onnx_seed_parts.h"

namespace octet {
namespace {

using namespace test;

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
  const Tensor index = s64_tensor({1, 1, 1, 2}, std::vector<int64_t>{-1, 3}), update = reals({1, 1, 1, 2});
  const Tensor shifts = bytes(DType::u8, {2}, {3, 9});
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

/// Logic, comparisons, shapes and counts.
std::vector<Seed> more_dtypes() {
  const auto integer = int_attribute_proto;
  const Tensor flags = bytes(DType::boolean, {3, 2}, {1, 0, 0, 1, 1, 0});
  std::vector<Seed> seeds = {
      with_input("not", 13, {3, 2}, DType::boolean, {"Not", {"x"}, {"y"}, {}, "n"}),
      with_input("where", 16, {3, 2}, DType::f32, {"Where", {"c", "x", "o"}, {"y"}, {}, "n"},
                 {{"c", flags}, {"o", reals({1, 2})}}),
      with_input("bitwise_not", 18, {3, 2}, DType::s16, {"BitwiseNot", {"x"}, {"y"}, {}, "n"}),
      with_input("mod", 13, {3, 2}, DType::s64, {"Mod", {"x", "d"}, {"y"}, {}, "n"}, {{"d", integers({3, -2})}}),
      unary("fmod", 13, "Mod", {integer("fmod", 1)}, {{"d", scalar_f32(0.75f)}}),
      with_input("non_zero", 13, {3, 2}, DType::s32, {"NonZero", {"x"}, {"y"}, {}, "n"}),
      with_input("range", 11, {}, DType::s64, {"Range", {"s", "x", "d"}, {"y"}, {}, "n"},
                 {{"s", s64_tensor({}, std::vector<int64_t>{1})}, {"d", s64_tensor({}, std::vector<int64_t>{2})}}),
      with_input("constant_of_shape", 9, {2}, DType::s64,
                 {"ConstantOfShape", {"x"}, {"y"}, {tensor_attribute_proto("value", reals({1}))}, "n"}),
      with_input("trilu", 14, {4, 5}, DType::f32, {"Trilu", {"x", "k"}, {"y"}, {integer("upper", 0)}, "n"},
                 {{"k", s64_tensor({}, std::vector<int64_t>{1})}}),
      with_input("cast_like", 15, {3, 2}, DType::f32, {"CastLike", {"x", "l"}, {"y"}, {}, "n"}, {{"l", flags}}),
      unary("is_nan", 13, "IsNaN"),
      unary("size", 13, "Size"),
      unary("squeeze11", 11, "Squeeze"),
      unary("squeeze13", 13, "Squeeze", {}, {{"a", integers({0})}}),
      unary("arg_max", 13, "ArgMax", {integer("axis", 1), integer("keepdims", 0), integer("select_last_index", 1)}),
      unary("arg_min", 13, "ArgMin", {integer("axis", -1)}),
      unary("space_to_depth", 13, "SpaceToDepth", {integer("blocksize", 2)}),
      unary("rms_normalization", 23, "RMSNormalization", {integer("axis", -1), float_attribute_proto("epsilon", 1e-3f)},
            {{"g", reals({6})}}),
      unary("swish", 24, "Swish", {float_attribute_proto("alpha", 1.5f)}),
  };
  for (const char* op : {"And", "Or", "Xor"})
    seeds.push_back(with_input(op, 13, {3, 2}, DType::boolean, {op, {"x", "f"}, {"y"}, {}, "n"}, {{"f", flags}}));
  for (const char* op : {"Greater", "GreaterOrEqual", "LessOrEqual"})
    seeds.push_back(unary(op, 16, op, {}, {{"c", reals({4, 1, 1})}}));
  for (const char* op :
       {"ReduceSum", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1", "ReduceL2", "ReduceSumSquare", "ReduceLogSum"})
    seeds.push_back(unary(op, 18, op, {integer("keepdims", 0)}, {{"a", integers({1, -1})}}));
  return seeds;
}

/// x [3,2,4] -> an op of gates, both ways -> y and its last state.
Seed recurrent(const std::string& op, int64_t gates, std::vector<WireWriter> attributes) {
  ModelBuilder model(14);
  model.input("x", {3, 2, 4});
  model.initializer("w", reals({2, gates * 3, 4})).initializer("r", reals({2, gates * 3, 3}));
  model.initializer("b", reals({2, 2 * gates * 3})).initializer("h", reals({2, 2, 3}));
  attributes.push_back(int_attribute_proto("hidden_size", 3));
  attributes.push_back(string_attribute_proto("direction", "bidirectional"));
  model.node({op, {"x", "w", "r", "b", "", "h"}, {"y", "last"}, std::move(attributes), "n"}).output("y").output("last");
  return {op, std::move(model)};
}

Seed boxes() {
  ModelBuilder model(11);
  model.input("boxes", {1, 6, 4}).input("scores", {1, 2, 6});
  model.initializer("most", integers({3})).initializer("overlap", f32_tensor({1}, std::vector<float>{0.5f}));
  model.node({"NonMaxSuppression",
              {"boxes", "scores", "most", "overlap"},
              {"y"},
              {int_attribute_proto("center_point_box", 1)},
              "n"});
  return {"non_max_suppression", std::move(model.output("y"))};
}

}  // namespace

std::vector<OnnxSeed> onnx_seeds() {
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
  for (Seed& seed : more_dtypes()) seeds.push_back(std::move(seed));
  seeds.push_back(recurrent("RNN", 1, {float_attribute_proto("clip", 2)}));
  seeds.push_back(recurrent("GRU", 3, {int_attribute_proto("linear_before_reset", 1)}));
  seeds.push_back(recurrent("LSTM", 4, {int_attribute_proto("input_forget", 1)}));
  seeds.push_back(boxes());
  for (Seed& seed : seeds_of_codes()) seeds.push_back(std::move(seed));
  for (Seed& seed : seeds_of_structure()) seeds.push_back(std::move(seed));
  std::vector<OnnxSeed> files;
  for (const Seed& seed : seeds) files.push_back({seed.name, seed.model.bytes()});
  return files;
}

}  // namespace octet
