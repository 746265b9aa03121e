#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "api/samples.h"
#include "api/state.h"
#include "base/file.h"
#include "data/npy.h"
#include "octet/engine_file.h"
#include "octet/tasks.h"
#include "report/json_text.h"
#include "report/text_table.h"

namespace octet {
namespace {

/// What the samples gave, output by output.
struct Collected {
  std::vector<std::string> bytes;  // by output port
  int64_t samples = 0, runs = 0;
};

bool is_batched(const Session& session, const Dims& dims) { return !dims.empty() && dims[0] == session.batch(); }

/// Of an output for so many samples, taken by as many runs.
size_t bytes_of(const Session& session, const Port& port, int64_t samples, int64_t runs) {
  if (!is_batched(session, port.dims)) return port.bytes * static_cast<size_t>(runs);
  return port.bytes / static_cast<size_t>(std::max<int64_t>(session.batch(), 1)) * static_cast<size_t>(samples);
}

void append(Collected& collected, const Session& session, std::span<const std::vector<std::byte>> outputs,
            int64_t count) {
  for (size_t i = 0; i < outputs.size(); ++i)
    collected.bytes[i].append(reinterpret_cast<const char*>(outputs[i].data()),
                              bytes_of(session, session.outputs()[i], count, 1));
  collected.samples += count;
  ++collected.runs;
}

Result<Done> run_once(Session& session, const std::vector<std::vector<std::byte>>& inputs,
                      std::vector<std::vector<std::byte>>& outputs) {
  std::vector<const std::byte*> in;
  std::vector<std::byte*> out;
  for (const auto& bytes : inputs) in.push_back(bytes.data());
  for (auto& bytes : outputs) out.push_back(bytes.data());
  return session.run(in, out);
}

/// Named files, one per input: .npy of the input's type and shape, or by dataset reader (a batch of samples); anything
/// else raw bytes of exactly the input's size.
Result<Done> read_input(const Port& port, const std::string& path, std::vector<std::byte>& bytes) {
  if (path.ends_with(".npy")) {
    const Result<Tensor> array = read_npy(path);
    if (!array) return array.error();
    if (numpy_name(array->dtype()) == port.dtype && array->dims() == port.dims) {
      std::copy(array->bytes().begin(), array->bytes().end(), bytes.begin());
      return Done{};
    }
    if (port.dtype != "float32" || port.dims.size() < 2)
      return Error{ErrorCode::bad_argument, path + ": holds " + numpy_name(array->dtype()) + to_string(array->dims()) +
                                                ", input '" + port.name + "' is " + port.dtype + to_string(port.dims)};
    const Result<std::unique_ptr<Dataset>> data = open_dataset(path, {});
    if (!data) return data.error();
    if ((*data)->size() != port.dims[0])
      return Error{ErrorCode::bad_argument, path + ": holds " + std::to_string((*data)->size()) + " samples, input '" +
                                                port.name + "' has a batch of " + std::to_string(port.dims[0]) +
                                                "; give as many samples as that, or --batch where the "
                                                "network's batch is free (the file is " +
                                                to_string(array->dims()) + ", the input " + to_string(port.dims) + ")"};
    const size_t each = port.bytes / sizeof(float) / static_cast<size_t>(port.dims[0]);
    for (int64_t i = 0; i < port.dims[0]; ++i) {
      auto* at = reinterpret_cast<float*>(bytes.data()) + static_cast<size_t>(i) * each;
      const Result<Done> read = (*data)->read(i, Dims(port.dims.begin() + 1, port.dims.end()), {at, each});
      if (!read) return read.error();
    }
    return Done{};
  }
  const Result<std::string> text = read_text_file(path);
  if (!text) return text.error();
  if (text->size() != port.bytes)
    return Error{ErrorCode::bad_argument, path + ": holds " + std::to_string(text->size()) + " bytes, input '" +
                                              port.name + "' " + port.dtype + to_string(port.dims) + " needs " +
                                              std::to_string(port.bytes)};
  std::memcpy(bytes.data(), text->data(), text->size());
  return Done{};
}

Result<Done> run_named(Session& session, const RunSpec& spec, Collected& collected,
                       std::vector<std::vector<std::byte>>& inputs, std::vector<std::vector<std::byte>>& outputs) {
  for (const auto& [name, path] : spec.inputs) {
    const auto port = std::find_if(session.inputs().begin(), session.inputs().end(),
                                   [&wanted = name](const Port& p) { return p.name == wanted; });
    if (port == session.inputs().end()) {
      std::string known;
      for (const Port& p : session.inputs()) known += (known.empty() ? "" : ", ") + p.name;
      return Error{ErrorCode::bad_argument, "the network has no input '" + name + "'; it has " + known};
    }
    const auto i = static_cast<size_t>(port - session.inputs().begin());
    if (const Result<Done> read = read_input(*port, path, inputs[i]); !read) return read.error();
  }
  for (const Port& p : session.inputs())
    if (!spec.inputs.count(p.name))
      return Error{ErrorCode::bad_argument, "no file for input '" + p.name + "'; add --loadInputs " + p.name + ":FILE"};
  if (const Result<Done> ran = run_once(session, inputs, outputs); !ran) return ran.error();
  append(collected, session, outputs, session.batch());
  return Done{};
}

Result<Done> run_data(Session& session, const RunSpec& spec, Collected& collected, std::string& note,
                      std::vector<std::vector<std::byte>>& inputs, std::vector<std::vector<std::byte>>& outputs) {
  const Result<SampleSet> data = open_data(spec.data, session);
  if (!data) return data.error();
  note = preprocess_note(*data, session);
  const int64_t batch = std::max<int64_t>(session.batch(), 1);
  for (size_t i = 0; i < outputs.size(); ++i)  // the outputs of all samples are held once
    collected.bytes[i].reserve(
        bytes_of(session, session.outputs()[i], data->size(), (data->size() + batch - 1) / batch));
  for (int64_t begin = 0; begin < data->size(); begin += session.batch()) {
    const int64_t count = std::min(session.batch(), data->size() - begin);
    for (size_t p = 0; p < inputs.size(); ++p) {
      const Result<Done> read = read_samples(*data, p, session.inputs()[p], begin, count, inputs[p].data());
      if (!read) return read.error();
    }
    if (const Result<Done> ran = run_once(session, inputs, outputs); !ran) return ran.error();
    append(collected, session, outputs, count);
    if (spec.progress) spec.progress(begin + count, data->size());
  }
  return Done{};
}

RunReport::Output summary_of(const Port& port, const Dims& dims, const std::string& bytes) {
  RunReport::Output out{port.name, port.dtype + to_string(dims), "", 0, 0, 0};
  const size_t count = bytes.size() / sizeof(float);
  if (port.dtype != "float32" || count == 0) return out;
  float least = 0, most = 0;
  for (size_t i = 0; i < count; ++i) {
    float v = 0;
    std::memcpy(&v, bytes.data() + i * sizeof(float), sizeof(float));
    if (i == 0 || v < least) least = v;
    if (i == 0 || v > most) most = v;
    out.mean += v / static_cast<double>(count);
  }
  out.min = least;
  out.max = most;
  return out;
}

/// The collected bytes of one output as a .npy file, which is written from where they are.
Result<Done> write_npy(const std::string& path, const Port& port, const Dims& dims, const std::string& bytes) {
  const DType dtype = dtype_of_numpy(port.dtype);
  const std::string odd = "output '" + port.name + "' is " + port.dtype + ", which .npy has no form for";
  if (dtype == DType::undefined) return Error{ErrorCode::unsupported, odd};
  const Result<std::string> header = npy_header(dtype, dims);
  if (!header && header.error().code == ErrorCode::unsupported)
    return Error{ErrorCode::unsupported, odd + "; end the network in a Cast to float32"};
  if (!header) return header.error();
  return write_file_atomically(path, *header, bytes);
}

/// A file name for each output: its own name, without slashes, of a length that file systems take, and no two the same.
std::vector<std::string> file_names(const std::vector<Port>& outputs) {
  std::vector<std::string> names;
  for (const Port& port : outputs) {
    constexpr size_t k_longest = 200;  // of 255 bytes: a number, ".npy" and the temporary file's ending follow
    std::string name = port.name.substr(0, k_longest);
    std::replace(name.begin(), name.end(), '/', '_');
    std::string own = name + ".npy";
    for (int n = 2; std::count(names.begin(), names.end(), own) > 0; ++n) own = name + "_" + std::to_string(n) + ".npy";
    names.push_back(own);
  }
  return names;
}

/// The shape of a file's array, where it fits all that the network says of the input.
std::optional<Dims> shape_of_file(const Value& input, const std::string& path) {
  if (!path.ends_with(".npy") || (input.shape && known_dims(*input.shape))) return std::nullopt;
  const Result<Tensor> array = read_npy(path);  // a view; what is wrong with it is said where it is read
  if (!array || array->size() == 0) return std::nullopt;
  if (!input.shape) return array->dims();
  if (array->rank() != input.shape->size()) return std::nullopt;
  for (size_t i = 0; i < array->rank(); ++i)
    if ((*input.shape)[i].known() && (*input.shape)[i].value != array->dims()[i]) return std::nullopt;
  return array->dims();
}

}  // namespace

Result<Session> open_for_files(const std::string& path, const SessionSpec& spec, const LoadOptions& options,
                               const RunSpec& run) {
  if (run.inputs.empty() || spec.batch > 0 || !spec.shapes.empty() || EngineFile::is_engine_file(path))
    return Session::open(path, spec, options);
  const Result<Model> model = Model::load(path, options);
  if (!model) return model.error();
  SessionSpec fitted = spec;
  const Graph& graph = model->state().graph;
  for (const ValueId id : graph.inputs) {
    const Value& input = graph.value(id);
    const auto file = run.inputs.find(input.name);
    if (file == run.inputs.end()) continue;
    if (std::optional<Dims> dims = shape_of_file(input, file->second)) fitted.shapes[input.name] = *std::move(dims);
  }
  fitted.calibration.shapes = fitted.shapes;
  return Session::build(*model, fitted);
}

Result<RunReport> run_files(Session& session, const RunSpec& spec) {
  std::vector<std::vector<std::byte>> inputs, outputs;
  for (const Port& p : session.inputs()) inputs.emplace_back(p.bytes);
  for (const Port& p : session.outputs()) outputs.emplace_back(p.bytes);
  Collected collected{std::vector<std::string>(outputs.size())};
  std::string note;
  const Result<Done> ran = spec.inputs.empty() ? run_data(session, spec, collected, note, inputs, outputs)
                                               : run_named(session, spec, collected, inputs, outputs);
  if (!ran) return ran.error();
  RunReport report{collected.samples, {}, note};
  const bool folder = outputs.size() > 1 || !spec.output.ends_with(".npy");
  if (!spec.output.empty() && folder) {
    std::error_code error;
    std::filesystem::create_directories(spec.output, error);
    if (error) return Error{ErrorCode::io, spec.output + ": " + error.message()};
  }
  const std::vector<std::string> names = file_names(session.outputs());
  for (size_t i = 0; i < outputs.size(); ++i) {
    const Port& port = session.outputs()[i];
    Dims dims = port.dims;
    // An output without the batch is written as it is declared; several runs of it one behind the other.
    if (is_batched(session, dims))
      dims[0] = collected.samples;
    else if (collected.runs != 1)
      dims.insert(dims.begin(), collected.runs);
    report.outputs.push_back(summary_of(port, dims, collected.bytes[i]));
    if (spec.output.empty()) continue;
    report.outputs.back().file = folder ? spec.output + "/" + names[i] : spec.output;
    const Result<Done> written = write_npy(report.outputs.back().file, port, dims, collected.bytes[i]);
    if (!written) return written.error();
  }
  return report;
}

std::string to_text(const RunReport& report) {
  std::vector<std::vector<std::string>> rows = {{"Output", "Shape", "Min", "Max", "Mean", "File"}};
  for (const RunReport::Output& o : report.outputs)
    rows.push_back({o.name, o.shape, short_number(o.min), short_number(o.max), short_number(o.mean), o.file});
  return std::to_string(report.samples) + " samples\n" + text_table(rows);
}

std::string to_json(const RunReport& report) {
  nlohmann::ordered_json j = {{"samples", report.samples}};
  if (!report.note.empty()) j["note"] = report.note;
  j["outputs"] = nlohmann::ordered_json::array();
  for (const RunReport::Output& o : report.outputs)
    j["outputs"].push_back(
        {{"name", o.name}, {"shape", o.shape}, {"min", o.min}, {"max", o.max}, {"mean", o.mean}, {"file", o.file}});
  return json_text(j);
}

}  // namespace octet
