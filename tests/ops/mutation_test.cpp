// Graphs with a few characters changed: whatever comes out is a graph or an error, never a crash. Run under sanitizers
// in CI.
#include <algorithm>

#include "evaluate.h"

namespace octet::testing {
namespace {

constexpr const char* k_graphs[] = {
#include "circular_cases.inc"
#include "close_cases.inc"
#include "compute_cases.inc"
#include "exact_cases.inc"
#include "eye_cases.inc"
#include "integer_conv_cases.inc"
#include "integer_gemm_cases.inc"
#include "integer_pair_cases.inc"
#include "integer_pool_cases.inc"
#include "movement_cases.inc"
#include "rare_cases.inc"
#include "same_pool_cases.inc"
#include "sampled_cases.inc"
};
constexpr std::string_view k_pieces[] = {"-",
                                         "0",
                                         "9",
                                         "-1",
                                         "99999999999",
                                         "9223372036854775807",
                                         "-9223372036854775808",
                                         ",",
                                         "_",
                                         "nan",
                                         "[",
                                         "]",
                                         "{",
                                         "}",
                                         "f32",
                                         "u8",
                                         "s64",
                                         "bool",
                                         "x1",
                                         "x0",
                                         "",
                                         "?",
                                         "N",
                                         "1.5"};

class Random {
 public:
  uint32_t below(size_t n) {  // a linear congruential generator (Numerical Recipes), its upper bits
    state_ = state_ * 6364136223846793005u + 1442695040888963407u;
    return static_cast<uint32_t>((state_ >> 33) % n);
  }

 private:
  uint64_t state_ = 1;
};

/// Evaluation allocates what the graph asks for; only small answers are asked for here.
bool is_small(const Graph& graph) {
  return std::all_of(graph.values.begin(), graph.values.end(), [](const Value& value) {
    const std::optional<Dims> dims = value.shape ? known_dims(*value.shape) : std::nullopt;
    return dims && element_count(*dims).value_or(k_max_elements) < 10000;
  });
}

TEST(Mutations, a_changed_graph_is_a_graph_or_an_error) {
  Random random;
  int parsed = 0;
  for (const std::string original : k_graphs) {
    for (int round = 0; round < 60; ++round) {
      std::string text = original;
      for (uint32_t edits = 1 + random.below(3); edits > 0; --edits) {
        // Every second edit hits the node's line at the end, where the attributes are.
        const size_t window = random.below(2) ? text.size() : std::min<size_t>(text.size(), 150);
        const size_t at = text.size() - 1 - random.below(window), length = random.below(3);
        text.replace(at, length, k_pieces[random.below(std::size(k_pieces))]);
      }
      Result<Graph> graph = parse_graph(text);
      if (!graph) {
        EXPECT_NE(graph.error().message, "");
        continue;
      }
      ++parsed;
      EXPECT_EQ(print(*parse_graph(print(*graph))), print(*graph)) << text;
      if (is_small(*graph)) (void)evaluate(*graph).has_value();
    }
  }
  EXPECT_GT(parsed, 100);  // else the edits are too wild to test anything
}

}  // namespace
}  // namespace octet::testing
