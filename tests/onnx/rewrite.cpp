// octet_onnx_rewrite IN OUT [OPSET]: reads an ONNX file and writes it again, printing the reader's notes.
// tools/check_onnx_roundtrip.py drives it.

#include <cstdio>
#include <cstdlib>

#include "onnx/onnx.h"

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fprintf(stderr, "usage: octet_onnx_rewrite IN OUT [OPSET]\n");
    return 2;
  }
  const octet::Result<octet::OnnxModel> model = octet::read_onnx(argv[1]);
  if (!model) {
    std::fprintf(stderr, "%s\n", model.error().message.c_str());
    return 1;
  }
  for (const std::string& note : model->info.notes) std::printf("note: %s\n", note.c_str());
  const octet::OnnxWriteOptions options{.opset = argc > 3 ? std::atol(argv[3]) : 0};
  const octet::Result<octet::Done> written = octet::write_onnx_file(argv[2], model->graph, options);
  if (!written) {
    std::fprintf(stderr, "%s\n", written.error().message.c_str());
    return 1;
  }
  return 0;
}
