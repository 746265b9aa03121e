// The circular and hyperbolic functions and their inverses, element by element. Source: ONNX operators Sin, Cos, Tan,
// Asin, Acos, Atan, opset 7, and Sinh, Cosh, Asinh, Acosh, Atanh, opset 9. f16 and bf16 compute as float and round
// once. Outside its domain a function gives NaN. (Tanh is an activation: activations.cpp.)
#include "ir/ops/common.h"

namespace octet {
namespace {

constexpr auto k_sin = [](auto x) { return std::sin(x); };
constexpr auto k_cos = [](auto x) { return std::cos(x); };
constexpr auto k_tan = [](auto x) { return std::tan(x); };
constexpr auto k_asin = [](auto x) { return std::asin(x); };
constexpr auto k_acos = [](auto x) { return std::acos(x); };
constexpr auto k_atan = [](auto x) { return std::atan(x); };
constexpr auto k_sinh = [](auto x) { return std::sinh(x); };
constexpr auto k_cosh = [](auto x) { return std::cosh(x); };
constexpr auto k_asinh = [](auto x) { return std::asinh(x); };
constexpr auto k_acosh = [](auto x) { return std::acosh(x); };
constexpr auto k_atanh = [](auto x) { return std::atanh(x); };

template <auto f>
Result<Tensors> each(const NodeContext& context, std::span<const Tensor> inputs) {
  return with_float_type(context, inputs[0].dtype(), [&]<class T>(T) { return single(map_elements<T>(inputs[0], f)); });
}

}  // namespace

const OpDef sin_op = {.name = "Sin", .infer = infer_same_float, .reference = each<k_sin>};
const OpDef cos_op = {.name = "Cos", .infer = infer_same_float, .reference = each<k_cos>};
const OpDef tan_op = {.name = "Tan", .infer = infer_same_float, .reference = each<k_tan>};
const OpDef asin_op = {.name = "Asin", .infer = infer_same_float, .reference = each<k_asin>};
const OpDef acos_op = {.name = "Acos", .infer = infer_same_float, .reference = each<k_acos>};
const OpDef atan_op = {.name = "Atan", .infer = infer_same_float, .reference = each<k_atan>};
const OpDef sinh_op = {.name = "Sinh", .infer = infer_same_float, .reference = each<k_sinh>};
const OpDef cosh_op = {.name = "Cosh", .infer = infer_same_float, .reference = each<k_cosh>};
const OpDef asinh_op = {.name = "Asinh", .infer = infer_same_float, .reference = each<k_asinh>};
const OpDef acosh_op = {.name = "Acosh", .infer = infer_same_float, .reference = each<k_acosh>};
const OpDef atanh_op = {.name = "Atanh", .infer = infer_same_float, .reference = each<k_atanh>};

}  // namespace octet
