#ifndef OCTET_RUNTIME_H
#define OCTET_RUNTIME_H
/* liboctet_runtime from C: loads plan files and runs them. An engine may be used from many threads at once, a context
   from one at a time. Functions that return a pointer give NULL on an error, octet_run gives 1; octet_last_error()
   then says what was wrong, on the thread that made the call. */

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct octet_engine octet_engine;
typedef struct octet_context octet_context;

/* One input or output, dense and row-major. Pointers live as long as the engine. */
typedef struct octet_port {
  const char* name;
  const char* dtype; /* "f32", "s64", ... */
  const int64_t* dims;
  size_t rank;
  size_t bytes;
} octet_port;

/* "0.1.0" */
const char* octet_version(void);
/* What the last failed call on this thread said; "" when none failed. Lives until the next failed call. */
const char* octet_last_error(void);

/* threads: 0 = all usable; batch: within the plan's profile, 0 = its best. */
octet_engine* octet_engine_load(const char* path, int threads, int64_t batch);
/* From memory, which is copied. */
octet_engine* octet_engine_load_memory(const void* plan, size_t bytes, int threads, int64_t batch);
/* The same network at another batch of the plan's profile, with the first engine's weights and threads. Each is freed
   by itself, in any order. */
octet_engine* octet_engine_at(const octet_engine* engine, int64_t batch);
/* An input and the shape that it is to have. */
typedef struct octet_shape {
  const char* input;
  const int64_t* dims;
  size_t rank;
} octet_shape;
/* The same, at other shapes of the plan's profile; inputs that are not listed keep the profile's best. */
octet_engine* octet_engine_at_shapes(const octet_engine* engine, const octet_shape* shapes, size_t count);
/* What a user should know of the plan, e.g. "UNCALIBRATED ..." where its ranges do not come from data and its answers
   mean nothing: print them. i below the count, else NULL; a note lives as long as the engine. */
size_t octet_note_count(const octet_engine* engine);
const char* octet_note(const octet_engine* engine, size_t i);
/* Contexts made from the engine stay usable. NULL is allowed. */
void octet_engine_free(octet_engine* engine);
size_t octet_input_count(const octet_engine* engine);
size_t octet_output_count(const octet_engine* engine);
/* i below the count; else a port of zeros. */
octet_port octet_input(const octet_engine* engine, size_t i);
octet_port octet_output(const octet_engine* engine, size_t i);

octet_context* octet_context_new(const octet_engine* engine);
void octet_context_free(octet_context* context);
/* One buffer per port, in port order; used in place. 0 = done. */
int octet_run(octet_context* context, const void* const* inputs, void* const* outputs);

#ifdef __cplusplus
}
#endif

#endif
