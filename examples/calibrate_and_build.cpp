// From a float network to an engine file: calibrate_and_build MODEL.onnx CALIBRATION_DATA PREPROCESS OUT.plan

#include <cstdio>

#include "octet/engine_file.h"
#include "octet/model.h"
#include "octet/ranges.h"

namespace {

octet::Result<octet::Done> build(const char* model_file, const char* data, const char* preprocess, const char* plan) {
  const octet::Result<octet::Model> model = octet::Model::load(model_file);
  if (!model) return model.error();

  octet::CalibrateSpec calibration;
  calibration.data = {.path = data, .preprocess = preprocess, .limit = 512};
  calibration.threads = 0;  // all
  const octet::Result<octet::Ranges> ranges = octet::calibrate(*model, calibration);
  if (!ranges) return ranges.error();

  const octet::Result<octet::Quantized> quantized = octet::quantize(*model, *ranges, {});
  if (!quantized) return quantized.error();
  std::printf("%lld of %lld layers in INT8\n", static_cast<long long>(quantized->quantized),
              static_cast<long long>(quantized->total));

  const octet::Result<octet::EngineFile> engine = octet::build_engine(quantized->model, {});
  if (!engine) return engine.error();
  return engine->save(plan);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 5) {
    std::fprintf(stderr, "usage: calibrate_and_build MODEL.onnx CALIBRATION_DATA PREPROCESS OUT.plan\n");
    return 2;
  }
  const octet::Result<octet::Done> done = build(argv[1], argv[2], argv[3], argv[4]);
  if (done) return 0;
  std::fprintf(stderr, "%s\n", done.error().message.c_str());
  return 1;
}
