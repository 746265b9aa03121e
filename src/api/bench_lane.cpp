#include "api/bench_lane.h"

#include <algorithm>
#include <numeric>

#include "api/state.h"

namespace octet {

using Clock = std::chrono::steady_clock;

double ms_since(Clock::time_point start) {
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

Result<TensorBuffers> buffers_for(const Session& session, const BenchSpec& spec) {
  Result<TensorBuffers> buffers = TensorBuffers::make(session);
  if (!buffers) return buffers;
  for (const auto& [input, file] : spec.inputs)
    if (const Result<Done> loaded = buffers->load(input, file); !loaded) return loaded.error();
  return buffers;
}

PerformanceReport empty_report(const Session& session, const std::string& name, const BenchSpec& spec) {
  PerformanceReport report;
  report.model = name;
  report.device = session.description();
  report.isa = session.isa();
  report.precision = session.precision();
  report.threads = session.threads();
  report.batch = session.batch();
  report.warmup_ms = spec.warmup_ms;
  report.streams = spec.streams;
  report.load_ms = 1000 * session.times().load_s;
  report.build_ms = 1000 * session.times().build_s;
  report.weight_bytes = session.packed_bytes();
  report.context_bytes = session.context_bytes();
  return report;
}

Result<Done> Lane::first_run() {
  const auto start = Clock::now();
  const Result<Done> ran = session.run(buffers.run_inputs(), buffers.run_outputs());
  report.first_run_ms = ms_since(start);
  return ran;
}

Result<Done> Lane::query(bool warm) {
  const auto start = Clock::now();
  DeviceTimes device;
  device.compute = -1;  // left alone by a back end that works in host memory
  RunHooks hooks;
  hooks.device_times = &device;
  const Result<Done> ran = session.state().run(buffers.run_inputs(), buffers.run_outputs(), hooks);
  if (!ran) return ran.error();
  const double ms = ms_since(start);
  const auto in_ms = [](double seconds) { return static_cast<float>(1000 * seconds); };
  if (warm) {
    ++report.warmup_queries;
  } else {
    report.queries.push_back(device.compute < 0 ? QueryTimes{0, 0, static_cast<float>(ms), 0}
                                                : QueryTimes{in_ms(device.enqueue), in_ms(device.h2d),
                                                             in_ms(device.compute), in_ms(device.d2h)});
    report.walltime_s += ms / 1000;
  }
  return Done{};
}

Result<Done> Lane::profile() {
  const size_t runs = std::max<size_t>(10, std::min<size_t>(report.queries.size(), 200));
  const std::vector<LayerInfo> layers = session.layers();
  for (const LayerInfo& layer : layers) report.profile.layers.push_back({layer.name, {}});
  for (size_t i = 0; i < runs; ++i) {
    std::vector<double> seconds;
    DeviceTimes device;
    device.compute = -1;  // left alone by a back end that works in host memory
    RunHooks hooks;
    hooks.step_seconds = &seconds;
    hooks.device_times = &device;
    const auto start = Clock::now();
    if (const Result<Done> ran = session.state().run(buffers.run_inputs(), buffers.run_outputs(), hooks); !ran)
      return ran.error();
    const double ms = device.compute < 0 ? ms_since(start) : 1000 * device.compute;
    report.profile.run_ms.push_back(static_cast<float>(ms));
    for (size_t l = 0; l < layers.size() && l < seconds.size(); ++l)
      report.profile.layers[l].ms.push_back(static_cast<float>(1000 * seconds[l]));
  }
  for (size_t l = 0; l < layers.size(); ++l) {
    const std::vector<float>& ms = report.profile.layers[l].ms;
    const double sum = std::accumulate(ms.begin(), ms.end(), 0.0);
    report.layers.push_back({layers[l].name, layers[l].op, layers[l].tactic, sum / static_cast<double>(runs)});
  }
  return Done{};
}

}  // namespace octet
