// Split: sizes were an attribute before opset 13; opset 18 lets num_outputs cut unevenly, the last part being the
// smaller one. Source: ONNX operator Split, opsets 2, 13 and 18.

#include "onnx/oddity.h"

namespace octet {
namespace {

/// ceil(extent / parts) each, the rest in the last; nothing when that leaves a part empty.
std::optional<std::vector<int64_t>> uneven_sizes(int64_t extent, int64_t parts) {
  const int64_t each = extent / parts + (extent % parts != 0);
  const int64_t last = extent - each * (parts - 1);
  if (last < 0) return std::nullopt;
  std::vector<int64_t> sizes(static_cast<size_t>(parts), each);
  sizes.back() = last;
  return sizes;
}

}  // namespace

Result<Done> convert_split(Importer& importer, ForeignNode node) {
  if (node.opset < 13) {
    if (Result<Done> ok = ints_to_input(importer, node, "split", 1); !ok) return ok;
    return importer.emit(std::move(node));
  }
  const Result<const int64_t*> wanted = attribute_of_kind<int64_t>(importer, node, "num_outputs");
  if (!wanted) return wanted.error();
  if (!*wanted) return importer.emit(std::move(node));
  const auto parts = static_cast<int64_t>(node.outputs.size());
  if (**wanted != parts)
    return importer.error(
        node, "num_outputs is " + std::to_string(**wanted) + ", but the node has " + std::to_string(parts) + " outputs",
        ErrorCode::bad_model);
  node.attributes.erase("num_outputs");
  const Result<const int64_t*> given_axis = attribute_of_kind<int64_t>(importer, node, "axis");
  if (!given_axis) return given_axis.error();
  const Shape* shape = importer.shape(node, 0);
  if (shape && parts > 0 && !importer.has_input(node, 1)) {
    const auto rank = static_cast<int64_t>(shape->size());
    int64_t axis = *given_axis ? **given_axis : 0;
    if (axis < 0) axis += rank;
    const bool fits = axis >= 0 && axis < rank;
    const int64_t extent = fits ? (*shape)[static_cast<size_t>(axis)].value : -1;
    if (extent >= 0 && extent % parts != 0) {
      const std::optional<std::vector<int64_t>> sizes = uneven_sizes(extent, parts);
      if (!sizes)
        return importer.error(node,
                              "cannot cut " + std::to_string(extent) + " into " + std::to_string(parts) + " parts",
                              ErrorCode::bad_model);
      set_input(node, 1, importer.add_constant(node, "split", s64_tensor({parts}, *sizes)));
    }
  }
  return importer.emit(std::move(node));
}

}  // namespace octet
