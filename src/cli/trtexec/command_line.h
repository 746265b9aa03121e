#pragma once
// trtexec's rules for reading a command line: a multimap of --name=value, each taken out once.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "octet/result.h"

namespace octet::cli::trtexec {

struct Argument {
  std::string name, value;  // name as typed, with its dashes
};

/// Takes flags out of a command line. The first error is kept and every later answer is the default, so that reading
/// all flags needs one check at the end.
class CommandLine {
 public:
  explicit CommandLine(const std::vector<std::string>& words);

  /// Presence; the text after '=' does not count.
  bool take_switch(std::string_view name);
  /// True and *to set when the flag is there. A second one stays behind and becomes an unknown option.
  bool take(std::string_view name, std::string& to);
  bool take(std::string_view name, int64_t& to);
  bool take(std::string_view name, double& to);
  /// Split at commas; an empty last element is kept.
  bool take_list(std::string_view name, std::vector<std::string>& to);

  /// The next flag of `names` behind position `from`, up to the next flag called `stop`; for flags that group others.
  std::optional<size_t> find(std::string_view name, size_t from = 0) const;
  const std::vector<Argument>& left() const { return arguments_; }
  void erase(size_t at) { arguments_.erase(arguments_.begin() + static_cast<std::ptrdiff_t>(at)); }

  void fail(std::string message);
  const std::optional<std::string>& error() const { return error_; }

 private:
  std::vector<Argument> arguments_;
  std::optional<std::string> error_;
};

/// "a,b," -> a, b, "".
std::vector<std::string> split(const std::string& text, char at);
/// name:value at the last colon, or 'name':value with quotes around the name. Errors: no colon, stray quotes.
Result<std::pair<std::string, std::string>> split_name(const std::string& element);
/// "0.25M" -> 262144; no letter means `unit`. Errors: no digits, another letter, a negative size.
Result<int64_t> parse_size(const std::string& text, int64_t unit);
/// "1x3x224x224"; "" is a scalar. Errors: anything else.
Result<std::vector<int64_t>> parse_dims(const std::string& text);
/// pattern with at most one '*', or equal.
bool matches(std::string_view pattern, std::string_view name);

}  // namespace octet::cli::trtexec
