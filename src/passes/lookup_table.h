#pragma once
// The 256 answers of QuantizeLinear(activation(DequantizeLinear(code))).

#include <optional>
#include <span>

#include "base/result.h"
#include "ir/op.h"
#include "passes/match.h"

namespace octet {

/// Entry i is the code of `to` for the code of `from` whose byte is i. Without an activation the table requantizes.
///   x = (code - zero_point) * scale, y = act(x), q = sat(rne(y / scale') + zero_point'); NaN gives zero_point'.
/// Every step rounds as DequantizeLinear, src/tensor/activation.h and QuantizeLinear do.
/// Errors: an activation name that octet does not know.
Result<Tensor> lookup_table(const CodeParams& from, const std::optional<ActivationCall>& call, const CodeParams& to);

/// The same for a run of element-wise nodes with scalar constants beside the data, each reading the one before it:
/// their ops' reference kernels evaluate the 256 values one after the other.
Result<Tensor> lookup_table(const CodeParams& from, const Graph& graph, std::span<const Node> chain,
                            const CodeParams& to);

}  // namespace octet
