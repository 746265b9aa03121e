#include "plan/plan_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <random>

#include "base/aligned.h"
#include "base/hash.h"
#include "ir/op.h"
#include "ir/text.h"

namespace octet {
namespace {

using testing::HasSubstr;

// Every kind of attribute and several dtypes; the verifier takes it. What the graph computes does not matter here.
constexpr char k_graph[] = R"(graph small (x: f32[2,3,4,4]) -> (y, t) {
  const w: f32[2,3,1,1] = {1, -0.5, 0.25, 2, 3, -4}
  const b: f32[2] = {0.5, -1}
  const shape: s64[2] = {2, 32}
  c = Conv(x, w, b, pads=[0,0,0,0], strides=[1,1]) @conv
  r = LeakyRelu(c, alpha=0.125) @leaky
  t = Cast(r, to="s32")
  y = Reshape(r, shape)
}
)";

PlanFile small_plan() {
  Result<Graph> graph = parse_graph(k_graph);
  EXPECT_TRUE(graph) << graph.error().message;
  PlanFile plan;
  plan.writer = "octet test";
  plan.graph = *std::move(graph);
  plan.provenance = {{"model", "small.onnx"}, {"precision", "fp32"}};
  plan.tuning = {{"cpu x kernels 1", "cpu x, 1 thread", {"a", "b", "c", "d"}}};
  static constexpr std::array<std::byte, 5> k_blob = {std::byte{1}, std::byte{2}, std::byte{3}, std::byte{4},
                                                      std::byte{5}};
  plan.packed = {{"cpu x", {{"conv x", k_blob}, {}, {"gemm x", std::span(k_blob).first(3)}}}};
  return plan;
}

std::vector<std::byte> small_bytes() {
  Result<std::vector<std::byte>> bytes = plan_bytes(small_plan());
  EXPECT_TRUE(bytes) << bytes.error().message;
  return *std::move(bytes);
}

/// Reads from memory of exactly the file's size, so that a sanitizer sees a read behind it.
Result<PlanFile> read(const std::vector<std::byte>& bytes) {
  auto kept = std::shared_ptr<std::byte[]>(allocate_aligned(bytes.size()).release(), AlignedFree{});
  std::copy(bytes.begin(), bytes.end(), kept.get());
  return read_plan({kept.get(), bytes.size()}, kept, "octet 9.9");
}

template <class T>
void put(std::vector<std::byte>& bytes, size_t at, T value) {
  std::memcpy(bytes.data() + at, &value, sizeof value);
}

/// Makes header and table checksum right again after an edit.
void reseal(std::vector<std::byte>& bytes) {
  uint32_t sections = 0;
  std::memcpy(&sections, bytes.data() + 32, 4);
  std::vector<std::byte> checked(bytes.begin(), bytes.begin() + 120);
  checked.insert(checked.end(), bytes.begin() + 128, bytes.begin() + 128 + 128 * sections);
  put(bytes, 120, hash_bytes(checked));
}

TEST(PlanFile, reads_back_what_was_written) {
  const PlanFile plan = small_plan();
  Result<PlanFile> again = read(small_bytes());
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(print(again->graph), print(plan.graph));
  EXPECT_EQ(again->writer, "octet test");
  EXPECT_EQ(again->provenance, plan.provenance);
  ASSERT_EQ(again->tuning.size(), 1u);
  EXPECT_EQ(again->tuning[0].tactics, plan.tuning[0].tactics);
  ASSERT_EQ(again->packed.size(), 1u);
  ASSERT_EQ(again->packed[0].steps.size(), 3u);
  EXPECT_EQ(again->packed[0].steps[2].form, "gemm x");
  EXPECT_EQ(again->packed[0].steps[0].bytes.size(), 5u);
  EXPECT_TRUE(again->packed[0].steps[1].bytes.empty());
  EXPECT_EQ(again->packed[0].steps[2].bytes[2], std::byte{3});
  EXPECT_EQ(reinterpret_cast<uintptr_t>(again->packed[0].steps[2].bytes.data()) % 64, 0u);
  EXPECT_EQ(*plan_bytes(*again), small_bytes());
}

TEST(PlanFile, has_constants_at_multiples_of_64) {
  Result<PlanFile> plan = read(small_bytes());
  ASSERT_TRUE(plan);
  for (const Value& value : plan->graph.values)
    EXPECT_TRUE(!value.constant || reinterpret_cast<uintptr_t>(value.constant->bytes().data()) % 64 == 0) << value.name;
}

TEST(PlanFile, reads_from_an_address_that_is_not_aligned) {
  const std::vector<std::byte> bytes = small_bytes();
  std::vector<std::byte> shifted(bytes.size() + 65);
  std::byte* at = shifted.data() + 64 - reinterpret_cast<uintptr_t>(shifted.data()) % 64 + 1;
  std::copy(bytes.begin(), bytes.end(), at);
  Result<PlanFile> plan = read_plan({at, bytes.size()}, nullptr, "octet 9.9");
  ASSERT_TRUE(plan) << plan.error().message;
  std::fill(shifted.begin(), shifted.end(), std::byte{0});
  EXPECT_EQ(print(plan->graph), print(small_plan().graph));
}

TEST(PlanFile, notices_every_flipped_bit) {
  const std::vector<std::byte> bytes = small_bytes();
  for (size_t at = 0; at < bytes.size(); ++at) {
    for (int bit = 0; bit < 8; ++bit) {
      std::vector<std::byte> broken = bytes;
      broken[at] ^= std::byte{1} << bit;
      const Result<PlanFile> plan = read(broken);
      ASSERT_FALSE(plan) << "byte " << at << ", bit " << bit;
      ASSERT_FALSE(plan.error().message.empty());
    }
  }
}

TEST(PlanFile, notices_where_it_is_cut_off) {
  const std::vector<std::byte> bytes = small_bytes();
  for (size_t size = 0; size < bytes.size(); ++size) {
    const Result<PlanFile> plan = read({bytes.begin(), bytes.begin() + static_cast<ptrdiff_t>(size)});
    ASSERT_FALSE(plan) << size;
    EXPECT_TRUE(size < 1024 || plan.error().message.find("is cut off") != std::string::npos) << size;
  }
  std::vector<std::byte> longer = bytes;
  longer.push_back(std::byte{0});
  EXPECT_THAT(read(longer).error().message, HasSubstr("is too long"));
}

TEST(PlanFile, names_both_sides_of_another_format) {
  std::vector<std::byte> bytes = small_bytes();
  put(bytes, 8, uint32_t{7});
  const Result<PlanFile> plan = read(bytes);
  ASSERT_FALSE(plan);
  EXPECT_EQ(plan.error().code, ErrorCode::unsupported);
  EXPECT_THAT(plan.error().message, HasSubstr("plan format 7 written by 'octet test'; octet 9.9 reads format 1"));
}

TEST(PlanFile, names_both_sides_of_another_arithmetic) {
  std::vector<std::byte> bytes = small_bytes();
  put(bytes, 12, uint32_t{3});
  reseal(bytes);
  EXPECT_THAT(read(bytes).error().message,
              HasSubstr("built for arithmetic version 3 by 'octet test'; octet 9.9 computes version 1"));
}

TEST(PlanFile, refuses_features_and_required_sections_that_it_does_not_know) {
  std::vector<std::byte> bytes = small_bytes();
  put(bytes, 24, uint64_t{1} << 40);
  reseal(bytes);
  EXPECT_THAT(
      read(bytes).error().message,
      HasSubstr("needs the plan feature 40, which this octet does not have; it was written by 'octet test', this is "
                "octet 9.9: use the version that wrote it or a newer one, or build the plan again"));
  bytes = small_bytes();
  put(bytes, 128 + 3 * 128, uint32_t{99});  // the tuning section becomes of an unknown kind
  reseal(bytes);
  EXPECT_TRUE(read(bytes)) << "an unknown section that is not required is skipped";
  put(bytes, 128 + 3 * 128 + 4, uint32_t{1});
  reseal(bytes);
  EXPECT_THAT(read(bytes).error().message, HasSubstr("needs a section of kind 99"));
}

// An octet that lacks an op and knows no flags, or a plan of one that set none.
TEST(PlanFile, names_both_sides_of_an_op_that_it_does_not_have) {
  std::vector<std::byte> bytes = small_bytes();
  uint64_t at = 0, size = 0;
  std::memcpy(&at, bytes.data() + 128 + 8, 8);
  std::memcpy(&size, bytes.data() + 128 + 16, 8);
  const std::string_view graph(reinterpret_cast<const char*>(bytes.data()) + at, size);
  const size_t op = graph.find("LeakyRelu");
  ASSERT_NE(op, std::string_view::npos);
  bytes[at + op] = std::byte{'K'};
  put(bytes, 128 + 24, hash_bytes(std::span(bytes).subspan(at, size)));
  reseal(bytes);
  const Result<PlanFile> plan = read(bytes);
  ASSERT_FALSE(plan);
  EXPECT_EQ(plan.error().code, ErrorCode::unsupported);
  EXPECT_EQ(
      plan.error().message,
      "graph section: node 'leaky' is of the op 'KeakyRelu', which this octet does not have; it was written by "
      "'octet test', this is octet 9.9: use the version that wrote it or a newer one, or build the plan again from "
      "its ONNX file with this octet");
}

TEST(PlanFile, has_the_flags_of_what_its_graph_uses) {
  const auto flags = [](const std::vector<std::byte>& bytes) {
    uint64_t features = 0;
    std::memcpy(&features, bytes.data() + 24, sizeof features);
    return features;
  };
  EXPECT_EQ(flags(small_bytes()), 0u);
  PlanFile plan = small_plan();
  plan.graph.nodes[1].op = find_op("Celu");
  const Result<std::vector<std::byte>> bytes = plan_bytes(plan);
  ASSERT_TRUE(bytes) << bytes.error().message;
  EXPECT_EQ(flags(*bytes), 2u);
  const Result<PlanFile> again = read(*bytes);
  EXPECT_TRUE(again) << again.error().message;
}

constexpr size_t k_names_row = 128 + 3 * 128;

PlanFile named_plan() {
  PlanFile plan = small_plan();
  plan.graph.nodes[0].origins = {"a/Conv", "b \" quote"};
  plan.graph.nodes[3].origins = {"last"};
  return plan;
}

TEST(PlanFile, carries_the_names_of_the_files_nodes) {
  const Result<std::vector<std::byte>> bytes = plan_bytes(named_plan());
  ASSERT_TRUE(bytes) << bytes.error().message;
  const Result<PlanFile> plan = read(*bytes);
  ASSERT_TRUE(plan) << plan.error().message;
  EXPECT_TRUE(plan->notes.empty());
  for (size_t n = 0; n < 4; ++n) EXPECT_EQ(plan->graph.nodes[n].origins, named_plan().graph.nodes[n].origins) << n;
  ASSERT_EQ(plan->tuning.size(), 1u) << "what follows them is read as ever";
  ASSERT_EQ(plan->packed.size(), 1u);
}

TEST(PlanFile, leaves_names_out_that_are_broken_and_says_so) {
  const Result<std::vector<std::byte>> whole = plan_bytes(named_plan());
  ASSERT_TRUE(whole);
  uint32_t kind = 0;
  uint64_t at = 0, size = 0;
  std::memcpy(&kind, whole->data() + k_names_row, 4);
  std::memcpy(&at, whole->data() + k_names_row + 8, 8);
  std::memcpy(&size, whole->data() + k_names_row + 16, 8);
  ASSERT_EQ(kind, 4u);
  for (const auto& [offset, value, said] :
       {std::tuple(0, 3u, "names of 3 nodes, the graph has 4"), std::tuple(4, 0xffffffffu, "is longer than it"),
        std::tuple(8, 0xffffu, "ends in the middle of a field"), std::tuple(4, 0u, "")}) {
    std::vector<std::byte> bytes = *whole;
    put(bytes, at + static_cast<size_t>(offset), value);
    put(bytes, k_names_row + 24, hash_bytes(std::span(bytes).subspan(at, size)));
    reseal(bytes);
    const Result<PlanFile> plan = read(bytes);
    ASSERT_TRUE(plan) << plan.error().message;
    ASSERT_EQ(plan->notes.size(), 1u);
    EXPECT_THAT(plan->notes[0], HasSubstr("ignored: layer names section, byte "));
    EXPECT_THAT(plan->notes[0], HasSubstr(said));
    for (const Node& node : plan->graph.nodes) EXPECT_TRUE(node.origins.empty());
  }
}

TEST(PlanFile, says_what_is_not_a_plan) {
  EXPECT_THAT(read({}).error().message, HasSubstr("is empty"));
  const std::vector<std::byte> whole = small_bytes();
  for (size_t n = 1; n < 8; ++n)
    EXPECT_THAT(read({whole.begin(), whole.begin() + static_cast<ptrdiff_t>(n)}).error().message,
                HasSubstr("is a plan file cut off after " + std::to_string(n) + " bytes"));
  EXPECT_THAT(read(std::vector<std::byte>(500)).error().message, HasSubstr("is not a plan file"));
}

// Checksums keep accidents out, not intent: bytes inside a section are changed and sealed again. Whatever comes, it is
// an error or a graph that verifies.
TEST(PlanFile, stays_sane_when_changed_bytes_are_sealed_again) {
  const std::vector<std::byte> bytes = small_bytes();
  uint64_t at = 0, size = 0;
  std::memcpy(&at, bytes.data() + 128 + 8, 8);
  std::memcpy(&size, bytes.data() + 128 + 16, 8);
  std::mt19937 random(1);
  int read_well = 0;
  for (int round = 0; round < 20000; ++round) {
    std::vector<std::byte> changed = bytes;
    for (unsigned n = 1 + random() % 3; n > 0; --n)
      changed[at + random() % size] = random() % 2 ? std::byte(random() % 256) : std::byte(random() % 4);
    put(changed, 128 + 24, hash_bytes(std::span(changed).subspan(at, size)));
    reseal(changed);
    const Result<PlanFile> plan = read(changed);
    if (!plan) continue;
    ++read_well;
    ASSERT_FALSE(print(plan->graph).empty());
  }
  EXPECT_GT(read_well, 1000) << "names and numbers may change and still be a plan";
}

/// The table's row of the packed weights.
constexpr size_t k_packed_row = 128 + 4 * 128;

// Packed weights of other weights would be wrong answers without a word.
TEST(PlanFile, leaves_out_packed_weights_that_were_made_from_others) {
  const std::vector<std::byte> bytes = small_bytes();
  uint64_t at = 0, size = 0;
  std::memcpy(&at, bytes.data() + k_packed_row + 8, 8);
  std::memcpy(&size, bytes.data() + k_packed_row + 16, 8);
  struct Edit {
    size_t offset;
    uint32_t value;
    const char* says;
  };
  for (const Edit& edit : {Edit{0, 1, "packed from another graph or other weights"},
                           Edit{8, 1, "packed from another graph or other weights"},
                           Edit{16, 1u << 30, "longer than it"}, Edit{20, 4, "node 4 is not the next of 4"},
                           Edit{34, 32, "does not lie in it"}, Edit{42, 1u << 20, "does not lie in it"}}) {
    std::vector<std::byte> changed = bytes;
    put(changed, at + edit.offset, edit.value);
    put(changed, k_packed_row + 24, hash_bytes(std::span(changed).subspan(at, size)));
    reseal(changed);
    const Result<PlanFile> plan = read(changed);
    ASSERT_TRUE(plan) << plan.error().message;
    EXPECT_TRUE(plan->packed.empty());
    ASSERT_EQ(plan->notes.size(), 1u);
    EXPECT_THAT(plan->notes[0], HasSubstr(edit.says));
    EXPECT_EQ(print(plan->graph), print(small_plan().graph)) << "the plan itself is as good as before";
  }
}

TEST(PlanFile, gives_the_graph_other_shapes_within_the_profile) {
  PlanFile plan = small_plan();
  plan.graph = *parse_graph("graph g (x: f32[2,3]) -> (y) {\n  y = Relu(x)\n}\n");
  plan.profile = {{{1, 3}}, {{2, 3}}, {{8, 3}}};
  Result<std::vector<std::byte>> bytes = plan_bytes(plan);
  ASSERT_TRUE(bytes);
  Result<PlanFile> again = read(*bytes);
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(again->profile, plan.profile);
  Result<Graph> graph = at_shapes(*again, {{8, 3}});
  ASSERT_TRUE(graph) << graph.error().message;
  EXPECT_EQ(to_string(*graph->value(graph->outputs[0]).shape), "[8,3]");
  EXPECT_THAT(at_shapes(*again, {{9, 3}}).error().message,
              HasSubstr("the shape [9,3] was asked for, the plan was built for [1,3] to [8,3]"));
  EXPECT_FALSE(at_shapes(*again, {{3}}));
  plan.profile = {};
  EXPECT_THAT(at_shapes(plan, {{1, 3}}).error().message, HasSubstr("the plan was built for [2,3] only"));
}

TEST(PlanFile, refuses_to_write_a_graph_with_unknown_extents) {
  PlanFile plan;
  plan.graph = *parse_graph("graph g (x: f32[N,3]) -> (y) {\n  y = Relu(x)\n}\n");
  EXPECT_THAT(plan_bytes(plan).error().message, HasSubstr("value 'x' has shape [N,3], a plan needs all extents"));
}

}  // namespace
}  // namespace octet
