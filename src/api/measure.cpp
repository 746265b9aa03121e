// The measuring loop: trtexec's conditions, one thread for each stream, phases by the host's clock or the device's.

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <optional>
#include <thread>

#include "api/state.h"
#include "backends/open.h"
#include "octet/measure.h"

namespace octet {
namespace {

using Clock = std::chrono::steady_clock;

void sleep_ms(double ms) {
  if (ms > 0) std::this_thread::sleep_for(std::chrono::duration<double, std::milli>(ms));
}

/// One stream at work.
struct Lane {
  Session& session;
  TensorBuffers& host;
  std::optional<TensorBuffers> engine_side;  // with transfers, while no device does them
  RunProfile* profile = nullptr;
  std::vector<QueryTrace> trace = {};
  std::optional<Error> error = {};
};

class Loop {
 public:
  Loop(const MeasureSpec& spec, Clock::time_point start) : spec_(spec), start_(start) {}

  /// Stops early when another stream has failed.
  void run(Lane& lane) {
    int64_t skipped = 0;
    double latest = 0;  // the largest compute start of a finished query
    const double end_ms = spec_.duration_s * 1000 + spec_.warmup_ms;
    const bool endless = spec_.duration_s < 0;
    for (int64_t i = 0; endless || i < spec_.iterations + skipped || latest < end_ms; ++i) {
      if (failed_.load(std::memory_order_relaxed)) return;
      if (const Result<Done> ran = query(lane); !ran) {
        lane.error = ran.error();
        failed_ = true;
        return;
      }
      latest = std::max(latest, lane.trace.back().compute_start);
      if (latest < spec_.warmup_ms) {
        ++skipped;
      } else {
        sleep_ms(spec_.idle_ms);
      }
      if (endless) lane.trace.clear();
    }
  }

 private:
  double now() const { return std::chrono::duration<double, std::milli>(Clock::now() - start_).count(); }

  Result<Done> query(Lane& lane) {
    QueryTrace q;
    q.enqueue_start = now();
    q.enqueue_end = now();
    q.h2d_start = q.h2d_end = q.enqueue_end;
    TensorBuffers& bound = lane.engine_side ? *lane.engine_side : lane.host;
    if (lane.engine_side) {
      for (size_t i = 0; i < bound.inputs().size(); ++i)
        std::memcpy(bound.input(i).data(), lane.host.input(i).data(), bound.input(i).size());
      q.h2d_end = now();
    }
    RunHooks hooks;
    DeviceTimes device{-1, -1, -1};
    hooks.device_times = &device;
    std::vector<double> seconds;
    if (lane.profile) hooks.step_seconds = &seconds;
    q.compute_start = q.h2d_end;
    const Result<Done> ran = lane.session.state().run(bound.run_inputs(), bound.run_outputs(), hooks);
    if (!ran) return ran;
    q.compute_end = now();
    const double run_ms = q.compute_end - q.compute_start;
    q.d2h_start = q.d2h_end = q.compute_end;
    if (lane.engine_side) {
      for (size_t i = 0; i < bound.outputs().size(); ++i)
        std::memcpy(lane.host.output(i).data(), bound.output(i).data(), bound.output(i).size());
      q.d2h_end = now();
    }
    if (device.compute >= 0) {
      by_device(device, q);
      lane.engine_side.reset();
    }
    if (lane.profile) count_layers(*lane.profile, seconds, device.compute >= 0 ? 1000 * device.compute : run_ms);
    lane.trace.push_back(q);
    return Done{};
  }

  /// The device's phases, laid end to end from the hand-over.
  void by_device(const DeviceTimes& device, QueryTrace& q) const {
    q.h2d_end = q.h2d_start + (spec_.transfers ? 1000 * device.h2d : 0);
    q.compute_start = q.h2d_end;
    q.compute_end = q.compute_start + 1000 * device.compute;
    q.d2h_start = q.compute_end;
    q.d2h_end = q.d2h_start + (spec_.transfers ? 1000 * device.d2h : 0);
  }

  static void count_layers(RunProfile& profile, const std::vector<double>& seconds, double run_ms) {
    for (size_t i = 0; i < profile.layers.size() && i < seconds.size(); ++i)
      profile.layers[i].ms.push_back(static_cast<float>(1000 * seconds[i]));
    profile.run_ms.push_back(static_cast<float>(run_ms));
  }

  const MeasureSpec& spec_;
  Clock::time_point start_;
  std::atomic<bool> failed_ = false;
};

}  // namespace

Result<std::vector<QueryTrace>> measure(std::span<const Stream> streams, const MeasureSpec& spec, RunProfile* profile) {
  std::vector<Lane> lanes;
  for (const Stream& stream : streams) {
    Lane lane{*stream.session, *stream.buffers, {}};
    if (spec.transfers) {
      Result<TensorBuffers> made = TensorBuffers::make(*stream.session);
      if (!made) return made.error();
      lane.engine_side = std::move(*made);
    }
    lanes.push_back(std::move(lane));
  }
  if (profile && !lanes.empty()) {
    lanes[0].profile = profile;
    for (const LayerDetail& layer : layer_details(lanes[0].session)) profile->layers.push_back({layer.name, {}});
  }
  sleep_ms(spec.sleep_ms);
  Loop loop(spec, Clock::now());
  if (lanes.size() == 1) {
    loop.run(lanes[0]);
  } else {
    std::vector<std::jthread> threads;
    for (Lane& lane : lanes) threads.emplace_back([&loop, &lane] { loop.run(lane); });
  }
  std::vector<QueryTrace> trace;
  for (Lane& lane : lanes) {
    if (lane.error) return *lane.error;
    trace.insert(trace.end(), lane.trace.begin(), lane.trace.end());
  }
  std::stable_sort(trace.begin(), trace.end(),
                   [](const QueryTrace& a, const QueryTrace& b) { return a.h2d_start < b.h2d_start; });
  return trace;
}

bool has_device(const std::string& device) { return open_backend(device, {.threads = 1}).has_value(); }

}  // namespace octet
