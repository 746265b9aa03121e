#include "octet/files.h"

#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "base/file.h"

namespace octet {

namespace {

/// That the file is none of the inputs, nor in a folder of them.
Result<Done> is_no_input(const std::string& path, const std::vector<std::string>& inputs) {
  namespace fs = std::filesystem;
  std::error_code ignored;
  const bool replaces = fs::exists(path, ignored);
  for (const std::string& input : inputs) {
    if (!replaces || input.empty() || !fs::exists(input, ignored)) continue;
    bool same = fs::equivalent(path, input, ignored);
    if (fs::is_directory(input, ignored))
      for (fs::path at = fs::canonical(path, ignored); !same && at.has_relative_path(); at = at.parent_path())
        same = fs::equivalent(at, input, ignored);
    if (same)
      return Error{ErrorCode::io,
                   path + ": cannot be replaced: it is an input of this command; give another output name"};
  }
  return Done{};
}

Error unwritable(const std::string& path) {
  return {ErrorCode::io, "cannot write " + path + ": is its folder there, and is there room?"};
}

}  // namespace

Result<Done> check_output(const std::string& path, const std::vector<std::string>& inputs) {
  if (path.empty()) return Done{};
  if (const Result<Done> ok = is_no_input(path, inputs); !ok) return ok;
  return may_write(path);
}

Result<Done> check_apart(const std::vector<std::pair<std::string, std::string>>& outputs) {
  namespace fs = std::filesystem;
  std::error_code ignored;
  const auto place = [&](const std::string& path) {
    return fs::weakly_canonical(fs::absolute(path, ignored), ignored);
  };
  for (size_t i = 0; i < outputs.size(); ++i)
    for (size_t j = i + 1; j < outputs.size(); ++j) {
      const auto& [first, a] = outputs[i];
      const auto& [second, b] = outputs[j];
      if (!a.empty() && !b.empty() && place(a) == place(b))
        return Error{ErrorCode::bad_argument, first + " and " + second + " both write " + a +
                                                  ": the second would replace the first; give each a file of its own"};
    }
  return Done{};
}

Result<Done> check_report(const std::string& path, const std::vector<std::string>& inputs) {
  namespace fs = std::filesystem;
  if (path.empty()) return Done{};
  if (const Result<Done> ok = is_no_input(path, inputs); !ok) return ok;
  std::error_code ignored;
  if (fs::is_directory(path, ignored)) return Error{ErrorCode::io, "cannot write " + path + ": it is a folder"};
  const fs::path folder = fs::path(path).parent_path();
  const bool there = fs::exists(path, ignored);
  const bool writable =
      there ? ::access(path.c_str(), W_OK) == 0 : ::access(folder.empty() ? "." : folder.c_str(), W_OK | X_OK) == 0;
  if (!writable) return unwritable(path);
  return Done{};
}

Result<Done> write_text_file(const std::string& path, std::string_view text) {
  return write_file_atomically(path, text);
}

Result<Done> write_report_file(const std::string& path, std::string_view text) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file.write(text.data(), static_cast<std::streamsize>(text.size()));
  file.close();
  if (!file) return unwritable(path);
  return Done{};
}

Result<Done> write_binary_file(const std::string& path, std::span<const std::byte> bytes) {
  return write_file_atomically(path, bytes);
}

}  // namespace octet
