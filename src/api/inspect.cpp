#include <algorithm>

#include "api/state.h"
#include "ir/op.h"
#include "octet/tasks.h"
#include "passes/passes.h"

namespace octet {

Result<Inspection> inspect(const Model& model, const SessionSpec& spec) {
  const Model::State& state = model.state();
  Inspection in;
  in.path = state.path;
  in.producer = state.info.producer;
  in.ir_version = state.info.ir_version;
  in.opset = state.info.opset;
  in.file_bytes = state.file_bytes;
  in.inputs = model.inputs();
  in.outputs = model.outputs();
  in.ops = state.file_ops;
  in.findings = state.notes;
  for (const TargetFinding& finding : state.file_findings) in.target_findings.push_back(to_text(finding));
  for (const Value& value : state.graph.values)
    if (value.constant) in.parameters += value.constant->size();
  Result<Session> session = Session::build(model, spec);
  if (session) {
    in.layers = session->layers();
    for (const std::string& note : session->notes())
      if (std::find(state.notes.begin(), state.notes.end(), note) == state.notes.end()) in.findings.push_back(note);
  } else {
    // A file that cannot run is still worth looking at: the reason becomes a finding.
    in.findings.push_back("cannot run on " + spec.device + ": " + session.error().message);
  }
  return in;
}

Result<Inspection> inspect(const EngineFile& file, const SessionSpec& spec) {
  Inspection in;
  in.path = file.path();
  in.producer = file.writer();
  in.file_bytes = static_cast<int64_t>(file.size_bytes());
  in.inputs = file.inputs();
  in.outputs = file.outputs();
  in.provenance = file.provenance();
  const Graph& graph = file.state().plan.graph;
  for (const Node& node : graph.nodes) ++in.ops[std::string(node.op->name)];
  for (const Value& value : graph.values)
    if (value.constant) in.parameters += value.constant->size();
  Result<Session> session = Session::load(file, spec);
  if (session) {
    in.layers = session->layers();
    for (const std::string& note : session->notes()) in.findings.push_back(note);
  } else {
    in.findings.push_back("cannot run on " + spec.device + ": " + session.error().message);
  }
  return in;
}

std::vector<std::string> pass_names() {
  std::vector<std::string> names;
  for (const Pass& pass : all_passes()) names.emplace_back(pass.name);
  return names;
}

}  // namespace octet
