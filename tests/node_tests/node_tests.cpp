#include "node_tests/node_tests.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <optional>

#include "backends/open.h"
#include "backends/ref/ref.h"
#include "base/file.h"
#include "ir/op.h"
#include "onnx/importer.h"
#include "onnx/oddity.h"
#include "onnx/onnx.h"
#include "onnx/refuse.h"
#include "onnx/schema.h"
#include "onnx/tensor_proto.h"
#include "passes/passes.h"
#include "runtime/engine.h"

namespace octet::testing {
namespace {

namespace fs = std::filesystem;

bool is_claimed(const ProtoNode& node) {
  if (!node.domain.empty() && node.domain != "ai.onnx")
    return find_foreign_oddity(node.domain, node.op_type) != nullptr;
  const std::string_view ir_op = ir_op_of(node.op_type);
  const OpDef* op = find_op(ir_op);
  return ir_op.empty() || (op && op->is_onnx);
}

/// What octet says it does not read: strings, sequences and optionals as graph inputs or outputs.
std::string unreadable_type(const ProtoGraph& graph) {
  for (const std::vector<ProtoValue>* values : {&graph.inputs, &graph.outputs})
    for (const ProtoValue& v : *values) {
      if (!v.is_tensor) return "'" + std::string(v.name) + "' is a sequence or an optional";
      if (dtype_of_onnx(v.element_type) == DType::undefined)
        return "'" + std::string(v.name) + "' is " + onnx_type_name(v.element_type);
    }
  return {};
}

Result<Tensor> read_tensor(const fs::path& path) {
  Result<std::shared_ptr<const MappedFile>> file = MappedFile::open(path.string());
  if (!file) return file.error();
  Result<std::pair<std::string, Tensor>> read = TensorReader((*file)->bytes(), *file, {}).read((*file)->bytes());
  if (!read) return within(path.filename().string(), read.error());
  return std::move(read->second);
}

/// NumPy has no bfloat16: some tests store its bits as uint16.
Tensor as_declared(const Tensor& tensor, const ProtoValue& value) {
  if (tensor.dtype() != DType::u16 || dtype_of_onnx(value.element_type) != DType::bf16) return tensor;
  return Tensor::from<uint16_t>(DType::bf16, tensor.dims(), tensor.as<uint16_t>());
}

/// One test_data_set folder.
struct DataSet {
  std::vector<std::pair<std::string, Tensor>> inputs;  // by the graph's names, in the file's order
  std::vector<Tensor> outputs;
};

Result<DataSet> read_data(const fs::path& folder, const ProtoGraph& graph) {
  DataSet set;
  for (size_t i = 0; i < graph.inputs.size(); ++i) {
    const fs::path path = folder / ("input_" + std::to_string(i) + ".pb");
    if (!fs::exists(path)) continue;
    Result<Tensor> tensor = read_tensor(path);
    if (!tensor) return tensor.error();
    set.inputs.emplace_back(graph.inputs[i].name, as_declared(*tensor, graph.inputs[i]));
  }
  for (size_t i = 0; i < graph.outputs.size(); ++i) {
    Result<Tensor> tensor = read_tensor(folder / ("output_" + std::to_string(i) + ".pb"));
    if (!tensor) return tensor.error();
    set.outputs.push_back(as_declared(*tensor, graph.outputs[i]));
  }
  return set;
}

bool is_close(double have, double want) {
  if (std::isnan(want) || std::isinf(want)) return have == want || (std::isnan(have) && std::isnan(want));
  return std::fabs(have - want) <= 1e-7 + 1e-3 * std::fabs(want);
}

/// Empty, or where the first difference is.
std::string difference(const Tensor& have, const Tensor& want) {
  if (have.dtype() != want.dtype() || have.dims() != want.dims())
    return "gives " + std::string(name(have.dtype())) + to_string(have.dims()) + ", wanted " +
           std::string(name(want.dtype())) + to_string(want.dims());
  const std::vector<double> a = to_doubles(have), b = to_doubles(want);
  for (size_t i = 0; i < a.size(); ++i)
    if (is_float(want.dtype()) || is_short_float(want.dtype()) ? !is_close(a[i], b[i]) : a[i] != b[i])
      return "element " + std::to_string(i) + " is " + std::to_string(a[i]) + ", wanted " + std::to_string(b[i]);
  return {};
}

std::string difference(const std::vector<Tensor>& have, const std::vector<Tensor>& want) {
  for (size_t i = 0; i < want.size(); ++i)
    if (std::string text = difference(have[i], want[i]); !text.empty())
      return "output " + std::to_string(i) + ": " + text;
  return {};
}

Outcome outcome_of(const Result<std::vector<Tensor>>& have, const std::vector<Tensor>& want) {
  if (!have) return {Verdict::failed, have.error().message};
  const std::string text = difference(*have, want);
  return {text.empty() ? Verdict::passed : Verdict::failed, text};
}

std::vector<Tensor> inputs_of(const Graph& graph, const DataSet& data) {
  std::vector<Tensor> inputs;
  for (const ValueId v : graph.inputs)
    for (const auto& [name, tensor] : data.inputs)
      if (graph.value(v).name == name) inputs.push_back(tensor);
  return inputs;
}

Result<Done> run_stages(Graph& graph) {
  if (const auto cleaned = run_stage(graph, Stage::clean); !cleaned) return cleaned.error();
  if (const auto fused = run_stage(graph, Stage::fuse); !fused) return fused.error();
  return Done{};
}

Result<std::vector<Tensor>> run_on_ref(Graph graph, const DataSet& data) {
  if (const Result<Done> ok = run_stages(graph); !ok) return ok.error();
  return evaluate(graph, inputs_of(graph, data));
}

bool all_extents_known(const Graph& graph) {
  return std::all_of(graph.values.begin(), graph.values.end(),
                     [](const Value& v) { return v.constant || (v.shape && known_dims(*v.shape)); });
}

/// A plan needs all extents: inputs get the data's, and where a shape is itself an input, small inputs become
/// constants. Nothing when extents depend on data even so.
Result<std::optional<Graph>> bound(const Graph& read, const DataSet& data) {
  for (const bool with_values : {false, true}) {
    Graph graph = read;
    if (with_values) {
      std::erase_if(graph.inputs, [&](ValueId v) {
        for (const auto& [name, tensor] : data.inputs)
          if (name == graph.value(v).name && tensor.rank() <= 1 && tensor.size() <= 16)
            graph.value(v).constant = tensor;
        if (graph.value(v).constant) graph.value(v).shape = to_shape(graph.value(v).constant->dims());
        return graph.value(v).constant.has_value();
      });
    }
    Binding binding;
    for (const ValueId v : graph.inputs)
      for (const auto& [name, tensor] : data.inputs)
        if (name == graph.value(v).name) binding.shapes[name] = tensor.dims();
    if (const Result<Done> ok = bind_shapes(graph, binding); !ok) return ok.error();
    if (const Result<Done> ok = run_stages(graph); !ok) return ok.error();
    if (all_extents_known(graph)) return std::optional(std::move(graph));
  }
  return std::optional<Graph>();
}

Result<std::vector<Tensor>> run_on_cpu(Graph graph, const DataSet& data) {
  const Result<std::shared_ptr<Backend>> backend = open_backend("cpu", {.threads = 1});
  if (!backend) return backend.error();
  const std::vector<Tensor> inputs = inputs_of(graph, data);
  Result<std::shared_ptr<const Engine>> engine = Engine::build(std::move(graph), *backend);
  if (!engine) return engine.error();
  Result<Context> context = Context::make(*engine);
  if (!context) return context.error();
  Bindings io;
  std::vector<Tensor> outputs;
  for (const Tensor& t : inputs)
    io.inputs.push_back(TensorView::dense(t.dtype(), t.dims(), const_cast<std::byte*>(t.bytes().data())));
  const Graph& planned = (*engine)->plan().graph;
  for (const ValueId v : planned.outputs) {
    const Value& value = planned.value(v);
    Result<std::pair<Tensor, std::byte*>> made = Tensor::allocate(value.dtype, *known_dims(*value.shape));
    if (!made) return made.error();
    io.outputs.push_back(TensorView::dense(value.dtype, made->first.dims(), made->second));
    outputs.push_back(std::move(made->first));
  }
  if (const Result<Done> ran = context->run(io); !ran) return ran.error();
  return outputs;
}

void run_model(const fs::path& folder, const ProtoGraph& proto, NodeTest& test) {
  const Result<OnnxModel> model = read_onnx((folder / "model.onnx").string());
  if (!model) {
    test.ref = test.cpu = {Verdict::failed, model.error().message};
    return;
  }
  for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
    if (!entry.is_directory()) continue;
    const Result<DataSet> data = read_data(entry.path(), proto);
    if (!data) {
      test.ref = test.cpu = {Verdict::failed, data.error().message};
      return;
    }
    test.ref = outcome_of(run_on_ref(model->graph, *data), data->outputs);
    const Result<std::optional<Graph>> graph = bound(model->graph, *data);
    if (!graph) {
      test.cpu = {Verdict::failed, graph.error().message};
    } else if (!*graph) {
      test.cpu = {Verdict::refused, "extents depend on data"};
    } else {
      test.cpu = outcome_of(run_on_cpu(**graph, *data), data->outputs);
    }
    if (test.ref.verdict != Verdict::passed) return;
  }
}

}  // namespace

std::vector<std::string> list_node_tests(const std::string& folder) {
  std::vector<std::string> names;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder)) names.push_back(entry.path().filename());
  std::sort(names.begin(), names.end());
  return names;
}

NodeTest run_node_test(const std::string& folder, const std::string& name) {
  NodeTest test{name, {}, {}, {}};
  const fs::path path = fs::path(folder) / name;
  const Result<std::shared_ptr<const MappedFile>> file = MappedFile::open((path / "model.onnx").string());
  const Result<ProtoModel> proto = file ? parse_model((*file)->bytes()) : Result<ProtoModel>(file.error());
  if (!proto) {
    test.ref = test.cpu = {Verdict::failed, proto.error().message};
    return test;
  }
  std::string unknown;
  for (const ProtoNode& node : proto->graph.nodes) {
    const bool foreign = !node.domain.empty() && node.domain != "ai.onnx";
    const std::string op = (foreign ? std::string(node.domain) + ":" : "") + std::string(node.op_type);
    if (test.ops.insert(op).second && !is_claimed(node)) unknown += (unknown.empty() ? "" : ", ") + op;
  }
  const Result<int64_t> opset = default_opset(*proto);
  if (unknown.empty() && !opset) unknown = opset.error().message.substr(0, opset.error().message.find(';'));
  if (!unknown.empty()) {
    test.ref = test.cpu = {Verdict::unclaimed, unknown};
  } else if (const std::string reason = unreadable_type(proto->graph); !reason.empty()) {
    test.ref = test.cpu = {Verdict::refused, reason};
  } else {
    run_model(path, proto->graph, test);
  }
  return test;
}

}  // namespace octet::testing
