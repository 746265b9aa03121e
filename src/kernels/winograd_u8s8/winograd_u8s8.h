#pragma once
// Integer convolution with fewer products, exactly: Winograd's F(4x4, 3x3), 36 products of s16 for 16 outputs and a
// channel in place of 144 of codes. Same descriptor and layer as conv_u8s8, same answers.

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/conv_u8s8/conv_u8s8.h"
#include "kernels/winograd_u8s8/winograd_isa.h"

namespace octet {

/// Why a layer cannot run so; empty = it can. weights: [oc, ic, 3, 3]; zero_point: of x, u8 domain.
std::string refuse_winograd_u8s8(const WindowGeometry& geometry, std::span<const int8_t> weights, int32_t zero_point,
                                 Isa isa);

/// The ways to run a geometry that is not refused, with their costs on one thread: weights transformed beforehand, or
/// kept as codes and transformed on the way, for layers of few tiles. network_bytes: the codes of all weights that
/// come by between two runs of the layer.
std::vector<ConvVariant> winograd_u8s8_variants(const WindowGeometry& geometry, int64_t batch, Isa isa,
                                                int64_t network_bytes, int threads, const ConvCpu& cpu = conv_cpu());

/// Products that a variant spends for each pair of an input and an output channel on an image of so many outputs: the
/// positions of all its tiles. A name that is no variant's stands for whole tiles.
int64_t winograd_u8s8_positions(std::string_view variant, int64_t oh, int64_t ow);

/// Of a layer that refuse_winograd_u8s8 lets pass: the caller has asked. Null where there is no such variant (empty =
/// the first), or the layer reads an image or a scaled input. Packed weights of the descriptor that fit are used in
/// place.
std::unique_ptr<const ConvU8S8> make_winograd_u8s8(const ConvU8S8Desc& desc, Isa isa, std::string_view variant = {});
/// By these inner functions, which must outlive the layer; a test gives some that look on.
std::unique_ptr<const ConvU8S8> make_winograd_u8s8(const ConvU8S8Desc& desc, const WinogradKernel& kernel, Isa isa);

}  // namespace octet
