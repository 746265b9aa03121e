// The C face of runtime.cpp: exceptions (no memory) and errors end as a text of the calling thread.
#include <exception>
#include <map>
#include <span>

#include "octet/runtime.h"
#include "octet_runtime.h"

struct octet_engine {
  octet::runtime::Engine engine;
};
struct octet_context {
  octet::runtime::Context context;
  size_t inputs, outputs;
};

namespace {

thread_local std::string last_error;

/// body() gives a Result<T>; its value, or the otherwise when it failed.
template <class T, class F>
T guarded(T otherwise, F body) {
  try {
    auto result = body();
    if (result) return *std::move(result);
    last_error = result.error().message;
  } catch (const std::exception& e) {
    last_error = e.what();
  }
  return otherwise;
}

octet::Error no_pointer(const char* what) { return {octet::ErrorCode::bad_argument, std::string(what) + " is NULL"}; }

octet::Result<octet_engine*> wrapped(octet::Result<octet::runtime::Engine> engine) {
  if (!engine) return engine.error();
  return new octet_engine{*std::move(engine)};
}

octet_port port_of(const std::vector<octet::runtime::Port>* ports, size_t i) {
  if (!ports || i >= ports->size()) return octet_port{nullptr, nullptr, nullptr, 0, 0};
  const octet::runtime::Port& port = (*ports)[i];
  return {port.name.c_str(), port.dtype.c_str(), port.dims.data(), port.dims.size(), port.bytes};
}

octet::runtime::Options options_of(int threads, int64_t batch) {
  octet::runtime::Options options;
  options.threads = threads;
  options.batch = batch;
  return options;
}

}  // namespace

extern "C" {

const char* octet_version(void) {
  static const std::string text = octet::runtime::version();
  return text.c_str();
}

const char* octet_last_error(void) { return last_error.c_str(); }

octet_engine* octet_engine_load(const char* path, int threads, int64_t batch) {
  return guarded<octet_engine*>(nullptr, [&]() -> octet::Result<octet_engine*> {
    if (!path) return no_pointer("path");
    return wrapped(octet::runtime::Engine::load(std::string(path), options_of(threads, batch)));
  });
}

octet_engine* octet_engine_load_memory(const void* plan, size_t bytes, int threads, int64_t batch) {
  return guarded<octet_engine*>(nullptr, [&]() -> octet::Result<octet_engine*> {
    if (!plan) return no_pointer("plan");
    const std::span<const std::byte> memory(static_cast<const std::byte*>(plan), bytes);
    return wrapped(octet::runtime::Engine::load(memory, options_of(threads, batch)));
  });
}

octet_engine* octet_engine_at(const octet_engine* engine, int64_t batch) {
  return guarded<octet_engine*>(nullptr, [&]() -> octet::Result<octet_engine*> {
    if (!engine) return no_pointer("engine");
    return wrapped(engine->engine.at(batch));
  });
}

octet_engine* octet_engine_at_shapes(const octet_engine* engine, const octet_shape* shapes, size_t count) {
  return guarded<octet_engine*>(nullptr, [&]() -> octet::Result<octet_engine*> {
    if (!engine) return no_pointer("engine");
    if (!shapes && count > 0) return no_pointer("shapes");
    std::map<std::string, std::vector<int64_t>> wanted;
    for (const octet_shape& shape : std::span(shapes, count)) {
      if (!shape.input || (!shape.dims && shape.rank > 0)) return no_pointer("a shape's input or dims");
      const std::span<const int64_t> dims(shape.dims, shape.rank);
      if (!wanted.emplace(shape.input, std::vector<int64_t>(dims.begin(), dims.end())).second)
        return octet::Error{octet::ErrorCode::bad_argument,
                            "input '" + std::string(shape.input) + "' is given two shapes; expected one"};
    }
    return wrapped(engine->engine.at(0, wanted));
  });
}

size_t octet_note_count(const octet_engine* engine) { return engine ? engine->engine.notes().size() : 0; }
const char* octet_note(const octet_engine* engine, size_t i) {
  return i < octet_note_count(engine) ? engine->engine.notes()[i].c_str() : nullptr;
}

void octet_engine_free(octet_engine* engine) { delete engine; }

size_t octet_input_count(const octet_engine* engine) { return engine ? engine->engine.inputs().size() : 0; }
size_t octet_output_count(const octet_engine* engine) { return engine ? engine->engine.outputs().size() : 0; }
octet_port octet_input(const octet_engine* engine, size_t i) {
  return port_of(engine ? &engine->engine.inputs() : nullptr, i);
}
octet_port octet_output(const octet_engine* engine, size_t i) {
  return port_of(engine ? &engine->engine.outputs() : nullptr, i);
}

octet_context* octet_context_new(const octet_engine* engine) {
  return guarded<octet_context*>(nullptr, [&]() -> octet::Result<octet_context*> {
    if (!engine) return no_pointer("engine");
    octet::Result<octet::runtime::Context> context = engine->engine.context();
    if (!context) return context.error();
    return new octet_context{*std::move(context), engine->engine.inputs().size(), engine->engine.outputs().size()};
  });
}

void octet_context_free(octet_context* context) { delete context; }

int octet_run(octet_context* context, const void* const* inputs, void* const* outputs) {
  return guarded<int>(1, [&]() -> octet::Result<int> {
    if (!context) return no_pointer("context");
    if ((!inputs && context->inputs > 0) || (!outputs && context->outputs > 0)) return no_pointer("inputs or outputs");
    const octet::Result<octet::Done> ran =
        context->context.run(std::span(inputs, context->inputs), std::span(outputs, context->outputs));
    if (!ran) return ran.error();
    return 0;
  });
}

}  // extern "C"
