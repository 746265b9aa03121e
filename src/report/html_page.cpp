#include "report/html_page.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "report/text_table.h"

namespace octet {
namespace {

constexpr std::string_view k_style = R"(
:root{--ground:#fbfbf9;--card:#fff;--ink:#1c2128;--soft:#5b6672;--line:#dde1e6;--s0:#8a97a6;--s1:#2f6fde;--s2:#1d8a5f;--s3:#c0532b}
@media (prefers-color-scheme:dark){:root{--ground:#14181d;--card:#1b2027;--ink:#e8ebef;--soft:#9aa5b1;--line:#313942;--s0:#6f7c8a;--s1:#6ea1ff;--s2:#4cc38a;--s3:#f0906a}}
*{box-sizing:border-box}
body{margin:0;background:var(--ground);color:var(--ink);font:16px/1.5 system-ui,sans-serif}
main{max-width:1000px;margin:0 auto;padding:24px 16px 64px}
h1{font-size:1.7rem;line-height:1.2;margin:.5em 0}
h2{font-size:1.2rem;margin:2em 0 .5em}
p{max-width:70ch;color:var(--soft);margin:.4em 0 1em}
.scroll{overflow-x:auto;background:var(--card);border:1px solid var(--line);border-radius:8px;margin:.5em 0 1em}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
th,td{padding:7px 12px;text-align:left;border-top:1px solid var(--line);white-space:nowrap}
thead th{border-top:0;color:var(--soft);font-weight:600;font-size:.85rem}
.n{text-align:right}
figure{margin:.5em 0 1em;background:var(--card);border:1px solid var(--line);border-radius:8px;padding:10px 12px;min-width:0}
figcaption{font-size:.85rem;color:var(--soft);overflow-wrap:anywhere;margin-bottom:6px}
svg{display:block;width:100%;height:auto}
svg text{fill:var(--ink);font:11px system-ui,sans-serif}
.soft{fill:var(--soft)}
.s0{fill:var(--s0)}.s1{fill:var(--s1)}.s2{fill:var(--s2)}.s3{fill:var(--s3)}
.m0{stroke:var(--s1)}.m1{stroke:var(--s2)}.m2{stroke:var(--s3)}.m3{stroke:var(--ink)}
.grid{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(300px,100%),1fr));gap:0 14px}
.key{display:inline-block;margin-right:14px;white-space:nowrap}
.key i{display:inline-block;width:10px;height:10px;border-radius:2px;margin-right:5px}
details>summary{cursor:pointer;color:var(--s1);margin:.6em 0}
.bar{display:grid;grid-template-columns:minmax(0,13em) minmax(0,1fr);gap:0 8px;align-items:center;font-size:.82rem;line-height:1.3rem}
.bar>span{min-width:0;overflow-wrap:anywhere}
.bar>span:first-child{text-align:right}
.track{display:flex;align-items:center}
.track i{flex:none;height:.85rem;border-radius:2px;width:calc((100% - var(--text))*var(--part))}
.track b{font-weight:400;color:var(--soft);margin-left:6px}
i.s0{background:var(--s0)}i.s1{background:var(--s1)}i.s2{background:var(--s2)}i.s3{background:var(--s3)}
@media (max-width:600px){
h1{font-size:1.35rem}
table{font-size:.7rem}
thead th{font-size:.66rem}
th,td{padding:5px 4px}
thead th{white-space:normal}
td:not(.n){white-space:normal;overflow-wrap:anywhere}
td:first-child{min-width:5.6em}
.bar{grid-template-columns:minmax(0,9em) minmax(0,1fr);font-size:.72rem;line-height:1.15rem}
.track i{width:calc((100% - min(var(--text),55%))*var(--part))}
}
)";

std::string number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.2f", value);
  return text;
}

/// Digits, and a unit behind them: neither a date nor a hash.
bool is_number(const std::string& cell) {
  const size_t sign = !cell.empty() && (cell[0] == '+' || cell[0] == '-') ? 1 : 0;
  const size_t end = std::min(cell.find_first_not_of("0123456789.,", sign), cell.size());
  return end > sign && (end == cell.size() || cell[end] == ' ' || cell[end] == '%');
}

/// A cell below the head is a number.
bool has_numbers(const std::vector<std::vector<std::string>>& rows, size_t column) {
  return std::any_of(rows.begin() + 1, rows.end(),
                     [&](const auto& row) { return column < row.size() && is_number(row[column]); });
}

constexpr const char* k_colours[] = {"--s0", "--s1", "--s2", "--s3"};
constexpr const char* k_mark_colours[] = {"--s1", "--s2", "--s3", "--ink"};

std::string key(const std::string& name, const char* colour) {
  return "<span class=\"key\"><i style=\"background:var(" + std::string(colour) + ")\"></i>" + html_escaped(name) +
         "</span>";
}

}  // namespace

std::string html_escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '"': out += "&quot;"; break;
      case '\'': out += "&#39;"; break;
      default: out += c;
    }
  }
  return out;
}

HtmlPage::HtmlPage(std::string title) : title_(std::move(title)) {}

void HtmlPage::heading(std::string_view text) { body_ += "<h2>" + html_escaped(text) + "</h2>\n"; }
void HtmlPage::paragraph(std::string_view text) { body_ += "<p>" + html_escaped(text) + "</p>\n"; }

void HtmlPage::table(const std::vector<std::vector<std::string>>& rows) {
  if (rows.empty()) return;
  body_ += "<div class=\"scroll\"><table>\n";
  for (size_t r = 0; r < rows.size(); ++r) {
    body_ += r == 0 ? "<thead><tr>" : "<tr>";
    for (size_t c = 0; c < rows[r].size(); ++c) {
      // The first column names the row; a column of numbers has its head on the right too.
      const bool right = c > 0 && (is_number(rows[r][c]) || (r == 0 && has_numbers(rows, c)));
      const char* tag = r == 0 ? "th" : "td";
      body_ += "<" + std::string(tag) + (right ? " class=\"n\">" : ">") + html_escaped(rows[r][c]) + "</" + tag + ">";
    }
    body_ += r == 0 ? "</tr></thead><tbody>\n" : "</tr>\n";
  }
  body_ += "</tbody></table></div>\n";
}

void HtmlPage::bars(std::string_view title, const std::vector<HtmlBar>& bars, const std::vector<std::string>& legend) {
  double largest = 0;
  size_t longest_text = 0;
  for (const HtmlBar& bar : bars) {
    largest = std::max(largest, bar.value);
    longest_text = std::max(longest_text, bar.text.size());
  }
  // Behind the longest bar there is room for the longest text: a letter is about 0.55 em wide.
  const double room = 0.55 * static_cast<double>(longest_text) + 1;
  body_ += "<figure class=\"bars\" style=\"--text:" + number(room) + "em\"><figcaption>" + html_escaped(title) + " ";
  for (size_t i = 0; i < legend.size() && i < std::size(k_colours); ++i)
    if (!legend[i].empty()) body_ += key(legend[i], k_colours[i]);
  body_ += "</figcaption>\n";
  for (const HtmlBar& bar : bars) {
    const double part = largest > 0 && bar.value > 0 ? bar.value / largest : 0;
    std::string name = bar.label;
    if (name.size() > 32) name = "..." + name.substr(name.size() - 29);
    body_ += "<div class=\"bar\"><span>" + html_escaped(name) + "</span><span class=\"track\"><i class=\"s" +
             std::to_string(bar.series & 3) + "\" style=\"--part:" + fixed(part, 4) + "\"></i><b>" +
             html_escaped(bar.text) + "</b></span></div>\n";
  }
  body_ += "</figure>\n";
}

void HtmlPage::histogram(const HtmlHistogram& h) {
  const double wide = 300, high = 90;
  double largest = 1;
  for (const double count : h.counts) largest = std::max(largest, count);
  const double span = h.width * static_cast<double>(h.counts.size());
  body_ += "<figure><figcaption>" + html_escaped(h.title) +
           "</figcaption><svg viewBox=\"0 0 300 104\" role=\"img\" aria-label=\"" + html_escaped(h.title) +
           "\">\n<path class=\"s0\" d=\"M0 " + number(high);
  for (size_t i = 0; i < h.counts.size(); ++i) {
    const double x0 = wide * static_cast<double>(i) / static_cast<double>(h.counts.size());
    const double x1 = wide * static_cast<double>(i + 1) / static_cast<double>(h.counts.size());
    const double y = high - high * std::log1p(h.counts[i]) / std::log1p(largest);
    body_ += "L" + number(x0) + " " + number(y) + "L" + number(x1) + " " + number(y);
  }
  body_ += "L300 " + number(high) + "Z\"/>\n";
  std::string keys;
  for (size_t i = 0; i < h.marks.size(); ++i) {
    const auto& [name, at] = h.marks[i];
    const double x = span > 0 ? std::min(wide - 1, wide * at / span) : 0;
    body_ += "<line class=\"m" + std::to_string(i & 3) + "\" x1=\"" + number(x) + "\" x2=\"" + number(x) +
             "\" y1=\"0\" y2=\"" + number(high) + "\" stroke-width=\"1.5\"/>\n";
    keys += key(name + " " + short_number(at), k_mark_colours[i & 3]);
  }
  body_ +=
      "<text class=\"soft\" x=\"0\" y=\"102\">0</text><text class=\"soft\" x=\"300\" y=\"102\" text-anchor=\"end\">" +
      short_number(span) + "</text></svg><figcaption>" + keys + "</figcaption></figure>\n";
}

void HtmlPage::begin_grid() { body_ += "<div class=\"grid\">\n"; }
void HtmlPage::end_grid() { body_ += "</div>\n"; }
void HtmlPage::begin_details(std::string_view summary) {
  body_ += "<details><summary>" + html_escaped(summary) + "</summary>\n";
}
void HtmlPage::end_details() { body_ += "</details>\n"; }

std::string HtmlPage::text() const {
  return "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" "
         "content=\"width=device-width,initial-scale=1\"><link rel=\"icon\" href=\"data:,\"><title>" +
         html_escaped(title_) + "</title><style>" + std::string(k_style) + "</style></head><body><main>\n<h1>" +
         html_escaped(title_) + "</h1>\n" + body_ + "</main></body></html>\n";
}

}  // namespace octet
