// src/passes/merge_casts.cpp: Cast to a dtype that holds every value of x, then Cast again, is one Cast of x; one back
// to x's own dtype is none (remove_identity takes it out). Not by way of a float to an integer that may not hold x: a
// float saturates there, an integer wraps around.

#include "passes/match.h"
#include "passes/passes.h"

namespace octet {
namespace {

/// Bits of magnitude, and whether there is a sign.
struct Integer {
  int bits = 0;
  bool is_signed = false;
};
std::optional<Integer> integer(DType dtype) {
  switch (dtype) {
    case DType::boolean: return Integer{1, false};
    case DType::u8: return Integer{8, false};
    case DType::u16: return Integer{16, false};
    case DType::u32: return Integer{32, false};
    case DType::u64: return Integer{64, false};
    case DType::s8: return Integer{7, true};
    case DType::s16: return Integer{15, true};
    case DType::s32: return Integer{31, true};
    case DType::s64: return Integer{63, true};
    default: return std::nullopt;
  }
}

/// Bits of the significand of a float; exponents grow with them, but those of bf16 are f32's.
int significand(DType dtype) {
  switch (dtype) {
    case DType::bf16: return 8;
    case DType::f16: return 11;
    case DType::f32: return 24;
    case DType::f64: return 53;
    default: return 0;
  }
}

bool holds(DType wide, DType narrow) {
  if (wide == narrow) return true;
  const std::optional<Integer> from = integer(narrow), to = integer(wide);
  if (from && to) return wide != DType::boolean && to->bits >= from->bits && (to->is_signed || !from->is_signed);
  // -128 is a power of two: one bit less than its magnitude asks for. f16 reaches 65504.
  if (from) return significand(wide) >= from->bits && !(wide == DType::f16 && from->bits > 11);
  const int bits = significand(narrow);
  if (bits == 0 || significand(wide) < bits) return false;
  return !(narrow == DType::bf16 && wide == DType::f16);
}

/// Whether the Cast from x to via may go when its reader is a Cast to `to`.
bool may_merge(DType x, DType via, DType to) {
  if (!holds(via, x)) return false;
  const bool saturates = integer(x) && !integer(via) && (integer(to) || is_four_bit(to)) && to != DType::boolean;
  return !saturates || holds(to, x);
}

}  // namespace

Result<Changed> merge_casts(Graph& graph) {
  Editor editor(graph);
  Changed changed;
  for (NodeId id = 0; id < editor.node_count(); ++id) {
    if (!is_op(editor.node(id), "Cast")) continue;
    const Node* first = editor.producer(editor.node(id).inputs[0], "Cast");
    if (!first || !may_merge(graph.value(first->inputs[0]).dtype, graph.value(first->outputs[0]).dtype,
                             graph.value(editor.node(id).outputs[0]).dtype))
      continue;
    editor.set_input(id, 0, first->inputs[0]);
    ++changed.count;
  }
  return changed;
}

}  // namespace octet
