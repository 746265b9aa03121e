// Flags of octet trtexec, and of the commands beside it, whose effect is to be seen on a GPU only.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <cmath>
#include <filesystem>

#include "octet/measure.h"
#include "running.h"
#include "tensor/half.h"

namespace octet::cli::trtexec {
namespace {

using testing::HasSubstr;
using testing::Not;

class CudaFlags : public testing::Test {
 protected:
  void SetUp() override {
    if (!has_device("cuda")) GTEST_SKIP() << "not applicable: no GPU";
  }
};

std::string octet(const std::string& words) { return std::string(OCTET_PROGRAM) + " " + words; }

/// All numbers that --exportOutput wrote.
std::vector<double> values_of(const std::string& file) {
  std::vector<double> values;
  for (const nlohmann::json& output : json_of(at(file)))
    for (const nlohmann::json& value : output["values"]) values.push_back(value.get<double>());
  return values;
}

/// Largest difference, as a share of the largest value.
double difference(const std::string& a, const std::string& b) {
  const std::vector<double> x = values_of(a), y = values_of(b);
  EXPECT_EQ(x.size(), y.size());
  double worst = 0, scale = 0;
  for (size_t i = 0; i < std::min(x.size(), y.size()); ++i) {
    worst = std::max(worst, std::abs(x[i] - y[i]));
    scale = std::max(scale, std::abs(x[i]));
  }
  return worst / scale;
}

/// A Q/DQ form of the demo model, made once.
const std::string& quantized() {
  static const std::string file = [] {
    EXPECT_EQ(shell(octet("quantize " OCTET_DEMO_MODEL
                          " --calib-data shapes-train:32 --quiet --keep-float /7/Gemm -o g.onnx"))
                  .status,
              0);
    return std::string("--onnx=g.onnx");
  }();
  return file;
}

/// The same as a plan with its tiles, since float sums depend on them and two builds may choose others.
const std::string& quantized_plan() {
  static const std::string file = [] {
    EXPECT_EQ(quick("--int8 --skipInference --saveEngine=g.plan", quantized()).status, 0);
    return std::string("--loadEngine=g.plan");
  }();
  return file;
}

/// Values as elements of half precision.
std::string halves(const std::vector<float>& values) {
  std::string bytes;
  for (const float v : values) {
    const uint16_t half = float_to_half(v);
    bytes.append(reinterpret_cast<const char*>(&half), sizeof half);
  }
  return bytes;
}

/// [1,6,5,4] as [1,G,5,4,k], k channels together, the last group filled up: with what is to be ignored.
std::vector<float> grouped(const std::vector<float>& chw, size_t k) {
  const size_t groups = (6 + k - 1) / k;
  std::vector<float> made(groups * 20 * k, -3.0f);
  for (size_t c = 0; c < 6; ++c)
    for (size_t p = 0; p < 20; ++p) made[(c / k * 20 + p) * k + c % k] = chw[c * 20 + p];
  return made;
}

TEST_F(CudaFlags, inputs_and_outputs_are_halves_and_groups_of_channels) {
  const std::string picture = picture_model();
  const std::vector<float> x = floats_of(read(at("picture.bin")));
  write(at("half.bin"), halves(x));
  ASSERT_EQ(quick("--noTF32 --loadInputs=x:picture.bin --exportOutput=gpu_own.json", picture).status, 0);
  const std::vector<double> own = values_of("gpu_own.json");
  ASSERT_EQ(own.size(), x.size());
  for (size_t i = 0; i < x.size(); ++i)
    EXPECT_NEAR(own[i], 1.25 * static_cast<double>(x[i]), 5.1e-6);  // exact, in half, too; printed with six digits
  const auto same = [&](const std::string& flags) {
    const Ran ran = quick("--noTF32 --dumpRawBindingsToFile --exportOutput=gpu_format.json " + flags, picture);
    EXPECT_EQ(ran.status, 0) << ran.err;
    EXPECT_EQ(values_of("gpu_format.json"), own) << flags;
    EXPECT_EQ(json_of(at("gpu_format.json"))[0]["dimensions"], "1x6x5x4") << flags;
  };
  same("--inputIOFormats=fp16:chw --loadInputs=x:half.bin");
  same("--outputIOFormats=fp16:chw --loadInputs=x:picture.bin");
  std::vector<float> y;
  for (const float v : x) y.push_back(1.25f * v);
  EXPECT_EQ(read(at("y.output.1.6.5.4.fp16.raw")), halves(y));
  for (const size_t k : {size_t{4}, size_t{32}}) {
    const std::string order = "chw" + std::to_string(k), file = "gpu_" + order;
    write(at(file), floats(grouped(x, k)));
    write(at(file + "_half"), halves(grouped(x, k)));
    same("--inputIOFormats=fp32:" + order + " --loadInputs=x:" + file);
    same("--inputIOFormats=fp16:" + order + " --loadInputs=x:" + file + "_half --outputIOFormats=fp16:" + order);
    const std::string dims = std::to_string((6 + k - 1) / k) + ".5.4." + std::to_string(k);
    std::vector<float> filled = grouped(y, k);
    for (float& v : filled) v = v == -3.0f ? 0.0f : v;  // an output is filled up with zeros
    EXPECT_EQ(read(at("y.output.1." + dims + ".fp16.raw")), halves(filled)) << k;
  }
  // Codes of a quantized network in groups, and a plan that runs on a CPU as well.
  const Ran built = quick("--int8 --inputIOFormats=int8:chw4 --skipInference --saveEngine=gpu_codes.plan");
  ASSERT_EQ(built.status, 0) << built.err;
  EXPECT_THAT(built.out, HasSubstr("input 'input': int8 codes, scale "));
  ASSERT_EQ(quick("--exportOutput=codes_gpu.json", "--loadEngine=gpu_codes.plan").status, 0);
  ASSERT_EQ(quick("--device=cpu --exportOutput=codes_cpu.json", "--loadEngine=gpu_codes.plan").status, 0);
  EXPECT_LT(difference("codes_cpu.json", "codes_gpu.json"), 2e-2);
}

double processor_seconds() {
  rusage usage{};
  getrusage(RUSAGE_CHILDREN, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + 1e-6 * static_cast<double>(t.tv_usec);
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

TEST_F(CudaFlags, tf32_is_the_default_and_noTF32_takes_it_away) {
  ASSERT_EQ(quick("--device=cpu --exportOutput=cpu.json").status, 0);
  const Ran with = quick("--exportOutput=tf32.json --saveEngine=tf32.plan");
  ASSERT_EQ(with.status, 0) << with.err;
  EXPECT_THAT(with.out, HasSubstr(", tf32"));
  const Ran without = quick("--noTF32 --exportOutput=fp32.json");
  ASSERT_EQ(without.status, 0) << without.err;
  EXPECT_THAT(without.out, Not(HasSubstr(", tf32")));
  EXPECT_LT(difference("cpu.json", "fp32.json"), 2e-5);
  EXPECT_GT(difference("cpu.json", "tf32.json"), 5e-5);
  EXPECT_LT(difference("cpu.json", "tf32.json"), 2e-2);
  EXPECT_THAT(quick("", "--loadEngine=tf32.plan").out, HasSubstr(", tf32"));
  ASSERT_EQ(quick("--device=cpu --exportOutput=again.json", "--loadEngine=tf32.plan").status, 0);
  EXPECT_EQ(read(at("again.json")), read(at("cpu.json")));
}

TEST_F(CudaFlags, fp16_is_faithful_to_half_precision_and_bf16_is_mapped_to_it) {
  ASSERT_EQ(quick("--device=cpu --exportOutput=cpu.json").status, 0);
  const Ran half = quick("--fp16 --exportOutput=fp16.json");
  ASSERT_EQ(half.status, 0) << half.err;
  EXPECT_THAT(half.out, HasSubstr(", f16"));
  EXPECT_GT(difference("cpu.json", "fp16.json"), 5e-5);
  EXPECT_LT(difference("cpu.json", "fp16.json"), 2e-2);
  const Ran other = quick("--bf16 --exportOutput=bf16.json");
  EXPECT_THAT(other.out, HasSubstr("no BF16 arithmetic on a GPU: mapped to --fp16"));
  EXPECT_LT(difference("fp16.json", "bf16.json"), 2e-2);
  EXPECT_THAT(other.out, HasSubstr(", f16"));
}

TEST_F(CudaFlags, float_layers_beside_int8_run_in_fp16) {
  ASSERT_EQ(quick("--device=cpu --int8 --exportOutput=cpu.json", quantized()).status, 0);
  const Ran mixed = quick("--int8 --fp16 --exportOutput=mixed.json --saveEngine=mixed.plan", quantized());
  ASSERT_EQ(mixed.status, 0) << mixed.err;
  EXPECT_THAT(mixed.out, HasSubstr(", f16"));
  EXPECT_LT(difference("cpu.json", "mixed.json"), 2e-2);
  EXPECT_THAT(shell(octet("inspect mixed.plan")).out, HasSubstr("int8 and fp16"));
  const Ran plain = quick("--int8 --noTF32 --exportOutput=plain.json", quantized());
  EXPECT_THAT(plain.out, Not(HasSubstr(", f16")));
  EXPECT_LT(difference("cpu.json", "plain.json"), 2e-5);
}

TEST_F(CudaFlags, layer_types_choose_fp16_for_float_layers) {
  const std::string common = "--int8 --precisionConstraints=obey ";
  const Ran half = quick(common + "--layerPrecisions=/7/Gemm:fp16");
  ASSERT_EQ(half.status, 0) << half.err;
  EXPECT_THAT(half.out, HasSubstr(", f16"));
  const Ran full = quick(common + "--layerPrecisions=/7/Gemm:fp32");
  EXPECT_THAT(full.out, HasSubstr(", tf32"));
  const Ran both = quick(common + "--layerPrecisions=/7/Gemm:fp32,/0/0.0/Conv:fp16");
  EXPECT_THAT(both.err, HasSubstr("/0/0.0/Conv:fp16: mapped to fp32"));
}

TEST_F(CudaFlags, best_measures_int8_against_fp16_and_repeats_its_choice) {
  const std::string best =
      k_model + " --best --verbose --timingCacheFile=best.cache --iterations=2 --duration=0 --saveEngine=";
  const Ran first = trtexec(best + "a.plan");
  ASSERT_EQ(first.status, 0) << first.err;
  for (const char* form : {"INT8", "FP16", "TF32"})
    EXPECT_THAT(first.out, HasSubstr("precision whole network, " + std::string(form) + ": ")) << form;
  const Ran second = trtexec(best + "b.plan");
  ASSERT_EQ(second.status, 0) << second.err;
  EXPECT_THAT(second.out, HasSubstr("precision: 0 timings taken, all others from the cache"));
  EXPECT_EQ(read(at("a.plan")), read(at("b.plan")));
}

TEST_F(CudaFlags, a_query_is_one_graph_or_its_kernels) {
  const Ran graph = quick("--useCudaGraph --exportOutput=graph.json", quantized_plan());
  ASSERT_EQ(graph.status, 0) << graph.err;
  EXPECT_THAT(graph.out, HasSubstr("Query: one CUDA graph, "));
  const Ran kernels = quick("--exportOutput=kernels.json", quantized_plan());
  EXPECT_THAT(kernels.out, HasSubstr("Query: kernels launched one by one"));
  EXPECT_EQ(read(at("graph.json")), read(at("kernels.json")));
  EXPECT_THAT(quick("--compat=11 --skipInference").out, Not(HasSubstr("Unknown option")));
  EXPECT_THAT(quick("--compat=11").out, HasSubstr("Query: one CUDA graph, "));
  EXPECT_THAT(quick("--compat=11 --noCudaGraph").out, HasSubstr("Query: kernels launched one by one"));
}

/// Whether some query's inputs were on their way while the one before it computed.
bool overlaps(const std::string& file) {
  const nlohmann::json queries = json_of(at(file));
  for (size_t i = 1; i < queries.size(); ++i)
    if (queries[i]["startH2dMs"].get<double>() < queries[i - 1]["endComputeMs"].get<double>()) return true;
  return false;
}

TEST_F(CudaFlags, transfers_overlap_the_compute_before_unless_they_are_exposed) {
  // One plan: two builds may choose other tiles, and float sums depend on them.
  ASSERT_EQ(quick("--shapes=input:512x3x32x32 --skipInference --saveEngine=deep.plan").status, 0);
  const std::string common = "--loadEngine=deep.plan --iterations=50 --duration=0 --warmUp=0 --exportTimes=";
  ASSERT_EQ(trtexec(common + "deep.json --exportOutput=deep_out.json").status, 0);
  EXPECT_TRUE(overlaps("deep.json"));
  const Ran exposed = trtexec(common + "exposed.json --exposeDMA --exportOutput=exposed_out.json");
  ASSERT_EQ(exposed.status, 0) << exposed.err;
  EXPECT_FALSE(overlaps("exposed.json"));
  EXPECT_EQ(read(at("deep_out.json")), read(at("exposed_out.json")));
  for (const nlohmann::json& q : json_of(at("deep.json"))) {
    EXPECT_GT(q["endComputeMs"], q["startComputeMs"]);
    EXPECT_GT(q["endH2dMs"], q["startH2dMs"]);
    EXPECT_GT(q["endEnqMs"], q["startEnqMs"]);
  }
}

TEST_F(CudaFlags, without_transfers_nothing_travels_and_the_outputs_are_those) {
  ASSERT_EQ(quick("--exportOutput=with.json", quantized_plan()).status, 0);
  const Ran without =
      quick("--noDataTransfers --exportOutput=without.json --exportTimes=without_times.json", quantized_plan());
  ASSERT_EQ(without.status, 0) << without.err;
  EXPECT_EQ(read(at("with.json")), read(at("without.json")));
  for (const nlohmann::json& q : json_of(at("without_times.json"))) EXPECT_EQ(q["h2dMs"].get<double>(), 0);
}

TEST_F(CudaFlags, the_host_waits_spinning_or_asleep) {
  const std::string common =
      k_model + " --shapes=input:4096x3x32x32 --noDataTransfers --useCudaGraph --exposeDMA --warmUp=0 ";
  ASSERT_EQ(trtexec(common + "--skipInference --saveEngine=wait.plan").status, 0);
  const auto cost = [](const std::string& flags) {
    const auto run = [&](int seconds) {
      const double before = processor_seconds();
      EXPECT_EQ(trtexec("--loadEngine=wait.plan --noDataTransfers --useCudaGraph --exposeDMA --warmUp=0 --duration=" +
                        std::to_string(seconds) + flags)
                    .status,
                0);
      return processor_seconds() - before;
    };
    const double loading = run(0);
    return (run(3) - loading) / 3;
  };
  EXPECT_GT(cost(" --useSpinWait"), 0.8);
  EXPECT_LT(cost(""), 0.6);
  EXPECT_THAT(quick("--compat=11").out, HasSubstr("the host waits spinning"));
  EXPECT_THAT(quick("--compat=11 --noSpinWait").out, HasSubstr("the host waits asleep"));
}

TEST_F(CudaFlags, managed_memory_gives_the_same_answers) {
  ASSERT_EQ(quick("--exportOutput=plain.json", quantized_plan()).status, 0);
  const Ran managed = quick("--useManagedMemory --exportOutput=managed.json", quantized_plan());
  ASSERT_EQ(managed.status, 0) << managed.err;
  EXPECT_THAT(managed.out, HasSubstr(", managed memory, "));
  EXPECT_EQ(read(at("plain.json")), read(at("managed.json")));
}

TEST_F(CudaFlags, memory_is_taken_for_the_largest_shapes_or_those_at_hand) {
  const std::string profiles =
      "--profile=0 --minShapes=input:1x3x32x32 --optShapes=input:1x3x32x32 --maxShapes=input:64x3x32x32 "
      "--profile=1 --minShapes=input:1x3x32x32 --optShapes=input:2x3x32x32 --maxShapes=input:256x3x32x32 ";
  ASSERT_EQ(quick(profiles + "--skipInference --saveEngine=wide.plan").status, 0);
  const auto activations = [](const std::string& strategy) {
    const Ran ran = quick("--useProfile=0 --allocationStrategy=" + strategy, "--loadEngine=wide.plan");
    EXPECT_EQ(ran.status, 0) << ran.err;
    return number_after(ran.out, ", activations ");
  };
  const double all = activations("static"), one = activations("profile"), own = activations("runtime");
  EXPECT_GT(all, 3 * one);
  EXPECT_GT(one, 10 * own);
}

TEST_F(CudaFlags, devices_are_chosen_by_number) {
  EXPECT_THAT(quick("").out, HasSubstr("Selected Device: CUDA device 0"));
  for (const std::string number : {"99", "2147483648"}) {
    const Ran absent = quick("--device=" + number);
    EXPECT_EQ(absent.status, 1);
    EXPECT_THAT(absent.err, HasSubstr("Cannot find device ID " + number + "!"));
  }
  if (!has_device("cuda:1")) return;
  ASSERT_EQ(quick("--exportOutput=zero.json", quantized_plan()).status, 0);
  const Ran second = quick("--device=1 --exportOutput=one.json --infStreams=2", quantized_plan());
  ASSERT_EQ(second.status, 0) << second.err;
  EXPECT_THAT(second.out, HasSubstr("Selected Device: CUDA device 1"));
  EXPECT_EQ(read(at("zero.json")), read(at("one.json")));
  const Ran run = shell(octet("bench g.onnx --precision int8 --device cuda:1 --iterations 3 --duration 0 --warm-up 0"));
  EXPECT_EQ(run.status, 0) << run.err;
}

TEST_F(CudaFlags, inner_tensors_are_seen_on_a_gpu_too) {
  const std::string names = "--int8 --saveAllDebugTensors=summary ";
  const Ran gpu = quick(names, quantized()), cpu = quick(names + "--device=cpu", quantized());
  ASSERT_EQ(gpu.status, 0) << gpu.err;
  EXPECT_THAT(gpu.out, HasSubstr("Debug tensor "));
  EXPECT_GT(number_after(gpu.out, "[I] Saved "), 4);
  EXPECT_EQ(number_after(gpu.out, "[I] Saved "), number_after(cpu.out, "[I] Saved "));
}

/// Each layer's time is what it adds to the run, so that they sum up to it.
TEST_F(CudaFlags, layers_sum_up_to_the_run) {
  const Ran ran = quick("--int8 --separateProfileRun --dumpProfile --exportProfile=layers.json", quantized());
  ASSERT_EQ(ran.status, 0) << ran.err;
  const double run = number_after(ran.out, "%) = run ");
  EXPECT_GT(run, 0);
  EXPECT_LT(std::abs(number_after(ran.out, " ms + unattributed ")), 0.03 * run);
  double sum = 0;
  for (const nlohmann::json& layer : json_of(at("layers.json")))
    if (layer.contains("averageMs")) sum += layer["averageMs"].get<double>();
  EXPECT_NEAR(sum, run, 0.03 * run);
}

// ---- the commands ----

TEST_F(CudaFlags, build_keeps_times_and_tiles_and_measures_nothing_again) {
  const std::string build = octet("build g.onnx --precision int8 --device cuda --timing-cache gpu.cache --quiet -o ");
  quantized();
  ASSERT_EQ(shell(build + "one.plan").status, 0);
  const std::string times = read(at("gpu.cache"));
  EXPECT_THAT(times, HasSubstr("cuda "));
  ASSERT_EQ(shell(build + "two.plan").status, 0);
  EXPECT_EQ(read(at("gpu.cache")), times);
  EXPECT_EQ(read(at("one.plan")), read(at("two.plan")));
  EXPECT_THAT(shell(octet("inspect one.plan")).out, HasSubstr("conv_u8s8 "));
  const Ran elsewhere = shell(octet("run one.plan --data shapes:4 --preprocess rgb,norm=half -o y.npy --verbose"));
  EXPECT_THAT(elsewhere.err, HasSubstr("tuning of the plan ignored: it was measured on 'cuda "));
}

TEST_F(CudaFlags, compare_sees_the_layers_of_a_plan_on_the_gpu) {
  quantized();
  ASSERT_EQ(shell(octet("build " OCTET_DEMO_MODEL
                        " --precision int8 --calib-data shapes-train:32 --preprocess rgb,norm=half --quiet -o c.plan"))
                .status,
            0);
  const auto layers = [](const std::string& device) {
    const Ran ran =
        shell(octet("compare " OCTET_DEMO_MODEL " c.plan --data shapes:16 --json --quiet --device " + device));
    EXPECT_EQ(ran.status, 0) << ran.err;
    return ran.status == 0 ? nlohmann::json::parse(ran.out) : nlohmann::json();
  };
  const nlohmann::json gpu = layers("cuda"), cpu = layers("cpu");
  ASSERT_EQ(gpu["layers"].size(), cpu["layers"].size());
  EXPECT_EQ(gpu["unchanged"], true);
}

TEST_F(CudaFlags, eval_gives_the_cpus_accuracy) {
  quantized();
  const auto accuracy = [](const std::string& device) {
    const Ran ran = shell(octet("eval g.onnx --data shapes:200 --preprocess rgb,norm=half --device " + device));
    EXPECT_EQ(ran.status, 0) << ran.err;
    return number_after(ran.out, "Evaluation Accuracy: ");
  };
  EXPECT_EQ(accuracy("cuda"), accuracy("cpu"));
}

}  // namespace
}  // namespace octet::cli::trtexec
