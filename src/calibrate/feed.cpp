#include "calibrate/feed.h"

#include <algorithm>
#include <optional>

#include "data/store_sample.h"

namespace octet {
namespace {

Result<Feed::Buffer> make_buffer(const Value& value) {
  const std::optional<Dims> dims = value.shape ? known_dims(*value.shape) : std::nullopt;
  const std::optional<int64_t> count = dims ? element_count(*dims) : std::nullopt;
  if (!count) return Error{ErrorCode::internal, "value '" + value.name + "' has no concrete shape in the engine"};
  Feed::Buffer buffer;
  buffer.bytes = allocate_aligned(static_cast<size_t>(*count) * size_of(value.dtype));
  if (!buffer.bytes) return Error{ErrorCode::out_of_memory, "no memory for '" + value.name + "' " + to_string(*dims)};
  buffer.view = TensorView::dense(value.dtype, *dims, buffer.bytes.get());
  return buffer;
}

/// Elements of one sample.
int64_t each(const TensorView& view) { return view.dims.empty() ? 1 : row_major_strides(view.dims)[0]; }

}  // namespace

Result<Feed> Feed::make(const Engine& engine, const InputData& data) {
  Feed feed;
  feed.data_ = data;
  const Graph& graph = engine.plan().graph;
  if (graph.inputs.size() != data.inputs.size())
    return Error{ErrorCode::bad_argument, "the network has " + std::to_string(graph.inputs.size()) +
                                              " inputs, data was given for " + std::to_string(data.inputs.size())};
  for (const auto& [ids, buffers] :
       {std::pair(&graph.inputs, &feed.inputs_), std::pair(&graph.outputs, &feed.outputs_)}) {
    for (const ValueId id : *ids) {
      Result<Buffer> buffer = make_buffer(graph.value(id));
      if (!buffer) return buffer.error();
      feed.bytes_ += static_cast<size_t>(*element_count(buffer->view.dims)) * size_of(buffer->view.dtype);
      buffers->push_back(*std::move(buffer));
    }
  }
  for (size_t i = 0; i < feed.inputs_.size(); ++i) {
    const Value& input = engine.input(i);
    const Dims& dims = feed.inputs_[i].view.dims;
    if (!takes_samples(input.dtype))
      return Error{ErrorCode::unsupported, "calibration feeds floats and whole numbers, input '" + input.name +
                                               "' is " + std::string(name(input.dtype))};
    if (dims.empty() || dims[0] < 1 || (i > 0 && dims[0] != feed.batch_))
      return Error{ErrorCode::unsupported, "input '" + input.name + "' " + to_string(dims) +
                                               " has no batch dimension in front, or another one than the first input"};
    feed.batch_ = dims[0];
    if (data.inputs[i]->size() != data.size())
      return Error{ErrorCode::bad_argument, "input '" + input.name + "' has " + std::to_string(data.inputs[i]->size()) +
                                                " samples, input '" + engine.input(0).name + "' " +
                                                std::to_string(data.size())};
  }
  return feed;
}

std::span<float> Feed::sample(size_t i, int64_t slot) {
  const int64_t n = each(inputs_[i].view);
  return {reinterpret_cast<float*>(inputs_[i].bytes.get()) + slot * n, static_cast<size_t>(n)};
}

Result<Done> Feed::read(size_t input, int64_t slot, int64_t sample_index) {
  const TensorView& view = inputs_[input].view;
  const Dims dims(view.dims.begin() + 1, view.dims.end());
  if (view.dtype == DType::f32) return data_.inputs[input]->read(sample_index, dims, sample(input, slot));
  std::vector<float> values(static_cast<size_t>(each(view)));
  if (Result<Done> read = data_.inputs[input]->read(sample_index, dims, values); !read) return read.error();
  std::byte* to = inputs_[input].bytes.get() + static_cast<size_t>(slot * each(view)) * size_of(view.dtype);
  if (store_sample(values, view.dtype, to)) return Done{};
  return Error{ErrorCode::bad_argument, "sample '" + data_.inputs[input]->sample_name(sample_index) +
                                            "': the network takes " + std::string(name(view.dtype)) +
                                            " there, but a value is no whole number within its range and 2^24"};
}

Result<Done> Feed::fill(std::span<const int64_t> samples, ThreadPool& pool) {
  const auto count = static_cast<int64_t>(samples.size());
  std::vector<std::optional<Error>> errors(samples.size());
  for (size_t i = 0; i < inputs_.size(); ++i) {
    pool.parallel_for(count, [&](int64_t slot, int) {
      const Result<Done> done = read(i, slot, samples[static_cast<size_t>(slot)]);
      if (!done && !errors[static_cast<size_t>(slot)]) errors[static_cast<size_t>(slot)] = done.error();
    });
    for (const std::optional<Error>& error : errors)
      if (error) return *error;
    const size_t bytes = static_cast<size_t>(each(inputs_[i].view)) * size_of(inputs_[i].view.dtype);
    for (int64_t slot = count; slot < batch_; ++slot)
      std::copy_n(inputs_[i].bytes.get(), bytes, inputs_[i].bytes.get() + static_cast<size_t>(slot) * bytes);
  }
  return Done{};
}

Result<Done> Feed::run(Context& context, const RunHooks& hooks) {
  Bindings io;
  for (const Buffer& b : inputs_) io.inputs.push_back(b.view);
  for (const Buffer& b : outputs_) io.outputs.push_back(b.view);
  return context.run(io, hooks);
}

std::span<const float> Feed::output(size_t i, int64_t slot) const {
  const TensorView& view = outputs_[i].view;
  if (view.dtype != DType::f32) return {};
  const auto all = static_cast<size_t>(*element_count(view.dims));
  const auto* x = reinterpret_cast<const float*>(outputs_[i].bytes.get());
  if (batch_ == 1) return {x, all};  // some exports drop a batch of one
  if (view.dims.empty() || view.dims[0] % batch_ != 0) return {};
  const size_t n = all / static_cast<size_t>(batch_);
  return {x + static_cast<size_t>(slot) * n, n};
}

}  // namespace octet
