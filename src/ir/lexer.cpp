#include "ir/lexer.h"

#include <optional>

namespace octet {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool starts_word(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '.' || c == '/';
}
bool continues_word(char c) { return starts_word(c) || is_digit(c) || c == ':' || c == '-'; }

std::optional<int> hex_digit(char c) {
  if (is_digit(c)) return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return std::nullopt;
}

}  // namespace

void Lexer::skip_space() {
  while (at_ < text_.size()) {
    const char c = text_[at_];
    if (c == '#') {
      while (at_ < text_.size() && text_[at_] != '\n') ++at_;
      continue;
    }
    if (c != ' ' && c != '\t' && c != '\r' && c != '\n') return;
    if (c == '\n') ++line_;
    ++at_;
  }
}

Token Lexer::next() {
  skip_space();
  if (at_ >= text_.size()) return {Token::Kind::end, "the end of the text", line_};
  const std::string_view rest = text_.substr(at_);
  const char c = rest[0];
  if (c == '"') return string();
  for (const std::string_view mark : {std::string_view("->"), std::string_view("...")}) {
    if (!rest.starts_with(mark)) continue;
    at_ += mark.size();
    return {Token::Kind::mark, std::string(mark), line_};
  }
  if (is_digit(c) || c == '-') return number();
  if (starts_word(c)) return word();
  ++at_;
  if (std::string_view("(){}[]=,:;@?").find(c) == std::string_view::npos)
    return {Token::Kind::bad, "the character '" + std::string(1, c) + "' means nothing here", line_};
  return {Token::Kind::mark, std::string(1, c), line_};
}

Token Lexer::string() {
  Token token{Token::Kind::string, {}, line_};
  for (++at_; at_ < text_.size(); ++at_) {
    const char c = text_[at_];
    if (c == '"') {
      ++at_;
      return token;
    }
    if (c == '\n') break;
    if (c != '\\') {
      token.text += c;
      continue;
    }
    if (++at_ >= text_.size()) break;
    if (text_[at_] == '"' || text_[at_] == '\\') {
      token.text += text_[at_];
      continue;
    }
    const std::optional<int> high = at_ + 2 < text_.size() ? hex_digit(text_[at_ + 1]) : std::nullopt;
    const std::optional<int> low = at_ + 2 < text_.size() ? hex_digit(text_[at_ + 2]) : std::nullopt;
    if (text_[at_] != 'x' || !high || !low)
      return {Token::Kind::bad, "an escape is \\\", \\\\ or \\x and two hexadecimal digits", line_};
    token.text += static_cast<char>(*high * 16 + *low);
    at_ += 2;
  }
  return {Token::Kind::bad, "a string has no closing '\"' on its line", line_};
}

Token Lexer::number() {
  const size_t begin = at_;
  ++at_;  // the sign or the first digit
  const bool hex = text_.substr(text_[begin] == '-' ? at_ : begin).starts_with("0x");
  while (at_ < text_.size()) {
    const char c = text_[at_], before = text_[at_ - 1];
    const bool exponent = hex ? (before == 'p' || before == 'P') : (before == 'e' || before == 'E');
    const bool sign = (c == '-' || c == '+') && exponent;
    if (!sign && !is_digit(c) && c != '.' && !(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z')) break;
    ++at_;
  }
  return {Token::Kind::number, std::string(text_.substr(begin, at_ - begin)), line_};
}

Token Lexer::word() {
  const size_t begin = at_;
  while (at_ < text_.size() && continues_word(text_[at_])) ++at_;
  while (text_[at_ - 1] == ':') --at_;
  return {Token::Kind::word, std::string(text_.substr(begin, at_ - begin)), line_};
}

}  // namespace octet
