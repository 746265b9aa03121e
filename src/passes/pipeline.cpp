// The list of passes and its two ways of running: repeated (clean) and once (fuse).

#include <algorithm>
#include <array>

#include "ir/op.h"
#include "ir/origins.h"
#include "passes/passes.h"

namespace octet {

#define OCTET_PASS(pass, stage) Result<Changed> pass(Graph& graph);
#include "passes/pipeline.def"
#undef OCTET_PASS

namespace {

constexpr std::array k_passes = {
#define OCTET_PASS(pass, stage) Pass{#pass, Stage::stage, pass},
#include "passes/pipeline.def"
#undef OCTET_PASS
};

// Every clean pass shrinks the graph or moves it to a form that no pass leaves again, so a few rounds end it. A list
// that still changes after so many rounds holds two passes that undo each other.
constexpr int k_max_rounds = 50;

Error in_pass(const Pass& pass, Error error) { return within("pass " + std::string(pass.name), std::move(error)); }

Result<Done> check_names(const std::set<std::string>& skip) {
  for (const std::string& name : skip) {
    const auto named = [&](const Pass& pass) { return pass.name == name; };
    if (std::any_of(k_passes.begin(), k_passes.end(), named)) continue;
    std::string known;
    for (const Pass& pass : k_passes) known += (known.empty() ? "" : ", ") + std::string(pass.name);
    return Error{ErrorCode::bad_argument, "there is no pass called '" + name + "'; the passes are " + known};
  }
  return Done{};
}

/// before: of this graph.
Result<Changed> run_pass(Graph& graph, const Pass& pass, const Origins& before) {
  Result<Changed> changed = pass.run(graph);
  if (!changed) return in_pass(pass, changed.error());
  if (changed->count == 0) return changed;
  before.hand_on(graph);
  if (Result<Done> ok = infer_shapes(graph); !ok) return in_pass(pass, ok.error());
  compact(graph);
  if (Result<Done> ok = verify(graph); !ok) return in_pass(pass, ok.error());
  return changed;
}

}  // namespace

std::span<const Pass> all_passes() { return k_passes; }

Result<Changed> run_pass(Graph& graph, const Pass& pass) { return run_pass(graph, pass, Origins(graph)); }

Result<std::vector<PassReport>> run_stage(Graph& graph, Stage stage, const std::set<std::string>& skip) {
  if (Result<Done> ok = check_names(skip); !ok) return ok.error();
  std::vector<PassReport> reports;
  for (const Pass& pass : k_passes)
    if (pass.stage == stage) reports.push_back({std::string(pass.name), {}});
  Origins origins(graph);  // copied again only where a pass changed something
  for (int round = 0; round < (stage == Stage::clean ? k_max_rounds : 1); ++round) {
    int64_t edits = 0;
    size_t row = 0;
    for (const Pass& pass : k_passes) {
      if (pass.stage != stage) continue;
      Changed& total = reports[row++].changed;
      if (skip.contains(std::string(pass.name))) continue;
      Result<Changed> changed = run_pass(graph, pass, origins);
      if (!changed) return changed.error();
      if (changed->count > 0) origins = Origins(graph);
      edits += changed->count;
      total.count += changed->count;
      total.notes.insert(total.notes.end(), changed->notes.begin(), changed->notes.end());
    }
    if (edits == 0 || stage != Stage::clean) return reports;
  }
  return Error{ErrorCode::internal, "the clean passes still change the graph after " + std::to_string(k_max_rounds) +
                                        " rounds; name one of them in skip and report the model"};
}

}  // namespace octet
