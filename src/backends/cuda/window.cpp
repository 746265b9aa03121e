// Pools, and the window of every sliding op.
#include "backends/cuda/window.h"

#include "backends/cuda/fused_steps.h"
#include "ir/ops/window.h"

namespace octet::cuda {

Result<WindowParams> window_params(const StepQuery& query, int64_t kh, int64_t kw, const Layout& x, const Layout& y) {
  const Result<WindowAttributes> attributes = window_attributes(query, 2);
  if (!attributes) return attributes.error();
  const Result<WindowAxis> rows = window_axis(query, *attributes, 0, kh, x.dims[2]);
  if (!rows) return rows.error();
  const Result<WindowAxis> columns = window_axis(query, *attributes, 1, kw, x.dims[3]);
  if (!columns) return columns.error();
  const auto narrow = [](int64_t v) { return static_cast<int>(v); };
  WindowParams p;
  p.batch = narrow(x.dims[0]);
  p.ih = narrow(x.dims[2]), p.iw = narrow(x.dims[3]), p.c = narrow(x.dims[1]);
  p.oh = narrow(y.dims[2]), p.ow = narrow(y.dims[3]), p.oc = narrow(y.dims[1]);
  p.kh = narrow(kh), p.kw = narrow(kw);
  p.stride_h = narrow(rows->stride), p.stride_w = narrow(columns->stride);
  p.pad_top = narrow(rows->pad_begin), p.pad_left = narrow(columns->pad_begin);
  p.pad_bottom = narrow(rows->pad_end), p.pad_right = narrow(columns->pad_end);
  p.dilation_h = narrow(rows->dilation), p.dilation_w = narrow(columns->dilation);
  p.x_pitch = narrow(x.pitch()), p.y_pitch = p.r_pitch = narrow(y.pitch());
  return p;
}

Result<Done> add_pool_codes(const StepQuery& query, WindowParams& p) {
  if (!is_code(query.dtype(0))) return Done{};
  Result<Epilogue> epilogue = epilogue_of(query, query.floats);
  if (!epilogue) return epilogue.error();
  const Codes x = codes_of(query.node, "x", query.dtype(0));
  p.epilogue = *epilogue;
  p.x_zero = x.zero_point;
  p.x_scale = static_cast<double>(x.scale);
  if (p.epilogue.to == Store::u8) p.y_scale = static_cast<double>(float_attribute(query.node, "y_scale", 1.0f));
  return Done{};
}

namespace {

std::string refuse_window(const StepQuery& query) {
  if (query.shape(0)->size() != 4) return "only two spatial dimensions (a rank-4 input)";
  const std::vector<int64_t> kernel = ints_attribute(query.node, "kernel_shape", {});
  if (kernel.size() != 2) return "kernel_shape has not two extents";
  const Layout x = layout_of(query.graph, query.id(0), query.floats),
               y = layout_of(query.graph, query.node.outputs[0], query.floats);
  const Result<WindowParams> window = window_params(query, kernel[0], kernel[1], x, y);
  return window ? "" : window.error().message;
}

std::string refuse_max(const StepQuery& query) {
  if (query.node.outputs.size() > 1 && query.node.outputs[1] != k_absent) return "the indices output";
  if (query.dtype(0) != DType::f32 && !is_code(query.dtype(0)))
    return "the input is " + std::string(name(query.dtype(0))) + ", not f32, u8 or s8";
  return refuse_window(query);
}

std::string refuse_average(const StepQuery& query) {
  if (query.dtype(0) != DType::f32 && !is_code(query.dtype(0)))
    return "the input is " + std::string(name(query.dtype(0))) + ", not f32, u8 or s8";
  return refuse_window(query);
}

std::string refuse_global(const StepQuery& query) {
  if (query.shape(0)->size() != 4) return "only two spatial dimensions (a rank-4 input)";
  return query.dims(0)[0] > 65535 ? "a batch of more than 65535 images" : "";
}

Result<PreparedStep> prepare_pool(const StepQuery& query, StepBuilder& builder,
                                  cudaError_t (*enqueue)(const WindowParams&, Store, cudaStream_t), bool average) {
  Result<Operand> x = builder.input(query, 0);
  if (!x) return x.error();
  const Operand y = builder.output(query);
  const std::vector<int64_t> kernel = ints_attribute(query.node, "kernel_shape", {});
  Result<WindowParams> p = window_params(query, kernel[0], kernel[1], x->layout, y.layout);
  if (!p) return p.error();
  p->include_pad = int_attribute(query.node, "count_include_pad", 0) != 0;
  if (average)
    if (Result<Done> ok = add_pool_codes(query, *p); !ok) return ok.error();
  return PreparedStep::of(
      sequence({average ? clear_padding(y) : Enqueue(),
                [p = *p, store = x->layout.store, enqueue, x = x->place, y = y.place](const Launch& run) {
                  WindowParams bound = p;
                  bound.x = run.at(x), bound.y = run.at(y);
                  return enqueue(bound, store, run.stream);
                }}));
}

Result<PreparedStep> prepare_max(const StepQuery& query, StepBuilder& builder) {
  return prepare_pool(query, builder, launch_max_pool, false);
}
Result<PreparedStep> prepare_average(const StepQuery& query, StepBuilder& builder) {
  return prepare_pool(query, builder, launch_average_pool, true);
}

Result<PreparedStep> prepare_global(const StepQuery& query, StepBuilder& builder) {
  Result<Operand> x = builder.input(query, 0);
  if (!x) return x.error();
  const Operand y = builder.output(query);
  WindowParams p;
  p.batch = static_cast<int>(x->layout.dims[0]);
  p.c = static_cast<int>(x->layout.dims[1]);
  p.ih = static_cast<int>(x->layout.dims[2]), p.iw = static_cast<int>(x->layout.dims[3]);
  p.x_pitch = static_cast<int>(x->layout.pitch()), p.y_pitch = static_cast<int>(y.layout.pitch());
  if (Result<Done> ok = add_pool_codes(query, p); !ok) return ok.error();
  return PreparedStep::of(sequence({clear_padding(y), [p, x = x->place, y = y.place](const Launch& run) {
                                      WindowParams bound = p;
                                      bound.x = run.at(x), bound.y = run.at(y);
                                      return launch_global_average_u8(bound, run.stream);
                                    }}));
}

}  // namespace

std::vector<std::string> all_stem_names() {
  std::vector<std::string> names = stem_names();
  for (std::string& name : half_stem_names()) names.push_back(std::move(name));
  return names;
}
const StepDef max_pool_step = {"max_pool", refuse_max, 1, prepare_max, all_stem_names};
const StepDef average_pool_step = {"average_pool", refuse_average, 1, prepare_average};
const StepDef global_average_step = {"global_average", refuse_global, 1, prepare_global};

}  // namespace octet::cuda
