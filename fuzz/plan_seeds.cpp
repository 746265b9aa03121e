// Small plans: networks with every kind of attribute, float and integer layers and profiles; then every op.

#include "plan_seeds.h"

namespace octet {
namespace {

/// "{1, -2, ...}" with n small numbers, as f32 or as integers.
std::string numbers(int n, bool real) {
  std::string text = "{";
  for (int i = 0; i < n; ++i) text += (i ? ", " : "") + std::to_string(i * 7 % 11 - 5) + (real ? ".5" : "");
  return text + "}";
}

std::string scales(int n) {
  std::string text = "{";
  for (int i = 0; i < n; ++i) text += (i ? ", 0.0" : "0.0") + std::to_string(1 + i % 9);
  return text + "}";
}

std::vector<PlanSeed> networks() {
  const std::string conv_weights = "  const w: s8[20,5,3,3] = " + numbers(900, false) +
                                   "\n  const s: f32[20] = " + scales(20) +
                                   "\n  const b: s32[20] = " + numbers(20, false) + "\n";
  return {
      {"attributes",
       "graph small (x: f32[2,3,4,4]) -> (y, t) {\n  const w: f32[2,3,1,1] = " + numbers(6, true) +
           "\n  const b: f32[2] = {0.5, -1}\n  const shape: s64[2] = {2, 32}\n"
           "  c = Conv(x, w, b, pads=[0,0,0,0], strides=[1,1]) @conv\n  r = LeakyRelu(c, alpha=0.125) @leaky\n"
           "  t = Cast(r, to=\"s32\")\n  y = Reshape(r, shape)\n}\n"},
      {"int8", "graph q (x: f32[1,5,6,6]) -> (y) {\n  const xs: f32[] = {0.02}\n  const xz: u8[] = {37}\n" +
                   conv_weights + "  const w2: s8[4,20] = " + numbers(80, false) +
                   "\n  const s2: f32[4] = " + scales(4) +
                   "\n  q = QuantizeLinear(x, xs, xz) @q\n"
                   "  c = QuantConv(q, w, s, b, pads=[1,1,1,1], x_scale=0.02, x_zero_point=37, y_scale=0.05, "
                   "y_zero_point=99, activation=\"Relu\", to=\"u8\") @conv\n"
                   "  p = QuantGlobalAveragePool(c, x_scale=0.05, x_zero_point=99, y_scale=0.05, y_zero_point=99, "
                   "to=\"u8\") @pool\n"
                   "  f = Flatten(p, axis=1) @flat\n"
                   "  y = QuantGemm(f, w2, s2, _, x_scale=0.05, x_zero_point=99, to=\"f32\") @fc\n}\n"},
      {"depthwise", "graph d (x: u8[1,16,6,6]) -> (y) {\n  const w: s8[16,1,3,3] = " + numbers(144, false) +
                        "\n  const s: f32[16] = " + scales(16) + "\n  const b: s32[16] = " + numbers(16, false) +
                        "\n  y = QuantConv(x, w, s, b, pads=[1,1,1,1], group=16, x_scale=0.02, x_zero_point=37, "
                        "y_scale=0.05, y_zero_point=99, activation=\"Silu\", to=\"u8\") @dw\n}\n"},
      {"batches",
       "graph p (x: f32[2,3,5,5]) -> (y) {\n  const w: f32[17,3,3,3] = " + numbers(459, true) +
           "\n  c = FusedConv(x, w, _, _, activation=\"Clip\", activation_params=[0.0,6.0]) @conv\n"
           "  m = MaxPool(c, kernel_shape=[2,2]) @max\n  y = Softmax(m, axis=1) @soft\n}\n",
       {{{1, 3, 5, 5}}, {{2, 3, 5, 5}}, {{4, 3, 5, 5}}}},
  };
}

/// "const name: dtype[extents] = {...}" of n small numbers.
std::string constant(const std::string& name, const std::string& type, int n) {
  return "  const " + name + ": " + type + " = " + numbers(n, type[0] == 'f' || type[0] == 'b') + "\n";
}

/// These nodes: "Abs(x)" makes an output; "a, b = Split(x)" makes values that later ones read.
PlanSeed nodes(const std::string& name, const std::string& inputs, const std::string& constants,
               const std::vector<std::string>& expressions) {
  std::string body, outputs;
  for (size_t i = 0; i < expressions.size(); ++i) {
    const std::string& e = expressions[i];
    const size_t equals = e.find(" = "), bracket = e.find('(');
    const bool named = equals < bracket;
    const std::string made = named ? e.substr(0, equals) : "v" + std::to_string(i);
    body += "  " + (named ? e : made + " = " + e) + "\n";
    if (!named) outputs += (outputs.empty() ? "" : ", ") + made;
  }
  return {name, "graph g (" + inputs + ") -> (" + outputs + ") {\n" + constants + body + "}\n"};
}

/// x -> each op in turn.
PlanSeed chain(const std::string& name, const std::vector<std::string>& ops) {
  std::string body, last = "x";
  for (size_t i = 0; i < ops.size(); ++i) {
    const std::string next = "v" + std::to_string(i);
    const size_t bracket = ops[i].find('(');
    body += "  " + next + " = " + ops[i].substr(0, bracket) + "(" + last +
            (bracket == std::string::npos ? ")" : ", " + ops[i].substr(bracket + 1)) + "\n";
    last = next;
  }
  return {name, "graph g (x: f32[2,5,4,3]) -> (" + last + ") {\n" + body + "}\n"};
}

std::vector<PlanSeed> functions() {
  return {
      chain("functions_1", {"Abs", "Acos", "Asin", "Atan", "Ceil", "Cos", "Elu(alpha=0.5)", "Erf", "Exp", "Floor"}),
      chain("functions_2", {"Acosh", "Asinh", "Atanh", "Cosh", "Sinh", "Sin", "Tan", "Log", "Neg", "Reciprocal"}),
      chain("functions_3", {"Gelu", "Celu(alpha=2.0)", "Identity", "LeakyRelu(alpha=0.25)", "Mish", "Round", "Selu",
                            "Sigmoid", "Sign"}),
      chain("functions_4", {"Sqrt", "Softplus", "Softsign", "Tanh", "ThresholdedRelu(alpha=0.5)",
                            "Shrink(bias=0.25,lambd=0.75)", "Relu", "HardSigmoid(alpha=0.25)", "HardSwish", "Silu"}),
      chain("rows_1", {"Softmax(axis=1)", "LogSoftmax(axis=-1)", "Hardmax(axis=2)", "LpNormalization(axis=1,p=1)",
                       "MeanVarianceNormalization(axes=[0,2,3])", "LRN(size=3,alpha=0.1)", "Dropout"}),
      nodes("rows_2", "x: f32[2,6,4,3]",
            constant("s", "f32[6]", 6) + constant("b", "f32[6]", 6) + "  const v: f32[6] = " + scales(6) + "\n" +
                constant("r", "f32[3]", 3) + constant("lo", "f32[]", 1) + "  const hi: f32[] = {6}\n",
            {"h = Clip(x, lo, hi)", "i = InstanceNormalization(h, s, b, epsilon=0.001)",
             "g = GroupNormalization(i, s, b, num_groups=2)", "n = BatchNormalization(g, s, b, s, v)",
             "l = LayerNormalization(n, r, r, axis=-1)", "RMSNormalization(l, r, axis=-1)", "GlobalMaxPool(g)"}),
  };
}

std::vector<PlanSeed> pairs() {
  const std::string c = constant("c", "f32[5,1,1]", 5);
  return {
      nodes("pairs_1", "x: f32[2,5,4,3], z: f32[2,5,1,1]", c,
            {"h = Relu(x)", "a = Add(h, c)", "b = Sub(c, a)", "d = Mul(b, z)", "e = Div(d, c)", "f = Pow(e, c)",
             "g = PRelu(f, c)", "i = FusedAdd(g, h, activation=\"Relu\")", "Sum(i, h, c)"}),
      nodes("pairs_2", "x: f32[2,5,4,3]", c,
            {"h = Relu(x)", "a = Min(h, c, x)", "b = Max(a, c)", "d = Mean(b, c, h)", "Mod(d, c, fmod=1)"}),
      nodes("logic", "x: f32[2,5,4,3]", c,
            {"h = Relu(x)", "a = Greater(h, c)", "b = Less(c, h)", "d = GreaterOrEqual(h, x)", "e = LessOrEqual(h, c)",
             "f = Equal(x, h)", "g = And(a, b)", "i = Or(g, d)", "j = Xor(i, e)", "k = Not(j)", "Where(k, h, c)",
             "IsNaN(h)", "IsInf(h, detect_negative=0)", "And(f, k)"}),
      nodes("bits", "x: u8[3,4], y: s32[3,4]",
            "  const c: u8[4] = {1, 2, 3, 9}\n  const d: s32[4] = {3, -2, 5, 7}\n"
            "  const a: s64[] = {1}\n",
            {"e = BitwiseAnd(x, c)", "f = BitwiseOr(e, c)", "g = BitwiseXor(f, x)", "h = BitwiseNot(g)",
             "BitShift(h, c, direction=\"LEFT\")", "Mod(y, d)", "CumSum(y, a, exclusive=1)", "Cast(y, to=\"f16\")"}),
      nodes("finds", "x: f32[2,5,4,3]",
            "  const k: s64[1] = {2}\n  const d: s64[] = {4}\n  const v: f32[2] = {0.5, 2}\n"
            "  const boxes: f32[1,2,4] = {0, 0, 1, 1, 0.5, 0, 1.5, 1}\n  const w: f32[1,1,2] = {0.5, 2}\n"
            "  const most: s64[1] = {1}\n",
            {"h = Relu(x)", "i = ArgMax(h, axis=1, keepdims=0)", "ArgMin(h, axis=-1, select_last_index=1)",
             "t, p = TopK(h, k, axis=1, largest=0)", "Identity(t)", "OneHot(i, d, v, axis=1)", "Identity(p)",
             "NonMaxSuppression(boxes, w, most) : s64[1,3]", "NonZero(x) : s64[4,1]"}),
  };
}

std::vector<PlanSeed> moves() {
  const std::string x = "x: f32[2,8,4,6]";
  return {
      nodes("moves_1", x, "  const s: s64[3] = {2, 8, 24}\n  const a: s64[1] = {1}\n  const p: s64[2] = {3, 5}\n",
            {"h = Relu(x)", "a0 = Transpose(h, perm=[0,2,3,1])", "a1 = Transpose(a0, perm=[0,3,2,1])",
             "a2 = Unsqueeze(a1, a)", "a3 = Squeeze(a2, a)", "a4 = Reshape(h, s)", "a5, a6 = Split(h, p, axis=1)",
             "a7 = Concat(a6, a5, h, axis=1)", "Relu(a7)", "Flatten(a3, axis=2)", "Relu(a4)", "Shape(h, start=1)",
             "Size(h)"}),
      nodes("moves_2", x,
            "  const b: s64[2] = {0, 5}\n  const e: s64[2] = {9, -9}\n  const a: s64[2] = {1, 3}\n"
            "  const t: s64[2] = {3, -2}\n  const p: s64[8] = {0, 0, 1, -1, 0, 0, 2, 3}\n"
            "  const q: s64[8] = {0, 1, 1, 2, 0, 0, 2, 1}\n  const v: f32[] = {1.5}\n"
            "  const r: s64[4] = {1, 2, 1, 3}\n  const s: s64[5] = {3, 2, 8, 4, 6}\n",
            {"h = Relu(x)", "Slice(h, b, e, a, t)", "Pad(h, p, v)", "Pad(h, q, mode=\"reflect\")",
             "Pad(h, q, mode=\"edge\")", "Pad(h, q, mode=\"wrap\")", "Tile(h, r)", "Expand(h, s)",
             "DepthToSpace(h, blocksize=2, mode=\"CRD\")", "SpaceToDepth(h, blocksize=2)"}),
      nodes("gathers", x,
            "  const i: s64[3] = {-1, 0, 5}\n  const j: s64[1,1,1,2] = {-1, 3}\n  const k: s64[2,1] = {0, 1}\n"
            "  const u: f32[1,1,1,2] = {0.5, 2}\n" +
                constant("w", "f32[2,8,4,6]", 384),
            {"h = Relu(x)", "Gather(h, i, axis=1)", "GatherElements(h, j, axis=3)", "GatherND(h, k, batch_dims=1)",
             "ScatterElements(h, j, u, axis=-1, reduction=\"add\")", "ScatterND(h, k, w, reduction=\"max\")"}),
      nodes("makes", "x: f32[4,5]",
            "  const s: s64[2] = {2, 3}\n  const k: s64[] = {1}\n  const from: s64[] = {9}\n  const to: s64[] = {-3}\n"
            "  const by: s64[] = {-4}\n",
            {"Trilu(x, k, upper=0)", "EyeLike(x, dtype=\"s32\", k=-1)", "ConstantOfShape(s, value=tensor(s64[1], {7}))",
             "Range(from, to, by)"}),
      nodes("reductions_1", "x: f32[2,5,4,3]", "  const a: s64[2] = {2, 3}\n  const c: s64[1] = {1}\n",
            {"h = Relu(x)", "ReduceMean(h, a)", "ReduceSum(h, c, keepdims=0)", "ReduceMax(h, a)", "ReduceMin(h, c)",
             "ReduceProd(h, a)"}),
      nodes("reductions_2", "x: f32[2,5,4,3]", "  const a: s64[2] = {1, -1}\n  const c: s64[1] = {1}\n",
            {"h = Relu(x)", "ReduceL1(h, a)", "ReduceL2(h, c)", "ReduceSumSquare(h, a, keepdims=0)",
             "ReduceLogSum(h, c)", "ReduceLogSumExp(h)"}),
  };
}

std::vector<PlanSeed> products() {
  const auto recurrent = [&](const std::string& op, int count, const std::string& states, const std::string& more) {
    const std::string n = std::to_string(count * 3), bias = std::to_string(count * 6);
    return nodes(op, "x: f32[3,2,4]",
                 constant("w", "f32[2," + n + ",4]", count * 24) + constant("r", "f32[2," + n + ",3]", count * 18) +
                     constant("b", "f32[2," + bias + "]", count * 12) + constant("h", "f32[2,2,3]", 12),
                 {"y, last = " + op + "(x, w, r, b, _, " + states + ", direction=\"bidirectional\", hidden_size=3, " +
                      more + ")",
                  "Relu(y)", "Relu(last)"});
  };
  return {
      recurrent("RNN", 1, "h", "clip=2.0"),
      recurrent("GRU", 3, "h", "linear_before_reset=1"),
      recurrent("LSTM", 4, "h, h", "input_forget=1"),
      nodes("samples", "x: f32[1,3,4,5]",
            constant("g", "f32[1,2,3,2]", 12) + "  const s: f32[4] = {1, 1, 2, 1.5}\n  const z: s64[2] = {7, 3}\n",
            {"h = Relu(x)", "GridSample(h, g, mode=\"cubic\", padding_mode=\"reflection\", align_corners=1)",
             "GridSample(h, g, mode=\"linear\", padding_mode=\"border\")", "Resize(h, _, s, mode=\"nearest\")",
             "Resize(h, _, s, mode=\"linear\")", "Resize(h, _, _, z, axes=[2,3], mode=\"cubic\")"}),
      nodes("pools", "x: f32[1,18,7,6]", "",
            {"h = Relu(x)", "m = MaxPool(h, kernel_shape=[3,2], strides=[2,1], pads=[1,0,1,1], ceil_mode=1)",
             "p, i = MaxPool(h, kernel_shape=[2,2])", "Relu(p)", "Identity(i)",
             "AveragePool(m, kernel_shape=[2,3], dilations=[1,2], count_include_pad=1, pads=[1,1,0,1])",
             "LpPool(h, kernel_shape=[3,2], p=3, dilations=[2,1])", "GlobalLpPool(h, p=1)", "GlobalAveragePool(h)",
             "AveragePool(h, kernel_shape=[3,3], strides=[2,2], auto_pad=\"SAME_UPPER\")"}),
      nodes("convolutions", "x: f32[1,18,5,4]",
            constant("w", "f32[6,9,3,1]", 162) + constant("b", "f32[6]", 6) + constant("t", "f32[18,2,2,3]", 216) +
                constant("d", "f32[18,1,3,3]", 162) + constant("o", "bf16[16,18,1,1]", 288),
            {"h = Relu(x)", "Conv(h, w, b, group=2, dilations=[1,2], strides=[1,2], pads=[1,0,1,0])",
             "ConvTranspose(h, t, strides=[2,3], output_padding=[1,0], group=3)",
             "f = FusedConv(h, d, _, h, group=18, pads=[1,1,1,1], activation=\"Silu\")", "Bf16Conv(f, o, to=\"f32\")"}),
      nodes("matrices", "x: f32[3,6], z: f32[2,3,6]",
            constant("w", "f32[6,4]", 24) + constant("b", "f32[4]", 4) + constant("f", "f32[5,6]", 30) +
                constant("o", "bf16[5,6]", 30),
            {"Gemm(x, w, b, alpha=0.5)", "m = MatMul(z, w)", "Einsum(m, z, equation=\"bij,bik->bjk\")",
             "FusedGemm(x, f, activation=\"Relu\")", "Bf16Gemm(x, o, to=\"bf16\")"}),
  };
}

/// Weights [32,ic,2,2] whose first 16 channels have nothing but the window's first tap: packed weights tell such taps.
std::string weights_of_few_taps(const std::string& dtype, int ic) {
  std::string text = "  const w: " + dtype + "[32," + std::to_string(ic) + ",2,2] = {";
  for (int i = 0; i < 128 * ic; ++i) text += (i ? ", " : "") + std::to_string(i < 64 * ic && i % 4 > 0 ? 0 : 1 + i % 7);
  return text + "}\n";
}

std::vector<PlanSeed> few_taps() {
  return {
      nodes("few_taps", "x: f32[1,4,5,6]", weights_of_few_taps("f32", 4),
            {"FusedConv(x, w, pads=[0,0,1,1], activation=\"Relu\")"}),
      nodes("few_taps_of_codes", "x: u8[1,16,5,6]",
            weights_of_few_taps("s8", 16) + "  const s: f32[32] = " + scales(32) + "\n",
            {"q = MaxPool(x, kernel_shape=[1,1])",
             "QuantConv(q, w, s, pads=[0,0,1,1], x_scale=0.02, x_zero_point=37, y_scale=0.05, y_zero_point=99, "
             "to=\"u8\")"}),
  };
}

std::vector<PlanSeed> codes() {
  const std::string both =
                        "a_scale=0.043, a_zero_point=25, b_scale=0.019, b_zero_point=5, to=\"u8\", y_scale=0.06, "
                        "y_zero_point=40",
                    one = "x_scale=0.05, x_zero_point=99, y_scale=0.06, y_zero_point=40, to=\"u8\"";
  std::string table;
  for (int i = 0; i < 256; ++i) table += (i ? ", " : "{") + std::to_string(i * 37 % 256);
  table += "}";
  std::string tables = table.substr(0, table.size() - 1);
  for (int c = 1; c < 5; ++c) tables += ", " + table.substr(1, table.size() - 2);
  tables += "}";
  return {
      nodes("codes", "x: f32[1,5,6,6]",
            "  const xs: f32[] = {0.02}\n  const xz: u8[] = {37}\n  const t: u8[256] = " + table + "\n",
            {"q = QuantizeLinear(x, xs, xz)", "p = MaxPool(q, kernel_shape=[2,2], strides=[2,2])",
             "l = QuantLookup(q, t)", "a = QuantAdd(l, q, " + both + ")", "m = QuantMul(a, l, " + both + ")",
             "v = QuantAveragePool(m, kernel_shape=[3,3], pads=[1,1,1,1], count_include_pad=1, " + one + ")",
             "DequantizeLinear(v, xs, xz)", "p2 = DequantizeLinear(p, xs, xz)", "Relu(p2)"}),
      nodes("pixels", "x: u8[1,5,6,6]", "  const t: u8[5,256] = " + tables + "\n",
            {"q = QuantPixels(x, t)", "MaxPool(q, kernel_shape=[3,3], pads=[1,1,1,1])"}),
      nodes(
          "joined", "x: u8[1,16,4,4], z: u8[1,16,4,4]",
          "  const i: s64[32] = {0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23, 8, 24, 9, 25, 10, 26, 11, 27, "
          "12, 28, 13, 29, 14, 30, 15, 31}\n  const t: u8[256] = " +
              table + "\n",
          {"JoinedGather(i, _, x, z, axis=1)", "l = JoinedGather(i, t, z, x, axis=1)", "Concat(l, x, axis=1)"}),
      nodes("code_matrices", "a: u8[2,3,6], b: s8[2,6,5]", constant("w", "s8[6,4]", 24) + "  const z: u8[] = {7}\n",
            {"QuantMatMul(a, b, " + both + ")", "MatMulInteger(a, w, z)"}),
      nodes("code_images", "x: f32[1,5,6,6]", constant("w", "s8[4,5,2,2]", 80),
            {"q, s, z = DynamicQuantizeLinear(x)", "ConvInteger(q, w, z, pads=[1,0,1,0])", "Identity(s)"}),
      nodes("volumes", "x: u8[2,4,5,12]", "",
            {"f = PlanesToFrames(x, height=3, kernel_shape=[3], strides=[2], pads=[1,1], group=2, x_zero_point=7)",
             "p = FramesToPlanes(f, depth=3)", "PlanesToFrames(p, height=6)"}),
      nodes("moved_codes", "x: u8[2,20,6,4]",
            "  const p: s64[8] = {0, 0, 1, 1, 0, 0, 0, 2}\n  const v: u8[] = {9}\n  const s: f32[4] = {1, 1, 2, 2}\n"
            "  const b: s64[1] = {3}\n  const e: s64[1] = {17}\n  const a: s64[1] = {1}\n",
            {"h = MaxPool(x, kernel_shape=[1,1])", "k = Pad(h, p, v)", "r = Resize(k, _, s, mode=\"nearest\")",
             "c = Slice(r, b, e, a)", "d = Transpose(c, perm=[0,2,3,1])", "Transpose(d, perm=[0,3,2,1])",
             "DepthToSpace(h, blocksize=2)"}),
  };
}

}  // namespace

std::vector<PlanSeed> plan_seeds() {
  std::vector<PlanSeed> all = networks();
  for (const auto& more : {functions(), pairs(), moves(), products(), few_taps(), codes()})
    all.insert(all.end(), more.begin(), more.end());
  return all;
}

}  // namespace octet
