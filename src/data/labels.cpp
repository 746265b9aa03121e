// Label files. A line names a sample and its accepted classes: "file,class[ class...]"; spaces, '|' or ';' separate
// classes.
//   * With a header line: the classes are the column "accepted_classes", "classes", "class" or "label"; the sample is
//     the column "file", "name" or "image", for arrays "index", or else the line itself, counted from 0.
//   * Without: the first field is the sample, all others are classes; the fields are separated by ',' or, in a line
//     without one, by spaces. A line that is one number alone labels the sample of that line, counted from 0.
// Empty lines and lines that begin with '#' are passed over.
#include <algorithm>
#include <array>
#include <charconv>

#include "base/file.h"
#include "data/source.h"

namespace octet {
namespace {

using Fields = std::vector<std::string>;

constexpr std::array<std::string_view, 3> k_file_columns = {"file", "name", "image"};
constexpr std::array<std::string_view, 1> k_index_columns = {"index"};
constexpr std::array<std::string_view, 4> k_class_columns = {"accepted_classes", "classes", "class", "label"};

std::string trimmed(std::string_view text) {
  const auto is_edge = [](char c) { return c == ' ' || c == '\t' || c == '\r' || c == '"'; };
  while (!text.empty() && is_edge(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_edge(text.back())) text.remove_suffix(1);
  return std::string(text);
}

Fields split(std::string_view line, std::string_view separators) {
  Fields fields;
  while (true) {
    const size_t at = line.find_first_of(separators);
    fields.push_back(trimmed(line.substr(0, at)));
    if (at == std::string_view::npos) return fields;
    line.remove_prefix(at + 1);
  }
}

Fields without_empty(Fields fields) {
  fields.erase(std::remove(fields.begin(), fields.end(), ""), fields.end());
  return fields;
}

std::optional<int64_t> class_number(const std::string& text) {
  int64_t value = 0;
  const std::from_chars_result end = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || end.ec != std::errc() || end.ptr != text.data() + text.size() || value < 0) return std::nullopt;
  return value;
}

template <size_t N>
std::optional<size_t> column(const Fields& header, const std::array<std::string_view, N>& words) {
  for (const std::string_view word : words) {
    const auto at = std::find(header.begin(), header.end(), word);
    if (at != header.end()) return static_cast<size_t>(at - header.begin());
  }
  return std::nullopt;
}

class LabelReader {
 public:
  LabelReader(std::string path, LabelKey key) : path_(std::move(path)), key_(key) {}

  Result<LabelTable> read(std::string_view text) {
    while (!text.empty()) {
      const size_t end = std::min(text.find('\n'), text.size());
      ++line_;
      const Result<Done> done = read_line(text.substr(0, end));
      if (!done) return done.error();
      text.remove_prefix(std::min(end + 1, text.size()));
    }
    std::sort(table_.begin(), table_.end());
    for (size_t i = 1; i < table_.size(); ++i) {
      if (table_[i].first == table_[i - 1].first)
        return Error{ErrorCode::bad_argument, path_ + ": '" + table_[i].first + "' occurs twice"};
    }
    return table_;
  }

 private:
  Error wrong(const std::string& what) const {
    return {ErrorCode::bad_argument, path_ + ": line " + std::to_string(line_) + ": " + what};
  }

  Result<Done> read_line(std::string_view line) {
    if (trimmed(line).empty() || line.front() == '#') return Done{};
    const bool commas = line.find(',') != std::string_view::npos;
    const Fields fields = commas ? split(line, ",") : without_empty(split(line, " \t"));
    if (first_) {
      first_ = false;
      class_column_ = column(fields, k_class_columns);
      sample_column_ = key_ == LabelKey::file ? column(fields, k_file_columns) : column(fields, k_index_columns);
      if (class_column_) return Done{};
    }
    if (class_column_) return read_columns(fields);
    if (fields.size() == 1) return add(std::to_string(table_.size()), fields);
    return add(fields[0], Fields(fields.begin() + 1, fields.end()));
  }

  Result<Done> read_columns(const Fields& fields) {
    if (fields.size() <= std::max(sample_column_.value_or(0), *class_column_)) {
      return wrong("has fewer columns than the header");
    }
    return add(sample_column_ ? fields[*sample_column_] : std::to_string(table_.size()), {fields[*class_column_]});
  }

  Result<Done> add(const std::string& sample, const Fields& fields) {
    std::vector<int64_t> classes;
    for (const std::string& field : fields) {
      for (const std::string& word : without_empty(split(field, " \t|;"))) {
        const std::optional<int64_t> number = class_number(word);
        if (!number) return wrong("'" + word + "' is not a class number (0 or more)");
        classes.push_back(*number);
      }
    }
    if (classes.empty()) return wrong("names no class; expected file,class[ class...]");
    table_.emplace_back(sample, std::move(classes));
    return Done{};
  }

  std::string path_;
  LabelKey key_;
  int64_t line_ = 0;
  bool first_ = true;
  std::optional<size_t> sample_column_, class_column_;
  LabelTable table_;
};

}  // namespace

Result<LabelTable> read_labels(const std::string& path, LabelKey key) {
  const Result<std::string> text = read_text_file(path);
  if (!text) return text.error();
  return LabelReader(path, key).read(*text);
}

const std::vector<int64_t>* find_labels(const LabelTable& table, const std::string& name) {
  const auto at = std::lower_bound(table.begin(), table.end(), name,
                                   [](const auto& row, const std::string& n) { return row.first < n; });
  return at != table.end() && at->first == name ? &at->second : nullptr;
}

}  // namespace octet
