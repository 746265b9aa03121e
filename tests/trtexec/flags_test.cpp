// More flags of octet trtexec, each by what can be seen of it: calibration shapes, tuner repeats, refits, inner
// tensors.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <map>

#include "running.h"

namespace octet::cli::trtexec {
namespace {

using testing::HasSubstr;
using testing::Not;

std::string octet(const std::string& words) { return std::string(OCTET_PROGRAM) + " " + words; }

std::string type_of(const std::string& file, const std::string& layer) {
  const nlohmann::json found = json_of(at(file))["Layers"];
  for (const nlohmann::json& l : found)
    if (stands_for(l, layer)) return l["LayerType"].get<std::string>();
  return "none";
}

TEST(CalibrationShapes, say_where_random_ranges_are_found) {
  EXPECT_THAT(quick("--int8 --skipInference").out, HasSubstr("Ranges are found at shape 1x3x32x32 of input input"));
  const Ran four = quick("--int8 --skipInference --calibProfile=0 --optShapesCalib=input:4x3x32x32");
  EXPECT_EQ(four.status, 0) << four.err;
  EXPECT_THAT(four.out, HasSubstr("Ranges are found at shape 4x3x32x32 of input input"));
  const Ran three = quick(
      "--int8 --skipInference --minShapesCalib=input:1x3x32x32 --optShapesCalib=input:2x3x32x32 "
      "--maxShapesCalib=input:8x3x32x32");
  EXPECT_THAT(three.out, HasSubstr("Ranges are found at shape 2x3x32x32 of input input"));
  const std::string profiles =
      "--profile=0 --optShapes=input:1x3x32x32 --minShapes=input:1x3x32x32 --maxShapes=input:8x3x32x32 "
      "--profile=1 --optShapes=input:4x3x32x32 --minShapes=input:1x3x32x32 --maxShapes=input:8x3x32x32 ";
  EXPECT_THAT(quick("--int8 --skipInference " + profiles + "--calibProfile=1").out,
              HasSubstr("Ranges are found at shape 4x3x32x32 of input input"));
  const Ran unknown = quick("--int8 --skipInference --optShapesCalib=other:4x3x32x32");
  EXPECT_EQ(unknown.status, 1);
  EXPECT_THAT(unknown.err, HasSubstr("--optShapesCalib: Cannot find input tensor with name \"other\""));
  EXPECT_THAT(quick("--int8 --skipInference --optShapesCalib=input:4x3x8x8").err, HasSubstr("does not fit"));
  EXPECT_THAT(quick("--skipInference --optShapesCalib=input:4x3x32x32").err,
              HasSubstr("[W] --optShapesCalib has no effect"));
}

/// "Channel major Int8 format" and the like, of the layer's first output.
std::string output_type_of(const std::string& file, const std::string& layer) {
  const nlohmann::json found = json_of(at(file))["Layers"];
  for (const nlohmann::json& l : found)
    if (stands_for(l, layer)) return l["Outputs"][0]["Format/Datatype"].get<std::string>();
  return "none";
}

TEST(LayerOutputTypes, make_an_int8_layer_end_in_float_and_its_readers_float) {
  const std::string common =
      "--int8 --skipInference --profilingVerbosity=detailed --precisionConstraints=obey --exportLayerInfo=o.json ";
  ASSERT_EQ(quick(common + "--layerOutputTypes=*:int8").status, 0);
  EXPECT_EQ(type_of("o.json", "/3/a/a.0/Conv"), "QuantConv");
  EXPECT_THAT(output_type_of("o.json", "/3/a/a.0/Conv"), HasSubstr("Int8"));
  EXPECT_EQ(type_of("o.json", "/3/b/b.0/Conv"), "QuantConv");
  const Ran ran = quick(common + "--layerOutputTypes=/3/a/a.0/Conv:fp32");
  ASSERT_EQ(ran.status, 0) << ran.err;
  EXPECT_EQ(type_of("o.json", "/3/a/a.0/Conv"), "QuantConv");
  EXPECT_THAT(output_type_of("o.json", "/3/a/a.0/Conv"), HasSubstr("FP32"));
  EXPECT_EQ(type_of("o.json", "/3/b/b.0/Conv"), "FusedConv");
  EXPECT_THAT(quick(common + "--layerOutputTypes=/3/a/a.0/Conv:bf16").err,
              HasSubstr("[W] --layerOutputTypes /3/a/a.0/Conv:bf16: mapped to fp32"));
  EXPECT_THAT(quick(common + "--layerOutputTypes=nope:fp32").err,
              HasSubstr("--layerOutputTypes: no layer has the name nope"));
}

TEST(LayerPrecisions, a_rule_for_fp32_keeps_bf16_out_on_a_cpu) {
  const std::string common =
      "--bf16 --skipInference --profilingVerbosity=detailed --precisionConstraints=obey --exportLayerInfo=o.json ";
  for (const char* flag : {"--layerPrecisions", "--layerOutputTypes"}) {
    const Ran full = quick(common + flag + "=/3/a/a.0/Conv:fp32");
    ASSERT_EQ(full.status, 0) << full.err;
    EXPECT_EQ(type_of("o.json", "/3/a/a.0/Conv"), "FusedConv");
    EXPECT_EQ(type_of("o.json", "/3/b/b.0/Conv"), "FusedConv");
    EXPECT_THAT(full.err, HasSubstr("ask for fp32: no layer runs in BF16"));
    const Ran half = quick(common + flag + "=/3/a/a.0/Conv:bf16");
    ASSERT_EQ(half.status, 0) << half.err;
    EXPECT_THAT(half.err, testing::Not(HasSubstr("mapped to fp32")));
  }
}

TEST(Tuner, runs_each_candidate_as_often_as_it_is_told) {
  const std::string tuned = k_model + " --skipInference --int8 --verbose --builderOptimizationLevel=3 ";
  EXPECT_THAT(trtexec(tuned + "--avgTiming=5").out, HasSubstr("timings taken in 5 rounds"));
  const Ran old = trtexec(tuned + "--minTiming=4");
  EXPECT_THAT(old.out, HasSubstr("timings taken in 4 rounds"));
  EXPECT_THAT(trtexec(tuned + "--avgTiming=2").out, HasSubstr("timings taken"));
  EXPECT_THAT(trtexec(k_model + " --skipInference --int8 --verbose --builderOptimizationLevel=0").out,
              Not(HasSubstr("timings taken")));
  EXPECT_THAT(old.out, HasSubstr("[I] --minTiming: mapped to the times that the tuner runs each candidate"));
}

TEST(NvtxMode, is_the_old_name_of_the_verbosity) {
  ASSERT_EQ(quick("--nvtxMode=verbose --skipInference --exportLayerInfo=nvtx.json").status, 0);
  EXPECT_TRUE(json_of(at("nvtx.json"))["Layers"][0].is_object());
}

TEST(LoadedPlan, names_each_build_flag_that_has_no_effect_once_in_the_log) {
  const std::vector<std::string> flags = {"--int8", "--fp16", "--calib=x", "--builderOptimizationLevel=5", "--noTF32"};
  std::string words = "--iterations=3 --duration=0 --warmUp=0 --loadEngine=" + plan();
  for (const std::string& flag : flags) words += " " + flag;
  const Ran ran = trtexec(words);
  EXPECT_EQ(ran.status, 0) << ran.err;
  for (const std::string& flag : flags) {
    const std::string line = "[I] " + flag.substr(0, flag.find('=')) + ": no effect: ";
    const size_t at = ran.out.find(line);
    EXPECT_NE(at, std::string::npos) << line << ran.out;
    EXPECT_EQ(ran.out.find(line, at + 1), std::string::npos) << line;
  }
  EXPECT_THAT(ran.err, Not(HasSubstr("--calib")));
}

/// Of two streams, how long the driving thread took to be rid of a query: one that computes itself is rid of it at
/// once, one that drives both wakes the workers.
TEST(Threads, each_stream_has_its_own_or_one_drives_all) {
  const std::string common = "--infStreams=2 --exportTimes=t.json ";
  const Ran own = quick(common + "--threads", "--loadEngine=" + plan());
  ASSERT_EQ(own.status, 0) << own.err;
  EXPECT_THAT(own.out, HasSubstr("Multithreading: Enabled"));
  const nlohmann::json one_each = json_of(at("t.json"));
  for (const nlohmann::json& q : one_each) EXPECT_EQ(q["startEnqMs"], q["endEnqMs"]);
  const Ran one = quick(common, "--loadEngine=" + plan());
  ASSERT_EQ(one.status, 0) << one.err;
  EXPECT_THAT(one.out, HasSubstr("Multithreading: Disabled"));
  const nlohmann::json handed_over = json_of(at("t.json"));
  ASSERT_EQ(handed_over.size() % 2, 0u);  // a query of each stream in every round
  EXPECT_TRUE(std::any_of(handed_over.begin(), handed_over.end(),
                          [](const nlohmann::json& q) { return q["endEnqMs"] > q["startEnqMs"]; }));
}

// ---- formats of inputs and outputs ----

/// Values that no order of channels leaves alone, in the network's own order, and the same with channels last.
std::pair<std::vector<float>, std::vector<float>> two_orders() {
  constexpr size_t k_channels = 3, k_pixels = 32 * 32;
  std::vector<float> first(k_channels * k_pixels), last(k_channels * k_pixels);
  for (size_t c = 0; c < k_channels; ++c)
    for (size_t p = 0; p < k_pixels; ++p)
      first[c * k_pixels + p] = last[p * k_channels + c] = std::sin(static_cast<float>(c * 700 + p));
  return {first, last};
}

TEST(IoFormats, channels_may_come_last) {
  const auto [first, last] = two_orders();
  write(at("chw.bin"), floats(first));
  write(at("hwc.bin"), floats(last));
  for (const std::string precision : {"", "--int8 "}) {
    ASSERT_EQ(quick(precision + "--loadInputs=input:chw.bin --exportOutput=chw.json").status, 0);
    const Ran hwc = quick(precision + "--inputIOFormats=fp32:hwc --loadInputs=input:hwc.bin --exportOutput=hwc.json");
    ASSERT_EQ(hwc.status, 0) << hwc.err;
    EXPECT_THAT(hwc.out, HasSubstr("Input binding for input with dimensions 1x32x32x3 is created."));
    EXPECT_EQ(read(at("chw.json")), read(at("hwc.json")));
  }
  const Ran profile = quick(
      "--inputIOFormats=hwc --minShapes=input:1x3x32x32 --optShapes=input:2x3x32x32 --maxShapes=input:4x3x32x32 "
      "--shapes=input:3x3x32x32");
  ASSERT_EQ(profile.status, 0) << profile.err;
  EXPECT_THAT(profile.out, HasSubstr("Input binding for input with dimensions 3x32x32x3 is created."));
  EXPECT_THAT(quick("--outputIOFormats=hwc --skipInference").err, HasSubstr("four dimensions only"));
}

TEST(IoFormats, outputs_come_channels_last_and_are_written_in_the_networks_order) {
  const std::string picture = picture_model();
  const std::string input = "--loadInputs=x:picture.bin --dumpOutput --dumpRawBindingsToFile ";
  const Ran own = quick(input + "--exportOutput=own.json", picture);
  ASSERT_EQ(own.status, 0) << own.err;
  const Ran last = quick(input + "--outputIOFormats=fp32:hwc --exportOutput=last.json", picture);
  ASSERT_EQ(last.status, 0) << last.err;
  EXPECT_EQ(read(at("own.json")), read(at("last.json")));
  EXPECT_THAT(last.out, HasSubstr("[I] y: (1x6x5x4)"));
  const std::vector<float> chw = floats_of(read(at("y.output.1.6.5.4.fp32.raw"))),
                           hwc = floats_of(read(at("y.output.1.5.4.6.fp32.raw")));
  ASSERT_EQ(chw.size(), 120u);
  ASSERT_EQ(hwc.size(), 120u);
  for (size_t c = 0; c < 6; ++c)
    for (size_t p = 0; p < 20; ++p) EXPECT_EQ(hwc[p * 6 + c], chw[c * 20 + p]) << c << " " << p;
}

TEST(IoFormats, codes_are_those_that_the_network_makes) {
  // The scale stands in the log; values on its grid have exactly these codes.
  const Ran built = quick("--int8 --inputIOFormats=int8:chw --saveEngine=codes.plan --skipInference");
  ASSERT_EQ(built.status, 0) << built.err;
  const auto scale = static_cast<float>(number_after(built.out, "input 'input': int8 codes, scale "));
  ASSERT_GT(scale, 0);
  std::string codes;
  std::vector<float> values;
  for (int i = 0; i < 3 * 32 * 32; ++i) {
    codes.push_back(static_cast<char>(i * 37 % 255 - 127));
    values.push_back(static_cast<float>(i * 37 % 255 - 127) * scale);
  }
  write(at("codes.bin"), codes);
  write(at("values.bin"), floats(values));
  const Ran by_codes = quick("--loadInputs=input:codes.bin --exportOutput=by_codes.json", "--loadEngine=codes.plan");
  ASSERT_EQ(by_codes.status, 0) << by_codes.err;
  ASSERT_EQ(quick("--loadInputs=input:values.bin --exportOutput=by_values.json", "--loadEngine=" + plan()).status, 0);
  EXPECT_EQ(read(at("by_codes.json")), read(at("by_values.json")));
  const Ran floating = quick("--inputIOFormats=int8:chw --skipInference");
  EXPECT_EQ(floating.status, 1);
  EXPECT_THAT(
      floating.err,
      HasSubstr("--inputIOFormats=int8: tensor 'input': the network does not quantize it, so it has no int8 codes"));
  EXPECT_THAT(
      quick("--int8 --outputIOFormats=int8:chw --skipInference").err,
      HasSubstr("output 'logits' is asked for as int8 (--outputIOFormats of octet trtexec), but the network does "
                "not end in codes there (a DequantizeLinear has to make it), so there are no int8 codes of it: "
                "it can be had as fp32; leave the format out, or give a network with Q/DQ nodes at that output"));
  EXPECT_THAT(quick("--int8 --inputIOFormats=uint8:chw --skipInference").err,
              HasSubstr("input 'input' is asked for as uint8 (--inputIOFormats of octet trtexec), but its codes are "
                        "int8: it can be had as int8 or fp32; ask for one of these"));
}

// ---- refit ----

/// The demo model in Q/DQ form, twice: the second with other scales, and biases on their grid.
struct Refits {
  Refits() {
    EXPECT_EQ(
        shell(octet("quantize " OCTET_DEMO_MODEL " --target tensorrt --calib-data shapes-train:16 --quiet -o qdq.onnx"))
            .status,
        0);
    EXPECT_EQ(quick("--int8 --refit --skipInference --saveEngine=qdq.plan", "--onnx=qdq.onnx").status, 0);
    EXPECT_EQ(shell(octet("quantize " OCTET_DEMO_MODEL
                          " --target tensorrt --calib-data shapes-train:64 --method max --quiet -o other.onnx"))
                  .status,
              0);
  }
};

TEST(Refit, gives_the_answers_of_a_plan_built_from_the_new_file) {
  const Refits files;
  ASSERT_EQ(quick("--int8 --exportOutput=old.json", "--onnx=qdq.onnx").status, 0);
  ASSERT_EQ(quick("--int8 --exportOutput=new.json", "--onnx=other.onnx").status, 0);
  ASSERT_NE(read(at("old.json")), read(at("new.json")));
  const Ran ran = quick("--refitFromOnnx=other.onnx --exportOutput=refit.json", "--loadEngine=qdq.plan");
  ASSERT_EQ(ran.status, 0) << ran.err;
  EXPECT_THAT(ran.out, HasSubstr("Engine refitted from other.onnx in "));
  EXPECT_EQ(read(at("refit.json")), read(at("new.json")));
}

TEST(Refit, keeps_the_formats_of_the_plan) {
  const Refits files;
  const std::string formats = "--int8 --refit --inputIOFormats=int8:hwc --skipInference ";
  ASSERT_EQ(quick(formats + "--saveEngine=codes_old.plan", "--onnx=qdq.onnx").status, 0);
  ASSERT_EQ(quick(formats + "--saveEngine=codes_new.plan", "--onnx=other.onnx").status, 0);
  const Ran ran = quick("--refitFromOnnx=other.onnx --exportOutput=refit.json", "--loadEngine=codes_old.plan");
  ASSERT_EQ(ran.status, 0) << ran.err;
  EXPECT_THAT(ran.out, HasSubstr("Input binding for input with dimensions 1x32x32x3 is created."));
  ASSERT_EQ(quick("--exportOutput=new.json", "--loadEngine=codes_new.plan").status, 0);
  EXPECT_EQ(read(at("refit.json")), read(at("new.json")));
}

TEST(Refit, refuses_a_network_that_is_another_one) {
  const Refits files;
  const Ran floating = quick("--refitFromOnnx=" OCTET_DEMO_MODEL, "--loadEngine=qdq.plan");
  EXPECT_EQ(floating.status, 1);
  EXPECT_THAT(floating.err, HasSubstr("--refitFromOnnx: "));
  EXPECT_THAT(floating.err, HasSubstr("has no Q/DQ nodes"));
  ASSERT_EQ(quick("--refit --skipInference --saveEngine=float.plan").status, 0);
  const Ran another = quick("--refitFromOnnx=qdq.onnx", "--loadEngine=float.plan");
  EXPECT_EQ(another.status, 1);
  EXPECT_THAT(another.err, HasSubstr("is another network than the plan's: layer 0 of the plan is FusedConv"));
}

TEST(Refit, is_refused_by_a_plan_that_was_built_without_it) {
  const Refits files;
  ASSERT_EQ(quick("--int8 --skipInference --saveEngine=fixed.plan", "--onnx=qdq.onnx").status, 0);
  const Ran ran = quick("--refitFromOnnx=other.onnx", "--loadEngine=fixed.plan");
  EXPECT_EQ(ran.status, 1);
  EXPECT_THAT(ran.err, HasSubstr("fixed.plan was built without --refit"));
  EXPECT_THAT(quick("--timeRefit --onnx=other.onnx", "--loadEngine=fixed.plan").err,
              HasSubstr("fixed.plan was built without --refit"));
  const Ran listed = quick("--dumpRefit --skipInference", "--loadEngine=fixed.plan");
  EXPECT_THAT(listed.err, HasSubstr("[W] --dumpRefit: the plan was built without --refit"));
  EXPECT_THAT(listed.out, Not(HasSubstr("Kernel")));
  ASSERT_EQ(quick("--int8 --refit --skipInference --saveEngine=may.plan", "--onnx=qdq.onnx").status, 0);
  EXPECT_EQ(quick("--refitFromOnnx=other.onnx", "--loadEngine=may.plan").status, 0);
}

TEST(Refit, is_timed_and_its_weights_are_listed) {
  const Ran ran = quick("--refit --timeRefit --dumpRefit");
  ASSERT_EQ(ran.status, 0) << ran.err;
  EXPECT_GT(number_after(ran.out, "Engine refitted in "), 0);
  EXPECT_THAT(ran.out, HasSubstr("Refit: Enabled"));
  EXPECT_THAT(ran.out, HasSubstr("[I] /7/Gemm Kernel (960)"));
  EXPECT_THAT(ran.out, HasSubstr("[I] /7/Gemm Bias (10)"));
  EXPECT_THAT(ran.out, HasSubstr("=== Performance summary ==="));
  EXPECT_THAT(quick("--timeRefit", "--loadEngine=" + plan()).err, HasSubstr("--timeRefit needs the network's weights"));
}

// ---- inner tensors ----

TEST(DebugTensors, hold_what_the_layers_make) {
  const std::string engine = "--loadEngine=" + plan();
  ASSERT_EQ(quick("--saveDebugTensors=logits:inner.raw --dumpRawBindingsToFile", engine).status, 0);
  EXPECT_EQ(read(at("inner.raw")), read(at("logits.output.1.10.fp32.raw")));
  const Ran unknown = quick("--saveDebugTensors=nothing:x.raw", engine);
  EXPECT_EQ(unknown.status, 1);
  EXPECT_THAT(unknown.err, HasSubstr("--saveDebugTensors: no layer of the plan makes a tensor 'nothing'"));
  EXPECT_THAT(unknown.out, testing::Not(HasSubstr("Starting inference")));
  const Ran unmarked = quick("--markDebug=nothing");
  EXPECT_EQ(unmarked.status, 1);
  EXPECT_THAT(unmarked.err, HasSubstr("--markDebug: no layer of the plan makes a tensor 'nothing'"));
  EXPECT_THAT(unmarked.out, testing::Not(HasSubstr("Starting inference")));
}

/// Name of the first layer's tensor, as the summary says it.
std::string first_tensor(const std::string& log) {
  const std::string before = "Debug tensor ";
  const size_t from = log.find(before) + before.size();
  return log.substr(from, log.find(" (", from) - from);
}

TEST(DebugTensors, of_int8_are_near_those_of_fp32_and_lie_on_their_scale) {
  write(at("half.bin"), floats(std::vector<float>(3 * 32 * 32, 0.5f)));
  const std::string input = "--loadInputs=input:half.bin --saveAllDebugTensors=";
  const Ran all = quick(input + "summary", "--loadEngine=" + plan());
  ASSERT_EQ(all.status, 0) << all.err;
  const std::string name = first_tensor(all.out);
  const Ran ran = quick(input + "raw,numpy,string,summary --int8 --markDebug=" + name);
  ASSERT_EQ(ran.status, 0) << ran.err;
  EXPECT_THAT(ran.out, HasSubstr("Saved 1 debug tensors"));
  std::string base = name;
  for (char& c : base)
    if (!std::isalnum(static_cast<unsigned char>(c)) && c != '.' && c != '-' && c != '_') c = '_';
  const std::string raw = read(at(base + ".raw"));
  ASSERT_FALSE(raw.empty());
  const std::string npy = read(at(base + ".npy"));
  ASSERT_TRUE(npy.starts_with("\x93NUMPY"));
  EXPECT_EQ(npy.substr(npy.size() - raw.size()), raw);
  const std::string text = read(at(base + ".txt"));
  EXPECT_EQ(static_cast<size_t>(std::count(text.begin(), text.end(), '\n')), floats_of(raw).size());
  // Codes times one scale: every difference is a whole number of steps.
  std::vector<float> values = floats_of(raw);
  std::sort(values.begin(), values.end());
  values.erase(std::unique(values.begin(), values.end()), values.end());
  EXPECT_LE(values.size(), 256u);
}

TEST(DebugTensors, all_are_marked_where_no_names_are_given) {
  const std::string one = "--saveAllDebugTensors=summary --markDebug=logits ";
  EXPECT_EQ(number_after(quick(one, "--loadEngine=" + plan()).out, "Saved "), 1);
  const Ran ran = quick(one + "--markUnfusedTensorsAsDebugTensors", "--loadEngine=" + plan());
  ASSERT_EQ(ran.status, 0) << ran.err;
  ASSERT_EQ(quick("--exportLayerInfo=all.json", "--loadEngine=" + plan()).status, 0);
  EXPECT_EQ(number_after(ran.out, "Saved "), json_of(at("all.json"))["Layers"].size());
}

}  // namespace
}  // namespace octet::cli::trtexec
