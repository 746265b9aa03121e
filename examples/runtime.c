/* A plan in C with nothing but liboctet_runtime: runtime_example PLAN */
#include <octet_runtime.h>
#include <stdio.h>
#include <stdlib.h>

static int failed(void) {
  fprintf(stderr, "%s\n", octet_last_error());
  return 1;
}

int main(int argc, char** argv) {
  octet_engine* engine = argc > 1 ? octet_engine_load(argv[1], 1, 0) : NULL;
  octet_context* context = engine ? octet_context_new(engine) : NULL;
  if (!context) return failed();
  for (size_t i = 0; i < octet_note_count(engine); ++i) fprintf(stderr, "note: %s\n", octet_note(engine, i));
  /* A network of one float input and one float output. */
  octet_port in = octet_input(engine, 0), out = octet_output(engine, 0);
  float *x = malloc(in.bytes), *y = malloc(out.bytes);
  for (size_t i = 0; i < in.bytes / sizeof(float); ++i) x[i] = 0.5f;
  const void* inputs[] = {x};
  void* outputs[] = {y};
  if (octet_run(context, inputs, outputs) != 0) return failed();
  for (size_t i = 0; i < out.bytes / sizeof(float); ++i) printf("%.9g\n", y[i]);
  free(x);
  free(y);
  octet_context_free(context);
  octet_engine_free(engine);
  return 0;
}
