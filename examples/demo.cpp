// The whole story on one network: read, calibrate, quantize, export, run in INT8, measure, prove. `make demo` runs it.
// usage: octet_demo [OUTPUT_FOLDER]
//
// With OCTET_DATA set it takes a ResNet-18 trained on CIFAR-10 and the CIFAR-10 test images; without, the small network
// beside this file and pictures that octet draws itself.

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "octet/model.h"
#include "octet/session.h"
#include "octet/tasks.h"
#include "report/text_table.h"

namespace {

using namespace octet;

struct Story {
  std::string model, title, test_data, calibration_data, preprocess;
};

Story story_for(const char* octet_data) {
  if (octet_data && *octet_data) {
    const std::string root = octet_data;
    return {root + "/models/resnet18_c10.onnx", "ResNet-18 on CIFAR-10 (10,000 test images)",
            root + "/cifar10/test_batch.bin", root + "/cifar10/train_exact_4000.bin", "cifar10"};
  }
  return {OCTET_DEMO_MODEL, "a small network on 2,000 drawn pictures (set OCTET_DATA for CIFAR-10)", "shapes:2000",
          "shapes-train:512", "rgb,norm=half"};
}

int fail(const Error& error) {
  std::fprintf(stderr, "error[%s] %s\n", std::string(name(error.code)).c_str(), error.message.c_str());
  return 1;
}

std::string mib(const std::string& path) {
  return fixed(static_cast<double>(std::filesystem::file_size(path)) / 1048576.0, 2) + " MiB";
}

int tell(const std::string& folder) {
  const Story story = story_for(std::getenv("OCTET_DATA"));
  std::printf("octet demo: %s\n%s\n\n", story.title.c_str(), version_text().c_str());

  std::printf("1. Read the float model\n");
  const Result<Model> model = Model::load(story.model);
  if (!model) return fail(model.error());
  for (const TensorInfo& in : model->inputs())
    std::printf("   input  %s %s %s\n", in.name.c_str(), in.dtype.c_str(), in.shape.c_str());
  for (const TensorInfo& out : model->outputs())
    std::printf("   output %s %s %s\n", out.name.c_str(), out.dtype.c_str(), out.shape.c_str());

  std::printf("2. Calibrate: the range of every activation on 512 training images\n");
  CalibrateSpec calibration;
  calibration.data = {.path = story.calibration_data, .preprocess = story.preprocess, .limit = 512, .shuffle_seed = -1};
  calibration.threads = 0;
  const Result<Ranges> ranges = calibrate(*model, calibration);
  if (!ranges) return fail(ranges.error());
  if (const Result<Done> saved = ranges->save(folder + "/ranges.json"); !saved) return fail(saved.error());

  std::printf("3. Quantize and export: %s/int8.onnx\n", folder.c_str());
  const Result<Quantized> quantized = quantize(*model, *ranges, {});
  if (!quantized) return fail(quantized.error());
  const std::string int8_path = folder + "/int8.onnx";
  if (const Result<Done> saved = quantized->model.save(int8_path); !saved) return fail(saved.error());
  const Result<Model> int8 = Model::load(int8_path);
  if (!int8) return fail(int8.error());
  std::printf("   %lld of %lld ops in INT8\n", static_cast<long long>(quantized->quantized),
              static_cast<long long>(quantized->total));

  std::printf("4. Prove the accuracy on labelled images\n");
  SessionSpec spec;
  spec.threads = 0;
  spec.batch = 8;
  Result<Session> float_session = Session::build(*model, spec);
  if (!float_session) return fail(float_session.error());
  spec.precision = "int8";
  Result<Session> int8_session = Session::build(*int8, spec);
  if (!int8_session) return fail(int8_session.error());
  const EvaluateSpec evaluation{.data = {.path = story.test_data, .preprocess = story.preprocess}, .progress = {}};
  const Result<EvaluationReport> accuracy = evaluate(*float_session, "FP32", &*int8_session, "INT8", evaluation);
  if (!accuracy) return fail(accuracy.error());

  std::printf("5. Measure, one image at a time, one thread, float and INT8 in turns\n\n");
  spec.threads = 1;
  spec.batch = 1;
  spec.precision = "fp32";
  Result<Session> float_one = Session::build(*model, spec);
  if (!float_one) return fail(float_one.error());
  spec.precision = "int8";
  Result<Session> int8_one = Session::build(*int8, spec);
  if (!int8_one) return fail(int8_one.error());
  const auto speed =
      bench_paired(*float_one, "FP32", *int8_one, "INT8", {.iterations = 100, .duration_s = 2, .warmup_ms = 200});
  if (!speed) return fail(speed.error());

  const auto median = [](const PerformanceReport& r) {
    std::vector<float> ms;
    for (const QueryTimes& q : r.queries) ms.push_back(q.compute);
    return summarize_latency(ms, {}).median;
  };
  const double slow = median(speed->first), fast = median(speed->second);
  const auto accuracy_cell = [](const Evaluation& e) { return fixed(100 * e.top1(), 2) + " %"; };
  std::printf("%s",
              text_table({{"", "top-1", "latency", "speed-up", "size"},
                          {"FP32", accuracy_cell(accuracy->first), fixed(slow, 3) + " ms", "1.00", mib(story.model)},
                          {"INT8", accuracy_cell(*accuracy->second), fixed(fast, 3) + " ms", fixed(slow / fast, 2),
                           mib(int8_path)}})
                  .c_str());
  std::printf("\n%lld images, %.2f %% same answers; latency: median of %zu runs, batch 1, %s\n",
              static_cast<long long>(accuracy->first.images), 100 * accuracy->comparison->agreement,
              speed->first.queries.size(), float_one->description().c_str());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string folder = argc > 1 ? argv[1] : "build/demo";
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) return fail({ErrorCode::io, folder + ": " + error.message()});
  return tell(folder);
}
