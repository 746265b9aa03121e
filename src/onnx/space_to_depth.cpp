// SpaceToDepth: the attribute mode (opset 28) says in which order a block's pixels become channels. DCR is the order of
// before. Source: ONNX operator SpaceToDepth, opsets 1 to 28.

#include "onnx/oddity.h"

namespace octet {

Result<Done> convert_space_to_depth(Importer& importer, ForeignNode node) {
  const Result<const std::string*> mode = attribute_of_kind<std::string>(importer, node, "mode");
  if (!mode) return mode.error();
  if (*mode && **mode != "DCR") return importer.error(node, "mode '" + **mode + "' is not supported, only DCR is");
  node.attributes.erase("mode");
  return importer.emit(std::move(node));
}

}  // namespace octet
