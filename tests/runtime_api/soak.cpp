// octet_soak SECONDS PLAN...: loads plans, makes engines of other batches, runs contexts and drops all of it again, on
// four threads with engines of two threads each, and watches answers and memory.
//
// Exit 1 when an answer differs from the plan's first one, when an error comes, or when the resident memory at the end
// is above that after the first fifth of the time by more than 5 % and 4 MiB (not under a sanitizer, whose own records
// grow).
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "octet/runtime.h"

namespace {

using octet::runtime::Context;
using octet::runtime::Engine;
using Clock = std::chrono::steady_clock;

std::atomic<bool> failed = false;
std::atomic<int64_t> loads = 0, runs = 0, refusals = 0;

void fail(const std::string& text) {
  if (!failed.exchange(true)) std::fprintf(stderr, "soak: %s\n", text.c_str());
}

double resident_mib() {
  std::ifstream status("/proc/self/statm");
  int64_t pages = 0;
  status >> pages >> pages;
  return static_cast<double>(pages) * 4096 / 1048576;
}

/// One run on numbers that depend on the input's place only; the answer's bytes.
std::string answer(const Engine& engine, Context& context) {
  std::vector<std::string> buffers;
  std::vector<const void*> in;
  std::vector<void*> out;
  buffers.reserve(engine.inputs().size() + engine.outputs().size());
  for (const auto& port : engine.inputs()) {
    std::string& x = buffers.emplace_back(port.bytes, '\0');
    for (size_t i = 0; port.dtype == "f32" && i + 4 <= x.size(); i += 4) {
      const float value = static_cast<float>(i % 997) * 0.25f;
      x.replace(i, 4, reinterpret_cast<const char*>(&value), 4);
    }
    in.push_back(x.data());
  }
  for (const auto& port : engine.outputs()) out.push_back(buffers.emplace_back(port.bytes, '\0').data());
  if (const auto ran = context.run(in, out); !ran) fail(ran.error().message);
  ++runs;
  return buffers.back();
}

struct Plan {
  std::string path, bytes, expected;
};

void work(const std::vector<Plan>& plans, unsigned seed, Clock::time_point end) {
  std::mt19937 random(seed);
  while (!failed && Clock::now() < end) {
    const Plan& plan = plans[random() % plans.size()];
    octet::Result<Engine> engine = Engine::load(plan.path, {.threads = 2});
    if (random() % 4 == 0) engine = Engine::load(std::as_bytes(std::span(plan.bytes)), {.threads = 2});
    if (!engine) return fail(engine.error().message);
    ++loads;
    if (random() % 8 == 0) {  // what is refused must leave nothing behind
      std::string broken = plan.bytes;
      broken[random() % broken.size()] ^= 1;
      if (Engine::load(std::as_bytes(std::span(broken)))) return fail("a broken plan was taken");
      ++refusals;
    }
    std::vector<Context> contexts;
    for (unsigned n = 1 + random() % 3; n > 0; --n) {
      octet::Result<Context> context = engine->context();
      if (!context) return fail(context.error().message);
      contexts.push_back(*std::move(context));
    }
    for (unsigned n = 1 + random() % 8; n > 0; --n)
      if (answer(*engine, contexts[random() % contexts.size()]) != plan.expected)
        return fail(plan.path + ": another answer");
    if (const octet::Result<Engine> other = engine->at(1 + random() % 4)) {
      octet::Result<Context> context = other->context();
      if (!context) return fail(context.error().message);
      engine = *other;  // the first engine goes, its weights stay
      (void)answer(*other, *context);
    }
  }
}

/// Four threads on one engine of two threads, each with a context of its own.
void share(const Plan& plan) {
  const octet::Result<Engine> engine = Engine::load(plan.path, {.threads = 2});
  if (!engine) return fail(engine.error().message);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&] {
      octet::Result<Context> context = engine->context();
      for (int i = 0; context && i < 20; ++i)
        if (answer(*engine, *context) != plan.expected) fail(plan.path + ": another answer beside other contexts");
    });
  for (std::thread& thread : threads) thread.join();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) return std::fprintf(stderr, "usage: %s SECONDS PLAN...\n", argv[0]), 2;
  const double seconds = std::atof(argv[1]);
  std::vector<Plan> plans;
  for (int i = 2; i < argc; ++i) {
    std::ifstream file(argv[i], std::ios::binary);
    Plan plan{argv[i], {std::istreambuf_iterator<char>(file), {}}, ""};
    const octet::Result<Engine> engine = Engine::load(plan.path);
    if (!engine) return std::fprintf(stderr, "soak: %s\n", engine.error().message.c_str()), 1;
    octet::Result<Context> context = engine->context();
    if (!context) return std::fprintf(stderr, "soak: %s\n", context.error().message.c_str()), 1;
    plan.expected = answer(*engine, *context);
    plans.push_back(std::move(plan));
  }
  for (const Plan& plan : plans) share(plan);
  const Clock::time_point start = Clock::now();
  const Clock::time_point end =
      start + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < 4; ++t) threads.emplace_back([&, t] { work(plans, t + 1, end); });
  double early = 0, most_late = 0;
  for (int tenth = 1; tenth <= 10 && !failed; ++tenth) {
    std::this_thread::sleep_until(start + (end - start) * tenth / 10);
    const double mib = resident_mib();
    (tenth <= 2 ? early : most_late) = std::max(tenth <= 2 ? early : most_late, mib);
    std::printf("soak: %3d %%, resident %.1f MiB, %lld loads, %lld runs, %lld refused\n", tenth * 10, mib,
                static_cast<long long>(loads), static_cast<long long>(runs), static_cast<long long>(refusals));
    std::fflush(stdout);
  }
  for (std::thread& thread : threads) thread.join();
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  if (most_late > early * 1.05 + 4) fail("memory grows");
#endif
  std::printf("soak: %s\n", failed ? "FAILED" : "passed");
  return failed ? 1 : 0;
}
