// The measuring loop: trtexec's conditions, phases by the host's clock or the device's, streams driven by a thread each
// or by one for all.

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <deque>
#include <functional>
#include <optional>
#include <semaphore>
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

/// One query in flight: a context, its buffers and what is known of the query.
struct Slot {
  Session* session = nullptr;
  TensorBuffers* host = nullptr;
  std::optional<TensorBuffers> engine_side = {};  // with transfers, where no device does them
  DeviceTimes device = {};
  std::vector<double> layer_seconds = {};
  QueryTrace q = {};
  bool is_active = false;

  TensorBuffers& bound() { return engine_side ? *engine_side : *host; }
  bool on_device() const { return session->state().engine->backend().runs_beside_the_host(); }
};

/// Another thread that runs what it is handed.
class Worker {
 public:
  explicit Worker(std::function<void()> work)
      : work_(std::move(work)), thread_([this](const std::stop_token& stop) {
          for (go_.acquire(); !stop.stop_requested(); go_.acquire()) {
            work_();
            done_.release();
          }
        }) {}
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;
  ~Worker() {
    thread_.request_stop();
    go_.release();
  }
  void hand_over() { go_.release(); }
  void wait() { done_.acquire(); }

 private:
  std::binary_semaphore go_{0}, done_{0};
  std::function<void()> work_;
  std::jthread thread_;
};

/// One stream at work: its queries in flight, in turns.
struct Lane {
  std::vector<Slot> slots;
  RunProfile* profile = nullptr;
  std::vector<QueryTrace> trace = {};
  std::optional<Error> error = {};
  std::unique_ptr<Worker> worker = {};  // where one thread drives several streams of the host
  size_t next = 0;
};

class Loop {
 public:
  Loop(const MeasureSpec& spec, Clock::time_point start) : spec_(spec), start_(start) {}

  /// trtexec's: a query of each stream is handed over, then the one before it is waited for. Stops early when a stream
  /// has failed.
  void drive(std::span<Lane> lanes) {
    int64_t skipped = 0;
    double latest = 0;  // the largest compute start of a finished query
    const double end_ms = spec_.duration_s * 1000 + spec_.warmup_ms;
    const bool endless = spec_.duration_s < 0;
    for (int64_t i = 0; endless || i < spec_.iterations + skipped || latest < end_ms; ++i) {
      for (Lane& lane : lanes) submit(lane);
      for (Lane& lane : lanes) latest = std::max(latest, collect(lane, lane.slots[lane.next]));
      if (failed_.load(std::memory_order_relaxed)) break;
      if (latest < spec_.warmup_ms) {
        ++skipped;
      } else {
        sleep_ms(spec_.idle_ms);
      }
      for (Lane& lane : lanes)
        if (endless) lane.trace.clear();
    }
    for (Lane& lane : lanes)
      for (size_t i = 0; i < lane.slots.size(); ++i) collect(lane, lane.slots[(lane.next + i) % lane.slots.size()]);
  }

  /// All of a query on the host.
  void compute(Lane& lane, Slot& slot) {
    QueryTrace& q = slot.q;
    q.h2d_start = q.h2d_end = now();
    TensorBuffers& bound = slot.bound();
    if (slot.engine_side) {
      for (size_t i = 0; i < bound.inputs().size(); ++i)
        std::memcpy(bound.input(i).data(), slot.host->input(i).data(), bound.input(i).size());
      q.h2d_end = now();
    }
    RunHooks hooks;
    slot.layer_seconds.clear();
    if (lane.profile) hooks.step_seconds = &slot.layer_seconds;
    q.compute_start = q.h2d_end;
    const Result<Done> ran = slot.session->state().run(bound.run_inputs(), bound.run_outputs(), hooks);
    if (!ran) lane.error = ran.error();
    q.compute_end = q.d2h_start = q.d2h_end = now();
    if (!slot.engine_side) return;
    for (size_t i = 0; i < bound.outputs().size(); ++i)
      std::memcpy(slot.host->output(i).data(), bound.output(i).data(), bound.output(i).size());
    q.d2h_end = now();
  }

 private:
  double now() const { return std::chrono::duration<double, std::milli>(Clock::now() - start_).count(); }

  RunHooks hooks_of(Lane& lane, Slot& slot) const {
    RunHooks hooks;
    hooks.device_times = &slot.device;
    hooks.transfers = spec_.transfers;
    if (lane.profile) hooks.step_seconds = &slot.layer_seconds;
    return hooks;
  }

  void submit(Lane& lane) {
    Slot& slot = lane.slots[lane.next];
    lane.next = (lane.next + 1) % lane.slots.size();
    slot.q = {};
    slot.is_active = true;
    slot.q.enqueue_start = now();
    if (!slot.on_device() && lane.worker) {
      lane.worker->hand_over();
      slot.q.enqueue_end = now();
      return;
    }
    if (!slot.on_device()) {
      slot.q.enqueue_end = slot.q.enqueue_start;  // nothing is handed over
      return compute(lane, slot);
    }
    RunHooks hooks = hooks_of(lane, slot);
    slot.layer_seconds.clear();
    Slot& before = lane.slots[lane.next];
    if (&before != &slot && before.is_active) hooks.after = &before.session->state().context->workspace();
    const Result<Done> ok = slot.session->state().submit(slot.host->run_inputs(), slot.host->run_outputs(), hooks);
    if (!ok) lane.error = ok.error();
    slot.q.enqueue_end = now();
    slot.q.enqueue_start = slot.q.enqueue_end - 1000 * slot.device.enqueue;
  }

  /// Waits for the query where one is in flight; compute start of the stream's last finished one, or 0.
  double collect(Lane& lane, Slot& slot) {
    if (slot.is_active) {
      slot.is_active = false;
      if (lane.worker) lane.worker->wait();
      if (slot.on_device() && !lane.error) {
        const Result<Done> ok = slot.session->state().finish(hooks_of(lane, slot));
        if (!ok) lane.error = ok.error();
        by_device(slot.device, slot.q);
      }
      if (lane.error) {
        failed_ = true;
        return 0;
      }
      if (lane.profile) count_layers(*lane.profile, slot);
      lane.trace.push_back(slot.q);
    }
    return lane.trace.empty() ? 0 : lane.trace.back().compute_start;
  }

  void by_device(const DeviceTimes& device, QueryTrace& q) const {
    q.compute_start = 1000 * device.compute_start;
    q.compute_end = q.compute_start + 1000 * device.compute;
    q.h2d_start = spec_.transfers ? 1000 * device.h2d_start : q.compute_start;
    q.h2d_end = spec_.transfers ? q.h2d_start + 1000 * device.h2d : q.compute_start;
    q.d2h_start = spec_.transfers ? 1000 * device.d2h_start : q.compute_end;
    q.d2h_end = spec_.transfers ? q.d2h_start + 1000 * device.d2h : q.compute_end;
  }

  static void count_layers(RunProfile& profile, const Slot& slot) {
    const double run_ms = slot.on_device() ? 1000 * slot.device.compute : slot.q.compute_end - slot.q.compute_start;
    for (size_t i = 0; i < profile.layers.size() && i < slot.layer_seconds.size(); ++i)
      profile.layers[i].ms.push_back(static_cast<float>(1000 * slot.layer_seconds[i]));
    profile.run_ms.push_back(static_cast<float>(run_ms));
  }

  const MeasureSpec& spec_;
  Clock::time_point start_;
  std::atomic<bool> failed_ = false;
};

/// The lanes of the streams; more: further contexts that queries in flight need.
Result<std::vector<Lane>> lanes_of(std::span<const Stream> streams, const MeasureSpec& spec, const RunProfile* profile,
                                   std::deque<Session>& more) {
  std::vector<Lane> lanes(streams.size());
  for (size_t i = 0; i < streams.size(); ++i) {
    std::vector<Slot>& slots = lanes[i].slots;
    slots.push_back({streams[i].session, streams[i].buffers});
    if (slots[0].on_device()) {
      if (!spec.overlap || profile) continue;
      Result<Session> second = streams[i].session->another();
      if (!second) return second.error();
      more.push_back(*std::move(second));
      slots.push_back({&more.back(), streams[i].buffers});
    } else if (spec.transfers) {
      Result<TensorBuffers> made = TensorBuffers::make(*streams[i].session);
      if (!made) return made.error();
      slots[0].engine_side = *std::move(made);
    }
  }
  return lanes;
}

/// A run with transfers in every context of a device: inputs before the measurement, outputs after it.
Result<Done> run_once(std::vector<Lane>& lanes) {
  for (Lane& lane : lanes)
    for (Slot& slot : lane.slots) {
      if (!slot.on_device()) continue;
      const Result<Done> ran = slot.session->state().run(slot.host->run_inputs(), slot.host->run_outputs(), {});
      if (!ran) return ran;
    }
  return Done{};
}

void drive_all(Loop& loop, std::vector<Lane>& lanes, const MeasureSpec& spec) {
  if (lanes.size() == 1) return loop.drive(lanes);
  if (spec.threads) {
    std::vector<std::jthread> threads;
    for (Lane& lane : lanes) threads.emplace_back([&loop, &lane] { loop.drive({&lane, 1}); });
    return;
  }
  for (Lane& lane : lanes)
    if (!lane.slots[0].on_device())
      lane.worker = std::make_unique<Worker>([&loop, &lane] { loop.compute(lane, lane.slots[0]); });
  loop.drive(lanes);
  for (Lane& lane : lanes) lane.worker.reset();
}

}  // namespace

Result<std::vector<QueryTrace>> measure(std::span<const Stream> streams, const MeasureSpec& spec, RunProfile* profile) {
  if (streams.empty()) return std::vector<QueryTrace>();
  std::deque<Session> more;
  Result<std::vector<Lane>> made = lanes_of(streams, spec, profile, more);
  if (!made) return made.error();
  std::vector<Lane>& lanes = *made;
  if (profile) {
    lanes[0].profile = profile;
    for (const LayerDetail& layer : layer_details(*streams[0].session))
      profile->layers.push_back({layer.joined_name, {}});
  }
  if (!spec.transfers)
    if (const Result<Done> brought = run_once(lanes); !brought) return brought.error();
  sleep_ms(spec.sleep_ms);
  if (const Result<Done> ok = streams[0].session->state().engine->backend().start_clock(); !ok) return ok.error();
  Loop loop(spec, Clock::now());
  drive_all(loop, lanes, spec);
  std::vector<QueryTrace> trace;
  for (Lane& lane : lanes) {
    if (lane.error) return *lane.error;
    trace.insert(trace.end(), lane.trace.begin(), lane.trace.end());
  }
  if (!spec.transfers)
    if (const Result<Done> fetched = run_once(lanes); !fetched) return fetched.error();
  std::stable_sort(trace.begin(), trace.end(),
                   [](const QueryTrace& a, const QueryTrace& b) { return a.h2d_start < b.h2d_start; });
  return trace;
}

bool has_device(const std::string& device) { return check_device(device).has_value(); }
Result<Done> check_device(const std::string& device) {
  const Result<std::shared_ptr<Backend>> opened = open_backend(device, {.threads = 1});
  return opened ? Result<Done>(Done{}) : opened.error();
}
bool is_device_built_in(const std::string& device) {
  const Result<BackendName> name = parse_backend_name(device);
  return name && name->is_built_in;
}
bool is_device_name(const std::string& device) { return parse_backend_name(device).has_value(); }
std::string device_names() { return backend_names(); }
bool is_gpu(const std::string& device) {
  const Result<BackendName> name = parse_backend_name(device);
  return name && name->is_gpu;
}
std::string gpu_device(const std::string& number) { return gpu_backend_name(number); }
int gpu_ordinal(const std::string& device) {
  const Result<BackendName> name = parse_backend_name(device);
  return name ? name->ordinal : 0;
}

}  // namespace octet
