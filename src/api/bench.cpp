#include <algorithm>
#include <chrono>

#include "api/bench_lane.h"
#include "api/state.h"

namespace octet {
namespace {

using Clock = std::chrono::steady_clock;

/// trtexec's loop: queries that start within the warm-up are dropped; then both minima must be met.
Result<Done> measure(Lane& lane, const BenchSpec& spec) {
  if (const Result<Done> ran = lane.first_run(); !ran) return ran;
  const auto start = Clock::now();
  while (ms_since(start) < spec.warmup_ms)
    if (const Result<Done> ran = lane.query(true); !ran) return ran;
  const auto measured = Clock::now();
  for (int64_t i = 0; i < spec.iterations || ms_since(measured) < spec.duration_s * 1000; ++i)
    if (const Result<Done> ran = lane.query(false); !ran) return ran;
  return spec.profile ? lane.profile() : Result<Done>(Done{});
}

/// Several contexts of one engine at the same time, by trtexec's own loop (octet/measure.h).
Result<PerformanceReport> bench_streams(Session& session, const std::string& name, const BenchSpec& spec) {
  PerformanceReport report = empty_report(session, name, spec);
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
  Lane first_lane{session, std::move(buffers[0]), report};
  if (const Result<Done> ran = first_lane.first_run(); !ran) return ran.error();
  buffers[0] = std::move(first_lane.buffers);
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
  PerformanceReport report = empty_report(session, name, spec);
  Lane lane{session, *std::move(buffers), report};
  if (const Result<Done> done = measure(lane, spec); !done) return done.error();
  if (spec.profile) {
    Result<RooflineReport> found = roofline(session, 1);
    if (!found) return found.error();
    report.roofline = *std::move(found);
  }
  return report;
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
