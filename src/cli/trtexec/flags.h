#pragma once
// The table of trtexec's flags (flags.def) and the texts made from it.

#include <span>
#include <string>
#include <string_view>

namespace octet::cli::trtexec {

enum class Verdict { honoured, mapped, silent, warned, refused };  // H, M, N, W, E

struct Flag {
  std::string_view group, name, value;  // name without dashes; value empty = a switch
  Verdict cpu, gpu;
  int since, until;  // major versions of trtexec
  std::string_view text;
};

std::span<const Flag> all_flags();
/// Null for an unknown name (without dashes).
const Flag* find_flag(std::string_view name);

/// --help of trtexec.
std::string help_text();
/// docs/trtexec.md, whole.
std::string describe_text();

}  // namespace octet::cli::trtexec
