// The fingerprint of a graph: everything that decides what it computes and how its values are called, in graph order,
// independent of value ids.

#include <cstring>

#include "base/hash.h"
#include "ir/op.h"
#include "passes/passes.h"

namespace octet {
namespace {

/// Length-prefixed fields in one byte string, so that ("ab", "c") and ("a", "bc") differ.
class Record {
 public:
  void add(std::string_view text) {
    add_number(static_cast<int64_t>(text.size()));
    bytes_.append(text);
  }
  void add_number(int64_t number) { append(&number, sizeof number); }
  void add_float(float x) { append(&x, sizeof x); }
  uint64_t hash() const { return hash_bytes(std::as_bytes(std::span(bytes_.data(), bytes_.size()))); }

 private:
  void append(const void* data, size_t size) { bytes_.append(static_cast<const char*>(data), size); }
  std::string bytes_;
};

void add(Record& record, const Tensor& tensor) {
  record.add_number(static_cast<int64_t>(tensor.dtype()));
  record.add(to_string(tensor.dims()));
  record.add_number(static_cast<int64_t>(hash_bytes(tensor.bytes())));
}

struct AddAttribute {
  Record& record;
  void operator()(int64_t x) const { record.add_number(x); }
  void operator()(float x) const { record.add_float(x); }
  void operator()(const std::string& x) const { record.add(x); }
  void operator()(const Tensor& x) const { add(record, x); }
  template <class T>
  void operator()(const std::vector<T>& list) const {
    record.add_number(static_cast<int64_t>(list.size()));
    for (const T& x : list) (*this)(x);
  }
};

void add(Record& record, const Graph& graph, ValueId v) {
  if (v == k_absent) return record.add("");
  const Value& value = graph.value(v);
  record.add(value.name);
  record.add_number(static_cast<int64_t>(value.dtype));
  record.add(value.shape ? to_string(*value.shape) : "?");
  if (value.constant) add(record, *value.constant);
}

}  // namespace

uint64_t hash_graph(const Graph& graph) {
  Record record;
  for (const ValueId v : graph.inputs) add(record, graph, v);
  for (const Node& node : graph.nodes) {
    record.add(node.op->name);
    record.add(node.name);
    for (const auto& [key, attribute] : node.attributes) {
      record.add(key);
      record.add_number(static_cast<int64_t>(attribute.index()));
      std::visit(AddAttribute{record}, attribute);
    }
    record.add_number(static_cast<int64_t>(node.inputs.size()));
    for (const ValueId v : node.inputs) add(record, graph, v);
    for (const ValueId v : node.outputs) add(record, graph, v);
  }
  for (const ValueId v : graph.outputs) add(record, graph, v);
  return record.hash();
}

}  // namespace octet
