// Steps that read elements by index or fold several operands: Gather, JoinedGather, Resize, ArgMax, Tile, Sum,
// BatchNormalization.
#include <algorithm>
#include <cmath>

#include "backends/cuda/index.h"
#include "backends/cuda/step.h"
#include "ir/ops/joined_entries.h"
#include "ir/ops/resize_coordinates.h"

namespace octet::cuda {
namespace {

constexpr const char* k_too_large = "more than 2^31 elements or 8 dimensions";

size_t axis_of(const StepQuery& query, int64_t otherwise) {
  const int64_t axis = int_attribute(query.node, "axis", otherwise);
  return static_cast<size_t>(axis < 0 ? axis + static_cast<int64_t>(query.shape(0)->size()) : axis);
}

// ---- Gather ----

/// Why the list cannot be prepared for so many entries along the axis; empty = it can.
std::string refuse_indices(const std::optional<std::vector<int64_t>>& indices, int64_t extent) {
  if (!indices) return "the indices are not constant";
  const std::optional<int64_t> outside = first_outside(*indices, extent);
  if (!outside) return "";
  return "index " + std::to_string(*outside) + " is out of range for the extent " + std::to_string(extent);
}

std::string refuse_gather(const StepQuery& query) {
  return refuse_indices(constant_ints(query.graph, query.id(1)), query.dims(0)[axis_of(query, 0)]);
}

Result<PreparedStep> prepare_gather(const StepQuery& query, StepBuilder& builder) {
  Result<Operand> x = builder.input(query, 0);
  if (!x) return x.error();
  const Operand y = builder.output(query);
  const size_t axis = axis_of(query, 0), taken = query.shape(1)->size();
  const Dims& xs = x->layout.strides;
  std::vector<int64_t> indices = *constant_ints(query.graph, query.id(1));
  for (int64_t& i : indices) i += i < 0 ? x->layout.dims[axis] : 0;
  Result<const void*> device = builder.upload(indices);
  if (!device) return device.error();
  // The output's dims: those of x before the axis, those of the indices, those of x behind it.
  Dims strides[3] = {y.layout.strides, xs, Dims(y.layout.rank(), 0)};
  strides[1].erase(strides[1].begin() + static_cast<std::ptrdiff_t>(axis));
  strides[1].insert(strides[1].begin() + static_cast<std::ptrdiff_t>(axis), taken, 0);
  int64_t step = 1;
  for (size_t d = axis + taken; d-- > axis;) strides[2][d] = step, step *= y.layout.dims[d];
  const std::optional<Strided> loop = strided(y.layout.dims, strides);
  if (!loop) return query.error(k_too_large, ErrorCode::unsupported);
  return PreparedStep::of(sequence(
      {clear_padding(y), [=, loop = *loop, bytes = static_cast<int>(y.layout.element_bytes), along = xs[axis],
                          at = static_cast<const int64_t*>(*device), x = x->place, y = y.place](const Launch& run) {
         return launch_gather(loop, bytes, along, run.at(y), run.at(x), at, run.stream);
       }}));
}

// ---- JoinedGather ----

constexpr size_t k_indices = 0, k_table = 1, k_first_joined = 2;

std::string refuse_joined(const StepQuery& query) {
  if (query.output_dims().size() != 4 || axis_of(query, 0) != 1) return "not along the channels of images";
  if (query.has_input(k_table) && !query.constant(k_table)) return "the table is not an initializer";
  int64_t channels = 0;
  for (size_t i = k_first_joined; i < query.input_count(); ++i) channels += query.dims(i)[1];
  return refuse_indices(constant_ints(query.graph, query.id(k_indices)), channels);
}

/// Which channel of which input every output channel is, on the device.
Result<const void*> upload_picks(const StepQuery& query, StepBuilder& builder, const std::vector<Operand>& inputs) {
  std::vector<int64_t> channels;
  for (const Operand& x : inputs) channels.push_back(x.layout.dims[1]);
  std::vector<ChannelPick> picks;
  for (const JoinedEntry& from : joined_entries(channels, *constant_ints(query.graph, query.id(k_indices))))
    picks.push_back({static_cast<int>(from.value), static_cast<int>(from.entry)});
  return builder.upload(picks);
}

Result<PreparedStep> prepare_joined(const StepQuery& query, StepBuilder& builder) {
  std::vector<Operand> inputs;
  for (size_t i = k_first_joined; i < query.input_count(); ++i) {
    Result<Operand> x = builder.input(query, i);
    if (!x) return x.error();
    if (x->layout.elements >= int64_t{1} << 31) return query.error(k_too_large, ErrorCode::unsupported);
    inputs.push_back(*x);
  }
  Result<const void*> picks = upload_picks(query, builder, inputs);
  if (!picks) return picks.error();
  Result<const void*> table = nullptr;
  if (query.has_input(k_table)) table = builder.upload_table(*query.constant(k_table), query.dtype(k_first_joined));
  if (!table) return table.error();
  const Operand y = builder.output(query);
  if (y.layout.elements >= int64_t{1} << 31) return query.error(k_too_large, ErrorCode::unsupported);
  std::vector<Enqueue> parts = {clear_padding(y)};
  for (size_t first = 0; first < inputs.size(); first += GatherChannelsParams::k_inputs) {
    GatherChannelsParams p;
    p.first_input = static_cast<int>(first);
    p.inputs = static_cast<int>(std::min<size_t>(inputs.size() - first, GatherChannelsParams::k_inputs));
    p.pixels = y.layout.dims[0] * y.layout.dims[2] * y.layout.dims[3];
    p.channels = static_cast<int>(y.layout.dims[1]), p.y_pitch = static_cast<int>(y.layout.pitch());
    p.picks = static_cast<const ChannelPick*>(*picks), p.table = static_cast<const uint8_t*>(*table);
    std::vector<Place> from;
    for (int i = 0; i < p.inputs; ++i) {
      const Operand& x = inputs[first + static_cast<size_t>(i)];
      p.x_pitch[i] = static_cast<int>(x.layout.pitch());
      from.push_back(x.place);
    }
    parts.push_back([p, from, y = y.place, bytes = static_cast<int>(y.layout.element_bytes)](const Launch& run) {
      GatherChannelsParams bound = p;
      bound.y = run.at(y);
      for (size_t i = 0; i < from.size(); ++i) bound.x[i] = run.at(from[i]);
      return launch_gather_channels(bound, bytes, run.stream);
    });
  }
  return PreparedStep::of(sequence(std::move(parts)));
}

// ---- Resize ----

/// Scale of an axis: as given, else output / input.
double scale_of(const StepQuery& query, size_t axis) {
  const std::vector<float> scales = constant_floats(query.graph, query.id(2));
  if (!scales.empty()) return static_cast<double>(scales[axis]);
  return static_cast<double>(query.output_dims()[axis]) / static_cast<double>(query.dims(0)[axis]);
}

std::string refuse_resize(const StepQuery& query) {
  for (const size_t i : {size_t{2}, size_t{3}})
    if (query.has_input(i) && !is_constant(query.graph, query.id(i))) return "scales or sizes are not constant";
  if (string_attribute(query.node, "mode", "nearest") == "cubic") return "cubic interpolation";
  if (int_attribute(query.node, "antialias", 0) != 0) return "antialias";
  if (has_attribute(query.node, "axes")) return "the attribute axes";
  if (string_attribute(query.node, "keep_aspect_ratio_policy", "stretch") != "stretch") return "a kept aspect ratio";
  if (int_attribute(query.node, "exclude_outside", 0) != 0) return "exclude_outside";
  if (string_attribute(query.node, "coordinate_transformation_mode", "") == "tf_crop_and_resize") return "a crop";
  if (query.shape(0)->size() != 4) return "only images (a rank-4 input)";
  const Dims x = query.dims(0), y = query.output_dims();
  if (x[0] != y[0] || x[1] != y[1]) return "a batch or channel axis of another extent";
  if (scale_of(query, 0) != 1 || scale_of(query, 1) != 1) return "a batch or channel axis of another scale";
  if (x[2] == 0 || x[3] == 0) return "an image without pixels";
  if (string_attribute(query.node, "mode", "nearest") == "linear" && query.dtype(0) != DType::f32)
    return "linear interpolation of " + std::string(name(query.dtype(0))) + ", not f32";
  return "";
}

std::vector<ResizeTap> taps_of(const StepQuery& query, size_t axis) {
  const int64_t n = query.dims(0)[axis], m = query.output_dims()[axis];
  const double scale = scale_of(query, axis);
  const std::string mode = string_attribute(query.node, "coordinate_transformation_mode", "half_pixel");
  const std::string nearest = string_attribute(query.node, "nearest_mode", "round_prefer_floor");
  const bool linear = string_attribute(query.node, "mode", "nearest") == "linear";
  const auto clamped = [n](double c) { return static_cast<int>(std::clamp(c, 0.0, static_cast<double>(n - 1))); };
  std::vector<ResizeTap> taps;
  for (int64_t i = 0; i < m; ++i) {
    const double c =
        scale == 1.0 && n == m ? static_cast<double>(i) : resize_coordinate(i, {n, m, scale}, mode, !linear);
    if (linear) {
      taps.push_back({clamped(std::floor(c)), clamped(std::floor(c) + 1), static_cast<float>(c - std::floor(c))});
    } else {
      const int at = clamped(resize_nearest(c, nearest));
      taps.push_back({at, at, 0.0f});
    }
  }
  return taps;
}

Result<PreparedStep> prepare_resize(const StepQuery& query, StepBuilder& builder) {
  Result<Operand> x = builder.input(query, 0);
  if (!x) return x.error();
  const Operand y = builder.output(query);
  Result<const void*> rows = builder.upload(taps_of(query, 2)), columns = builder.upload(taps_of(query, 3));
  if (!rows || !columns) return rows ? columns.error() : rows.error();
  const bool linear = string_attribute(query.node, "mode", "nearest") == "linear";
  const auto narrow = [](int64_t v) { return static_cast<int>(v); };
  ResizeParams p;
  p.rows = static_cast<const ResizeTap*>(*rows), p.columns = static_cast<const ResizeTap*>(*columns);
  p.n = narrow(x->layout.dims[0]), p.ih = narrow(x->layout.dims[2]), p.iw = narrow(x->layout.dims[3]);
  p.oh = narrow(y.layout.dims[2]), p.ow = narrow(y.layout.dims[3]);
  // A pixel with its padding is a whole number of words in every layout.
  p.pitch = narrow(linear ? x->layout.pitch() : x->layout.pitch() * static_cast<int64_t>(x->layout.element_bytes) / 4);
  return PreparedStep::of([=, store = y.layout.store, x = x->place, y = y.place](const Launch& run) {
    ResizeParams bound = p;
    bound.x = run.at(x), bound.y = run.at(y);
    return linear ? launch_resize_linear(bound, store, run.stream) : launch_resize_nearest(bound, run.stream);
  });
}

// ---- ArgMax, ArgMin ----

std::string refuse_arg(const StepQuery& query) {
  if (query.dtype(0) == DType::f32 || is_code(query.dtype(0))) return "";
  return "the input is " + std::string(name(query.dtype(0))) + ", not f32, u8 or s8";
}

Result<PreparedStep> prepare_arg(const StepQuery& query, StepBuilder& builder) {
  Result<Operand> x = builder.input(query, 0);
  if (!x) return x.error();
  const Operand y = builder.output(query);
  const size_t axis = axis_of(query, 0);
  Dims dims = x->layout.dims;
  Dims strides[2] = {y.layout.strides, x->layout.strides};
  const ArgParams p{dims[axis], strides[1][axis], is_op(query.node, "ArgMin"),
                    int_attribute(query.node, "select_last_index", 0) != 0};
  dims.erase(dims.begin() + static_cast<std::ptrdiff_t>(axis));
  strides[1].erase(strides[1].begin() + static_cast<std::ptrdiff_t>(axis));
  if (int_attribute(query.node, "keepdims", 1) != 0)
    strides[0].erase(strides[0].begin() + static_cast<std::ptrdiff_t>(axis));
  const std::optional<Strided> outer = strided(dims, strides);
  if (!outer) return query.error(k_too_large, ErrorCode::unsupported);
  return PreparedStep::of([p, store = x->layout.store, outer = *outer, x = x->place, y = y.place](const Launch& run) {
    return launch_arg_best(p, store, outer, static_cast<int64_t*>(run.at(y)), run.at(x), run.stream);
  });
}

// ---- Tile ----

std::string refuse_tile(const StepQuery& query) {
  return is_constant(query.graph, query.id(1)) ? "" : "the repeats are not constant";
}

Result<PreparedStep> prepare_tile(const StepQuery& query, StepBuilder& builder) {
  Result<Operand> x = builder.input(query, 0);
  if (!x) return x.error();
  const Operand y = builder.output(query);
  const std::vector<int64_t> repeats = *constant_ints(query.graph, query.id(1));
  Dims dims, to, from;
  for (size_t d = 0; d < x->layout.rank(); ++d) {
    dims.push_back(repeats[d]), dims.push_back(x->layout.dims[d]);
    to.push_back(y.layout.strides[d] * x->layout.dims[d]), to.push_back(y.layout.strides[d]);
    from.push_back(0), from.push_back(x->layout.strides[d]);
  }
  Result<Enqueue> copy = copy_elements(dims, y, to, 0, *x, from, 0);
  if (!copy) return copy.error();
  return PreparedStep::of(sequence({clear_padding(y), *copy}));
}

// ---- Sum, Mean, BatchNormalization: arithmetic of two operands, one after the other ----

Result<Enqueue> two_operands(const StepQuery& query, Binary op, const Operand& y, const Operand& a, const Operand& b) {
  const Dims strides[3] = {y.layout.strides, broadcast_strides(a.layout.dims, a.layout.strides, y.layout.dims),
                           broadcast_strides(b.layout.dims, b.layout.strides, y.layout.dims)};
  const std::optional<Strided> loop = strided(y.layout.dims, strides);
  if (!loop) return query.error(k_too_large, ErrorCode::unsupported);
  return Enqueue([op, store = y.layout.store, loop = *loop, a = a.place, b = b.place, y = y.place](const Launch& run) {
    return launch_binary(op, {Act::none, 0, 0, store, loop, run.at(y), run.at(a), run.at(b)}, run.stream);
  });
}

std::string refuse_floats(const StepQuery& query) {
  for (size_t i = 0; i < query.input_count(); ++i)
    if (query.dtype(i) != DType::f32)
      return "input " + std::to_string(i) + " is " + std::string(name(query.dtype(i))) + ", not f32";
  return "";
}

Result<PreparedStep> prepare_sum(const StepQuery& query, StepBuilder& builder) {
  const Operand y = builder.output(query);
  const bool mean = is_op(query.node, "Mean");
  const auto count = static_cast<float>(query.input_count());
  Result<Operand> scale =
      builder.constant(Tensor::from<float>(DType::f32, {}, std::vector<float>{mean ? count : 0.0f}));
  Result<Operand> first = builder.input(query, 0);
  if (!scale || !first) return scale ? first.error() : scale.error();
  std::vector<Enqueue> parts = {clear_padding(y)};
  Operand sum = *first;
  const auto then = [&](Binary op, const Operand& b) -> Result<Done> {
    Result<Enqueue> part = two_operands(query, op, y, sum, b);
    if (!part) return part.error();
    parts.push_back(*std::move(part));
    sum = y;
    return Done{};
  };
  if (query.input_count() == 1 && !mean)
    if (Result<Done> ok = then(Binary::add, *scale); !ok) return ok.error();
  for (size_t i = 1; i < query.input_count(); ++i) {
    Result<Operand> next = builder.input(query, i);
    if (!next) return next.error();
    if (Result<Done> ok = then(Binary::add, *next); !ok) return ok.error();
  }
  if (mean)
    if (Result<Done> ok = then(Binary::div, *scale); !ok) return ok.error();
  return PreparedStep::of(sequence(std::move(parts)));
}

std::string refuse_batch_norm(const StepQuery& query) {
  for (size_t i = 1; i < 5; ++i)
    if (!is_constant(query.graph, query.id(i))) return "scale, bias, mean and variance have to be constants";
  return query.dtype(0) == DType::f32 ? "" : "the input is " + std::string(name(query.dtype(0))) + ", not f32";
}

Result<PreparedStep> prepare_batch_norm(const StepQuery& query, StepBuilder& builder) {
  Result<Operand> x = builder.input(query, 0);
  if (!x) return x.error();
  const Operand y = builder.output(query);
  std::vector<float> p[4];
  for (size_t i = 0; i < 4; ++i) p[i] = constant_floats(query.graph, query.id(i + 1));
  const double epsilon = static_cast<double>(float_attribute(query.node, "epsilon", 1e-5f));
  std::vector<float> factor(p[0].size()), mean(p[2]), offset(p[1]);
  for (size_t c = 0; c < factor.size(); ++c)
    factor[c] = static_cast<float>(static_cast<double>(p[0][c]) / std::sqrt(static_cast<double>(p[3][c]) + epsilon));
  // One value per channel, behind the batch axis.
  Dims dims(x->layout.rank() - 1, 1);
  dims[0] = static_cast<int64_t>(factor.size());
  std::vector<Enqueue> parts = {clear_padding(y)};
  Operand from = *x;
  for (const auto& [op, values] :
       {std::pair(Binary::sub, &mean), std::pair(Binary::mul, &factor), std::pair(Binary::add, &offset)}) {
    Result<Operand> constant = builder.constant(Tensor::from<float>(DType::f32, dims, *values));
    if (!constant) return constant.error();
    Result<Enqueue> part = two_operands(query, op, y, from, *constant);
    if (!part) return part.error();
    parts.push_back(*std::move(part));
    from = y;
  }
  return PreparedStep::of(sequence(std::move(parts)));
}

}  // namespace

const StepDef gather_step = {"gather", refuse_gather, 1, prepare_gather};
const StepDef joined_gather_step = {"joined_gather", refuse_joined, 1, prepare_joined};
const StepDef resize_step = {"resize", refuse_resize, 1, prepare_resize};
const StepDef arg_step = {"arg_best", refuse_arg, 1, prepare_arg};
const StepDef tile_step = {"tile", refuse_tile, 1, prepare_tile};
const StepDef sum_step = {"sum", refuse_floats, 1, prepare_sum};
const StepDef batch_norm_step = {"batch_norm", refuse_batch_norm, 1, prepare_batch_norm};

}  // namespace octet::cuda
