#include "ir/text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <numeric>

#include "ir/base64.h"
#include "ir/op.h"

namespace octet {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

std::string reprinted(std::string_view text) {
  Result<Graph> graph = parse_graph(text);
  return graph ? print(*graph) : "ERROR " + graph.error().message;
}
std::string error_of(std::string_view text) {
  Result<Graph> graph = parse_graph(text);
  return graph ? "no error" : graph.error().message;
}
/// A graph of one constant, which is its output.
Graph constant_graph(Tensor tensor) {
  Graph graph;
  graph.outputs = {graph.add_constant("c", std::move(tensor))};
  return graph;
}
Tensor constant_after_round_trip(const Tensor& tensor) {
  Result<Graph> graph = parse_graph(print(constant_graph(tensor)));
  EXPECT_TRUE(graph) << graph.error().message;
  return graph ? *graph->constant(graph->outputs[0]) : Tensor();
}
template <class T>
Tensor tensor(DType dtype, std::vector<T> values) {
  return Tensor::from<T>(dtype, {static_cast<int64_t>(values.size())}, values);
}

TEST(Text, prints_what_it_parsed) {
  const std::string text =
      "graph net (input: f32[N,3,?,32], \"1\": s64[]) -> (y, \"const\") {\n"
      "  const w: f32[2] = {1, -0.5}\n"
      "  h = Identity(input) @node1 : f32[N,3,?,32]\n"
      "  y = Identity(h) @\"two words\" : f32[N,3,?,32]\n"
      "  \"const\" = Identity(w) : f32[2]\n"
      "}\n";
  EXPECT_EQ(reprinted(text), text);
}

TEST(Text, infers_types_that_are_not_written) {
  EXPECT_EQ(reprinted("graph (x: u8[N,2]) -> (y) { y = Identity(x) }"),
            "graph (x: u8[N,2]) -> (y) {\n  y = Identity(x) : u8[N,2]\n}\n");
}

TEST(Text, keeps_a_written_type_that_says_less_or_more_than_inference) {
  EXPECT_EQ(reprinted("graph (x: u8[?,2]) -> (y) { y = Identity(x) : u8[M,?] }"),
            "graph (x: u8[?,2]) -> (y) {\n  y = Identity(x) : u8[M,?]\n}\n");
  EXPECT_EQ(reprinted("graph (x: u8) -> (y) { y = Identity(x) : u8 }"),
            "graph (x: u8) -> (y) {\n  y = Identity(x) : u8\n}\n");
}

TEST(Text, line_breaks_comments_and_semicolons_do_not_matter) {
  EXPECT_EQ(reprinted("graph(x: f32[1])->(y){# nothing \" here\ny=Identity\n(x);}"),
            "graph (x: f32[1]) -> (y) {\n  y = Identity(x) : f32[1]\n}\n");
}

TEST(Text, names_with_any_bytes_survive) {
  Graph graph;
  const std::string odd = "a\"b\\c\n\x01 \xc3\xa4:";
  graph.name = "graph";
  graph.inputs = {graph.add_value(odd, DType::f32, Shape{Dim("a b"), Dim("const")})};
  graph.outputs = {graph.add_value("_", DType::f32, Shape{Dim("a b"), Dim("const")})};
  graph.nodes.push_back({find_op("Identity"), "...", graph.inputs, graph.outputs, {}});
  const std::string text = print(graph);
  Result<Graph> back = parse_graph(text);
  ASSERT_TRUE(back) << back.error().message << text;
  EXPECT_EQ(print(*back), text);
  EXPECT_EQ(back->value(0).name, odd);
  EXPECT_EQ(back->value(1).name, "_");
  EXPECT_EQ(back->nodes[0].name, "...");
  EXPECT_EQ((*back->value(0).shape)[0].symbol, "a b");
}

TEST(Text, every_float_keeps_its_bits) {
  std::vector<uint32_t> bits = {0x00000000, 0x80000000, 0x00000001, 0x807fffff, 0x00800000, 0x7f7fffff,
                                0x7f800000, 0xff800000, 0x7fc00000, 0xffc00000, 0x7f800001, 0x7fffffff,
                                0x3f800001, 0x3dcccccd, 0x4b800001, 0x5f000000};
  uint32_t state = 1;
  while (bits.size() < 64) bits.push_back(state = state * 1664525u + 1013904223u);
  std::vector<float> values;
  for (const uint32_t b : bits) values.push_back(std::bit_cast<float>(b));
  const Tensor t = tensor(DType::f32, values);
  EXPECT_TRUE(constant_after_round_trip(t) == t);
}

TEST(Text, every_bfloat16_and_half_pattern_keeps_its_bits) {
  for (const DType dtype : {DType::f16, DType::bf16}) {
    for (uint32_t first = 0; first < 0x10000; first += 64 * 31) {  // a sample of blocks short enough to be listed
      std::vector<uint16_t> bits(64);
      std::iota(bits.begin(), bits.end(), static_cast<uint16_t>(first));
      const Tensor t = tensor(dtype, bits);
      ASSERT_TRUE(constant_after_round_trip(t) == t) << name(dtype) << " from " << first;
    }
  }
}

TEST(Text, doubles_and_integers_keep_their_extremes) {
  const Tensor f64 = tensor<double>(
      DType::f64, {0.1, -0.0, 1e-310, 1.7976931348623157e308, std::bit_cast<double>(0x7ff8000000000001)});
  EXPECT_TRUE(constant_after_round_trip(f64) == f64);
  const Tensor s64 = tensor<int64_t>(DType::s64, {INT64_MIN, -1, 0, INT64_MAX});
  EXPECT_TRUE(constant_after_round_trip(s64) == s64);
  const Tensor u64 = tensor<uint64_t>(DType::u64, {0, UINT64_MAX});
  EXPECT_TRUE(constant_after_round_trip(u64) == u64);
  const Tensor s8 = tensor<int8_t>(DType::s8, {-128, -1, 0, 127});
  EXPECT_TRUE(constant_after_round_trip(s8) == s8);
  const Tensor truth = tensor<uint8_t>(DType::boolean, {0, 1});
  EXPECT_TRUE(constant_after_round_trip(truth) == truth);
}

TEST(Text, a_constant_of_more_than_64_elements_is_bytes) {
  for (const int64_t count : {0, 63, 64, 65, 66, 67, 1000}) {
    std::vector<uint8_t> values(static_cast<size_t>(count));
    std::iota(values.begin(), values.end(), uint8_t{0});
    const Tensor t = tensor(DType::u8, values);
    EXPECT_TRUE(constant_after_round_trip(t) == t) << count;
    EXPECT_EQ(print(constant_graph(t)).find("base64") != std::string::npos, count > 64) << count;
  }
}

TEST(Text, hexadecimal_floats_are_read) {
  Result<Graph> graph = parse_graph("graph () -> (c) { const c: f32[3] = {0x1.8p+1, -0x1p-2, 3} }");
  ASSERT_TRUE(graph) << graph.error().message;
  EXPECT_EQ(to_doubles(*graph->constant(graph->outputs[0])), (std::vector<double>{3.0, -0.25, 3.0}));
}

TEST(Text, an_elided_constant_is_printed_as_dots_and_refused_by_parse) {
  const std::string text =
      print(constant_graph(tensor<uint8_t>(DType::u8, std::vector<uint8_t>(65))), {.elide_constants = true});
  EXPECT_THAT(text, HasSubstr("const c: u8[65] = ...\n"));
  EXPECT_EQ(error_of(text), "line 2: this constant was left out when the text was printed; print it in full");
}

TEST(Text, base64_is_that_of_rfc_4648) {  // section 10 of the RFC
  const auto bytes = [](std::string_view s) { return std::as_bytes(std::span(s.data(), s.size())); };
  EXPECT_EQ(to_base64(bytes("")), "");
  EXPECT_EQ(to_base64(bytes("f")), "Zg==");
  EXPECT_EQ(to_base64(bytes("fo")), "Zm8=");
  EXPECT_EQ(to_base64(bytes("foo")), "Zm9v");
  EXPECT_EQ(to_base64(bytes("foobar")), "Zm9vYmFy");
  EXPECT_EQ(from_base64("Zm8=")->size(), 2u);
  for (const char* wrong : {"Zg=", "Zg", "Z===", "Zh==", "Zm9=", "Zm!v", "=Zg=", "Zg==Zg=="})
    EXPECT_FALSE(from_base64(wrong)) << wrong;
}

TEST(Text, errors_name_the_line_and_what_was_expected) {
  const std::vector<std::pair<const char*, const char*>> cases = {
      {"", "line 1: expected 'graph', found the end of the text"},
      {"graph (x: f32[1]) -> (y) {\n y = Foo(x) }", "line 2: there is no op 'Foo'"},
      {"graph (x: f32[1]) -> (y) {\n\n y = Identity(z) }", "line 3: 'z' is not defined before this line"},
      {"graph (x: f32[1]) -> (y) {\n y = Identity(x, x) }", "line 2: node of 'y' (Identity): has 2 inputs, expected 1"},
      {"graph (x: f32[1]) -> (y) {\n y = Identity(x, axis=1) @n }",
       "line 2: node 'n' (Identity): attribute 'axis' is not known for this op"},
      {"graph (x: f32[1]) -> (y) {\n y = Identity(_) }",
       "line 2: node of 'y' (Identity): input 0 is missing, but it is required"},
      {"graph (x: f32[1]) -> (y) {\n y = Identity(x) : f32[2] }",
       "line 2: 'y' is written as f32[2], but inference says f32[1]"},
      {"graph (x: f32[1]) -> (y) {\n y = Identity(x) : u8[1] }",
       "line 2: 'y' is written as u8[1], but inference says f32[1]"},
      {"graph (x: f32[1]) -> (y) {\n x = Identity(x) }", "line 2: 'x' is defined twice"},
      {"graph (x: f32[1])\n-> (y) { }", "line 2: graph output 'y' is made by no node"},
      {"graph (x: float[1]) -> (x) { }", "line 1: expected a dtype, found 'float'"},
      {"graph (x: f32[-1]) -> (x) { }", "line 1: '-1' is not an extent"},
      {"graph (x: f32[1048576,1048576]) -> (x) { }",
       "line 1: the shape [1048576,1048576] is too large: more than 2^36 elements"},
      {"graph () -> (c) { const c: u8[2] = {1} }", "line 1: the constant has 1 elements, but its type u8[2] has 2"},
      {"graph () -> (c) { const c: u8[1] = {256} }", "line 1: '256' is not a u8"},
      {"graph () -> (c) { const c: f32[1] = {1e99} }", "line 1: '1e99' is not a f32"},
      {"graph () -> (c) { const c: f16[1] = {65520} }", "line 1: '65520' is not a f16"},
      {"graph () -> (c) { const c: f32[1] = {nan(0x3f800000)} }", "line 1: 'nan(0x3f800000)' is not a f32"},
      {"graph () -> (c) { const c: f32[N] = {1} }", "line 1: a constant needs a dtype and known extents"},
      {"graph () -> (c) { const c: u8[1] = base64 \"A\" }", "line 1: expected a string of base64, found 'A'"},
      {"graph \"a\n\" () -> () { }", "line 1: a string has no closing '\"' on its line"},
      {"graph \"\\q\" () -> () { }", "line 1: an escape is \\\", \\\\ or \\x and two hexadecimal digits"},
      {"graph () -> () { } $", "line 1: the character '$' means nothing here"},
      {"graph () -> () { } x", "line 1: expected the end of the text, found 'x'"},
  };
  for (const auto& [text, message] : cases) EXPECT_EQ(error_of(text), message) << text;
}

TEST(Text, metadata_entries_round_trip_in_order_of_key) {
  const std::string text =
      "graph (x: f32[1]) -> (y) {\n  @\"octet.a\" = \"one \\\"two\\\"\"\n  @\"octet.b\" = \"\"\n"
      "  y = Identity(x) : f32[1]\n}\n";
  const Result<Graph> graph = parse_graph(text);
  ASSERT_TRUE(graph) << graph.error().message;
  EXPECT_EQ(graph->metadata.at("octet.a"), "one \"two\"");
  EXPECT_EQ(print(*graph), text);
  EXPECT_EQ(error_of("graph (x: f32[1]) -> (x) { @k = 3 }"), "line 1: expected a string, found '3'");
}

TEST(Text, every_truncation_of_a_graph_is_an_error) {
  const std::string text =
      print(*parse_graph("graph g (x: f32[N,\"a b\"]) -> (y) { const c: f32[3] = {1, nan(0x7fc00001), -inf} d = "
                         "Identity(c) y = Identity(x) @n }"));
  for (size_t n = 0; n + 2 < text.size(); ++n) EXPECT_THAT(error_of(text.substr(0, n)), StartsWith("line ")) << n;
}

}  // namespace
}  // namespace octet
