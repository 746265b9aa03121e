#pragma once
// An oddity: an ONNX op whose spelling or meaning differs from the IR's in some opset. One file each; map.def lists
// them.

#include <string_view>

#include "onnx/importer.h"

namespace octet {

/// Converts the node and emits what it becomes.
using Oddity = Result<Done> (*)(Importer& importer, ForeignNode node);

/// Of ai.onnx; null when the op is read as it stands.
Oddity find_oddity(std::string_view op_type);
/// The IR op that stands for an ONNX op: itself, another one, or "" for an op that leaves no node.
std::string_view ir_op_of(std::string_view op_type);
/// Of another domain; null when octet does not read the op.
Oddity find_foreign_oddity(std::string_view domain, std::string_view op_type);

#define OCTET_ONNX_ODDITY(op_type, function) Result<Done> function(Importer& importer, ForeignNode node);
#define OCTET_ONNX_REPLACED(op_type, by, function) Result<Done> function(Importer& importer, ForeignNode node);
#define OCTET_ONNX_FOREIGN(domain, op_type, function) Result<Done> function(Importer& importer, ForeignNode node);
#include "onnx/map.def"
#undef OCTET_ONNX_ODDITY
#undef OCTET_ONNX_REPLACED
#undef OCTET_ONNX_FOREIGN

// What several oddities need.

/// Moves an integer-list attribute, if it is there, into input `index` as a constant (ONNX did so to many ops over
/// time).
Result<Done> ints_to_input(Importer& importer, ForeignNode& node, const std::string& key, size_t index);
/// Input `index` becomes id; absent inputs fill the gap.
void set_input(ForeignNode& node, size_t index, ValueId id);
/// The attribute when it is there and of kind T; an Error when it is of another kind.
template <class T>
Result<const T*> attribute_of_kind(const Importer& importer, const ForeignNode& node, const std::string& key) {
  const auto found = node.attributes.find(key);
  if (found == node.attributes.end()) return static_cast<const T*>(nullptr);
  const T* value = std::get_if<T>(&found->second);
  if (!value) return importer.error(node, "attribute '" + key + "' is of the wrong kind", ErrorCode::bad_model);
  return value;
}

}  // namespace octet
