// octet trtexec as a script calls it: each honoured flag by what can be seen of it.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <regex>
#include <set>
#include <sstream>
#include <string>

#include "cli/trtexec/flags.h"
#include "octet/measure.h"
#include "running.h"

namespace octet::cli::trtexec {
namespace {

using testing::HasSubstr;
using testing::Not;

// ---- the command line and the log ----

TEST(Trtexec, help_goes_to_stdout_and_names_every_flag) {
  const Ran ran = shell(std::string(OCTET_PROGRAM) + " trtexec --help");
  EXPECT_EQ(ran.status, 0);
  EXPECT_EQ(ran.err, "");
  for (const Flag& flag : all_flags()) EXPECT_THAT(ran.out, HasSubstr("--" + std::string(flag.name))) << flag.name;
  EXPECT_EQ(shell(std::string(OCTET_PROGRAM) + " trtexec").out, ran.out);
  EXPECT_EQ(shell(std::string(OCTET_PROGRAM) + " trtexec --nonsense -h").status, 0);
  EXPECT_EQ(shell(std::string(OCTET_PROGRAM) + " trtexec --nonsense --help").status, 0);
}

TEST(Trtexec, docs_page_is_what_describe_prints) {
  const Ran ran = shell(std::string(OCTET_PROGRAM) + " trtexec --describe");
  EXPECT_EQ(ran.status, 0);
  EXPECT_EQ(ran.out, read(OCTET_DOCS "/trtexec.md")) << "run: octet trtexec --describe > docs/trtexec.md";
}

TEST(Trtexec, a_link_by_that_name_is_trtexec) {
  std::filesystem::create_symlink(OCTET_PROGRAM, at("trtexec"));
  const Ran ran =
      shell("./trtexec " + k_model + " --iterations=3 --duration=0 --warmUp=0 --builderOptimizationLevel=0");
  EXPECT_EQ(ran.status, 0);
  EXPECT_THAT(ran.out, HasSubstr("&&&& RUNNING octet.trtexec [octet v"));
  EXPECT_THAT(ran.out, HasSubstr("] # ./trtexec --onnx="));
}

TEST(Trtexec, an_unknown_flag_prints_help_and_an_error_and_fails) {
  const Ran ran = quick("--frobnicate=7");
  EXPECT_EQ(ran.status, 1);
  EXPECT_THAT(ran.out, HasSubstr("=== Build options ==="));
  EXPECT_THAT(ran.out, HasSubstr("&&&& FAILED octet.trtexec"));
  EXPECT_THAT(ran.err, HasSubstr("[E] Unknown option: --frobnicate 7"));
}

/// As the seed's own lines do it: `trtexec ... &> log`.
TEST(Trtexec, errors_are_lines_of_a_log_that_takes_both_streams) {
  const Ran ran = shell("( ( " + std::string(OCTET_PROGRAM) + " trtexec --onnx=x --frobnicate=7 ) > both.log 2>&1 )");
  EXPECT_EQ(ran.status, 1);
  const std::string log = read(at("both.log"));
  const size_t error = log.find("[E] Unknown option: --frobnicate 7\n");
  ASSERT_NE(error, std::string::npos);
  EXPECT_EQ(log[log.rfind('[', error - 1) - 1], '\n');
  EXPECT_GT(error, log.rfind("\n  --"));  // behind the help
  EXPECT_GT(log.find("&&&& FAILED"), error);
}

TEST(Trtexec, a_refused_flag_says_why) {
  const Ran ran = quick("--fp8");
  EXPECT_EQ(ran.status, 1);
  EXPECT_THAT(ran.err, HasSubstr("[E] --fp8 cannot be honoured: octet has no FP8; use --int8"));
}

TEST(Trtexec, log_lines_have_trtexecs_form_on_trtexecs_streams) {
  const Ran ran = quick("--fp16 --useSpinWait --verbose");
  EXPECT_EQ(ran.status, 0);
  const std::regex line(R"(\[\d\d/\d\d/\d{4}-\d\d:\d\d:\d\d\] \[[VIWEF]\] .*)");
  for (const auto& [text, severities] : {std::pair(ran.out, "VI"), std::pair(ran.err, "WEF")}) {
    std::istringstream lines(text);
    for (std::string l; std::getline(lines, l);) {
      if (l.starts_with("&&&& ")) continue;
      ASSERT_TRUE(std::regex_match(l, line)) << l;
      EXPECT_NE(std::strchr(severities, l[l.find("] [") + 3]), nullptr) << l;
    }
  }
  EXPECT_THAT(ran.err, HasSubstr("--fp16: on a CPU what is not INT8 runs in BF16 where AMX has it"));
  EXPECT_THAT(ran.out, HasSubstr("[I] --useSpinWait: no effect: "));
  EXPECT_THAT(ran.out, HasSubstr("[I] Precision: FP32+FP16\n"));
  EXPECT_THAT(ran.out, HasSubstr("[V] === Explanations of the performance metrics ==="));
  EXPECT_THAT(ran.out, HasSubstr("Conv): "));
  EXPECT_THAT(quick("").out, Not(HasSubstr("[V] ")));
}

TEST(Trtexec, stages_come_in_trtexecs_order) {
  const std::string log = quick("--saveEngine=order.plan --dumpLayerInfo --dumpOutput").out;
  size_t from = 0;
  for (const char* text : {"&&&& RUNNING",
                           "=== Model Options ===",
                           "=== Build Options ===",
                           "=== System Options ===",
                           "=== Inference Options ===",
                           "=== Reporting Options ===",
                           "=== Device Information ===",
                           "octet version: ",
                           "Loading standard plugins",
                           "Start parsing network model.",
                           "Finished parsing network model. Parse time: ",
                           "Engine built in ",
                           "Created engine with size: ",
                           "Engine deserialized in ",
                           "Layer Information:",
                           "Using random values for input input",
                           "Input binding for input with dimensions 1x3x32x32 is created.",
                           "Output binding for logits with dimensions 1x10 is created.",
                           "Starting inference",
                           "Warmup completed ",
                           "=== Trace details ===",
                           "=== Performance summary ===",
                           "Throughput: ",
                           "Total Host Walltime: ",
                           "Output Tensors:",
                           "&&&& PASSED"}) {
    const size_t found = log.find(text, from);
    ASSERT_NE(found, std::string::npos) << text;
    from = found;
  }
}

// ---- model and build flags ----

TEST(BuildFlags, onnx_errors_name_the_file) {
  const Ran ran = quick("", "--onnx=missing.onnx");
  EXPECT_EQ(ran.status, 1);
  EXPECT_THAT(ran.err, HasSubstr("[E] Failed to parse onnx file: missing.onnx"));
  write(at("trt.plan"), "ftrt0000");
  EXPECT_THAT(quick("", "--onnx=trt.plan").err, HasSubstr("this is a TensorRT plan"));
  EXPECT_THAT(quick("", "--loadEngine=trt.plan").err, HasSubstr("this is a TensorRT plan"));
  EXPECT_THAT(quick("", "--onnx=" + plan()).err, HasSubstr("use --loadEngine="));
}

TEST(BuildFlags, a_saved_engine_gives_the_same_answers_when_loaded) {
  ASSERT_EQ(quick("--int8 --saveEngine=same.plan --exportOutput=built.json").status, 0);
  const Ran loaded = quick("--exportOutput=loaded.json", "--loadEngine=same.plan");
  ASSERT_EQ(loaded.status, 0) << loaded.err;
  EXPECT_THAT(loaded.out, Not(HasSubstr("=== Build Options ===")));
  EXPECT_THAT(loaded.err, HasSubstr("UNCALIBRATED"));
  EXPECT_EQ(read(at("built.json")), read(at("loaded.json")));
}

TEST(BuildFlags, skip_inference_builds_and_stops) {
  for (const std::string flag : {"--skipInference", "--buildOnly"}) {
    const Ran ran = quick(flag + " --saveEngine=skipped.plan");
    EXPECT_EQ(ran.status, 0);
    EXPECT_THAT(ran.out, HasSubstr("Skipped inference phase since --skipInference is added."));
    EXPECT_THAT(ran.out, Not(HasSubstr("Starting inference")));
    EXPECT_TRUE(std::filesystem::remove(at("skipped.plan")));
  }
}

TEST(BuildFlags, int8_without_ranges_says_what_it_took_and_stamps_the_plan) {
  const Ran ran = quick("--int8 --exportLayerInfo=int8.json --profilingVerbosity=detailed");
  EXPECT_EQ(ran.status, 0);
  EXPECT_THAT(ran.err,
              HasSubstr("[W] --int8 without Q/DQ nodes and without --calib: ranges come from 16 samples of random"));
  const size_t said = ran.err.find("UNCALIBRATED");
  ASSERT_NE(said, std::string::npos);
  EXPECT_EQ((ran.out + ran.err).rfind("UNCALIBRATED"), ran.out.size() + said);  // once
  EXPECT_THAT(read(at("int8.json")), HasSubstr("\"LayerType\": \"QuantConv\""));
  EXPECT_EQ(quick("--best --exportLayerInfo=best.json --profilingVerbosity=detailed").status, 0);
  EXPECT_EQ(read(at("best.json")), read(at("int8.json")));
  EXPECT_EQ(quick("--exportLayerInfo=fp32.json --profilingVerbosity=detailed").status, 0);
  EXPECT_THAT(read(at("fp32.json")), Not(HasSubstr("Quant")));
}

TEST(BuildFlags, a_repair_that_changes_answers_is_a_warning_said_once) {
  const char* const data = std::getenv("OCTET_DATA");
  if (!data) GTEST_SKIP() << "OCTET_DATA is not set";
  const Ran ran = quick("--skipInference", "--onnx=" + std::string(data) + "/models/resnet18_cifar10_eager_int8.onnx");
  EXPECT_EQ(ran.status, 0) << ran.err;
  const std::string said = "[W] [octet] repair eager_zero_points: 39 mended";
  const size_t at = ran.err.find(said);
  ASSERT_NE(at, std::string::npos) << ran.err;
  EXPECT_EQ(ran.err.find(said, at + 1), std::string::npos);
  EXPECT_THAT(ran.err, Not(HasSubstr("repair between_pairs")));  // it changed none
}

TEST(BuildFlags, strong_typing_ignores_int8) {
  const Ran ran = quick("--stronglyTyped --int8 --exportLayerInfo=strong.json --profilingVerbosity=detailed");
  EXPECT_EQ(ran.status, 0);
  EXPECT_THAT(ran.err, HasSubstr("Disabling BuilderFlag::kINT8."));
  EXPECT_THAT(read(at("strong.json")), Not(HasSubstr("Quant")));
}

TEST(BuildFlags, calib_takes_its_ranges_and_a_missing_file_is_an_error) {
  ASSERT_EQ(shell(std::string(OCTET_PROGRAM) + " calibrate " OCTET_DEMO_MODEL
                                               " --calib-data shapes-train:16 -o ranges.json --quiet")
                .status,
            0);
  const Ran ran = quick("--int8 --calib=ranges.json --exportOutput=calibrated.json");
  EXPECT_EQ(ran.status, 0) << ran.err;
  EXPECT_THAT(ran.out, HasSubstr("INT8 ranges from ranges.json"));
  EXPECT_THAT(ran.err, Not(HasSubstr("UNCALIBRATED")));
  ASSERT_EQ(quick("--int8 --exportOutput=noise.json").status, 0);
  EXPECT_NE(read(at("calibrated.json")), read(at("noise.json")));
  // The same ranges by way of a cache of TensorRT.
  ASSERT_EQ(shell(std::string(OCTET_PROGRAM) + " cache convert ranges.json --to tensorrt -o trt.cache").status, 0);
  ASSERT_TRUE(read(at("trt.cache")).starts_with("TRT-"));
  const Ran cache = quick("--int8 --calib=trt.cache --exportLayerInfo=cache.json --profilingVerbosity=detailed");
  EXPECT_EQ(cache.status, 0) << cache.err;
  EXPECT_THAT(cache.err, Not(HasSubstr("UNCALIBRATED")));
  EXPECT_THAT(read(at("cache.json")), HasSubstr("\"LayerType\": \"QuantConv\""));
  const Ran missing = quick("--int8 --calib=no_such.cache");
  EXPECT_EQ(missing.status, 1);
  EXPECT_THAT(missing.err, HasSubstr("[E] --calib=no_such.cache: "));
  EXPECT_THAT(quick("--calib=ranges.json").err, HasSubstr("--calib=ranges.json has no effect without --int8"));
}

TEST(BuildFlags, ranges_that_no_layer_uses_stamp_nothing) {
  const Ran ran = quick("--int8 --precisionConstraints=obey '--layerPrecisions=*:fp32' --saveEngine=allf.plan");
  ASSERT_EQ(ran.status, 0) << ran.err;
  EXPECT_THAT(ran.out + ran.err, Not(HasSubstr("UNCALIBRATED")));
  EXPECT_THAT(ran.out + ran.err, Not(HasSubstr("answers mean nothing")));
  EXPECT_THAT(ran.err, HasSubstr("[W] --int8: no layer of this network is left in INT8, so it is a plan in fp32"));
  ASSERT_EQ(quick("--saveEngine=fp32.plan --skipInference").status, 0);
  const auto evaluated = [](const std::string& plan) {
    const Ran eval =
        shell(std::string(OCTET_PROGRAM) + " eval " + plan + " --data shapes:64 --preprocess rgb,norm=half");
    EXPECT_EQ(eval.status, 0) << eval.err;
    EXPECT_THAT(eval.out + eval.err, Not(HasSubstr("UNCALIBRATED")));
    EXPECT_THAT(eval.out + eval.err, Not(HasSubstr("int8")));
    return number_after(eval.out, "op-1");
  };
  EXPECT_EQ(evaluated("allf.plan"), evaluated("fp32.plan"));
  // One layer left is enough for the stamp.
  const Ran one = quick(
      "--int8 --precisionConstraints=obey '--layerPrecisions=*:fp32,/0/0.0/Conv:int8' --saveEngine=one.plan "
      "--skipInference");
  ASSERT_EQ(one.status, 0) << one.err;
  EXPECT_THAT(one.err, HasSubstr("UNCALIBRATED"));
}

TEST(BuildFlags, errors_advise_flags_that_trtexec_has) {
  write(at("foreign.cache"), "TRT-8003-EntropyCalibration2\nnowhere: 3c010a14\n");
  const Ran foreign = quick("--int8 --calib=foreign.cache");
  EXPECT_EQ(foreign.status, 1);
  EXPECT_THAT(foreign.err, HasSubstr("[E] --calib=foreign.cache: "));
  EXPECT_THAT(foreign.err, Not(HasSubstr("--force")));
  const Ran small = quick("--memPoolSize=workspace:0.001");
  EXPECT_EQ(small.status, 1);
  EXPECT_THAT(small.err, HasSubstr("--memPoolSize=workspace:MIB) allows 1048: "));
  ASSERT_EQ(quick("--skipInference --saveEngine=free.plan --minShapes=input:1x3x32x32 --optShapes=input:2x3x32x32 "
                  "--maxShapes=input:4x3x32x32")
                .status,
            0);
  const Ran outside = quick("--shapes=input:9x3x32x32", "--loadEngine=free.plan");
  EXPECT_EQ(outside.status, 1);
  EXPECT_THAT(outside.err, HasSubstr("the shape [9,3,32,32] was asked for"));
  EXPECT_THAT(outside.err, HasSubstr("--minShapes, --optShapes, --maxShapes"));
}

TEST(BuildFlags, empty_batches_are_refused) {
  for (const std::string flag : {"--shapes", "--optShapes", "--maxShapes"}) {
    const Ran ran = quick(flag + "=input:0x3x32x32");
    EXPECT_EQ(ran.status, 1) << flag;
    EXPECT_THAT(ran.err, HasSubstr("[E] " + flag + " input:0x3x32x32 holds no elements"));
    EXPECT_THAT(ran.out, Not(HasSubstr("Throughput")));
  }
}

TEST(BuildFlags, layer_precisions_keep_layers_float_under_constraints) {
  const std::string common = "--int8 --profilingVerbosity=detailed --exportLayerInfo=layers.json ";
  const auto type_of = [](const std::string& layer) {
    const nlohmann::json layers = json_of(at("layers.json"))["Layers"];
    for (const nlohmann::json& l : layers)
      if (stands_for(l, layer)) return l["LayerType"].get<std::string>();
    return std::string("none");
  };
  ASSERT_EQ(quick(common + "--layerPrecisions=/7/Gemm:fp32 --precisionConstraints=obey").status, 0);
  EXPECT_EQ(type_of("/7/Gemm"), "FusedGemm");
  EXPECT_EQ(type_of("/0/0.0/Conv"), "QuantConv");
  const Ran ignored = quick(common + "--layerPrecisions=/7/Gemm:fp32");
  EXPECT_THAT(ignored.err, HasSubstr("have no effect without --precisionConstraints"));
  EXPECT_EQ(type_of("/7/Gemm"), "QuantGemm");
  const Ran unknown = quick(common + "--layerPrecisions=nope:fp32 --precisionConstraints=prefer");
  EXPECT_EQ(unknown.status, 1);
  EXPECT_THAT(unknown.err, HasSubstr("no layer has the name nope"));
}

TEST(BuildFlags, shapes_make_a_profile_and_the_run_stays_in_it) {
  const Ran built = quick(
      "--minShapes=input:1x3x32x32 --optShapes=input:2x3x32x32 --maxShapes=input:4x3x32x32 "
      "--profile=0 --saveEngine=dynamic.plan --dumpOptimizationProfile");
  ASSERT_EQ(built.status, 0) << built.err;
  EXPECT_THAT(built.out, HasSubstr("Model input input (profile 0): min=1x3x32x32, opt=2x3x32x32, max=4x3x32x32"));
  EXPECT_THAT(built.out, HasSubstr("Input binding for input with dimensions 2x3x32x32 is created."));
  const Ran three = quick("--shapes=input:3x3x32x32 --useProfile=0", "--loadEngine=dynamic.plan");
  ASSERT_EQ(three.status, 0) << three.err;
  EXPECT_THAT(three.out, HasSubstr("Output binding for logits with dimensions 3x10 is created."));
  const Ran five = quick("--shapes=input:5x3x32x32", "--loadEngine=dynamic.plan");
  EXPECT_EQ(five.status, 1);
  EXPECT_THAT(five.err, HasSubstr("5"));
  EXPECT_THAT(quick("--useProfile=2", "--loadEngine=dynamic.plan").err,
              HasSubstr("Selected profile index 2 exceeds the number of profiles that the engine holds (1)."));
  EXPECT_THAT(quick("--useProfile=2").err, HasSubstr("exceeds the number of profiles"));
  const Ran backwards = quick("--minShapes=input:4x3x32x32 --optShapes=input:2x3x32x32 --maxShapes=input:8x3x32x32");
  EXPECT_EQ(backwards.status, 1);
  EXPECT_THAT(backwards.err, HasSubstr("min <= opt <= max is expected"));
}

TEST(BuildFlags, several_profiles_are_kept_in_the_plan_and_the_used_one_is_measured) {
  const std::string profiles =
      "--profile=0 --minShapes=input:1x3x32x32 --optShapes=input:2x3x32x32 --maxShapes=input:2x3x32x32 "
      "--profile=1 --minShapes=input:4x3x32x32 --optShapes=input:6x3x32x32 --maxShapes=input:8x3x32x32 ";
  const Ran second = quick(profiles + "--useProfile=1 --saveEngine=two.plan --dumpOptimizationProfile");
  ASSERT_EQ(second.status, 0) << second.err;
  EXPECT_THAT(second.out, HasSubstr("(profile 0): min=1x3x32x32, opt=2x3x32x32, max=2x3x32x32"));
  EXPECT_THAT(second.out, HasSubstr("(profile 1): min=4x3x32x32, opt=6x3x32x32, max=8x3x32x32"));
  EXPECT_THAT(second.out, HasSubstr("Input binding for input with dimensions 6x3x32x32 is created."));
  const Ran first = quick(profiles);
  EXPECT_THAT(first.out, HasSubstr("Input binding for input with dimensions 2x3x32x32 is created."));
  EXPECT_THAT(first.err, HasSubstr("[W] The engine holds 2 optimization profiles and --useProfile is not given"));
  const auto loaded = [](const std::string& flags) { return quick(flags, "--loadEngine=two.plan"); };
  EXPECT_THAT(loaded("").out, HasSubstr("Input binding for input with dimensions 2x3x32x32 is created."));
  const Ran one = loaded("--useProfile=1 --dumpOptimizationProfile");
  EXPECT_THAT(one.out, HasSubstr("Input binding for input with dimensions 6x3x32x32 is created."));
  EXPECT_THAT(one.out, HasSubstr("(profile 1): min=4x3x32x32, opt=6x3x32x32, max=8x3x32x32"));
  EXPECT_EQ(loaded("--useProfile=1 --shapes=input:7x3x32x32").status, 0);
  const Ran between = loaded("--useProfile=1 --shapes=input:3x3x32x32");
  EXPECT_EQ(between.status, 1);
  EXPECT_THAT(between.err, HasSubstr("is outside profile 1, which has [4,3,32,32] to [8,3,32,32]"));
  EXPECT_EQ(loaded("--shapes=input:9x3x32x32").status, 1);
  EXPECT_THAT(loaded("--useProfile=2").err, HasSubstr("exceeds the number of profiles that the engine holds (2)."));
}

TEST(BuildFlags, missing_kinds_of_shapes_are_filled_as_trtexec_fills_them) {
  const Ran ran = quick("--optShapes=input:2x3x32x32 --skipInference");
  EXPECT_EQ(ran.status, 0);
  EXPECT_THAT(ran.err, HasSubstr("optShapes is being broadcasted to minShapes for tensor input"));
  EXPECT_THAT(quick("").err, HasSubstr("Dynamic dimensions required for input: input, but no shapes were provided. "
                                       "Automatically overriding shape to: 1x3x32x32"));
  const Ran unknown = quick("--shapes=inputt:1x3x32x32");
  EXPECT_EQ(unknown.status, 1);
  EXPECT_THAT(unknown.err, HasSubstr("Cannot find input tensor with name \"inputt\" in the network inputs!"));
  EXPECT_EQ(quick("--shapes=input:1x3x16x16").status, 1);
}

TEST(BuildFlags, io_formats_are_the_networks_own_or_an_error) {
  EXPECT_EQ(quick("--inputIOFormats=fp32:chw --outputIOFormats=fp32:chw --skipInference").status, 0);
  const Ran half = quick("--inputIOFormats=fp16:chw --skipInference");
  EXPECT_EQ(half.status, 1);
  EXPECT_THAT(half.err, HasSubstr("--inputIOFormats=fp16:chw: tensor 'input'"));
  EXPECT_THAT(quick("--inputIOFormats=fp32:chw32 --skipInference").err, HasSubstr("--inputIOFormats=fp32:chw32"));
  EXPECT_THAT(quick("--outputIOFormats=fp32:chw,fp32:chw --skipInference").err,
              HasSubstr("The number of outputIOFormats must match network's outputs or be one for broadcasting."));
}

TEST(BuildFlags, workspace_limits_a_context) {
  const Ran ran = quick("--memPoolSize=workspace:1K");
  EXPECT_EQ(ran.status, 1);
  EXPECT_THAT(ran.err, HasSubstr("bytes for activations and scratch"));
  EXPECT_EQ(quick("--memPoolSize=workspace:64M,dlaSRAM:1").status, 0);
  EXPECT_EQ(quick("--workspace=64").status, 0);
  const Ran large = quick("--workspace=1 --shapes=input:256x3x32x32");
  EXPECT_EQ(large.status, 1);
  EXPECT_THAT(large.err, HasSubstr("bytes for activations and scratch"));
}

TEST(BuildFlags, profiling_verbosity_decides_what_layer_files_hold) {
  const Ran told = quick("--int8 --exportLayerInfo=names.json --dumpLayerInfo");
  ASSERT_EQ(told.status, 0);
  EXPECT_THAT(told.out, HasSubstr("Layer Information:"));
  EXPECT_TRUE(json_of(at("names.json"))["Layers"][0].is_string());
  EXPECT_EQ(json_of(at("names.json"))["Bindings"], (std::vector<std::string>{"input", "logits"}));
  ASSERT_EQ(quick("--int8 --exportLayerInfo=detailed.json --profilingVerbosity=detailed").status, 0);
  const nlohmann::json layer = json_of(at("detailed.json"))["Layers"][1];
  EXPECT_EQ(layer["Weights"]["Type"], "Int8");
  EXPECT_EQ(layer["Inputs"].size(), 1u);
  EXPECT_EQ(layer["Kernel"], (std::vector<int64_t>{3, 3}));
  EXPECT_EQ(layer["HasReLU"], 1);
  ASSERT_EQ(quick("--int8 --exportLayerInfo=none.json --profilingVerbosity=none").status, 0);
  EXPECT_EQ(json_of(at("none.json"))["Layers"].size(), 0u);
}

TEST(BuildFlags, timing_cache_is_written_read_and_asked_for) {
  const std::string tuned =
      k_model + " --skipInference --int8 --builderOptimizationLevel=3 --timingCacheFile=times.txt ";
  const Ran miss = trtexec(tuned + "--errorOnTimingCacheMiss");
  EXPECT_EQ(miss.status, 1);
  EXPECT_THAT(miss.err, HasSubstr("--errorOnTimingCacheMiss: times.txt did not hold the times"));
  const std::string times = read(at("times.txt"));
  EXPECT_THAT(times, testing::StartsWith("octet timing cache"));
  const Ran hit = trtexec(tuned + "--errorOnTimingCacheMiss");
  EXPECT_EQ(hit.status, 0) << hit.err;
  EXPECT_EQ(read(at("times.txt")), times);
  std::filesystem::remove(at("times.txt"));
  EXPECT_EQ(trtexec(tuned + "--noBuilderCache").status, 0);
  EXPECT_FALSE(std::filesystem::exists(at("times.txt")));
  write(at("times.txt"), "a cache of another program");
  const Ran foreign = trtexec(tuned);
  EXPECT_EQ(foreign.status, 0);
  EXPECT_THAT(foreign.err, HasSubstr("[W] --timingCacheFile=times.txt is not a timing cache of octet"));
  EXPECT_EQ(read(at("times.txt")), "a cache of another program");
}

// ---- inference flags ----

TEST(InferenceFlags, iterations_and_warm_up_and_duration_are_minima) {
  EXPECT_EQ(measured(quick("").out), 3);
  const auto loaded = [](const std::string& flags) { return trtexec("--loadEngine=" + plan() + " " + flags).out; };
  EXPECT_EQ(measured(loaded("--iterations=17 --duration=0 --warmUp=0")), 17);
  const std::string warm = loaded("--iterations=1 --duration=0 --warmUp=50");
  EXPECT_GT(number_after(warm, "Warmup completed "), 0);
  EXPECT_THAT(warm, HasSubstr(" queries over 50 ms"));
  const std::string timed = loaded("--iterations=1 --duration=0.2 --warmUp=0");
  EXPECT_GE(number_after(timed, "Total Host Walltime: "), 0.19);
  EXPECT_GT(measured(timed), 3);
}

TEST(InferenceFlags, numbers_that_would_measure_nothing_fail_before_anything_is_built) {
  for (const std::string flag : {"--duration=nan", "--duration=inf", "--warmUp=nan", "--sleepTime=inf",
                                 "--idleTime=nan", "--iterations=99999999999999999999"}) {
    const Ran ran = shell("timeout 20 " + std::string(OCTET_PROGRAM) + " trtexec " + k_model + " " + flag);
    EXPECT_EQ(ran.status, 1) << flag;
    EXPECT_THAT(ran.err, HasSubstr("[E] " + flag + ": a ")) << flag;
    EXPECT_THAT(ran.out, HasSubstr("&&&& FAILED octet.trtexec")) << flag;
    EXPECT_THAT(ran.out, testing::Not(HasSubstr("Start parsing network model"))) << flag;
  }
}

TEST(InferenceFlags, endless_duration_ends_only_with_the_process) {
  const Ran ran = shell("timeout -s INT 1 " + std::string(OCTET_PROGRAM) + " trtexec --loadEngine=" + plan() +
                        " --duration=-1 --iterations=1 --warmUp=0");
  EXPECT_NE(ran.status, 0);
  EXPECT_THAT(ran.err, HasSubstr("--duration=-1 is specified, inference will run in an endless loop"));
  EXPECT_THAT(ran.out, Not(HasSubstr("Performance summary")));
}

TEST(InferenceFlags, sleep_and_idle_times_pass) {
  const std::string engine = "--loadEngine=" + plan();
  EXPECT_GE(seconds_of([&] { quick("--sleepTime=400", engine); }), 0.4);
  const std::string idle = quick("--idleTime=60", engine).out;
  EXPECT_GE(number_after(idle, "Total Host Walltime: "), 0.12);  // two gaps between three queries
}

TEST(InferenceFlags, several_streams_share_the_list_of_queries) {
  const std::string engine = "--loadEngine=" + plan();
  for (const std::string flag : {"--infStreams=3", "--streams=3"}) {
    const Ran ran = quick(flag, engine);
    EXPECT_EQ(ran.status, 0);
    EXPECT_EQ(measured(ran.out), 9);
    EXPECT_THAT(ran.err, HasSubstr("* Multiple inference streams are used."));
  }
}

TEST(InferenceFlags, transfers_are_counted_unless_they_are_switched_off) {
  const std::string engine = "--loadEngine=" + plan();
  const std::string off = quick("--noDataTransfers --exportTimes=off.json", engine).out;
  EXPECT_THAT(off, HasSubstr("H2D Latency: min = 0 ms, max = 0 ms"));
  EXPECT_THAT(off, HasSubstr("[I] Data transfers: Disabled"));
  quick("--includeDataTransfers --exportTimes=on.json", engine);
  for (const nlohmann::json& q : json_of(at("on.json"))) EXPECT_GT(q["h2dMs"], 0);
  for (const nlohmann::json& q : json_of(at("off.json"))) EXPECT_EQ(q["h2dMs"], 0);
  EXPECT_THAT(quick("--compat=11", engine).out, HasSubstr("[I] Data transfers: Disabled"));
  EXPECT_THAT(quick("--compat=11 --includeDataTransfers", engine).out, HasSubstr("[I] Data transfers: Enabled"));
}

TEST(InferenceFlags, time_deserialize_times_loads_and_skips_inference) {
  const Ran ran = quick("--timeDeserialize", "--loadEngine=" + plan());
  EXPECT_THAT(ran.out, HasSubstr("First deserialization time = "));
  EXPECT_THAT(ran.out, HasSubstr("milliseconds in 20 iterations, average time = "));
  EXPECT_THAT(ran.out, Not(HasSubstr("Starting inference")));
  // The verdict follows from the two numbers.
  const double first = number_after(ran.out, "First deserialization time = ");
  const double average = number_after(ran.out, "average time = ");
  EXPECT_EQ(ran.status, first > 2 * average ? 1 : 0);
}

TEST(InferenceFlags, inputs_come_from_files_of_exactly_their_size) {
  write(at("zeros.bin"), std::string(3 * 32 * 32 * 4, '\0'));
  write(at("ones.bin"), floats(std::vector<float>(3 * 32 * 32, 1.0f)));
  const std::string engine = "--loadEngine=" + plan();
  const Ran zeros = quick("--loadInputs=input:zeros.bin --exportOutput=zeros.json", engine);
  EXPECT_THAT(zeros.out, HasSubstr("Using values loaded from zeros.bin for input input"));
  quick("--loadInputs='input':ones.bin --exportOutput=ones.json", engine);
  EXPECT_NE(json_of(at("zeros.json"))[0]["values"], json_of(at("ones.json"))[0]["values"]);
  write(at("short.bin"), "1234");
  const Ran wrong = quick("--loadInputs=input:short.bin", engine);
  EXPECT_EQ(wrong.status, 1);
  EXPECT_THAT(wrong.err, HasSubstr("Note: Input binding size is: 12288 bytes but the file size is 4 bytes."));
  EXPECT_THAT(quick("--loadInputs=input:none.bin", engine).err, HasSubstr("Cannot open file none.bin!"));
  EXPECT_THAT(quick("--loadInputs=other:zeros.bin", engine).err, HasSubstr("there is no tensor 'other'"));
}

TEST(InferenceFlags, references_are_compared_by_the_chosen_loss) {
  write(at("in.bin"), floats(std::vector<float>(3 * 32 * 32, 0.5f)));
  const std::string engine = "--loadEngine=" + plan();
  ASSERT_EQ(quick("--loadInputs=input:in.bin --dumpRawBindingsToFile", engine).status, 0);
  const std::string raw = read(at("logits.output.1.10.fp32.raw"));
  ASSERT_EQ(raw.size(), 40u);
  write(at("right.bin"), raw);
  std::vector<float> values(10);
  std::memcpy(values.data(), raw.data(), 40);
  values[3] += 0.5f;
  write(at("off.bin"), floats(values));
  const auto checked = [&](const std::string& flags) { return quick("--loadInputs=input:in.bin " + flags, engine); };
  const Ran right = checked("--loadRefOutputs=logits:right.bin --accuracyThreshold=1e-6");
  EXPECT_EQ(right.status, 0) << right.err;
  EXPECT_THAT(right.out, HasSubstr("Accuracy loss for tensor logits (l0): 0.000000"));
  const Ran wrong = checked("--loadRefOutputs=logits:off.bin --accuracyThreshold=0.05");
  EXPECT_EQ(wrong.status, 1);
  EXPECT_THAT(wrong.out, HasSubstr("(l0): 0.100000 [FAIL: > threshold 0.050000]"));
  EXPECT_THAT(wrong.err, HasSubstr("Accuracy validation FAILED"));
  EXPECT_EQ(checked("--loadRefOutputs=logits:off.bin --accuracyThreshold=0.05 --atol=0.6").status, 0);
  // A loss equal to the threshold is not above it: one element of ten is 0.1, whose double is the flag's.
  EXPECT_EQ(checked("--loadRefOutputs=logits:off.bin --accuracyThreshold=0.1").status, 0);
  write(at("short.bin"), "1234");
  const Ran size = checked("--loadRefOutputs=logits:short.bin --accuracyThreshold=9");
  EXPECT_EQ(size.status, 1);
  EXPECT_THAT(size.err, HasSubstr("--loadRefOutputs: "));
  EXPECT_THAT(size.out, Not(HasSubstr("Starting inference")));
  EXPECT_EQ(checked("--loadRefOutputs=logits:off.bin --accuracyThreshold=0.05 --rtol=1e9").status, 0);
  const auto loss = [&](const std::string& algorithm) {
    const Ran ran = checked("--loadRefOutputs=logits:off.bin --accuracyThreshold=9 --accuracyAlgorithm=" + algorithm);
    return number_after(ran.out, "(" + algorithm + "): ");
  };
  EXPECT_NEAR(loss("l1"), 0.05, 1e-6);
  EXPECT_NEAR(loss("l2"), 0.025, 1e-6);
  EXPECT_NEAR(loss("lInf"), 0.5, 1e-6);
  EXPECT_GT(loss("cos"), 0);
  const Ran pairs = quick(
      "--refPair=0 --loadInputs=input:in.bin --loadRefOutputs=logits:right.bin --refPair=1 "
      "--loadInputs=input:in.bin --loadRefOutputs=logits:off.bin --accuracyThreshold=0.05",
      engine);
  EXPECT_EQ(pairs.status, 1);
  EXPECT_THAT(pairs.out, HasSubstr("(l0): 0.000000\n"));
  EXPECT_THAT(pairs.out, HasSubstr("(l0): 0.100000 [FAIL"));
}

// ---- reporting flags ----

TEST(ReportingFlags, averages_and_percentiles_are_what_was_asked_for) {
  const std::string engine = "--loadEngine=" + plan();
  const std::string log = quick("--avgRuns=2 --percentile=50,99.9", engine).out;
  EXPECT_THAT(log, HasSubstr("Average on 2 runs - GPU latency: "));
  EXPECT_THAT(log, HasSubstr("percentile(50%) = "));
  EXPECT_THAT(log, HasSubstr("percentile(99.9%) = "));
  EXPECT_THAT(log, Not(HasSubstr("percentile(90%)")));
}

TEST(ReportingFlags, a_profile_run_of_its_own_keeps_the_summary) {
  const std::string engine = "--loadEngine=" + plan();
  const Ran together = quick("--dumpProfile --exportProfile=p.json", engine);
  EXPECT_THAT(together.out, HasSubstr("The e2e network timing is not reported"));
  EXPECT_THAT(together.out, Not(HasSubstr("=== Performance summary ===")));
  EXPECT_THAT(together.out, HasSubstr("=== Profile (3 iterations ) ==="));
  const Ran apart = quick("--dumpProfile --separateProfileRun --exportProfile=p.json --exportLayerInfo=l.json", engine);
  EXPECT_THAT(apart.out, HasSubstr("=== Performance summary ==="));
  EXPECT_THAT(apart.out, HasSubstr("=== Profile (3 iterations ) ==="));
  const nlohmann::json profile = json_of(at("p.json")), layers = json_of(at("l.json"))["Layers"];
  EXPECT_EQ(profile[0], (nlohmann::json{{"count", 3}}));
  ASSERT_EQ(profile.size(), layers.size() + 1);
  double percent = 0;
  for (size_t i = 0; i < layers.size(); ++i) {
    EXPECT_EQ(profile[i + 1]["name"], layers[i]);
    percent += profile[i + 1]["percentage"].get<double>();
  }
  EXPECT_NEAR(percent, 100, 0.01);
}

TEST(ReportingFlags, layers_account_for_the_run) {
  // Not a speed test: the layer clock is read between layers, so that what it misses is the call itself. A machine that
  // takes the processor away just there may spoil a run, hence three.
  double rest = 1, run = 0;
  for (int attempt = 0; attempt < 3 && rest > 0.03 * run; ++attempt) {
    const Ran ran =
        shell(std::string(OCTET_PROGRAM) + " trtexec --loadEngine=" + plan() +
              " --dumpProfile --separateProfileRun --iterations=50 --duration=0 --warmUp=0 --noDataTransfers");
    rest = number_after(ran.out, "+ unattributed ");
    run = number_after(ran.out, ") = run ");
  }
  EXPECT_LE(rest, 0.03 * run);
  EXPECT_GE(rest, 0);
}

TEST(ReportingFlags, times_and_outputs_are_exported) {
  const Ran ran = quick("--exportTimes=times.json --exportOutput=out.json --dumpOutput", "--loadEngine=" + plan());
  ASSERT_EQ(ran.status, 0);
  EXPECT_THAT(ran.out, HasSubstr("logits: (1x10)"));
  const nlohmann::json times = json_of(at("times.json"));
  ASSERT_EQ(times.size(), 3u);
  for (const nlohmann::json& q : times) {
    EXPECT_LE(q["startH2dMs"], q["endH2dMs"]);
    EXPECT_LE(q["startComputeMs"], q["endComputeMs"]);
    EXPECT_NEAR(q["latencyMs"].get<double>(),
                q["h2dMs"].get<double>() + q["computeMs"].get<double>() + q["d2hMs"].get<double>(), 1e-4);
  }
  const nlohmann::json outputs = json_of(at("out.json"));
  EXPECT_EQ(outputs[0]["name"], "logits");
  EXPECT_EQ(outputs[0]["dimensions"], "1x10");
  EXPECT_EQ(outputs[0]["values"].size(), 10u);
}

TEST(ReportingFlags, files_satisfy_a_reader_made_after_public_ones) {
  for (const std::string precision : {"--int8 ", ""}) {
    ASSERT_EQ(quick(precision + "--profilingVerbosity=detailed --exportLayerInfo=l.json --separateProfileRun "
                                "--exportProfile=p.json --exportTimes=t.json --exportOutput=o.json")
                  .status,
              0);
    const Ran ran = shell("python3 " OCTET_DOCS
                          "/../tools/read_trtexec_files.py --layers l.json --profile p.json "
                          "--times t.json --output o.json");
    EXPECT_EQ(ran.status, 0) << ran.out << ran.err;
    EXPECT_THAT(ran.out, HasSubstr("bindings input, logits\nprofile of 3 runs"));
  }
  // The reader can say no.
  ASSERT_EQ(quick("--exportLayerInfo=names.json").status, 0);
  EXPECT_EQ(shell("python3 " OCTET_DOCS "/../tools/read_trtexec_files.py --layers names.json").status, 1);
}

TEST(ReportingFlags, a_reader_that_holds_the_file_open_sees_what_is_written) {
  write(at("held.json"), "");
  std::ifstream held(at("held.json"));
  ASSERT_EQ(quick("--exportOutput=held.json", "--loadEngine=" + plan()).status, 0);
  const std::string text{std::istreambuf_iterator<char>(held), {}};
  EXPECT_EQ(nlohmann::json::parse(text)[0]["name"], "logits");
  const Ran nowhere = quick("--exportOutput=no/such/folder/o.json", "--loadEngine=" + plan());
  EXPECT_EQ(nowhere.status, 1);
  EXPECT_THAT(nowhere.err, HasSubstr("cannot write no/such/folder/o.json"));
}

TEST(ReportingFlags, files_that_cannot_be_written_fail_before_the_build) {
  for (const std::string flag : {"--exportTimes=", "--exportOutput=", "--exportProfile=", "--exportLayerInfo=",
                                 "--saveEngine=", "--saveDebugTensors=logits:"}) {
    const Ran ran = shell("timeout 30 " + std::string(OCTET_PROGRAM) + " trtexec " + k_model + " --duration=1000 " +
                          flag + "no/folder/x");
    EXPECT_EQ(ran.status, 1) << flag;
    EXPECT_THAT(ran.err, HasSubstr("[E] " + flag + "no/folder/x: ")) << flag;
    EXPECT_THAT(ran.out, Not(HasSubstr("Start parsing network model"))) << flag;
    EXPECT_THAT(ran.out, HasSubstr("&&&& FAILED octet.trtexec")) << flag;
  }
  const Ran folder = quick("--exportProfile=.", "--loadEngine=" + plan());
  EXPECT_EQ(folder.status, 1);
  EXPECT_THAT(folder.err, HasSubstr("--exportProfile=.: cannot write .: it is a folder"));
  const Ran own = quick("--exportTimes=" + plan(), "--loadEngine=" + plan());
  EXPECT_EQ(own.status, 1);
  EXPECT_THAT(own.err, HasSubstr("cannot be replaced: it is an input of this command"));
  const Ran device = quick("--exportTimes=/dev/stdout", "--loadEngine=" + plan());
  EXPECT_EQ(device.status, 0) << device.err;
  EXPECT_THAT(device.out, HasSubstr("computeMs"));
}

TEST(ReportingFlags, raw_dumps_hold_the_memory_of_each_tensor) {
  ASSERT_EQ(quick("--dumpRawBindingsToFile", "--loadEngine=" + plan()).status, 0);
  EXPECT_EQ(std::filesystem::file_size(at("input.input.1.3.32.32.fp32.raw")), 12288u);
  EXPECT_EQ(std::filesystem::file_size(at("logits.output.1.10.fp32.raw")), 40u);
}

// ---- system flags ----

TEST(SystemFlags, device_and_threads_choose_where_it_runs) {
  const std::string engine = "--loadEngine=" + plan();
  EXPECT_THAT(quick("--device=cpu --cpuThreads=2", engine).out, HasSubstr("2 threads"));
  const Ran ref = quick("--device=ref --exportOutput=ref.json", engine);
  EXPECT_EQ(ref.status, 0) << ref.err;
  EXPECT_THAT(ref.out, HasSubstr("Context: ref"));
  EXPECT_EQ(quick("--device=cpu --exportOutput=cpu.json", engine).status, 0);
  EXPECT_EQ(read(at("ref.json")), read(at("cpu.json")));
  for (const std::string number : {"77", "2147483648", "4294967296"}) {
    const Ran absent = quick("--device=" + number, engine);
    if (has_device("cuda")) {
      EXPECT_EQ(absent.status, 1);
      EXPECT_THAT(absent.err, HasSubstr("Cannot find device ID " + number + "!"));
    } else if (is_device_built_in("cuda")) {
      EXPECT_EQ(absent.status, 1);
      EXPECT_THAT(absent.err,
                  HasSubstr("Cannot find any available devices (GPUs)! (--device=cpu runs without one): back end "
                            "'cuda': "));
    } else {
      EXPECT_EQ(absent.status, 0);
      EXPECT_THAT(absent.err, HasSubstr("[W] --device=" + number + ": this build has no CUDA; the CPU is used"));
      EXPECT_THAT(quick("--device=0", engine).err, Not(HasSubstr("--device")));
    }
  }
}

TEST(SystemFlags, plan_version_is_told_without_running) {
  const auto told = [](const std::string& file) {
    return shell(std::string(OCTET_PROGRAM) + " trtexec --getPlanVersionOnly --loadEngine=" + file);
  };
  const Ran ran = told(plan());
  EXPECT_EQ(ran.status, 0);
  for (const char* line :
       {"Plan was created with octet ", "Plan format 1, arithmetic version 1", "model: shapes_cnn.onnx",
        "Quantization: placeholder ranges (UNCALIBRATED)", "packed weights for cpu "})
    EXPECT_THAT(ran.out, HasSubstr(line));
  EXPECT_THAT(ran.out, Not(HasSubstr("Starting inference")));
  // The header is enough: of another format, and with a broken end.
  std::string bytes = read(plan());
  bytes[8] = 2;
  write(at("future.plan"), bytes);
  const Ran future = told("future.plan");
  EXPECT_EQ(future.status, 0);
  EXPECT_THAT(future.out, HasSubstr("Plan format 2, arithmetic version 1"));
  EXPECT_THAT(future.err, HasSubstr("[W] What follows the header cannot be read: future.plan: plan format 2"));
  write(at("cut.plan"), read(plan()).substr(0, 5000));
  EXPECT_EQ(told("cut.plan").status, 0);
  write(at("trt.plan"), "ftrt" + std::string(200, '\0'));
  EXPECT_EQ(told("trt.plan").status, 1);
  EXPECT_THAT(told("trt.plan").err, HasSubstr("this is a TensorRT plan"));
}

TEST(ReportingFlags, outputs_that_json_cannot_hold_are_null) {
  write(at("nan.bin"), floats(std::vector<float>(3 * 32 * 32, std::nanf(""))));
  ASSERT_EQ(quick("--loadInputs=input:nan.bin --exportOutput=nan.json").status, 0);
  const nlohmann::json values = json_of(at("nan.json"))[0]["values"];
  ASSERT_EQ(values.size(), 10u);
  EXPECT_TRUE(values[0].is_null());
}

TEST(ReportingFlags, outputs_of_no_query_and_two_reports_in_one_file_are_errors) {
  const std::string none = k_model + " --iterations=0 --duration=0 --warmUp=0 ";
  EXPECT_THAT(trtexec(none + "--exportOutput=o.json").err,
              HasSubstr("--exportOutput: with --iterations=0 --duration=0 --warmUp=0 no query runs"));
  EXPECT_THAT(quick("--exportTimes=same.json --exportOutput=./same.json").err,
              HasSubstr("--exportTimes and --exportOutput both write same.json"));
}

/// What --bf16 and --fp16 are mapped to depends on the CPU; the log says it, and the plan.
TEST(ShortFloats, run_as_the_log_says_on_a_cpu) {
  ASSERT_EQ(quick("--exportOutput=full.json").status, 0);
  const nlohmann::json full = json_of(at("full.json"))[0]["values"];
  for (const std::string flag : {"bf16", "fp16"}) {
    const Ran ran = quick("--verbose --" + flag +
                          " --exportOutput=short.json --profilingVerbosity=detailed "
                          "--exportLayerInfo=short_layers.json");
    ASSERT_EQ(ran.status, 0) << ran.err;
    const bool is_short = read(at("short_layers.json")).find("Bf16") != std::string::npos;
    const nlohmann::json made = json_of(at("short.json"))[0]["values"];
    double worst = 0, largest = 0;
    for (size_t i = 0; i < full.size(); ++i) {
      worst = std::max(worst, std::abs(full[i].get<double>() - made[i].get<double>()));
      largest = std::max(largest, std::abs(full[i].get<double>()));
    }
    EXPECT_LT(worst, 2e-2 * largest) << flag;
    EXPECT_EQ(worst > 0, is_short) << flag;
    EXPECT_THAT(ran.out, HasSubstr(flag == "bf16" ? "Precision: FP32+BF16" : "Precision: FP32+FP16"));
    EXPECT_THAT(ran.out + ran.err, HasSubstr(is_short ? "BF16" : "FP32")) << flag;
  }
}

}  // namespace
}  // namespace octet::cli::trtexec
