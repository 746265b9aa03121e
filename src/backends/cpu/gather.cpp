// Gather and JoinedGather with constant indices. Channels of images by the kernels of gather_channels; elements along
// another axis as strided copies.
#include <algorithm>
#include <array>
#include <optional>

#include "backends/cpu/constants.h"
#include "backends/cpu/movement.h"
#include "ir/ops/joined_entries.h"
#include "kernels/elementwise/elementwise.h"
#include "kernels/gather_channels/gather_channels.h"

namespace octet::cpu {
namespace {

constexpr int64_t k_max_gathered = 65536;                         // something is prepared for each index
constexpr size_t k_indices = 0, k_table = 1, k_first_joined = 2;  // inputs of a JoinedGather

size_t axis_of(const StepQuery& query, size_t rank) {
  const int64_t axis = int_attribute(query.node, "axis", 0);
  return static_cast<size_t>(axis < 0 ? axis + static_cast<int64_t>(rank) : axis);
}

/// Why the list cannot be prepared for so many entries along the axis; empty = it can.
std::string refuse_indices(const std::optional<std::vector<int64_t>>& indices, int64_t extent) {
  if (!indices) return "the indices are not constant";
  if (static_cast<int64_t>(indices->size()) > k_max_gathered) return "more than 65536 indices";
  const std::optional<int64_t> outside = first_outside(*indices, extent);
  return outside ? "index " + std::to_string(*outside) + " is out of range" : "";
}

std::string refuse_gather(const StepQuery& query) {
  const Dims dims = query.dims(0);
  const std::string reason = refuse_indices(constant_ints(query.graph, query.id(1)), dims[axis_of(query, dims.size())]);
  if (!reason.empty()) return reason;
  return query.output_dims().size() > StridedLoop::k_max_rank ? "more than 10 dimensions" : "";
}

/// The kernels number the bytes of a pixel so.
bool counts_in_32_bits(int64_t pitch, size_t element_bytes) {
  return pitch <= INT32_MAX / static_cast<int64_t>(element_bytes);
}

std::string refuse_joined(const StepQuery& query) {
  if (query.output_dims().size() != 4 || axis_of(query, 4) != 1) return "not along the channels of images";
  if (query.has_input(k_table) && !query.constant(k_table)) return "the table is not constant";
  int64_t channels = 0;
  for (size_t i = k_first_joined; i < query.input_count(); ++i) {
    if (!counts_in_32_bits(channel_pitch(query.dims(i)[1]), size_of(query.dtype(i))))
      return "more than 2^31 bytes a pixel";
    channels += query.dims(i)[1];
  }
  return refuse_indices(constant_ints(query.graph, query.id(k_indices)), channels);
}

/// Which channels of which inputs these are of all inputs' channels.
std::vector<ChannelPick> picks_of(const std::vector<Operand>& inputs, const std::vector<int64_t>& indices) {
  std::vector<int64_t> channels;
  for (const Operand& x : inputs) channels.push_back(x.layout.channels());
  std::vector<ChannelPick> picks;
  for (const JoinedEntry& from : joined_entries(channels, indices))
    picks.push_back({static_cast<int32_t>(from.value), static_cast<int32_t>(from.entry)});
  return picks;
}

PreparedStep channel_step(const StepQuery& query, std::vector<Operand> inputs, const Operand& y,
                          const std::vector<int64_t>& indices, std::optional<std::array<uint8_t, 256>> table) {
  const GatherChannels gather(picks_of(inputs, indices), y.layout.element_bytes, gather_channels_kernel(query.isa));
  PreparedStep step{.scratch_bytes = inputs.size() * sizeof(ChannelInput), .in_team = true};
  step.run = [gather, inputs = std::move(inputs), y, table,
              lookup = elementwise_kernels(query.isa).lookup_u8](const RunContext& run) {
    constexpr int64_t k_block = 64;  // pixels that stay in L1
    const auto bytes = static_cast<int64_t>(y.layout.element_bytes);
    const int64_t pixels = y.layout.batch() * y.layout.pixels(), y_step = y.layout.pitch() * bytes;
    run.parallel(pixels, y.layout.pitch(), [&](int64_t first, int64_t last, int worker) {
      auto* const from = run.scratch<ChannelInput>(worker);
      for (int64_t p = first; p < last; p += k_block) {
        for (size_t i = 0; i < inputs.size(); ++i) {
          const int64_t step_bytes = inputs[i].layout.pitch() * bytes;
          from[i] = {run.at<uint8_t>(inputs[i]) + p * step_bytes, step_bytes};
        }
        const int64_t count = std::min(k_block, last - p);
        uint8_t* const to = run.at<uint8_t>(y) + p * y_step;
        gather.run(from, count, to, y_step);
        if (table) lookup(to, static_cast<size_t>(count * y_step), table->data(), to);
      }
    });
  };
  return step;
}

PreparedStep copies_step(const StepQuery& query, const Operand& x, const Operand& y,
                         const std::vector<int64_t>& indices) {
  const size_t at = axis_of(query, x.layout.rank());
  const Dims index_dims = query.dims(1);
  // x without the axis; the same dims of y lie before and behind the index dims.
  Dims dims = x.layout.dims, from = x.layout.strides, to = y.layout.strides;
  dims.erase(dims.begin() + static_cast<ptrdiff_t>(at));
  from.erase(from.begin() + static_cast<ptrdiff_t>(at));
  const auto first = to.begin() + static_cast<ptrdiff_t>(at);
  const Dims index_strides(first, first + static_cast<ptrdiff_t>(index_dims.size()));
  to.erase(first, first + static_cast<ptrdiff_t>(index_dims.size()));
  const StridedLoop loop(dims, {to, from});
  const StridedLoop positions(index_dims, {index_strides, row_major_strides(index_dims)});
  std::vector<Copy> copies;
  for (int64_t r = 0; r < positions.rows(); ++r) {
    const StridedLoop::Offsets row = positions.row_offsets(r);
    for (int64_t i = 0; i < positions.row_length(); ++i) {
      const int64_t index = indices[static_cast<size_t>(row[1] + i * positions.row_stride(1))];
      const int64_t wrapped = index < 0 ? index + x.layout.dims[at] : index;
      copies.push_back({loop, y.layout.element_bytes, y.place, x.place, row[0] + i * positions.row_stride(0),
                        wrapped * x.layout.strides[at]});
    }
  }
  PreparedStep step{.in_team = true};
  step.run = [copies = std::move(copies)](const RunContext& run) {
    for (const Copy& copy : copies) run_copy(run, copy);
  };
  return step;
}

Result<PreparedStep> prepare_gather(const StepQuery& query, StepBuilder& builder) {
  Result<Operand> x = builder.input(query, 0);
  if (!x) return x.error();
  const Operand y = builder.output(query);
  const std::vector<int64_t> indices = *constant_ints(query.graph, query.id(1));
  const bool is_of_channels = x->layout.is_nhwc() && y.layout.is_nhwc() && axis_of(query, 4) == 1 &&
                              counts_in_32_bits(x->layout.pitch(), x->layout.element_bytes);
  return is_of_channels ? channel_step(query, {*x}, y, indices, std::nullopt) : copies_step(query, *x, y, indices);
}

Result<PreparedStep> prepare_joined(const StepQuery& query, StepBuilder& builder) {
  std::vector<Operand> inputs;
  for (size_t i = k_first_joined; i < query.input_count(); ++i) {
    Result<Operand> x = builder.input(query, i);
    if (!x) return x.error();
    inputs.push_back(*x);
  }
  std::optional<std::array<uint8_t, 256>> table;
  if (query.has_input(k_table)) table = domain_table(*query.constant(k_table), query.dtype(k_first_joined));
  return channel_step(query, std::move(inputs), builder.output(query), *constant_ints(query.graph, query.id(k_indices)),
                      table);
}

}  // namespace

const StepDef gather_step = {"gather", refuse_gather, streaming_cost_us, prepare_gather};
const StepDef joined_gather_step = {"joined_gather", refuse_joined, streaming_cost_us, prepare_joined};

}  // namespace octet::cpu
