// QuantConv by Winograd's F(4x4, 3x3), exactly: kernels/winograd_u8s8.
#include "backends/cpu/conv.h"
#include "backends/cpu/requantize.h"
#include "kernels/winograd_u8s8/winograd_u8s8.h"

namespace octet::cpu {
namespace {

std::string refuse(const StepQuery& query) {
  std::string reason = refuse_conv_u8s8(query);
  if (!reason.empty()) return reason;
  if (image_of(query.graph, query.node) != k_absent) return "the layer reads the caller's image";
  const int32_t zero_point = codes_of(query.node, "x", query.dtype(0)).zero_point;
  return refuse_winograd_u8s8(*conv_geometry(query), query.constant(1)->as<int8_t>(), zero_point, query.isa);
}

int64_t constant_bytes(const Graph& graph) {
  int64_t sum = 0;
  for (const Value& value : graph.values)
    if (value.constant) sum += static_cast<int64_t>(value.constant->bytes().size());
  return sum;
}

std::vector<StepVariant> variants(const StepQuery& query) {
  std::vector<StepVariant> list;
  for (ConvVariant& v : winograd_u8s8_variants(*conv_geometry(query), query.dims(0)[0], query.isa,
                                               constant_bytes(query.graph), query.threads))
    list.push_back({std::move(v.name), std::move(v.refused), 1 + v.cost_us});
  return list;
}

Result<PreparedStep> prepare(const StepQuery& query, StepBuilder& builder) {
  return prepare_conv_u8s8(query, builder, [](const ConvU8S8Desc& desc, const StepQuery& asked) {
    return make_winograd_u8s8(desc, asked.isa, asked.variant);
  });
}

}  // namespace

const StepDef winograd_u8s8_step = {"winograd_u8s8", refuse, nullptr, prepare, variants};

}  // namespace octet::cpu
