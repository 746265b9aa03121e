#include "octet/export.h"

#include "api/state.h"
#include "base/hash.h"
#include "ir/editor.h"

namespace octet {
namespace {

/// Zeros of the codes' dtype, in the scale's shape.
Tensor zeros_like(const Tensor& scale, DType dtype) {
  const std::vector<uint8_t> zeros(static_cast<size_t>(scale.size()), 0);
  return Tensor::from<uint8_t>(dtype, scale.dims(), zeros);
}

class Export {
 public:
  Export(Graph& graph, const ExportSpec& spec) : editor_(graph), spec_(spec) {}

  Result<Done> place(const std::string& name, const TensorQuantizer& quantizer) {
    const std::optional<ValueId> found = editor_.graph().find_value(name);
    if (!found) return Error{ErrorCode::bad_argument, "no value has this name; `octet inspect --text` lists them"};
    const Value value = editor_.graph().value(*found);
    if (value.dtype != DType::f32 || !value.shape)
      return Error{ErrorCode::bad_argument, "it is no f32 tensor of known rank"};
    const Result<QdqForm> form = qdq_form(quantizer, value.shape->size());
    if (!form) return form.error();
    if (form->axis) {
      const Dim& extent = (*value.shape)[static_cast<size_t>(*form->axis)];
      if (!extent.known() || extent.value != form->scale.size())
        return Error{ErrorCode::bad_argument,
                     "amax has " + std::to_string(form->scale.size()) + " elements, axis " +
                         std::to_string(*form->axis) + " of the tensor has " +
                         (extent.known() ? std::to_string(extent.value) : "an unknown extent")};
    }
    readers_ = editor_.readers(*found);
    insert(*found, value, *form);
    return Done{};
  }

  void finish() { editor_.finish(); }

 private:
  void insert(ValueId v, const Value& value, const QdqForm& form) {
    const NodeId anchor = editor_.producer(v) + 1;
    ValueId x = v;
    if (form.pre_scale) {
      const ValueId factor = editor_.add_constant(value.name + "_pre_quant_scale", *form.pre_scale);
      x = editor_.add_value(value.name + "_scaled", v);
      editor_.insert_before(anchor, make_node("Mul", unique(value.name + "_Mul"), {v, factor}, {x}));
    }
    const ValueId scale = editor_.add_constant(value.name + "_scale", form.scale);
    const ValueId zero = editor_.add_constant(value.name + "_zero_point", zeros_like(form.scale, form.dtype));
    const ValueId y = editor_.add_value(value.name + "_dequantized", v);
    Attributes along;
    if (form.axis) along["axis"] = *form.axis;
    ValueId q = k_absent;
    if (value.constant && !form.pre_scale && spec_.fold_weights) {
      q = editor_.add_constant(value.name + "_quantized", codes(*value.constant, form));
    } else {
      q = editor_.add_value(value.name + "_quantized", form.dtype, value.shape);
      editor_.insert_before(
          anchor, make_node("QuantizeLinear", unique(value.name + "_QuantizeLinear"), {x, scale, zero}, {q}, along));
    }
    editor_.insert_before(
        anchor, make_node("DequantizeLinear", unique(value.name + "_DequantizeLinear"), {q, scale, zero}, {y}, along));
    for (const NodeId reader : readers_)
      for (size_t i = 0; i < editor_.node(reader).inputs.size(); ++i)
        if (editor_.node(reader).inputs[i] == v) editor_.set_input(reader, i, y);
  }

  static Tensor codes(const Tensor& weight, const QdqForm& form) {
    Dims dims(weight.rank(), 1);
    if (form.axis) dims[static_cast<size_t>(*form.axis)] = form.scale.size();
    const IntegerCodes range = form.dtype == DType::s8 ? IntegerCodes{0, -128, 127} : IntegerCodes{0, 0, 255};
    return *onnx_quantize(view_of(weight), form.axis ? form.scale.reshaped(dims) : form.scale, range);
  }

  std::string unique(const std::string& wish) const { return unique_node_name(editor_.graph(), wish); }

  Editor editor_;
  const ExportSpec& spec_;
  std::vector<NodeId> readers_;
};

}  // namespace

Result<Model> export_quantizers(const Model& model, const std::map<std::string, const TensorQuantizer*>& quantizers,
                                const ExportSpec& spec) {
  if (model.is_quantized())
    return Error{ErrorCode::bad_argument, model.path() + " is quantized already (it holds Q/DQ nodes)"};
  auto state = std::make_shared<Model::State>(model.state());
  Export placing(state->graph, spec);
  for (const auto& [name, quantizer] : quantizers) {
    if (!quantizer || quantizer->options().disabled) continue;
    if (Result<Done> placed = placing.place(name, *quantizer); !placed)
      return within(model.path() + ": '" + name + "'", placed.error());
    state->quantized = true;
  }
  placing.finish();
  if (Result<Done> ok = infer_shapes(state->graph); !ok) return within(model.path(), ok.error());
  compact(state->graph);
  if (Result<Done> ok = verify(state->graph); !ok) return within(model.path(), ok.error());
  state->hash = to_hex(hash_graph(state->graph));
  return Model(std::move(state));
}

}  // namespace octet
