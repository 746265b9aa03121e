// QuantizeLinear and DequantizeLinear: a negative axis counts from the back, output_dtype (opset 21, 23) must say what
// the zero point or the scale says anyway. The axis attribute came with opset 13; writers of opset 10 files used it
// too, it is read there. Source: ONNX operators QuantizeLinear and DequantizeLinear, opsets 10 to 28.

#include <algorithm>

#include "onnx/oddity.h"
#include "onnx/schema.h"

namespace octet {
namespace {

Result<Done> count_axis_from_front(Importer& importer, ForeignNode& node) {
  const Result<const int64_t*> axis = attribute_of_kind<int64_t>(importer, node, "axis");
  if (!axis) return axis.error();
  const Shape* scale = importer.shape(node, 1);
  if (*axis && scale && scale->empty()) {  // one scale for all: the axis says nothing
    node.attributes.erase("axis");
    return Done{};
  }
  const Shape* x = importer.shape(node, 0);
  const int64_t rank = x ? static_cast<int64_t>(x->size()) : 0;
  if (*axis && **axis < 0 && **axis >= -rank) node.attributes["axis"] = **axis + rank;  // beyond: verify() names it
  return Done{};
}

/// The dtype that output_dtype asks for; undefined when it asks for nothing.
Result<DType> take_output_dtype(Importer& importer, ForeignNode& node) {
  const Result<const int64_t*> wanted = attribute_of_kind<int64_t>(importer, node, "output_dtype");
  if (!wanted) return wanted.error();
  const int64_t type = *wanted ? **wanted : 0;
  node.attributes.erase("output_dtype");
  if (type == 0) return DType::undefined;
  const DType dtype = dtype_of_onnx(type);
  if (dtype == DType::undefined)
    return importer.error(node, "output_dtype is " + onnx_type_name(type) + ", which octet has not");
  return dtype;
}

/// output_dtype of another float type than the scale's: dequantized as the scale says, then cast.
Result<Done> emit_dequantize_and_cast(Importer& importer, ForeignNode node, DType wanted) {
  if (node.outputs.size() != 1 || node.outputs[0] == k_absent || !is_float(wanted))
    return importer.error(node, "output_dtype " + std::string(name(wanted)) + " is no float type",
                          ErrorCode::bad_model);
  const ValueId real = importer.add_value(node, "dequantized");
  ForeignNode cast{"Cast", "", node.opset, {real}, node.outputs, {{"to", std::string(name(wanted))}}};
  node.outputs = {real};
  if (Result<Done> ok = importer.emit(std::move(node)); !ok) return ok;
  return importer.emit(std::move(cast));
}

/// A QuantizeLinear without a zero point makes uint8; a DequantizeLinear of the same scale that takes its codes as int8
/// says what was meant, where nobody else has read the codes yet. Other readers of uint8 then contradict by themselves.
void adopt_zero_point(Importer& importer, const ForeignNode& node) {
  Graph& graph = importer.graph();
  const Tensor* zero = importer.constant(node, 2);
  if (!zero || !importer.has_input(node, 0) || importer.value(node.inputs[0]).dtype != DType::u8 ||
      zero->dtype() != DType::s8)
    return;
  Node* maker = nullptr;
  for (Node& each : graph.nodes) {
    if (std::find(each.inputs.begin(), each.inputs.end(), node.inputs[0]) != each.inputs.end()) return;
    if (std::find(each.outputs.begin(), each.outputs.end(), node.inputs[0]) != each.outputs.end()) maker = &each;
  }
  if (!maker || maker->op->name != "QuantizeLinear" || (maker->inputs.size() > 2 && maker->inputs[2] != k_absent) ||
      maker->inputs[1] != node.inputs[1])
    return;
  maker->inputs.resize(3, k_absent);
  maker->inputs[2] = node.inputs[2];
  graph.value(node.inputs[0]).dtype = zero->dtype();
  importer.edited({"missing_zero_points", maker->name.empty() ? importer.value(maker->outputs[0]).name : maker->name,
                   "no zero point, which is uint8, before a DequantizeLinear of int8", "the DequantizeLinear's",
                   "the only reading there is"});
}

}  // namespace

Result<Done> convert_quantize_linear(Importer& importer, ForeignNode node) {
  if (Result<Done> ok = count_axis_from_front(importer, node); !ok) return ok;
  const Result<DType> wanted = take_output_dtype(importer, node);
  if (!wanted) return wanted.error();
  if (*wanted == DType::undefined) return importer.emit(std::move(node));
  if (importer.has_input(node, 2)) {
    const DType dtype = importer.value(node.inputs[2]).dtype;
    if (dtype != *wanted)
      return importer.error(
          node, "output_dtype is " + std::string(name(*wanted)) + ", but the zero point is " + std::string(name(dtype)),
          ErrorCode::bad_model);
    return importer.emit(std::move(node));
  }
  if (*wanted == DType::u8) return importer.emit(std::move(node));  // what an absent zero point means
  const Shape* scale = importer.shape(node, 1);
  const std::optional<Dims> dims = scale ? known_dims(*scale) : std::nullopt;
  if (!dims || !element_count(*dims) || *element_count(*dims) > (1 << 24))
    return importer.error(node, "output_dtype " + std::string(name(*wanted)) +
                                    " without a zero point is supported for a scale of known shape only");
  Result<std::pair<Tensor, std::byte*>> zeros = Tensor::allocate(*wanted, *dims);  // code 0 is all bits zero
  if (!zeros) return zeros.error();
  std::fill_n(zeros->second, zeros->first.size_bytes(), std::byte{0});
  set_input(node, 2, importer.add_constant(node, "zero_point", std::move(zeros->first)));
  return importer.emit(std::move(node));
}

Result<Done> convert_dequantize_linear(Importer& importer, ForeignNode node) {
  adopt_zero_point(importer, node);
  if (Result<Done> ok = count_axis_from_front(importer, node); !ok) return ok;
  const Result<DType> wanted = take_output_dtype(importer, node);
  if (!wanted) return wanted.error();
  if (*wanted != DType::undefined && importer.has_input(node, 1) && importer.value(node.inputs[1]).dtype != *wanted)
    return emit_dequantize_and_cast(importer, std::move(node), *wanted);
  return importer.emit(std::move(node));
}

// com.microsoft's pair has 16- and 4-bit codes in older opsets; without an axis a scale is for the whole tensor.
Result<Done> convert_microsoft_quantize_linear(Importer& importer, ForeignNode node) {
  return convert_quantize_linear(importer, std::move(node));
}

Result<Done> convert_microsoft_dequantize_linear(Importer& importer, ForeignNode node) {
  return convert_dequantize_linear(importer, std::move(node));
}

}  // namespace octet
