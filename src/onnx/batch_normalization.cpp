// BatchNormalization: training outputs and statistics per pixel are refused, what only training reads is dropped.
// Source: ONNX operator BatchNormalization, opsets 7, 9, 14 and 15.

#include "onnx/oddity.h"

namespace octet {

Result<Done> convert_batch_normalization(Importer& importer, ForeignNode node) {
  const Result<const int64_t*> training = attribute_of_kind<int64_t>(importer, node, "training_mode");
  if (!training) return training.error();
  if (*training && **training != 0)
    return importer.error(node, "training_mode is 1; octet runs inference only, export the model in eval mode");
  const Result<const int64_t*> spatial = attribute_of_kind<int64_t>(importer, node, "spatial");
  if (!spatial) return spatial.error();
  if (*spatial && **spatial != 1) return importer.error(node, "spatial = 0 (statistics per pixel) is not supported");
  for (const char* key : {"training_mode", "spatial", "momentum"}) node.attributes.erase(key);
  return importer.emit(std::move(node));
}

}  // namespace octet
