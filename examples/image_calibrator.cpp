// The practical guide's ImageCalibrator (a Python class over TensorRT), ported. What changed: trt. became octet::, the
// pointers are host memory, and config.int8_calibrator = ImageCalibrator(dir) became octet::calibrate(model,
// calibrator). The second run finds calibration.cache and asks for no picture.
//
//   octet_image_calibrator MODEL.onnx IMAGE_FOLDER OUT.onnx [PREPROCESS [SIZE [CACHE_FILE]]]
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "octet/calibrator.h"
#include "octet/model.h"

namespace {

class ImageCalibrator : public octet::IInt8EntropyCalibrator2 {
 public:
  ImageCalibrator(std::vector<std::string> image_paths, std::string preprocess, int64_t size, std::string cache_file,
                  int32_t batch_size = 1)
      : batch_size_(batch_size),
        image_paths_(std::move(image_paths)),
        preprocess_(std::move(preprocess)),
        size_(size),
        cache_file_(std::move(cache_file)),
        image_(static_cast<size_t>(3 * size * size)),
        input_(static_cast<size_t>(batch_size) * image_.size()) {}

  int32_t getBatchSize() const noexcept override { return batch_size_; }

  bool getBatch(void* bindings[], const char* names[], int32_t count) noexcept override {
    if (count != 1 || current_index_ + static_cast<size_t>(batch_size_) > image_paths_.size()) return false;
    for (int32_t i = 0; i < batch_size_; ++i) {
      const std::string& path = image_paths_[current_index_++];
      const octet::Result<octet::Done> read = octet::read_picture(path, preprocess_, size_, size_, image_.data());
      if (!read) {
        std::fprintf(stderr, "%s: %s\n", names[0], read.error().message.c_str());
        return false;
      }
      float* slot = input_.data() + static_cast<size_t>(i) * image_.size();
      octet::copy_to_binding(slot, image_.data(), image_.size() * sizeof(float), memory());
    }
    bindings[0] = input_.data();
    return true;
  }

  const void* readCalibrationCache(std::size_t& length) noexcept override {
    std::ifstream file(cache_file_, std::ios::binary);
    cache_.assign(std::istreambuf_iterator<char>(file), {});
    length = cache_.size();
    return cache_.empty() ? nullptr : cache_.data();
  }

  void writeCalibrationCache(const void* ptr, std::size_t length) noexcept override {
    std::ofstream(cache_file_, std::ios::binary)
        .write(static_cast<const char*>(ptr), static_cast<std::streamsize>(length));
  }

  size_t images_read() const { return current_index_; }

 private:
  int32_t batch_size_;
  size_t current_index_ = 0;
  std::vector<std::string> image_paths_;
  std::string preprocess_;
  int64_t size_;
  std::string cache_file_;
  std::vector<float> image_, input_;
  std::vector<char> cache_;
};

int fail(const octet::Error& error) {
  std::fprintf(stderr, "%s\n", error.message.c_str());
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4) {
    std::fprintf(stderr, "usage: %s MODEL.onnx IMAGE_FOLDER OUT.onnx [PREPROCESS [SIZE [CACHE_FILE]]]\n", argv[0]);
    return 2;
  }
  const std::string preprocess = argc > 4 ? argv[4] : "opencv224";
  const int64_t size = argc > 5 ? std::atoll(argv[5]) : 224;
  const std::string cache_file = argc > 6 ? argv[6] : "calibration.cache";
  const octet::Result<octet::Model> model = octet::Model::load(argv[1]);
  if (!model) return fail(model.error());
  const octet::Result<std::vector<std::string>> images = octet::picture_files(argv[2]);
  if (!images) return fail(images.error());

  ImageCalibrator calibrator(*images, preprocess, size, cache_file);
  const octet::Result<octet::Ranges> ranges = octet::calibrate(*model, calibrator);
  if (!ranges) return fail(ranges.error());
  for (const std::string& note : ranges->notes) std::fprintf(stderr, "%s\n", note.c_str());
  std::printf("%zu images read\n", calibrator.images_read());

  octet::QuantizeSpec spec;
  spec.target = "tensorrt";
  const octet::Result<octet::Quantized> quantized = octet::quantize(*model, *ranges, spec);
  if (!quantized) return fail(quantized.error());
  const octet::Result<octet::Done> saved = quantized->model.save(argv[3]);
  if (!saved) return fail(saved.error());
  std::printf("wrote %s\n", argv[3]);
  return 0;
}
