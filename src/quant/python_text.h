#pragma once
// Numbers as Python prints them: the toolkit's texts and files hold them so.

#include <string>
#include <vector>

#include "tensor/tensor.h"

namespace octet {

/// repr(float): the shortest decimal that reads back, "0.5", "1e-05", "1e+16", "inf", "nan".
std::string python_float(double value);
/// "0" for one number, "(1, 2)" for several.
std::string python_axes(const std::vector<int64_t>& axes);
/// "%.4f" of one element, else "[%.4f, %.4f](n)": smallest, largest, how many.
std::string python_amax(const Tensor& amax);

}  // namespace octet
