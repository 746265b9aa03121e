// The program as a user runs it: exit status, streams, fixed names of --json.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "program/running.h"

namespace {

using testing::HasSubstr;
using testing::Not;

using octet::Ran;
using octet::read;
using octet::ScratchFolder;

const std::string& scratch() {
  static const ScratchFolder folder("cli");
  return folder.path();
}

Ran octet(const std::string& arguments, const std::string& environment = "") {
  return octet::run_line(environment + " " + OCTET_PROGRAM + " " + arguments, scratch() + "/stderr");
}

const std::string k_model = OCTET_DEMO_MODEL;

TEST(Cli, help_names_every_command_and_ends_with_0) {
  const Ran ran = octet("--help");
  EXPECT_EQ(ran.status, 0);
  for (const char* command :
       {"inspect", "calibrate", "quantize", "build", "run", "classify", "eval", "bench", "tensor"})
    EXPECT_THAT(ran.out, HasSubstr(command));
}

TEST(Cli, each_command_has_help_with_an_example) {
  for (const std::string command :
       {"inspect", "calibrate", "quantize", "build", "run", "classify", "eval", "bench", "tensor"}) {
    const Ran ran = octet(command + " --help");
    EXPECT_EQ(ran.status, 0) << command;
    EXPECT_THAT(ran.out, HasSubstr("Example:\n  octet " + command)) << command;
  }
  EXPECT_THAT(octet("bench --help").out, HasSubstr("Usage: octet bench [OPTIONS] MODEL [MODEL2]\n"));
}

TEST(Cli, training_without_its_program_says_how_to_get_it) {
  const std::string alone = scratch() + "/octet_alone";
  std::filesystem::copy_file(OCTET_PROGRAM, alone, std::filesystem::copy_options::overwrite_existing);
  for (const char* command : {"finetune", "train"}) {
    const std::string line = "PATH=" + scratch() + " " + alone + " " + command + " x 2>" + scratch() + "/alone_err";
    EXPECT_EQ(WEXITSTATUS(std::system(line.c_str())), 1);
    EXPECT_THAT(read(scratch() + "/alone_err"),
                HasSubstr("octet " + std::string(command) + " needs the program octet-train"));
    EXPECT_THAT(read(scratch() + "/alone_err"), HasSubstr("tools/setup.sh train"));
  }
  std::filesystem::remove(alone);
}

TEST(Cli, bad_usage_ends_with_2_and_says_so_on_stderr) {
  for (const char* arguments :
       {"", "polish m.onnx", "eval", "bench --no-such-flag m.onnx", "eval m.onnx --data x --limit many"}) {
    const Ran ran = octet(arguments);
    EXPECT_EQ(ran.status, 2) << arguments;
    EXPECT_EQ(ran.out, "") << arguments;
    EXPECT_THAT(ran.err, testing::MatchesRegex("error\\[bad_argument\\] .+ \\[OCT-4[0-9]+\\]\n")) << arguments;
    EXPECT_THAT(ran.err, HasSubstr("--help")) << arguments;
  }
}

TEST(Cli, a_mistyped_command_or_option_is_told_with_the_nearest_one) {
  const std::string m = " " + k_model + " ";
  for (const auto& [arguments, message] : std::vector<std::pair<std::string, std::string>>{
           {"evl" + m, "'evl' is no command (did you mean eval?); octet --help lists them"},
           {"version", "'version' is no command (did you mean --version?)"},
           {"export" + m, "'export' is no command; octet --help lists them"},
           {"tensor quantise x.npy", "'quantise' is no command of octet tensor (did you mean quantize?)"},
           {"eval" + m + "--data d --calib-dta c",
            "'--calib-dta' is no option of octet eval (did you mean --calib-data?); octet eval --help shows the "
            "options"},
           {"eval" + m + "--dta d", "'--dta' is no option of octet eval (did you mean --data?)"},
           {"eval" + m + "--data d --calib_data=c", "(did you mean --calib-data?)"},
           {"run" + m + "-calib-data c", "'-calib-data' is no option of octet run (did you mean --calib-data?)"},
           {"bench" + m + "--warmUp 3", "'--warmUp' is no option of octet bench (did you mean --warm-up?)"},
           {"bench" + m + "--num-threads=3", "'--num-threads' is no option of octet bench (did you mean --threads?)"},
           {"build" + m + "--int8 -o x", "'--int8' is no option of octet build (did you mean --precision int8?)"},
           {"build --onnx=" + k_model, "'--onnx' is no option of octet build (did you mean MODEL, without a flag?)"},
           {"bench" + m + "--zzyzx", "'--zzyzx' is no option of octet bench; octet bench --help"},
           {"tensor quantize x.npy --amx 1", "'--amx' is no option of octet tensor quantize (did you mean --amax?)"}}) {
    const Ran ran = octet(arguments);
    EXPECT_EQ(ran.status, 2) << arguments;
    EXPECT_THAT(ran.err, HasSubstr(message)) << arguments;
  }
  // Where the option is known, what is wrong with its value is said as before.
  EXPECT_THAT(octet("eval" + m + "--data d --limit many").err, HasSubstr("--limit: 'many': a whole number"));
}

TEST(Cli, labels_that_are_not_the_networks_are_told_where_answers_are_wrong) {
  const std::string folder = scratch() + "/pictures/all";
  std::filesystem::create_directories(folder);
  for (int i = 0; i < 8; ++i)
    std::ofstream(folder + "/" + std::to_string(i) + ".ppm") << "P6\n32 32\n255\n" << std::string(3 * 32 * 32, '\x7f');
  const std::string note = "the labels go up to 0, the network has 10 classes";
  EXPECT_THAT(octet("eval " + k_model + " --data " + scratch() + "/pictures").out, HasSubstr(note));
  EXPECT_THAT(octet("eval " + k_model + " --data shapes:20").out, Not(HasSubstr("the labels go up to")));
}

TEST(Cli, more_threads_than_a_pool_has_are_refused) {
  for (const char* command : {"eval", "bench", "quantize", "calibrate"}) {
    const Ran ran = octet(std::string(command) + " " + k_model + " --threads 100000");
    EXPECT_EQ(ran.status, 2) << command;
    EXPECT_THAT(ran.err, HasSubstr("'100000': a number of threads from 0 (all usable) to 1024")) << command;
  }
}

TEST(Cli, pictures_without_a_preprocessing_are_noticed) {
  for (const std::string command : {"eval ", "classify "}) {
    const std::string call = command + k_model + " --data shapes:4";
    const Ran without = octet(call), with = octet(call + " --preprocess rgb,norm=half");
    EXPECT_EQ(without.status, 0);
    EXPECT_THAT(without.out + without.err, HasSubstr("no --preprocess is given")) << command;
    EXPECT_THAT(with.out + with.err, testing::Not(HasSubstr("no --preprocess is given"))) << command;
  }
}

TEST(Cli, a_missing_file_ends_with_1_and_names_it) {
  const Ran ran = octet("inspect no_such_file.onnx");
  EXPECT_EQ(ran.status, 1);
  EXPECT_THAT(ran.err, HasSubstr("error[io] no_such_file.onnx"));
}

TEST(Cli, a_file_that_is_not_onnx_ends_with_1_and_one_error) {
  const std::string path = scratch() + "/noise.onnx";
  std::ofstream(path) << "this is not a network";
  const Ran ran = octet("inspect " + path);
  EXPECT_EQ(ran.status, 1);
  EXPECT_THAT(ran.err, HasSubstr("error[bad_model] " + path));
}

TEST(Cli, int8_of_a_float_model_without_data_names_the_options) {
  const Ran ran = octet("bench " + k_model + " --precision int8");
  EXPECT_EQ(ran.status, 1);
  EXPECT_THAT(ran.err, HasSubstr("--calib-data"));
  EXPECT_THAT(ran.err, HasSubstr("--ranges"));
}

TEST(Cli, an_unknown_isa_is_refused_by_name) {
  const Ran ran = octet("eval " + k_model + " --data shapes:10 --preprocess rgb,norm=half", "OCTET_ISA=mmx");
  EXPECT_EQ(ran.status, 1);
  EXPECT_THAT(ran.err, HasSubstr("OCTET_ISA=mmx"));
}

TEST(Cli, the_whole_way_from_float_to_a_proven_int8_file) {
  const std::string ranges = scratch() + "/ranges.json", int8 = scratch() + "/int8.onnx";
  const Ran calibrated = octet("calibrate " + k_model +
                               " --calib-data shapes-train:100 --preprocess rgb,norm=half -o " + ranges + " --quiet");
  ASSERT_EQ(calibrated.status, 0) << calibrated.err;
  const Ran quantized = octet("quantize " + k_model + " --ranges " + ranges + " -o " + int8 + " --json --quiet");
  ASSERT_EQ(quantized.status, 0) << quantized.err;
  EXPECT_THAT(quantized.out, HasSubstr("\"quantized\""));
  const Ran evaluated =
      octet("eval " + k_model + " " + int8 + " --data shapes:500 --preprocess rgb,norm=half --json --quiet");
  ASSERT_EQ(evaluated.status, 0) << evaluated.err;
  for (const char* key : {"\"first\"", "\"second\"", "\"top1_right\"", "\"agreement\"", "\"difference_ci95\""})
    EXPECT_THAT(evaluated.out, HasSubstr(key));
  const Ran bench = octet("bench " + int8 + " --precision int8 --iterations 5 --duration 0 --warm-up 0 --json --quiet");
  ASSERT_EQ(bench.status, 0) << bench.err;
  for (const char* key :
       {"\"throughput_qps\"", "\"latency_ms\"", "\"p99\"", "\"isa\"", "\"threads\": 1", "\"batch\": 1"})
    EXPECT_THAT(bench.out, HasSubstr(key));
}

/// A .npy of float32 as numpy.save writes it.
void write_npy(const std::string& path, const std::vector<float>& values) {
  std::string header = "{'descr': '<f4', 'fortran_order': False, 'shape': (" + std::to_string(values.size()) + ",), }";
  header.resize(117, ' ');
  std::ofstream file(path, std::ios::binary);
  file << std::string("\x93NUMPY\x01\x00\x76\x00", 10) << header << '\n';
  file.write(reinterpret_cast<const char*>(values.data()), static_cast<std::streamsize>(values.size() * sizeof(float)));
}

TEST(Cli, tensor_quantizes_and_calibrates_npy_files) {
  const std::string x = scratch() + "/x.npy", q = scratch() + "/q.npy";
  write_npy(x, {1, -0.5f, 0.25f, -1});
  const Ran quantized = octet("tensor quantize " + x + " -o " + q);
  ASSERT_EQ(quantized.status, 0) << quantized.err;
  EXPECT_THAT(quantized.out, HasSubstr("q.npy s8, amax 1.0, scale 127.0"));
  EXPECT_THAT(read(q), HasSubstr("\x7f\xc0\x20\x81"));  // 127, -64, 32, -127
  const Ran fake = octet("tensor fake-quantize " + x + " --bits 4 --json");
  ASSERT_EQ(fake.status, 0) << fake.err;
  EXPECT_THAT(fake.out, HasSubstr("\"sqnr_db\""));
  const Ran histogram = octet("tensor histogram " + x + " " + x + " --json");
  ASSERT_EQ(histogram.status, 0) << histogram.err;
  EXPECT_THAT(histogram.out, HasSubstr("\"elements\":8"));
  const Ran toolkit = octet("tensor calibrate " + x + " --method percentile --percentile 50 --bins 4 --ref-compat");
  EXPECT_EQ(toolkit.out, "percentile  0.5\n") << toolkit.err;
  const Ran better = octet("tensor calibrate " + x + " --method percentile --percentile 50 --bins 4");
  EXPECT_EQ(better.out, "percentile  0.5\n") << better.err;
}

TEST(Cli, tensor_needs_an_act_and_refuses_odd_bits) {
  EXPECT_EQ(octet("tensor").status, 2);
  EXPECT_EQ(octet("tensor quantize x.npy --bits eight").status, 2);
  const Ran missing = octet("tensor calibrate no_such.npy");
  EXPECT_EQ(missing.status, 1);
  EXPECT_THAT(missing.err, HasSubstr("error[io] no_such.npy"));
}

TEST(Cli, ranges_of_another_model_are_refused_with_both_hashes) {
  const std::string ranges = scratch() + "/foreign.json";
  ASSERT_EQ(octet("calibrate " + k_model + " --calib-data shapes-train:10 --preprocess rgb,norm=half -o " + ranges +
                  " --quiet")
                .status,
            0);
  std::string text = read(ranges);
  const size_t at = text.find("\"model_hash\": \"") + 15;
  text.replace(at, 4, "beef");
  std::ofstream(ranges) << text;
  const Ran ran = octet("quantize " + k_model + " --ranges " + ranges + " -o " + scratch() + "/x.onnx");
  EXPECT_EQ(ran.status, 1);
  EXPECT_THAT(ran.err, HasSubstr("beef"));
  EXPECT_THAT(ran.err, HasSubstr("calibrate this model again"));
}

TEST(Cli, eval_first_prints_inputs_and_outputs_as_the_eager_mode_example_does) {
  const Ran ran = octet("eval " + k_model + " --data shapes:20 --preprocess rgb,norm=half --batch 1 --quiet");
  ASSERT_EQ(ran.status, 0) << ran.err;
  EXPECT_THAT(ran.out,
              HasSubstr("Input Tensor:\nTensor Name: input Shape: (1, 3, 32, 32) Data Type: float32 Data Format: "
                        "TensorFormat.LINEAR\nOutput Tensor:\nTensor Name: logits Shape: (1, 10) Data Type: float32 "
                        "Data Format: TensorFormat.LINEAR\n"));
  EXPECT_THAT(ran.out, HasSubstr("Evaluation Accuracy: "));
}

TEST(Cli, the_ref_device_gives_the_same_answers) {
  const Ran ran = octet("eval " + k_model + " --data shapes:8 --preprocess rgb,norm=half --device ref --json --quiet");
  ASSERT_EQ(ran.status, 0) << ran.err;
  const Ran fast = octet("eval " + k_model + " --data shapes:8 --preprocess rgb,norm=half --json --quiet");
  const auto right = [](const std::string& json) { return json.substr(json.find("top1_right"), 16); };
  EXPECT_EQ(right(ran.out), right(fast.out));
}

TEST(Cli, run_writes_an_npy_file_of_all_samples) {
  const std::string path = scratch() + "/logits.npy";
  const Ran ran = octet("run " + k_model + " --data shapes:7 --preprocess rgb,norm=half --batch 4 -o " + path);
  ASSERT_EQ(ran.status, 0) << ran.err;
  const std::string npy = read(path);
  EXPECT_THAT(npy.substr(0, 128), HasSubstr("'descr': '<f4'"));
  EXPECT_THAT(npy.substr(0, 128), HasSubstr("'shape': (7, 10)"));
  EXPECT_EQ(npy.size() % 64, (7 * 10 * 4) % 64u);
}

TEST(Cli, inspect_text_parses_as_a_graph_and_elides_only_on_request) {
  EXPECT_THAT(octet("inspect " + k_model + " --text").out, HasSubstr("..."));
  EXPECT_THAT(octet("inspect " + k_model + " --full-text").out, Not(HasSubstr("...")));
}

TEST(Cli, every_command_takes_a_plan_where_it_takes_a_model) {
  const std::string plan = scratch() + "/demo.plan", data = " --data shapes:40";
  const std::string int8 = " --precision int8 --calib-data shapes-train:64 --preprocess none,norm=half";
  const Ran built = octet("build " + k_model + int8 + " --cache " + scratch() + "/demo_cache.json -o " + plan);
  ASSERT_EQ(built.status, 0) << built.err;
  EXPECT_THAT(built.out, HasSubstr("wrote " + plan + ": int8, "));
  const Ran eval = octet("eval " + plan + data + " --preprocess none,norm=half");
  ASSERT_EQ(eval.status, 0) << eval.err;
  EXPECT_THAT(eval.out, HasSubstr("Input Tensor:\nTensor Name: input Shape: (1, 3, 32, 32) Data Type: float32 Data "
                                  "Format: TensorFormat.LINEAR\n"));
  EXPECT_THAT(eval.out, HasSubstr("Evaluation Accuracy: "));
  const Ran other = octet("eval " + plan + data + " --preprocess none");
  EXPECT_THAT(other.out + other.err, HasSubstr("differs from calibration's"));
  const Ran in_memory = octet("run " + k_model + int8 + data + " -o " + scratch() + "/a.npy");
  const Ran from_plan = octet("run " + plan + " --preprocess none,norm=half" + data + " -o " + scratch() + "/b.npy");
  ASSERT_EQ(in_memory.status, 0) << in_memory.err;
  ASSERT_EQ(from_plan.status, 0) << from_plan.err;
  EXPECT_EQ(read(scratch() + "/a.npy"), read(scratch() + "/b.npy"));
  EXPECT_EQ(octet("bench " + plan + " --iterations 1 --duration 0 --warm-up 0").status, 0);
  const Ran inspect = octet("inspect " + plan);
  EXPECT_EQ(inspect.status, 0);
  EXPECT_THAT(inspect.out, HasSubstr("preprocess"));
  EXPECT_THAT(inspect.out, HasSubstr("norm=half"));
  EXPECT_EQ(octet("eval " + plan + " " + k_model + data + " --preprocess none,norm=half").status, 0);
  EXPECT_EQ(octet("build " + plan + " -o " + plan).status, 1) << "a plan is not built from a plan";
}

/// Pictures without --preprocess go into a plan as its calibration's did.
TEST(Cli, a_plan_brings_its_preprocessing_along) {
  const std::string plan = scratch() + "/own.plan", data = " --data shapes:200", spec = " --preprocess rgb,norm=half";
  ASSERT_EQ(octet("build " + k_model + " --precision int8 --calib-data shapes-train:64" + spec + " -o " + plan).status,
            0);
  const auto right = [&](const std::string& flags) {
    const Ran ran = octet("eval " + plan + data + flags + " --json --quiet");
    EXPECT_EQ(ran.status, 0) << ran.err;
    return nlohmann::json::parse(ran.out);
  };
  const nlohmann::json given = right(spec), own = right(""), none = right(" --preprocess none");
  EXPECT_EQ(own["top1_right"], given["top1_right"]);
  EXPECT_FALSE(given.contains("note"));
  EXPECT_THAT(own["note"], HasSubstr("as stored with the network"));
  EXPECT_LT(none["top1_right"], own["top1_right"]);
  EXPECT_THAT(none["note"], HasSubstr("preprocessing 'none' differs from calibration's"));
  // The float network beside it sees the same pictures, on whichever side it stands.
  const Ran both = octet("eval " + k_model + " " + plan + data + " --json --quiet");
  const Ran alone = octet("eval " + k_model + data + spec + " --json --quiet");
  EXPECT_EQ(nlohmann::json::parse(both.out)["first"]["top1_right"], nlohmann::json::parse(alone.out)["top1_right"]);

  const std::string a = scratch() + "/own_a.npy", b = scratch() + "/own_b.npy", few = " --data shapes:5";
  const Ran run = octet("run " + plan + few + " -o " + a);
  ASSERT_EQ(run.status, 0) << run.err;
  EXPECT_THAT(run.err, HasSubstr("as stored with the network"));
  ASSERT_EQ(octet("run " + plan + few + spec + " -o " + b).status, 0);
  EXPECT_EQ(read(a), read(b));
  EXPECT_EQ(octet("classify " + plan + few).out, octet("classify " + plan + few + spec).out);
  const auto layers = [&](const std::string& flags) {
    return nlohmann::json::parse(
        octet("compare " + k_model + " " + plan + few + flags + " --json --quiet").out)["layers"];
  };
  EXPECT_EQ(layers(""), layers(spec));
  EXPECT_NE(layers(""), layers(" --preprocess none"));
}

/// Numbers are the network's input already: nothing is done to them twice.
/// Each is refused by the flag's name before anything is read; the file it would be run on does not exist.
TEST(Cli, numbers_that_mean_nothing_are_refused_by_the_name_of_their_flag) {
  const struct {
    const char* command;
    std::vector<const char*> flags;
  } k_rows[] = {
      {"bench none.onnx",
       {"--batch", "--threads", "--iterations", "--duration", "--warm-up", "--streams", "--check-tolerance"}},
      {"run none.onnx", {"--batch", "--threads", "--limit"}},
      {"eval none.onnx --data shapes:4", {"--batch", "--threads", "--limit", "--shuffle"}},
      {"build none.onnx -o x.plan",
       {"--batch", "--threads", "--workspace", "--require-int8", "--builderOptimizationLevel", "--calib-limit"}},
      {"calibrate none.onnx --calib-data synthetic:4 -o r.json", {"--batch", "--threads", "--limit", "--auto-samples"}},
      {"quantize none.onnx --calib-data synthetic:4 -o y.onnx",
       {"--opset", "--threads", "--percentile", "--calib-limit"}},
      {"classify none.onnx --data shapes:1", {"--iterations", "--warm-up", "--threads"}},
      {"compare none.onnx none.plan --data shapes:1", {"--threads"}},
  };
  for (const auto& row : k_rows)
    for (const char* flag : row.flags)
      for (const char* value : {"-1", "nan", "''", "99999999999999999999"}) {
        const Ran ran = octet(std::string(row.command) + " " + flag + " " + value);
        EXPECT_EQ(ran.status, 2) << row.command << " " << flag << " " << value << ": " << ran.err;
        EXPECT_THAT(ran.err, HasSubstr(flag));
      }
  for (const char* command :
       {"bench", "run", "eval --data shapes:4", "build -o x.plan", "calibrate --calib-data synthetic:4 -o r.json"})
    for (const char* value : {"0", "2147483648"})
      EXPECT_THAT(octet(std::string(command) + " none.onnx --batch " + value).err,
                  HasSubstr("--batch: '" + std::string(value) + "': a whole number from 1 to 1048576 is expected"));
  for (const char* shape : {"0x3x32x32", "1x3x32x32:0x3x32x32:4x3x32x32"})
    for (const char* command : {"bench ", "build -o x.plan "})
      EXPECT_THAT(octet(command + k_model + " --shapes input:" + shape).err,
                  HasSubstr("an extent of 0 leaves no elements"));
}

TEST(Cli, a_plan_leaves_numbers_as_they_are) {
  const std::string plan = scratch() + "/numbers.plan", raw = scratch() + "/numbers.raw";
  ASSERT_EQ(
      octet("build " + k_model + " --precision int8 --calib-data shapes-train:16 --preprocess rgb,norm=half -o " + plan)
          .status,
      0);
  std::ofstream(raw, std::ios::binary) << std::string(3 * 32 * 32 * sizeof(float), '\x3f');  // 0.747 each
  const std::string a = scratch() + "/numbers_a.npy", b = scratch() + "/numbers_b.npy";
  ASSERT_EQ(octet("run " + plan + " --data " + raw + " -o " + a).status, 0);
  ASSERT_EQ(octet("run " + plan + " --data " + raw + " --preprocess none -o " + b).status, 0);
  EXPECT_EQ(read(a), read(b));
}

TEST(Cli, options_of_a_calibration_that_does_not_happen_are_errors) {
  const std::string plan = scratch() + "/no_calibration.plan", out = " -o " + plan;
  const std::string ranges = scratch() + "/no_calibration.json";
  for (const std::string& option : {"--cache " + ranges, std::string("--calib-data shapes-train:8"),
                                    std::string("--method max"), "--ranges " + ranges}) {
    const std::string name = option.substr(0, option.find(' '));
    const Ran ran = octet("build " + k_model + " " + option + out);
    EXPECT_EQ(ran.status, 1) << option;
    EXPECT_THAT(ran.err, HasSubstr(name + " has no effect with --precision fp32")) << option;
    EXPECT_THAT(ran.err, HasSubstr("add --precision int8")) << option;
    EXPECT_FALSE(std::filesystem::exists(plan)) << option;
  }
  const std::string calibration = " --calib-data shapes-train:8";
  EXPECT_EQ(octet("build " + k_model + " --precision int8" + calibration + out).status, 0);
  const std::string data = " --data shapes:4 --precision ";
  EXPECT_THAT(octet("eval " + plan + data + "fp32 --ranges " + ranges).err, HasSubstr("--ranges has no effect on"));
  EXPECT_THAT(octet("eval " + plan + data + "int8 --ranges " + ranges).err,
              HasSubstr("--ranges has no effect on " + plan + ", a plan"));
  EXPECT_EQ(octet("eval " + k_model + " --data shapes:4 --precision2 int8" + calibration).status, 0);
  EXPECT_THAT(octet("bench " + k_model + calibration).err, HasSubstr("--calib-data has no effect with"));
}

TEST(Cli, options_that_a_plan_has_no_use_for_are_errors) {
  const std::string plan = scratch() + "/decided.plan";
  ASSERT_EQ(octet("build " + k_model + " --precision int8 --calib-data shapes-train:8 --quiet -o " + plan).status, 0);
  for (const std::string option :
       {"--tune", "--builderOptimizationLevel 3", "--timing-cache t.txt", "--skip-pass nonsense", "--target tensorrt",
        "--no-repair", "--force", "--calib-data shapes:4", "--keep-float x", "--method max"})
    for (const std::string command : {"bench ", "eval --data shapes:4 "}) {
      const Ran ran = octet(command + plan + " " + option);
      EXPECT_EQ(ran.status, 1) << option;
      EXPECT_THAT(ran.err, HasSubstr(option.substr(0, option.find(' ')) + " has no effect on " + plan + ", a plan"));
    }
  EXPECT_THAT(octet("bench " + plan + " --precision fp32").err,
              HasSubstr("decided.plan was built in int8, --precision fp32 was asked for"));
  const std::string once = " --duration 0 --iterations 9 --warm-up 0 --quiet";
  EXPECT_EQ(octet("bench " + plan + " --precision int8" + once).status, 0);
  EXPECT_EQ(octet("bench " + k_model + " " + plan + " --precision fp32 --tune" + once).status, 0) << "of the ONNX file";
  EXPECT_THAT(octet("build " + k_model + " --timing-cache t.txt -o " + plan).err,
              HasSubstr("--timing-cache t.txt has no effect where nothing is timed: add --tune"));
}

TEST(Cli, a_batch_that_contradicts_the_shapes_is_an_error_that_names_both) {
  for (const std::string& command :
       {std::string("bench "), std::string("eval --data shapes:4 "), "build -o " + scratch() + "/none.plan "}) {
    const Ran ran = octet(command + k_model + " --batch 2 --shapes input:1x3x32x32");
    EXPECT_EQ(ran.status, 1) << command;
    EXPECT_THAT(ran.err, HasSubstr("--batch 2 and --shapes input:1x3x32x32 contradict each other"));
  }
  EXPECT_EQ(octet("eval " + k_model + " --data shapes:4 --batch 2 --shapes input:2x3x32x32 --quiet").status, 0);
}

TEST(Cli, a_cache_that_does_not_say_where_it_comes_from_is_no_cache) {
  const std::string ranges = scratch() + "/own.json", foreign = scratch() + "/foreign.cache",
                    plan = scratch() + "/f.plan";
  ASSERT_EQ(octet("calibrate " + k_model + " --calib-data shapes-train:8 --quiet -o " + ranges).status, 0);
  ASSERT_EQ(octet("cache convert " + ranges + " --to tensorrt --cache-version 8601 -o " + foreign).status, 0);
  const std::string build = "build " + k_model + " --precision int8 --quiet -o " + plan;
  const Ran ran = octet(build + " --calib-data shapes-train:8 --cache " + foreign);
  EXPECT_EQ(ran.status, 1);
  EXPECT_THAT(ran.err, HasSubstr("foreign.cache does not say which model and data it was made from"));
  EXPECT_THAT(ran.err, HasSubstr("give this file as --ranges"));
  EXPECT_EQ(octet(build + " --ranges " + foreign).status, 0);
}

TEST(Cli, a_broken_plan_is_spoken_of_as_a_plan) {
  const std::string plan = scratch() + "/whole.plan", cut = scratch() + "/cut.plan";
  ASSERT_EQ(octet("build " + k_model + " -o " + plan).status, 0);
  const std::string bytes = read(plan);
  const auto message = [](const std::string& path, const std::string& content) {
    std::ofstream(path, std::ios::binary) << content;
    const Ran ran = octet("inspect " + path);
    EXPECT_EQ(ran.status, 1) << path;
    return ran.err;
  };
  EXPECT_THAT(message(cut, ""), HasSubstr("cut.plan: the file is empty; expected a plan file"));
  EXPECT_THAT(message(scratch() + "/cut.engine", ""), HasSubstr("expected a plan file"));
  EXPECT_THAT(message(scratch() + "/cut.bin", bytes.substr(0, 5)), HasSubstr("is a plan file cut off after 5 bytes"));
  EXPECT_THAT(message(cut, bytes.substr(0, 60)), HasSubstr("in the middle of the header"));
  EXPECT_THAT(message(cut, "this is not a network"), HasSubstr("is not a plan file of octet (its 21 bytes"));
  EXPECT_THAT(message(scratch() + "/cut.onnx", ""), HasSubstr("expected an ONNX model"));
  EXPECT_THAT(octet("quantize " + plan + " --calib-data shapes-train:8 -o " + scratch() + "/q.onnx").err,
              HasSubstr("whole.plan is a plan, where an ONNX file is expected"));
}

TEST(Cli, calibrate_takes_the_limit_by_both_names) {
  const std::string to = " --calib-data shapes-train:40 --quiet -o " + scratch() + "/limit.json";
  const Ran one = octet("calibrate " + k_model + to + " --limit 16"),
            other = octet("calibrate " + k_model + to + " --calib-limit 16");
  EXPECT_EQ(other.status, 0) << other.err;
  EXPECT_THAT(other.out, HasSubstr("calibrated 16 samples"));
  EXPECT_EQ(one.out, other.out);
}

TEST(Cli, build_says_what_runs_in_int8_and_can_require_it) {
  const std::string a = scratch() + "/share_a.plan", b = scratch() + "/share_b.plan", demo = OCTET_DEMO_MODEL;
  const std::string int8 = " --precision int8 --calib-data shapes-train:16";
  const Ran built = octet("build " + demo + int8 + " --require-int8 90 -o " + a);
  ASSERT_EQ(built.status, 0) << built.err;
  EXPECT_THAT(built.out,
              testing::ContainsRegex("plan: [0-9]+ INT8, 0 FP32 layers, [0-9]+ conversions?; 100.0 % of MACs "
                                     "in INT8; hash [0-9a-f]{16}"));
  const Ran again = octet("build " + demo + int8 + " -o " + b);
  const Ran quiet = octet("build " + demo + int8 + " --quiet -o " + b);
  EXPECT_EQ(quiet.out + quiet.err, "");
  EXPECT_EQ(built.out.substr(built.out.find("hash ")), again.out.substr(again.out.find("hash ")));
  std::filesystem::remove(a);
  const Ran refused = octet("build " + demo + " --precision fp32 --quiet --require-int8 90 -o " + a);
  EXPECT_EQ(refused.status, 1);
  EXPECT_THAT(refused.err, HasSubstr("0.0 % of the multiply-accumulates are in INT8"));
  EXPECT_FALSE(std::filesystem::exists(a)) << "nothing is written";
  std::filesystem::remove(b);
}

TEST(Cli, build_refuses_a_stale_cache_and_leaves_the_old_plan_alone) {
  const std::string plan = scratch() + "/stale.plan", cache = scratch() + "/stale.json";
  const std::string int8 = "build " + k_model + " --precision int8 --cache " + cache + " -o " + plan + " --calib-data ";
  ASSERT_EQ(octet(int8 + "shapes-train:32").status, 0);
  const std::string before = read(plan);
  const Ran stale = octet(int8 + "shapes-train:16");
  EXPECT_EQ(stale.status, 1);
  EXPECT_THAT(stale.err, HasSubstr("is stale: it was made with data"));
  EXPECT_EQ(read(plan), before);
}

TEST(Cli, build_takes_shape_profiles_and_sizes) {
  const std::string plan = scratch() + "/shapes.plan";
  const std::string shapes = " --shapes input:1x3x32x32:4x3x32x32:8x3x32x32";
  ASSERT_EQ(octet("build " + k_model + shapes + " --workspace 1GiB -o " + plan).status, 0);
  EXPECT_EQ(octet("run " + plan + " --batch 8 --data shapes:8").status, 0);
  const Ran outside = octet("run " + plan + " --batch 9 --data shapes:8");
  EXPECT_EQ(outside.status, 1);
  EXPECT_THAT(outside.err, HasSubstr("[9,3,32,32] was asked for, the plan was built for [1,3,32,32] to [8,3,32,32]"));
  EXPECT_THAT(octet("build " + k_model + " --workspace 1parsec -o " + plan).err,
              HasSubstr("--workspace: '1parsec': a size like 1GiB, 64M or 4096 is expected"));
  EXPECT_THAT(octet("build " + k_model + " --workspace 1K -o " + plan).err,
              HasSubstr("--memPoolSize=workspace:MIB) allows 1024"));
  EXPECT_THAT(octet("build " + k_model + " --shapes input:1x3:2x3 -o " + plan).err, HasSubstr("NAME:MIN:OPT:MAX"));
}

TEST(Cli, a_damaged_plan_is_one_error) {
  const std::string plan = scratch() + "/damaged.plan";
  ASSERT_EQ(octet("build " + k_model + " -o " + plan).status, 0);
  std::filesystem::resize_file(plan, 4000);
  for (const char* command : {"run", "eval", "bench", "inspect", "classify"}) {
    const std::string data =
        std::string(command) == "bench" || std::string(command) == "inspect" ? "" : " --data shapes:4";
    const Ran ran = octet(std::string(command) + " " + plan + data);
    EXPECT_EQ(ran.status, 1) << command;
    EXPECT_THAT(ran.err, HasSubstr("damaged.plan: is cut off")) << command;
  }
}

TEST(Cli, a_batch_without_samples_is_refused) {
  for (const std::string command :
       {"run --data shapes:4", "eval --data shapes:4", "classify --data shapes:4", "bench"}) {
    const Ran ran = octet(command + " " + k_model + " --shapes input:0x3x32x32 --threads 2");
    EXPECT_EQ(ran.status, 1) << command;
    EXPECT_THAT(ran.err, HasSubstr("--shapes input:0x3x32x32: an extent of 0 leaves no elements")) << command;
  }
}

TEST(Cli, results_that_cannot_be_written_are_an_error) {
  const Ran ran = octet("inspect " + k_model + " --json > /dev/full");
  EXPECT_EQ(ran.status, 1);
  EXPECT_THAT(ran.err, HasSubstr("error[io] the results could not be written"));
}

TEST(Cli, an_output_without_a_name_is_bad_usage) {
  for (const std::string command : {"build", "quantize", "repair", "run --random 1", "import"}) {
    const Ran ran = octet(command + " " + k_model + " -o ''");
    EXPECT_EQ(ran.status, 2) << command;
    EXPECT_EQ(octet(command + " --help").out.find("->"), std::string::npos) << command;
  }
  EXPECT_THAT(octet("build " + k_model + " -o ''").err, HasSubstr("--output: '': the name of a file is expected"));
}

TEST(Cli, an_output_that_cannot_be_written_is_said_before_the_work) {
  for (const std::string command : {"calibrate", "quantize", "build --precision int8"}) {
    const Ran ran = octet(command + " " + k_model + " --calib-data shapes-train:64 --preprocess rgb,norm=half -o " +
                          scratch() + "/no/such/folder/out");
    EXPECT_EQ(ran.status, 1) << command;
    EXPECT_THAT(ran.err, HasSubstr("does its folder exist")) << command;
    EXPECT_THAT(ran.err, testing::Not(HasSubstr("calibrating"))) << command;
  }
}

TEST(Cli, import_that_cannot_be_meant_so_is_bad_usage) {
  const std::string import = "import none.pth -o " + scratch() + "/imported.onnx ";
  const std::pair<const char*, const char*> all[] = {
      {"", "give --arch to make the network, or --onto FILE"},
      {"--arch resnet20 --onto m.onnx", "give --arch to make the network, or --onto FILE"},
      {"--arch vgg16", "architecture 'vgg16' is unknown; known are resnet18"},
      {"--onto m.onnx --opset 17", "--opset belongs to --arch"},
      {"--arch resnet20 --input-names a,b", "one input and one output"},
      {"--arch resnet20 --input-names a --output-names a", "two names that differ are expected"},
      {"--arch resnet20 --input-names ''", "two names that differ are expected"},
      {"--arch resnet20 --opset 99", "opset 99 cannot be written; expected 13 to 23"}};
  for (const auto& [flags, message] : all) {
    const Ran ran = octet(import + flags);
    EXPECT_EQ(ran.status, 2) << flags;
    EXPECT_THAT(ran.err, HasSubstr(message)) << flags;
  }
  EXPECT_EQ(octet(import + "--arch resnet20").status, 1);  // the file is not there
}

TEST(Cli, names_that_are_not_utf8_give_valid_json) {
  const std::string path = scratch() +
                           "/b\xff"
                           "d.onnx";
  std::filesystem::copy_file(k_model, path, std::filesystem::copy_options::overwrite_existing);
  const Ran ran = octet("eval '" + path + "' --data shapes:4 --preprocess rgb,norm=half --json --quiet");
  EXPECT_EQ(ran.status, 0) << ran.err;
  EXPECT_TRUE(nlohmann::json::accept(ran.out)) << ran.out;
}

TEST(Cli, control_characters_of_a_files_names_reach_no_terminal) {
  std::string bytes = read(k_model);
  for (size_t at = 0; (at = bytes.find("logits", at)) != std::string::npos;) bytes.replace(at, 6, "\x1b[2J\xc2\x9b");
  octet::write(scratch() + "/control.onnx", bytes);
  const std::string data = " --data shapes:4 --preprocess rgb,norm=half";
  const std::vector<std::string> lines = {"inspect F",
                                          "inspect F --text",
                                          "bench F --verbose --profile --iterations 1 --warm-up 1 --duration 0",
                                          "run F --verbose" + data,
                                          "run F --loadInputs nothing:F",
                                          "eval F" + data};
  for (const std::string& arguments : lines) {
    std::string line = arguments;
    const Ran ran = octet(line.replace(line.find('F'), 1, scratch() + "/control.onnx"));
    EXPECT_EQ((ran.out + ran.err).find('\x1b'), std::string::npos) << line;
    EXPECT_EQ((ran.out + ran.err).find('\x9b'), std::string::npos) << line;
  }
  const Ran ran = octet("inspect " + scratch() + "/control.onnx");
  EXPECT_THAT(ran.out, HasSubstr("\\x1b[2J\\x9b"));
}

TEST(Cli, the_environment_is_checked) {
  const Ran log = octet("eval " + k_model, "OCTET_LOG=loud"), threads = octet("eval " + k_model, "OCTET_THREADS=many");
  EXPECT_EQ(log.status, 2);
  EXPECT_THAT(log.err, HasSubstr("OCTET_LOG=loud: expected quiet, notes or verbose"));
  EXPECT_EQ(threads.status, 2);
  EXPECT_THAT(threads.err, HasSubstr("OCTET_THREADS=many: expected a number from 1 to 1024"));
  EXPECT_EQ(octet("run " + k_model + " --data shapes:4 --preprocess rgb,norm=half", "OCTET_LOG=quiet").err, "");
}

}  // namespace
