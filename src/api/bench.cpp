#include <chrono>
#include <cstring>

#include "api/state.h"
#include "base/aligned.h"
#include "octet/tasks.h"

namespace octet {
namespace {

using Clock = std::chrono::steady_clock;

double ms_since(Clock::time_point start) {
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

/// Buffers of one session; float inputs hold random numbers in [-1, 1] from a fixed seed, others zeros.
struct BenchBuffers {
  std::vector<AlignedBytes> owned;
  std::vector<const std::byte*> in;
  std::vector<std::byte*> out;
};

Result<BenchBuffers> buffers_for(const Session& session) {
  BenchBuffers b;
  uint64_t state = 0x9e3779b97f4a7c15ull;
  for (const Port& p : session.inputs()) {
    b.owned.push_back(allocate_aligned(p.bytes));
    if (!b.owned.back()) return Error{ErrorCode::out_of_memory, "no memory for input '" + p.name + "'"};
    std::memset(b.owned.back().get(), 0, p.bytes);
    if (p.dtype == "float32") {
      auto* x = reinterpret_cast<float*>(b.owned.back().get());
      for (size_t i = 0; i < p.bytes / sizeof(float); ++i) {
        state = state * 6364136223846793005ull + 1442695040888963407ull;  // Knuth's MMIX generator
        x[i] = static_cast<float>(static_cast<double>(state >> 40) / 8388608.0 - 1.0);
      }
    }
    b.in.push_back(b.owned.back().get());
  }
  for (const Port& p : session.outputs()) {
    b.owned.push_back(allocate_aligned(p.bytes));
    if (!b.owned.back()) return Error{ErrorCode::out_of_memory, "no memory for output '" + p.name + "'"};
    b.out.push_back(b.owned.back().get());
  }
  return b;
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
  return report;
}

/// One query; its time goes to the report unless it belongs to the warm-up. The engine runs in the calling thread, so
/// the hand-over costs nothing and the buffers are used in place.
Result<Done> query(Session& session, BenchBuffers& b, bool warm, PerformanceReport& report) {
  const auto start = Clock::now();
  DeviceTimes device;
  device.compute = -1;  // left alone by a back end that works in host memory
  if (const Result<Done> ran = session.state().run(b.in, b.out, {.tap = {}, .device_times = &device}); !ran)
    return ran.error();
  const double ms = ms_since(start);
  const auto in_ms = [](double seconds) { return static_cast<float>(1000 * seconds); };
  if (warm) {
    ++report.warmup_queries;
  } else {
    report.queries.push_back(device.compute < 0
                                 ? QueryTimes{0, 0, static_cast<float>(ms), 0}
                                 : QueryTimes{0, in_ms(device.h2d), in_ms(device.compute), in_ms(device.d2h)});
    report.walltime_s += ms / 1000;
  }
  return Done{};
}

Result<Done> profile(Session& session, BenchBuffers& b, PerformanceReport& report) {
  std::vector<double> seconds;
  const size_t runs = std::max<size_t>(10, std::min<size_t>(report.queries.size(), 200));
  for (size_t i = 0; i < runs; ++i)
    if (const Result<Done> ran = session.run_profiled(b.in, b.out, seconds); !ran) return ran.error();
  const std::vector<LayerInfo> layers = session.layers();
  for (size_t i = 0; i < layers.size() && i < seconds.size(); ++i)
    report.layers.push_back(
        {layers[i].name, layers[i].op, layers[i].tactic, seconds[i] * 1000 / static_cast<double>(runs)});
  return Done{};
}

struct Lane {
  Session& session;
  BenchBuffers buffers;
  PerformanceReport report;
};

/// trtexec's loop: queries that start within the warm-up are dropped; then both minima must be met.
Result<Done> measure(std::vector<Lane>& lanes, const BenchSpec& spec) {
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

}  // namespace

Result<PerformanceReport> bench(Session& session, const std::string& name, const BenchSpec& spec) {
  Result<BenchBuffers> buffers = buffers_for(session);
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
  Result<BenchBuffers> first = buffers_for(a);
  if (!first) return first.error();
  Result<BenchBuffers> second = buffers_for(b);
  if (!second) return second.error();
  std::vector<Lane> lanes;
  lanes.push_back({a, std::move(*first), head(a, a_name, spec)});
  lanes.push_back({b, std::move(*second), head(b, b_name, spec)});
  if (const Result<Done> done = measure(lanes, spec); !done) return done.error();
  return std::pair(std::move(lanes[0].report), std::move(lanes[1].report));
}

}  // namespace octet
