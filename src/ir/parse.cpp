// Text -> graph. See text.h for the form. One token of look-ahead, no recursion; the first error stops everything.

#include <unordered_map>

#include "ir/base64.h"
#include "ir/lexer.h"
#include "ir/literals.h"
#include "ir/op.h"
#include "ir/schema.h"
#include "ir/text.h"

namespace octet {
namespace {

/// A float that cannot be taken for an integer: has '.', 'e', "inf", "nan" or a hexadecimal exponent.
std::optional<float> float_literal(const std::string& text) {
  return text.find_first_of(".einp") == std::string::npos ? std::nullopt : float_from_text(text);
}

class Parser {
 public:
  explicit Parser(std::string_view text) : lexer_(text) { advance(); }
  Result<Graph> graph();

 private:
  // Each returns false after fail(), which keeps the first error.
  bool header();
  bool body();
  bool graph_input();
  bool constant();
  bool metadata();
  bool node();
  bool node_arguments(Node& node);
  bool node_outputs(const std::vector<std::string>& names, std::vector<ValueType>& written);
  bool finish_node(Node node, const std::vector<std::string>& names, const std::vector<ValueType>& written, int line);
  bool attribute(Attribute& out);
  bool list(Attribute& out);
  bool tensor(const ValueType& type, Tensor& out);
  bool number(std::string& out);
  bool type(ValueType& out);
  bool extents(Shape& out);
  bool name(std::string& out, std::string_view what);
  bool define(const std::string& name, ValueId& out);

  bool fail(const std::string& text, int line) {
    if (message_.empty()) message_ = "line " + std::to_string(line) + ": " + text;
    return false;
  }
  bool fail(const std::string& text) { return fail(text, token_.line); }
  bool expected(std::string_view what) {
    if (token_.kind == Token::Kind::bad) return fail(token_.text);
    return fail("expected " + std::string(what) + ", found " +
                (token_.kind == Token::Kind::end ? token_.text : "'" + token_.text + "'"));
  }
  void advance() { token_ = lexer_.next(); }
  bool accept(std::string_view mark) {
    if (!token_.is(mark)) return false;
    advance();
    return true;
  }
  bool require(std::string_view mark) { return accept(mark) || expected("'" + std::string(mark) + "'"); }
  bool at_name() const {
    return token_.kind == Token::Kind::string || (token_.kind == Token::Kind::word && token_.text != "_");
  }

  Lexer lexer_;
  Token token_;
  Graph graph_;
  std::unordered_map<std::string, ValueId> ids_;
  std::vector<std::pair<std::string, int>> output_names_;
  std::string message_;
};

Result<Graph> Parser::graph() {
  if (!header() || !body()) return Error{ErrorCode::bad_model, message_};
  for (const auto& [output, line] : output_names_) {
    const auto found = ids_.find(output);
    if (found == ids_.end()) {
      fail("graph output '" + output + "' is made by no node", line);
      return Error{ErrorCode::bad_model, message_};
    }
    graph_.outputs.push_back(found->second);
  }
  return std::move(graph_);
}

bool Parser::header() {
  if (!require("graph")) return false;
  if (at_name() && !name(graph_.name, "a graph name")) return false;
  if (!require("(")) return false;
  while (!accept(")")) {
    if (!graph_input()) return false;
    if (!token_.is(")") && !require(",")) return false;
  }
  if (!require("->") || !require("(")) return false;
  while (!accept(")")) {
    const int line = token_.line;
    std::string output;
    if (!name(output, "the name of a graph output")) return false;
    output_names_.emplace_back(output, line);
    if (!token_.is(")") && !require(",")) return false;
  }
  return require("{");
}

bool Parser::graph_input() {
  std::string input;
  ValueType t;
  ValueId id = k_absent;
  if (!name(input, "the name of a graph input") || !require(":") || !type(t) || !define(input, id)) return false;
  graph_.value(id).dtype = t.dtype;
  graph_.value(id).shape = t.shape;
  graph_.inputs.push_back(id);
  return true;
}

bool Parser::body() {
  while (!accept("}")) {
    if (accept(";")) continue;
    const bool ok = token_.is("const") ? constant() : token_.is("@") ? metadata() : node();
    if (!ok) return false;
  }
  return token_.kind == Token::Kind::end || expected("the end of the text");
}

bool Parser::metadata() {
  std::string key;
  if (!require("@") || !name(key, "the key of a metadata entry") || !require("=")) return false;
  if (token_.kind != Token::Kind::string) return expected("a string");
  graph_.metadata[key] = token_.text;
  advance();
  return true;
}

bool Parser::constant() {
  advance();
  std::string value;
  ValueType t;
  ValueId id = k_absent;
  Tensor elements;
  if (!name(value, "the name of a constant") || !require(":") || !type(t) || !require("=") || !tensor(t, elements) ||
      !define(value, id))
    return false;
  graph_.value(id).dtype = t.dtype;
  graph_.value(id).shape = t.shape;
  graph_.value(id).constant = std::move(elements);
  return true;
}

bool Parser::node() {
  const int line = token_.line;
  std::vector<std::string> names;
  do {
    names.emplace_back();
    if (!accept("_") && !name(names.back(), "'const', the name of a value or '}'")) return false;
  } while (accept(","));
  if (!require("=")) return false;
  Node made;
  if (token_.kind != Token::Kind::word) return expected("the name of an op");
  made.op = find_op(token_.text);
  if (!made.op) return fail("there is no op '" + token_.text + "'");
  advance();
  if (!node_arguments(made)) return false;
  if (accept("@") && !name(made.name, "the name of a node")) return false;
  std::vector<ValueType> written;
  if (accept(":") && !node_outputs(names, written)) return false;
  return finish_node(std::move(made), names, written, line);
}

bool Parser::node_arguments(Node& node) {
  if (!require("(")) return false;
  while (!accept(")")) {
    std::string word;
    if (accept("_")) {
      node.inputs.push_back(k_absent);
    } else if (!name(word, "an input, an attribute or ')'")) {
      return false;
    } else if (accept("=")) {
      Attribute value;
      if (!attribute(value)) return false;
      if (!node.attributes.emplace(word, std::move(value)).second)
        return fail("attribute '" + word + "' is given twice");
    } else {
      const auto found = ids_.find(word);
      if (found == ids_.end()) return fail("'" + word + "' is not defined before this line");
      if (!node.attributes.empty()) return fail("input '" + word + "' stands behind an attribute");
      node.inputs.push_back(found->second);
    }
    if (!token_.is(")") && !require(",")) return false;
  }
  return true;
}

bool Parser::node_outputs(const std::vector<std::string>& names, std::vector<ValueType>& written) {
  for (size_t i = 0; i < names.size(); ++i) {
    written.emplace_back();
    if (i > 0 && !require(",")) return false;
    if (names[i].empty() ? !require("_") : !type(written.back())) return false;
  }
  return true;
}

/// Creates the outputs with the written types where there are any, else with the inferred ones. verify() compares the
/// two again; it is done here too because here the line is known.
bool Parser::finish_node(Node node, const std::vector<std::string>& names, const std::vector<ValueType>& written,
                         int line) {
  for (const std::string& output : names) {
    ValueId id = k_absent;
    if (!output.empty() && !define(output, id)) return false;
    node.outputs.push_back(id);
  }
  Result<std::vector<ValueType>> types = infer_node(graph_, node);
  if (!types) return fail(types.error().message, line);
  for (size_t i = 0; i < names.size(); ++i) {
    if (node.outputs[i] == k_absent) continue;
    const ValueType& inferred = (*types)[i];
    const ValueType& type = written.empty() ? inferred : written[i];
    if (type.dtype != inferred.dtype || !shapes_agree(type.shape, inferred.shape))
      return fail("'" + names[i] + "' is written as " + type_text(type.dtype, type.shape) + ", but inference says " +
                      type_text(inferred.dtype, inferred.shape),
                  line);
    graph_.value(node.outputs[i]).dtype = type.dtype;
    graph_.value(node.outputs[i]).shape = type.shape;
  }
  graph_.nodes.push_back(std::move(node));
  return true;
}

bool Parser::attribute(Attribute& out) {
  if (token_.kind == Token::Kind::string) {
    out = token_.text;
    advance();
    return true;
  }
  if (token_.is("[")) return list(out);
  for (const auto& [word, empty] : {std::pair<std::string_view, Attribute>("ints", std::vector<int64_t>()),
                                    {"floats", std::vector<float>()},
                                    {"strings", std::vector<std::string>()}}) {
    if (!accept(word)) continue;
    out = empty;
    return require("[") && require("]");
  }
  if (accept("tensor")) {
    ValueType t;
    Tensor elements;
    if (!require("(") || !type(t) || !require(",") || !tensor(t, elements) || !require(")")) return false;
    out = std::move(elements);
    return true;
  }
  std::string text;
  if (!number(text)) return false;
  if (const std::optional<int64_t> integer = int_from_text(text)) {
    out = *integer;
  } else if (const std::optional<float> real = float_literal(text)) {
    out = *real;
  } else {
    return fail("'" + text + "' is neither a 64-bit integer nor a float");
  }
  return true;
}

/// Strings, or integers when every item is one, else floats.
bool Parser::list(Attribute& out) {
  advance();
  std::vector<std::string> items, numbers;
  do {
    if (token_.kind == Token::Kind::string) {
      items.push_back(token_.text);
      advance();
    } else if (!number(numbers.emplace_back())) {
      return false;
    }
  } while (accept(","));
  if (!require("]")) return false;
  if (numbers.empty()) {
    out = std::move(items);
    return true;
  }
  if (!items.empty()) return fail("a list holds strings and numbers");
  std::vector<int64_t> integers;
  std::vector<float> reals;
  for (const std::string& text : numbers) {
    const std::optional<int64_t> integer = int_from_text(text);
    const std::optional<float> real = integer ? float_from_text(text) : float_literal(text);
    if (!integer && !real) return fail("'" + text + "' is neither a 64-bit integer nor a float");
    if (integer) integers.push_back(*integer);
    if (real) reals.push_back(*real);
  }
  if (integers.size() == numbers.size()) {
    out = std::move(integers);
  } else if (reals.size() == numbers.size()) {
    out = std::move(reals);
  } else {
    return fail("a list holds integers beside floats that do not fit");
  }
  return true;
}

bool Parser::tensor(const ValueType& type, Tensor& out) {
  const std::optional<Dims> dims = type.shape ? known_dims(*type.shape) : std::nullopt;
  if (!dims || type.dtype == DType::undefined) return fail("a constant needs a dtype and known extents");
  const int64_t count = element_count(*dims).value();  // type() has checked it
  std::vector<std::byte> bytes;
  if (token_.is("...")) return fail("this constant was left out when the text was printed; print it in full");
  if (accept("base64")) {
    const std::optional<std::vector<std::byte>> decoded = from_base64(token_.text);
    if (token_.kind != Token::Kind::string || !decoded) return expected("a string of base64");
    bytes = *decoded;
    advance();
  } else {
    if (!require("{")) return false;
    while (!accept("}")) {
      std::string text;
      if (!number(text)) return false;
      if (!append_element(text, type.dtype, bytes))
        return fail("'" + text + "' is not a " + std::string(octet::name(type.dtype)));
      if (!token_.is("}") && !require(",")) return false;
    }
  }
  const size_t width = size_of(type.dtype);
  if (bytes.size() != static_cast<size_t>(count) * width)
    return fail("the constant has " + std::to_string(bytes.size() / width) + " elements, but its type " +
                type_text(type.dtype, type.shape) + " has " + std::to_string(count));
  Result<std::pair<Tensor, std::byte*>> made = Tensor::allocate(type.dtype, *dims);
  if (!made) return fail(made.error().message);
  if (!bytes.empty()) std::memcpy(made->second, bytes.data(), bytes.size());
  out = std::move(made->first);
  return true;
}

/// A number token, or inf, nan or nan(0x...), as text.
bool Parser::number(std::string& out) {
  const bool is_word = token_.kind == Token::Kind::word && (token_.text == "inf" || token_.text == "nan");
  if (!is_word && token_.kind != Token::Kind::number) return expected("a number");
  out = token_.text;
  advance();
  if (out != "nan" || !accept("(")) return true;
  if (token_.kind != Token::Kind::number) return expected("the bits of a NaN as 0x...");
  out += "(" + token_.text + ")";
  advance();
  return require(")");
}

bool Parser::type(ValueType& out) {
  const std::optional<DType> dtype =
      token_.kind == Token::Kind::word ? dtype_from_name(token_.text) : std::optional<DType>();
  if (!dtype) return expected("a dtype");
  advance();
  out.dtype = *dtype;
  if (!accept("[")) return true;
  return extents(out.shape.emplace());
}

bool Parser::extents(Shape& out) {
  while (!accept("]")) {
    if (accept("?")) {
      out.emplace_back();
    } else if (token_.kind == Token::Kind::number) {
      const std::optional<int64_t> extent = int_from_text(token_.text);
      if (!extent || *extent < 0) return fail("'" + token_.text + "' is not an extent");
      out.emplace_back(*extent);
      advance();
    } else {
      std::string symbol;
      if (!name(symbol, "an extent")) return false;
      out.emplace_back(std::move(symbol));
    }
    if (!token_.is("]") && !require(",")) return false;
  }
  if (!is_bounded(out)) return fail("the shape " + to_string(out) + " is too large: more than 2^36 elements");
  return true;
}

bool Parser::name(std::string& out, std::string_view what) {
  if (!at_name() || token_.text.empty()) return expected(what);
  out = token_.text;
  advance();
  return true;
}

bool Parser::define(const std::string& value, ValueId& out) {
  if (ids_.contains(value)) return fail("'" + value + "' is defined twice");
  out = graph_.add_value(value);
  ids_.emplace(value, out);
  return true;
}

}  // namespace

Result<Graph> parse_graph(std::string_view text, const ParseOptions& options) {
  Result<Graph> graph = Parser(text).graph();
  if (!graph || !options.verify) return graph;
  if (Result<Done> ok = verify(*graph); !ok) return ok.error();
  return graph;
}

}  // namespace octet
