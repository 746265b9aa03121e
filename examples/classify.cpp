// Classifies pictures: classify MODEL PICTURE_OR_FOLDER PREPROCESS [CLASS_NAMES]
//   classify resnet18_int8.onnx cat.jpg imagenet imagenet_classes.txt

#include <cstdio>

#include "octet/session.h"
#include "octet/tasks.h"

int main(int argc, char** argv) {
  if (argc < 4) {
    std::fprintf(stderr, "usage: classify MODEL PICTURE_OR_FOLDER PREPROCESS [CLASS_NAMES]\n");
    return 2;
  }
  octet::Result<octet::Session> session = octet::Session::open(argv[1], {});
  if (!session) {
    std::fprintf(stderr, "%s\n", session.error().message.c_str());
    return 1;
  }
  octet::ClassifySpec spec;
  spec.data = {.path = argv[2], .preprocess = argv[3]};
  if (argc > 4) spec.classes_file = argv[4];
  const octet::Result<octet::ClassifyReport> report = octet::classify(*session, spec);
  if (!report) {
    std::fprintf(stderr, "%s\n", report.error().message.c_str());
    return 1;
  }
  for (const octet::Classification& image : report->images) {
    std::printf("%s\n", image.image.c_str());
    for (const octet::ClassLine& line : image.lines)
      std::printf("  %5.1f %%  %s\n", line.confidence, line.name.c_str());
  }
  return 0;
}
