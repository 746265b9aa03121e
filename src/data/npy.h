#pragma once
// NumPy's files: .npy (format 1 to 3, C order, little-endian) and .npz.

#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "tensor/tensor.h"

namespace octet {

/// Views the mapped file. Errors: not a .npy, Fortran order, big-endian, a dtype that octet lacks, too few bytes.
/// Elements may be unaligned only in files that NumPy does not write; those are copied.
Result<Tensor> read_npy(const std::string& path);
/// Every array by its name without ".npy", in the order of the archive.
Result<std::vector<std::pair<std::string, Tensor>>> read_npz(const std::string& path);

/// What stands in front of the elements in a .npy file, format 1.0, as numpy.save writes it.
Result<std::string> npy_header(DType dtype, const Dims& dims);
/// The bytes of the whole file.
Result<std::string> npy_bytes(const Tensor& tensor);

}  // namespace octet
