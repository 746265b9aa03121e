// GridSample: the modes "bilinear" and "bicubic" are "linear" and "cubic" since opset 20, which has other numbers of
// axes than two as well. Source: ONNX operator GridSample, opsets 16 and 20.

#include "onnx/oddity.h"

namespace octet {

Result<Done> convert_grid_sample(Importer& importer, ForeignNode node) {
  const Result<const std::string*> mode = attribute_of_kind<std::string>(importer, node, "mode");
  if (!mode) return mode.error();
  if (*mode && node.opset < 20 && **mode == "bilinear") node.attributes["mode"] = std::string("linear");
  if (*mode && node.opset < 20 && **mode == "bicubic") node.attributes["mode"] = std::string("cubic");
  return importer.emit(std::move(node));
}

}  // namespace octet
