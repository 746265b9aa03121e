#include "api/io_formats.h"

#include <algorithm>
#include <charconv>
#include <cstdio>

#include "ir/editor.h"

namespace octet {
namespace {

/// An input or output with what is asked of it.
struct Tensor4 {
  bool is_input = true;
  size_t index = 0;  // among the inputs or outputs
  std::string name;
  IoFormat format;

  std::string direction() const { return is_input ? "input" : "output"; }
  /// why: what stands against it, and what to do.
  Error error(const std::string& why) const {
    const std::string type = format.dtype.empty() ? "" : format.dtype + (format.channels_together ? " in " : "");
    const std::string order = format.channels_together || format.dtype.empty() ? order_name(format) : "";
    return {ErrorCode::bad_argument, direction() + " '" + name + "' is asked for as " + type + order + " (--" +
                                         direction() + "IOFormats of octet trtexec), but " + why};
  }
};

std::string type_name(DType dtype) { return dtype == DType::s8 ? "int8" : dtype == DType::u8 ? "uint8" : "no codes"; }

std::string codes_line(const Tensor4& tensor, const CodeParams& p) {
  char scale[32];
  std::snprintf(scale, sizeof scale, "%.9g", static_cast<double>(p.scale));
  return tensor.direction() + " '" + tensor.name + "': " + type_name(p.dtype) + " codes, scale " + scale +
         ", zero point " + std::to_string(p.zero_point);
}

Result<Done> check_type(const Tensor4& tensor, DType own, const std::optional<CodeParams>& p) {
  const std::string numbers = own == DType::f32 ? "fp32" : std::string(name(own));
  if (!p)
    return tensor.error(
        (tensor.is_input ? "the network does not quantize it first thing (a QuantizeLinear has to be its only reader)"
                         : "the network does not end in codes there (a DequantizeLinear has to make it)") +
        std::string(", so there are no ") + tensor.format.dtype + " codes of it: it can be had as " + numbers +
        "; leave the format out, or give a network with Q/DQ nodes at that " + tensor.direction());
  if (type_name(p->dtype) == tensor.format.dtype) return Done{};
  return tensor.error(
      "its codes are " + type_name(p->dtype) + ": it can be had as " + type_name(p->dtype) + " or " + numbers +
      "; ask for one of these" +
      (p->dtype == DType::u8 ? ", or quantize for int8 throughout (octet quantize --target tensorrt)" : ""));
}

/// The readers quantize the input, all the same way: they are left out.
Result<std::string> take_codes(Graph& graph, const Tensor4& tensor) {
  const ValueId x = graph.inputs[tensor.index];
  Editor editor(graph);
  std::optional<CodeParams> params;
  const std::vector<NodeId> readers = editor.readers(x);
  for (const NodeId reader : readers) {
    const Node& node = editor.node(reader);
    const std::optional<CodeParams> own =
        is_op(node, "QuantizeLinear") ? code_params(graph, node) : std::optional<CodeParams>();
    if (const Result<Done> fits = check_type(tensor, graph.value(x).dtype, own); !fits) return fits.error();
    if (params && !(*params == *own))
      return tensor.error(
          "the network quantizes it in several ways, so it has no codes of its own: leave the format out");
    params = own;
  }
  if (!params) return tensor.error("nothing in the network reads it: leave the format out");
  graph.value(x).dtype = params->dtype;
  for (const NodeId reader : readers) {
    if (!editor.replace_uses(editor.node(reader).outputs[0], x))
      return tensor.error("its codes are an output themselves: leave the format out");
    editor.remove(reader);
  }
  editor.finish();
  return codes_line(tensor, *params);
}

/// The output is dequantized at the end: its codes take its place.
Result<std::string> give_codes(Graph& graph, const Tensor4& tensor) {
  const ValueId y = graph.outputs[tensor.index];
  const Uses uses(graph);
  const NodeId producer = uses.producer[static_cast<size_t>(y)];
  const bool dequantized = producer >= 0 && is_op(graph.node(producer), "DequantizeLinear");
  const std::optional<CodeParams> params =
      dequantized ? code_params(graph, graph.node(producer)) : std::optional<CodeParams>();
  if (const Result<Done> fits = check_type(tensor, graph.value(y).dtype, params); !fits) return fits.error();
  const ValueId codes = graph.node(producer).inputs[0];
  if (graph.constant(codes) || uses.is_output[static_cast<size_t>(codes)] ||
      uses.producer[static_cast<size_t>(codes)] < 0)
    return tensor.error("its codes are an input, a constant or an output themselves: leave the format out");
  graph.outputs[tensor.index] = codes;
  graph.value(y).name = graph.unique_value_name(tensor.name + "_real");
  graph.value(codes).name = tensor.name;
  if (uses.consumers[static_cast<size_t>(y)].empty())
    graph.nodes.erase(graph.nodes.begin() + static_cast<std::ptrdiff_t>(producer));
  return codes_line(tensor, *params);
}

// ---- nodes in front of an input and behind an output ----

ValueId& port(Graph& graph, const Tensor4& tensor) {
  return tensor.is_input ? graph.inputs[tensor.index] : graph.outputs[tensor.index];
}

/// A value takes the place of an input or output, and its name; the one that was there gets a name by `word`.
ValueId outer_value(Graph& graph, const Tensor4& tensor, const std::string& word, DType dtype, Shape shape) {
  ValueId& own = port(graph, tensor);
  graph.value(own).name = graph.unique_value_name(tensor.name + "_" + word);
  own = graph.add_value(tensor.name, dtype, std::move(shape));
  return own;
}

/// A chain of nodes from the outer value to the inner one at an input, the other way round at an output.
class Chain {
 public:
  Chain(Graph& graph, bool at_front) : graph_(graph), at_(at_front ? 0 : graph.nodes.size()) {}
  /// inputs: behind the value that the node computes on.
  ValueId add(const char* op, ValueId x, ValueId y, std::vector<ValueId> inputs, Attributes attributes) {
    inputs.insert(inputs.begin(), x);
    Node node = make_node(op, unique_node_name(graph_, graph_.value(y).name), std::move(inputs), {y}, attributes);
    graph_.nodes.insert(graph_.nodes.begin() + static_cast<std::ptrdiff_t>(at_++), std::move(node));
    return y;
  }
  ValueId constant(const std::string& wish, const std::vector<int64_t>& numbers) {
    return graph_.add_constant(wish,
                               Tensor::from<int64_t>(DType::s64, {static_cast<int64_t>(numbers.size())}, numbers));
  }

 private:
  Graph& graph_;
  size_t at_;
};

Result<Done> halve(Graph& graph, const Tensor4& tensor) {
  const ValueId own = port(graph, tensor);
  const DType dtype = graph.value(own).dtype;
  if (dtype != DType::f32)
    return tensor.error("the network has it as " + std::string(name(dtype)) +
                        ", and half precision is of fp32 only: "
                        "leave the format out");
  const ValueId half = outer_value(graph, tensor, "fp32", DType::f16, *graph.value(own).shape);
  Chain chain(graph, tensor.is_input);
  if (tensor.is_input) {
    chain.add("Cast", half, own, {}, {{"to", std::string("f32")}});
  } else {
    chain.add("Cast", own, half, {}, {{"to", std::string("f16")}});
  }
  return Done{};
}

void turn(Graph& graph, const Tensor4& tensor) {
  const ValueId own = port(graph, tensor);
  const Shape s = *graph.value(own).shape;
  const ValueId outer = outer_value(graph, tensor, "chw", graph.value(own).dtype, {s[0], s[2], s[3], s[1]});
  Chain chain(graph, tensor.is_input);
  if (tensor.is_input) {
    chain.add("Transpose", outer, own, {}, {{"perm", std::vector<int64_t>{0, 3, 1, 2}}});
  } else {
    chain.add("Transpose", own, outer, {}, {{"perm", std::vector<int64_t>{0, 2, 3, 1}}});
  }
}

/// [N,C,H,W] as [N,C/k,H,W,k].
Result<Done> group(Graph& graph, const Tensor4& tensor) {
  const ValueId own = port(graph, tensor);
  const Shape s = *graph.value(own).shape;
  const DType dtype = graph.value(own).dtype;
  const int64_t k = tensor.format.channels_together;
  if (!s[1].known() || (!s[2].known() && !s[3].known()))
    return tensor.error("its shape is " + to_string(s) + ": the channels, and height or width, have to be known");
  const int64_t c = s[1].value, groups = (c + k - 1) / k, all = groups * k;
  const auto extent = [](const Dim& dim) { return dim.known() ? dim.value : -1; };
  const ValueId outer = outer_value(graph, tensor, "chw", dtype, {s[0], groups, s[2], s[3], k});
  const auto between = [&](const char* word, Shape shape) {
    return graph.add_value(graph.unique_value_name(tensor.name + "_" + word), dtype, std::move(shape));
  };
  Chain chain(graph, tensor.is_input);
  const ValueId split = between("groups", {s[0], groups, k, s[2], s[3]});
  const ValueId full = all == c ? own : between("full", {s[0], all, s[2], s[3]});
  if (tensor.is_input) {
    chain.add("Transpose", outer, split, {}, {{"perm", std::vector<int64_t>{0, 1, 4, 2, 3}}});
    const ValueId shape = chain.constant(tensor.name + "_shape", {0, all, extent(s[2]), extent(s[3])});
    chain.add("Reshape", split, full, {shape}, {});
    if (full == own) return Done{};
    const ValueId from = chain.constant(tensor.name + "_from", {0}), to = chain.constant(tensor.name + "_to", {c}),
                  axis = chain.constant(tensor.name + "_axis", {1});
    chain.add("Slice", full, own, {from, to, axis}, {});
    return Done{};
  }
  if (full != own) {
    const ValueId pads = chain.constant(tensor.name + "_pads", {0, 0, 0, 0, 0, all - c, 0, 0});
    chain.add("Pad", own, full, {pads}, {});
  }
  const ValueId shape = chain.constant(tensor.name + "_shape", {0, groups, k, extent(s[2]), extent(s[3])});
  chain.add("Reshape", full, split, {shape}, {});
  chain.add("Transpose", split, outer, {}, {{"perm", std::vector<int64_t>{0, 1, 3, 4, 2}}});
  return Done{};
}

Result<Done> reorder(Graph& graph, const Tensor4& tensor) {
  const std::optional<Shape>& shape = graph.value(port(graph, tensor)).shape;
  if (!shape || shape->size() != 4)
    return tensor.error("it has " +
                        (shape ? "the shape " + to_string(*shape) : std::string("an unknown number of dimensions")) +
                        ", and another order of channels is one of four dimensions only: ask for chw");
  if (tensor.format.channels_together > 1) return group(graph, tensor);
  turn(graph, tensor);
  return Done{};
}

std::optional<size_t> index_of(const Graph& graph, const std::vector<ValueId>& ids, const std::string& name) {
  for (size_t i = 0; i < ids.size(); ++i)
    if (graph.value(ids[i]).name == name) return i;
  return std::nullopt;
}

std::optional<Tensor4> find_tensor(const Graph& graph, const std::string& name, const IoFormat& format) {
  if (const auto input = index_of(graph, graph.inputs, name)) return Tensor4{true, *input, name, format};
  if (const auto output = index_of(graph, graph.outputs, name)) return Tensor4{false, *output, name, format};
  return std::nullopt;
}

constexpr const char* k_half = "float16";

}  // namespace

Result<std::vector<std::string>> set_io_formats(Graph& graph, const std::map<std::string, IoFormat>& formats) {
  std::vector<std::string> lines;
  for (const auto& [name, format] : formats) {
    const std::optional<Tensor4> tensor = find_tensor(graph, name, format);
    if (!tensor)
      return Error{ErrorCode::bad_argument, "a format is asked for of tensor '" + name +
                                                "', but the network has no input or output of this name"};
    if (!format.dtype.empty() && format.dtype != k_half) {
      Result<std::string> line = tensor->is_input ? take_codes(graph, *tensor) : give_codes(graph, *tensor);
      if (!line) return line.error();
      lines.push_back(*std::move(line));
    }
    if (format.channels_together > 0)
      if (const Result<Done> done = reorder(graph, *tensor); !done) return done.error();
    if (format.dtype == k_half)
      if (const Result<Done> done = halve(graph, *tensor); !done) return done.error();
  }
  return lines;
}

std::string order_name(const IoFormat& format) {
  const int k = format.channels_together;
  return k == 0 ? "chw" : k == 1 ? "hwc" : "chw" + std::to_string(k);
}

Dims dims_in_format(const Dims& dims, const IoFormat& format) {
  const int64_t k = format.channels_together;
  if (k == 0 || dims.size() != 4) return dims;
  if (k == 1) return {dims[0], dims[2], dims[3], dims[1]};
  return {dims[0], (dims[1] + k - 1) / k, dims[2], dims[3], k};
}

Dims dims_in_network(const Dims& dims, const IoFormat& format) {
  const int64_t k = format.channels_together;
  if (k == 1 && dims.size() == 4) return {dims[0], dims[3], dims[1], dims[2]};
  if (k > 1 && dims.size() == 5)
    return {dims[0], format.channels > 0 ? format.channels : dims[1] * k, dims[2], dims[3]};
  return dims;
}

BuildSpec in_given_order(BuildSpec spec) {
  for (const auto& [name, format] : spec.formats) {
    if (const auto shape = spec.session.shapes.find(name); shape != spec.session.shapes.end())
      shape->second = dims_in_format(shape->second, format);
    const auto turn_range = [&, &of = format](std::map<std::string, ShapeRange>& profile) {
      const auto range = profile.find(name);
      if (range == profile.end()) return;
      for (Dims* dims : {&range->second.smallest, &range->second.best, &range->second.largest})
        *dims = dims_in_format(*dims, of);
    };
    turn_range(spec.profile);
    for (std::map<std::string, ShapeRange>& profile : spec.profiles) turn_range(profile);
  }
  return spec;
}

std::string format_text(const IoFormat& format, const Graph& clean, const std::string& tensor) {
  std::string text = format.dtype + ":" + order_name(format);
  if (format.channels_together <= 1) return text;
  const std::optional<Tensor4> found = find_tensor(clean, tensor, format);
  if (!found) return text;
  const std::optional<Shape>& shape =
      clean.value(found->is_input ? clean.inputs[found->index] : clean.outputs[found->index]).shape;
  if (shape && shape->size() == 4 && (*shape)[1].known()) text += "." + std::to_string((*shape)[1].value);
  return text;
}

std::optional<IoFormat> read_format(const std::string& text) {
  const size_t colon = text.find(':');
  if (colon == std::string::npos) return std::nullopt;
  IoFormat format{.dtype = text.substr(0, colon)};
  const std::string order = text.substr(colon + 1);
  if (order == "chw") return format;
  format.channels_together = 1;
  if (order == "hwc") return format;
  if (!order.starts_with("chw")) return std::nullopt;
  const char* end = order.data() + order.size();
  const auto [next, problem] = std::from_chars(order.data() + 3, end, format.channels_together);
  if (problem != std::errc() || format.channels_together < 2) return std::nullopt;
  if (next != end && (*next != '.' || std::from_chars(next + 1, end, format.channels).ec != std::errc()))
    return std::nullopt;
  return format;
}

}  // namespace octet
