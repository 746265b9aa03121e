// Calibration as a user runs it: what it says about the samples, caches, noise, several inputs, several processes.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "onnx/model_builder.h"
#include "program/running.h"

namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

using octet::Ran;
using octet::read;
using octet::ScratchFolder;
using octet::write;

const std::string& scratch() {
  static const ScratchFolder folder("calibration");
  return folder.path();
}

Ran run(const std::string& program, const std::string& arguments) {
  return octet::run_line(program + " " + arguments, scratch() + "/stderr");
}

Ran octet(const std::string& arguments) { return run(OCTET_PROGRAM, arguments); }

const std::string k_model = OCTET_DEMO_MODEL;
const std::string k_samples = " --preprocess rgb,norm=half --calib-data ";

Ran calibrate(const std::string& data, const std::string& more, const std::string& to) {
  return octet("calibrate " + k_model + k_samples + data + " -o " + scratch() + "/" + to + " " + more);
}

/// Dense f32 as numpy.save writes it.
std::string npy(const std::string& shape, const std::vector<float>& values) {
  std::string header = "{'descr': '<f4', 'fortran_order': False, 'shape': (" + shape + "), }";
  header += std::string(64 - (10 + header.size() + 1) % 64, ' ') + "\n";
  std::string bytes("\x93NUMPY\x01\x00", 8);
  bytes += static_cast<char>(header.size() & 255);
  bytes += static_cast<char>(header.size() >> 8);
  bytes += header;
  bytes.append(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float));
  return bytes;
}

std::vector<float> ramp(size_t n) {
  std::vector<float> values(n);
  for (size_t i = 0; i < n; ++i) values[i] = static_cast<float>((i * 7919) % 2001) / 1000.0f - 1.0f;
  return values;
}

TEST(Calibration, says_what_it_saw_and_whether_it_converged) {
  const Ran ran = calibrate("shapes-train:200", "", "a.json");
  ASSERT_EQ(ran.status, 0) << ran.err;
  EXPECT_THAT(ran.err,
              AllOf(HasSubstr("calibration needs "), HasSubstr("more samples need no more"),
                    HasSubstr("calibrated 200 samples"), HasSubstr("0 values not finite"),
                    HasSubstr("input 'input': mean ["), HasSubstr("stability: over the last fifth of the samples (40)"),
                    HasSubstr("channel order: of 32 labelled samples")));
  EXPECT_THAT(calibrate("shapes-train:10", "", "b.json").err, HasSubstr("stability: too few samples to tell"));
  EXPECT_THAT(calibrate("shapes-train:10", "--quiet", "b.json").err, Not(HasSubstr("stability")));
}

TEST(Calibration, the_ranges_do_not_depend_on_batch_order_or_threads) {
  ASSERT_EQ(calibrate("shapes-train:50", "--quiet", "one.json").status, 0);
  for (const char* other : {"--batch 1", "--batch 3", "--batch 8 --threads 2", "--batch 64"}) {
    ASSERT_EQ(calibrate("shapes-train:50", std::string("--quiet ") + other, "other.json").status, 0);
    EXPECT_EQ(read(scratch() + "/other.json"), read(scratch() + "/one.json")) << other;
  }
}

TEST(Calibration, the_ranges_do_not_depend_on_the_order_of_the_samples) {
  constexpr size_t k_samples_count = 13;
  const std::vector<float> values = ramp(k_samples_count * 3072);
  std::vector<float> other;
  for (size_t i = 0; i < k_samples_count; ++i) {
    const auto from = values.begin() + static_cast<ptrdiff_t>((i * 5 % k_samples_count) * 3072);
    other.insert(other.end(), from, from + 3072);
  }
  write(scratch() + "/order.npy", npy("13, 3, 32, 32", values));
  write(scratch() + "/shuffled.npy", npy("13, 3, 32, 32", other));
  const auto tensors = [](const std::string& name, const std::string& batch) {
    const std::string to = scratch() + "/order.json";
    EXPECT_EQ(octet("calibrate " + k_model + " --quiet --batch " + batch + " --calib-data " + scratch() + "/" + name +
                    ".npy -o " + to)
                  .status,
              0);
    const std::string json = read(to);
    return json.substr(json.find("\"tensors\""));
  };
  const std::string expected = tensors("order", "8");
  for (const char* batch : {"1", "3", "8"}) EXPECT_EQ(tensors("shuffled", batch), expected) << batch;
}

/// Most memory that the program held, in KiB.
long peak_of(const std::string& samples) {
  const pid_t child = ::fork();
  if (child == 0) {
    const std::string to = scratch() + "/memory.json", data = "shapes-train:" + samples;
    ::execl(OCTET_PROGRAM, OCTET_PROGRAM, "calibrate", k_model.c_str(), "--preprocess", "rgb,norm=half", "--calib-data",
            data.c_str(), "--limit", "0", "--batch", "1", "--quiet", "-o", to.c_str(), nullptr);
    ::_exit(127);
  }
  int status = 0;
  struct rusage usage = {};
  ::wait4(child, &status, 0, &usage);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << samples;
  return usage.ru_maxrss;
}

TEST(Calibration, ten_batches_and_a_thousand_take_the_same_memory) {
#ifdef __SANITIZE_ADDRESS__
  GTEST_SKIP() << "the sanitizer keeps what is freed";
#endif
  const long few = peak_of("10"), many = peak_of("1000");
  EXPECT_LT(static_cast<double>(many), 1.05 * static_cast<double>(few) + 1024) << few << " and " << many << " KiB";
}

TEST(Calibration, refuses_to_run_on_nothing_and_names_it) {
  const Ran missing = calibrate("no/such/folder", "", "x.json");
  EXPECT_EQ(missing.status, 1);
  EXPECT_THAT(missing.err, HasSubstr("no/such/folder"));
  std::filesystem::create_directories(scratch() + "/empty");
  const Ran empty = calibrate(scratch() + "/empty", "", "x.json");
  EXPECT_EQ(empty.status, 1);
  EXPECT_THAT(empty.err, HasSubstr("holds no pictures"));
  EXPECT_FALSE(std::filesystem::exists(scratch() + "/x.json"));
}

TEST(Calibration, names_the_tensor_and_the_sample_of_a_value_that_is_not_finite) {
  std::vector<float> values = ramp(5 * 3072);
  values[3 * 3072 + 17] = std::nanf("");
  write(scratch() + "/nan.npy", npy("5, 3, 32, 32", values));
  const Ran ran = octet("calibrate " + k_model + " --calib-data " + scratch() + "/nan.npy -o " + scratch() + "/x.json");
  EXPECT_EQ(ran.status, 1);
  EXPECT_THAT(ran.err, AllOf(HasSubstr("tensor 'input' has 1 values that are not finite"), HasSubstr("sample '3'")));
}

TEST(Calibration, finds_pixels_that_were_scaled_twice_or_not_at_all) {
  std::vector<float> unit = ramp(20 * 3072), pixels = unit;
  for (float& v : unit) v = (v + 1) / 2;
  for (float& v : pixels) v = (v + 1) * 127.5f;
  write(scratch() + "/unit.npy", npy("20, 3, 32, 32", unit));
  write(scratch() + "/pixels.npy", npy("20, 3, 32, 32", pixels));
  const std::string to = " -o " + scratch() + "/x.json --calib-data " + scratch();
  EXPECT_THAT(octet("calibrate " + k_model + to + "/unit.npy").err, HasSubstr("pixels divided by 255 without a norm"));
  EXPECT_THAT(octet("calibrate " + k_model + to + "/pixels.npy").err,
              HasSubstr("raw pixels; if the network was trained"));
  // A deviation that belongs to nobody.
  EXPECT_THAT(octet("calibrate " + k_model + to + "/pixels.npy --preprocess none,norm=half,std=0.01").err,
              HasSubstr("is the data normalised twice"));
}

TEST(Calibration, noise_stamps_the_ranges_the_file_and_whoever_runs_it) {
  const Ran ran = octet("calibrate " + k_model + " --calib-data synthetic:20 -o " + scratch() + "/noise.json");
  ASSERT_EQ(ran.status, 0) << ran.err;
  EXPECT_THAT(ran.err, HasSubstr("UNCALIBRATED"));
  EXPECT_THAT(read(scratch() + "/noise.json"), HasSubstr("\"uncalibrated\": true"));
  const Ran quantized =
      octet("quantize " + k_model + " --ranges " + scratch() + "/noise.json -o " + scratch() + "/noise.onnx");
  ASSERT_EQ(quantized.status, 0) << quantized.err;
  EXPECT_THAT(quantized.err, HasSubstr("UNCALIBRATED: the ranges come from noise"));
  EXPECT_THAT(read(scratch() + "/noise.onnx"), HasSubstr("UNCALIBRATED"));
  const Ran evaluated = octet("eval " + scratch() + "/noise.onnx --data shapes:20 --preprocess rgb,norm=half");
  ASSERT_EQ(evaluated.status, 0) << evaluated.err;
  EXPECT_THAT(evaluated.err + evaluated.out, HasSubstr("UNCALIBRATED"));
  // A format that cannot carry the stamp does not take the ranges.
  const std::string convert =
      "cache convert " + scratch() + "/noise.json --to tensorrt -o " + scratch() + "/noise.cache";
  const Ran refused = octet(convert);
  EXPECT_EQ(refused.status, 1);
  EXPECT_THAT(refused.err, HasSubstr("come from noise (UNCALIBRATED), which this format cannot say"));
  EXPECT_EQ(octet(convert + " --force").status, 0);
}

TEST(Calibration, another_preprocessing_is_noticed_through_the_exported_file) {
  ASSERT_EQ(calibrate("shapes-train:50", "--quiet", "p.json").status, 0);
  ASSERT_EQ(
      octet("quantize " + k_model + " --ranges " + scratch() + "/p.json -o " + scratch() + "/p.onnx --quiet").status,
      0);
  const std::string eval = "eval " + scratch() + "/p.onnx --data shapes:20 --json --quiet --preprocess ";
  EXPECT_THAT(octet(eval + "rgb,norm=half").out, Not(HasSubstr("differs from calibration's")));
  EXPECT_THAT(octet(eval + "rgb,norm=imagenet").out, HasSubstr("differs from calibration's 'rgb,"));
}

TEST(Calibration, auto_chooses_for_each_tensor_and_says_how) {
  const Ran ran = calibrate("shapes-train:120", "--method auto --target tensorrt", "auto.json");
  ASSERT_EQ(ran.status, 0) << ran.err;
  EXPECT_THAT(ran.err,
              AllOf(HasSubstr("auto: "), HasSubstr(" trials on 30 held-out samples"), HasSubstr("percentile 99.999 ")));
  EXPECT_THAT(read(scratch() + "/auto.json"),
              AllOf(HasSubstr("\"method\": \"auto\""), HasSubstr("\"from\": \""), HasSubstr("\"samples\": 90")));
  EXPECT_EQ(octet("quantize " + k_model + " --ranges " + scratch() + "/auto.json --target tensorrt --quiet -o " +
                  scratch() + "/auto.onnx")
                .status,
            0);
  EXPECT_THAT(
      octet("quantize " + k_model + " --ranges " + scratch() + "/auto.json -o " + scratch() + "/auto2.onnx").err,
      HasSubstr("auto chose for target tensorrt, this file is for octet"));
  ASSERT_EQ(calibrate("shapes-train:20", "--quiet", "no_auto.json").status, 0);
  const Ran none = octet("quantize " + k_model + " --ranges " + scratch() + "/no_auto.json --method auto -o " +
                         scratch() + "/x.onnx");
  EXPECT_EQ(none.status, 1);
  EXPECT_THAT(none.err, HasSubstr("calibrate with --method auto"));
}

TEST(Calibration, per_channel_ends_come_on_request) {
  ASSERT_EQ(calibrate("shapes-train:20", "--per-channel --quiet", "channels.json").status, 0);
  EXPECT_THAT(read(scratch() + "/channels.json"), HasSubstr("\"channels\": {\"axis\": 1, \"min\": ["));
  ASSERT_EQ(calibrate("shapes-train:20", "--quiet", "plain.json").status, 0);
  EXPECT_THAT(read(scratch() + "/plain.json"), Not(HasSubstr("\"channels\"")));
}

TEST(Calibration, a_raw_file_is_cut_into_samples) {
  const std::vector<float> values = ramp(7 * 3072);
  std::string bytes(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float));
  write(scratch() + "/samples.raw", bytes);
  write(scratch() + "/samples.npy", npy("7, 3, 32, 32", values));
  const std::string line = "calibrate " + k_model + " --quiet --calib-data " + scratch() + "/samples";
  ASSERT_EQ(octet(line + ".raw -o " + scratch() + "/raw.json").status, 0);
  ASSERT_EQ(octet(line + ".npy -o " + scratch() + "/npy.json").status, 0);
  const auto tensors = [](const std::string& json) { return json.substr(json.find("\"tensors\"")); };
  EXPECT_EQ(tensors(read(scratch() + "/raw.json")), tensors(read(scratch() + "/npy.json")));
  EXPECT_THAT(read(scratch() + "/raw.json"), HasSubstr("\"samples\": 7"));
  write(scratch() + "/cut.raw", bytes.substr(0, bytes.size() - 4));
  const Ran cut = octet("calibrate " + k_model + " --calib-data " + scratch() + "/cut.raw -o " + scratch() + "/x.json");
  EXPECT_EQ(cut.status, 1);
  EXPECT_THAT(cut.err, HasSubstr("expected f32 samples of [3,32,32]"));
}

TEST(Cache, goes_to_tensorrt_and_back) {
  ASSERT_EQ(calibrate("shapes-train:50", "--quiet", "c.json").status, 0);
  const std::string own = scratch() + "/c.json", trt = scratch() + "/c.cache";
  const Ran ran =
      octet("cache convert " + own + " --to tensorrt --method max --algorithm minmax --cache-version 8601 -o " + trt);
  ASSERT_EQ(ran.status, 0) << ran.err;
  EXPECT_THAT(read(trt), testing::StartsWith("TRT-8601-MinMaxCalibration\ninput: "));
  const Ran fits = octet("cache check " + trt + " --model " + k_model);
  EXPECT_EQ(fits.status, 0) << fits.out;
  EXPECT_THAT(fits.out, AllOf(HasSubstr("TensorRT 8.6.1 MinMaxCalibration"), HasSubstr("fits"),
                              HasSubstr("0 of the network missing")));
  const Ran quantized = octet("quantize " + k_model + " --ranges " + trt + " -o " + scratch() + "/c.onnx");
  ASSERT_EQ(quantized.status, 0) << quantized.err;
  EXPECT_THAT(quantized.err, HasSubstr("TensorRT 8.6.1 MinMaxCalibration cache: "));
  const Ran shown = octet("cache show " + trt + " --json");
  EXPECT_EQ(shown.status, 0);
  EXPECT_THAT(shown.out, AllOf(HasSubstr("\"format\": \"tensorrt\""), HasSubstr("\"name\": \"input\"")));
  for (const char* form : {"onnxruntime-text", "onnxruntime-json", "onnxruntime-flatbuffers"}) {
    const std::string to = scratch() + "/c." + form;
    ASSERT_EQ(octet("cache convert " + own + " --to " + form + " -o " + to).status, 0) << form;
    EXPECT_EQ(octet("cache check " + to + " --model " + k_model).status, 0) << form;
    EXPECT_EQ(
        octet("cache convert " + to + " --to octet --model " + k_model + " -o " + scratch() + "/back.json").status, 0)
        << form;
  }
}

TEST(Cache, that_does_not_fit_is_refused_with_the_reason_unless_forced) {
  const std::string foreign = scratch() + "/foreign.cache";
  write(foreign, "TRT-8003-EntropyCalibration2\ninput: 3c010204\nother: 3c010204\n");
  const Ran check = octet("cache check " + foreign + " --model " + k_model);
  EXPECT_EQ(check.status, 1);
  EXPECT_THAT(check.out, HasSubstr("does not fit: it lacks ranges for"));
  const std::string line = "quantize " + k_model + " --ranges " + foreign + " -o " + scratch() + "/forced.onnx";
  const Ran refused = octet(line);
  EXPECT_EQ(refused.status, 1);
  EXPECT_THAT(refused.err,
              AllOf(HasSubstr("foreign.cache: it lacks ranges for"), HasSubstr("--force takes it all the same")));
  const Ran forced = octet(line + " --force");
  EXPECT_EQ(forced.status, 0) << forced.err;
  EXPECT_THAT(forced.err, HasSubstr("forced: it lacks ranges for"));
  EXPECT_THAT(read(scratch() + "/forced.onnx"), HasSubstr("octet.forced"));
  const Ran damaged = octet("cache show " + k_model);
  EXPECT_EQ(damaged.status, 1);
  EXPECT_THAT(damaged.err, HasSubstr("not a calibration cache; octet reads TensorRT's"));
}

TEST(Cache, convert_keeps_the_header_unless_told_otherwise) {
  const std::string from = scratch() + "/header.cache", to = scratch() + "/header.out";
  for (const char* header : {"TRT-7203-MinMaxCalibration", "TRT-100300-EntropyCalibration2",
                             "TRT-8XXX-EntropyCalibration", "0 3ff0000000000000 3fefffeb074a771d", "1"}) {
    write(from, std::string(header) + "\ninput: 3c010204\na b:0: 3f800000\n");
    ASSERT_EQ(octet("cache convert " + from + " --to tensorrt -o " + to).status, 0) << header;
    EXPECT_EQ(read(to), read(from)) << header;
  }
  // From a header without a version to one that has it.
  ASSERT_EQ(octet("cache convert " + from + " --to tensorrt --algorithm entropy2 -o " + to).status, 0);
  EXPECT_THAT(read(to), testing::StartsWith("TRT-100300-EntropyCalibration2\n"));
  ASSERT_EQ(octet("cache convert " + from + " --to tensorrt --cache-version 8601 -o " + to).status, 0);
  EXPECT_THAT(read(to), testing::StartsWith("TRT-8601-EntropyCalibration\n"));
  write(from, "data 2.54\ndead 0.0\ntiny 1e-43\n");
  const Ran text = octet("cache convert " + from + " --to tensorrt -o " + to);
  ASSERT_EQ(text.status, 0) << text.err;
  EXPECT_EQ(read(to), "TRT-100300-EntropyCalibration2\ndata: 3ca3d70a\n");
  EXPECT_THAT(text.err, HasSubstr("2 ranges that are zero, subnormal, infinite or absurd were left out"));
}

TEST(Cache, of_another_model_is_not_converted_unless_forced_which_is_recorded) {
  // The same network with one weight changed.
  std::string bytes = read(k_model);
  bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 1);
  const std::string other = scratch() + "/other.onnx", own = scratch() + "/fit.json", to = scratch() + "/fit.out";
  write(other, bytes);
  ASSERT_EQ(calibrate("shapes-train:20", "--quiet", "fit.json").status, 0);
  for (const char* form : {"octet", "tensorrt", "onnxruntime-json"}) {
    const std::string line = "cache convert " + own + " --to " + form + " -o " + to + " --model ";
    EXPECT_EQ(octet(line + k_model).status, 0) << form;
    std::filesystem::remove(to);
    const Ran refused = octet(line + other);
    EXPECT_EQ(refused.status, 1) << form;
    EXPECT_THAT(refused.err, AllOf(HasSubstr("the cache does not fit " + other + ": the ranges were made for model "),
                                   HasSubstr("--force takes it all the same and is recorded")))
        << form;
    EXPECT_FALSE(std::filesystem::exists(to)) << form;
    const Ran forced = octet(line + other + " --force");
    EXPECT_EQ(forced.status, 0) << form << forced.err;
    EXPECT_THAT(forced.err, HasSubstr("taken by force, though the ranges were made for model")) << form;
    if (std::string(form) != "octet") continue;
    EXPECT_THAT(read(to), HasSubstr("\"forced\": \"the ranges were made for model "));
  }
}

TEST(Cache, convert_says_what_it_did_as_json) {
  const std::string from = scratch() + "/json.cache", to = scratch() + "/json.out";
  write(from, "TRT-8003-EntropyCalibration2\ninput: 3c010204\n");
  const Ran ran = octet("cache convert " + from + " --to onnxruntime-json --json -o " + to);
  ASSERT_EQ(ran.status, 0) << ran.err;
  EXPECT_THAT(ran.out, AllOf(testing::StartsWith("{"), HasSubstr("\"output\": \"" + to + "\""),
                             HasSubstr("\"format\": \"onnxruntime-json\"")));
}

TEST(Tensor, an_axis_takes_one_value_so_that_a_file_may_follow) {
  write(scratch() + "/axis.npy", npy("2, 3", {1, -2, 3, -4, 5, -6.5f}));
  const Ran one = octet("tensor quantize --axis 0 " + scratch() + "/axis.npy");
  ASSERT_EQ(one.status, 0) << one.err;
  EXPECT_THAT(one.out, HasSubstr("amax [3.0000, 6.5000](2)"));
  const Ran both = octet("tensor quantize " + scratch() + "/axis.npy --axis 0,1 --json");
  ASSERT_EQ(both.status, 0) << both.err;
  const Ran wrong = octet("tensor quantize");
  EXPECT_EQ(wrong.status, 2);
  EXPECT_THAT(wrong.err, HasSubstr("octet tensor quantize --help shows the options"));
}

TEST(Cache, says_what_the_other_format_cannot_hold) {
  ASSERT_EQ(calibrate("shapes-train:20", "--quiet --per-channel", "wide.json").status, 0);
  const Ran ran = octet("cache convert " + scratch() + "/wide.json --to tensorrt -o " + scratch() + "/wide.cache");
  EXPECT_EQ(ran.status, 0);
  EXPECT_THAT(ran.err, HasSubstr("were left out: this format holds one range a tensor"));
}

TEST(Calibration, per_channel_ranges_are_used_on_request_and_never_dropped_in_silence) {
  ASSERT_EQ(calibrate("shapes-train:50", "--per-channel --quiet", "pc.json").status, 0);
  const std::string line = "quantize " + k_model + " --ranges " + scratch() + "/pc.json -o " + scratch() + "/pc.onnx ";
  const Ran plain = octet(line);
  ASSERT_EQ(plain.status, 0) << plain.err;
  EXPECT_THAT(plain.err, HasSubstr("so they were not used; --per-channel writes them as fake quantization"));
  const Ran fake = octet(line + "--per-channel --verbose");
  ASSERT_EQ(fake.status, 0) << fake.err;
  EXPECT_THAT(fake.out, HasSubstr("fake: one scale a channel of its input; runs in float"));
  EXPECT_THAT(fake.err, Not(HasSubstr("were not used")));
  const Ran evaluated =
      octet("eval " + scratch() + "/pc.onnx --data shapes:200 --preprocess rgb,norm=half --json --quiet");
  ASSERT_EQ(evaluated.status, 0) << evaluated.err;
  EXPECT_THAT(evaluated.out, HasSubstr("\"images\": 200"));
  EXPECT_THAT(octet(line + "--per-channel --target tensorrt").err, HasSubstr("TensorRT takes one scale an activation"));
  ASSERT_EQ(calibrate("shapes-train:20", "--quiet", "no_pc.json").status, 0);
  EXPECT_THAT(
      octet("quantize " + k_model + " --ranges " + scratch() + "/no_pc.json --per-channel -o " + scratch() + "/x.onnx")
          .err,
      HasSubstr("the ranges hold no ends of channels; calibrate with --per-channel"));
}

TEST(ImageCalibrator, reuses_its_cache_file_on_the_second_run) {
  const std::string folder = scratch() + "/pictures", cache = scratch() + "/calibration.cache";
  std::filesystem::create_directories(folder);
  for (int i = 0; i < 6; ++i) {
    std::string ppm = "P6\n32 32\n255\n";
    for (int p = 0; p < 3072; ++p) ppm += static_cast<char>((p * (i + 3)) % 256);
    write(folder + "/" + std::to_string(i) + ".ppm", ppm);
  }
  const std::string arguments = k_model + " " + folder + " " + scratch() + "/ported.onnx rgb,norm=half 32 " + cache;
  const Ran first = run(OCTET_IMAGE_CALIBRATOR, arguments);
  ASSERT_EQ(first.status, 0) << first.err;
  EXPECT_THAT(first.out, HasSubstr("6 images read"));
  EXPECT_THAT(first.err, HasSubstr("only 6 samples"));
  EXPECT_THAT(read(cache), testing::StartsWith("TRT-100300-EntropyCalibration2\ninput: "));
  const std::string model = read(scratch() + "/ported.onnx");
  const Ran second = run(OCTET_IMAGE_CALIBRATOR, arguments);
  ASSERT_EQ(second.status, 0) << second.err;
  EXPECT_THAT(second.out, HasSubstr("0 images read"));
  EXPECT_THAT(second.err, HasSubstr("calibration cache used"));
  EXPECT_NE(model, "");
}

TEST(Processes, share_the_samples_and_equal_one_process_bit_for_bit) {
  if (std::string(OCTET_MPIEXEC).empty()) GTEST_SKIP() << "not applicable: built without MPI";
  ASSERT_EQ(calibrate("shapes-train:53", "--quiet --per-channel", "alone.json").status, 0);
  for (const char* count : {"2", "3"}) {
    const Ran ran = run(OCTET_MPIEXEC, "-n " + std::string(count) + " --allow-run-as-root --oversubscribe " +
                                           OCTET_PROGRAM + " calibrate " + k_model + k_samples +
                                           "shapes-train:53 --per-channel -o " + scratch() + "/shared.json");
    ASSERT_EQ(ran.status, 0) << ran.err;
    EXPECT_EQ(read(scratch() + "/shared.json"), read(scratch() + "/alone.json")) << count;
    EXPECT_THAT(ran.err, HasSubstr("calibrated 53 samples"));
    EXPECT_EQ(ran.out.find("ranges of all methods in"), ran.out.rfind("ranges of all methods in"))
        << "one process speaks";
  }
}

TEST(Processes, end_together_with_the_first_error) {
  if (std::string(OCTET_MPIEXEC).empty()) GTEST_SKIP() << "not applicable: built without MPI";
  std::vector<float> values = ramp(20 * 3072);
  values[11 * 3072] = values[19 * 3072] = std::nanf("");
  write(scratch() + "/nans.npy", npy("20, 3, 32, 32", values));
  const Ran ran =
      run(OCTET_MPIEXEC, std::string("-n 3 --allow-run-as-root --oversubscribe ") + OCTET_PROGRAM + " calibrate " +
                             k_model + " --calib-data " + scratch() + "/nans.npy -o " + scratch() + "/x.json");
  EXPECT_NE(ran.status, 0);
  EXPECT_THAT(ran.err, AllOf(HasSubstr("sample '11'"), Not(HasSubstr("sample '19'"))));
}

TEST(Calibration, an_input_is_never_the_output) {
  namespace fs = std::filesystem;
  const std::string ranges = scratch() + "/own.json", copy = scratch() + "/own.onnx", data = scratch() + "/own.npy";
  ASSERT_EQ(calibrate("shapes-train:16", "", "own.json").status, 0);
  fs::copy_file(k_model, copy, fs::copy_options::overwrite_existing);
  write(data, npy("2, 3, 32, 32", std::vector<float>(2 * 3 * 32 * 32, 0.5f)));
  fs::create_directory(scratch() + "/samples");
  write(scratch() + "/samples/a.npy", read(data));
  const std::pair<std::string, std::string> calls[] = {
      {"calibrate " + copy + " --calib-data " + data + " -o " + data, data},
      {"calibrate " + copy + " --calib-data " + data + " -o " + copy, copy},
      {"calibrate " + copy + " --calib-data " + scratch() + "/samples -o " + scratch() + "/samples/../samples/a.npy",
       scratch() + "/samples/a.npy"},
      {"quantize " + copy + " --ranges " + ranges + " -o " + ranges, ranges},
      {"build " + copy + " --precision int8 --ranges " + ranges + " -o " + ranges, ranges},
      {"run " + copy + " --data " + data + " -o " + data, data},
      {"cache convert " + ranges + " --to tensorrt -o " + ranges, ranges}};
  for (const auto& [call, input] : calls) {
    const std::string before = read(input);
    const Ran ran = octet(call);
    EXPECT_EQ(ran.status, 1) << call;
    EXPECT_THAT(ran.err, HasSubstr("it is an input of this command")) << call;
    EXPECT_EQ(read(input), before) << call;
  }
}

// Its message named --shapes, which the command did not have.
TEST(Quantize, of_an_image_of_free_extents_takes_the_shapes_to_calibrate_at) {
  octet::test::ModelBuilder built(13);
  built.input("x", {octet::Dim{"N"}, 1, octet::Dim{"H"}, octet::Dim{"W"}});
  built.initializer("w", octet::f32_tensor({1, 1, 1, 1}, std::vector<float>{0.5f}));
  const std::vector<std::byte> bytes = built.node({"Conv", {"x", "w"}, {"y"}, {}, "conv"}).output("y").bytes();
  const std::string folder = scratch() + "/", model = folder + "free.onnx";
  write(model, std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
  write(folder + "free.npy", npy("4, 1, 2, 3", ramp(24)));
  const std::string command = "quantize " + model + " --calib-data " + folder + "free.npy -o " + folder + "free8.onnx";
  EXPECT_THAT(octet(command).err, HasSubstr("--shapes NAME:1x3x224x224"));
  const Ran ran = octet(command + " --shapes x:1x1x2x3");
  EXPECT_EQ(ran.status, 0) << ran.err;
  EXPECT_EQ(
      octet("run " + folder + "free8.onnx --data " + folder + "free.npy --shapes x:1x1x2x3 -o " + folder + "free_y.npy")
          .status,
      0);
}

// A bias in double is rounded to float while the file is read. Every command that reads the network says so.
TEST(Notes, of_repairs_that_change_answers_are_printed_by_each_command) {
  using octet::DType;
  const double wide[] = {0.1, 0.3};
  octet::test::ModelBuilder built(13);
  built.input("x", {1, 2}).initializer("w", octet::f32_tensor({2, 2}, std::vector<float>{1, 2, 3, 4}));
  built.initializer("b", octet::Tensor::from<double>(DType::f64, {2}, wide));
  const std::vector<std::byte> bytes = built.node({"Gemm", {"x", "w", "b"}, {"y"}, {}, "fc"}).output("y").bytes();
  const std::string folder = scratch() + "/", model = folder + "wide.onnx";
  write(model, std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
  write(folder + "wide.npy", npy("4, 2", ramp(8)));
  for (const std::string& command :
       {"calibrate " + model + " --calib-data " + folder + "wide.npy -o " + folder + "wide.json",
        "quantize " + model + " --ranges " + folder + "wide.json -o " + folder + "wide_int8.onnx",
        "cache check " + folder + "wide.json --model " + model,
        "cache convert " + folder + "wide.json --to tensorrt --model " + model + " -o " + folder + "wide.cache",
        "run " + model + " --data " + folder + "wide.npy -o " + folder + "y.npy"}) {
    const Ran told = octet(command);
    EXPECT_EQ(told.status, 0) << command << told.err;
    EXPECT_THAT(told.err, HasSubstr("note: repair doubles: 1 mended, '")) << command;
    EXPECT_THAT(told.err, HasSubstr("rounded from double to float, by up to ")) << command;
    EXPECT_THAT(octet(command + " --quiet").err, Not(HasSubstr("repair doubles"))) << command;
  }
}

}  // namespace
