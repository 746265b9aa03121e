#pragma once
// A network whose inputs and outputs are given and taken in other types and orders than its own.

#include <map>
#include <string>
#include <vector>

#include "ir/graph.h"
#include "octet/engine_file.h"

namespace octet {

/// Codes at an input are what its QuantizeLinear would make, at an output what its DequantizeLinear reads; channel last
/// is a Transpose. Returns a line for each tensor of codes: its scale and zero point. Errors: a name that is neither
/// input nor output, codes of a tensor that the network does not quantize, or quantizes to another type; an order of
/// other than four dimensions.
Result<std::vector<std::string>> set_io_formats(Graph& clean, const std::map<std::string, IoFormat>& formats);

/// [N,C,H,W] -> [N,H,W,C]; other ranks as they are.
Dims channels_last(const Dims& dims);

/// Shapes of channel-last inputs as the edited network has them.
BuildSpec in_given_order(BuildSpec spec);

}  // namespace octet
