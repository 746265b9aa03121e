// A plan in C++ with nothing but liboctet_runtime: runtime_example PLAN
#include <octet/runtime.h>

#include <cstdio>
#include <vector>

int main(int argc, char** argv) {
  if (argc < 2) return std::fprintf(stderr, "usage: %s PLAN\n", argv[0]), 2;
  const auto engine = octet::runtime::Engine::load(argv[1]);
  if (!engine) return std::fprintf(stderr, "%s\n", engine.error().message.c_str()), 1;
  auto context = engine->context();
  if (!context) return std::fprintf(stderr, "%s\n", context.error().message.c_str()), 1;

  std::vector<std::vector<float>> buffers;  // float networks; the plan's ports say what others hold
  std::vector<const void*> inputs;
  std::vector<void*> outputs;
  for (const auto& port : engine->inputs())
    inputs.push_back(buffers.emplace_back(port.bytes / sizeof(float), 0.5f).data());
  for (const auto& port : engine->outputs()) outputs.push_back(buffers.emplace_back(port.bytes / sizeof(float)).data());

  const auto ran = context->run(inputs, outputs);
  if (!ran) return std::fprintf(stderr, "%s\n", ran.error().message.c_str()), 1;
  for (const float y : buffers.back()) std::printf("%.9g\n", y);
}
