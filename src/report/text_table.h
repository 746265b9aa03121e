#pragma once
// Plain text tables and numbers as trtexec prints them.

#include <string>
#include <string_view>
#include <vector>

namespace octet {

/// Columns aligned by spaces: the first row is the head, numbers (cells that start with a digit, '+' or '-') to the
/// right.
std::string text_table(const std::vector<std::vector<std::string>>& rows);
/// Six significant digits, trailing zeros dropped: C++'s default form, which trtexec uses.
std::string short_number(double value);
/// A fixed number of decimals.
std::string fixed(double value, int decimals);
/// The text between quotes of a JSON string, escaped.
std::string json_escaped(std::string_view text);

}  // namespace octet
