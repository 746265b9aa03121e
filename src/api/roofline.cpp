// Layer times against the machine's peak.

#include <algorithm>
#include <chrono>

#include "api/state.h"
#include "base/thread_pool.h"
#include "ir/op.h"
#include "kernels/peak/peak.h"
#include "kernels/winograd_u8s8/winograd_u8s8.h"
#include "octet/measure.h"
#include "octet/tasks.h"

namespace octet {
namespace {

using Clock = std::chrono::steady_clock;

double us_since(Clock::time_point start) {
  return std::chrono::duration<double, std::micro>(Clock::now() - start).count();
}

double median(std::vector<double> values) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

double bytes_of(const Graph& graph, ValueId v) {
  if (v == k_absent) return 0;
  const Value& value = graph.value(v);
  const std::optional<Dims> dims = value.shape ? known_dims(*value.shape) : std::nullopt;
  return dims ? static_cast<double>(element_count(*dims).value_or(0)) * static_cast<double>(size_of(value.dtype)) : 0;
}

double bytes_of(const Graph& graph, const Node& node) {
  double bytes = 0;
  for (const std::vector<ValueId>* values : {&node.inputs, &node.outputs})
    for (const ValueId v : *values) bytes += bytes_of(graph, v);
  return bytes;
}

/// Taps of an axis that meet the image.
int64_t live_taps(int64_t in, int64_t out, int64_t kernel, int64_t stride, int64_t dilation, int64_t pad) {
  int64_t live = 0;
  for (int64_t o = 0; o < out; ++o)
    for (int64_t k = 0; k < kernel; ++k) {
      const int64_t at = o * stride + k * dilation - pad;
      live += at >= 0 && at < in;
    }
  return live;
}

/// RooflineLayer::needed_mmac of a QuantConv over images; mmac for all else.
double needed_mmac(const Graph& graph, const Node& node, std::string_view tactic, double mmac) {
  if (!is_op(node, "QuantConv")) return mmac;
  const auto dims = [&](ValueId v) { return graph.value(v).shape ? known_dims(*graph.value(v).shape) : std::nullopt; };
  const std::optional<Dims> x = dims(node.inputs[0]), w = dims(node.inputs[1]), y = dims(node.outputs[0]);
  if (!x || !w || !y || x->size() != 4 || w->size() != 4 || y->size() != 4) return mmac;
  constexpr std::string_view k_winograd = "winograd_u8s8 ";
  if (tactic.starts_with(k_winograd)) {
    const int64_t positions = winograd_u8s8_positions(tactic.substr(k_winograd.size()), (*y)[2], (*y)[3]);
    return static_cast<double>(2 * (*y)[0] * positions * (*w)[0] * (*w)[1]) / 1e6;
  }
  if (string_attribute(node, "auto_pad", "NOTSET") != "NOTSET") return mmac;
  const std::vector<int64_t> pads = ints_attribute(node, "pads", {0, 0, 0, 0}),
                             strides = ints_attribute(node, "strides", {1, 1}),
                             dilations = ints_attribute(node, "dilations", {1, 1});
  if (pads.size() != 4 || strides.size() != 2 || dilations.size() != 2) return mmac;
  const int64_t live = live_taps((*x)[2], (*y)[2], (*w)[2], strides[0], dilations[0], pads[0]) *
                       live_taps((*x)[3], (*y)[3], (*w)[3], strides[1], dilations[1], pads[1]);
  const int64_t all = (*y)[2] * (*w)[2] * (*y)[3] * (*w)[3];
  return all > 0 ? mmac * static_cast<double>(live) / static_cast<double>(all) : mmac;
}

/// An empty loop of a team, the median of many.
double fork_us(int threads) {
  if (threads <= 1) return 0;
  ThreadPool pool(threads);
  std::vector<double> us;
  pool.run_team([&](TeamWalk& team) {
    for (int i = 0; i < 2000; ++i) {
      const Clock::time_point start = Clock::now();
      team.loop(pool.threads(), [](int64_t, int) {});
      if (team.worker() == 0) us.push_back(us_since(start));
    }
  });
  return median(std::move(us));
}

/// Products and bytes of a layer that a later one runs count to that one, whose time they take. What lies between the
/// two is not moved.
void carry(const Plan& plan, const Program& program, std::vector<RooflineLayer>& layers) {
  for (size_t i = 0; i < layers.size(); ++i) {
    RooflineLayer& layer = layers[i];
    if (layer.tactic != k_in_next_step) continue;
    size_t by = program.step_done_by(i).value_or(i + 1);
    while (by < layers.size() && layers[by].tactic == k_in_next_step) ++by;
    if (by >= layers.size()) continue;
    const ValueId between = plan.graph.node(plan.steps[i].node).outputs[0];
    layers[by].mmac += layer.mmac;
    layers[by].needed_mmac += layer.needed_mmac;
    layers[by].bytes += layer.bytes - 2 * bytes_of(plan.graph, between);  // written, then read
    layer.mmac = layer.needed_mmac = layer.bytes = 0;
  }
  for (RooflineLayer& layer : layers) layer.bytes = std::max(layer.bytes, 0.0);
}

}  // namespace

Result<RooflineReport> roofline(Session& session, double seconds) {
  Result<TensorBuffers> buffers = TensorBuffers::make(session);
  if (!buffers) return buffers.error();
  RooflineReport report;
  report.device = session.description();
  report.threads = std::max(1, session.threads() == 0 ? usable_threads() : session.threads());
  const std::vector<LayerInfo> layers = session.layers();
  const Plan& plan = session.state().engine->plan();
  std::vector<std::vector<double>> samples(layers.size());
  std::vector<double> whole;
  const Isa isa = isa_from_name(session.isa()).value_or(Isa::scalar);
  const MachinePeak peak = measure_peak(isa, report.threads);
  const Clock::time_point begin = Clock::now();
  for (int run = -3; run < 5 || (us_since(begin) < seconds * 1e6 && run < 1000); ++run) {
    std::vector<double> step_seconds;
    Clock::time_point start = Clock::now();
    if (Result<Done> ran = session.run(buffers->run_inputs(), buffers->run_outputs()); !ran) return ran.error();
    const double us = us_since(start);
    if (Result<Done> ran = session.run_profiled(buffers->run_inputs(), buffers->run_outputs(), step_seconds); !ran)
      return ran.error();
    if (run < 0) continue;
    whole.push_back(us);
    for (size_t i = 0; i < samples.size() && i < step_seconds.size(); ++i) samples[i].push_back(step_seconds[i] * 1e6);
  }
  const MachinePeak after =
      measure_peak(isa, report.threads);  // the better of before and after: the clock may have moved
  report.u8s8_gmacs = std::max(peak.u8s8_gmacs, after.u8s8_gmacs);
  report.f32_gmacs = std::max(peak.f32_gmacs, after.f32_gmacs);
  report.l2_gbs = std::max(peak.l2_gbs, after.l2_gbs);
  report.l3_gbs = std::max(peak.l3_gbs, after.l3_gbs);
  report.dram_gbs = std::max(peak.dram_gbs, after.dram_gbs);
  report.l2_read_bytes = static_cast<double>(peak.read.l2);
  report.l3_read_bytes = static_cast<double>(peak.read.l3);
  report.dram_read_bytes = static_cast<double>(peak.read.dram);
  report.bf16_gmacs = std::max(peak.bf16_gmacs, after.bf16_gmacs);
  report.bf16_instruction = peak.bf16_instruction;
  report.u8s8_instruction = peak.u8s8_instruction;
  report.f32_instruction = peak.f32_instruction;
  report.fork_us = fork_us(report.threads);
  report.whole_us = median(std::move(whole));
  for (size_t i = 0; i < layers.size(); ++i) {
    const Node& node = plan.graph.node(plan.steps[i].node);
    const bool is_convert = is_op(node, "QuantizeLinear") || is_op(node, "DequantizeLinear");
    report.layers.push_back(
        {layers[i].name, layers[i].op, layers[i].tactic, median(std::move(samples[i])), layers[i].mmac,
         bytes_of(plan.graph, node), node.op->name.starts_with("Quant") && !is_convert, is_convert,
         node.op->name.starts_with("Bf16"), needed_mmac(plan.graph, node, layers[i].tactic, layers[i].mmac)});
  }
  carry(plan, session.state().engine->program(), report.layers);
  return report;
}

}  // namespace octet
