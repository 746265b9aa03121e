// trtexec's rules of reading, one by one.

#include "cli/trtexec/options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace octet::cli::trtexec {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Pair;

Options parsed(std::vector<std::string> words) {
  words.insert(words.begin(), "--onnx=m.onnx");
  Parsed p = parse_options(words);
  EXPECT_THAT(p.errors, IsEmpty());
  return p.options;
}

std::string error_of(std::vector<std::string> words) {
  words.insert(words.begin(), "--onnx=m.onnx");
  const Parsed p = parse_options(words);
  return p.errors.empty() ? "" : p.errors[0];
}

TEST(CommandLine, splits_at_the_first_equals_sign) {
  EXPECT_EQ(parsed({"--saveEngine=a=b.plan"}).build.save_engine, "a=b.plan");
}

TEST(CommandLine, a_switch_is_on_whatever_follows_the_equals_sign) {
  EXPECT_TRUE(parsed({"--fp16=false"}).build.fp16);
  EXPECT_TRUE(parsed({"--int8=0"}).build.int8);
}

TEST(CommandLine, a_value_after_a_space_is_an_unknown_option) {
  EXPECT_THAT(error_of({"--iterations", "5"}), HasSubstr("--iterations needs a value: --iterations=N"));
  EXPECT_EQ(error_of({"--verbose", "5"}), "Unknown option: 5 ");
}

TEST(CommandLine, numbers_end_where_c_ends_them) {
  EXPECT_EQ(parsed({"--iterations=10abc"}).inference.measure.iterations, 10);
  EXPECT_EQ(error_of({"--iterations=abc"}), "--iterations=abc: a whole number from 0 to 2147483647 is expected");
  EXPECT_THAT(error_of({"--duration=x"}), HasSubstr("--duration=x"));
}

TEST(CommandLine, times_are_finite_and_within_what_clocks_count) {
  for (const std::string flag : {"--warmUp", "--sleepTime", "--idleTime"})
    for (const std::string bad : {"nan", "-nan", "inf", "-inf", "1e999", "1e10", "-1", "x"})
      EXPECT_EQ(error_of({flag + "=" + bad}), flag + "=" + bad + ": a number from 0 to 1000000000 is expected");
  for (const std::string bad : {"nan", "inf", "-inf", "1e999", "1e7", "-2", "-0.5", "x"})
    EXPECT_EQ(error_of({"--duration=" + bad}),
              "--duration=" + bad + ": a number of seconds from 0 to 1000000, or -1 (endless), is expected");
  EXPECT_EQ(parsed({"--duration=-1"}).inference.measure.duration_s, -1);
  EXPECT_EQ(parsed({"--duration=1e6"}).inference.measure.duration_s, 1e6);
  EXPECT_EQ(parsed({"--warmUp=0.5", "--idleTime=1e9"}).inference.measure.idle_ms, 1e9);
}

TEST(CommandLine, numbers_beyond_the_range_of_a_flag_are_refused_as_typed) {
  const auto whole = [](const std::string& flag, const std::string& value, const std::string& range) {
    EXPECT_EQ(error_of({flag + "=" + value}), flag + "=" + value + ": a whole number from " + range + " is expected");
  };
  for (const std::string beyond : {"99999999999999999999", "-99999999999999999999", "2147483648", "-1", "nan"}) {
    whole("--iterations", beyond, "0 to 2147483647");
    whole("--avgRuns", beyond, "1 to 2147483647");
    whole("--avgTiming", beyond, "1 to 2147483647");
    whole("--minTiming", beyond, "1 to 2147483647");
    whole("--workspace", beyond, "0 to 2147483647");
    whole("--infStreams", beyond, "1 to 1024");
    whole("--streams", beyond, "1 to 1024");
    whole("--cpuThreads", beyond, "0 to 1024");
    whole("--builderOptimizationLevel", beyond, "0 to 5");
    whole("--compat", beyond, "8 to 11");
    whole("--useProfile", beyond, "0 to 2147483647");
    whole("--calibProfile", beyond, "0 to 2147483647");
    whole("--refPair", beyond, "0 to 2147483647");
  }
  EXPECT_EQ(parsed({"--iterations=2147483647"}).inference.measure.iterations, 2147483647);
  for (const std::string bad : {"nan", "inf", "-1", "1e39"}) {
    for (const std::string flag : {"--atol", "--rtol", "--accuracyThreshold"})
      EXPECT_THAT(error_of({flag + "=" + bad}), HasSubstr(flag + "=" + bad + ": a number from 0 to 3.4028")) << flag;
    EXPECT_THAT(error_of({"--percentile=50," + bad}), HasSubstr("Percentile " + bad + " is not in [0,100]"));
  }
  for (const std::string bad : {"nan", "inf", "1e15G", "-1"})
    EXPECT_THAT(error_of({"--memPoolSize=workspace:" + bad}), HasSubstr("a size from 0 to 1e18 bytes is expected"));
  EXPECT_THAT(error_of({"--shapes=x:1x99999999999999999999"}), HasSubstr("extents from 1 to 2147483647"));
  EXPECT_EQ(error_of({"--profile=18446744073709551616"}),
            "--profile=18446744073709551616: profiles are numbered from 0 on without gaps, 0 is expected here");
}

TEST(CommandLine, numbers_without_effect_are_read_all_the_same) {
  EXPECT_THAT(error_of({"--maxAuxStreams=many"}), HasSubstr("--maxAuxStreams=many: a whole number from -1 to "));
  EXPECT_EQ(error_of({"--persistentCacheRatio=nan"}), "--persistentCacheRatio=nan: a number from 0 to 1 is expected");
  EXPECT_EQ(error_of({"--l2LimitForTiling=68719476736"}), "");
}

TEST(CommandLine, the_second_of_a_flag_is_unknown) {
  EXPECT_EQ(error_of({"--iterations=3", "--iterations=4"}), "Unknown option: --iterations 4");
}

TEST(CommandLine, unknown_flags_are_all_named) {
  const Parsed p = parse_options({"--onnx=m.onnx", "--wat", "--what=1"});
  EXPECT_THAT(p.errors, ElementsAre("Unknown option: --wat ", "Unknown option: --what 1"));
}

TEST(CommandLine, a_mistyped_flag_is_told_with_the_nearest_one) {
  EXPECT_THAT(parse_options({"--onnx=m.onnx", "--saveEngin=p"}).errors,
              ElementsAre("Unknown option: --saveEngin p (did you mean --saveEngine?)"));
  EXPECT_THAT(parse_options({"--onnx=m.onnx", "--save-engine=p"}).errors,
              ElementsAre("Unknown option: --save-engine p (did you mean --saveEngine?)"));
  EXPECT_THAT(parse_options({"--onx=m.onnx"}).errors,
              ElementsAre(HasSubstr("Model missing"), "Unknown option: --onx m.onnx (did you mean --onnx?)"));
}

TEST(CommandLine, help_wins_over_every_error_and_no_words_ask_for_it) {
  EXPECT_TRUE(parse_options({}).options.system.help);
  EXPECT_TRUE(parse_options({"--nonsense", "--help"}).options.system.help);
  EXPECT_TRUE(parse_options({"-h"}).options.system.help);
}

TEST(CommandLine, without_a_model_the_text_is_trtexecs) {
  const Parsed p = parse_options({"--int8"});
  ASSERT_EQ(p.errors.size(), 1u);
  EXPECT_THAT(p.errors[0], HasSubstr("Model missing or format not recognized"));
}

TEST(Names, split_at_the_last_colon_or_by_quotes) {
  EXPECT_THAT(*split_name("x:0:1x3"), Pair("x:0", "1x3"));
  EXPECT_THAT(*split_name("'x:0':C:\\file.bin"), Pair("x:0", "C:\\file.bin"));
  for (const char* bad : {"x", ":1x3", "'x:1", "'x'", "a'b'c':d"}) EXPECT_FALSE(split_name(bad)) << bad;
}

TEST(Names, one_star_matches_anything) {
  EXPECT_TRUE(matches("conv*", "conv1/Relu"));
  EXPECT_TRUE(matches("*Relu", "conv1/Relu"));
  EXPECT_TRUE(matches("c*u", "conv1/Relu"));
  EXPECT_FALSE(matches("ab*ba", "aba"));
  EXPECT_FALSE(matches("conv", "conv1"));
}

TEST(Lists, keep_an_empty_last_element) { EXPECT_THAT(split("a,", ','), ElementsAre("a", "")); }

TEST(Sizes, take_binary_suffixes) {
  EXPECT_EQ(*parse_size("0.25M", 1), 262144);
  EXPECT_EQ(*parse_size("3", 1 << 20), 3 << 20);
  EXPECT_EQ(*parse_size("2k", 1), 2048);
  EXPECT_EQ(*parse_size("1G", 1), 1 << 30);
  EXPECT_EQ(*parse_size("7b", 1 << 20), 7);
  for (const char* bad : {"", "x", "1T", "-1"}) EXPECT_FALSE(parse_size(bad, 1)) << bad;
  EXPECT_EQ(parsed({"--memPoolSize=workspace:1G,dlaSRAM:1"}).build.workspace_bytes, int64_t{1} << 30);
  EXPECT_EQ(parsed({"--workspace=64"}).build.workspace_bytes, 64 << 20);
  EXPECT_THAT(error_of({"--memPoolSize=pond:1"}), HasSubstr("Unknown memory pool: pond"));
}

TEST(Shapes, are_read_by_name) {
  const Options o = parsed({"--minShapes=x:0:1x3x32x32,'y':4", "--shapes=x*:2x3"});
  EXPECT_EQ(o.build.profiles[0].smallest.at("x:0"), (Dims{1, 3, 32, 32}));
  EXPECT_EQ(o.build.profiles[0].smallest.at("y"), Dims{4});
  EXPECT_EQ(o.inference.shapes.at("x*"), (Dims{2, 3}));
  EXPECT_THAT(error_of({"--shapes=x:1x"}), HasSubstr("--shapes x"));
  EXPECT_THAT(error_of({"--optShapes=x"}), HasSubstr("--optShapes"));
  EXPECT_TRUE(parsed({"--shapes=x:"}).inference.shapes.at("x").empty());
}

TEST(Shapes, of_profiles_follow_their_flag) {
  const Options o = parsed({"--profile=0", "--minShapes=x:1", "--maxShapes=x:2", "--verbose", "--profile=1",
                            "--optShapes=x:6", "--maxShapes=x:8", "--useProfile=1", "--calibProfile=1"});
  ASSERT_EQ(o.build.profiles.size(), 2u);
  EXPECT_EQ(o.build.profiles[0].largest.at("x"), Dims{2});
  EXPECT_TRUE(o.build.profiles[0].best.empty());
  EXPECT_EQ(o.build.profiles[1].best.at("x"), Dims{6});
  EXPECT_EQ(o.build.profiles[1].largest.at("x"), Dims{8});
  EXPECT_EQ(o.inference.profile, 1);
  EXPECT_EQ(parsed({}).inference.profile, -1);
  EXPECT_EQ(o.build.calibration_profile, 1u);
  EXPECT_THAT(error_of({"--profile=0", "--profile=2"}), HasSubstr("--profile=2: profiles are numbered from 0 on"));
  EXPECT_THAT(error_of({"--minShapes=x:1", "--minShapes=x:2"}), HasSubstr("--minShapes"));
}

TEST(Precision, calibration_without_int8_warns_and_is_dropped) {
  const Options o = parsed({"--calib=c.cache"});
  EXPECT_EQ(o.build.calib, "");
  EXPECT_THAT(o.warnings, ElementsAre("--calib=c.cache has no effect without --int8"));
  EXPECT_EQ(parsed({"--calib=c.cache", "--int8"}).build.calib, "c.cache");
}

TEST(Precision, strong_typing_drops_the_precision_flags_with_trtexecs_words) {
  const Options o = parsed({"--stronglyTyped", "--int8", "--fp16"});
  EXPECT_FALSE(o.build.int8);
  EXPECT_FALSE(o.build.fp16);
  EXPECT_THAT(o.warnings,
              testing::Contains("Invalid usage, setting int8 mode is not allowed if graph is strongly typed. "
                                "Disabling BuilderFlag::kINT8."));
  EXPECT_THAT(error_of({"--stronglyTyped", "--best"}), HasSubstr("--best"));
}

TEST(Gpu, is_used_as_the_flags_say_and_version_11_turns_two_defaults) {
  const InferenceFlags plain = parsed({}).inference;
  EXPECT_FALSE(plain.gpu.graph);
  EXPECT_EQ(plain.gpu.wait, "block");
  EXPECT_FALSE(plain.gpu.managed);
  EXPECT_EQ(plain.gpu.allocation, "static");
  EXPECT_TRUE(plain.measure.overlap);
  EXPECT_FALSE(plain.measure.threads);
  EXPECT_TRUE(parsed({"--useCudaGraph"}).inference.gpu.graph);
  EXPECT_EQ(parsed({"--useSpinWait"}).inference.gpu.wait, "spin");
  EXPECT_TRUE(parsed({"--useManagedMemory"}).inference.gpu.managed);
  EXPECT_EQ(parsed({"--allocationStrategy=runtime"}).inference.gpu.allocation, "runtime");
  EXPECT_THAT(error_of({"--allocationStrategy=large"}), HasSubstr("--allocationStrategy=large: static, profile"));
  EXPECT_FALSE(parsed({"--exposeDMA"}).inference.measure.overlap);
  EXPECT_TRUE(parsed({"--threads"}).inference.measure.threads);
  EXPECT_TRUE(parsed({"--noTF32"}).build.no_tf32);
  const InferenceFlags of_11 = parsed({"--compat=11"}).inference;
  EXPECT_TRUE(of_11.gpu.graph);
  EXPECT_EQ(of_11.gpu.wait, "spin");
  EXPECT_FALSE(parsed({"--compat=11", "--noCudaGraph"}).inference.gpu.graph);
  EXPECT_EQ(parsed({"--compat=11", "--noSpinWait"}).inference.gpu.wait, "block");
}

TEST(Precision, best_is_int8) { EXPECT_TRUE(parsed({"--best"}).build.int8); }

TEST(Precision, layer_types_count_only_with_constraints) {
  Options o = parsed({"--layerPrecisions=a:fp32,b*:int8"});
  EXPECT_TRUE(o.build.layer_precisions.empty());
  ASSERT_EQ(o.warnings.size(), 1u);
  o = parsed({"--layerPrecisions=a:fp16,b*:int8", "--precisionConstraints=obey"});
  EXPECT_THAT(o.build.layer_precisions, ElementsAre(Pair("a", "fp16"), Pair("b*", "int8")));
  EXPECT_THAT(o.build.layer_outputs, IsEmpty());
  EXPECT_THAT(o.warnings, IsEmpty());
  o = parsed({"--layerOutputTypes=a:fp32+int8,b*:int8", "--precisionConstraints=obey"});
  EXPECT_THAT(o.build.layer_outputs, ElementsAre(Pair("a", "fp32"), Pair("b*", "int8")));
  EXPECT_THAT(o.build.layer_precisions, IsEmpty());
  EXPECT_THAT(error_of({"--layerOutputTypes=a:fp32+fp64"}), HasSubstr("--layerOutputTypes a:fp64"));
  EXPECT_THAT(error_of({"--layerPrecisions=a:fp64"}), HasSubstr("--layerPrecisions a:fp64"));
  EXPECT_THAT(error_of({"--precisionConstraints=maybe"}), HasSubstr("--precisionConstraints=maybe"));
}

TEST(Contradictions, are_errors_that_name_the_flags) {
  EXPECT_THAT(error_of({"--saveEngine=a", "--loadEngine=b"}),
              HasSubstr("Incompatible load and save engine options selected"));
  EXPECT_THAT(error_of({"--noDataTransfers", "--includeDataTransfers"}), HasSubstr("--noDataTransfers"));
  EXPECT_THAT(error_of({"--loadRefOutputs=y:f"}), HasSubstr("--loadRefOutputs requires --loadInputs"));
  EXPECT_THAT(error_of({"--loadInputs=x:f", "--loadRefOutputs=y:f"}), HasSubstr("--accuracyThreshold"));
  EXPECT_THAT(error_of({"--loadInputs=x:f", "--loadRefOutputs=y:f", "--accuracyThreshold=1", "--skipInference"}),
              HasSubstr("--skipInference"));
  EXPECT_THAT(error_of({"--accuracyAlgorithm=l1", "--atol=1"}), HasSubstr("--atol is only valid"));
  EXPECT_THAT(error_of({"--errorOnTimingCacheMiss"}), HasSubstr("--errorOnTimingCacheMiss"));
  EXPECT_THAT(error_of({"--percentile=101"}), HasSubstr("--percentile"));
  EXPECT_THAT(error_of({"--infStreams=0"}), HasSubstr("--infStreams"));
  EXPECT_THAT(error_of({"--duration=-2"}), HasSubstr("--duration"));
  EXPECT_THAT(error_of({"--sparsity=force"}), HasSubstr("--sparsity=force"));
  EXPECT_THAT(error_of({"--tacticSources=CUDNN"}), HasSubstr("--tacticSources=CUDNN"));
  EXPECT_THAT(error_of({"--builderOptimizationLevel=6"}), HasSubstr("--builderOptimizationLevel=6"));
  EXPECT_THAT(error_of({"--useProfile=1"}), HasSubstr("exceeds the number of profiles"));
  EXPECT_THAT(error_of({"--profile=1"}), HasSubstr("--profile=1"));
  EXPECT_THAT(error_of({"--layerDeviceTypes=a:DLA"}), HasSubstr("--layerDeviceTypes a:DLA"));
  EXPECT_THAT(error_of({"--device=gpu"}), HasSubstr("--device=gpu"));
  for (const auto& [one, other] :
       {std::pair("--useSpinWait", "--noSpinWait"), std::pair("--useCudaGraph", "--noCudaGraph"),
        std::pair("--streams=2", "--infStreams=3"), std::pair("--workspace=1", "--memPoolSize=workspace:2"),
        std::pair("--nvtxMode=none", "--profilingVerbosity=detailed")}) {
    const std::string error = error_of({one, other});
    for (const std::string flag : {one, other}) EXPECT_THAT(error, HasSubstr(flag.substr(0, flag.find('=')))) << error;
  }
  EXPECT_THAT(error_of({"--errorOnTimingCacheMiss", "--timingCacheFile=t", "--noBuilderCache"}),
              HasSubstr("--errorOnTimingCacheMiss and --noBuilderCache"));
  EXPECT_THAT(error_of({"--minShapesCalib=x:1", "--optShapesCalib=x:1"}), HasSubstr("--optShapesCalib alone"));
  EXPECT_THAT(error_of({"--maxShapesCalib=x:1"}), HasSubstr("--optShapesCalib alone"));
  EXPECT_THAT(error_of({"--calibProfile=1"}), HasSubstr("--calibProfile=1"));
  EXPECT_THAT(error_of({"--refitFromOnnx=m.onnx"}), HasSubstr("--refitFromOnnx needs --loadEngine"));
  EXPECT_THAT(error_of({"--saveAllDebugTensors=summary,csv"}), HasSubstr("--saveAllDebugTensors=csv"));
  EXPECT_THAT(error_of({"--avgTiming=0"}), HasSubstr("--avgTiming"));
}

/// A value that every flag with one accepts.
std::string with_value(const Flag& flag) {
  std::string word = "--" + std::string(flag.name);
  if (flag.name == "device" || flag.name == "profile" || flag.name == "useProfile" || flag.name == "calibProfile")
    return word + "=0";
  if (flag.name == "tacticSources") return word + "=+CUDNN";
  if (flag.name == "compat") return word + "=10";
  if (flag.name == "timingCacheFile") return word + "=t";
  if (flag.value.empty()) return word;
  if (flag.value == "N" || flag.value == "S" || flag.value == "MS" || flag.value == "X" || flag.value == "MiB" ||
      flag.value == "R" || flag.value == "P,..." || flag.value == "0..5")
    return word + "=1";
  if (flag.value.starts_with("LAYER")) return word + (flag.name == "layerDeviceTypes" ? "=a:GPU" : "=a:fp32");
  if (flag.value.starts_with("NAME:1x")) return word + "=a:1";
  if (flag.value.starts_with("NAME:FILE")) return word + "=a:f";
  if (flag.value.starts_with("POOL")) return word + "=workspace:1";
  if (flag.value.starts_with("TYPE")) return word + "=fp32:chw";
  return word + "=" + std::string(flag.value.substr(0, flag.value.find('|')));
}

TEST(Contradictions, a_plan_that_is_loaded_leaves_build_flags_without_effect) {
  const std::string why = ": no effect: a plan is loaded, not built (--loadEngine)";
  const Parsed p = parse_options({"--loadEngine=p", "--int8", "--fp16", "--calib=c", "--profilingVerbosity=detailed"});
  EXPECT_THAT(p.errors, IsEmpty());
  EXPECT_THAT(p.options.notes, ElementsAre("--fp16" + why, "--int8" + why, "--calib" + why));
  EXPECT_THAT(p.options.to_say, IsEmpty());
  EXPECT_THAT(parse_options({"--loadEngine=p"}).options.notes, IsEmpty());
  EXPECT_THAT(parse_options({"--loadEngine=p", "--onnx=m"}).options.notes,
              ElementsAre(HasSubstr("--onnx: no effect: a plan is loaded")));
}

TEST(Contradictions, every_build_flag_beside_a_plan_is_said_once_or_counts) {
  const std::set<std::string_view> count = {
      "loadEngine",         "saveEngine", "skipInference", "buildOnly",
      "profilingVerbosity", "nvtxMode",   "markDebug",     "markUnfusedTensorsAsDebugTensors"};
  int ignored = 0;
  for (const Flag& flag : all_flags()) {
    if (flag.group != "build" || flag.cpu == Verdict::refused || count.contains(flag.name)) continue;
    std::vector<std::string> words = {"--loadEngine=p", with_value(flag)};
    if (flag.name == "errorOnTimingCacheMiss") words.push_back("--timingCacheFile=t");
    if (flag.name == "minShapesCalib" || flag.name == "maxShapesCalib")
      words = {"--loadEngine=p", "--minShapesCalib=a:1", "--optShapesCalib=a:1", "--maxShapesCalib=a:1"};
    const Options o = parse_options(words).options;
    const std::string named = "--" + std::string(flag.name);
    const auto in = [&](const std::vector<std::string>& lines) {
      return std::count_if(lines.begin(), lines.end(), [&](const std::string& line) {
        return line.starts_with(named + ":") || line.starts_with(named + " ") || line.starts_with(named + "=");
      });
    };
    const auto from_table =
        std::count_if(o.to_say.begin(), o.to_say.end(), [&](const Flag* said) { return said->name == flag.name; });
    EXPECT_EQ(in(o.notes) + in(o.warnings) + from_table, 1) << flag.name;
    ++ignored;
  }
  EXPECT_GT(ignored, 50);
}

TEST(Contradictions, reports_of_a_skipped_inference_warn) {
  EXPECT_THAT(parsed({"--skipInference", "--exportTimes=t", "--dumpProfile"}).warnings,
              ElementsAre("--skipInference leaves nothing to report for --dumpProfile, --exportTimes"));
  EXPECT_THAT(parsed({"--skipInference", "--exportLayerInfo=l"}).warnings, IsEmpty());
}

TEST(References, pairs_group_the_flags_behind_them) {
  const Options o = parsed({"--refPair=1", "--loadInputs=x:x1", "--loadRefOutputs=y:y1", "--refPair=0",
                            "--loadRefOutputs=y:y0", "--loadInputs=x:x0", "--accuracyThreshold=0.1"});
  ASSERT_EQ(o.inference.pairs.size(), 2u);
  EXPECT_EQ(o.inference.pairs[0].inputs.at("x"), "x0");
  EXPECT_EQ(o.inference.pairs[1].outputs.at("y"), "y1");
  EXPECT_THAT(error_of({"--refPair=0", "--loadInputs=x:x0", "--accuracyThreshold=1"}),
              HasSubstr("Each --refPair must have both"));
}

TEST(Compat, eleven_leaves_out_what_it_removed_and_takes_its_defaults) {
  const Options o = parsed({"--compat=11"});
  EXPECT_FALSE(o.inference.measure.transfers);
  EXPECT_TRUE(o.inference.separate_profile);
  EXPECT_TRUE(parsed({"--compat=11", "--includeDataTransfers"}).inference.measure.transfers);
  EXPECT_EQ(error_of({"--compat=11", "--int8"}), "Unknown option: --int8  (not in version 11)");
  EXPECT_EQ(error_of({"--compat=8", "--refPair=1"}), "Unknown option: --refPair 1 (not in version 8)");
  EXPECT_EQ(error_of({"--compat=10", "--int8"}), "");
  EXPECT_TRUE(parsed({}).inference.measure.transfers);
}

TEST(Table, every_flag_is_read_accepted_without_effect_or_refused_by_name) {
  for (const Flag& flag : all_flags()) {
    if (flag.name == "help" || flag.name == "onnx") continue;
    std::vector<std::string> words = {with_value(flag)};
    if (flag.name != "loadEngine") words.push_back("--onnx=m.onnx");
    // What the flag needs beside it.
    if (flag.name == "getPlanVersionOnly") words = {words[0], "--loadEngine=p"};
    if (flag.name == "errorOnTimingCacheMiss") words.push_back("--timingCacheFile=t");
    if (flag.name == "minShapesCalib" || flag.name == "maxShapesCalib")
      words = {"--onnx=m", "--minShapesCalib=a:1", "--optShapesCalib=a:1", "--maxShapesCalib=a:1"};
    if (flag.name == "refitFromOnnx") words = {words[0], "--loadEngine=p"};
    if (flag.name == "saveAllDebugTensors") words[0] = "--saveAllDebugTensors=summary";
    if (flag.name == "loadRefOutputs" || flag.name == "refPair")
      words.insert(words.end(), {"--loadInputs=a:f", "--accuracyThreshold=1"});
    if (flag.name == "refPair")
      words = {"--onnx=m", words[0], "--loadInputs=a:f", "--loadRefOutputs=b:f", "--accuracyThreshold=1"};
    const Parsed p = parse_options(words);
    if (flag.cpu == Verdict::refused) {
      ASSERT_FALSE(p.errors.empty()) << flag.name;
      EXPECT_THAT(p.errors[0], HasSubstr("--" + std::string(flag.name) + " cannot be honoured: ")) << flag.name;
    } else {
      EXPECT_THAT(p.errors, IsEmpty()) << flag.name;
    }
    const bool said = std::any_of(p.options.to_say.begin(), p.options.to_say.end(),
                                  [&](const Flag* f) { return f->name == flag.name; });
    const bool plain = flag.cpu == Verdict::honoured && flag.gpu == Verdict::honoured;
    const bool read_before = flag.group == "system" || flag.group == "octet";
    EXPECT_EQ(said, !plain && (!read_before || flag.cpu == Verdict::refused)) << flag.name;
  }
}

TEST(Table, help_says_each_verdict_once) {
  const std::string help = help_text();
  for (const Flag& flag : all_flags()) {
    const std::string name = "  --" + std::string(flag.name);
    const size_t at =
        flag.value.empty() ? std::min(help.find(name + " "), help.find(name + "\n")) : help.find(name + "=");
    ASSERT_NE(at, std::string::npos) << flag.name;
    const size_t text = help.find(flag.text, at);
    ASSERT_NE(text, std::string::npos) << flag.name;
    const std::string line = help.substr(at, text + flag.text.size() - at);
    EXPECT_THAT(line, testing::Not(HasSubstr("(mapped) mapped"))) << flag.name;
    if (flag.cpu == Verdict::mapped) {
      EXPECT_THAT(line, HasSubstr("mapped")) << flag.name;
    }
  }
}

TEST(Table, departures_from_trtexec_are_listed_with_their_reason) {
  const std::string page = describe_text();
  const size_t begin = page.find("## Where octet differs"), end = page.find("\n## Flags");
  ASSERT_LT(begin, end);
  const std::string section = page.substr(begin, end - begin);
  for (const char* name : {"profile", "useProfile", "layerOutputTypes", "noTF32", "useSpinWait", "allocationStrategy",
                           "useCudaGraph", "layerPrecisions", "inputIOFormats", "refit"}) {
    ASSERT_NE(find_flag(name), nullptr) << name;
    EXPECT_THAT(section, HasSubstr("`--" + std::string(name) + "`")) << name;
  }
}

TEST(Table, names_are_unique_and_versions_in_order) {
  std::set<std::string_view> names;
  for (const Flag& flag : all_flags()) {
    EXPECT_TRUE(names.insert(flag.name).second) << flag.name;
    EXPECT_LE(8, flag.since) << flag.name;
    EXPECT_LE(flag.since, flag.until) << flag.name;
    EXPECT_LE(flag.until, 11) << flag.name;
    EXPECT_FALSE(flag.text.empty()) << flag.name;
  }
}

TEST(Table, what_version_11_removed_ends_with_10) {
  for (const char* name :
       {"fp16", "bf16", "int8", "fp8", "int4", "best", "calib", "calibProfile", "minShapesCalib", "optShapesCalib",
        "maxShapesCalib", "precisionConstraints", "layerPrecisions", "layerOutputTypes", "restricted", "weightless"})
    EXPECT_EQ(find_flag(name)->until, 10) << name;
}

}  // namespace
}  // namespace octet::cli::trtexec
