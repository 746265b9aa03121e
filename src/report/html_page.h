#pragma once
// One self-contained HTML page: headings, tables and figures as inline SVG. Nothing is loaded from elsewhere and
// nothing runs; light and dark follow the reader's setting, wide content scrolls inside itself on a phone.

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace octet {

/// A horizontal bar: label, length, the text behind it.
struct HtmlBar {
  std::string label;
  double value = 0;
  std::string text;
  int series = 0;  // colour, 0 to 3
};

/// Bins of one width from 0, drawn on a logarithmic scale of counts, and lines across at named places.
struct HtmlHistogram {
  std::string title;
  std::vector<double> counts;
  double width = 0;
  std::vector<std::pair<std::string, double>> marks;
};

class HtmlPage {
 public:
  explicit HtmlPage(std::string title);
  void heading(std::string_view text);
  void paragraph(std::string_view text);
  /// The first row is the head, the first column names the rows; other cells that start with a digit, '+' or '-' go to
  /// the right.
  void table(const std::vector<std::vector<std::string>>& rows);
  /// Bars of one scale; a legend names the series, but those of an empty name.
  void bars(std::string_view title, const std::vector<HtmlBar>& bars, const std::vector<std::string>& legend = {});
  void histogram(const HtmlHistogram& histogram);
  /// Histograms side by side as far as the width goes.
  void begin_grid();
  void end_grid();
  /// Folded away until asked for.
  void begin_details(std::string_view summary);
  void end_details();
  /// The whole document.
  std::string text() const;

 private:
  std::string title_, body_;
};

/// &, <, >, " and ' as entities.
std::string html_escaped(std::string_view text);

}  // namespace octet
