#pragma once
// Stable codes for messages. A message keeps its words where it is written; diagnostics.def gives each condition a
// number by a pattern of those words, so that a new condition needs one line there and none where it is reported.

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace octet {

struct Diagnostic {
  int number;
  ErrorCode kind;
  std::string_view pattern, condition, advice;
};
/// All rows of diagnostics.def; the general ones last.
std::span<const Diagnostic> all_diagnostics();
std::vector<const Diagnostic*> diagnostics_by_number();
/// The row of a message. Always one: each kind has a general row.
const Diagnostic& diagnose(const Error& error);
/// "OCT-2020".
std::string code_text(const Diagnostic& diagnostic);
/// "OCT-2020", "oct-2020" or "2020"; null for an unknown one.
const Diagnostic* find_diagnostic(std::string_view code);
/// within() for a message of several lines: each gets the place.
Error within_each(std::string_view place, Error error);
/// The problems of an error: a message of several lines holds one in each.
std::vector<Error> problems_of(const Error& error);
/// A file with more problems than this has one cause.
inline constexpr size_t k_most_problems = 20;
/// One Error with a line for each problem, under the kind of the first: at most so many, none twice.
Error join_problems(std::vector<Error> problems);
/// docs/errors.md.
std::string diagnostics_page();

}  // namespace octet
