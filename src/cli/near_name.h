#pragma once
// The command, option or flag that a mistyped word stands for.

#include <algorithm>
#include <cctype>
#include <string>
#include <string_view>
#include <vector>

namespace octet::cli {

/// Letters and digits alone, small: "--calib_data" and "--calibData" are as near to "--calib-data" as can be.
inline std::string folded(std::string_view word) {
  std::string out;
  for (const char c : word)
    if (const auto byte = static_cast<unsigned char>(c); std::isalnum(byte))
      out += static_cast<char>(std::tolower(byte));
  return out;
}

/// Letters that have to be put in, taken out, exchanged or swapped with their neighbour to make b of a (optimal string
/// alignment).
inline size_t edits(std::string_view a, std::string_view b) {
  std::vector<size_t> before, above(b.size() + 1), row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    before = above;
    above = row;
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      row[j] = std::min({above[j] + 1, row[j - 1] + 1, above[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1)});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) row[j] = std::min(row[j], before[j - 2] + 1);
    }
  }
  return row[b.size()];
}

/// The name that a mistyped word stands for: at most a quarter of its letters differ, or one of both begins or ends
/// with the other. Empty where none is so near.
inline std::string near_name(std::string_view word, const std::vector<std::string>& names) {
  constexpr size_t k_shortest_part = 3;  // "--o" begins too much
  const std::string typed = folded(word);
  std::string nearest;
  size_t least = std::max<size_t>(1, (typed.size() + 1) / 4) + 1;
  if (typed.size() < 2) return nearest;
  for (const std::string& name : names) {
    const std::string meant = folded(name);
    const auto& [part, whole] =
        std::minmax(typed, meant, [](const auto& a, const auto& b) { return a.size() < b.size(); });
    const bool is_part = part.size() >= k_shortest_part && (whole.starts_with(part) || whole.ends_with(part));
    const size_t apart = std::min(edits(typed, meant), is_part ? size_t{1} : whole.size());
    if (apart < least) {
      least = apart;
      nearest = name;
    }
  }
  return nearest;
}

/// To go behind "'x' is no option"; nothing for an empty name.
inline std::string did_you_mean(const std::string& name) { return name.empty() ? "" : " (did you mean " + name + "?)"; }

}  // namespace octet::cli
