// Two networks in turns, over several engines of each: what one engine happens to get (where its weights lie, which
// pages) moves its time by some per cent, the same for all of its queries, so that queries of one pair of engines say
// nothing of it.

#include <array>
#include <chrono>
#include <optional>

#include "api/bench_lane.h"
#include "api/state.h"
#include "octet/measure.h"

namespace octet {
namespace {

using Clock = std::chrono::steady_clock;

/// A fresh session with its buffers. The one before it is let go after it was made, so that it lies elsewhere.
struct Side {
  const SessionMaker& maker;
  std::string name;
  std::optional<PerformanceReport> report = {};
  std::optional<Session> session = {};
  std::optional<Lane> lane = {};

  Result<Done> renew(const BenchSpec& spec) {
    Result<Session> fresh = maker.make();
    if (!fresh) return fresh.error();
    Result<TensorBuffers> buffers = buffers_for(*fresh, spec);
    if (!buffers) return buffers.error();
    if (!report) report = empty_report(*fresh, name, spec);
    const double first_ms = report->first_run_ms;
    const bool is_first = report->engine_starts.empty();
    report->engine_starts.push_back(report->queries.size());
    lane.reset();
    session = *std::move(fresh);
    lane.emplace(Lane{*session, *std::move(buffers), *report});
    if (const Result<Done> ran = lane->first_run(); !ran) return ran;
    if (!is_first) report->first_run_ms = first_ms;
    return Done{};
  }
};

/// One pair of engines: its share of the warm-up and of the queries. The side that is prepared and asked first changes
/// from pair to pair.
Result<Done> measure_pair(std::array<Side*, 2> sides, const BenchSpec& spec, int64_t iterations, int pairs) {
  for (Side* side : sides)
    if (const Result<Done> made = side->renew(spec); !made) return made;
  const auto start = Clock::now();
  constexpr int k_least_warm = 2;
  for (int i = 0; i < k_least_warm || ms_since(start) < spec.warmup_ms / pairs; ++i)
    for (Side* side : sides)
      if (const Result<Done> ran = side->lane->query(true); !ran) return ran;
  const auto measured = Clock::now();
  for (int64_t i = 0; i < iterations || ms_since(measured) < spec.duration_s * 1000 / pairs; ++i)
    for (Side* side : sides)
      if (const Result<Done> ran = side->lane->query(false); !ran) return ran;
  return Done{};
}

/// What stands in the way of making the engine again and again: measurements that may end otherwise each time.
bool is_measured(const SessionSpec& spec) {
  return spec.precision == "best" || spec.optimization_level >= 3 || is_gpu(spec.device);
}

}  // namespace

Result<SessionMaker> SessionMaker::open(const std::string& path, const SessionSpec& spec, const LoadOptions& options) {
  if (EngineFile::is_engine_file(path)) {
    Result<EngineFile> file = EngineFile::load(path);
    if (!file) return file.error();
    return of(*std::move(file), spec);
  }
  const Result<Model> model = Model::load(path, options);
  if (!model) return model.error();
  return of(*model, spec);
}

SessionMaker SessionMaker::of(EngineFile file, const SessionSpec& spec) {
  return SessionMaker([file = std::move(file), spec] { return Session::load(file, spec); });
}

Result<SessionMaker> SessionMaker::of(const Model& model, const SessionSpec& spec) {
  if (is_measured(spec)) {
    BuildSpec build;
    build.session = spec;
    build.packed = false;
    Result<EngineFile> file = build_engine(model, build);
    if (!file) return file.error();
    return of(*std::move(file), spec);
  }
  Result<PreparedModel> prepared = prepare_model(model, spec);  // calibrated once
  if (!prepared) return prepared.error();
  return SessionMaker([model = prepared->model, spec, notes = prepared->notes] {
    Result<Session> session = Session::build(model, spec);
    if (session) session->state().notes = notes;
    return session;
  });
}

Result<std::pair<PerformanceReport, PerformanceReport>> bench_paired(const SessionMaker& a, const std::string& a_name,
                                                                     const SessionMaker& b, const std::string& b_name,
                                                                     const BenchSpec& spec) {
  constexpr int k_pairs = 9;  // report/performance.h, speed_up(): the interval's coverage follows from it
  Side first{a, a_name}, second{b, b_name};
  const int64_t iterations = (spec.iterations + k_pairs - 1) / k_pairs;
  for (int pair = 0; pair < k_pairs; ++pair) {
    const std::array<Side*, 2> order = pair % 2 ? std::array{&second, &first} : std::array{&first, &second};
    if (const Result<Done> done = measure_pair(order, spec, iterations, k_pairs); !done) return done.error();
  }
  for (Side* side : {&first, &second})
    if (spec.profile)
      if (const Result<Done> done = side->lane->profile(); !done) return done.error();
  return std::pair(*std::move(first.report), *std::move(second.report));
}

}  // namespace octet
