#include <algorithm>
#include <chrono>
#include <numeric>

#include "api/state.h"
#include "octet/measure.h"
#include "octet/tasks.h"

namespace octet {
namespace {

using Clock = std::chrono::steady_clock;

double ms_since(Clock::time_point start) {
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

/// Random inputs as trtexec draws them, or the files of the spec.
Result<TensorBuffers> buffers_for(const Session& session, const BenchSpec& spec) {
  Result<TensorBuffers> buffers = TensorBuffers::make(session);
  if (!buffers) return buffers;
  for (const auto& [input, file] : spec.inputs)
    if (const Result<Done> loaded = buffers->load(input, file); !loaded) return loaded.error();
  return buffers;
}

PerformanceReport head(const Session& session, const std::string& name, const BenchSpec& spec) {
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

/// What a user waits for once.
Result<Done> first_run(Session& session, TensorBuffers& b, PerformanceReport& report) {
  const auto start = Clock::now();
  const Result<Done> ran = session.run(b.run_inputs(), b.run_outputs());
  report.first_run_ms = ms_since(start);
  return ran;
}

/// One query; its time goes to the report unless it belongs to the warm-up. The engine runs in the calling thread, so
/// the hand-over costs nothing and the buffers are used in place.
Result<Done> query(Session& session, TensorBuffers& b, bool warm, PerformanceReport& report) {
  const auto start = Clock::now();
  DeviceTimes device;
  device.compute = -1;  // left alone by a back end that works in host memory
  RunHooks hooks;
  hooks.device_times = &device;
  const Result<Done> ran = session.state().run(b.run_inputs(), b.run_outputs(), hooks);
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

/// Runs with the layer clock, as many as there were queries, 10 to 200.
Result<Done> profile(Session& session, TensorBuffers& b, PerformanceReport& report) {
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
    if (const Result<Done> ran = session.state().run(b.run_inputs(), b.run_outputs(), hooks); !ran) return ran.error();
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

struct Lane {
  Session& session;
  TensorBuffers buffers;
  PerformanceReport report;
};

/// trtexec's loop: queries that start within the warm-up are dropped; then both minima must be met.
Result<Done> measure(std::vector<Lane>& lanes, const BenchSpec& spec) {
  for (Lane& lane : lanes)
    if (const Result<Done> ran = first_run(lane.session, lane.buffers, lane.report); !ran) return ran.error();
  const auto start = Clock::now();
  while (ms_since(start) < spec.warmup_ms)
    for (Lane& lane : lanes)
      if (const Result<Done> ran = query(lane.session, lane.buffers, true, lane.report); !ran) return ran.error();
  const auto measured = Clock::now();
  for (int64_t i = 0; i < spec.iterations || ms_since(measured) < spec.duration_s * 1000; ++i)
    for (Lane& lane : lanes)
      if (const Result<Done> ran = query(lane.session, lane.buffers, false, lane.report); !ran) return ran.error();
  if (spec.profile)
    for (Lane& lane : lanes)
      if (const Result<Done> done = profile(lane.session, lane.buffers, lane.report); !done) return done.error();
  return Done{};
}

/// Several contexts of one engine at the same time, by trtexec's own loop (octet/measure.h).
Result<PerformanceReport> bench_streams(Session& session, const std::string& name, const BenchSpec& spec) {
  PerformanceReport report = head(session, name, spec);
  std::vector<Session> others;
  std::vector<TensorBuffers> buffers;
  for (int i = 0; i < spec.streams; ++i) {
    Result<TensorBuffers> own = buffers_for(session, spec);
    if (!own) return own.error();
    buffers.push_back(*std::move(own));
    if (i == 0) continue;
    Result<Session> another = session.another();
    if (!another) return another.error();
    others.push_back(*std::move(another));
  }
  if (const Result<Done> ran = first_run(session, buffers[0], report); !ran) return ran.error();
  std::vector<Stream> streams;
  for (size_t i = 0; i < buffers.size(); ++i) streams.push_back({i == 0 ? &session : &others[i - 1], &buffers[i]});
  const MeasureSpec how{
      .iterations = spec.iterations, .duration_s = spec.duration_s, .warmup_ms = spec.warmup_ms, .transfers = false};
  const Result<std::vector<QueryTrace>> trace = measure(streams, how);
  if (!trace) return trace.error();
  const size_t first = first_measured(*trace, spec.warmup_ms);
  report.warmup_queries = static_cast<int64_t>(first);
  for (size_t i = first; i < trace->size(); ++i) {
    const QueryTrace& q = (*trace)[i];
    report.queries.push_back({q.enqueue(), q.h2d(), q.compute(), q.d2h()});
    report.walltime_s = std::max(report.walltime_s, (q.d2h_end - (*trace)[first].h2d_start) / 1000);
  }
  return report;
}

}  // namespace

Result<PerformanceReport> bench(Session& session, const std::string& name, const BenchSpec& spec) {
  if (spec.streams > 1 && spec.profile)
    return Error{ErrorCode::bad_argument, "layers are timed on one stream: --profile or --streams, not both"};
  if (spec.streams > 1) return bench_streams(session, name, spec);
  Result<TensorBuffers> buffers = buffers_for(session, spec);
  if (!buffers) return buffers.error();
  std::vector<Lane> lanes;
  lanes.push_back({session, std::move(*buffers), head(session, name, spec)});
  if (const Result<Done> done = measure(lanes, spec); !done) return done.error();
  if (spec.profile) {
    Result<RooflineReport> found = roofline(session, 1);
    if (!found) return found.error();
    lanes[0].report.roofline = *std::move(found);
  }
  return std::move(lanes[0].report);
}

Result<std::pair<PerformanceReport, PerformanceReport>> bench_paired(Session& a, const std::string& a_name, Session& b,
                                                                     const std::string& b_name, const BenchSpec& spec) {
  Result<TensorBuffers> first = buffers_for(a, spec);
  if (!first) return first.error();
  Result<TensorBuffers> second = buffers_for(b, spec);
  if (!second) return second.error();
  std::vector<Lane> lanes;
  lanes.push_back({a, std::move(*first), head(a, a_name, spec)});
  lanes.push_back({b, std::move(*second), head(b, b_name, spec)});
  if (const Result<Done> done = measure(lanes, spec); !done) return done.error();
  return std::pair(std::move(lanes[0].report), std::move(lanes[1].report));
}

Result<OutputCheck> check_outputs(Session& session, const std::string& file, const BenchSpec& spec, double tolerance) {
  if (session.outputs().size() != 1)
    return Error{ErrorCode::bad_argument, "the network has " + std::to_string(session.outputs().size()) + " outputs, " +
                                              file +
                                              " holds one: compare them with 'octet trtexec "
                                              "--loadRefOutputs'"};
  Result<TensorBuffers> buffers = buffers_for(session, spec);
  if (!buffers) return buffers.error();
  if (const Result<Done> ran = session.run(buffers->run_inputs(), buffers->run_outputs()); !ran) return ran.error();
  OutputCheck check;
  check.file = file;
  check.tolerance = tolerance;
  for (size_t i = 0; i < session.outputs().size(); ++i) {
    const Port& port = session.outputs()[i];
    const Result<std::vector<std::byte>> wanted = buffers->read_output(port.name, file);
    if (!wanted) return wanted.error();
    const std::span<const std::byte> made = std::as_const(*buffers).output(i);
    const Result<double> largest = output_loss("lInf", port.dtype, made, *wanted, 0, 0);
    if (!largest) return largest.error();
    const std::vector<std::byte> zeros(wanted->size());
    const Result<double> scale = output_loss("lInf", port.dtype, zeros, *wanted, 0, 0);
    const Result<double> cosine = output_loss("cos", port.dtype, made, *wanted, 0, 0);
    if (!scale) return scale.error();
    if (!cosine) return cosine.error();
    check.outputs.push_back({port.name, *largest, *scale, 1 - *cosine});
  }
  return check;
}

}  // namespace octet
