#pragma once
// The graph's text form. print() and parse() are inverse: parse(print(g)) equals g, printed again.
//
//   graph resnet20 (input: f32[N,3,32,32]) -> (logits) {
//     @"octet.preprocess" = "rgb,norm=cifar10"                          Graph::metadata
//     const w: f32[2,3] = {1, -0.5, 0x1.8p+1, ...all elements...}       small: decimal that reads back exactly
//     const big: s8[64,64,3,3] = base64 "AAEC..."                      more than 64 elements: little-endian bytes
//     y = Conv(input, w, _, pads=[1,1,1,1], mode="same") @conv1 : f32[N,2,32,32]
//     a, b = Split(y, axis=1)
//   }
// "_" is an absent input or output; @name is the node's name (optional, quoted when not a plain word); the type after
// ':' is optional when parsing (it is inferred) and always printed. Names that are not plain words
// ([A-Za-z_./][A-Za-z0-9_./:-]*, not ending in ':', not "_" or "const") are printed in double quotes with \", \\ and
// \xHH escapes. "f32" without extents is a type of unknown rank; "?" is an unknown extent without a name. "#" begins a
// comment; a space follows the ':' of a type, since x:f32 is one word. A NaN that is not the canonical quiet one prints
// as nan(0x7fc00001), its bits. Attribute values: 3 (int), 3.0 or 1e-5 (float: has '.', 'e', 'inf' or 'nan'), "text",
// [1,2] (ints), [1.0,2.0] (floats), ["a","b"] (strings), tensor(f32[2], {1,2}) (tensor); empty lists print as ints[],
// floats[], strings[].

#include <string>
#include <string_view>

#include "base/result.h"
#include "ir/graph.h"

namespace octet {

struct PrintOptions {
  bool elide_constants = false;  // large constants print as "..." (for eyes; parse refuses it)
};

std::string print(const Graph& graph, const PrintOptions& options = {});
struct ParseOptions {
  bool verify = true;  // false: structure and inference only, for graphs that a repair is to mend
};
/// Parses, infers and verifies. An Error names the line.
Result<Graph> parse_graph(std::string_view text, const ParseOptions& options = {});

}  // namespace octet
