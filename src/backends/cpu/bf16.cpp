// Convolutions and fully connected layers on products of bfloat16: Bf16Conv, Bf16Gemm. The kernels do the work; here
// the node becomes their descriptor.
#include "backends/cpu/constants.h"
#include "backends/cpu/geometry.h"
#include "backends/cpu/requantize.h"
#include "backends/cpu/step.h"
#include "kernels/conv_bf16/conv_bf16.h"
#include "kernels/depthwise/depthwise_bf16.h"

namespace octet::cpu {
namespace {

/// A fully connected layer: one image of one pixel per row, dense rows.
WindowGeometry one_pixel(const StepQuery& query) {
  WindowGeometry g;
  g.ic = g.x_pitch = query.dims(1)[1];
  g.oc = g.y_pitch = g.residual_pitch = query.dims(1)[0];
  return g;
}

Result<WindowGeometry> geometry_of(const StepQuery& query) {
  if (is_op(query.node, "Bf16Gemm")) return one_pixel(query);
  const Dims w = query.dims(1);
  Result<WindowGeometry> g = window_geometry(query, w[2], w[3]);
  if (g) g->groups = int_attribute(query.node, "group", 1);
  return g;
}

std::string refuse(const StepQuery& query) {
  if (!conv_bf16_pays(query.isa))
    return "no products of bfloat16 for " + std::string(name(query.isa)) + " here that are faster than FP32's";
  if (!query.constant(1)) return "the weight is not a constant";
  if (query.dtype(1) != DType::bf16) return "the weight is not bfloat16";
  if (query.has_input(2) && !query.constant(2)) return "the bias is not a constant";
  const size_t rank = is_op(query.node, "Bf16Gemm") ? 2 : 4;
  if (query.shape(0)->size() != rank) return "the input is not of rank " + std::to_string(rank);
  const Result<WindowGeometry> geometry = geometry_of(query);
  return geometry ? "" : geometry.error().message;
}

std::vector<StepVariant> variants(const StepQuery& query) {
  std::vector<StepVariant> found;
  for (ConvVariant& v : conv_bf16_variants(*geometry_of(query), query.dims(0)[0], query.isa, query.threads))
    found.push_back({std::move(v.name), std::move(v.refused), 1 + v.cost_us});
  return found;
}

Result<PreparedStep> prepare(const StepQuery& query, StepBuilder& builder) {
  Result<WindowGeometry> geometry = geometry_of(query);
  if (!geometry) return geometry.error();
  ConvBf16Desc desc;
  desc.geometry = *geometry;
  desc.weights = query.constant(1)->as<uint16_t>();
  if (query.has_input(2)) desc.bias = query.constant(2)->as<float>();
  desc.has_residual = query.has_input(3);
  desc.activation = fused_activation(query.node);
  desc.x_is_bf16 = query.dtype(0) == DType::bf16;
  desc.residual_is_bf16 = desc.has_residual && query.dtype(3) == DType::bf16;
  desc.y_is_bf16 = query.output().dtype == DType::bf16;
  desc.planar_x = is_op(query.node, "Bf16Conv") && borrows_input(query.graph, query.id(0));
  desc.packed = given_weights(query);
  desc.expected = {builder.output(query).layout.batch(), builder.workers(query)};
  std::shared_ptr<const ConvBf16> layer = ConvBf16::make(desc, query.isa, query.variant);
  if (!layer) return query.error("the kernel does not take this geometry", ErrorCode::internal);
  Result<Operand> x = builder.input(query, 0);
  if (!x) return x.error();
  Result<Operand> residual = desc.has_residual ? builder.input(query, 3) : Operand();
  if (!residual) return residual.error();
  const Operand y = builder.output(query);
  PreparedStep step{.scratch_bytes = layer->scratch_bytes(), .in_team = true, .packed_bytes = layer->packed_bytes()};
  keep_packed(query, layer->packed(), step);
  step.run = [layer, x = x->place, r = residual->place, y = y.place, batch = y.layout.batch()](const RunContext& run) {
    run_layer(run, *layer,
              ConvBf16Args{.batch = batch, .x = run.at<void>(x), .residual = run.at<void>(r), .y = run.at<void>(y)});
  };
  return step;
}

/// A depthwise layer keeps its FP32 weights.
struct DepthwiseLayer {
  ConvF32Desc desc;
  explicit DepthwiseLayer(const StepQuery& query, const WindowGeometry& geometry) {
    desc.geometry = geometry;
    desc.weights = query.constant(1)->as<float>();
    if (query.has_input(2)) desc.bias = query.constant(2)->as<float>();
    desc.has_residual = query.has_input(3);
    desc.activation = fused_activation(query.node);
  }
};

std::string refuse_depthwise(const StepQuery& query) {
  if (!conv_bf16_pays(query.isa)) return "no bfloat16 for " + std::string(name(query.isa)) + " here";
  if (!query.constant(1) || query.dtype(1) != DType::f32) return "the weight is no constant of f32";
  if (query.has_input(2) && !query.constant(2)) return "the bias is not a constant";
  if (query.output().dtype != DType::bf16) return "the output is not bfloat16";
  if (query.shape(0)->size() != 4) return "the input is not of rank 4";
  const Result<WindowGeometry> geometry = geometry_of(query);
  if (!geometry) return geometry.error().message;
  return depthwise_bf16_refuses(DepthwiseLayer(query, *geometry).desc, query.isa);
}

double cost_depthwise(const StepQuery& query) {
  constexpr double k_taps_per_us = 4e3;
  const Dims w = query.dims(1);
  return 0.5 + static_cast<double>(element_count(query.output_dims()).value_or(0) * w[2] * w[3]) / k_taps_per_us;
}

Result<PreparedStep> prepare_depthwise(const StepQuery& query, StepBuilder& builder) {
  Result<WindowGeometry> geometry = geometry_of(query);
  if (!geometry) return geometry.error();
  DepthwiseLayer described(query, *geometry);
  described.desc.expected = {builder.output(query).layout.batch(), builder.workers(query)};
  std::shared_ptr<const ConvBf16> layer = make_depthwise_bf16(described.desc, query.dtype(0) == DType::bf16, query.isa);
  if (!layer) return query.error("the kernel does not take this geometry", ErrorCode::internal);
  Result<Operand> x = builder.input(query, 0);
  if (!x) return x.error();
  const Operand y = builder.output(query);
  PreparedStep step{.scratch_bytes = layer->scratch_bytes(), .in_team = true, .packed_bytes = layer->packed_bytes()};
  step.run = [layer, x = x->place, y = y.place, batch = y.layout.batch()](const RunContext& run) {
    run_layer(run, *layer, ConvBf16Args{.batch = batch, .x = run.at<void>(x), .y = run.at<void>(y)});
  };
  return step;
}

}  // namespace

const StepDef depthwise_bf16_step = {"depthwise_bf16", refuse_depthwise, cost_depthwise, prepare_depthwise};
const StepDef conv_bf16_step = {"conv_bf16", refuse, nullptr, prepare, variants};
const StepDef gemm_bf16_step = {"gemm_bf16", refuse, nullptr, prepare, variants};

}  // namespace octet::cpu
