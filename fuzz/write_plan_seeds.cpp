// octet_plan_seeds FOLDER: writes the seeds of plan_seeds.h as plans, and for each a form with tuning and packed
// weights of this machine.

#include <cstdio>
#include <filesystem>
#include <string>

#include "backends/open.h"
#include "base/file.h"
#include "ir/text.h"
#include "plan_seeds.h"
#include "runtime/engine.h"

namespace {

using namespace octet;

bool write(const std::filesystem::path& path, const PlanFile& plan) {
  const Result<std::vector<std::byte>> bytes = plan_bytes(plan);
  const Result<Done> done = bytes ? write_file_atomically(path.string(), *bytes) : Result<Done>(bytes.error());
  if (!done) std::fprintf(stderr, "%s: %s\n", path.c_str(), done.error().message.c_str());
  return done.has_value();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return std::fputs("usage: octet_plan_seeds FOLDER\n", stderr), 2;
  const std::filesystem::path folder = argv[1];
  for (const PlanSeed& seed : plan_seeds()) {
    PlanFile plan;
    plan.writer = "octet seeds";
    Result<Graph> graph = parse_graph(seed.graph);
    if (!graph) return std::fprintf(stderr, "%s: %s\n", seed.name.c_str(), graph.error().message.c_str()), 1;
    plan.graph = *std::move(graph);
    for (Node& node : plan.graph.nodes) node.origins = {node.name, "and " + node.name};
    plan.profile = seed.profile;
    plan.provenance = {{"model", seed.name}, {"precision", "int8"}, {"notes", "a note"}};
    if (!write(folder / seed.name, plan)) return 1;
    const Result<std::shared_ptr<Backend>> backend = open_backend("cpu", {.threads = 1});
    const Result<std::shared_ptr<const Engine>> engine =
        backend ? Engine::build(plan.graph, *backend) : Result<std::shared_ptr<const Engine>>(backend.error());
    if (!engine) return std::fprintf(stderr, "%s: %s\n", seed.name.c_str(), engine.error().message.c_str()), 1;
    TacticChoice tactics;
    for (const Step& step : (*engine)->plan().steps) tactics.push_back(step.tactic);
    plan.tuning = {{(*backend)->device_key(), (*backend)->timing_key(), tactics},
                   {"cpu amx kernels 1", "another CPU, amx, 2 threads, kernels 1", tactics}};
    plan.packed = {*Engine::packed_of(*engine)};
    if (!write(folder / (seed.name + "_packed"), plan)) return 1;
  }
}
