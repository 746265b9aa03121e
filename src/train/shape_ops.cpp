// What moves elements, and the table over all of it.
#include <ATen/ExpandUtils.h>

#include "train/convert.h"
#include "train/graph_ops.h"

namespace octet::nn {

using torch::Tensor;
using Ints = std::vector<int64_t>;

void OpRun::fail(const std::string& what) const { throw std::invalid_argument(context().error(what).message); }

Ints integers(const Tensor& tensor) {
  const Tensor here = tensor.detach().to(torch::kCPU, torch::kInt64).contiguous();
  return {here.data_ptr<int64_t>(), here.data_ptr<int64_t>() + here.numel()};
}

namespace {

Values same(const OpRun& run) { return {run.in[0]}; }

Values reshape(const OpRun& run) {
  Ints shape = integers(run.in[1]);
  if (int_attribute(run.node, "allowzero", 0) == 0)
    for (size_t i = 0; i < shape.size(); ++i)
      if (shape[i] == 0) shape[i] = run.in[0].size(static_cast<int64_t>(i));
  return {run.in[0].reshape(shape)};
}

Values flatten(const OpRun& run) {
  const Tensor& x = run.in[0];
  int64_t axis = int_attribute(run.node, "axis", 1), rows = 1;
  if (axis < 0) axis += x.dim();
  for (int64_t d = 0; d < axis; ++d) rows *= x.size(d);
  return {x.reshape({rows, rows ? x.numel() / rows : 0})};
}

Values squeeze(const OpRun& run) {
  Tensor y = run.in[0];
  if (!run.has(1)) return {y.squeeze()};
  Ints axes = integers(run.in[1]);
  for (int64_t& a : axes)
    if (a < 0) a += y.dim();
  std::sort(axes.rbegin(), axes.rend());
  for (const int64_t a : axes) y = y.squeeze(a);
  return {y};
}

Values unsqueeze(const OpRun& run) {
  Tensor y = run.in[0];
  Ints axes = integers(run.in[1]);
  const int64_t rank = y.dim() + static_cast<int64_t>(axes.size());
  for (int64_t& a : axes)
    if (a < 0) a += rank;
  std::sort(axes.begin(), axes.end());
  for (const int64_t a : axes) y = y.unsqueeze(a);
  return {y};
}

Values transpose(const OpRun& run) {
  Ints reversed;
  for (int64_t d = run.in[0].dim(); d-- > 0;) reversed.push_back(d);
  return {run.in[0].permute(ints_attribute(run.node, "perm", reversed))};
}

Values concat(const OpRun& run) {
  return {torch::cat(Values(run.in.begin(), run.in.end()), int_attribute(run.node, "axis", 0))};
}

Values slice(const OpRun& run) {
  Tensor y = run.in[0];
  const Ints starts = integers(run.in[1]), ends = integers(run.in[2]);
  Ints axes, steps(starts.size(), 1);
  for (size_t i = 0; i < starts.size(); ++i) axes.push_back(static_cast<int64_t>(i));
  if (run.has(3)) axes = integers(run.in[3]);
  if (run.has(4)) steps = integers(run.in[4]);
  for (size_t i = 0; i < starts.size(); ++i) {
    const int64_t extent = y.size(axes[i]);
    if (steps[i] > 0) {
      y = y.slice(axes[i], starts[i], ends[i], steps[i]);
      continue;
    }
    const int64_t from = std::clamp<int64_t>(starts[i] < 0 ? starts[i] + extent : starts[i], 0, extent - 1);
    const int64_t to = ends[i] < -extent ? -1 : std::min(ends[i] < 0 ? ends[i] + extent : ends[i], extent - 1);
    Ints chosen;
    for (int64_t at = from; at > to; at += steps[i]) chosen.push_back(at);
    y = y.index_select(axes[i], torch::tensor(chosen, torch::kInt64).to(y.device()));
  }
  return {y};
}

Values split(const OpRun& run) {
  const int64_t axis = int_attribute(run.node, "axis", 0);
  if (run.has(1)) return run.in[0].split_with_sizes(integers(run.in[1]), axis);
  const auto parts = static_cast<int64_t>(run.node.outputs.size());
  return run.in[0].split((run.in[0].size(axis) + parts - 1) / parts, axis);
}

Values gather(const OpRun& run) {
  const Tensor& x = run.in[0];
  int64_t axis = int_attribute(run.node, "axis", 0);
  if (axis < 0) axis += x.dim();
  Tensor index = run.in[1].to(x.device(), torch::kInt64);
  index = torch::where(index.lt(0), index + x.size(axis), index);
  Ints sizes = x.sizes().vec();
  sizes.erase(sizes.begin() + axis);
  sizes.insert(sizes.begin() + axis, index.sizes().begin(), index.sizes().end());
  return {x.index_select(axis, index.reshape({-1})).reshape(sizes)};
}

Values expand(const OpRun& run) { return {run.in[0].expand(at::infer_size(run.in[0].sizes(), integers(run.in[1])))}; }
Values tile(const OpRun& run) { return {run.in[0].repeat(integers(run.in[1]))}; }

Values pad(const OpRun& run) {
  const std::string mode = string_attribute(run.node, "mode", "constant");
  if (mode != "constant") return run_reference(run);
  const Tensor& x = run.in[0];
  const Ints pads = integers(run.in[1]);
  Ints axes;
  for (int64_t d = 0; d < x.dim(); ++d) axes.push_back(d);
  if (run.has(3)) axes = integers(run.in[3]);
  Ints counted(static_cast<size_t>(2 * x.dim()), 0);
  for (size_t i = 0; i < axes.size(); ++i) {
    const int64_t d = axes[i] < 0 ? axes[i] + x.dim() : axes[i];
    counted[static_cast<size_t>(2 * (x.dim() - 1 - d))] = pads[i];
    counted[static_cast<size_t>(2 * (x.dim() - 1 - d) + 1)] = pads[axes.size() + i];
  }
  return {torch::constant_pad_nd(x, counted, run.has(2) ? run.in[2].item() : torch::Scalar(0))};
}

Values cast(const OpRun& run) {
  const std::optional<DType> dtype = dtype_from_name(string_attribute(run.node, "to", ""));
  const c10::ScalarType type = dtype ? scalar_type(*dtype) : c10::ScalarType::Undefined;
  if (type == c10::ScalarType::Undefined) run.fail("libtorch has no such dtype to cast to");
  return {run.in[0].to(type)};
}

/// DCR: depth, column, row; CRD: libtorch's pixel_shuffle.
Values depth_to_space(const OpRun& run) {
  const int64_t b = int_attribute(run.node, "blocksize", 1);
  const Tensor& x = run.in[0];
  if (string_attribute(run.node, "mode", "DCR") == "CRD") return {torch::pixel_shuffle(x, b)};
  const int64_t n = x.size(0), c = x.size(1) / (b * b), h = x.size(2), w = x.size(3);
  return {x.reshape({n, b, b, c, h, w}).permute({0, 3, 4, 1, 5, 2}).reshape({n, c, h * b, w * b})};
}

const TorchOpRow k_rows[] = {{"Identity", same},       {"Dropout", same},
                             {"Reshape", reshape},     {"Flatten", flatten},
                             {"Squeeze", squeeze},     {"Unsqueeze", unsqueeze},
                             {"Transpose", transpose}, {"Concat", concat},
                             {"Slice", slice},         {"Split", split},
                             {"Gather", gather},       {"Expand", expand},
                             {"Tile", tile},           {"Pad", pad},
                             {"Cast", cast},           {"DepthToSpace", depth_to_space}};

}  // namespace

std::span<const TorchOpRow> shape_ops() { return k_rows; }

TorchOp find_torch_op(std::string_view op) {
  for (const std::span<const TorchOpRow> rows : {layer_ops(), function_ops(), shape_ops()})
    for (const TorchOpRow& row : rows)
      if (row.name == op) return row.run;
  return nullptr;
}

Values run_reference(const OpRun& run) {
  std::vector<octet::Tensor> inputs;
  torch::Device device = torch::kCPU;
  for (const Tensor& x : run.in) {
    if (!x.defined()) {
      inputs.emplace_back();
      continue;
    }
    if (torch::GradMode::is_enabled() && x.requires_grad())
      run.fail("octet cannot train through this op; keep it out of the trained part (a frozen sub-network runs)");
    if (!x.device().is_cpu()) device = x.device();
    inputs.push_back(to_octet(x));
  }
  Values outputs;
  for (const octet::Tensor& y : value_or_throw(run.node.op->reference(run.context(), inputs))) {
    const Tensor made = to_torch(y);
    outputs.push_back(made.is_floating_point() ? made.to(device) : made);
  }
  return outputs;
}

}  // namespace octet::nn
