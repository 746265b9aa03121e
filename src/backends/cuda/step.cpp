#include "backends/cuda/step.h"

#include <cuda_fp16.h>

#include <cstring>

#include "backends/cuda/conv_layer.h"
#include "ir/ops/fused.h"

namespace octet::cuda {
namespace {

Act kind_of(Activation activation) {
  switch (activation) {
    case Activation::none: return Act::none;
    case Activation::relu: return Act::relu;
    case Activation::clip: return Act::clip;
    case Activation::leaky_relu: return Act::leaky_relu;
    case Activation::sigmoid: return Act::sigmoid;
    case Activation::hard_sigmoid: return Act::hard_sigmoid;
    case Activation::hard_swish: return Act::hard_swish;
    case Activation::silu: return Act::silu;
    case Activation::tanh: return Act::tanh_;
  }
  return Act::none;
}

size_t index_in(const std::vector<ValueId>& list, ValueId v) {
  return static_cast<size_t>(std::find(list.begin(), list.end(), v) - list.begin());
}

/// All indices of dims in row-major order: body(linear, offset by strides).
template <class F>
void for_each_offset(const Dims& dims, const Dims& strides, F&& body) {
  const int64_t count = element_count(dims).value_or(0);
  Dims index(dims.size(), 0);
  int64_t offset = 0;
  for (int64_t i = 0; i < count; ++i) {
    body(i, offset);
    for (size_t d = dims.size(); d-- > 0;) {
      offset += strides[d];
      if (++index[d] < dims[d]) break;
      offset -= strides[d] * dims[d];
      index[d] = 0;
    }
  }
}

}  // namespace

size_t PreparedStep::cheapest() const {
  const auto least = std::min_element(choices.begin(), choices.end(),
                                      [](const Choice& a, const Choice& b) { return a.cost_us < b.cost_us; });
  return static_cast<size_t>(least - choices.begin());
}

Operand StepBuilder::value(ValueId v) const {
  const Graph& graph = plan_.graph;
  const Slot& slot = plan_.slots[static_cast<size_t>(v)];
  Operand operand{layout_of(graph, v, floats_), {}};
  if (slot.bytes > 0) {
    operand.place = {Place::Kind::arena, static_cast<size_t>(v)};
  } else if (borrows_input(graph, v, floats_)) {
    operand.place = {Place::Kind::input, index_in(graph.inputs, v)};
    operand.layout = dense_layout(operand.layout.dtype, operand.layout.dims);
  } else if (writes_output(graph, v, floats_)) {
    operand.place = {Place::Kind::output, index_in(graph.outputs, v)};
  }
  return operand;
}

void StepBuilder::keep_apart(ValueId output, ValueId x) {
  const Slot &a = plan_.slots[static_cast<size_t>(output)], &b = plan_.slots[static_cast<size_t>(x)];
  const bool overlap = a.bytes > 0 && b.bytes > 0 && a.offset < b.offset + b.bytes && b.offset < a.offset + a.bytes;
  if (!overlap) return;
  if (!offsets_.moved.contains(output) && !offsets_.moved.contains(x)) {
    offsets_.moved.insert(output);
    offsets_.at[static_cast<size_t>(output)] = offsets_.end;
    offsets_.end += a.bytes;
  }
  moved_here_.insert(offsets_.moved.contains(output) ? output : x);
}

ArenaOffsets::ArenaOffsets(const Plan& plan) : begin((plan.arena_bytes + 255) / 256 * 256), end(begin) {
  for (const Slot& slot : plan.slots) at.push_back(slot.offset);
}

void ArenaOffsets::settle(const Plan& plan) {
  end = begin;
  for (const ValueId v : moved) {
    const Slot& slot = plan.slots[static_cast<size_t>(v)];
    at[static_cast<size_t>(v)] = kept.contains(v) ? end : slot.offset;
    if (kept.contains(v)) end += slot.bytes;
  }
  moved = kept;
}

Result<const void*> StepBuilder::upload(const void* from, size_t bytes) {
  Result<DeviceBytes> made = to_device(from, bytes, "a constant");
  if (!made) return made.error();
  const void* p = made->get();
  constants_.push_back(std::move(*made));
  return p;
}

Result<const void*> StepBuilder::upload_table(const Tensor& table, DType x) {
  const int32_t x_shift = domain_shift(x), y_shift = domain_shift(table.dtype());
  std::vector<uint8_t> stored(256);
  for (int code = 0; code < 256; ++code)  // stored code -> the code's byte -> entry -> stored code
    stored[static_cast<size_t>(code)] =
        static_cast<uint8_t>(std::to_integer<int>(table.bytes()[static_cast<size_t>(code ^ x_shift)]) ^ y_shift);
  return upload(stored);
}

bool StepBuilder::wants_tile(const std::string& tile) const {
  return std::any_of(std::begin(k_triggers), std::end(k_triggers),
                     [&](const NamedTrigger& t) { return wants(tile + t.suffix); });
}

Result<Operand> StepBuilder::constant(const Tensor& tensor) {
  Operand operand{layout_of(tensor.dtype(), tensor.dims(), floats_), {}};
  const size_t size = size_of(tensor.dtype()), stored = operand.layout.element_bytes;
  std::vector<std::byte> bytes(operand.layout.bytes() + 16);
  const std::byte* from = tensor.bytes().data();
  for_each_offset(tensor.dims(), operand.layout.strides, [&](int64_t i, int64_t at) {
    const std::byte* element = from + static_cast<size_t>(i) * size;
    std::byte* to = bytes.data() + static_cast<size_t>(at) * stored;
    if (operand.layout.store == Store::f16 && tensor.dtype() == DType::f32) {
      float value = 0;
      std::memcpy(&value, element, sizeof value);
      const __half half(value);
      std::memcpy(to, &half, sizeof half);
    } else {
      std::memcpy(to, element, size);
      if (tensor.dtype() == DType::s8) *to ^= std::byte{0x80};
    }
  });
  Result<const void*> data = upload(bytes.data(), bytes.size());
  if (!data) return data.error();
  operand.place = {Place::Kind::constant, 0, *data};
  return operand;
}

Result<Operand> StepBuilder::input(const StepQuery& query, size_t i) {
  if (const std::optional<Tensor> tensor = constant_of(query.graph, query.id(i))) return constant(*tensor);
  return value(query.id(i));
}

Result<Epilogue> epilogue_of(const NodeContext& context, DType floats) {
  const Result<Requantize> form = requantize_of(context);
  if (!form) return form.error();
  Epilogue e;
  const FusedAct act = act_of(context.node);
  e.on_values = form->on_values();
  if (form->y.dtype == DType::f32) {
    e.to = floats == DType::f16 ? Store::f16 : Store::f32;
    e.act = act.act, e.p0 = act.p0, e.p1 = act.p1;
    return e;
  }
  const int32_t shift = domain_shift(form->y.dtype);
  e.to = Store::u8;
  e.y_zero = form->y.zero_point + shift, e.lo = form->lo + shift, e.hi = form->hi + shift;
  e.inverse_y_scale = form->inverse_scale;
  if (e.on_values) e.act = act.act, e.p0 = act.p0, e.p1 = act.p1;
  return e;
}

FusedAct act_of(const Node& node) {
  const Result<Activation> activation = activation_from_name(string_attribute(node, "activation", ""));
  const std::vector<float> params = floats_attribute(node, "activation_params", {});
  FusedAct made;
  made.act = activation ? kind_of(*activation) : Act::none;
  if (!params.empty()) made.p0 = params[0];
  if (params.size() > 1) made.p1 = params[1];
  return made;
}

Codes codes_of(const Node& node, const std::string& prefix, DType dtype) {
  return {float_attribute(node, prefix + "_scale", 1.0f),
          static_cast<int32_t>(int_attribute(node, prefix + "_zero_point", 0)) + domain_shift(dtype)};
}

namespace {

/// The widest element of 16, 8, 4, 2 or 1 times `bytes` that all rows can be moved in: innermost stride 1, everything
/// else a multiple.
int widen(Strided& s, int bytes, int64_t bases) {
  const int inner = s.rank - 1;
  if (inner < 0 || s.stride[0][inner] != 1 || s.stride[1][inner] != 1) return bytes;
  int64_t common = s.div[inner].d | bases;
  for (int d = 0; d < inner; ++d) common |= s.stride[0][d] | s.stride[1][d];
  int wide = 1;
  while (wide * 2 * bytes <= 16 && common % (wide * 2) == 0) wide *= 2;
  s.div[inner] = fast_div(s.div[inner].d / static_cast<uint32_t>(wide));
  for (int d = 0; d < inner; ++d) s.stride[0][d] /= wide, s.stride[1][d] /= wide;
  s.count /= wide;
  return bytes * wide;
}

}  // namespace

Result<Enqueue> copy_elements(const Dims& dims, const Operand& to, const Dims& to_strides, int64_t to_base,
                              const Operand& from, const Dims& from_strides, int64_t from_base) {
  const Dims both[2] = {to_strides, from_strides};
  std::optional<Strided> loop = strided(dims, both);
  if (!loop) return Error{ErrorCode::unsupported, "a copy of more than 2^31 elements or 8 dimensions"};
  const auto element = static_cast<int64_t>(to.layout.element_bytes);
  const int bytes = widen(*loop, static_cast<int>(element), to_base | from_base);
  return Enqueue([=, loop = *loop, to = to.place, from = from.place](const Launch& run) {
    return launch_copy(loop, bytes, static_cast<std::byte*>(run.at(to)) + to_base * element,
                       static_cast<const std::byte*>(run.at(from)) + from_base * element, run.stream);
  });
}

Result<Enqueue> convert(const Operand& to, const Operand& from) {
  const Dims both[2] = {to.layout.strides, from.layout.strides};
  const std::optional<Strided> loop = strided(to.layout.dims, both);
  if (!loop) return Error{ErrorCode::unsupported, "a tensor of more than 2^31 elements or 8 dimensions"};
  if (to.layout.dtype == DType::s8)
    return Enqueue([loop = *loop, to = to.place, from = from.place](const Launch& run) {
      return launch_flip(loop, run.at(to), run.at(from), run.stream);
    });
  if (to.layout.dtype != DType::f32)
    return copy_elements(to.layout.dims, to, to.layout.strides, 0, from, from.layout.strides, 0);
  return sequence({to.place.kind == Place::Kind::arena ? clear_padding(to) : Enqueue(),
                   [loop = *loop, to, from](const Launch& run) {
                     return launch_convert(loop, from.layout.store, to.layout.store, run.at(to.place),
                                           run.at(from.place), run.stream);
                   }});
}

Enqueue clear_padding(const Operand& y) {
  const Layout& layout = y.layout;
  if (!layout.is_nhwc() || layout.store == Store::u8 || !layout.has_padding()) return {};
  return [place = y.place, bytes = static_cast<int64_t>(layout.bytes())](const Launch& run) {
    return launch_fill(run.at(place), 0, 4, bytes / 4, run.stream);
  };
}

Enqueue sequence(std::vector<Enqueue> parts) {
  std::erase_if(parts, [](const Enqueue& part) { return !part; });
  if (parts.size() == 1) return parts[0];
  return [parts = std::move(parts)](const Launch& run) {
    for (const Enqueue& part : parts)
      if (const cudaError_t status = part(run); status != cudaSuccess) return status;
    return cudaSuccess;
  };
}

}  // namespace octet::cuda
