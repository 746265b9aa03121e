// src/passes/dead_code.cpp: removes nodes none of whose outputs is read or asked for.

#include "passes/match.h"
#include "passes/passes.h"

namespace octet {

Result<Changed> dead_code(Graph& graph) {
  Editor editor(graph);
  Changed changed;
  for (NodeId id = editor.node_count(); id-- > 0;) {
    bool used = false;
    for (const ValueId v : editor.node(id).outputs)
      used = used || (v != k_absent && (!editor.readers(v).empty() || editor.is_output(v)));
    if (used) continue;
    editor.remove(id);
    ++changed.count;
  }
  return changed;
}

}  // namespace octet
