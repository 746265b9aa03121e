#pragma once
// A depthwise layer together with the dense layer in front of it, the 1x1 layer behind it, or both, over strips of
// output rows: what lies between them is a few rows in the worker's scratch memory, where whole values would leave L2
// before they are read again. The layers' own kernels do the work, and give the bytes that they give one after the
// other.

#include <memory>

#include "base/isa.h"
#include "kernels/conv_f32/conv_f32.h"

namespace octet {

struct StripsF32Desc {
  const ConvF32Desc* expand = nullptr;  // dense, no residual; null = the depthwise layer reads x itself
  const ConvF32Desc* depthwise = nullptr;
  const ConvF32Desc* project = nullptr;  // visits every pixel; null = the depthwise layer writes y itself
  std::string_view expand_variant = {}, project_variant = {};
};

/// Bytes of scratch that hold what is between the layers.
int64_t strips_f32_bytes(const WindowGeometry& depthwise, bool has_expand, bool has_project);

/// x is the first layer's, residual and y the last one's. packed() are the project layer's weights. Null where one of
/// the layers is none of those above, or is not to be had.
std::unique_ptr<const ConvF32> make_strips_f32(const StripsF32Desc& desc, Isa isa);

}  // namespace octet
