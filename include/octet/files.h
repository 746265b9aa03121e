#pragma once
// Writing files: to a temporary name, synced and renamed, but for reports.

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace octet {

/// Says before long work whether an output can be written there: its folder exists, and what lies there may be
/// replaced. inputs: files and folders that the command reads; an output that would replace one of them, or a file in
/// such a folder, is an error. An empty path is all right.
Result<Done> check_output(const std::string& path, const std::vector<std::string>& inputs = {});
/// Outputs of one command, each with its flag: two that are the same file are an Error that names both. Empty = none.
Result<Done> check_apart(const std::vector<std::pair<std::string, std::string>>& outputs);
/// The same for write_report_file, which writes in place: a pipe or a device is all right.
Result<Done> check_report(const std::string& path, const std::vector<std::string>& inputs = {});
Result<Done> write_text_file(const std::string& path, std::string_view text);
/// In place, as trtexec writes its reports: a reader may hold the file open already, and the path may be a pipe.
Result<Done> write_report_file(const std::string& path, std::string_view text);
Result<Done> write_binary_file(const std::string& path, std::span<const std::byte> bytes);

}  // namespace octet
