// First layers that make their codes of the caller's image themselves, on the way into their compact rows: floats by a
// QuantizeLinear, pixels of u8 by a table of each channel. The reference's bytes, and where the two steps stay two.
#include <gtest/gtest.h>

#include "backends/cpu/cpu_backend.h"
#include "backends/cpu/requantize.h"
#include "backends/ref/ref.h"
#include "backends/running.h"

namespace octet {
namespace {

/// A stem of pixels. conv: further attributes of the convolution.
struct Stem {
  std::string image = "[2,3,17,19]", codes = "u8", weights = "[20,3,3,3]", conv = "pads=[1,1,1,1]";
  int zero_point = 0;      // of the codes, and so of padding
  bool is_turned = false;  // the caller's pixels lie one after the other, and a Transpose is in front
};

std::string channels_of(const std::string& dims) { return dims.substr(3, dims.find(',', 3) - 3); }

/// [N,C,H,W] to [N,H,W,C].
std::string turned(const std::string& dims) {
  const size_t c = dims.find(','), h = dims.find(',', c + 1);
  return dims.substr(0, c) + dims.substr(h, dims.size() - 1 - h) + dims.substr(c, h - c) + "]";
}

std::string text_of(const Stem& stem) {
  const std::string oc = stem.weights.substr(1, stem.weights.find(',') - 1);
  const std::string turn = stem.is_turned ? "  p = Transpose(x, perm=[0,3,1,2])\n" : "";
  return "graph g (x: u8" + (stem.is_turned ? turned(stem.image) : stem.image) + ", t: " + stem.codes + "[" +
         channels_of(stem.image) + ",256], w: s8" + stem.weights + ", w_scale: f32[" + oc + "], b: s32[" + oc +
         "]) -> (y) {\n" + turn + "  q = QuantPixels(" + (stem.is_turned ? "p" : "x") + ", t)\n" +
         "  y = QuantConv(q, w, w_scale, b, " + stem.conv +
         ", x_scale=0.02, x_zero_point=" + std::to_string(stem.zero_point) +
         ", y_scale=0.9, y_zero_point=99, to=\"u8\")\n}\n";
}

const std::set<std::string> k_constants = {"t", "w", "w_scale", "b"};

std::shared_ptr<const Engine> engine_of(const Graph& graph, Isa isa, int threads = 1) {
  Result<std::shared_ptr<const Engine>> engine =
      Engine::build(graph, cpu::make_backend({.threads = threads, .isa = isa}));
  if (engine) return *engine;
  ADD_FAILURE() << engine.error().message;
  return nullptr;
}

/// On every ISA but the scalar judge the step that makes value `codes` is done by the one that makes `done_by`, or by
/// none where that is empty.
void expect_done_by(const Graph& graph, std::string_view codes, std::string_view done_by) {
  const auto maker = [&](std::string_view value) {
    for (size_t i = 0; i < graph.nodes.size(); ++i)
      if (graph.nodes[i].outputs[0] == *graph.find_value(value)) return i;
    return graph.nodes.size();
  };
  for (const Isa isa : available_isas()) {
    const std::shared_ptr<const Engine> engine = engine_of(graph, isa);
    ASSERT_TRUE(engine);
    const Program& program = engine->program();
    const bool is_done = isa != Isa::scalar && !done_by.empty();
    EXPECT_EQ(program.step_note(maker(codes)), is_done ? k_in_next_step : "") << name(isa);
    if (is_done) {
      EXPECT_EQ(program.step_done_by(maker(codes)), std::optional(maker(done_by))) << name(isa);
    }
  }
}

TEST(Stem, looks_the_callers_pixels_up_itself_and_gives_the_reference_bytes) {
  std::vector<Stem> stems;
  for (const int c : {1, 2, 3, 4})
    for (const char* codes : {"u8", "s8"}) {
      const std::string channels = std::to_string(c);
      const int zero_point = std::string_view(codes) == "s8" ? -100 + 9 * c : 37 * c;
      stems.push_back({.image = "[2," + channels + ",17,19]",
                       .codes = codes,
                       .weights = "[20," + channels + ",3,3]",
                       .zero_point = zero_point});
      stems.push_back({.image = "[3," + channels + ",21,33]",
                       .codes = codes,
                       .weights = "[16," + channels + ",7,7]",
                       .conv = "strides=[2,2], pads=[3,3,3,3]",
                       .zero_point = zero_point});
      stems.push_back({.image = "[1," + channels + ",6,67]",
                       .codes = codes,
                       .weights = "[40," + channels + ",2,5]",
                       .conv = "strides=[1,3], pads=[0,4,3,0], dilations=[2,1]",
                       .zero_point = zero_point});
    }
  stems.push_back({.image = "[1,3,4,4]", .weights = "[48,3,3,3]"});      // where small images have a kernel
  stems.push_back({.image = "[1,3,1,1]", .weights = "[17,3,3,3]"});      // padding all around
  stems.push_back({.image = "[9,3,32,32]", .weights = "[64,3,3,3]"});    // cut into parts of the batch
  stems.push_back({.image = "[1,3,130,131]", .weights = "[32,3,3,3]"});  // several blocks of rows
  for (Stem stem : stems)
    for (const bool is_turned : {false, true}) {
      stem.is_turned = is_turned;
      expect_cpu_equals_ref(text_of(stem), k_constants, k_exact);
      const Graph graph = graph_with_constants(text_of(stem), k_constants, 1);
      expect_done_by(graph, "q", "y");
      if (is_turned) expect_done_by(graph, "p", "y");
    }
}

TEST(Stem, leaves_turned_pixels_to_their_steps_where_others_want_them_or_they_are_turned_otherwise) {
  const std::string inputs = "t: u8[3,256], w: s8[24,3,3,3], w_scale: f32[24]) -> (y, z) {\n";
  const std::string conv =
      "  q = QuantPixels(p, t)\n  y = QuantConv(q, w, w_scale, x_scale=0.02, x_zero_point=7, y_scale=0.9, "
      "y_zero_point=99, to=\"u8\")\n";
  const std::string pool = "  z = MaxPool(y, kernel_shape=[2,2])\n}\n", turn = "  p = Transpose(x, perm=[0,3,1,2])\n";
  const std::set<std::string> constants = {"t", "w", "w_scale"};
  for (const std::string& text :
       {"graph g (x: u8[2,3,11,9], " + inputs + "  p = Transpose(x, perm=[0,1,3,2])\n" + conv + pool,
        "graph g (x: u8[9,11,3,2], " + inputs + "  p = Transpose(x)\n" + conv + pool,
        "graph g (x: u8[2,9,11,3], " + inputs + turn + conv + "  z = MaxPool(p, kernel_shape=[2,2])\n}\n",
        "graph g (x: u8[2,9,11,3], " + inputs + turn + conv + "  z = Identity(p)\n}\n",
        "graph g (x: u8[2,9,11,3], " + inputs + turn + conv + "  z = MaxPool(x, kernel_shape=[2,2])\n}\n"}) {
    expect_cpu_equals_ref(text, constants, k_exact);
    const Graph graph = graph_with_constants(text, constants, 1);
    expect_done_by(graph, "q", "");
    expect_done_by(graph, "p", "");
  }
}

TEST(Stem, leaves_the_pixels_to_a_step_of_their_own_where_others_want_the_codes_or_it_reads_no_compact_rows) {
  const std::string head =
      "graph g (x: u8[2,3,9,11], t: u8[3,256], w: s8[24,3,3,3], v: s8[24,1,3,3], p: s8[24,3,1,1], w_scale: f32[24]) "
      "-> (y, z) {\n  q = QuantPixels(x, t)\n";
  const std::string rest = ", x_scale=0.02, x_zero_point=7, y_scale=0.9, y_zero_point=99, to=\"u8\")\n";
  const auto conv = [&](const std::string& made, const std::string& weights, const std::string& more = "") {
    return "  " + made + " = QuantConv(q, " + weights + ", w_scale" + more + rest;
  };
  const std::set<std::string> constants = {"t", "w", "v", "p", "w_scale"};
  const std::string pool = "  z = MaxPool(y, kernel_shape=[2,2])\n";
  for (const std::string& body : {conv("y", "w") + conv("z", "w", ", pads=[1,1,1,1]"),  // two read the codes
                                  conv("y", "w") + "  z = Identity(q)\n",               // they leave the network
                                  conv("y", "v", ", group=3") + pool,                   // groups
                                  conv("y", "p") + pool,                                // a kernel of one column
                                  conv("y", "w", ", dilations=[1,2]") + pool,           // columns with gaps
                                  conv("y", "w") + "  z = MaxPool(x, kernel_shape=[2,2])\n"}) {  // others read x
    expect_cpu_equals_ref(head + body + "}\n", constants, k_exact);
    expect_done_by(graph_with_constants(head + body + "}\n", constants, 1), "q", "");
  }
}

TEST(Stem, steps_that_lie_between_pixels_and_their_stem_are_not_taken_for_it) {
  const std::string text =
      R"(graph g (a: u8[1,3,9,11], b: f32[1,3,9,11], t: u8[3,256], b_scale: f32[], w: s8[24,3,3,3], w_scale: f32[24]) -> (y) {
  q = QuantPixels(a, t)
  r = QuantizeLinear(b, b_scale)
  v = QuantConv(r, w, w_scale, x_scale=0.02, x_zero_point=0, y_scale=0.9, y_zero_point=99, to="u8")
  u = QuantConv(q, w, w_scale, x_scale=0.02, x_zero_point=7, y_scale=0.9, y_zero_point=99, to="u8")
  y = QuantAdd(u, v, a_scale=0.9, a_zero_point=99, b_scale=0.9, b_zero_point=99, y_scale=1.5, y_zero_point=90, to="u8")
}
)";
  const std::set<std::string> constants = {"t", "b_scale", "w", "w_scale"};
  expect_cpu_equals_ref(text, constants, k_exact);
  expect_done_by(graph_with_constants(text, constants, 1), "q", "u");
  expect_done_by(graph_with_constants(text, constants, 1), "r", "v");
}

TEST(Stem, shows_its_codes_to_taps_as_ever) {
  for (const bool is_turned : {false, true}) {
    const Graph graph =
        graph_with_constants(text_of({.codes = "s8", .zero_point = 5, .is_turned = is_turned}), k_constants, 1);
    const std::vector<Tensor> inputs = random_inputs(graph, 1);
    const auto shown_by = [&](const std::shared_ptr<Backend>& backend) {
      std::vector<int> codes;
      RunHooks hooks;
      hooks.value_tap = [&](std::string_view value, const TensorView& view, int offset) {
        if (value != "q") return;
        const auto* const data = reinterpret_cast<const uint8_t*>(view.data);
        for (int64_t n = 0; n < view.dims[0]; ++n)
          for (int64_t c = 0; c < view.dims[1]; ++c)
            for (int64_t h = 0; h < view.dims[2]; ++h)
              for (int64_t w = 0; w < view.dims[3]; ++w) {
                const int64_t at =
                    n * view.strides[0] + c * view.strides[1] + h * view.strides[2] + w * view.strides[3];
                codes.push_back(view.dtype == DType::s8 ? static_cast<int8_t>(data[at]) : data[at] - offset);
              }
      };
      run_graph(graph, backend, inputs, hooks);
      return codes;
    };
    const std::vector<int> want = shown_by(make_ref_backend());
    ASSERT_EQ(want.size(), 2u * 3 * 17 * 19);
    for (const Isa isa : available_isas()) EXPECT_EQ(shown_by(cpu::make_backend({.isa = isa})), want) << name(isa);
  }
}

TEST(Stem, of_the_callers_image_has_no_way_that_reads_codes) {
  const Graph graph = graph_with_constants(text_of({.image = "[1,3,4,4]", .weights = "[512,3,3,3]"}), k_constants, 1);
  for (const Isa isa : available_isas()) {
    if (isa == Isa::scalar) continue;
    int refused = 0;
    for (const Tactic& t : cpu::make_backend({.isa = isa})->tactics(graph, 1)) {
      const bool is_of_wider_vectors = t.refused.find("the engine is built for") != std::string::npos;
      const bool is_other = t.name.find("winograd") != std::string::npos || t.name.find("images") != std::string::npos;
      if (!is_other || is_of_wider_vectors) continue;
      EXPECT_EQ(t.refused, "the layer reads the caller's image") << t.name;
      ++refused;
    }
    EXPECT_EQ(refused, isa >= Isa::avx512_vnni ? 2 : 1) << name(isa);
  }
}

TEST(Stem, codes_are_no_larger_than_the_largest_of_their_table) {
  for (const char* codes : {"u8", "s8"}) {
    Graph graph = graph_with_constants(text_of({.codes = codes}), k_constants, 1);
    Value& table = graph.value(*graph.find_value("t"));
    std::vector<int8_t> entries(3 * 256);
    for (size_t i = 0; i < entries.size(); ++i) entries[i] = static_cast<int8_t>(i % 50);
    entries[700] = 77;
    table.constant =
        table.dtype == DType::s8
            ? Tensor::from<int8_t>(DType::s8, {3, 256}, entries)
            : Tensor::from<uint8_t>(DType::u8, {3, 256}, std::vector<uint8_t>(entries.begin(), entries.end()));
    EXPECT_EQ(cpu::largest_code(graph, *graph.find_value("q")), table.dtype == DType::s8 ? 77 + 128 : 77);
    expect_cpu_equals_ref(graph, k_exact);  // AVX2 may add such products in pairs
  }
}

}  // namespace
}  // namespace octet
