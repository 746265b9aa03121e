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

/// Where C's stoi, which trtexec reads whole numbers with, ends.
inline constexpr int64_t k_largest_int = INT32_MAX;

/// Takes flags out of a command line. The first error is kept and every later answer is the default, so that reading
/// all flags needs one check at the end.
class CommandLine {
 public:
  explicit CommandLine(const std::vector<std::string>& words);

  /// Presence; the text after '=' does not count.
  bool take_switch(std::string_view name);
  /// True and *to set when the flag is there. A second one stays behind and becomes an unknown option.
  bool take(std::string_view name, std::string& to);
  /// Numbers from low to high; another one, or none, is an error that names the flag, the value and the range.
  bool take(std::string_view name, int64_t& to, int64_t low, int64_t high = k_largest_int);
  bool take(std::string_view name, double& to, double low, double high);
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

/// As C reads them: what follows the digits does not count. Errors: no digits, not finite, outside of low to high.
Result<int64_t> parse_whole(const std::string& text, int64_t low, int64_t high = k_largest_int);
Result<double> parse_number(const std::string& text, double low, double high);
/// "a,b," -> a, b, "".
std::vector<std::string> split(const std::string& text, char at);
/// name:value at the last colon, or 'name':value with quotes around the name. Errors: no colon, stray quotes.
Result<std::pair<std::string, std::string>> split_name(const std::string& element);
/// "0.25M" -> 262144; no letter means `unit`. Errors: no digits, another letter, a size that is negative or too large.
Result<int64_t> parse_size(const std::string& text, int64_t unit);
/// "1x3x224x224"; "" is a scalar. Errors: anything else.
Result<std::vector<int64_t>> parse_dims(const std::string& text);
/// pattern with at most one '*', or equal.
bool matches(std::string_view pattern, std::string_view name);

}  // namespace octet::cli::trtexec
