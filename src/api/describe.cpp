// Pages of the docs that are printed from the code's own lists.

#include <algorithm>

#include "backends/cpu/program.h"
#include "ir/op.h"
#include "octet/tasks.h"
#include "onnx/onnx.h"
#include "repair/repair.h"
#include "repair/tensorrt.h"

namespace octet {
namespace {

constexpr DType k_dtypes[] = {DType::f32,      DType::f64,        DType::f16,     DType::bf16,       DType::s8,
                              DType::u8,       DType::s16,        DType::u16,     DType::s32,        DType::u32,
                              DType::s64,      DType::u64,        DType::boolean, DType::s4,         DType::u4,
                              DType::f8e4m3fn, DType::f8e4m3fnuz, DType::f8e5m2,  DType::f8e5m2fnuz, DType::f4e2m1};

/// Does inference take this dtype as input 0, and some dtype for the inputs behind it?
bool takes(const OpDef& op, DType dtype) {
  for (const DType others : {dtype, DType::s64, DType::f32, DType::boolean}) {
    for (const bool s32_indices : {false, true}) {
      Graph graph;
      Node node{&op, "n", {}, {}, {}};
      const int inputs = std::max(op.min_inputs, 1);
      for (int i = 0; i < inputs; ++i) {
        const DType d = i == 0 ? dtype : s32_indices && i == 1 ? DType::s64 : others;
        node.inputs.push_back(graph.add_value("x" + std::to_string(i), d));
      }
      for (int i = 0; i < std::max(op.outputs_min, 1); ++i)
        node.outputs.push_back(graph.add_value("y" + std::to_string(i)));
      if (op.name == "Cast") node.attributes["to"] = std::string("f32");
      if (op.name == "Mod") node.attributes["fmod"] = int64_t{1};
      if (op.name == "LRN") node.attributes["size"] = int64_t{1};
      if (op.name == "BitShift") node.attributes["direction"] = std::string("LEFT");
      if (op.name == "GroupNormalization") node.attributes["num_groups"] = int64_t{1};
      if (op.name == "Einsum") node.attributes["equation"] = std::string("i->i");
      if (op.name == "DepthToSpace" || op.name == "SpaceToDepth") node.attributes["blocksize"] = int64_t{1};
      if (infer_node(graph, node)) return true;
    }
  }
  return false;
}

std::string dtypes_text(const OpDef& op) {
  std::vector<DType> taken;
  for (const DType dtype : k_dtypes)
    if (takes(op, dtype)) taken.push_back(dtype);
  const auto has = [&](DType d) { return std::find(taken.begin(), taken.end(), d) != taken.end(); };
  std::string text;
  const auto group = [&](std::string_view word, std::initializer_list<DType> members) {
    if (!std::all_of(members.begin(), members.end(), has)) return;
    text += (text.empty() ? "" : ", ") + std::string(word);
    for (const DType d : members) std::erase(taken, d);
  };
  group("floats", {DType::f32, DType::f64, DType::f16, DType::bf16});
  group("integers", {DType::s8, DType::u8, DType::s16, DType::u16, DType::s32, DType::u32, DType::s64, DType::u64});
  group("4 bit", {DType::s4, DType::u4});
  group("short floats", {DType::f8e4m3fn, DType::f8e4m3fnuz, DType::f8e5m2, DType::f8e5m2fnuz, DType::f4e2m1});
  for (const DType d : std::vector<DType>(taken)) text += (text.empty() ? "" : ", ") + std::string(name(d));
  return text;
}

std::string since(std::string_view op) {
#define OCTET_ONNX_SINCE(listed, opset) \
  if (op == #listed) return std::to_string(opset);
#include "onnx/since.def"
#undef OCTET_ONNX_SINCE
  return "7";
}

std::string limit(std::string_view op) {
#define OCTET_OP_LIMIT(listed, text) \
  if (op == #listed) return text;
#include "api/op_limits.def"
#undef OCTET_OP_LIMIT
  return "";
}

/// The fast families for the op; "reference" where there is none.
std::string cpu_text(std::string_view op) {
  std::string text;
  for (const cpu::StepDef* step : cpu::steps_for(op)) {
    if (step == &cpu::reference_step || step == &cpu::nothing_step) continue;
    const std::string family(step->family);
    if (text.find(family) == std::string::npos) text += (text.empty() ? "" : ", ") + family;
  }
  return text.empty() ? "reference" : text;
}

std::string int8_text(const OpDef& op) {
  switch (op.quant.role) {
    case QuantRole::weighted: return "integer layer, constant weight";
    case QuantRole::add:
    case QuantRole::mul:
    case QuantRole::pool_average: return "integer layer";
    case QuantRole::same_scale: return "moves codes";
    case QuantRole::shared_scale: return "moves codes of one scale";
    case QuantRole::activation: return "fused, or a table of 256 codes";
    default: return "";
  }
}

std::string ops_page() {
  std::string text =
      "# Ops\n\nPrinted by `octet --describe ops`; a test fails when this page differs. Every op runs on `ref`. On "
      "`cpu` an op runs by "
      "the families named\n(f32 unless the name says otherwise) where its dtypes and shapes fit them, and by its "
      "reference kernel "
      "on dense copies else; `octet inspect` says\nwhich for each layer. INT8: what becomes of the op between "
      "QuantizeLinear and "
      "DequantizeLinear. Opsets are those of ai.onnx that are read;\na newer one is refused. dtypes are those of input "
      "0: floats = "
      "f32 f64 f16 bf16, integers = 8 to 64 bits.\n\n| op | opsets | dtypes | cpu | INT8 | limits |\n| --- | --- | --- "
      "| --- | --- | --- |\n";
  std::vector<const OpDef*> ops(all_ops().begin(), all_ops().end());
  std::sort(ops.begin(), ops.end(), [](const OpDef* a, const OpDef* b) { return a->name < b->name; });
  for (const OpDef* op : ops) {
    if (!op->is_onnx) continue;
    text += "| " + std::string(op->name) + " | " + since(op->name) + " to " + std::to_string(k_last_opset) + " | " +
            dtypes_text(*op) + " | " + cpu_text(op->name) + " | " + int8_text(*op) + " | " + limit(op->name) + " |\n";
  }
  text +=
      "\nRead as other ops: CastLike (Cast), Constant (a constant), Scatter (ScatterElements), Swish (Sigmoid and "
      "Mul), Upsample (Resize); in "
      "their Q/DQ form QLinearConv, "
      "QLinearMatMul and ONNX Runtime's (domain com.microsoft)\nQLinearAdd, QLinearMul, QLinearAveragePool, "
      "QLinearGlobalAveragePool, QLinearConcat, QLinearSigmoid, QLinearLeakyRelu, QLinearSoftmax, QLinearWhere, "
      "QGemm,\n"
      "FusedConv, QuantizeLinear and DequantizeLinear.\n\n## octet's own\n\n| op | "
      "cpu |\n| --- | --- |\n";
  for (const OpDef* op : ops)
    if (!op->is_onnx) text += "| " + std::string(op->name) + " | " + cpu_text(op->name) + " |\n";
  return text;
}

std::string tensorrt_page() {
  std::string text =
      "# TensorRT's rules for Q/DQ networks\n\nPrinted by `octet --describe tensorrt`; a test fails when this page "
      "differs.\n\n`octet inspect MODEL --target tensorrt` checks a file as it is; `octet quantize --target tensorrt` "
      "and `octet repair --target tensorrt` check what they\nwrote and end with 1 when a rule is broken that TensorRT "
      "refuses; the file is written all the same. `octet explain R21` prints a rule. The list is "
      "`src/repair/tensorrt_rules.def`; `tests/repair/tensorrt_test.cpp` has a graph that\nbreaks "
      "each rule, with its message, and for R40 the numbers.\n\n| rule | at worst | what it asks |\n| --- | --- | --- "
      "|\n";
  for (const TensorRtRule& rule : tensorrt_rules())
    text += "| R" + std::to_string(rule.number) + " | " + std::string(name(rule.severity)) + " | " +
            std::string(rule.title) + " |\n";
  return text;
}

std::string repairs_page() {
  std::string text =
      "# Repairs\n\nPrinted by `octet --describe repairs`; a test fails when this page differs. Each is one file of "
      "`src/repair/`, each edit one row of the report of\n`octet repair`. What they do for the files of the test data: "
      "[import.md](import.md).\n\n| repair, in running order | mends |\n| --- | --- |\n";
  for (const Repair& each : all_repairs())
    text += "| `" + std::string(each.name) + "` | " + std::string(each.mends) + " |\n";
  return text +
         "\nOperator forms (QLinearConv and its kin) become QuantizeLinear and "
         "DequantizeLinear "
         "while the file is read. A zero point that is neither 0 nor 128 stays and\nruns exactly.\n\n"
         "Limits. `rounding_chains`: no node inside the chain may have another reader, and data with a scale for each "
         "channel needs the bounds of its codes (a narrower\nrange stays float ops and runs as written). "
         "`residual_identity`: only where the sum ends in codes, and where the float branch has codes of its own for "
         "another reader, is\nmoved codes, a Clip between two numbers, a Sigmoid or a Softmax, and where rounding it "
         "moves the sum by no more than a step of the sum's codes (half a step of the\nbranch's); the report names the "
         "Adds "
         "that are left in float. `--recalibrate` takes files whose activation "
         "scales are "
         "zero or not finite.\n";
}

/// One rule's line of the page: "R21" or "r21".
std::string tensorrt_rule(const std::string& topic) {
  if (topic.size() < 2 || (topic[0] != 'R' && topic[0] != 'r')) return {};
  for (const TensorRtRule& rule : tensorrt_rules())
    if (topic.compare(1, std::string::npos, std::to_string(rule.number)) == 0)
      return "R" + std::to_string(rule.number) + " (TensorRT, at worst " + std::string(name(rule.severity)) +
             "): " + std::string(rule.title) +
             "\noctet inspect MODEL --target tensorrt names each node that breaks it, and the mend.\n";
  return {};
}

}  // namespace

Result<std::string> describe(const std::string& topic) {
  if (std::string rule = tensorrt_rule(topic); !rule.empty()) return rule;
  if (topic == "ops") return ops_page();
  if (topic == "tensorrt") return tensorrt_page();
  if (topic == "repairs") return repairs_page();
  return Error{ErrorCode::bad_argument,
               "--describe " + topic + ": unknown; this version describes ops, repairs and tensorrt"};
}

}  // namespace octet
