// Topological order of a file's nodes. ONNX demands it, some writers do not keep it.

#include "onnx/order.h"

#include <functional>
#include <queue>

#include "onnx/importer.h"

namespace octet {
namespace {

constexpr size_t k_nobody = static_cast<size_t>(-1);

using Makers = std::unordered_map<std::string_view, size_t>;

size_t maker_of(const Makers& makers, std::string_view value_name) {
  const auto found = value_name.empty() ? makers.end() : makers.find(value_name);
  return found == makers.end() ? k_nobody : found->second;
}

/// A node on a cycle: whoever never became ready has a maker that did not either; going back repeats in the end.
size_t node_on_cycle(const ProtoGraph& graph, const Makers& makers, const std::vector<size_t>& missing) {
  size_t at = 0;
  while (missing[at] == 0) ++at;
  for (size_t step = 0; step < graph.nodes.size(); ++step) {
    std::vector<std::string_view> read = names_read_inside(graph.nodes[at]);
    read.insert(read.end(), graph.nodes[at].inputs.begin(), graph.nodes[at].inputs.end());
    for (const std::string_view input : read) {
      const size_t maker = maker_of(makers, input);
      if (maker == k_nobody || missing[maker] == 0) continue;
      at = maker;
      break;
    }
  }
  return at;
}

}  // namespace

NodeOrder topological_order(const ProtoGraph& graph) {
  const size_t count = graph.nodes.size();
  Makers makers;
  for (size_t n = 0; n < count; ++n)
    for (const std::string_view output : graph.nodes[n].outputs)
      if (!output.empty()) makers.emplace(output, n);
  std::vector<size_t> missing(count, 0);  // inputs whose maker has not been placed yet
  std::vector<std::vector<size_t>> readers(count);
  std::priority_queue<size_t, std::vector<size_t>, std::greater<>> ready;
  for (size_t n = 0; n < count; ++n) {
    std::vector<std::string_view> read = names_read_inside(graph.nodes[n]);
    read.insert(read.end(), graph.nodes[n].inputs.begin(), graph.nodes[n].inputs.end());
    for (const std::string_view input : read) {
      const size_t maker = maker_of(makers, input);
      if (maker == k_nobody) continue;
      ++missing[n];
      readers[maker].push_back(n);
    }
    if (missing[n] == 0) ready.push(n);
  }
  std::vector<size_t> order;
  order.reserve(count);
  while (!ready.empty()) {
    const size_t n = ready.top();
    ready.pop();
    order.push_back(n);
    for (const size_t reader : readers[n])
      if (--missing[reader] == 0) ready.push(reader);
  }
  if (order.size() == count) return {std::move(order), std::nullopt};
  const ProtoNode& node = graph.nodes[node_on_cycle(graph, makers, missing)];
  return {std::move(order),
          Error{ErrorCode::bad_model, place_of(node) + ": lies on a cycle; expected a graph without cycles"}};
}

}  // namespace octet
