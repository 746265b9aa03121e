#include "api/io_formats.h"

#include <algorithm>
#include <cstdio>

#include "ir/editor.h"

namespace octet {
namespace {

Error bad(const std::string& tensor, const std::string& what) {
  return {ErrorCode::bad_argument, "tensor '" + tensor + "': " + what};
}

std::string type_name(DType dtype) { return dtype == DType::s8 ? "int8" : dtype == DType::u8 ? "uint8" : "no codes"; }

std::string codes_line(const std::string& direction, const std::string& tensor, const CodeParams& p) {
  char scale[32];
  std::snprintf(scale, sizeof scale, "%.9g", static_cast<double>(p.scale));
  return direction + " '" + tensor + "': " + type_name(p.dtype) + " codes, scale " + scale + ", zero point " +
         std::to_string(p.zero_point);
}

Result<Done> check_type(const std::string& tensor, const std::string& dtype, const std::optional<CodeParams>& p) {
  if (!p)
    return bad(tensor, "the network does not quantize it, so it has no " + dtype + " codes: give it in its own type");
  if (type_name(p->dtype) == dtype) return Done{};
  return bad(tensor, "its codes are " + type_name(p->dtype) + ", not " + dtype);
}

/// The readers quantize the input, all the same way: they are left out.
Result<std::string> take_codes(Graph& graph, ValueId x, const std::string& dtype) {
  const std::string name = graph.value(x).name;
  Editor editor(graph);
  std::optional<CodeParams> params;
  const std::vector<NodeId> readers = editor.readers(x);
  for (const NodeId reader : readers) {
    const Node& node = editor.node(reader);
    const std::optional<CodeParams> own =
        is_op(node, "QuantizeLinear") ? code_params(graph, node) : std::optional<CodeParams>();
    if (const Result<Done> fits = check_type(name, dtype, own); !fits) return fits.error();
    if (params && !(*params == *own))
      return bad(name, "it is quantized in several ways, so it has no codes of its own");
    params = own;
  }
  if (!params) return bad(name, "nothing reads it");
  graph.value(x).dtype = params->dtype;
  for (const NodeId reader : readers) {
    if (!editor.replace_uses(editor.node(reader).outputs[0], x)) return bad(name, "its codes are an output themselves");
    editor.remove(reader);
  }
  editor.finish();
  return codes_line("input", name, *params);
}

/// The output is dequantized at the end: its codes take its place.
Result<std::string> give_codes(Graph& graph, size_t output, const std::string& dtype) {
  const ValueId y = graph.outputs[output];
  const std::string name = graph.value(y).name;
  const Uses uses(graph);
  const NodeId producer = uses.producer[static_cast<size_t>(y)];
  const bool dequantized = producer >= 0 && is_op(graph.node(producer), "DequantizeLinear");
  const std::optional<CodeParams> params =
      dequantized ? code_params(graph, graph.node(producer)) : std::optional<CodeParams>();
  if (const Result<Done> fits = check_type(name, dtype, params); !fits) return fits.error();
  const ValueId codes = graph.node(producer).inputs[0];
  if (graph.constant(codes) || uses.is_output[static_cast<size_t>(codes)] ||
      uses.producer[static_cast<size_t>(codes)] < 0)
    return bad(name, "its codes have a name of their own");
  graph.outputs[output] = codes;
  graph.value(y).name = graph.unique_value_name(name + "_real");
  graph.value(codes).name = name;
  if (uses.consumers[static_cast<size_t>(y)].empty())
    graph.nodes.erase(graph.nodes.begin() + static_cast<std::ptrdiff_t>(producer));
  return codes_line("output", name, *params);
}

/// own: the value in the network's order, whose name goes to a fresh one in the other order.
Result<ValueId> with_other_order(Graph& graph, ValueId own) {
  const std::string name = graph.value(own).name;
  if (!graph.value(own).shape || graph.value(own).shape->size() != 4)
    return bad(name, "channels can come last where there are four dimensions only");
  const Shape& s = *graph.value(own).shape;
  const Shape turned = {s[0], s[2], s[3], s[1]};
  const DType dtype = graph.value(own).dtype;
  graph.value(own).name = graph.unique_value_name(name + "_chw");
  return graph.add_value(name, dtype, turned);
}

Result<Done> turn_input(Graph& graph, size_t input) {
  const ValueId own = graph.inputs[input];
  const Result<ValueId> given = with_other_order(graph, own);
  if (!given) return given.error();
  graph.inputs[input] = *given;
  Node node = make_node("Transpose", unique_node_name(graph, graph.value(own).name), {*given}, {own},
                        {{"perm", std::vector<int64_t>{0, 3, 1, 2}}});
  graph.nodes.insert(graph.nodes.begin(), std::move(node));
  return Done{};
}

Result<Done> turn_output(Graph& graph, size_t output) {
  const ValueId own = graph.outputs[output];
  const Result<ValueId> taken = with_other_order(graph, own);
  if (!taken) return taken.error();
  graph.outputs[output] = *taken;
  graph.nodes.push_back(make_node("Transpose", unique_node_name(graph, graph.value(own).name), {own}, {*taken},
                                  {{"perm", std::vector<int64_t>{0, 2, 3, 1}}}));
  return Done{};
}

std::optional<size_t> index_of(const Graph& graph, const std::vector<ValueId>& ids, const std::string& name) {
  for (size_t i = 0; i < ids.size(); ++i)
    if (graph.value(ids[i]).name == name) return i;
  return std::nullopt;
}

}  // namespace

Result<std::vector<std::string>> set_io_formats(Graph& graph, const std::map<std::string, IoFormat>& formats) {
  std::vector<std::string> lines;
  for (const auto& [name, format] : formats) {
    const std::optional<size_t> input = index_of(graph, graph.inputs, name);
    const std::optional<size_t> output = index_of(graph, graph.outputs, name);
    if (!input && !output) return bad(name, "the network has no input or output of this name");
    if (!format.dtype.empty()) {
      Result<std::string> line =
          input ? take_codes(graph, graph.inputs[*input], format.dtype) : give_codes(graph, *output, format.dtype);
      if (!line) return line.error();
      lines.push_back(*std::move(line));
    }
    if (!format.channel_last) continue;
    if (const Result<Done> turned = input ? turn_input(graph, *input) : turn_output(graph, *output); !turned)
      return turned.error();
  }
  return lines;
}

Dims channels_last(const Dims& dims) { return dims.size() == 4 ? Dims{dims[0], dims[2], dims[3], dims[1]} : dims; }

BuildSpec in_given_order(BuildSpec spec) {
  for (const auto& [name, format] : spec.formats) {
    if (!format.channel_last) continue;
    if (const auto shape = spec.session.shapes.find(name); shape != spec.session.shapes.end())
      shape->second = channels_last(shape->second);
    const auto turn = [&](std::map<std::string, ShapeRange>& profile) {
      const auto range = profile.find(name);
      if (range == profile.end()) return;
      for (Dims* dims : {&range->second.smallest, &range->second.best, &range->second.largest})
        *dims = channels_last(*dims);
    };
    turn(spec.profile);
    for (std::map<std::string, ShapeRange>& profile : spec.profiles) turn(profile);
  }
  return spec;
}

}  // namespace octet
