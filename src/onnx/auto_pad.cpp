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

}  // namespace

Result<Done> convert_auto_pad(Importer& importer, ForeignNode node) {
  const Result<const std::string*> given = attribute_of_kind<std::string>(importer, node, "auto_pad");
  if (!given) return given.error();
  if (!*given) return importer.emit(std::move(node));
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
  return importer.emit(std::move(node));
}

}  // namespace octet
