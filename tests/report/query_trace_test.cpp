#include "report/query_trace.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "report/engine_layers.h"

namespace octet {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

/// Queries that start every `period` ms, each h2d + compute + d2h long.
std::vector<QueryTrace> queries(int n, double period, double h2d, double compute, double d2h, double enqueue = 0.01) {
  std::vector<QueryTrace> trace;
  for (int i = 0; i < n; ++i) {
    QueryTrace q;
    q.enqueue_start = i * period;
    q.enqueue_end = q.enqueue_start + enqueue;
    q.h2d_start = q.enqueue_start;
    q.h2d_end = q.compute_start = q.h2d_start + h2d;
    q.compute_end = q.d2h_start = q.compute_start + compute;
    q.d2h_end = q.d2h_start + d2h;
    trace.push_back(q);
  }
  return trace;
}

std::string joined(const std::vector<ReportLine>& lines, LineKind kind) {
  std::string text;
  for (const ReportLine& line : lines)
    if (line.kind == kind) text += line.text + "\n";
  return text;
}

TEST(Summary, leaves_out_queries_whose_compute_started_in_the_warm_up) {
  // Starts 0, 10, 20, ...; compute one millisecond later: 200 is the first at or after 200.
  const std::vector<QueryTrace> trace = queries(50, 10, 1, 5, 1);
  EXPECT_EQ(first_measured(trace, 200), 20u);
  EXPECT_EQ(first_measured(trace, 201), 20u);
  EXPECT_EQ(first_measured(trace, 201.5), 21u);
  EXPECT_EQ(first_measured(trace, 1e9), 50u);
}

TEST(Summary, has_the_lines_of_trtexec_with_walltime_from_the_first_h2d_to_the_last_d2h) {
  const std::vector<QueryTrace> trace = queries(40, 10, 1, 5, 0.5);
  const std::string info = joined(summary_lines(trace, {.warmup_ms = 200}), LineKind::info);
  EXPECT_THAT(info, HasSubstr("Warmup completed 20 queries over 200 ms\nTiming trace has 20 queries over 0.1965 s\n"));
  EXPECT_THAT(info, HasSubstr("\n=== Performance summary ===\nThroughput: 101.781 qps\n"));  // 20 / 0.1965
  EXPECT_THAT(info, HasSubstr("Latency: min = 6.5 ms, max = 6.5 ms, mean = 6.5 ms, median = 6.5 ms, percentile(90%) = "
                              "6.5 ms, percentile(95%) = 6.5 ms, percentile(99%) = 6.5 ms\n"));
  EXPECT_THAT(info, HasSubstr("H2D Latency: min = 1 ms"));
  EXPECT_THAT(info, HasSubstr("GPU Compute Time: min = 5 ms"));
  EXPECT_THAT(info, HasSubstr("D2H Latency: min = 0.5 ms"));
  EXPECT_THAT(info, HasSubstr("Total Host Walltime: 0.1965 s\nTotal GPU Compute Time: 0.1 s\n"));
}

TEST(Summary, averages_full_groups_only) {
  const std::string info =
      joined(summary_lines(queries(25, 10, 1, 5, 0.5), {.warmup_ms = 0, .runs_per_average = 10}), LineKind::info);
  const std::string line = "Average on 10 runs - GPU latency: 5 ms - Host latency: 6.5 ms (enqueue 0.01 ms)\n";
  const size_t first = info.find(line);
  ASSERT_NE(first, std::string::npos);
  const size_t second = info.find(line, first + 1);
  ASSERT_NE(second, std::string::npos);
  EXPECT_EQ(info.find(line, second + 1), std::string::npos);
}

TEST(Summary, omits_the_middle_of_a_very_long_trace) {
  const std::string info =
      joined(summary_lines(queries(1000, 10, 1, 5, 1), {.warmup_ms = 0, .runs_per_average = 1}), LineKind::info);
  EXPECT_THAT(info, HasSubstr("... Omitting 600 lines\n"));
}

TEST(Summary, says_so_when_nothing_is_left) {
  const std::vector<ReportLine> lines = summary_lines(queries(5, 10, 1, 5, 1), {.warmup_ms = 200});
  EXPECT_THAT(joined(lines, LineKind::warning), HasSubstr("No query was left after the warm-up"));
  EXPECT_THAT(joined(lines, LineKind::info), Not(HasSubstr("nan")));
}

TEST(Warnings, come_at_their_thresholds_and_not_before) {
  const auto warned = [](double h2d, double compute, double d2h, double enqueue) {
    return joined(summary_lines(queries(20, 10, h2d, compute, d2h, enqueue), {.warmup_ms = 0}), LineKind::warning);
  };
  EXPECT_EQ(warned(1, 4, 1, 3.19), "");
  EXPECT_THAT(warned(1, 4, 1, 3.25), HasSubstr("* Throughput may be bound by Enqueue Time rather than GPU Compute"));
  EXPECT_EQ(warned(3.75, 4, 1, 0), "");
  EXPECT_THAT(warned(4, 4, 1, 0), HasSubstr("bound by host-to-device transfers for the inputs"));
  EXPECT_THAT(warned(1, 4, 4, 0), HasSubstr("bound by device-to-host transfers for the outputs"));
}

TEST(Warnings, unstable_times_are_measured_by_the_population_deviation) {
  // 9 and 11: mean 10, population deviation 1: 10 %.
  EXPECT_FLOAT_EQ(variation_percent(std::vector<float>{9, 11}), 10.0f);
  EXPECT_EQ(variation_percent(std::vector<float>{5, 5, 5}), 0.0f);
  EXPECT_TRUE(std::isinf(variation_percent(std::vector<float>{0, 0})));
  std::vector<QueryTrace> trace = queries(100, 100, 0, 10, 0);
  for (size_t i = 0; i < trace.size(); i += 2) trace[i].compute_end += 0.4;  // 10 and 10.4: 1.96 %
  const auto warned = [&](double limit) {
    return joined(summary_lines(trace, {.warmup_ms = 0, .unstable_percent = limit}), LineKind::warning);
  };
  EXPECT_THAT(warned(1.0), HasSubstr("* GPU compute time is unstable, with coefficient of variance = 1.96"));
  EXPECT_EQ(warned(2.5), "");
}

TEST(Warnings, several_streams_ask_for_throughput) {
  EXPECT_THAT(joined(summary_lines(queries(20, 10, 1, 5, 1), {.warmup_ms = 0, .streams = 2}), LineKind::warning),
              HasSubstr("* Multiple inference streams are used."));
}

TEST(ExportTimes, has_trtexecs_keys_for_each_query) {
  const std::vector<QueryTrace> trace = queries(3, 10, 1, 5, 0.5);
  const std::string text = times_json(trace);
  EXPECT_THAT(text, HasSubstr("[\n  { \"startEnqMs\" : 0, \"endEnqMs\" : 0.01, \"startH2dMs\" : 0, "));
  const nlohmann::json j = nlohmann::json::parse(text);
  ASSERT_EQ(j.size(), 3u);
  EXPECT_DOUBLE_EQ(j[2]["startH2dMs"], 20);
  EXPECT_DOUBLE_EQ(j[2]["latencyMs"], 6.5);
  EXPECT_DOUBLE_EQ(j[2]["h2dMs"], 1);
  EXPECT_EQ(j[0].size(), 12u);
}

RunProfile three_runs() {
  return {.layers = {{"a", {1, 2, 3}}, {"quote\"d", {4, 4, 4}}, {"never", {0, 0, 0}}}, .run_ms = {5.5f, 6.5f, 7.5f}};
}

TEST(Profile, layers_and_the_unattributed_rest_are_the_whole_run) {
  const RunProfile profile = three_runs();
  EXPECT_DOUBLE_EQ(profile.total_ms(), 19.5);
  EXPECT_DOUBLE_EQ(profile.unattributed_ms(), 1.5);
  EXPECT_EQ(attribution_text(profile), "layers 6.0000 ms + unattributed 0.5000 ms (7.7 %) = run 6.5000 ms");
}

TEST(Profile, json_holds_every_layer_and_escapes_names) {
  const std::string text = profile_json(three_runs());
  EXPECT_EQ(text.substr(0, text.find('\n', 2)), "[\n  { \"count\" : 3 }");
  EXPECT_THAT(text, HasSubstr(", { \"name\" : \"a\", \"timeMs\" : 6, \"averageMs\" : 2, \"medianMs\" : 2, "
                              "\"percentage\" : 33.3333 }\n"));
  const nlohmann::json j = nlohmann::json::parse(text);
  ASSERT_EQ(j.size(), 4u);
  EXPECT_EQ(j[2]["name"], "quote\"d");
  EXPECT_EQ(j[3]["timeMs"], 0);
}

TEST(Profile, table_leaves_out_layers_without_time) {
  EXPECT_THAT(profile_lines(three_runs()), ElementsAre("", "=== Profile (3 iterations ) ===",
                                                       "   Time(ms)     Avg.(ms)   Median(ms)   Time(%)   Layer",
                                                       "       6.00       2.0000       2.0000      33.3   a",
                                                       "      12.00       4.0000       4.0000      66.7   quote\"d",
                                                       "      18.00       6.0000       6.0000     100.0   Total", ""));
}

TEST(Profile, chrome_trace_nests_layers_in_runs) {
  const nlohmann::json j = nlohmann::json::parse(chrome_trace_json(three_runs(), "net", 2));
  std::vector<std::string> slices;
  double run_end = 0, layer_end = 0;
  for (const nlohmann::json& event : j["traceEvents"]) {
    if (event["ph"] != "X") continue;
    slices.push_back(event["name"]);
    const double end = event["ts"].get<double>() + event["dur"].get<double>();
    if (event["cat"] == "run") {
      run_end = end;
    } else {
      EXPECT_LE(end, run_end);
      layer_end = std::max(layer_end, end);
    }
  }
  // A slice of no length would lie inside its neighbour.
  EXPECT_THAT(slices, ElementsAre("run 0", "a", "quote\"d", "run 1", "a", "quote\"d"));
  EXPECT_DOUBLE_EQ(run_end, 12000);  // microseconds
  EXPECT_DOUBLE_EQ(layer_end, 11500);
}

// Begins and durations rounded apart once made neighbours overlap by a nanosecond, which viewers drop.
TEST(Profile, chrome_trace_has_no_overlap_where_fractions_round_apart) {
  RunProfile profile;
  const float layer_ms = 0.0010006f;  // 1000.6 ns: three of them begin at 0, 1001, 2001 and end at 3002
  for (const char* name : {"a", "b", "c"}) profile.layers.push_back({name, std::vector<float>(40, layer_ms)});
  profile.run_ms.assign(40, 0.0030023f);
  const nlohmann::json j = nlohmann::json::parse(chrome_trace_json(profile, "net", 40));
  const auto ns = [](const nlohmann::json& us) { return std::llround(us.get<double>() * 1000); };
  long long run_begin = 0, run_end = 0, layer_end = 0, longest = 0, shortest = 1 << 20;
  for (const nlohmann::json& event : j["traceEvents"]) {
    if (event["ph"] != "X") continue;
    const long long begin = ns(event["ts"]), end = begin + ns(event["dur"]);
    if (event["cat"] == "run") {
      EXPECT_EQ(begin, run_end);
      run_begin = layer_end = begin;
      run_end = end;
      continue;
    }
    EXPECT_EQ(begin, layer_end) << event["name"];
    EXPECT_GE(begin, run_begin);
    EXPECT_LE(end, run_end) << event["name"];
    longest = std::max(longest, end - begin), shortest = std::min(shortest, end - begin);
    layer_end = end;
  }
  EXPECT_EQ(run_end, 120092);  // 40 runs of 3002.3 ns
  EXPECT_EQ(longest, 1001);
  EXPECT_EQ(shortest, 1000);
}

LayerDetail conv_layer() {
  LayerDetail layer;
  layer.name = "conv1";
  layer.joined_name = "conv1 + relu1";
  layer.origins = {"conv1", "relu1"};
  layer.type = "QuantConv";
  layer.parameter_type = "Convolution";
  layer.inputs = {{"x", {1, 3, 8, 8}, "uint8", "channel last"}};
  layer.outputs = {{"y", {1, 16, 8, 8}, "int8", "channel last"}};
  layer.constants = {{"w", {16, 3, 3, 3}, "int8", "linear", 432}, {"b", {16}, "int32", "linear", 16}};
  layer.settings = {
      {"Kernel", std::vector<int64_t>{3, 3}}, {"Groups", int64_t{1}}, {"Activation", std::string("RELU")}};
  layer.tactic = "conv_u8s8 avx2";
  return layer;
}

TEST(LayerFile, names_only_has_strings_and_the_bindings) {
  const std::vector<LayerDetail> layers = {conv_layer(), conv_layer()};
  const std::vector<std::string> bindings = {"in", "out"};
  EXPECT_EQ(layers_json(layers, bindings, LayerVerbosity::names),
            "{\"Layers\": [\"conv1 + relu1\"\n,\"conv1 + relu1\"\n],\n\"Bindings\": [\"in\"\n,\"out\"\n]}\n");
  EXPECT_EQ(nlohmann::json::parse(layers_json(layers, bindings, LayerVerbosity::none))["Layers"].size(), 0u);
}

// Names are bytes of the user's; a file of JSON is UTF-8.
TEST(LayerFile, bytes_that_are_no_text_are_replaced_and_text_stays) {
  LayerDetail layer = conv_layer();
  const std::string text = "\u00e9\u20ac\U0001f600";
  layer.joined_name = "a\xff" + text + "\xc0\xaf\xed\xa0\x80\xe2\x82";
  const std::vector<std::string> bindings = {"in\xfe"};
  const nlohmann::json j =
      nlohmann::json::parse(layers_json(std::vector<LayerDetail>{layer}, bindings, LayerVerbosity::names));
  const std::string one = "\ufffd";
  EXPECT_EQ(j["Layers"][0], "a" + one + text + one + one + one + one + one + one + one);
  EXPECT_EQ(j["Bindings"][0], "in" + one);
}

TEST(LayerFile, detailed_has_what_readers_look_for) {
  const std::vector<LayerDetail> layers = {conv_layer()};
  const std::vector<std::string> bindings = {"in"};
  const nlohmann::json j = nlohmann::json::parse(layers_json(layers, bindings, LayerVerbosity::detailed))["Layers"][0];
  EXPECT_EQ(j["Name"], "conv1 + relu1");
  EXPECT_EQ(j["Metadata"], "[ONNX Layer: conv1]\x1e[ONNX Layer: relu1]");
  EXPECT_EQ(j["ParameterType"], "Convolution");
  EXPECT_EQ(j["Inputs"][0]["Format/Datatype"], "Channel major Int8 format") << "the engine explorer knows no UInt8";
  EXPECT_EQ(j["Inputs"][0]["Codes"], "unsigned");
  EXPECT_FALSE(j["Outputs"][0].contains("Codes"));
  EXPECT_EQ(j["Outputs"][0]["Dimensions"], (std::vector<int64_t>{1, 16, 8, 8}));
  EXPECT_EQ(j["Weights"]["Type"], "Int8");
  EXPECT_EQ(j["Weights"]["Count"], 432);
  EXPECT_EQ(j["Bias"]["Type"], "Int32");
  EXPECT_EQ(j["Kernel"], (std::vector<int64_t>{3, 3}));
  EXPECT_THAT(j["TacticValue"].get<std::string>(), testing::MatchesRegex("0x[0-9a-f]{16}"));
}

TEST(Outputs, are_written_with_six_digits_and_whole_numbers_for_codes) {
  const std::vector<float> values = {-1.5234567f, 0.25f};
  const std::vector<int8_t> codes = {-128, 7};
  const std::vector<NamedValues> outputs = {{"755", {1, 2}, "float32", std::as_bytes(std::span(values))},
                                            {"s", {}, "int8", std::as_bytes(std::span(codes))}};
  EXPECT_EQ(outputs_json(outputs),
            "[\n  { \"name\" : \"755\"\n  , \"dimensions\" : \"1x2\"\n  , \"values\" : [ -1.52346, 0.25 ]\n  }\n"
            ", { \"name\" : \"s\"\n  , \"dimensions\" : \"\"\n  , \"values\" : [ -128, 7 ]\n  }\n]\n");
}

}  // namespace
}  // namespace octet
