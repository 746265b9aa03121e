// Names of fused layers: what trtexec tells of them, and takes back.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "running.h"

namespace octet::cli::trtexec {
namespace {

using testing::HasSubstr;

TEST(LayerNames, join_what_was_fused_in_layer_file_profile_and_log_and_stay_in_the_plan) {
  const std::string files = "--dumpProfile --separateProfileRun --profilingVerbosity=detailed --verbose ";
  const Ran built =
      quick(files + "--int8 --exportLayerInfo=built.json --exportProfile=built_profile.json --saveEngine=names.plan");
  ASSERT_EQ(built.status, 0) << built.err;
  std::vector<std::string> names, profiled;
  std::multiset<std::string> layers;
  const nlohmann::json file = json_of(at("built.json"));
  for (const nlohmann::json& layer : file["Layers"]) {
    names.push_back(layer["Name"]);
    EXPECT_THAT(built.out, HasSubstr(": " + names.back() + ", Tactic: ")) << "Engine Layer Information";
    std::string metadata = layer["Metadata"];
    for (size_t from = 0; from < metadata.size();) {
      const size_t end = std::min(metadata.find('\x1e', from), metadata.size());
      layers.insert(metadata.substr(from, end - from));
      from = end + 1;
    }
  }
  const auto one = [&](const std::string& name) { return std::count(names.begin(), names.end(), name); };
  EXPECT_EQ(one("/2/b/b.0/Conv + /2/Add + /2/Relu_1"), 1) << testing::PrintToString(names);
  for (const std::string layer : {"/0/0.0/Conv", "/1/Relu", "/2/Add", "/3/a/a.0/Conv", "/7/Gemm"})
    EXPECT_EQ(layers.count("[ONNX Layer: " + layer + "]"), 1u) << layer;
  const nlohmann::json profile = json_of(at("built_profile.json"));
  for (const nlohmann::json& row : profile)
    if (row.contains("name")) profiled.push_back(row["name"]);
  EXPECT_EQ(profiled, names);
  ASSERT_EQ(quick(files + "--exportLayerInfo=loaded.json", "--loadEngine=names.plan").status, 0);
  EXPECT_EQ(json_of(at("loaded.json"))["Layers"], file["Layers"]);
}

TEST(LayerNames, that_are_told_are_taken_back) {
  const std::string common = "--int8 --skipInference --profilingVerbosity=detailed --exportLayerInfo=back.json ";
  ASSERT_EQ(quick(common).status, 0);
  const nlohmann::json file = json_of(at("back.json"));
  int taken = 0;
  for (const nlohmann::json& layer : file["Layers"]) {
    const std::string name = layer["Name"];
    if (layer["Metadata"] == "") continue;  // octet's own
    EXPECT_EQ(quick(common + "--precisionConstraints=obey '--layerPrecisions=" + name + ":fp32'").status, 0) << name;
    ++taken;
  }
  EXPECT_EQ(taken, 12);
  // A part of a layer stands for the layer.
  ASSERT_EQ(quick(common + "--precisionConstraints=obey --layerPrecisions=/1/Relu:fp32").status, 0);
  const nlohmann::json after = json_of(at("back.json"));
  for (const nlohmann::json& layer : after["Layers"]) {
    if (stands_for(layer, "/1/Relu")) {
      EXPECT_EQ(layer["LayerType"], "FusedConv");
    }
    if (stands_for(layer, "/7/Gemm")) {
      EXPECT_EQ(layer["LayerType"], "QuantGemm");
    }
  }
}

}  // namespace
}  // namespace octet::cli::trtexec
