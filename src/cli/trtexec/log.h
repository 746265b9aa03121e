#pragma once
// trtexec's log: "[MM/DD/YYYY-HH:MM:SS] [I] text", V and I on stdout, W, E and F on stderr.

#include <string>

namespace octet::cli::trtexec {

class Log {
 public:
  explicit Log(bool verbose = false) : verbose_(verbose) {}
  void set_verbose(bool on) { verbose_ = on; }

  /// A text of several lines becomes several entries.
  void verbose(const std::string& text) const;
  void info(const std::string& text) const;
  void warning(const std::string& text) const;
  void error(const std::string& text) const;
  /// A line without time stamp, on stdout.
  void bare(const std::string& text) const;

 private:
  bool verbose_;
};

}  // namespace octet::cli::trtexec
