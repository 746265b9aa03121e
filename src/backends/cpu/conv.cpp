// Convolutions, dense and depthwise, f32 and integer: Conv, FusedConv, QuantConv. The kernels do the work; here the
// node becomes their descriptor.
#include <optional>

#include "backends/cpu/constants.h"
#include "backends/cpu/conv.h"
#include "backends/cpu/geometry.h"
#include "backends/cpu/joined.h"
#include "backends/cpu/requantize.h"
#include "backends/cpu/step.h"
#include "kernels/conv_f32/conv_f32.h"
#include "kernels/conv_u8s8/conv_u8s8.h"
#include "kernels/depthwise/depthwise.h"
#include "kernels/strips_f32/strips_f32.h"

namespace octet::cpu {

Result<WindowGeometry> conv_geometry(const StepQuery& query) {
  const Dims w = query.dims(1);
  Result<WindowGeometry> g = window_geometry(query, w[2], w[3]);
  if (!g) return g;
  g->groups = int_attribute(query.node, "group", 1);
  // A single tap has no distance to another, whatever the file says: kernels for windows of one column or row take it.
  if (g->kh == 1) g->dilation_h = 1;
  if (g->kw == 1) g->dilation_w = 1;
  return g;
}

namespace {

bool is_depthwise(const StepQuery& query) {
  const int64_t groups = int_attribute(query.node, "group", 1);
  return groups > 1 && groups == query.dims(0)[1];
}

std::string refuse_shape(const StepQuery& query) {
  if (query.shape(0)->size() != 4) return "only two spatial dimensions (a rank-4 input)";
  if (!is_constant(query.graph, query.id(1))) return "the weight is not a constant";
  const Result<WindowGeometry> geometry = conv_geometry(query);
  return geometry ? "" : geometry.error().message;
}

std::string refuse_f32(const StepQuery& query) {
  if (query.dtype(0) != DType::f32) return "the input is " + std::string(name(query.dtype(0))) + ", not f32";
  if (query.has_input(2) && !is_constant(query.graph, query.id(2))) return "the bias is not a constant";
  return refuse_shape(query);
}

}  // namespace

std::string refuse_conv_u8s8(const StepQuery& query) {
  for (const size_t i : {size_t{2}, size_t{3}}) {
    if (query.has_input(i) && !query.constant(i))
      return i == 2 ? "w_scale is not a constant" : "the bias is not a constant";
  }
  if (!query.constant(1)) return "the weight is not a constant";
  return refuse_shape(query);
}

namespace {

std::string refuse_depthwise_f32(const StepQuery& query) {
  const std::string reason = refuse_f32(query);
  if (!reason.empty()) return reason;
  return is_depthwise(query) ? "" : "not depthwise (group = input channels)";
}

std::string refuse_depthwise_u8s8(const StepQuery& query) {
  const std::string reason = refuse_conv_u8s8(query);
  if (!reason.empty()) return reason;
  return is_depthwise(query) ? "" : "not depthwise (group = input channels)";
}

double macs(const StepQuery& query) {
  const Dims w = query.dims(1);
  return static_cast<double>(element_count(query.output_dims()).value_or(0)) * static_cast<double>(w[1] * w[2] * w[3]);
}

/// Multiply-accumulates per microsecond of one thread, in round figures that only rank the tactics.
double dense_rate(Isa isa, bool integer) {
  switch (isa) {
    case Isa::scalar: return integer ? 2e3 : 1e3;
    case Isa::avx2: return integer ? 60e3 : 40e3;
    case Isa::avx_vnni: return integer ? 150e3 : 40e3;
    case Isa::avx512_vnni:
    case Isa::amx: return integer ? 250e3 : 70e3;
  }
  return 1e3;
}

std::vector<StepVariant> step_variants(std::vector<ConvVariant> list) {
  std::vector<StepVariant> variants;
  for (ConvVariant& v : list) variants.push_back({std::move(v.name), std::move(v.refused), 1 + v.cost_us});
  return variants;
}
std::vector<StepVariant> variants_f32(const StepQuery& query) {
  return step_variants(conv_f32_variants(*conv_geometry(query), query.dims(0)[0], query.isa, query.threads));
}
/// By what decides which ways there are: the geometry, where the input comes from and what is written.
std::vector<StepVariant> variants_u8s8(const StepQuery& query) {
  const OutputForm form = output_form(query.node);
  ConvU8S8Desc desc;
  desc.geometry = *conv_geometry(query);
  desc.image_scale = image_of(query.graph, query.node) == k_absent ? 0.0f : 1.0f;
  desc.f32_output = form.to_f32;
  desc.activation = form.activation;
  return step_variants(conv_u8s8_variants(desc, query.dims(0)[0], query.isa, query.threads));
}

// A dense kernel wastes all but one channel of its vectors on a depthwise layer; a depthwise one wastes none.
double cost_depthwise_f32(const StepQuery& query) { return 0.5 + macs(query) / dense_rate(query.isa, false) / 16; }
double cost_depthwise_u8s8(const StepQuery& query) { return 0.5 + macs(query) / dense_rate(query.isa, true) / 16; }

/// A float convolution as its kernels see it. Not to be moved.
struct FloatLayer {
  ConvF32Desc desc;
  std::optional<Tensor> weights;
  std::vector<float> bias;
  FloatLayer() = default;
  FloatLayer(const FloatLayer&) = delete;

  Result<Done> describe(const StepQuery& query) {
    Result<WindowGeometry> geometry = conv_geometry(query);
    if (!geometry) return geometry.error();
    weights = constant_of(query.graph, query.id(1));
    if (!weights || weights->dtype() != DType::f32) return query.error("the weight's constant cannot be dequantized");
    bias = constant_floats(query.graph, query.id(2));
    desc.geometry = *geometry;
    desc.weights = weights->as<float>();
    desc.bias = bias;
    desc.has_residual = query.has_input(3);
    desc.activation = fused_activation(query.node);
    desc.planar_x = borrows_input(query.graph, query.id(0));
    return Done{};
  }
};

/// Where a layer's values lie.
struct FloatPlaces {
  Place x, residual, y;
  int64_t batch = 1;
};

std::function<void(const RunContext&)> run_of(std::shared_ptr<const ConvF32> layer, const FloatPlaces& at) {
  return [layer = std::move(layer), at](const RunContext& run) {
    run_layer(run, *layer,
              ConvF32Args{.batch = at.batch,
                          .x = run.at<float>(at.x),
                          .residual = run.at<float>(at.residual),
                          .y = run.at<float>(at.y)});
  };
}

/// The layers that `query`'s node runs as their last one; `last` is described already.
Result<std::shared_ptr<const ConvF32>> make_strips(const StepQuery& query, const StepBuilder& builder,
                                                   const Strips& strips, const FloatLayer& last) {
  const auto describe = [&](NodeId id, FloatLayer& layer) {
    return layer.describe(StepQuery{{query.graph, query.graph.node(id)}, query.isa, query.threads});
  };
  FloatLayer expand, depthwise;
  StripsF32Desc desc = {.expand = nullptr, .depthwise = &last.desc, .project = nullptr};
  if (strips.project >= 0) {
    if (Result<Done> done = describe(strips.depthwise, depthwise); !done) return done.error();
    desc.depthwise = &depthwise.desc, desc.project = &last.desc, desc.project_variant = query.variant;
  }
  if (strips.expand >= 0) {
    if (Result<Done> done = describe(strips.expand, expand); !done) return done.error();
    desc.expand = &expand.desc, desc.expand_variant = builder.variant_of(strips.expand);
  }
  std::shared_ptr<const ConvF32> layer = make_strips_f32(desc, query.isa);
  if (!layer) return query.error("the layers do not go together in strips", ErrorCode::internal);
  return layer;
}

Result<PreparedStep> prepare_f32(const StepQuery& query, StepBuilder& builder, bool depthwise) {
  FloatLayer described;
  if (Result<Done> done = described.describe(query); !done) return done.error();
  ConvF32Desc& desc = described.desc;
  desc.packed = given_weights(query);
  desc.expected = {builder.output(query).layout.batch(), builder.workers(query)};
  std::shared_ptr<const ConvF32> layer =
      depthwise ? make_depthwise_f32(desc, query.isa) : ConvF32::make(desc, query.isa, query.variant);
  if (!layer) return query.error("the kernel does not take this geometry", ErrorCode::internal);
  Result<Operand> x = builder.input(query, 0);
  if (!x) return x.error();
  Result<Operand> residual = desc.has_residual ? builder.input(query, 3) : Operand();
  if (!residual) return residual.error();
  const Operand y = builder.output(query);
  const FloatPlaces at = {x->place, residual->place, y.place, y.layout.batch()};
  PreparedStep step{.scratch_bytes = layer->scratch_bytes(), .in_team = true, .packed_bytes = layer->packed_bytes()};
  const auto id = static_cast<NodeId>(&query.node - query.graph.nodes.data());
  step.for_taps = builder.neighbours().is_done_by_next(id);
  step.done_by = builder.neighbours().done_by(id);
  step.can_run_apart = builder.neighbours().is_in_strips(id);
  keep_packed(query, layer->packed(), step);
  step.run = run_of(layer, at);
  const Strips* const strips = builder.neighbours().strips_of(id);
  if (!strips) return step;
  desc.packed = layer->packed();  // in place: step.run_alone keeps them
  Result<std::shared_ptr<const ConvF32>> all = make_strips(query, builder, *strips, described);
  if (!all) return all.error();
  step.scratch_bytes = std::max(step.scratch_bytes, (*all)->scratch_bytes());
  step.run_alone = std::move(step.run);
  const Operand source = builder.value(query.graph.node(strips->first()).inputs[0]);
  step.run = run_of(*std::move(all), {source.place, at.residual, at.y, at.batch});
  return step;
}

/// The layer does what the QuantizeLinear or QuantPixels that makes its codes would do. tables: the latter's, to be
/// kept until the layer is made.
void read_image(const Graph& graph, ValueId image, ValueId codes, ConvU8S8Desc& desc, std::vector<uint8_t>& tables) {
  for (const Node& node : graph.nodes) {
    if (node.outputs[0] != codes) continue;
    if (is_op(node, "QuantPixels")) {
      desc.image_tables = tables = pixel_tables(graph, node);
      desc.image_is_interleaved = node.inputs[0] != image;  // but what a Transpose makes of it
      return;
    }
    desc.image_scale = constant_scalar(graph, node.inputs[1]).value_or(0.0f);
    desc.image_zero_point = domain_shift(graph.value(codes).dtype);
    if (node.inputs.size() > 2 && node.inputs[2] != k_absent)
      desc.image_zero_point += static_cast<int32_t>(constant_ints(graph, node.inputs[2])->front());
  }
}

/// A QuantConv as its kernels see it; without what depends on where its values lie. Not to be moved.
struct IntegerLayer {
  ConvU8S8Desc desc;
  std::vector<float> multiplier;
  IntegerLayer() = default;
  IntegerLayer(const IntegerLayer&) = delete;

  Result<Done> describe(const StepQuery& query) {
    Result<WindowGeometry> geometry = conv_geometry(query);
    if (!geometry) return geometry.error();
    const Codes x_codes = codes_of(query.node, "x", query.dtype(0));
    const OutputForm form = output_form(query.node);
    for (const float w_scale : query.constant(2)->as<float>())
      multiplier.push_back(form.multiplier(static_cast<double>(x_codes.scale) * static_cast<double>(w_scale)));
    desc.geometry = *geometry;
    desc.weights = query.constant(1)->as<int8_t>();
    desc.multiplier = multiplier;
    if (query.has_input(3)) desc.bias = query.constant(3)->as<int32_t>();
    desc.x_zero_point = x_codes.zero_point;
    if (query.has_input(4)) {
      const Codes residual = codes_of(query.node, "residual", query.dtype(4));
      desc.has_residual = true;
      desc.residual_zero_point = residual.zero_point;
      desc.residual_multiplier = form.multiplier(static_cast<double>(residual.scale));
      const Dims one_pixel{1, desc.geometry.oc, 1, 1};
      if (query.dims(4) == one_pixel && query.output_dims() != one_pixel) desc.geometry.residual_pitch = 0;
    }
    desc.f32_output = form.to_f32;
    desc.y_zero_point = form.y_zero_point;
    desc.lo = form.lo, desc.hi = form.hi;
    desc.activation = form.activation;
    desc.inverse_y_scale = form.inverse_y_scale;
    return Done{};
  }
};

}  // namespace

Result<std::shared_ptr<const PointwiseU8S8>> make_scaling(const StepQuery& query, NodeId node) {
  const StepQuery scaling{{query.graph, query.graph.node(node)}, query.isa, query.threads};
  IntegerLayer layer;
  if (Result<Done> done = layer.describe(scaling); !done) return done.error();
  std::vector<uint8_t> residual;  // in the u8 domain
  if (scaling.has_input(4))
    for (const std::byte code : scaling.constant(4)->bytes())
      residual.push_back(static_cast<uint8_t>(code) ^ static_cast<uint8_t>(domain_shift(scaling.dtype(4))));
  return PointwiseU8S8::make(layer.desc, residual, scaling.isa);
}

Result<PreparedStep> prepare_conv_u8s8(const StepQuery& query, StepBuilder& builder, MakeConvU8S8 make) {
  IntegerLayer described;
  if (Result<Done> done = described.describe(query); !done) return done.error();
  ConvU8S8Desc& desc = described.desc;
  const auto id = static_cast<NodeId>(&query.node - query.graph.nodes.data());
  const NodeId before = builder.neighbours().scaling_before(id);
  const Node* const scaling = before < 0 ? nullptr : &query.graph.node(before);
  const ValueId image = query.isa == Isa::scalar ? k_absent : image_of(query.graph, query.node);
  Result<Operand> x = scaling             ? builder.value(scaling->inputs[0])
                      : image == k_absent ? builder.input(query, 0)
                                          : builder.value(image);
  if (!x) return x.error();
  const Operand y = builder.output(query);
  if (scaling) {
    Result<std::shared_ptr<const PointwiseU8S8>> layer = make_scaling(query, before);
    if (!layer) return layer.error();
    desc.before = *std::move(layer);
    desc.source_pitch = x->layout.pitch();
  } else if (image == k_absent) {
    desc.geometry.x_pitch = x->layout.pitch();
  }
  desc.geometry.y_pitch = y.layout.pitch();
  if (query.isa == Isa::avx2) desc.x_most = largest_code(query.graph, query.id(0));
  std::vector<uint8_t> tables;
  if (image != k_absent) read_image(query.graph, image, query.id(0), desc, tables);
  desc.packed = given_weights(query);
  desc.expected = {y.layout.batch(), builder.workers(query)};
  std::shared_ptr<const ConvU8S8> layer = make(desc, query);
  if (!layer) return query.error("the kernel does not take this geometry", ErrorCode::internal);
  Result<Operand> residual = desc.has_residual ? builder.input(query, 4) : Operand();
  if (!residual) return residual.error();
  PreparedStep step{.scratch_bytes = layer->scratch_bytes(), .in_team = true, .packed_bytes = layer->packed_bytes()};
  step.for_taps = builder.neighbours().is_done_by_next(id);
  step.done_by = builder.neighbours().done_by(id);
  keep_packed(query, layer->packed(), step);
  step.spare_bytes = layer->spare_bytes(y.layout.batch());
  for (int worker = 0; worker < builder.workers(query); ++worker)
    step.read_by.push_back(layer->read_by(worker, y.layout.batch(), builder.workers(query)));
  step.run = [layer, x = x->place, r = residual->place, y = y.place, batch = y.layout.batch()](const RunContext& run) {
    run_layer(run, *layer,
              ConvU8S8Args{.batch = batch,
                           .x = run.at<uint8_t>(x),
                           .residual = run.at<uint8_t>(r),
                           .y = run.at<std::byte>(y),
                           .image = run.at<std::byte>(x),  // the descriptor says which of both is meant
                           .next_weights = run.next_weights(),
                           .ahead = run.ahead()});
  };
  return step;
}

namespace {

template <bool depthwise>
Result<PreparedStep> prepare_f32_as(const StepQuery& query, StepBuilder& builder) {
  return prepare_f32(query, builder, depthwise);
}

Result<PreparedStep> prepare_dense_u8s8(const StepQuery& query, StepBuilder& builder) {
  return prepare_conv_u8s8(query, builder, [](const ConvU8S8Desc& desc, const StepQuery& asked) {
    return ConvU8S8::make(desc, asked.isa, asked.variant);
  });
}

Result<PreparedStep> prepare_depthwise_u8s8(const StepQuery& query, StepBuilder& builder) {
  return prepare_conv_u8s8(query, builder, [](const ConvU8S8Desc& desc, const StepQuery& asked) {
    return make_depthwise_u8s8(desc, asked.isa);
  });
}

}  // namespace

const StepDef conv_f32_step = {"conv_f32", refuse_f32, nullptr, prepare_f32_as<false>, variants_f32};
const StepDef depthwise_f32_step = {"depthwise_f32", refuse_depthwise_f32, cost_depthwise_f32, prepare_f32_as<true>};
const StepDef conv_u8s8_step = {"conv_u8s8", refuse_conv_u8s8, nullptr, prepare_dense_u8s8, variants_u8s8};
const StepDef depthwise_u8s8_step = {"depthwise_u8s8", refuse_depthwise_u8s8, cost_depthwise_u8s8,
                                     prepare_depthwise_u8s8};

}  // namespace octet::cpu
