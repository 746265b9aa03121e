#include "runtime/load_plan.h"

#include <algorithm>
#include <cstring>

#include "base/file.h"
#include "base/weight_memory.h"
#include "plan/plan_codec.h"
#include "runtime/widen_bf16.h"

namespace octet {
namespace {

/// Input shapes for a plan: the wanted ones where some are named, else the best ones.
Result<std::vector<Dims>> plan_shapes(const PlanFile& plan, const WantedShapes& wanted) {
  std::vector<Dims> shapes;
  for (const ValueId v : plan.graph.inputs) shapes.push_back(*known_dims(*plan.graph.value(v).shape));
  if (wanted.batch > 0)
    for (Dims& dims : shapes)
      if (!dims.empty()) dims[0] = wanted.batch;
  for (const auto& [name, dims] : wanted.shapes) {
    size_t i = 0;
    while (i < shapes.size() && plan.graph.value(plan.graph.inputs[i]).name != name) ++i;
    if (i == shapes.size())
      return Error{ErrorCode::bad_argument, "a shape was given for '" + name + "', which is not an input of the plan"};
    shapes[i] = dims;
  }
  return shapes;
}

/// The first tactic of the part that cannot be had here, and why; empty: all can.
std::string missing_tactic(const TuningPart& part, const Graph& graph, const Backend& backend) {
  if (part.tactics.size() != graph.nodes.size()) return "those of another number of layers";
  for (size_t n = 0; n < part.tactics.size(); ++n) {
    if (part.tactics[n].empty()) continue;
    std::string why = "no such tactic of the layer";
    for (const Tactic& t : backend.tactics(graph, static_cast<NodeId>(n)))
      if (t.name == part.tactics[n]) why = t.refused;
    if (!why.empty()) return "'" + part.tactics[n] + "' (" + why + ")";
  }
  return "";
}

/// The tactics that the plan's tuning found for this machine and thread count; none where it has none or they do not
/// fit.
TacticChoice tactics_of(const PlanFile& plan, const Graph& graph, const Backend& backend,
                        std::vector<std::string>& notes) {
  std::string others;
  for (const TuningPart& part : plan.tuning) {
    if (part.device_key != backend.device_key() || part.timing_key != backend.timing_key()) {
      others += (others.empty() ? "'" : ", '") + part.timing_key + "'";
      continue;
    }
    const std::string missing = missing_tactic(part, graph, backend);
    if (missing.empty()) return part.tactics;
    notes.push_back("tuning of the plan ignored: it names tactics that this octet does not have here: " + missing +
                    "; tactics are chosen anew");
    return {};
  }
  if (!others.empty())
    notes.push_back("tuning of the plan ignored: it was measured on " + others + ", this is '" + backend.timing_key() +
                    "'; tactics are chosen anew");
  return {};
}

/// Weights of a large network, copied to where huge pages are: mapped from a file they lie on pages of 4 KB, and every
/// run pays for their addresses (3 % of ResNet-50 at batch 1). The file's pages go back to the system. Small parts stay
/// where they are; so do all when memory is short.
std::shared_ptr<const PackedPart> on_huge_pages(const PackedPart& part) {
  constexpr size_t k_huge_page = size_t{2} << 20;
  size_t bytes = 0;
  for (const PackedWeights& step : part.steps) bytes += plan_align(step.bytes.size());
  auto made = std::make_shared<PackedPart>(part);
  if (bytes < k_huge_page) return made;
  const auto memory = std::make_shared<WeightBytes>(allocate_weights(bytes));
  if (!*memory) return made;
  std::byte* to = memory->get();
  for (PackedWeights& step : made->steps) {
    if (step.bytes.empty()) continue;
    std::memcpy(to, step.bytes.data(), step.bytes.size());
    release_mapped_pages(step.bytes);
    step.bytes = {to, step.bytes.size()};
    to += plan_align(step.bytes.size());
  }
  made->owner = memory;
  return made;
}

/// The plan's packed weights for this machine, or null.
std::shared_ptr<const PackedPart> packed_of(const PlanFile& plan, const Backend& backend,
                                            std::vector<std::string>& notes) {
  std::string others;
  for (const PackedPart& part : plan.packed) {
    if (part.key == backend.packing_key()) return on_huge_pages(part);
    others += (others.empty() ? "'" : ", '") + part.key + "'";
  }
  if (!others.empty())
    notes.push_back("packed weights of the plan ignored: they are for " + others + ", this is '" +
                    backend.packing_key() + "'; packed anew");
  return nullptr;
}

/// Says when weights that the plan brought along were of no use.
void note_unused(const PackedPart& part, const Engine& engine, std::vector<std::string>& notes) {
  const size_t had = static_cast<size_t>(
      std::count_if(part.steps.begin(), part.steps.end(), [](const PackedWeights& w) { return !w.bytes.empty(); }));
  const size_t used = engine.program().borrowed_steps();
  if (used < had)
    notes.push_back(
        std::to_string(had - used) + " of the plan's " + std::to_string(had) +
        " packed weights are in another form than the tactics here want (chosen for another number of threads, "
        "or by a tuning that does not fit); packed anew");
}

}  // namespace

Result<std::shared_ptr<const Engine>> load_engine(const PlanFile& plan, const std::shared_ptr<Backend>& backend,
                                                  const WantedShapes& wanted, std::vector<std::string>& notes,
                                                  const std::shared_ptr<const Engine>& sibling) {
  const Result<std::vector<Dims>> shapes = plan_shapes(plan, wanted);
  if (!shapes) return shapes.error();
  Result<Graph> graph = at_shapes(plan, *shapes);
  if (!graph) return graph.error();
  if (const Result<Done> done = widen_bf16(*graph, *backend, notes); !done) return done.error();
  const TacticChoice choice = tactics_of(plan, *graph, *backend, notes);
  const std::shared_ptr<const PackedPart> packed =
      sibling ? Engine::packed_of(sibling) : packed_of(plan, *backend, notes);
  Result<std::shared_ptr<const Engine>> engine = Engine::build(*std::move(graph), backend, choice, packed);
  if (engine && packed && !sibling) note_unused(*packed, **engine, notes);
  return engine;
}

std::string uncalibrated_note(const PlanFile& plan) {
  if (provenance_value(plan.provenance, "uncalibrated") != "yes") return "";
  return "UNCALIBRATED: the ranges of this plan are placeholders or those of noise, its answers mean nothing";
}

}  // namespace octet
