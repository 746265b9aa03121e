#pragma once
// Data sets for the inputs of a network, however many there are.

#include <memory>
#include <string>
#include <vector>

#include "data/dataset.h"
#include "octet/model.h"
#include "tensor/tensor.h"

namespace octet {

struct NetworkInput {
  std::string name;
  Dims dims;  // with the batch in front
  DType dtype = DType::f32;
};

/// One data set per input. A network with one input takes every kind of data; raw files are cut into samples of the
/// input's size. Several inputs: a .npz with an array of each input's name, or a folder with NAME.npy, NAME.raw (dense
/// f32) or a folder NAME of pictures for each ('/' in a name is written '_'). The preprocessing spec goes to inputs of
/// pictures [batch, 3, h, w]; the others are taken as they are.
/// Errors: as open_dataset; an input that the data lacks, with what there is.
Result<std::vector<std::unique_ptr<Dataset>>> open_inputs(const DataOptions& options,
                                                          const std::vector<NetworkInput>& inputs);

/// Of all of them.
std::string hash_of(const std::vector<std::unique_ptr<Dataset>>& inputs);

}  // namespace octet
