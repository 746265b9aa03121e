// The two commands of the eager-mode example, unchanged, from a script: the float ResNet and its s8 Q/DQ form.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "running.h"

namespace {

using testing::HasSubstr;
namespace fs = std::filesystem;

std::string read(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

constexpr const char* k_script = R"(set -e
PATH="$PWD:$PATH"
trtexec --onnx=saved_models/resnet_cifar10.onnx --saveEngine=saved_models/resnet_cifar10_fp16.engine --fp16 --separateProfileRun --exportLayerInfo=saved_models/resnet_cifar10_fp16_layer_info.json --exportProfile=saved_models/resnet_cifar10_fp16_profile.json --verbose &> saved_models/resnet_cifar10_fp16_build_log.txt
trtexec --onnx=saved_models/resnet_quantized_cifar10_modified.onnx --saveEngine=saved_models/resnet_cifar10_int8.engine --int8 --separateProfileRun --exportLayerInfo=saved_models/resnet_cifar10_int8_layer_info.json --exportProfile=saved_models/resnet_cifar10_int8_profile.json --verbose &> saved_models/resnet_cifar10_int8_build_log.txt
)";

class SeedCommands : public testing::Test {
 protected:
  void SetUp() override {
    const char* data = std::getenv("OCTET_DATA");
    if (!data) GTEST_SKIP() << "OCTET_DATA is not set";
    folder_ = fs::temp_directory_path() / ("octet_seed_" + std::to_string(::getpid()));
    fs::create_directories(folder_ / "saved_models");
    fs::create_symlink(OCTET_PROGRAM, folder_ / "trtexec");
    const std::string model = std::string(data) + "/models/resnet18_cifar10.onnx";
    fs::create_symlink(model, folder_ / "saved_models/resnet_cifar10.onnx");
    const std::string quantize =
        std::string(OCTET_PROGRAM) + " quantize " + model + " --target tensorrt --calib-data " + data +
        "/cifar10/train_exact_4000.bin --calib-limit 32 --preprocess cifar10 --quiet -o " +
        (folder_ / "saved_models/resnet_quantized_cifar10_modified.onnx").string() + " > /dev/null";
    ASSERT_EQ(std::system(quantize.c_str()), 0);
  }
  void TearDown() override { fs::remove_all(folder_); }
  fs::path folder_;
};

void expect_complete(const fs::path& models, const std::string& name) {
  const std::string log = read(models / (name + "_build_log.txt"));
  EXPECT_THAT(log, HasSubstr("&&&& PASSED octet.trtexec")) << log.substr(log.size() > 2000 ? log.size() - 2000 : 0);
  for (const char* line :
       {"[I] === Performance summary ===", "[I] Throughput: ", "[I] Latency: min = ", "[I] Enqueue Time: min = ",
        "[I] H2D Latency: min = ", "[I] GPU Compute Time: min = ", "[I] D2H Latency: min = ",
        "[I] Total Host Walltime: ", "[I] Total GPU Compute Time: ", "[V] Engine Layer Information:"})
    EXPECT_THAT(log, HasSubstr(line));
  EXPECT_GT(fs::file_size(models / (name + ".engine")), 100000u);
  const nlohmann::json layers = nlohmann::json::parse(read(models / (name + "_layer_info.json")));
  const nlohmann::json profile = nlohmann::json::parse(read(models / (name + "_profile.json")));
  EXPECT_EQ(profile.size(), layers["Layers"].size() + 1);
  EXPECT_GT(profile[0]["count"].get<int64_t>(), 100);
}

TEST_F(SeedCommands, run_unchanged) {
  std::ofstream(folder_ / "script.sh") << k_script;
  octet::cli::trtexec::note_flags(k_script);
  const std::string line = "cd " + folder_.string() + " && bash script.sh";
  ASSERT_EQ(std::system(line.c_str()), 0) << read(folder_ / "saved_models/resnet_cifar10_fp16_build_log.txt");
  expect_complete(folder_ / "saved_models", "resnet_cifar10_fp16");
  expect_complete(folder_ / "saved_models", "resnet_cifar10_int8");
  const std::string fp16 = read(folder_ / "saved_models/resnet_cifar10_fp16_build_log.txt");
  EXPECT_THAT(fp16, HasSubstr("--fp16: on a CPU what is not INT8 runs in BF16 where AMX has it"));
  const std::string int8 = read(folder_ / "saved_models/resnet_cifar10_int8_build_log.txt");
  EXPECT_THAT(int8, testing::Not(HasSubstr("UNCALIBRATED")));
  EXPECT_THAT(int8, HasSubstr("[V] Layer(QuantConv): "));
}

}  // namespace
