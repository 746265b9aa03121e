// Convolutions and pools: auto_pad becomes explicit pads.
//   VALID: none.   SAME_*: out = ceil(in / stride), total = max(0, (out - 1) * stride + (kernel - 1) * dilation + 1 -
//   in), split in halves; the odd one goes behind (SAME_UPPER) or before (SAME_LOWER).
// With stride 1 total does not depend on `in`. Where it does and `in` is unknown, auto_pad stays; so it does for
// ConvTranspose. Source: ONNX operators Conv, MaxPool and AveragePool, opset 11.

#include <algorithm>

#include "onnx/oddity.h"

namespace octet {
namespace {

constexpr int64_t k_max_window = int64_t{1} << 31;  // keeps every product below in 64 bits

/// The attribute, or `rank` ones; nothing when it has another length or an absurd extent.
std::optional<std::vector<int64_t>> extents(const ForeignNode& node, const std::string& key, size_t rank) {
  const auto found = node.attributes.find(key);
  if (found == node.attributes.end()) return std::vector<int64_t>(rank, 1);
  const auto* list = std::get_if<std::vector<int64_t>>(&found->second);
  if (!list || list->size() != rank) return std::nullopt;
  for (const int64_t v : *list)
    if (v < 1 || v > k_max_window) return std::nullopt;
  return *list;
}

std::optional<std::vector<int64_t>> kernel_extents(const Importer& importer, const ForeignNode& node, size_t rank) {
  if (node.attributes.contains("kernel_shape")) return extents(node, "kernel_shape", rank);
  const Shape* weight = importer.shape(node, 1);  // Conv: [OC, IC/g, KH, KW]
  if (!weight || weight->size() != rank + 2) return std::nullopt;
  std::vector<int64_t> kernel;
  for (size_t i = 2; i < weight->size(); ++i) {
    const int64_t v = (*weight)[i].value;
    if (v < 1 || v > k_max_window) return std::nullopt;
    kernel.push_back(v);
  }
  return kernel;
}

/// Total padding of each spatial axis; nothing when something it depends on is unknown.
std::optional<std::vector<int64_t>> same_totals(const Importer& importer, const ForeignNode& node, const Shape& x) {
  const size_t rank = x.size() - 2;
  const auto kernel = kernel_extents(importer, node, rank);
  const auto strides = extents(node, "strides", rank);
  const auto dilations = extents(node, "dilations", rank);
  if (!kernel || !strides || !dilations) return std::nullopt;
  std::vector<int64_t> totals;
  for (size_t i = 0; i < rank; ++i) {
    const int64_t window = ((*kernel)[i] - 1) * (*dilations)[i] + 1;
    const int64_t stride = (*strides)[i];
    const int64_t in = x[i + 2].value;
    if (stride == 1) {
      totals.push_back(window - 1);
    } else if (in >= 0) {
      const int64_t out = in / stride + (in % stride != 0);
      totals.push_back(std::max<int64_t>(0, (out - 1) * stride + window - in));
    } else {
      return std::nullopt;
    }
  }
  return totals;
}

/// Explicit pads in place of auto_pad where they can be known.
Result<Done> resolve_auto_pad(Importer& importer, ForeignNode& node) {
  const Result<const std::string*> given = attribute_of_kind<std::string>(importer, node, "auto_pad");
  if (!given) return given.error();
  if (!*given) return Done{};
  const std::string mode = **given;
  if (mode == "NOTSET" || mode.empty()) {
    node.attributes.erase("auto_pad");
  } else if (mode == "VALID") {
    node.attributes.erase("auto_pad");
    node.attributes.erase("pads");
  } else if (mode != "SAME_UPPER" && mode != "SAME_LOWER") {
    return importer.error(node, "auto_pad '" + mode + "' is not one of NOTSET, VALID, SAME_UPPER, SAME_LOWER",
                          ErrorCode::bad_model);
  } else if (const Shape* x = importer.shape(node, 0); x && x->size() > 2 && node.op != "ConvTranspose") {
    const std::optional<std::vector<int64_t>> totals = same_totals(importer, node, *x);
    if (totals) {
      std::vector<int64_t> before, after;
      for (const int64_t total : *totals) {
        const int64_t small = total / 2;
        before.push_back(mode == "SAME_UPPER" ? small : total - small);
        after.push_back(total - before.back());
      }
      before.insert(before.end(), after.begin(), after.end());
      node.attributes["pads"] = before;
      node.attributes.erase("auto_pad");
      node.attributes.erase("ceil_mode");  // the output is ceil(in / stride) already
    }
  }
  return Done{};
}

/// Rounding up adds a window on this axis.
bool adds_window(int64_t in, int64_t before, int64_t after, int64_t window, int64_t stride) {
  const int64_t room = in + before + after - window;
  if (room < 0) return true;  // the only one, or none
  if (room % stride == 0) return false;
  return (room / stride + 1) * stride < in + before;
}

/// True when ceil_mode changes no extent; false also when an extent is unknown.
bool is_ceil_mode_idle(const Importer& importer, const ForeignNode& node) {
  const Shape* x = importer.shape(node, 0);
  if (!x || x->size() < 3 || node.attributes.contains("auto_pad")) return false;
  const size_t rank = x->size() - 2;
  const auto kernel = extents(node, "kernel_shape", rank), strides = extents(node, "strides", rank);
  const auto dilations = extents(node, "dilations", rank);
  std::vector<int64_t> pads(2 * rank, 0);
  if (const auto found = node.attributes.find("pads"); found != node.attributes.end()) {
    const auto* list = std::get_if<std::vector<int64_t>>(&found->second);
    if (!list || list->size() != 2 * rank) return false;
    pads = *list;
  }
  if (!kernel || !strides || !dilations) return false;
  for (size_t i = 0; i < rank; ++i) {
    const int64_t in = (*x)[i + 2].value, before = pads[i], after = pads[rank + i];
    if (in < 0 || before < 0 || after < 0 || before > k_max_window || after > k_max_window) return false;
    const int64_t reach = ((*kernel)[i] - 1);
    if (reach != 0 && (*dilations)[i] > k_max_window / reach) return false;
    if (adds_window(in, before, after, reach * (*dilations)[i] + 1, (*strides)[i])) return false;
  }
  return true;
}

}  // namespace

Result<Done> convert_pool(Importer& importer, ForeignNode node) {
  if (Result<Done> ok = resolve_auto_pad(importer, node); !ok) return ok;
  if (node.attributes.contains("ceil_mode") && is_ceil_mode_idle(importer, node)) node.attributes.erase("ceil_mode");
  return importer.emit(std::move(node));
}

Result<Done> convert_auto_pad(Importer& importer, ForeignNode node) {
  if (Result<Done> ok = resolve_auto_pad(importer, node); !ok) return ok;
  return importer.emit(std::move(node));
}

}  // namespace octet
