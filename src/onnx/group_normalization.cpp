// GroupNormalization: before opset 21 scale and bias are given per group; the IR has them per channel.
// Source: ONNX operator GroupNormalization, opsets 18 and 21.

#include "onnx/oddity.h"

namespace octet {
namespace {

/// Each element of a list `times` times.
Result<Tensor> repeated(const Tensor& list, int64_t times) {
  Result<std::pair<Tensor, std::byte*>> made = Tensor::allocate(list.dtype(), {list.size() * times});
  if (!made) return made.error();
  const size_t width = size_of(list.dtype());
  for (int64_t i = 0; i < made->first.size(); ++i)
    std::memcpy(made->second + static_cast<size_t>(i) * width,
                list.bytes().data() + static_cast<size_t>(i / times) * width, width);
  return std::move(made->first);
}

}  // namespace

Result<Done> convert_group_normalization(Importer& importer, ForeignNode node) {
  if (node.opset >= 21) return importer.emit(std::move(node));
  const Shape* x = importer.shape(node, 0);
  const Dim channels = x && x->size() > 1 ? (*x)[1] : Dim{};  // kept: a constant that is added may move the shapes
  for (const size_t i : {size_t{1}, size_t{2}}) {
    const Tensor* list = importer.constant(node, i);
    const bool known =
        list && list->rank() == 1 && list->size() > 0 && channels.known() && channels.value % list->size() == 0;
    if (!known)
      return importer.error(node,
                            "opset " + std::to_string(node.opset) +
                                " gives scale and bias per group; octet needs them constant and the channels known");
    Result<Tensor> per_channel = repeated(*list, channels.value / list->size());
    if (!per_channel) return per_channel.error();
    set_input(node, i, importer.add_constant(node, i == 1 ? "scale" : "bias", std::move(*per_channel)));
  }
  return importer.emit(std::move(node));
}

}  // namespace octet
