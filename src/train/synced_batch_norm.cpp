#include "train/synced_batch_norm.h"

namespace octet::nn {
namespace {

using torch::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::Function;
using Tensors = torch::autograd::variable_list;

std::vector<int64_t> all_but_channels(const Tensor& x) {
  std::vector<int64_t> dims = {0};
  for (int64_t d = 2; d < x.dim(); ++d) dims.push_back(d);
  return dims;
}

/// [C] as [1,C,1,..].
Tensor beside(const Tensor& per_channel, const Tensor& x) {
  std::vector<int64_t> sizes(static_cast<size_t>(x.dim()), 1);
  sizes[1] = per_channel.numel();
  return per_channel.reshape(sizes);
}

struct Statistics {
  Tensor mean, inverse;  // f32, of all parts
  double count = 0;      // of values per channel, in all processes
};

double values_per_channel(const Tensor& x) { return static_cast<double>(x.numel()) / static_cast<double>(x.size(1)); }

/// By libtorch's own kernels, few and small: one to find this part's, one to put all together and move the running
/// ones.
Statistics statistics_on_gpu(const Tensor& x, const BatchNorm& norm, Replicas& replicas) {
  const int64_t channels = x.size(1), parts = replicas.size();
  const double here = values_per_channel(x);
  const auto [mean, inverse] = torch::batch_norm_stats(x, norm.epsilon);
  const Tensor all = torch::zeros({parts, 2 * channels}, mean.options());
  all.select(0, replicas.rank()).copy_(torch::cat({mean, inverse}));
  replicas.sum(all);
  const auto [of_all, inverse_of_all] = torch::batch_norm_gather_stats_with_counts(
      x, all.narrow(1, 0, channels).contiguous(), all.narrow(1, channels, channels).contiguous(), norm.running_mean,
      norm.running_var, norm.momentum, norm.epsilon, torch::full({parts}, here, mean.options()));
  return {of_all, inverse_of_all, here * static_cast<double>(parts)};
}

/// The parts' means and sums of squares put together, in f64.
Statistics statistics(const Tensor& x, const BatchNorm& norm, Replicas& replicas) {
  if (x.is_cuda()) return statistics_on_gpu(x, norm, replicas);
  const int64_t channels = x.size(1);
  const double here = values_per_channel(x), count = here * replicas.size();
  const auto [spread, centre] = torch::var_mean(x, all_but_channels(x), /*unbiased=*/false, /*keepdim=*/false);
  const Tensor mean = centre.to(torch::kFloat64), variance = spread.to(torch::kFloat64);
  const Tensor sums = torch::cat({mean * here, (variance + mean * mean) * here});
  replicas.sum(sums);
  const Tensor all = sums.narrow(0, 0, channels) / count;
  const Tensor of_all = (sums.narrow(0, channels, channels) / count - all * all).clamp_min(0.0);
  Tensor running_mean = norm.running_mean, running_var = norm.running_var;
  running_mean.mul_(1.0 - norm.momentum).add_(all.to(torch::kFloat32), norm.momentum);
  running_var.mul_(1.0 - norm.momentum)
      .add_(of_all.to(torch::kFloat32), norm.momentum * count / std::max(1.0, count - 1.0));
  return {all.to(torch::kFloat32), (of_all + norm.epsilon).rsqrt().to(torch::kFloat32), count};
}

/// Sums over this process's part, and gradients of weight and bias.
struct Sums {
  Tensor dy, dy_centred;  // dy * (x - mean)
  Tensor weight, bias;
};

Sums own_sums(const Tensor& dy, const Tensor& x, const Statistics& s, const Tensor& weight) {
  if (x.is_cuda()) {
    const auto [a, b, c, d] = torch::batch_norm_backward_reduce(dy, x, s.mean, s.inverse, weight, true, true, true);
    return {a, b, c, d};
  }
  const std::vector<int64_t> dims = all_but_channels(x);
  const Tensor sum = dy.sum(dims), centred = (dy * (x - beside(s.mean, x))).sum(dims);
  return {sum, centred, centred * s.inverse, sum};
}

/// w / sigma * (dy - mean(dy) - (x - mean) / sigma^2 * mean(dy * (x - mean))), the means over all processes.
Tensor gradient(const Tensor& dy, const Tensor& x, const Statistics& s, const Tensor& weight, const Sums& sums) {
  if (x.is_cuda()) {
    const Tensor count = torch::full({1}, s.count, torch::TensorOptions(x.device()).dtype(torch::kInt32));
    return torch::batch_norm_backward_elemt(dy, x, s.mean, s.inverse, weight, sums.dy, sums.dy_centred, count);
  }
  const Tensor slope = s.inverse * s.inverse * sums.dy_centred / s.count;
  return (dy - beside(sums.dy / s.count, x) - (x - beside(s.mean, x)) * beside(slope, x)) *
         beside(weight * s.inverse, x);
}

struct SyncedBatchNorm : Function<SyncedBatchNorm> {
  static Tensor forward(AutogradContext* ctx, const Tensor& x, const Tensor& weight, const Tensor& bias,
                        const BatchNorm& norm, Replicas* replicas) {
    const Statistics s = statistics(x, norm, *replicas);  // parts are of equal size, the trainer sees to it
    ctx->save_for_backward({x, weight, s.mean, s.inverse});
    ctx->saved_data["count"] = s.count;
    // Borrowed: the module that is trained owns it (GraphModuleImpl::set_replicas), and lives until backward is done.
    ctx->saved_data["replicas"] = reinterpret_cast<int64_t>(replicas);
    if (x.is_cuda()) return torch::batch_norm_elemt(x, weight, bias, s.mean, s.inverse, norm.epsilon);
    const Tensor scale = weight * s.inverse;
    return x * beside(scale, x) + beside(bias - s.mean * scale, x);
  }

  static Tensors backward(AutogradContext* ctx, Tensors gradients) {
    const Tensors saved = ctx->get_saved_variables();
    const Tensor &x = saved[0], &weight = saved[1];
    const Tensor dy = gradients[0].contiguous(x.suggest_memory_format());
    auto* replicas = reinterpret_cast<Replicas*>(ctx->saved_data["replicas"].toInt());
    const Statistics s{saved[2], saved[3], ctx->saved_data["count"].toDouble()};
    Sums sums = own_sums(dy, x, s, weight);
    const Tensor both = torch::cat({sums.dy, sums.dy_centred});
    replicas->sum(both);
    sums.dy = both.narrow(0, 0, x.size(1));
    sums.dy_centred = both.narrow(0, x.size(1), x.size(1));
    return {gradient(dy, x, s, weight, sums), sums.weight, sums.bias, Tensor(), Tensor()};
  }
};

}  // namespace

Tensor synced_batch_norm(const Tensor& x, const BatchNorm& norm, Replicas& replicas) {
  return SyncedBatchNorm::apply(x, norm.weight, norm.bias, norm, &replicas);
}

}  // namespace octet::nn
