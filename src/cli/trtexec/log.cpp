#include "cli/trtexec/log.h"

#include <cstdio>
#include <ctime>

#include "cli/terminal.h"
#include "cli/trtexec/command_line.h"

namespace octet::cli::trtexec {
namespace {

std::string stamp() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  ::localtime_r(&now, &parts);
  char text[32];
  std::strftime(text, sizeof text, "[%m/%d/%Y-%H:%M:%S]", &parts);
  return text;
}

/// Both streams are flushed, so that a log that takes both keeps its order and its lines.
void write(std::FILE* stream, const char* severity, const std::string& text) {
  std::fflush(stdout);
  const std::string head = stamp() + " [" + severity + "] ";
  for (const std::string& line : split(text, '\n')) show(stream, head + line + "\n");
  std::fflush(stream);
}

}  // namespace

void Log::verbose(const std::string& text) const {
  if (verbose_) write(stdout, "V", text);
}
void Log::info(const std::string& text) const { write(stdout, "I", text); }
void Log::warning(const std::string& text) const { write(stderr, "W", text); }
void Log::error(const std::string& text) const { write(stderr, "E", text); }

void Log::bare(const std::string& text) const {
  show(stdout, text + "\n");
  std::fflush(stdout);
}

}  // namespace octet::cli::trtexec
