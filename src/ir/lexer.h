#pragma once
// The text form cut into tokens.

#include <cstddef>
#include <string>
#include <string_view>

namespace octet {

struct Token {
  enum class Kind { word, string, number, mark, end, bad };
  Kind kind = Kind::end;
  std::string text;  // a string's text is unescaped; a bad token's text says what is wrong
  int line = 1;

  bool is(std::string_view mark_or_word) const {
    return (kind == Kind::mark || kind == Kind::word) && text == mark_or_word;
  }
};

/// Marks are single characters, "->" and "...". White space and "# to the end of the line" separate tokens. A word
/// neither begins nor ends with ':', so that "x: f32" is a word, a mark and a word.
class Lexer {
 public:
  explicit Lexer(std::string_view text) : text_(text) {}
  Token next();

 private:
  void skip_space();
  Token string();
  Token number();
  Token word();
  std::string_view text_;
  size_t at_ = 0;
  int line_ = 1;
};

}  // namespace octet
