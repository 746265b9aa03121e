#pragma once
// Which values of a clean float graph become codes, and why the others do not. The rule table:
//
//   role          is int8 when                                              takes as codes
//   weighted      constant f32 weight (Conv 2-D, 3-D; Gemm), int32 cannot overflow  its input
//   add, hosted   a convolution of one reader feeds it, and codes are wanted   the other operand (skip); no Q in
//   between
//                 behind it or the other operand has them anyway
//   add, mul      codes are wanted behind it and both operands have them       both operands
//   pool_average  its input has codes, or codes are wanted behind it           its input
//   same_scale    codes are wanted behind it                                   its input, with the output's scale
//   shared_scale  codes are wanted behind it                                   all inputs, with the output's scale
//   activation    fused into the layer before it; alone: codes are wanted      its input
//                 behind it and its input has them
//   none          never
//
// A value is wanted when an int8 node takes it; it then gets one Q/DQ pair, whoever reads it. A value "has codes" when
// an int8 layer can end in them. What nobody wants (network outputs) stays float.

#include <functional>
#include <set>
#include <string>
#include <vector>

#include "passes/match.h"
#include "passes/passes.h"

namespace octet {

struct Placement {
  std::vector<bool> wanted;                // by value: gets a Q/DQ pair
  std::vector<ValueId> group;              // by value: the representative of the values that share its scale
  std::vector<bool> int8;                  // by node, fused ones included
  std::vector<std::vector<size_t>> takes;  // by node: the inputs it reads as codes
  std::vector<std::string> decision;       // by node: PlacementRow::decision
};

/// has_range: whether a value may get codes. keep_float: by node; such a node is left alone.
Placement place(const Editor& editor, const std::function<bool(ValueId)>& has_range,
                const std::vector<bool>& keep_float);

}  // namespace octet
