#include "api/samples.h"

#include <algorithm>
#include <cstring>

#include "api/inputs.h"
#include "api/state.h"
#include "data/store_sample.h"

namespace octet {

namespace {

Result<Done> check_input(const Port& in, int64_t batch) {
  if (batch < 1)
    return Error{ErrorCode::bad_argument, "input '" + in.name + "' is " + to_string(in.dims) +
                                              ", which holds no sample; give it a batch of at least 1 (--shapes)"};
  if (takes_samples(dtype_of_numpy(in.dtype)) && !in.dims.empty() && in.dims[0] == batch) return Done{};
  return Error{ErrorCode::bad_argument, "input '" + in.name + "' is " + in.dtype + to_string(in.dims) +
                                            "; data sets feed floats and whole numbers, with a leading batch"};
}

}  // namespace

bool SampleSet::are_pictures() const {
  return std::any_of(inputs_.begin(), inputs_.end(), [](const auto& input) { return input->are_pictures(); });
}

namespace {

Result<SampleSet> open_with(DataOptions options, const std::vector<NetworkInput>& inputs, const std::string& preprocess,
                            bool brought_along) {
  options.preprocess = preprocess;
  Result<std::vector<std::unique_ptr<Dataset>>> opened = open_inputs(options, inputs);
  if (!opened) return opened.error();
  if ((*opened)[0]->size() == 0) return Error{ErrorCode::bad_argument, options.path + ": holds no samples"};
  return SampleSet(*std::move(opened), preprocess, brought_along);
}

}  // namespace

Result<Done> check_own_formats(const Session& session) {
  for (const auto& [tensor, format] : session.state().formats)
    return Error{ErrorCode::bad_argument,
                 session.path() + ": tensor '" + tensor + "' is in another form than the network's (" +
                     (format.dtype.empty() ? "" : format.dtype + ", ") + order_name(format) +
                     "), as the plan was built with --inputIOFormats or --outputIOFormats: samples are given and "
                     "answers read in the network's own form; build a plan without, or run this one with octet "
                     "trtexec --loadInputs, or octet run --loadInputs"};
  return Done{};
}

Result<SampleSet> open_data(const DataOptions& options, const Session& session, const Session* beside) {
  for (const Session* each : {&session, beside})
    if (each)
      if (const Result<Done> ok = check_own_formats(*each); !ok) return ok.error();
  if (options.path.empty()) return Error{ErrorCode::bad_argument, "no data given: use --data PATH"};
  std::vector<NetworkInput> inputs;
  for (const Port& in : session.inputs()) {
    if (const Result<Done> ok = check_input(in, session.batch()); !ok) return ok.error();
    inputs.push_back({in.name, in.dims, dtype_of_numpy(in.dtype)});
  }
  if (!options.preprocess.empty()) return open_with(options, inputs, options.preprocess, false);
  std::string stored = session.calibration_preprocess();
  if (stored.empty() && beside) stored = beside->calibration_preprocess();
  if (!stored.empty() && stored != "none") {
    Result<SampleSet> pictures = open_with(options, inputs, stored, true);
    if (pictures && pictures->are_pictures()) return pictures;
  }
  return open_with(options, inputs, "none", false);  // numbers are taken to be the network's input already
}

std::string preprocess_note(const SampleSet& data, const Session& session) {
  const Result<Preprocess> spec = parse_preprocess(data.preprocess());
  if (!spec) return "";
  const std::string now = to_string(*spec);
  const std::string& calibration = session.calibration_preprocess();
  if (!calibration.empty() && calibration != now)
    return "preprocessing '" + now + "' differs from calibration's '" + calibration + "'";
  if (data.brought_along())
    return calibration.empty() ? "" : "preprocessing '" + now + "', as stored with the network (--preprocess sets it)";
  if (!spec->none || !data.are_pictures()) return "";
  return "no --preprocess is given: the pixels went in as they are, 0 to 255. Most networks were trained on scaled "
         "ones (imagenet, cifar10, ...) and answer by chance otherwise";
}

Result<SampleBuffers> SampleBuffers::make(const Session& session) {
  SampleBuffers b;
  b.input_ports_ = session.inputs();
  b.output_ports_ = session.outputs();
  for (const Port& in : b.input_ports_)
    if (const Result<Done> ok = check_input(in, session.batch()); !ok) return ok.error();
  if (b.output_ports_[0].dtype != "float32")
    return Error{ErrorCode::bad_argument,
                 "output '" + b.output_ports_[0].name + "' is " + b.output_ports_[0].dtype + "; float32 expected"};
  b.batch_ = session.batch();
  for (const Port& p : b.input_ports_) {
    b.inputs_.push_back(allocate_aligned(p.bytes));
    if (b.inputs_.back()) std::memset(b.inputs_.back().get(), 0, p.bytes);
  }
  for (const Port& p : b.output_ports_) b.outputs_.push_back(allocate_aligned(p.bytes));
  for (const auto* buffers : {&b.inputs_, &b.outputs_})
    for (const AlignedBytes& bytes : *buffers)
      if (!bytes) return Error{ErrorCode::out_of_memory, "no memory for the network's inputs and outputs"};
  return b;
}

Result<Done> read_samples(const SampleSet& data, size_t port, const Port& in, int64_t begin, int64_t count,
                          std::byte* to) {
  const Dims sample_dims(in.dims.begin() + 1, in.dims.end());
  const DType dtype = dtype_of_numpy(in.dtype);
  const auto batch = static_cast<size_t>(in.dims[0]), each = in.bytes / size_of(dtype) / batch;
  std::vector<float> other(dtype == DType::f32 ? 0 : each);
  for (int64_t i = 0; i < count; ++i) {
    std::byte* const at = to + static_cast<size_t>(i) * each * size_of(dtype);
    const std::span<float> values =
        dtype == DType::f32 ? std::span(reinterpret_cast<float*>(at), each) : std::span(other);
    const Result<Done> read = data.input(port).read(begin + i, sample_dims, values);
    if (!read) return read.error();
    if (dtype != DType::f32 && !store_sample(values, dtype, at))
      return Error{ErrorCode::bad_argument, "sample '" + data.input(port).sample_name(begin + i) + "': input '" +
                                                in.name + "' takes " + in.dtype +
                                                ", but a value is no whole number within its range and 2^24"};
  }
  std::memset(to + static_cast<size_t>(count) * each * size_of(dtype), 0,
              (batch - static_cast<size_t>(count)) * each * size_of(dtype));
  return Done{};
}

Result<Done> SampleBuffers::fill(const SampleSet& data, int64_t begin, int64_t count) {
  for (size_t port = 0; port < inputs_.size(); ++port) {
    const Result<Done> read = read_samples(data, port, input_ports_[port], begin, count, inputs_[port].get());
    if (!read) return read.error();
  }
  return Done{};
}

Result<Done> SampleBuffers::run(Session& session) { return run(session, {}); }

Result<Done> SampleBuffers::run(Session& session, const RunHooks& hooks) {
  std::vector<const std::byte*> in;
  std::vector<std::byte*> out;
  for (const AlignedBytes& b : inputs_) in.push_back(b.get());
  for (const AlignedBytes& b : outputs_) out.push_back(b.get());
  return session.state().run(in, out, hooks);
}

std::span<const float> SampleBuffers::input(size_t port) const {
  return {reinterpret_cast<const float*>(inputs_[port].get()), input_ports_[port].bytes / sizeof(float)};
}

std::vector<std::vector<std::byte>> SampleBuffers::copy_outputs() const {
  std::vector<std::vector<std::byte>> copies;
  for (size_t i = 0; i < outputs_.size(); ++i)
    copies.emplace_back(outputs_[i].get(), outputs_[i].get() + output_ports_[i].bytes);
  return copies;
}

std::span<const float> SampleBuffers::output(size_t port) const {
  return {reinterpret_cast<const float*>(outputs_[port].get()), output_ports_[port].bytes / sizeof(float)};
}

std::span<const float> SampleBuffers::row(int64_t i) const {
  const std::span<const float> all = output(0);
  // Some exports drop a batch of one: the whole output is then the row.
  const Dims& dims = output_ports_[0].dims;
  const size_t rows = !dims.empty() && dims[0] == batch_ ? static_cast<size_t>(batch_) : 1;
  const size_t each = all.size() / rows;
  return all.subspan(rows == 1 ? 0 : static_cast<size_t>(i) * each, each);
}

int64_t arg_max(std::span<const float> row) {
  size_t best = 0;
  for (size_t i = 1; i < row.size(); ++i)
    if (row[i] > row[best] || row[best] != row[best]) best = i;
  return static_cast<int64_t>(best);
}

}  // namespace octet
