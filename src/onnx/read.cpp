#include <filesystem>

#include "base/diagnostics.h"
#include "ir/op.h"
#include "onnx/importer.h"

namespace octet {
namespace {

Result<OnnxModel> read_and_verify(ByteSpan bytes, std::shared_ptr<const void> keep_alive,
                                  std::optional<std::string> folder, const OnnxReadOptions& options) {
  Result<OnnxModel> model = options.with_problems
                                ? import_with_problems(bytes, std::move(keep_alive), std::move(folder))
                                : import_onnx(bytes, std::move(keep_alive), std::move(folder));
  if (!model || !options.verify || !model->problems.empty()) return model;
  if (Result<Done> ok = verify(model->graph); !ok) return ok.error();
  return model;
}

}  // namespace

Result<OnnxModel> import_onnx(ByteSpan bytes, std::shared_ptr<const void> keep_alive,
                              std::optional<std::string> folder) {
  Result<OnnxModel> model = import_with_problems(bytes, std::move(keep_alive), std::move(folder));
  if (model && !model->problems.empty()) return join_problems(std::move(model->problems));
  return model;
}

Result<OnnxModel> import_with_problems(ByteSpan bytes, std::shared_ptr<const void> keep_alive,
                                       std::optional<std::string> folder) {
  Result<ProtoModel> proto = parse_model(bytes);
  if (!proto) return proto.error();
  if (Result<Done> ok = inline_functions(*proto, bytes.data()); !ok) return ok.error();
  Result<OnnxModel> model = Importer(*proto, TensorReader(bytes, std::move(keep_alive), std::move(folder))).run();
  if (!model) return model;
  const Result<int64_t> opset = default_opset(*proto);
  for (const ProtoFunction& f : proto->functions)
    if (opset && f.opset != 0 && f.opset != *opset)
      model->info.notes.push_back("function '" + std::string(f.name) + "' is of opset " + std::to_string(f.opset) +
                                  " in a file of opset " + std::to_string(*opset) +
                                  ": its nodes mean what its own opset says, as ONNX has it; ONNX Runtime reads them "
                                  "by the file's");
  return model;
}

Result<OnnxModel> read_onnx(std::span<const std::byte> bytes, std::shared_ptr<const void> keep_alive,
                            const OnnxReadOptions& options) {
  return read_and_verify(bytes, std::move(keep_alive), {}, options);
}

Result<OnnxModel> read_onnx(const std::string& path, const OnnxReadOptions& options) {
  Result<std::shared_ptr<const MappedFile>> file = MappedFile::open(path);
  if (!file) return file.error();
  const std::string folder = std::filesystem::path(path).parent_path().string();
  Result<OnnxModel> model = read_and_verify((*file)->bytes(), *file, folder.empty() ? "." : folder, options);
  if (!model) return within_each(path, model.error());
  return model;
}

}  // namespace octet
