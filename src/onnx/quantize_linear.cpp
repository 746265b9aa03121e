// QuantizeLinear and DequantizeLinear: a negative axis counts from the back, output_dtype (opset 21, 23) must say what
// the zero point or the scale says anyway. The axis attribute came with opset 13; writers of opset 10 files used it
// too, it is read there. Source: ONNX operators QuantizeLinear and DequantizeLinear, opsets 10, 13, 19, 21 and 23.

#include <vector>

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
  if (*axis && **axis < 0 && x) node.attributes["axis"] = **axis + static_cast<int64_t>(x->size());
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
  if (!is_code(*wanted) || !dims || !element_count(*dims) || *element_count(*dims) > (1 << 24))
    return importer.error(node, "output_dtype " + std::string(name(*wanted)) +
                                    " without a zero point is supported for s8 and u8 and a scale of known shape only");
  const std::vector<int8_t> zeros(static_cast<size_t>(*element_count(*dims)), 0);
  set_input(node, 2, importer.add_constant(node, "zero_point", Tensor::from<int8_t>(DType::s8, *dims, zeros)));
  return importer.emit(std::move(node));
}

Result<Done> convert_dequantize_linear(Importer& importer, ForeignNode node) {
  if (Result<Done> ok = count_axis_from_front(importer, node); !ok) return ok;
  const Result<DType> wanted = take_output_dtype(importer, node);
  if (!wanted) return wanted.error();
  if (*wanted != DType::undefined && importer.has_input(node, 1) && importer.value(node.inputs[1]).dtype != *wanted)
    return importer.error(node, "output_dtype is " + std::string(name(*wanted)) + ", but the scale is " +
                                    std::string(name(importer.value(node.inputs[1]).dtype)));
  return importer.emit(std::move(node));
}

}  // namespace octet
