#pragma once
// A network whose inputs and outputs are given and taken in other types and orders than its own.

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "ir/graph.h"
#include "octet/engine_file.h"

namespace octet {

/// Codes at an input are what its QuantizeLinear would make, at an output what its DequantizeLinear reads; half
/// precision is a Cast, another order a Transpose (with a Reshape, and a Slice or Pad where a group of channels is
/// filled up). Returns a line for each tensor of codes: its scale and zero point. Errors, each with what is asked for,
/// what there is and what to do: a name that is neither input nor output, codes of a tensor that the network does not
/// quantize, or quantizes to another type; half precision of another type than f32; an order of other than four
/// dimensions.
Result<std::vector<std::string>> set_io_formats(Graph& clean, const std::map<std::string, IoFormat>& formats);

/// Shapes of inputs in another order as the edited network has them.
BuildSpec in_given_order(BuildSpec spec);

/// As a plan's provenance keeps it, "int8:hwc", "float16:chw4.3" (of 3 channels), and back; nothing where it is none.
std::string format_text(const IoFormat& format, const Graph& clean, const std::string& tensor);
std::optional<IoFormat> read_format(const std::string& text);

}  // namespace octet
