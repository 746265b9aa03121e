#pragma once
// A network for one sample made one for any number of them.

#include "octet/model.h"

namespace octet {

/// The same network with a batch that the file fixes at 1 made free, noted among its repairs(); the model itself where
/// the batch is free already. Errors: the first node that does not work on each sample by itself.
Result<Model> with_free_batch(const Model& model);

}  // namespace octet
