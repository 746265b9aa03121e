// The graph and weights sections of a plan file (docs/plan_format.md).
#include <algorithm>

#include "ir/op.h"
#include "plan/plan_codec.h"

namespace octet {
namespace {

constexpr size_t k_most_dims = 64;  // longer ranks are nonsense

// ---- writing ----

static_assert(static_cast<int>(DType::f32) == 1 && static_cast<int>(DType::boolean) == 13, "the file's dtype codes");

void write_dims(const Dims& dims, FieldWriter& out) {
  out.count(dims.size());
  for (const int64_t extent : dims) out.number(extent);
}

void write_tensor_bytes(const Tensor& tensor, FieldWriter& out, FieldWriter& weights) {
  weights.pad();
  out.number(static_cast<uint64_t>(weights.size()));
  weights.raw(tensor.bytes());
}

struct WriteAttribute {
  FieldWriter& out;
  FieldWriter& weights;
  void operator()(int64_t x) const { out.number(x); }
  void operator()(float x) const { out.number(x); }
  void operator()(const std::string& x) const { out.text(x); }
  void operator()(const Tensor& x) const {
    out.number(static_cast<uint8_t>(x.dtype()));
    write_dims(x.dims(), out);
    write_tensor_bytes(x, out, weights);
  }
  template <class T>
  void operator()(const std::vector<T>& list) const {
    out.count(list.size());
    for (const T& x : list) (*this)(x);
  }
};

Result<Done> write_value(const Value& value, FieldWriter& out, FieldWriter& weights) {
  out.text(value.name);
  out.number(static_cast<uint8_t>(value.dtype));
  out.number(static_cast<uint8_t>(value.shape ? 1 : 0));
  if (value.shape) {
    const std::optional<Dims> dims = known_dims(*value.shape);
    if (!dims)
      return Error{ErrorCode::bad_argument, "value '" + value.name + "' has shape " + to_string(*value.shape) +
                                                ", a plan needs all extents: bind batch and input shapes first"};
    write_dims(*dims, out);
  }
  out.number(static_cast<uint8_t>(value.constant ? 1 : 0));
  if (value.constant) write_tensor_bytes(*value.constant, out, weights);
  return Done{};
}

template <class Id>
void write_ids(const std::vector<ValueId>& ids, FieldWriter& out) {
  out.count(ids.size());
  for (const ValueId v : ids) out.number(static_cast<Id>(v));
}

// ---- reading ----

class GraphReader {
 public:
  GraphReader(std::span<const std::byte> section, std::span<const std::byte> weights,
              const std::shared_ptr<const void>& keep_alive)
      : in_(section, "graph section"), weights_(weights), keep_alive_(keep_alive) {}

  Result<GraphAndProfile> read() {
    GraphAndProfile made;
    Graph& graph = made.graph;
    graph.name = in_.text();
    for (size_t n = in_.count(7); n > 0 && !in_.failed(); --n) graph.values.push_back(value());
    graph.inputs = ids<uint32_t>();
    graph.outputs = ids<uint32_t>();
    for (size_t n = in_.count(20); n > 0 && !in_.failed(); --n) graph.nodes.push_back(node());
    const uint32_t profiles = in_.number<uint32_t>();
    if (profiles > 1) in_.fail("has " + std::to_string(profiles) + " profiles, expected 0 or 1");
    for (size_t i = 0; profiles == 1 && i < graph.inputs.size() && !in_.failed(); ++i) {
      made.profile.smallest.push_back(dims());
      made.profile.best.push_back(dims());
      made.profile.largest.push_back(dims());
    }
    if (!in_.at_end()) in_.fail("something follows the profile");
    if (!unknown_op_.empty()) return Error{ErrorCode::unsupported, unknown_op_};
    if (in_.failed()) return in_.error();
    return made;
  }

 private:
  DType dtype() {
    const auto code = in_.number<uint8_t>();
    if (code > static_cast<uint8_t>(DType::boolean)) in_.fail("dtype code " + std::to_string(code) + " is unknown");
    return in_.failed() ? DType::undefined : static_cast<DType>(code);
  }

  bool flag() {
    const auto code = in_.number<uint8_t>();
    if (code > 1) in_.fail("a flag is " + std::to_string(code) + ", expected 0 or 1");
    return code == 1 && !in_.failed();
  }

  Dims dims() {
    Dims made;
    size_t n = in_.count(sizeof(int64_t));
    if (n > k_most_dims) in_.fail("a shape of rank " + std::to_string(n) + ", expected at most 64");
    for (; n > 0 && !in_.failed(); --n) made.push_back(in_.number<int64_t>());
    if (!element_count(made)) in_.fail("the shape " + to_string(made) + " is negative or has more than 2^36 elements");
    return in_.failed() ? Dims() : made;
  }

  Tensor tensor(DType type, const Dims& extents) {
    const auto at = in_.number<uint64_t>();
    if (type == DType::undefined) in_.fail("a constant has no dtype");
    if (in_.failed()) return Tensor();
    const size_t bytes = static_cast<size_t>(*element_count(extents)) * size_of(type);
    if (at % k_plan_alignment != 0 || at > weights_.size() || bytes > weights_.size() - at) {
      in_.fail("a constant of " + std::to_string(bytes) + " bytes at " + std::to_string(at) +
               " does not lie in the weights section of " + std::to_string(weights_.size()));
      return Tensor();
    }
    return Tensor(type, extents, keep_alive_, weights_.data() + at);
  }

  Value value() {
    Value made;
    made.name = in_.text();
    made.dtype = dtype();
    const bool has_shape = flag();
    const Dims extents = has_shape ? dims() : Dims();
    if (has_shape) made.shape = to_shape(extents);
    if (flag()) {
      if (!has_shape) in_.fail("constant '" + made.name + "' has no shape");
      Tensor constant = tensor(made.dtype, extents);
      if (!in_.failed()) made.constant = std::move(constant);
    }
    return made;
  }

  template <class Id>
  std::vector<ValueId> ids() {
    std::vector<ValueId> made;
    for (size_t n = in_.count(sizeof(Id)); n > 0 && !in_.failed(); --n)
      made.push_back(static_cast<ValueId>(in_.number<Id>()));
    return made;
  }

  Node node() {
    Node made;
    const std::string op = in_.text();
    made.name = in_.text();
    made.op = find_op(op);
    if (!made.op && !in_.failed()) {
      unknown_op_ = "graph section: node '" + made.name + "' is of the op '" + op + "', which this octet does not have";
      in_.fail(unknown_op_);
    }
    made.inputs = ids<int32_t>();
    made.outputs = ids<int32_t>();
    std::string last;
    for (size_t n = in_.count(9); n > 0 && !in_.failed(); --n) {
      std::string key = in_.text();
      if (!made.attributes.empty() && key <= last) in_.fail("attribute '" + key + "' is out of order");
      Attribute contents = attribute();
      if (in_.failed()) break;
      made.attributes.emplace(key, std::move(contents));
      last = std::move(key);
    }
    return made;
  }

  template <class T, class F>
  std::vector<T> list(size_t bytes_each, F one) {
    std::vector<T> made;
    for (size_t n = in_.count(bytes_each); n > 0 && !in_.failed(); --n) made.push_back(one());
    return made;
  }

  Attribute attribute() {
    const auto kind = in_.number<uint8_t>();
    switch (kind) {
      case 0: return in_.number<int64_t>();
      case 1: return in_.number<float>();
      case 2: return in_.text();
      case 3: return list<int64_t>(8, [&] { return in_.number<int64_t>(); });
      case 4: return list<float>(4, [&] { return in_.number<float>(); });
      case 5: return list<std::string>(4, [&] { return in_.text(); });
      case 6: {
        const DType type = dtype();
        const Dims extents = dims();
        return tensor(type, extents);
      }
      default: in_.fail("attribute kind " + std::to_string(kind) + " is unknown");
    }
    return int64_t{0};
  }

  FieldReader in_;
  std::string unknown_op_;  // what to say of the first
  std::span<const std::byte> weights_;
  const std::shared_ptr<const void>& keep_alive_;
};

}  // namespace

Result<Done> write_graph(const Graph& graph, const ShapeProfile& profile, FieldWriter& out, FieldWriter& weights) {
  out.text(graph.name);
  out.count(graph.values.size());
  for (const Value& value : graph.values)
    if (Result<Done> ok = write_value(value, out, weights); !ok) return ok;
  write_ids<uint32_t>(graph.inputs, out);
  write_ids<uint32_t>(graph.outputs, out);
  out.count(graph.nodes.size());
  for (const Node& node : graph.nodes) {
    out.text(node.op->name);
    out.text(node.name);
    write_ids<int32_t>(node.inputs, out);
    write_ids<int32_t>(node.outputs, out);
    out.count(node.attributes.size());
    for (const auto& [key, attribute] : node.attributes) {
      out.text(key);
      out.number(static_cast<uint8_t>(attribute.index()));
      std::visit(WriteAttribute{out, weights}, attribute);
    }
  }
  out.number(static_cast<uint32_t>(profile.fixed() ? 0 : 1));
  for (size_t i = 0; i < profile.best.size(); ++i) {
    write_dims(profile.smallest[i], out);
    write_dims(profile.best[i], out);
    write_dims(profile.largest[i], out);
  }
  return Done{};
}

Result<GraphAndProfile> read_graph(std::span<const std::byte> section, std::span<const std::byte> weights,
                                   const std::shared_ptr<const void>& keep_alive) {
  return GraphReader(section, weights, keep_alive).read();
}

}  // namespace octet
